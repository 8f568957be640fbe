/* The workers: who they are, what they hold, and whose replies wait for work. Workers own nothing
 * that matters: a silent one's lease runs out and its node is computed elsewhere. */
#ifndef STEPPE_SERVER_JOBS_WORKERS_H
#define STEPPE_SERVER_JOBS_WORKERS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/reduce.h"
#include "server/net/request.h"

struct service;
struct job;
struct workers;
struct worker;
struct prediction;

#define HOLD_MS 25000 /* a reply that waits for work is sent without any after this */

/* With what the store, which is open, has about keys. */
int workers_open(struct service *s, struct workers **ret, struct errbuf *why);
void workers_close(struct workers *w); /* drops held requests; NULL is fine */

/* The worker that sent rq; NULL (rq answered with unknown_worker) when it did not say hello. */
struct worker *workers_of(struct workers *w, struct request *rq);
/* How many there are of the key of this name; NULL: of all. */
int workers_of_key(const struct workers *w, const char *key);
/* Registers the sender. 0, -ERANGE (too many, of all or of its key) or -EPERM (it said hello with
 * another key). */
int workers_hello(struct workers *w, const struct request *rq, const char *name, int64_t threads,
                  const char *class, struct worker **ret, struct errbuf *why);
/* It knows tasks of predictions, or not. */
void workers_know_predictions(struct worker *worker, bool predicts);
/* Bytes that it has for jobs; 0: it did not say, and counts as one that can hold any job. */
void workers_know_memory(struct worker *worker, int64_t bytes);
/* Workers are connected, and none has the memory for this job: why, for people. */
bool workers_too_small(const struct workers *w, const struct job *job, char *out, size_t bytes);
/* The same as a refusal: -EFBIG with that sentence; 0 where a worker has it or none is connected.
 */
int workers_can_hold(const struct workers *w, const struct job *job, struct errbuf *why);
/* How many processes it is, for people; 1 unless it was said. */
void workers_know_ranks(struct worker *worker, uint32_t ranks);
/* Other workers reach it there, or (NULL) nowhere. */
void workers_know_address(struct worker *worker, const char *address);
/* Has it a task whose sum it may combine with those of others? */
bool workers_combines(const struct worker *worker, const struct job *job);
/* It could not reach another worker; after a few times it is left alone for a while. */
void workers_leave_alone(struct worker *worker);
/* Adds the address of the worker of this number, and the token that it wants to hear. False: it has
 * gone. */
bool workers_add_peer(const struct workers *w, uint32_t number, cJSON *out);
/* It gave its sum, of a node of so many shards, to another one. */
void workers_gave(struct workers *w, struct worker *worker, struct job *job, uint32_t shards);
/* Forgets the worker; its leases go back. Returns how many. */
uint32_t workers_bye(struct workers *w, struct worker *worker);
/* The same for all that said hello with a key of this name, which is no longer accepted; returns
 * how many workers. */
uint32_t workers_revoke(struct workers *w, const char *key_name);

/* The class of a strict job that no worker has, when this one is idle; "" when it has work as it
 * is. */
const char *workers_wanted_class(struct workers *w, const struct worker *worker);
/* The worker asks for work: takes back what it still held, answers rq with a task or holds it. */
void workers_next(struct workers *w, struct worker *worker, struct request *rq);
uint32_t workers_number(const struct worker *worker);
uint32_t workers_hand(const struct worker *worker); /* that of its key (core/check.h) */
const char *workers_name(const struct worker *worker);
/* The worker is at work on this job: its nodes of the job are not issued again before the returned
 * time, in milliseconds from now. */
int64_t workers_renew(struct worker *worker, struct job *job);
/* Has it a task of this job: given, and not answered yet? */
bool workers_has_task(const struct worker *worker, const struct job *job);
/* Has it a task of a job with this dataset? */
bool workers_needs_dataset(struct workers *w, const struct worker *worker, const char *sha256);
/* The sender fetches a dataset: if it is a worker with a lease, it is at work. */
void workers_fetches(struct workers *w, const char *sender);
/* Memory that a worker on this machine has with the server: theta of the job's run, which it can
 * read, and room for its gradients. Another one that it had ends. 0; -EPERM: this job's vectors
 * travel in messages; -ERANGE: there is too much of such memory already; -errno. */
struct workers_share {
    int64_t number;
    size_t bytes, place_bytes; /* of a vector; between the two places of theta */
    int theta_fd, grad_fd;     /* borrowed until workers_shared */
};
int workers_share(struct workers *w, struct worker *worker, const struct job *job,
                  struct workers_share *ret, struct errbuf *why);
