/* What a job file names that lies outside it: scores of another job or of a file that order the
 * samples, weights to start from, samples to leave out. The client reads the file, sends its
 * content to the server and writes the SHA-256 of the content beside the name; from then on the
 * name is for people only. The scores or weights of another job are copied when the job is
 * submitted, and named by their SHA-256 as well, so that the job stays the same whatever becomes of
 * the other. The mean and std that weights were trained with are noted beside their hash. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/field.h"
#include "common/jobspec_internal.h"
#include "common/text.h"

/* Measures of another job: those of a single epoch, which come first in enum measure. */
static const char *const teacher_names[] = {
    [MEASURE_ADM] = "adm",   [MEASURE_LOSS] = "loss",     [MEASURE_GRAD_NORM] = "grad_norm",
    [MEASURE_EL2N] = "el2n", [MEASURE_MARGIN] = "margin", NULL};

const char *const jobspec_attached_names[] = {[ATTACHED_ORDER] = "curriculum.measure",
                                              [ATTACHED_EXCLUDE] = "exclude",
                                              [ATTACHED_WEIGHTS] = "weights"};

struct given *jobspec_attached(struct jobspec *spec, enum attached_kind kind)
{
    switch (kind) {
    case ATTACHED_ORDER:
        return spec->curriculum.measure == MEASURE_GIVEN ? &spec->curriculum.given : NULL;
    case ATTACHED_EXCLUDE:
        return spec->exclude.from.kind ? &spec->exclude.from : NULL;
    default:
        return spec->weights.kind ? &spec->weights : NULL;
    }
}

/* Appends the other allowed forms to the sentence of a refusal. */
static int allowed_too(struct errbuf *why, int rc, const char *text)
{
    struct errbuf said = {""};

    if (why)
        said = *why;
    return err_set(why, rc, "%.400s%s", said.text, text);
}

static int read_file(const cJSON *obj, const char *where, struct given *g, struct errbuf *why)
{
    const char *file = NULL;
    int rc = field_str(obj, where, "file", true, sizeof(g->file), &file, why);

    if (rc == 0)
        snprintf(g->file, sizeof(g->file), "%s", file);
    return rc;
}

static int read_teacher(const cJSON *obj, const char *where, bool scores, struct given *g,
                        struct errbuf *why)
{
    int rc = field_i64(obj, where, "job", true, 1, INT32_MAX, &g->job, why);

    if (rc == 0 && scores)
        rc = field_i64(obj, where, "epoch", false, 0, EPOCHS_MAX - 1, &g->epoch, why);
    if (rc == 0 && scores)
        rc = field_enum(obj, where, "measure", false, teacher_names, &g->measure, why);
    return rc;
}

static int read_hash(const cJSON *obj, const char *where, char sha256[SHA256_HEX],
                     struct errbuf *why)
{
    uint8_t digest[SHA256_BYTES];
    int rc = 0;

    if (!cJSON_GetObjectItemCaseSensitive(obj, "sha256"))
        return 0;
    rc = field_sha256(obj, where, "sha256", digest, why);
    if (rc == 0)
        text_hex(digest, sizeof(digest), sha256);
    return rc;
}

/* An object that names a file or, if `keys` has it, a job. */
static int read_given(const cJSON *obj, const char *where, const char *const *keys,
                      struct given *ret, struct errbuf *why)
{
    struct given g = {.epoch = -1};
    bool file = cJSON_GetObjectItemCaseSensitive(obj, "file") != NULL;
    bool job = cJSON_GetObjectItemCaseSensitive(obj, "job") != NULL;
    bool jobs = text_index("job", keys) >= 0;
    int rc = field_known(obj, where, keys, why);

    if (rc == 0 && file == job)
        rc = err_set(why, -EINVAL, "%s %s%s", where,
                     file   ? "names a file and a job; it takes one of them"
                     : jobs ? "names neither a file nor a job"
                            : "names no file",
                     file || jobs ? "" : "; expected {\"file\": ...}");
    if (rc != 0)
        return rc;
    g.kind = file ? GIVEN_FILE : GIVEN_JOB;
    if (file && (cJSON_HasObjectItem(obj, "epoch") || cJSON_HasObjectItem(obj, "measure")))
        return err_set(why, -EINVAL, "%s names a file; epoch and measure are of a job", where);
    rc = file ? read_file(obj, where, &g, why)
              : read_teacher(obj, where, text_index("measure", keys) >= 0, &g, why);
    if (rc == 0)
        rc = read_hash(obj, where, g.sha256, why);
    if (rc == 0)
        *ret = g;
    return rc;
}

int given_read_measure(const cJSON *section, struct jobspec *spec, struct errbuf *why)
{
    static const char *const keys[] = {"job", "epoch", "measure", "file", "sha256", "count", NULL};
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(section, "measure");
    struct given *g = &spec->curriculum.given;
    int64_t count = 0;
    int rc;

    if (!cJSON_IsObject(item)) {
        rc = field_enum(section, "curriculum", "measure", false, measure_names,
                        &spec->curriculum.measure, why);
        bool slip = cJSON_IsString(item) && text_nearest(item->valuestring, measure_names);
        return rc == 0 || slip ? rc : allowed_too(why, rc, ", {\"file\": ...} or {\"job\": ...}");
    }
    spec->curriculum.measure = MEASURE_GIVEN;
    rc = read_given(item, "curriculum.measure", keys, g, why);
    if (rc == 0)
        rc = field_i64(item, "curriculum.measure", "count", false, 1, SAMPLES_MAX, &count, why);
    if (rc == 0 && count && g->kind != GIVEN_FILE)
        rc = err_set(why, -EINVAL, "curriculum.measure names a job; count is of a file");
    g->count = (uint32_t)count;
    return rc;
}

