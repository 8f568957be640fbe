/* What the weights of a job say about themselves goes into its spec when it is submitted. The mean
 * and std of their training scale its pixels from then on, in every incarnation and on every
 * worker, unless the job file overrules them. If that differs from the dataset's scaling, or the
 * class names differ, the job's log says so. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/scaling.h"
#include "server/jobs/jobs_internal.h"

/* Do weights.mean and weights.std in the job file agree with the weights? */
static bool agrees(const struct channels *written, const float *said, uint32_t channels)
{
    bool same = written->count == 0 || (uint32_t)written->count == channels;

    for (int i = 0; same && i < written->count; i++)
        same = (float)written->at[i] == said[i];
    return same;
}

static int check_written(const struct jobspec *spec, const struct scaling *said, struct errbuf *why)
{
    const struct input_spec *written = &spec->weights_input;
    bool mean = agrees(&written->mean, said->mean, said->channels);
    char text[SCALING_TEXT_BYTES];

    if (mean && agrees(&written->std, said->std, said->channels))
        return 0;
    return err_set(why, -EINVAL,
                   "weights.%s is not what the weights say, %s; input.mean and input.std overrule "
                   "them",
                   mean ? "std" : "mean",
                   said->channels ? scaling_text(said, text) : "which is nothing");
}

/* How the pixels are scaled, if that differs from the dataset's own scaling. */
static char *scaling_note(const struct job *job, const struct scaling *said)
{
    const struct scaling own = scaling_of_dataset(job->data), used = scaling_of_model(&job->model);
    const struct input_spec *input = &job->spec.input;
    char by[SCALING_TEXT_BYTES], of_data[SCALING_TEXT_BYTES], of_weights[SCALING_TEXT_BYTES];
    const bool weights = job->spec.weights.kind != GIVEN_NOTHING;
    const bool written = input->mean.count > 0 || input->std.count > 0;

    scaling_text(&used, by);
    scaling_text(&own, of_data);
    if (weights && said->channels == 0 && !(input->mean.count > 0 && input->std.count > 0))
        return xasprintf("the weights do not say which mean and std they were trained with: pixels "
                         "are scaled by %s%s",
                         by, written ? "" : " of the dataset");
    if (written && weights && said->channels > 0 && !scaling_same(&used, said))
        return xasprintf("pixels are scaled by %s, as the job file says; the weights were trained "
                         "with %s, the dataset has %s",
                         by, scaling_text(said, of_weights), of_data);
    if (scaling_same(&used, &own))
        return NULL;
    return xasprintf("pixels are scaled by %s, %s; the dataset has %s", by,
                     written ? "as the job file says" : "as the weights were trained", of_data);
}

static char *names_note(const struct job *job, const char *said)
{
    cJSON *theirs = cJSON_Parse(said), *ours = cJSON_Parse(job->data->class_names_json);
    const cJSON *a = theirs ? theirs->child : NULL, *b = ours ? ours->child : NULL;
    const cJSON *first_a = NULL, *first_b = NULL;
    uint32_t differ = 0, at = 0, first = 0;
    char *text = NULL;

    for (; a && b; a = a->next, b = b->next, at++) {
        if (!cJSON_IsString(a) || !cJSON_IsString(b) || strcmp(a->valuestring, b->valuestring) == 0)
            continue;
        if (differ++ > 0)
            continue;
        first = at;
        first_a = a;
        first_b = b;
    }
    if (differ > 0)
        text = xasprintf("%u of %u classes %s another name in the weights than in the dataset: "
                         "class %u is \"%s\" there and \"%s\" here",
                         differ, job->data->classes, differ == 1 ? "has" : "have", first,
                         first_a->valuestring, first_b->valuestring);
    cJSON_Delete(theirs);
    cJSON_Delete(ours);
    return text;
}

/* Does this layer make a difference only in training? */
static bool trains_only(const cJSON *layer)
{
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(layer, "type");

    return cJSON_IsString(type) && strcmp(type->valuestring, layer_kind_names[LAYER_DROPOUT]) == 0;
}

static const cJSON *next_layer(const cJSON *at)
{
    while (at && trains_only(at))
        at = at->next;
    return at;
}

/* A copy of a layer without its name, which shows in the names of its parameters. */
static cJSON *layer_deed(const cJSON *layer)
{
    cJSON *copy = cJSON_Duplicate(layer, true);

    cJSON_DeleteItemFromObjectCaseSensitive(copy, "name");
    return copy;
}

