/* The independent reader: knows the event log of a seed and nothing else of the run, and checks
 * what the service promises (deploy/docs/RELIABILITY.md):
 *
 *   every node of a round is applied once, by a result of that very job, incarnation, step and
 * phase that was just delivered, of the job's numerics class; a round closes when every shard is
 * in; incarnations only grow, and are durable before a run of theirs starts; epochs are committed
 * in order, once, with the same scores each time; a checkpoint is recorded when the epochs it
 * counts on are committed; a run goes on from the newest recorded checkpoint; what was recorded of
 * a job survives, acknowledged commands too; no damaged byte of a dataset comes to a worker, a
 * whole dataset is not called damaged, one that was healed not for long, and no job fails for it;
 * all jobs of a study exist or none, and it goes with all of them;
 * the server starts, and every job comes to its end with the model and the scores of the
 * undisturbed run. */
#ifndef STEPPE_TESTS_SIM_READER_H
#define STEPPE_TESTS_SIM_READER_H

#include <stdbool.h>
#include <stddef.h>

#include "common/hash.h"

#define OUTCOME_EPOCHS 16
#define PROBS_BYTES 17 /* of a hash of probabilities */

/* Model, scores and flatness of an undisturbed run. */
struct outcome {
    char model[SHA256_HEX];
    char scores[OUTCOME_EPOCHS][SHA256_HEX];
    char measured[OUTCOME_EPOCHS][SHA256_HEX]; /* loss of the test and of the validation */
    char flat[24]; /* hash of the newest flatness; "": it measures none */
    char probs[OUTCOME_EPOCHS][PROBS_BYTES];
    char streams[OUTCOME_EPOCHS][SHA256_HEX]; /* orders, of an external job */
    int epochs;
};

/* Reads the outcome of the only job of a log. False: it has none. */
bool reader_outcome(const char *text, struct outcome *ret);
/* expect(arg, spec, class): the outcome of a spec computed by that numerics class. True when
 * everything holds; else a sentence that quotes the line goes to why[bytes]. */
bool reader_check(const char *text, const struct outcome *(*expect)(void *arg, int spec, int class),
                  void *arg, char *why, size_t bytes);

#endif
