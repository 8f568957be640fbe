/* What a seed decides before it starts: the jobs, the workers, how bad disk and network are, and
 * the disturbances, all before `calm_us`; then everything works, and the jobs must come to their
 * end. */
#ifndef STEPPE_TESTS_SIM_SCENARIO_H
#define STEPPE_TESTS_SIM_SCENARIO_H

#include <stdbool.h>
#include <stdint.h>

#include "server/server.h"

#define SCENARIO_CLASSES 3 /* of the dataset */
#define SCENARIO_SAMPLES 41
#define SCENARIO_TESTS 10
#define SCENARIO_JOBS_MAX 4
#define SCENARIO_STUDY_JOBS 4 /* two arms, two seeds */
#define SCENARIO_SPECS 21
/* Those of a revision: a job that takes it when a person says so, and jobs that have it from epoch
 * 0, 1 or 2 on, which is what the first becomes. */
#define SCENARIO_SPEC_TAKES 17
#define SCENARIO_SPEC_FROM(epoch) (18 + (int)(epoch))
#define SCENARIO_SPEC_LONG SCENARIO_SPECS /* never drawn: 300 steps */
/* Those that a training program of somebody's own trains; a seed has one or none of them. */
#define SCENARIO_SPEC_EXTERNAL (SCENARIO_SPEC_LONG + 1)
#define SCENARIO_EXTERNALS 5
#define SCENARIO_SPEC_EXTERNAL_REVISED (SCENARIO_SPEC_EXTERNAL + 4) /* has a revision, too */
#define SCENARIO_SPECS_ALL (SCENARIO_SPEC_EXTERNAL + SCENARIO_EXTERNALS)
#define SCENARIO_SPEC_LIST 16 /* that of which the person says a list of samples to leave out */

/* What the planted faults are called: a result of another incarnation is accepted, a node is
 * applied twice, the checkpoint is written before the epoch is folded, pieces of a dataset are
 * handed out without a look at their hashes, what a superseded training program says counts. */
enum plant {
    PLANT_NONE,
    PLANT_INCARNATION,
    PLANT_TWICE,
    PLANT_ORDER,
    PLANT_PIECES,
    PLANT_PROGRAM,
    PLANT_COUNT
};
extern const char *const plant_names[]; /* NULL-terminated */

struct scenario {
    uint64_t seed;
    bool undisturbed; /* one worker, one job, nothing goes wrong */
    bool fresh;       /* the disk is empty, else the server was there and has the dataset */
    enum plant plant;
    int jobs; /* 0: none, the dataset is imported; the second one may be external */
    int specs[SCENARIO_JOBS_MAX];
    bool study;     /* it has one too */
    int study_spec; /* from which its arms are made */
    bool halving;   /* of them, the worse stop on the way */
    bool combines;  /* workers add up their sums among themselves */
    bool keys;      /* each worker has one of its own; without, all are of the machine */
    double verify;  /* its jobs are checked, this share of their nodes; then there are keys */
    int64_t calm_us;
    unsigned drop_permille, double_permille;
    int64_t delay_most_us;
    unsigned power_permille;  /* a death is a power failure */
    unsigned damage_permille; /* that damages a checkpoint */
    unsigned death_permille;  /* a life is to end by itself */
    int64_t restart_least_us, restart_most_us;
};

/* The scenario of this process. */
const struct scenario *scenario_get(void);
/* Draws it, adds the workers, schedules the disturbances. */
void scenario_make(uint64_t seed, enum plant plant);
/* The undisturbed run of one spec by workers of one numerics class. */
void scenario_make_undisturbed(int spec, uint32_t class);
/* The same, by workers of class 0, for one fault that the caller brings; fresh: on an empty disk.
 */
void scenario_make_struck(int spec, bool fresh);

/* That job, checked, by four workers of class 0, each with a key; the first one forges so many
 * permille of its results. The disk is empty, so that every seed draws other nodes. */
void scenario_make_forged(double verify, unsigned forge_permille);
/* That job by a worker of class 0, which comes after 30 s, beside so many of another key that hoard
 * from the beginning. */
void scenario_make_hoarded(int hoarders);
/* The import of the dataset and nothing else. */
void scenario_make_import(void);

/* In one of them; its job has a note from its first moment on, the others have none. */
#define SCENARIO_INPUT "\"input\":{\"mean\":[0.25],\"std\":[0.5]}"
const char *scenario_spec(int spec); /* the job file */
bool scenario_has_revision(int spec);
struct server_options scenario_options(const char *state);
void scenario_uuid(char out[UUID_BYTES]);
/* This life ends at some time soon, one way or the other. */
void scenario_schedule_death(int64_t life);

#endif
