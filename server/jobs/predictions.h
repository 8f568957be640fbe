/* Predictions: new pictures through the model of a job, by the workers. A client opens one, which
 * copies the model as model.get gives it, and brings pictures batch by batch; each batch is a round
 * of shards (core/round.h) that workers lease as they do those of jobs, and its logits wait until
 * they are fetched. Nothing of it is on the disk: after a restart, the client begins again.
 *
 * The batches are cut by the client and the shards here, from the job's description alone. So the
 * logits are the same bits whatever number of workers computes them.
 *
 * Bounds: PREDICTIONS_MAX; PREDICT_PICTURES_MAX and 8 MiB a batch; all models together a quarter of
 * --memory. A prediction goes when its client has not asked for PREDICT_IDLE_MS, and fails when no
 * worker that could do it has been there for PREDICT_LONELY_MS. */
#ifndef STEPPE_SERVER_JOBS_PREDICTIONS_H
#define STEPPE_SERVER_JOBS_PREDICTIONS_H

#include "server/core/pace.h"
#include "server/core/round.h"
#include "server/jobs/jobs.h"

#define PREDICT_IDLE_MS 60000
#define PREDICT_LONELY_MS 30000
#define PREDICT_HOLD_MS 20000   /* a reply that waits for a batch says so after this */
#define PREDICT_FAULTS_MAX 3    /* bad results and failures of a key that end its part in it */
#define PREDICT_KEYS_MAX 3      /* keys that may have any; one of a further key ends it */
#define PREDICT_REFUSALS_MAX 64 /* workers that cannot do it; more are not remembered */

struct predictions;
struct worker;

/* What a prediction is of. */
struct prediction_source {
    int64_t job, epoch;
    uint64_t step;
    bool final, best, averaged;
    bool adversarial;
    char class[80];     /* of the workers that may compute it; "": any */
    struct model model; /* owned */
    char *spec_json;    /* the job's description, owned */
    char *class_names;  /* JSON list, owned; NULL: not known */
    float *theta;       /* [floats], owned */
};

struct prediction {
    char uuid[UUID_BYTES], key_name[NAME_MAX_BYTES];
    int64_t number; /* for workers; not used again, not after a restart either */
    struct prediction_source source;
    uint32_t shard, most; /* pictures of a shard and of a batch */

    int64_t batch; /* number of the last one that came; -1: none has */
    uint32_t count;
    uint8_t *images; /* [most, h, w, c] */
    float *logits;   /* [most, classes] */
    int32_t *twins;  /* [most] */
    struct round *round;
    bool done; /* the batch is */

    struct request *get; /* waits for the batch; NULL: nobody does */
    int64_t get_since_ms, touched_ms;
    int64_t lonely_ms; /* since when no worker could do it; 0: one can */
    /* Faults of the workers of a key, and of all. */
    struct prediction_faults {
        uint32_t hand, count;
    } keys[PREDICT_KEYS_MAX];
    uint32_t key_count, faults;
    uint32_t refused[PREDICT_REFUSALS_MAX], refusals;
    char said[400];   /* the last refusal or fault; "": none */
    char failed[500]; /* "": it has not */
    struct pace pace;
    struct prediction *next;
};

void predictions_open(struct service *s, struct predictions **ret);
void predictions_close(struct predictions *all); /* drops held requests; NULL is fine */

/* May this key open one more, with a model of so many floats? 0 or -ERANGE with a sentence. */
int predictions_check(const struct predictions *all, const char *key_name, size_t floats,
                      struct errbuf *why);
/* Takes the source. 0 or -ENOMEM (then the source is the caller's). */
int predictions_add(struct predictions *all, const char *uuid, const char *key_name,
                    struct prediction_source *source, struct prediction **ret, struct errbuf *why);
void prediction_source_done(struct prediction_source *source);
/* That of this UUID, opened with this key; NULL: there is none. The client is there. */
struct prediction *predictions_find(struct predictions *all, const char *uuid,
                                    const char *key_name);
struct prediction *predictions_number(struct predictions *all, int64_t number); /* or NULL */
void predictions_remove(struct predictions *all, struct prediction *p);
/* The i-th, oldest first; NULL behind the last, and of none. */
struct prediction *predictions_at(struct predictions *all, size_t i);

/* Takes the next batch of `count` pictures. The same number again: it is there. 0, -EPERM (it is
 * not its turn, or the prediction failed) or -ENOMEM. */
int prediction_put(struct predictions *all, struct prediction *p, int64_t batch, const void *images,
                   uint32_t count, struct errbuf *why);
/* Answers rq when the batch is done, failed, or not done after PREDICT_HOLD_MS. */
void prediction_get(struct predictions *all, struct prediction *p, struct request *rq);

/* Is there work in it? */
bool prediction_works(const struct prediction *p);
/* The pictures of a node. */
uint32_t prediction_samples(const struct prediction *p, struct node node, uint32_t *ret_first);
/* Takes the logits [samples, classes] and twins [samples] (where it is adversarial) of a node that
 * was leased and has no result yet; answers whoever waits. */
void prediction_take(struct prediction *p, struct node node, const void *logits, const void *twins);
/* A node's worker has failed, or sent what is no result. With the third time its key gets no more
 * of it, and the prediction fails where no worker of another key may try: one key could say so of
 * every prediction. */
void prediction_fault(struct predictions *all, struct prediction *p, const struct worker *worker,
                      const char *reason);
/* This worker cannot do it at all. */
void prediction_refuse(struct predictions *all, struct prediction *p, const struct worker *worker,
                       const char *reason);
/* Is the worker of this number and hand to have no task of it: it has refused, or its key has
 * failed too often? */
bool prediction_excludes(const struct prediction *p, uint32_t worker, uint32_t hand);
void prediction_fail(struct prediction *p, const char *reason);

/* The worker computes nothing any more. Returns how many leases went back. */
uint32_t predictions_release(struct predictions *all, uint32_t worker, int64_t now_ms);
/* Handles leases that ran out, clients that are gone, and workers that do not come. */
void predictions_tick(struct predictions *all, int64_t now_ms);
/* Answers all who wait: the server stops. */
void predictions_dismiss(struct predictions *all);

#endif
