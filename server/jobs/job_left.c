#include "server/jobs/job_left.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/field.h"
#include "common/log.h"
#include "server/jobs/attached.h"
#include "server/jobs/jobs.h"
#include "server/jobs/service.h"

/* Copies: the job may be removed while the lane works. */
struct job_left {
    int64_t job, revision;
    char uuid[UUID_BYTES], *spec_json;
    const struct dataset *data; /* held */
    bool counted;
    uint32_t count[USES];
};

/* The number of the revision that its open epoch has, or its last one. */
static int64_t revision_of(const struct job *job)
{
    const struct revisions *r = &job->spec.revisions;
    const int64_t last = job->spec.epochs - 1;
    const int64_t epoch = job->epochs_done < last ? job->epochs_done : last;
    int64_t number = 0;

    for (int i = 0; i < r->count; i++)
        if (r->at[i].epoch <= epoch)
            number = r->at[i].number;
    return number;
}

const uint32_t *job_left(const struct job *job)
{
    const int64_t revision = revision_of(job);

    if (revision == 0 && job->spec.exclude.count == 0)
        return job->uses;
    return job->left_known && job->left_revision == revision ? job->left : NULL;
}

struct job_left *job_left_begin(struct service *s, const struct job *job)
{
    struct job_left *left;

    if (job->uses[USE_TRAIN] == job->data->samples || job_left(job))
        return NULL;
    left = xcalloc(1, sizeof(*left));
    left->job = job->rec.job;
    left->revision = revision_of(job);
    memcpy(left->uuid, job->rec.uuid, sizeof(left->uuid));
    left->spec_json = xstrdup(job->rec.spec_json);
    memcpy(left->count, job->uses, sizeof(left->count));
    left->data = job->data;
    datasets_hold(s->datasets, left->data);
    return left;
}

static int count(struct service *s, struct job_left *left, const struct jobspec *spec,
                 struct errbuf *why)
{
    const struct exclude *x = &spec->exclude;
    struct attached attached = {0};
    struct overlay overlay = {0};
    uint8_t *use = NULL;
    int rc = x->count > 0 && !x->ids
                 ? attached_load_excluded(s->dir, left->uuid, &x->from, &attached, why)
                 : 0;
    const uint32_t *ids = x->ids ? x->ids : attached.excluded;
    const uint32_t excluded = x->ids ? x->count : attached.excluded_count;

    if (rc == 0 && left->revision > 0)
        rc = query_overlay(s->query, left->job, left->revision, &overlay, why);
    if (rc == 0)
        rc = job_split(spec, left->data, &use, why);
    if (rc == 0) {
        static const enum use taken[] = {USE_TRAIN, USE_VALIDATION};
        for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
            left->count[taken[i]] =
                run_revision_left(left->data->samples, use, taken[i], ids, excluded, &overlay);
        left->counted = true;
    }
    free(use);
    overlay_done(&overlay);
    attached_done(&attached);
    return rc;
}

void job_left_count(struct service *s, struct job_left *left)
{
    struct jobspec *spec;
    cJSON *json = NULL;
    struct errbuf why;

    if (!left)
        return;
    spec = xcalloc(1, sizeof(*spec));
    int rc = field_parse(left->spec_json, strlen(left->spec_json), JSON_REPLY_BYTES_MAX, "job",
                         &json, &why);
    if (rc == 0)
        rc = jobspec_parse(json, spec, &why);
    cJSON_Delete(json);
    if (rc == 0)
        rc = count(s, left, spec, &why);
    if (rc < 0)
        log_warn("job.left", "job=%" PRId64 " error=\"%s\"", left->job, why.text);
    jobspec_done(spec);
    free(spec);
}

void job_left_done(struct service *s, struct job *job, struct job_left *left)
{
    if (!left)
        return;
    if (job && left->counted) {
        job->left_known = true;
        job->left_revision = left->revision;
        memcpy(job->left, left->count, sizeof(job->left));
    }
    datasets_release(s->datasets, left->data);
    free(left->spec_json);
    free(left);
}
