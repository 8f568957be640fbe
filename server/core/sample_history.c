#include "server/core/sample_history.h"

#include <math.h>

/* Share of the newest measurement in adm_ema. */
#define EMA_NEW 0.3
#define EMA_OLD 0.7

void sample_history_add(struct sample_history *x, int64_t epoch, const struct measurement *m)
{
    if (isnan(m->loss))
        return;
    bool first = x->seen == 0;
    double confidence = exp(-m->loss);

    x->seen++;
    x->forgotten += !first && x->correct && m->right == 0;
    if (first || isnan(x->adm_ema))
        x->adm_ema = m->adm;
    else if (!isnan(m->adm))
        x->adm_ema = EMA_NEW * m->adm + EMA_OLD * x->adm_ema;
    /* Welford's updates: no sum grows, so none loses what is small. */
    x->loss_mean += (m->loss - x->loss_mean) / x->seen;
    x->margin_mean += (score_margin(m->loss, m->el2n) - x->margin_mean) / x->seen;
    double before = confidence - x->confidence;
    x->confidence += before / x->seen;
    x->confidence_m2 += before * (confidence - x->confidence);
    if (m->right >= 0)
        x->correct = m->right;
    x->last_epoch = (int32_t)epoch;
    x->right += m->right > 0;
    x->hard += m->hard;
}

void newly_right_count(struct newly_right *m, const struct sample_history *before, int right)
{
    if (right < 0 || before->seen == 0 || before->right > 0)
        return;
    m->never_before++;
    m->now += right;
}

double newly_right_share(const struct newly_right *m)
{
    return m->never_before ? (double)m->now / (double)m->never_before : NAN;
}

/* From 2 to 4 %: tests/evidence saw values on either side. v_suspect says the same. */
double suspicion(double margin, double margin_mean, double newly_right)
{
    double over = isnan(newly_right) ? 1 : fmin(fmax(50 * newly_right - 1, 0), 1);

    return -(margin + (margin_mean - margin) * over);
}

double sample_history_variability(const struct sample_history *x)
{
    return sqrt(fmax(x->confidence_m2, 0) / x->seen);
}

bool sample_history_is_hard(double adm, double adm_p90)
{
    return adm > 0 && adm >= adm_p90;
}