int given_read_weights(const cJSON *root, struct jobspec *spec, struct errbuf *why)
{
    static const char *const keys[] = {"job", "file", "sha256", "mean", "std", NULL};
    struct input_spec *said = &spec->weights_input;
    const cJSON *obj = NULL;
    int rc = field_obj(root, "job file", "weights", false, &obj, why);

    if (rc)
        return allowed_too(why, rc, ", as {\"file\": ...} or {\"job\": ...}");
    if (!obj)
        return 0;
    rc = read_given(obj, "weights", keys, &spec->weights, why);
    if (rc == 0)
        rc = channels_read(obj, "weights", "weights.mean", &said->mean, why);
    return rc ? rc : channels_read(obj, "weights", "weights.std", &said->std, why);
}

static int compare_ids(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static int read_ids(const cJSON *list, struct exclude *ret, struct errbuf *why)
{
    char value[TEXT_F64_BYTES];
    const cJSON *item;
    uint32_t n = 0;

    cJSON_ArrayForEach(item, list)
    {
        double v = cJSON_IsNumber(item) ? item->valuedouble : -1;
        if (v < 0 || v >= SAMPLES_MAX || v != (uint32_t)v)
            return err_set(why, -EINVAL,
                           "exclude[%u] is %s, allowed is the number of a sample, 0 and up", n,
                           cJSON_IsNumber(item) ? text_of_f64(v, value) : "no number");
        ret->ids[n++] = (uint32_t)v;
    }
    qsort(ret->ids, n, sizeof(*ret->ids), compare_ids);
    for (uint32_t i = 1; i < n; i++)
        if (ret->ids[i] == ret->ids[i - 1])
            return err_set(why, -EINVAL, "exclude names sample %u twice", ret->ids[i]);
    ret->count = n;
    return 0;
}

int given_read_exclude(const cJSON *root, struct jobspec *spec, struct errbuf *why)
{
    static const char *const keys[] = {"file", "sha256", "count", "held", NULL};
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, "exclude"), *list = NULL;
    struct exclude *x = &spec->exclude;
    int64_t count = 0, held = 0;
    int rc;

    if (cJSON_IsObject(item)) {
        rc = read_given(item, "exclude", keys, &x->from, why);
        if (rc == 0)
            rc = field_i64(item, "exclude", "count", false, 0, SAMPLES_MAX, &count, why);
        if (rc == 0)
            rc = field_i64(item, "exclude", "held", false, 0, count, &held, why);
        x->count = (uint32_t)count;
        x->held = (uint32_t)held;
        return rc;
    }
    rc = field_arr(root, "job file", "exclude", false, SAMPLES_MAX, &list, why);
    if (rc && !cJSON_IsArray(item))
        return allowed_too(why, rc, " or {\"file\": ...}");
    if (rc || !list)
        return rc;
    x->ids = alloc_bytes((size_t)cJSON_GetArraySize(list) + 1, sizeof(*x->ids));
    return x->ids ? read_ids(list, x, why) : err_set(why, -ENOMEM, "out of memory");
}

static cJSON *given_json(const struct given *g, bool scores)
{
    cJSON *obj = cJSON_CreateObject();

    if (g->kind == GIVEN_FILE)
        cJSON_AddStringToObject(obj, "file", g->file);
    else
        cJSON_AddNumberToObject(obj, "job", (double)g->job);
    if (g->kind == GIVEN_JOB && scores && g->epoch >= 0)
        cJSON_AddNumberToObject(obj, "epoch", (double)g->epoch);
    if (g->kind == GIVEN_JOB && scores)
        cJSON_AddStringToObject(obj, "measure", teacher_names[g->measure]);
    if (g->sha256[0])
        cJSON_AddStringToObject(obj, "sha256", g->sha256);
    if (g->count)
        cJSON_AddNumberToObject(obj, "count", g->count);
    return obj;
}

cJSON *given_measure_json(const struct jobspec *spec)
{
    const struct curriculum_spec *c = &spec->curriculum;

    return c->measure == MEASURE_GIVEN ? given_json(&c->given, true)
                                       : cJSON_CreateString(measure_names[c->measure]);
}

cJSON *given_weights_json(const struct jobspec *spec)
{
    const struct input_spec *said = &spec->weights_input;
    cJSON *obj = given_json(&spec->weights, false);

    if (said->mean.count > 0)
        cJSON_AddItemToObject(obj, "mean", channels_json(&said->mean));
    if (said->std.count > 0)
        cJSON_AddItemToObject(obj, "std", channels_json(&said->std));
    return obj;
}

cJSON *given_exclude_json(const struct jobspec *spec)
{
    const struct exclude *x = &spec->exclude;

    if (x->from.kind == GIVEN_FILE) {
        cJSON *obj = given_json(&x->from, false);
        if (x->count)
            cJSON_AddNumberToObject(obj, "count", x->count);
        if (x->held)
            cJSON_AddNumberToObject(obj, "held", x->held);
        return obj;
    }
    cJSON *list = cJSON_CreateArray();
    for (uint32_t i = 0; i < x->count; i++)
        cJSON_AddItemToArray(list, cJSON_CreateNumber(x->ids[i]));
    return list;
}

bool given_used(const struct jobspec *spec, enum row_type type)
{
    return type == ROW_WEIGHTS     ? spec->weights.kind != GIVEN_NOTHING
           : type == ROW_EXCLUDE   ? spec->exclude.count > 0 || spec->exclude.from.kind
           : type == ROW_REVISIONS ? spec->revisions.count > 0
                                   : true;
}
