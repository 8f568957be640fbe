/* What a training program has of its open epoch. */
#ifndef STEPPE_TESTS_SIM_PROGRAM_EPOCH_H
#define STEPPE_TESTS_SIM_PROGRAM_EPOCH_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/frame.h"
#include "tests/sim/scenario.h"

#define RANKS_MOST 3
#define POSITIONS_MOST 128 /* of a stream */
#define PIECES_MOST 160
#define PIECE_TENSORS 4

/* A message with reports: of some samples, a group of measures; the last one has probabilities. */
#define PIECE_GROUPS 3
#define PIECE_GROUP_PROBABILITIES 2
struct piece {
    bool test;
    int group;
    uint32_t first, count; /* within the samples that are reported */
};

struct program_epoch {
    int64_t epoch;
    uint32_t world;
    bool probabilities; /* the job keeps them */
    /* Each rank's own stream, as far as it was told. */
    uint32_t have[RANKS_MOST], total;
    uint32_t ids[RANKS_MOST][POSITIONS_MOST];
    float weights[RANKS_MOST][POSITIONS_MOST];
    /* What is reported of it. */
    uint32_t samples[SCENARIO_SAMPLES], sample_count;
    struct piece pieces[PIECES_MOST];
    int piece_count, sent;
    bool closed[RANKS_MOST];
};

void program_epoch_begin(struct program_epoch *e, int64_t epoch, uint32_t world,
                         bool probabilities);
/* The rank whose stream is not whole yet; world: all are. */
uint32_t program_epoch_lacks(const struct program_epoch *e);
/* Takes a piece of a rank's stream. With the last one the order must be what it says it is: the
 * stream of that hash, in each pass through what is scheduled no sample twice and none missing. */
void program_epoch_take(struct program_epoch *e, uint32_t rank, uint32_t batch,
                        const struct message *m);
/* Decides what is reported in which pieces, once the order is whole. What is reported in the end
 * follows from the order and the number of the epoch alone. */
void program_epoch_cut(struct program_epoch *e);

/* Memory of the tensors of a piece. */
struct piece_values {
    uint32_t ids[SCENARIO_SAMPLES];
    double reals[2][SCENARIO_SAMPLES];
    float f32[SCENARIO_SAMPLES * SCENARIO_CLASSES];
    int32_t classes[SCENARIO_SAMPLES];
};
/* Fills tensors[PIECE_TENSORS] with what is reported of a piece, a function of epoch and sample
 * alone; wrong: with anything else. Returns how many they are. */
int program_epoch_values(const struct program_epoch *e, const struct piece *piece, bool wrong,
                         struct piece_values *values, struct tensor *tensors);
/* Makes one of them a number that is refused. */
void program_epoch_break(const struct piece *piece, struct piece_values *values);

#endif
