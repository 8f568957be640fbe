/* The end of an epoch of an external job: who has closed it, and what becomes of it. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "server/core/external_internal.h"

/* --- the ranks of the program --- */

/* Is each of these a metric? */
static int check_metrics(const struct metric *metrics, uint32_t count, struct errbuf *why)
{
    struct metric_set set = {0};
    struct epoch_record record = {0};
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < count; i++)
        rc = metric_add(&set, &record, metrics[i].name, metrics[i].value, why);
    metric_set_done(&set);
    return rc;
}

static int put_metric(struct external *e, const struct metric *m, uint32_t rank, struct errbuf *why)
{
    for (uint32_t i = 0; i < e->metric_count; i++) {
        struct rank_metric *known = &e->metrics[i];
        if (strcmp(known->metric.name, m->name) != 0)
            continue;
        if (rank <= known->rank)
            *known = (struct rank_metric){*m, rank};
        return 0;
    }
    if (e->metric_count == METRICS_MAX)
        return err_set(why, -EINVAL, "metric %s would be one of %d, allowed is %d names a job",
                       m->name, METRICS_MAX + 1, METRICS_MAX);
    if (!e->metrics)
        e->metrics = xcalloc(METRICS_MAX, sizeof(*e->metrics));
    e->metrics[e->metric_count++] = (struct rank_metric){*m, rank};
    return 0;
}

int external_rank_closes(struct external *e, uint32_t rank, uint32_t world,
                         const struct metric *metrics, uint32_t count, struct errbuf *why)
{
    int rc = check_metrics(metrics, count, why);

    if (rc == 0 && e->world && e->world != world)
        rc = err_set(why, -EINVAL,
                     "world is %u, but ranks of %u have closed epoch %lld already; another number "
                     "of ranks opens the job again",
                     world, e->world, (long long)e->epoch + 1);
    for (uint32_t i = 0; rc == 0 && i < count; i++)
        rc = put_metric(e, &metrics[i], rank, why);
    if (rc < 0)
        return rc;
    if (!e->closed)
        e->closed = xcalloc(world, sizeof(*e->closed));
    e->world = world;
    e->closed[rank] = 1;
    return 0;
}

void external_unclose(struct external *e)
{
    free(e->closed);
    e->closed = NULL;
    e->world = 0;
    e->metric_count = 0;
}

uint32_t external_waiting(const struct external *e, uint32_t world, uint32_t *ret, uint32_t max)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < world; i++) {
        if (i < e->world && e->closed[i])
            continue;
        if (count < max)
            ret[count] = i;
        count++;
    }
    return count;
}

/* --- what becomes of the epoch --- */

/* NAN and -1 for what was not reported: reports that still come replace it. */
static void settle(struct reported *r)
{
    for (uint32_t i = 0; i < r->samples; i++) {
        struct score *s = &r->scores[i];
        const unsigned seen = r->seen[i];
        if (!(seen & SEEN_MEASURES))
            s->flags = 0;
        if (!(seen & 1u << EXTERNAL_LOSS))
            s->loss = NAN;
        if (!(seen & 1u << EXTERNAL_ADV_LOSS))
            s->adv_loss = NAN;
        if (!(seen & 1u << EXTERNAL_GRAD_NORM))
            s->grad_norm = NAN;
        if (!(seen & 1u << EXTERNAL_EL2N))
            s->el2n = seen & 1u << EXTERNAL_MARGIN ? score_el2n(s->loss, r->margin[i]) : NAN;
        if (!(seen & 1u << EXTERNAL_PREDICTED))
            s->predicted = -1;
        if (!(seen & 1u << EXTERNAL_ADV_PREDICTED))
            s->adv_predicted = -1;
    }
}

/* Was any of these bits of what comes reported of any sample? */
static bool any_seen(const struct reported *r, unsigned bits)
{
    for (uint32_t i = 0; r->seen && i < r->samples; i++)
        if (r->seen[i] & bits)
            return true;
    return false;
}

