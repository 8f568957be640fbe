/* The key of a task: (job, incarnation, step, phase, turn, lo, hi), as task.* and result.* carry
 * it. */
#ifndef STEPPE_SERVER_HANDLE_TASK_KEY_H
#define STEPPE_SERVER_HANDLE_TASK_KEY_H

#include "server/jobs/jobs.h"
#include "server/net/request.h"

struct task_key {
    int64_t job, incarnation, step, phase;
    int64_t turn;   /* of a measurement of flatness; else 0 */
    int64_t lo, hi; /* of the node, lo < hi */
};

/* Reads the key of a request. 0 or -EINVAL. */
int task_key_read(const struct request *rq, struct task_key *ret, struct errbuf *why);
/* The same without the node (lo and hi are 0). */
int task_key_read_round(const struct request *rq, struct task_key *ret, struct errbuf *why);
struct node task_key_node(const struct task_key *k);

/* The running job whose open round the key names; NULL when that round is over. */
struct job *task_key_round(struct service *s, const struct task_key *k);
/* May the worker speak for the key's node? It was leased to it (run_holds). */
bool task_key_held(const struct job *job, const struct task_key *k, uint32_t worker);
/* The same, and the samples of the key's node, if the round's tree has it; else NULL. */
struct job *task_key_job(struct service *s, const struct task_key *k, uint32_t *ret_count);

#endif
