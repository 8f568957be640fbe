/* Runs seeds, each in a process of its own that starts from the same state, and has their logs
 * judged. */
#ifndef STEPPE_TESTS_SIM_RUNNER_H
#define STEPPE_TESTS_SIM_RUNNER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/hash.h"
#include "tests/sim/scenario.h"

struct runner;

/* What replaces the plan of a seed: begin makes the world and the plan of run `number`, end looks
 * at what the run left; both in its process. */
struct runner_plan {
    void (*begin)(void *arg, uint64_t number);
    void (*end)(void *arg);
    void *arg;
};
void runner_use(struct runner *r, const struct runner_plan *plan);

struct judgement {
    uint64_t seed;
    bool good;
    char why[1200];              /* what does not hold */
    char log_sha256[SHA256_HEX]; /* of the event log */
    uint64_t events;             /* its lines */
    int64_t lives, applied;      /* of the server; nodes */
    int64_t given;               /* sums, from worker to worker */
};

/* Runs every job file undisturbed in each numerics class. -EIO and a sentence when one does not
 * come to its end. */
int runner_open(enum plant plant, bool echo, struct runner **ret, struct errbuf *why);
/* For runs of one job file by workers of class 0. */
int runner_open_for(int spec, struct runner **ret, struct errbuf *why);
void runner_close(struct runner *r);
/* Runs seeds [first, first + count), `side` at a time, and hands each verdict over, in order of the
 * seeds; each() returns false to stop. */
void runner_run(struct runner *r, uint64_t first, uint64_t count, int side,
                bool (*each)(void *arg, const struct judgement *v), void *arg);
/* The event log of the last verdict that was handed over. */
const char *runner_log(const struct runner *r);

#endif
