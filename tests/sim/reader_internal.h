/* Shared by reader.c and reader_store.c only. */
#ifndef STEPPE_TESTS_SIM_READER_INTERNAL_H
#define STEPPE_TESTS_SIM_READER_INTERNAL_H

#include <stdint.h>

#include "tests/sim/reader.h"

#define JOBS 48
#define STUDY_JOBS 4 /* of the study that the person submits */
#define LINE_BYTES 600
#define SHARDS 256
#define CHECKPOINTS 512
#define EPOCHS 64
#define WRITTEN 1024 /* a change that a lock keeps away is tried again and again */

struct line {
    const char *event; /* within text */
    char text[LINE_BYTES];
};

/* What was last known to be durable of a job, and what was written since and may be. */
struct row {
    char state[12], class[24], waits[12];
    int64_t incarnation;
};

struct checkpoint {
    int64_t step, epoch;
    bool gone; /* damaged, or may be */
};

struct job {
    bool known, removed, removing, seen; /* seen: in the recovery that is being read */
    bool
        told; /* to the person; a submit that comes again when its job is removed makes a new one */
    int spec;
    int64_t incarnation; /* of the newest run */
    char class[24];
    char begun[24]; /* without one: that of the first result of this run */
    struct row durable;
    struct row written[WRITTEN]; /* since; the next recovery may find any */
    int written_count;
    char commanded[12]; /* state that an acknowledged command left; "": none */
    /* the open round */
    int64_t step, phase;
    bool applied[SHARDS];
    int64_t applied_count;
    bool touched;           /* its run has something that was computed, in its class */
    bool relaxed, unpinned; /* a person said so: it may have the bits of no undisturbed run */
    /* epochs and checkpoints */
    int64_t committed; /* epochs, in order from 0 */
    char scores[EPOCHS][SHA256_HEX];
    char probs[EPOCHS][PROBS_BYTES]; /* of the last fold; "": it kept none */
    struct checkpoint checkpoints[CHECKPOINTS];
    int checkpoint_count;
    bool alone; /* it was of a study, which has another in its place */
    bool ended; /* "final" was read */
    bool finished_well;
    char arm[4];            /* of a study with halving; "": it is of none */
    bool halved;            /* stopped by halving */
    char valid[EPOCHS][32]; /* validation accuracy, of "final_epoch" */
    /* of an external job */
    bool external;
    int64_t most;            /* epochs that may be committed, where a crash has hidden it */
    int64_t kept_back;       /* epochs as an attempt to take some back began */
    int64_t maybe_back;      /* 1 + the first of them, where it is not known to have happened */
    int64_t opened;          /* newest incarnation of which its program was told */
    bool taken_back[EPOCHS]; /* a program asked to go on with that one */
    char streams[EPOCHS][SHA256_HEX];
    int final_epochs;
    char model[SHA256_HEX];
};

struct reader {
    struct job jobs[JOBS];
    struct line delivered; /* the message that the server is at */
    bool delivering;
    struct {
        bool durable[JOBS]; /* its jobs */
        bool has[JOBS];     /* as they are being read */
        bool putting, removing;
    } study;
    bool lied;   /* it is on the disk that a key has forged results */
    bool full;   /* the disk takes nothing */
    bool locked; /* another program has a database locked */
    /* The dataset's file on the server's disk. */
    int damages;
    bool damaged;       /* it may be */
    int damages_before; /* the commit that was asked for */
    int64_t whole_us;   /* since when it is again */
    int list_damages;   /* of files that came with jobs */
    bool calm;          /* nothing is disturbed any more */
    int64_t list_us;    /* when the list first came again in the calm; 0: it did not */
    int losses;         /* workers killed, stopped or cut off */
    int refusals;
    int bad_results;
    const struct outcome *(*expect)(void *arg, int spec, int class);
    void *arg;
    const char *now;
    char *why;
    size_t why_bytes;
    bool bad;
};

/* What is done with a line of this event. */
struct reading {
    const char *event; /* NULL ends a list */
    void (*read)(struct reader *r, const char *line);
};
extern const struct reading reader_store[];
extern const struct reading reader_data[];
extern const struct reading reader_study[];
extern const struct reading reader_external[];

/* The value of ` key=` up to a blank, or within quotes; "" when there is none. */
void reader_word(const char *line, const char *key, char *out, size_t bytes);
int64_t reader_number(const char *line, const char *key); /* -1: none */
/* The first one is kept, with the line that is being read. */
__attribute__((format(printf, 2, 3))) void reader_violation(struct reader *r, const char *fmt, ...);
/* What was asked and acknowledged of the dataset. */
void reader_asked(struct reader *r, const char *line);
void reader_acked(struct reader *r, const char *line);
/* Does somebody say that the file is damaged, and may they? */
bool reader_says_damaged(const char *line);
void reader_check_damaged(struct reader *r, const char *line);
/* A message came to the server. */
void reader_external_delivered(struct reader *r, const char *line);
/* Epochs from `first` on are dropped. */
void reader_external_drop(struct reader *r, struct job *j, int64_t first);
/* A server has died, and the next one recovers the job. */
void reader_external_recovered(struct job *j);
/* At the end: are all epochs there? */
void reader_external_end(struct reader *r);
/* At the end: did the arms stop that halving has to stop? */
void reader_study_end(struct reader *r);
/* Is no study on the disk? */
bool reader_study_gone(const struct reader *r);
struct job *reader_job(struct reader *r, const char *line);
/* What the job must come to; NULL: nothing is known. */
const struct outcome *reader_expects(struct reader *r, const struct job *j);

#endif
