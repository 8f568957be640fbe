/* What the files of jobs take on the disk: their checkpoints, and what came with them. */
#include <string.h>
#include <sys/stat.h>

#include "server/jobs/jobs_internal.h"
#include "server/jobs/service.h"
#include "server/store/state_dir.h"

int64_t job_checkpoints_bytes(struct service *s, int64_t job)
{
    struct checkpoint_record list[CHECKPOINTS_READ];
    char path[STATE_PATH_BYTES];
    int64_t bytes = 0;
    struct stat st;
    int count = 0;

    if (store_checkpoints_load(s->store, job, list, CHECKPOINTS_READ, &count, NULL) < 0)
        return -1;
    for (int i = 0; i < count; i++) {
        state_dir_checkpoint(path, s->dir, job, list[i].file);
        bytes += stat(path, &st) == 0 ? st.st_size : 0;
    }
    return bytes;
}

void job_note_checkpoints(struct job *job, int64_t bytes)
{
    if (bytes >= 0)
        job->checkpoint_bytes = bytes;
}

int64_t job_disk_need(const struct job *job)
{
    if (jobspec_external(&job->spec)) /* its program keeps them */
        return 0;
    const struct checkpoint_shape shape = job_checkpoint_shape(job);
    return CHECKPOINTS_KEPT * (int64_t)checkpoint_memory(&shape);
}

int64_t jobs_bytes_of(const struct jobs *jobs, const char *key)
{
    int64_t bytes = 0;

    for (const struct job *job = jobs->list; job; job = job->next)
        if (!key || strcmp(job->rec.key_name, key) == 0)
            bytes += job->checkpoint_bytes + job->attached_bytes;
    return bytes;
}

void jobs_bytes_each(const struct jobs *jobs,
                     void (*each)(void *arg, const char *key, int64_t bytes), void *arg)
{
    for (const struct job *job = jobs->list; job; job = job->next)
        each(arg, job->rec.key_name, job->checkpoint_bytes + job->attached_bytes);
}
