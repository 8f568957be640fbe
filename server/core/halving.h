/* Successive halving (Jamieson & Talwalkar, AISTATS 2016, algorithm 1): after a quarter and after
 * half of the epochs the worse half of the arms that are left stops. Arms are ranked by the mean of
 * their validation accuracy over the seeds; the control never stops, and each column is judged by
 * itself. Pure: what is stopped follows from the values at the rungs alone, whenever and however
 * often it is asked. */
#ifndef STEPPE_SERVER_CORE_HALVING_H
#define STEPPE_SERVER_CORE_HALVING_H

#include <stdbool.h>

#include "server/core/study.h"

#define HALVING_RUNGS 2
/* The epochs that a job has behind it at a rung: floor(epochs / 4), floor(epochs / 2). */
int64_t halving_rung(int64_t epochs, int rung);

/* value[rung][job]: validation accuracy of the rung's last epoch; NAN: it is not committed. A rung
 * of a column is judged once all jobs in the running have a value or have ended.
 * ret_passed[data_count]: rungs judged; ret_stopped[job_count]. Of k arms floor(k / 2) stop: those
 * with the lowest mean over the seeds that have a value (none: lowest of all), of equal ones the
 * later. */
void halving_judge(const struct study *s, const double *const value[HALVING_RUNGS], int *ret_passed,
                   bool *ret_stopped);

#endif