/* NULL for a missing layer. */
static char *differing_text(const cJSON *there, const cJSON *here, int at)
{
    cJSON *a = layer_deed(there), *b = layer_deed(here);
    char *text_a = a ? cJSON_PrintUnformatted(a) : NULL;
    char *text_b = b ? cJSON_PrintUnformatted(b) : NULL;
    char *text = NULL;

    if (!a || !b || !cJSON_Compare(a, b, true))
        text = xasprintf("the weights were trained in other layers: number %d is %.200s there and "
                         "%.200s here",
                         at, text_a ? text_a : "none", text_b ? text_b : "none");
    free(text_a);
    free(text_b);
    cJSON_Delete(a);
    cJSON_Delete(b);
    return text;
}

/* The parameters fit, but they may be used differently: another pooling, another stride, a missing
 * activation. */
static char *layers_note(const struct job *job, const char *said)
{
    char *own = model_layers_json(&job->model), *note = NULL;
    cJSON *theirs = cJSON_Parse(said), *ours = own ? cJSON_Parse(own) : NULL;
    const cJSON *a = theirs ? theirs->child : NULL, *b = ours ? ours->child : NULL;

    for (int at = 0; ours && theirs && !note; at++) {
        a = next_layer(a);
        b = next_layer(b);
        if (!a && !b)
            break;
        note = differing_text(a, b, at);
        a = a ? a->next : NULL;
        b = b ? b->next : NULL;
    }
    cJSON_Delete(theirs);
    cJSON_Delete(ours);
    free(own);
    return note;
}

/* Of which weights the last figures are. */
static char *average_note(const struct jobspec *spec)
{
    const long long epochs = (long long)spec->epochs;

    if (!run_averages(spec))
        return NULL;
    /* Counted from the end: here epochs are counted from 0, there from 1. */
    return xasprintf("the scores and test figures of the last epoch%s are those of the mean of the "
                     "weights after each of the last %lld of %lld epochs",
                     spec->keep == KEEP_LAST ? ", and the model," : "",
                     epochs - (long long)run_average_first(spec), epochs);
}

void job_end_text(const struct job *job, char text[JOB_END_BYTES])
{
    const long long patience = job->spec.patience;

    if (job->run && run_stopped(job->run))
        snprintf(text, JOB_END_BYTES,
                 "done, before its last epoch: no better validation accuracy for %lld epoch%s",
                 patience, patience == 1 ? "" : "s");
    else
        snprintf(text, JOB_END_BYTES, "done");
}

/* Nobody can tell later how good such a model is. */
static char *held_note(const struct job *job)
{
    if (job->spec.epochs == 0 || job->uses[USE_VALIDATION] > 0 || job->uses[USE_TEST] > 0 ||
        job->data->test_samples > 0)
        return NULL;
    return xasprintf("nothing is held out: dataset %s has no test images and nothing validates, so "
                     "no figure says how good the model is on pictures that it has not seen; "
                     "\"validation\": {\"share\": 0.1} keeps a tenth for that",
                     job->spec.dataset);
}

int job_said_settle(struct job *job, const struct weights_said *said, struct job_notes *ret,
                    struct errbuf *why)
{
    struct scaling scaling;
    int rc = check_written(&job->spec, &said->scaling, why);

    if (rc == 0 && said->scaling.channels > 0)
        job->spec.weights_input = scaling_spec(&said->scaling);
    if (rc == 0)
        rc = scaling_of_job(&job->spec, job->data, &scaling, why);
    if (rc < 0)
        return rc;
    memcpy(job->model.mean, scaling.mean, sizeof(scaling.mean));
    memcpy(job->model.std, scaling.std, sizeof(scaling.std));
    char *note = scaling_note(job, &said->scaling);
    if (note)
        ret->text[ret->count++] = note;
    note = held_note(job);
    if (note)
        ret->text[ret->count++] = note;
    note = average_note(&job->spec);
    if (note)
        ret->text[ret->count++] = note;
    note = said->class_names ? names_note(job, said->class_names) : NULL;
    if (note)
        ret->text[ret->count++] = note;
    note = said->layers ? layers_note(job, said->layers) : NULL;
    if (note)
        ret->text[ret->count++] = note;
    return 0;
}

void job_notes_done(struct job_notes *notes)
{
    while (notes->count > 0)
        free(notes->text[--notes->count]);
}
