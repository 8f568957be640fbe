/* Workers that combine their sums: who can reach whom. */
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "server/jobs/service.h"
#include "server/jobs/workers_internal.h"

#define ALONE_COUNT 3  /* one that so often in a row could not reach another */
#define ALONE_MS 60000 /* is left alone for so long */

void workers_know_address(struct worker *worker, const char *address)
{
    snprintf(worker->address, sizeof(worker->address), "%s", address ? address : "");
    worker->alone_until_ms = 0;
}

/* The first result decides the class of a strict job; until then nobody's sum waits for others. Of
 * those that share memory with the server nothing travels. Over ipc those of one user reach each
 * other, over tcp all that have a key. */
uint32_t worker_group(const struct worker *worker, const struct job *job, int64_t now_ms)
{
    if (!worker->address[0] || now_ms < worker->alone_until_ms || worker_shares(worker, job) ||
        (!job_class_is_relaxed(job) && !job->rec.numerics_class[0]))
        return 0;
    return address_is_ipc(worker->address) ? 2 + worker->hand : 1;
}

bool workers_combines(const struct worker *worker, const struct job *job)
{
    return worker->token[0] && workers_has_task(worker, job) && run_combines(job->run);
}

/* Once may be the other's fault, who has gone. */
void workers_leave_alone(struct worker *worker)
{
    if (++worker->alone_count < ALONE_COUNT)
        return;
    log_info("worker.alone", "worker=%u", worker->number);
    worker->alone_count = 0;
    worker->alone_until_ms = clock_mono_ms() + ALONE_MS;
}

void workers_gave(struct workers *w, struct worker *worker, struct job *job, uint32_t shards)
{
    worker->alone_count = 0;
    workers_counted(w, worker, job, shards);
    metrics_count(&w->service->net->metrics, COUNT_COMBINED);
}

static const struct worker *of_number(const struct workers *w, uint32_t number)
{
    const struct worker *worker = w->list;

    while (worker && worker->number != number)
        worker = worker->next;
    return worker;
}

bool workers_add_peer(const struct workers *w, uint32_t number, cJSON *out)
{
    const struct worker *worker = of_number(w, number);

    if (!worker || !worker->token[0])
        return false;
    cJSON_AddStringToObject(out, "address", worker->address);
    cJSON_AddStringToObject(out, "token", worker->token);
    return true;
}

void worker_add_tree(struct workers *w, struct worker *worker, const struct job *job, cJSON *out)
{
    worker->token[0] = '\0';
    if (!run_combines(job->run) || worker_group(worker, job, clock_mono_ms()) == 0)
        return;
    text_uuid(worker->token);
    cJSON_AddStringToObject(out, "token", worker->token);
    const uint32_t source = run_source(job->run, worker->number);
    if (source && cJSON_HasObjectItem(out, "theta_bytes")) {
        cJSON *from = cJSON_AddObjectToObject(out, "source");
        if (!workers_add_peer(w, source, from))
            cJSON_DeleteItemFromObjectCaseSensitive(out, "source");
    }
}
