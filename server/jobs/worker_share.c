/* Workers on this machine read theta where the run has it, and write their gradients where the
 * server reads them: nothing of either is copied through a socket. Each has room for one gradient,
 * of the job that it has loaded. */
#include <errno.h>
#include <inttypes.h>

#include "common/log.h"
#include "server/jobs/service.h"
#include "server/jobs/workers_internal.h"

void worker_share_end(struct worker *worker)
{
    if (worker->share.number)
        shared_done(&worker->share.grad);
    worker->share = (struct share){.number = 0};
}

/* Does the memory belong to the job's run as it is now? */
static bool is_of_run(const struct share *s, const struct job *job)
{
    return s->number && s->job == job->rec.job && s->incarnation == job->rec.incarnation;
}

bool worker_shares(const struct worker *worker, const struct job *job)
{
    return is_of_run(&worker->share, job) && worker->have.share == worker->share.number;
}

const float *workers_shared_gradient(const struct worker *worker, const struct job *job)
{
    return is_of_run(&worker->share, job) ? worker->share.grad.base : NULL;
}

static size_t bytes_of_all(const struct workers *w)
{
    size_t bytes = 0;

    for (const struct worker *worker = w->list; worker; worker = worker->next)
        bytes += worker->share.number ? worker->share.grad.bytes : 0;
    return bytes;
}

int workers_share(struct workers *w, struct worker *worker, const struct job *job,
                  struct workers_share *ret, struct errbuf *why)
{
    const struct shared *theta = job->run ? run_shared(job->run) : NULL;
    const size_t bytes = job->model.floats * sizeof(float);
    const size_t most = (size_t)w->service->memory_bytes / SHARED_MEMORY_PART;

    /* What is compared by its hash must not change behind it. */
    if (!theta || job->spec.verify > 0)
        return err_set(why, -EPERM, "the vectors of job %" PRId64 " travel in messages",
                       job->rec.job);
    worker_share_end(worker);
    if (bytes_of_all(w) + bytes > most)
        return err_set(why, -ERANGE,
                       "the gradients of workers on this machine may have %zu MiB in all",
                       most >> 20);
    struct share s = {
        .number = ++w->last_share, .job = job->rec.job, .incarnation = job->rec.incarnation};
    int rc = shared_make(bytes, true, &s.grad);
    if (rc < 0)
        return err_set(why, -ERANGE, "no memory for a gradient of %zu bytes: %s", bytes,
                       err_text(rc));
    worker->share = s;
    *ret = (struct workers_share){.number = s.number,
                                  .bytes = bytes,
                                  .place_bytes = run_place_bytes(job->run),
                                  .theta_fd = theta->fd,
                                  .grad_fd = s.grad.fd};
    log_debug("worker.share", "worker=%u job=%" PRId64, worker->number, job->rec.job);
    return 0;
}

void workers_shared(struct worker *worker)
{
    shared_close(&worker->share.grad);
}