/* The descriptors have left. */
void workers_shared(struct worker *worker);
/* Where it has written a gradient of the job's run; NULL: it has no such memory. */
const float *workers_shared_gradient(const struct worker *worker, const struct job *job);
/* Counts a result of `shards` shards and measures its speed. The first one pins the class of a
 * strict job. */
void workers_counted(struct workers *w, struct worker *worker, struct job *job, uint32_t shards);
/* A result of the worker for the open round of the job was refused, or (reported) the worker says
 * that it has none. The third fault sets the worker aside with back-off. But when three workers had
 * a fault in this round, or it was reported three times and nobody else can try, the job fails with
 * this reason. */
void workers_fault(struct workers *w, struct worker *worker, struct job *job, bool reported,
                   uint32_t shards, const char *reason);
/* The worker says that it cannot do the job and why (borrowed). Its leases go back, and it is not
 * offered the job again while it stays, or for a while if the cause may pass. The reason goes to
 * the job's log and row. The third refusal fails the job, if no other connected worker could do it
 * and nothing was computed yet. */
void workers_refuse(struct workers *w, struct worker *worker, struct job *job,
                    enum refusal_cause cause, const char *reason);
/* Was a result of this worker computed in a class that the job takes now? */
bool workers_result_fits(const struct worker *worker, const struct job *job);
/* The cause that kept workers from this job is over: those that refused are asked again. */
void workers_forgive(struct workers *w, int64_t job);
/* This job has no run any more: workers that have it loaded are free for others. */
void workers_forget_job(struct workers *w, int64_t job);

/* Predictions: was this worker's result computed in a class that counts? */
bool workers_prediction_fits(const struct worker *worker, const struct prediction *p);
/* Was its last task, which it has not given back, one of this prediction? */
bool workers_has_prediction(const struct worker *worker, const struct prediction *p);
/* Is there a worker that may try it, of a key of which none lost this node (NULL: none)? */
bool workers_may_predict(const struct workers *w, const struct prediction *p,
                         const struct node *lost);
/* Counts a result and measures its speed. */
void workers_predicted(struct worker *worker, struct prediction *p, struct node node);
/* It is at work on one: its leases do not run out. */
void workers_renew_prediction(struct worker *worker, struct prediction *p);
/* Why no connected worker can compute for it; false: one can. */
bool workers_lacking(struct workers *w, const struct prediction *p, char *out, size_t bytes);

/* Results that are computed twice (core/check.h). The secret by which they are drawn: */
const uint8_t *workers_secret(const struct workers *w);
/* The hand of a worker, by its number; arg: the struct workers. */
uint32_t workers_hand_of(void *arg, uint32_t number);
const char *workers_hand_name(const struct workers *w, uint32_t hand);
/* How many hands have a worker that could compute for this job now; *ret_one: one of them. */
uint32_t workers_hands(struct workers *w, const struct job *job, uint32_t *ret_one);
/* Whoever has this hand has lied: its key is set aside for good, durably. text: about what. */
void workers_distrust(struct workers *w, uint32_t hand, const char *text);
/* Are all names of those who lied on the disk? */
bool workers_liars_kept(const struct workers *w);
/* `{key, unix_ms, text}` of each. */
cJSON *workers_liars(struct workers *w);
/* An administrator trusts the key again; answers rq once that is durable. -ENOENT: rq is not
 * answered. */
int workers_trust(struct workers *w, const char *key, struct request *rq, struct errbuf *why);

/* Gives work to the workers whose replies are held. */
void workers_wake(struct workers *w);
/* Handles expired leases and replies held too long; called a few times a second. */
void workers_tick(struct workers *w, int64_t now_ms);
/* Answers all held replies: no task (the server stops). */
void workers_dismiss(struct workers *w);

/* Why the running job gets no work done; false when it progresses. */
bool workers_waiting(struct workers *w, const struct job *job, char *out, size_t bytes);
/* Nothing has come of the running job for a while, though workers have tasks of it: whose results
 * it waits for; false: it is not so. */
bool workers_hold_up(struct workers *w, const struct job *job, int64_t now_ms, char *out,
                     size_t bytes);
cJSON *workers_rows(struct workers *w);
enum worker_state {
    WORKER_COMPUTING, /* has a task, or was heard of just now */
    WORKER_WAITING,   /* its request is held until there is work */
    WORKER_SILENT,    /* its lease ran out, or it has said nothing for long */
    WORKER_ASIDE,     /* gets no work for a while: its results were bad */
    WORKER_STATES
};
extern const char *const worker_state_names[WORKER_STATES + 1]; /* NULL-terminated */
/* Adds to ret how many there are of each state. */
void workers_count(struct workers *w, unsigned ret[WORKER_STATES]);

#endif
