#include "server/core/halving.h"

#include <math.h>
#include <stdlib.h>

#include "common/alloc.h"

int64_t halving_rung(int64_t epochs, int rung)
{
    return rung == 0 ? epochs / 4 : epochs / 2;
}

struct arm {
    bool in; /* it is still in the running */
    double mean;
};

/* The mean over the seeds of an arm on a column; -1: none has a value. *io_all: all have, or ended.
 */
static double mean_of(const struct study *s, int arm, int data, const double *value, bool *io_all)
{
    double sum = 0;
    int count = 0;

    for (int i = 0; i < s->job_count; i++) {
        if (s->jobs[i].arm != arm || s->jobs[i].data != data)
            continue;
        if (!isnan(value[i])) {
            sum += value[i];
            count++;
        } else if (!job_state_final(s->jobs[i].state)) {
            *io_all = false;
        }
    }
    return count > 0 ? sum / count : -1;
}

/* Takes the worst of those that are in out of the running. */
static void drop_worst(const struct study *s, struct arm *arms)
{
    int worst = -1;

    for (int a = 0; a < s->arm_count; a++)
        if (arms[a].in && (worst < 0 || arms[a].mean <= arms[worst].mean))
            worst = a;
    if (worst >= 0)
        arms[worst].in = false;
}

static int judge_column(const struct study *s, int data, const double *const value[HALVING_RUNGS],
                        struct arm *arms)
{
    int rung = 0;

    for (; rung < HALVING_RUNGS; rung++) {
        int in = 0;
        bool all = true;
        for (int a = 0; a < s->arm_count; a++)
            if (arms[a].in) {
                arms[a].mean = mean_of(s, a, data, value[rung], &all);
                in++;
            }
        if (!all)
            break;
        for (int k = 0; k < in / 2; k++)
            drop_worst(s, arms);
    }
    return rung;
}

void halving_judge(const struct study *s, const double *const value[HALVING_RUNGS], int *ret_passed,
                   bool *ret_stopped)
{
    struct arm *arms = xcalloc((size_t)s->arm_count + 1, sizeof(*arms));

    for (int d = 0; d < s->data_count; d++) {
        for (int a = 0; a < s->arm_count; a++)
            arms[a].in = false;
        for (int i = 0; i < s->job_count; i++)
            if (s->jobs[i].data == d && s->jobs[i].arm != s->control)
                arms[s->jobs[i].arm].in = true;
        ret_passed[d] = judge_column(s, d, value, arms);
        for (int i = 0; i < s->job_count; i++)
            if (s->jobs[i].data == d)
                ret_stopped[i] = s->jobs[i].arm != s->control && !arms[s->jobs[i].arm].in;
    }
    free(arms);
}