/* A copy, with NAN for the samples of which none were reported. */
static int close_probabilities(const struct external *e, struct run_epoch *ret)
{
    const size_t classes = e->data->classes;
    const struct reported *r = &e->train;

    if (!any_seen(r, SEEN_PROBABILITIES))
        return 0;
    ret->probabilities = alloc_bytes(r->samples * classes, sizeof(*ret->probabilities));
    if (!ret->probabilities)
        return -ENOMEM;
    for (uint32_t i = 0; i < r->samples; i++)
        for (size_t j = i * classes; j < (i + 1) * classes; j++)
            ret->probabilities[j] = r->seen[i] & SEEN_PROBABILITIES ? r->probabilities[j] : NAN;
    return 0;
}

static bool any_gap(const struct score *s, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (s[i].flags & SCORE_MEASURED && !isnan(s[i].adv_loss - s[i].loss))
            return true;
    return false;
}

static int close_scores(struct external *e, struct run_epoch *ret)
{
    const uint32_t n = e->train.samples;
    const uint16_t *labels = ranks_relabelled(&e->ranks);

    ret->record.mean_gap = NAN;
    if (labels) {
        ret->labels = alloc_bytes(n, sizeof(*ret->labels));
        if (!ret->labels)
            return -ENOMEM;
        memcpy(ret->labels, labels, n * sizeof(*labels));
    }
    if (!any_seen(&e->train, SEEN_MEASURES))
        return 0;
    settle(&e->train);
    ret->scores = e->train.scores;
    if (any_gap(ret->scores, n))
        ret->record.mean_gap = score_mean_gap(ret->scores, n);
    return 0;
}

/* When the next epoch is open, which takes room for sorting. */
static int measure_adm(const struct external *e, struct run_epoch *ret)
{
    if (!ret->scores)
        return 0;
    ret->adm = scores_adm(ret->scores, e->train.samples, e->spec->normaliser, ret->record.mean_gap);
    return ret->adm ? 0 : -ENOMEM;
}

/* What the test says of each class, and its figures, where all of it was reported. */
static int summarise_test(const struct external *e, struct run_epoch *ret)
{
    const uint32_t n = e->test.samples;
    const struct score *s = ret->test_scores;
    double loss = 0;
    uint32_t right = 0, adv_right = 0, predicted = 0, adv_predicted = 0;

    ret->by_class = alloc_bytes(e->data->classes, sizeof(*ret->by_class));
    if (!ret->by_class)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        const int32_t label = e->data->test_labels[i];
        struct test_group *g = &ret->by_class[label];
        loss += s[i].flags & SCORE_MEASURED ? s[i].loss : NAN;
        predicted += s[i].flags & SCORE_MEASURED && s[i].predicted >= 0;
        adv_predicted += s[i].flags & SCORE_MEASURED && s[i].adv_predicted >= 0;
        right += s[i].predicted == label;
        adv_right += s[i].adv_predicted == label;
        g->samples++;
        g->right += s[i].predicted == label;
        g->adv_right += s[i].adv_predicted == label;
    }
    ret->record.test_loss = loss / n;
    if (predicted == n)
        ret->record.test_accuracy = (double)right / n;
    if (adv_predicted == n)
        ret->record.adv_accuracy = (double)adv_right / n;
    if (predicted < n) {
        free(ret->by_class);
        ret->by_class = NULL;
    }
    return 0;
}

static int close_test(struct external *e, struct run_epoch *ret)
{
    if (!any_seen(&e->test, SEEN_MEASURES))
        return 0;
    ret->tested = e->test.samples;
    settle(&e->test);
    ret->test_scores = e->test.scores;
    ret->test_adm =
        scores_adm(ret->test_scores, ret->tested, e->spec->normaliser, ret->record.mean_gap);
    return ret->test_adm ? summarise_test(e, ret) : -ENOMEM;
}

