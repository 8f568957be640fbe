/* Jobs that stand still because of tasks that workers have and do not bring: what people are told
 * of them. Whether such a task goes to somebody else is decided in core/round.c. */
#include <inttypes.h>
#include <stdio.h>

#include "common/log.h"
#include "server/jobs/service.h"
#include "server/jobs/workers_internal.h"

#define STILL_MS 15000 /* no result for so long, at least, is worth a word */
#define LOGGED_MAX 50  /* events of one job: a slow worker must not fill the log */

bool workers_hold_up(struct workers *w, const struct job *job, int64_t now_ms, char *out,
                     size_t bytes)
{
    struct round_held held;

    if (!job->run || now_ms - job->moved_ms < STILL_MS || !run_held(job->run, &held))
        return false;
    int64_t still_ms = now_ms - (held.since_ms > job->moved_ms ? held.since_ms : job->moved_ms);
    if (still_ms < STILL_MS ||
        still_ms < pace_patience_ms(&job->pace, run_phase(job->run), node_size(held.node), 1))
        return false;
    const char *key = held.hand < w->hand_count && w->hands[held.hand][0] ? "key " : "";
    const char *name = workers_hand_name(w, held.hand);
    if (held.of_hand == held.leases)
        snprintf(out, bytes, "for the results of %u task%s held by %s%s", held.leases,
                 held.leases == 1 ? "" : "s", key, name);
    else
        snprintf(out, bytes, "for the results of %u tasks, %u of them held by %s%s", held.leases,
                 held.of_hand, key, name);
    return true;
}

void workers_tell_held(struct workers *w, int64_t now_ms)
{
    char text[NAME_MAX_BYTES + 80];
    struct job *job;

    for (size_t i = 0; (job = jobs_running(w->service->jobs, i)) != NULL; i++) {
        if (job->held_said || !workers_hold_up(w, job, now_ms, text, sizeof(text)))
            continue;
        job->held_said = true;
        log_warn("job.waits", "job=%" PRId64 " step=%" PRIu64 " text=\"%s\"", job->rec.job,
                 run_step(job->run), text);
        if (job->held_events++ < LOGGED_MAX)
            jobs_event(w->service->jobs, job, "waiting", text);
    }
}