/* Samples of the order without a value, each once. */
static int count_missing(const struct external *e, uint32_t *ret)
{
    uint8_t *counted = alloc_bytes(e->train.samples, sizeof(*counted));
    const uint64_t n = (uint64_t)e->steps * (uint64_t)e->spec->batch;

    if (!counted)
        return -ENOMEM;
    *ret = 0;
    for (uint64_t i = 0; i < n; i++) {
        const uint32_t sample = e->ids[i];
        *ret += !(e->train.seen && e->train.seen[sample]) && !counted[sample];
        counted[sample] = 1;
    }
    free(counted);
    return 0;
}

static int open_next(const struct external *e, const struct score *scores, int64_t now_ms,
                     struct external **ret)
{
    struct external *next = xcalloc(1, sizeof(*next));

    next->spec = e->spec;
    next->data = e->data;
    next->job = e->job;
    next->incarnation = e->incarnation;
    next->steps = e->steps;
    int rc = ranks_copy(&e->ranks, &next->ranks);
    if (rc == 0 && scores)
        rc = ranks_take(&next->ranks, scores);
    if (rc == 0)
        rc = external_open(next, e->epoch + 1, now_ms);
    if (rc < 0)
        external_free(next);
    else
        *ret = next;
    return rc;
}

static void take_room(struct reported *to, struct reported *from)
{
    *to = *from;
    *from = (struct reported){.samples = to->samples};
    if (to->seen)
        memset(to->seen, 0, to->samples * sizeof(*to->seen));
}

void external_take_room(struct external *next, struct external *closed)
{
    take_room(&next->train, &closed->train);
    take_room(&next->test, &closed->test);
}

void external_closed_done(struct external_closed *c)
{
    c->epoch.scores = c->epoch.test_scores = NULL; /* the epoch's that was closed */
    run_epoch_done(&c->epoch);
    metric_set_done(&c->metrics);
    external_free(c->next);
}

int external_close(struct external *e, int64_t now_ms, struct external_closed *ret,
                   struct errbuf *why)
{
    struct external_closed c = {.dropped = e->dropped};
    const int taken = e->ranks.revisions;

    c.epoch.record = (struct epoch_record){
        .job = e->job,
        .epoch = e->epoch,
        .revision = taken > 0 ? e->spec->revisions.at[taken - 1].number : 0,
        .share = e->schedule.share,
        .scheduled = e->schedule.count,
        .lr = NAN,
        .train_loss = NAN,
        .train_accuracy = NAN,
        .sharpness = NAN,
        .test_loss = NAN,
        .test_accuracy = NAN,
        .adv_accuracy = NAN,
        .validation_loss = NAN,
        .validation_accuracy = NAN,
        .validation_adv_accuracy = NAN,
        .seconds = e->start_ms < 0 ? NAN : (double)(now_ms - e->start_ms) / 1e3,
    };
    int rc = close_scores(e, &c.epoch);
    if (rc == 0)
        rc = close_probabilities(e, &c.epoch);
    if (rc == 0)
        rc = close_test(e, &c.epoch);
    for (uint32_t i = 0; rc == 0 && i < e->metric_count; i++)
        rc = metric_add(&c.metrics, &c.epoch.record, e->metrics[i].metric.name,
                        e->metrics[i].metric.value, why);
    if (rc == 0)
        rc = count_missing(e, &c.missing);
    if (rc == 0 && e->epoch + 1 < e->spec->epochs)
        rc = open_next(e, c.epoch.scores, now_ms, &c.next);
    if (rc == 0)
        rc = measure_adm(e, &c.epoch);
    if (rc == -ENOMEM)
        err_set(why, rc, "no memory to close epoch %lld of job %lld", (long long)e->epoch + 1,
                (long long)e->job);
    if (rc < 0)
        external_closed_done(&c);
    else
        *ret = c;
    return rc;
}
