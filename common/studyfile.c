/* What a study file varies, as it is written; studyfile_expand.c makes the jobs of it. */
#include "common/studyfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/field.h"
#include "common/jobspec.h"
#include "common/jobspec_paths.h"
#include "common/studyfile_internal.h"
#include "common/text.h"

#define WHERE "study file"
#define SEED_MAX ((INT64_C(1) << 53) - 1)
#define SHOWN_BYTES 512

const char *const studyfile_keys[] = {"seeds",  "arms",    "control", "grid",
                                      "trials", "halving", NULL};

/* Keys that an arm may not have, or neither arm nor grid: all arms spend the same. */
static const struct {
    const char *path;
    bool in_grid; /* it is a column there */
    const char *instead;
} fixed[] = {
    {"name", false, "the jobs get their names from the study"},
    {"seed", false, "the seeds stand under \"seeds\""},
    {"epochs", false, "all arms of a study train for the same epochs"},
    {"dataset", true, "all arms train on the same data; put the datasets under \"grid\""},
    {"revisions", true, "all arms train on the same data; put them under \"grid\""},
    {"exclude", true, "all arms train on the same samples; put the lists under \"grid\""},
    {"train_domains", true, "all arms train on the same samples; put them under \"grid\""},
    {"test_domains", true, "all arms are tested on the same samples; put them under \"grid\""},
    {"validation.domains", true, "all arms train on the same samples; put them under \"grid\""},
    {"fold.of", true, "all arms train on the same samples; put them under \"grid\""},
    {"fold.leave", true, "all arms train on the same samples; put them under \"grid\""},
    {"validation.share", true, "all arms train on the same samples; put them under \"grid\""},
};

/* *ret_data: it is one of the columns. */
static int check_fixed(const char *where, const char *path, bool in_grid, bool *ret_data,
                       struct errbuf *why)
{
    *ret_data = false;
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        if (strcmp(fixed[i].path, path) != 0)
            continue;
        *ret_data = fixed[i].in_grid;
        if (!in_grid || !fixed[i].in_grid)
            return err_set(why, -EINVAL, "%s has the key %s; %s", where, path, fixed[i].instead);
    }
    return 0;
}

/* --- grid --- */

static const char *const range_names[] = {[RANGE_NONE] = "",
                                          [RANGE_UNIFORM] = "uniform",
                                          [RANGE_LOG] = "log_uniform",
                                          [RANGE_INT] = "int_uniform",
                                          NULL};

static int read_range(const char *where, const cJSON *item, struct axis *axis, struct errbuf *why)
{
    const cJSON *pair = item->child;
    int kind = pair ? text_index(pair->string, range_names) : -1;
    const cJSON *lo = pair ? pair->child : NULL, *hi = lo ? lo->next : NULL;

    if (kind <= 0 || pair->next)
        return err_set(why, -EINVAL,
                       "%s is an object, allowed is a list of values, or one of "
                       "{\"uniform\": [0, 1]}, {\"log_uniform\": [0.01, 1]} and "
                       "{\"int_uniform\": [1, 9]}",
                       where);
    if (!cJSON_IsArray(pair) || !cJSON_IsNumber(lo) || !cJSON_IsNumber(hi) || hi->next)
        return err_set(why, -EINVAL, "%s: %s takes two numbers, the lowest and the highest value",
                       where, range_names[kind]);
    axis->range = (enum range)kind;
    axis->lo = lo->valuedouble;
    axis->hi = hi->valuedouble;
    if (!(axis->lo < axis->hi))
        return err_set(why, -EINVAL, "%s: %s is [%.6g, %.6g], the first must be below the second",
                       where, range_names[kind], axis->lo, axis->hi);
    if (kind == RANGE_LOG && axis->lo <= 0)
        return err_set(why, -EINVAL, "%s: log_uniform begins at %.6g, it must begin above 0", where,
                       axis->lo);
    if (kind == RANGE_INT &&
        (axis->lo < -1e9 || axis->hi > 1e9 || axis->lo != (double)(int64_t)axis->lo ||
         axis->hi != (double)(int64_t)axis->hi))
        return err_set(why, -EINVAL,
                       "%s: int_uniform is [%.6g, %.6g], allowed are whole numbers up to 1e9",
                       where, axis->lo, axis->hi);
    return 0;
}

static int read_values(const char *where, const cJSON *item, struct axis *axis, struct errbuf *why)
{
    const cJSON *value;

    axis->values = item;
    axis->count = cJSON_GetArraySize(item);
    if (axis->count == 0)
        return err_set(why, -EINVAL, "%s is an empty list; it needs a value", where);
    if (jobspec_path(axis->path) != PATH_LIST)
        return 0;
    cJSON_ArrayForEach(value, item)
    {
        if (!cJSON_IsArray(value) && !cJSON_IsObject(value))
            return err_set(why, -EINVAL,
                           "%s: %s is a list by itself, so its values are lists: [[0.5, 0.75]] has "
                           "one value, [[0.5], [0.75]] has two",
                           where, axis->path);
    }
    return 0;
}

static int add_axis(struct reading *r, const cJSON *item, const char *path, struct errbuf *why)
{
    struct axis *axis = &r->axes[r->axis_count];
    char where[SHOWN_BYTES];

    snprintf(where, sizeof(where), "grid.%.80s", path);
    if (jobspec_path(path) == PATH_UNKNOWN)
        return jobspec_path_refuse("grid", path, why);
    if (jobspec_path(path) == PATH_SECTION)
        return err_set(why, -EINVAL, "%s has several keys; name one, such as \"sam.rho\"", where);
    if (r->axis_count == STUDY_AXES_MAX)
        return err_set(why, -ERANGE, "grid has more than %d keys, which is what is allowed",
                       STUDY_AXES_MAX);
    *axis = (struct axis){.path = path};
    int rc = check_fixed("grid", path, true, &axis->is_data, why);
    if (rc == 0 && cJSON_IsArray(item))
        rc = read_values(where, item, axis, why);
    else if (rc == 0 && cJSON_IsObject(item))
        rc = read_range(where, item, axis, why);
    else if (rc == 0)
        rc = err_set(why, -EINVAL, "%s is a single value; it needs a list, such as [0.05, 0.1]",
                     where);
    if (rc == 0 && axis->is_data && axis->range != RANGE_NONE)
        rc = err_set(why, -EINVAL, "%s is a range; it needs a list", where);
    r->axis_count++;
    return rc;
}

static int read_grid(struct reading *r, struct errbuf *why)
{
    const cJSON *grid = NULL, *item;
    bool ranges = false;
    int rc = field_obj(r->json, WHERE, "grid", false, &grid, why);

    for (item = grid ? grid->child : NULL; rc == 0 && item; item = item->next)
        rc = add_axis(r, item, item->string, why);
    if (rc == 0)
        rc = field_i64(r->json, WHERE, "trials", false, 1, STUDY_JOBS_MAX, &r->trials, why);
    for (int i = 0; i < r->axis_count; i++)
        ranges = ranges || r->axes[i].range != RANGE_NONE;
    if (rc == 0 && ranges && r->trials == 0)
        rc = err_set(why, -EINVAL,
                     "grid has a range, but \"trials\" is missing; it says how many points are "
                     "drawn");
    if (rc == 0 && !ranges && r->trials > 0)
        rc = err_set(why, -EINVAL, "trials is %lld, but grid has no range to draw from",
                     (long long)r->trials);
    return rc;
}

/* --- arms --- */

static int add_override(struct named_arm *arm, const char *where, const char *path,
                        const cJSON *value, struct errbuf *why)
{
    bool data;

    if (jobspec_path(path) == PATH_UNKNOWN)
        return jobspec_path_refuse(where, path, why);
    if (jobspec_path(path) == PATH_VALUE && cJSON_IsArray(value))
        return err_set(why, -EINVAL, "%s: %s is a list; values to try stand under \"grid\"", where,
                       path);
    for (int i = 0; i < arm->count; i++)
        if (strcmp(arm->overrides[i].path, path) == 0)
            return err_set(why, -EINVAL, "%s has %s twice", where, path);
    int rc = check_fixed(where, path, false, &data, why);
    if (rc < 0)
        return rc;
    arm->overrides = xrealloc(arm->overrides, (size_t)(arm->count + 1) * sizeof(*arm->overrides));
    struct override *o = &arm->overrides[arm->count++];
    snprintf(o->path, sizeof(o->path), "%s", path);
    o->value = value;
    return 0;
}

/* A section: its keys one by one. */
static int add_section(struct named_arm *arm, const char *where, const cJSON *section,
                       struct errbuf *why)
{
    char path[SHOWN_BYTES];
    int rc = 0;

    if (!cJSON_IsObject(section))
        return err_set(why, -EINVAL, "%s: %s must be an object", where, section->string);
    for (const cJSON *item = section->child; rc == 0 && item; item = item->next) {
        snprintf(path, sizeof(path), "%s.%.60s", section->string, item->string);
        rc = add_override(arm, where, path, item, why);
    }
    return rc;
}

static bool is_arm_name(const char *name)
{
    size_t bytes = strlen(name), step;
    uint32_t code;
    bool shown = true;

    if (bytes == 0 || bytes >= NAME_MAX_BYTES || name[0] == ' ' || name[bytes - 1] == ' ')
        return false;
    for (size_t at = 0; shown && at < bytes; at += step)
        step = text_next(name + at, bytes - at, &code, &shown);
    return shown;
}

static int add_arm(struct reading *r, const cJSON *json, struct errbuf *why)
{
    struct named_arm *arm = &r->arms[r->arm_count];
    char where[SHOWN_BYTES];
    int rc = 0;

    if (r->arm_count == STUDY_ARMS_MAX)
        return err_set(why, -ERANGE, "the study has more than %d arms, which is what is allowed",
                       STUDY_ARMS_MAX);
    if (!is_arm_name(json->string))
        return err_set(why, -EINVAL,
                       "arms has the name \"%.80s\", allowed are 1 to %d bytes that can be shown, "
                       "without a blank at an end",
                       json->string, NAME_MAX_BYTES - 1);
    snprintf(where, sizeof(where), "arms.%.80s", json->string);
    if (!cJSON_IsObject(json))
        return err_set(why, -EINVAL, "%s must be an object of the keys that it sets", where);
    *arm = (struct named_arm){.name = json->string};
    r->arm_count++;
    for (const cJSON *item = json->child; rc == 0 && item; item = item->next)
        rc = jobspec_path(item->string) == PATH_SECTION
                 ? add_section(arm, where, item, why)
                 : add_override(arm, where, item->string, item, why);
    return rc;
}

bool named_arm_sets(const struct named_arm *arm, const char *path)
{
    for (int i = 0; i < arm->count; i++)
        if (strcmp(arm->overrides[i].path, path) == 0)
            return true;
    return false;
}

/* A key of the grid that no arm leaves to it would be passed over in silence. */
static int check_varied(const struct reading *r, struct errbuf *why)
{
    for (int i = 0; i < r->axis_count; i++) {
        bool varied = r->axes[i].is_data;
        for (int a = 0; a < r->arm_count; a++)
            varied = varied || !named_arm_sets(&r->arms[a], r->axes[i].path);
        if (!varied)
            return err_set(why, -EINVAL,
                           "grid.%s has no effect: every arm sets %s itself; leave it out of the "
                           "grid or of an arm",
                           r->axes[i].path, r->axes[i].path);
    }
    return 0;
}

static int read_arms(struct reading *r, struct errbuf *why)
{
    const cJSON *arms = NULL;
    int rc = field_obj(r->json, WHERE, "arms", false, &arms, why);

    if (rc == 0 && arms && !arms->child)
        return err_set(why, -EINVAL, "arms is empty; it needs an arm");
    for (const cJSON *item = arms ? arms->child : NULL; rc == 0 && item; item = item->next)
        rc = add_arm(r, item, why);
    if (rc == 0 && !arms)
        r->arms[r->arm_count++] = (struct named_arm){.name = ""};
    if (rc == 0)
        rc = field_str(r->json, WHERE, "control", false, STUDY_ARM_BYTES, &r->control, why);
    return rc == 0 ? check_varied(r, why) : rc;
}

/* --- seeds and names --- */

static int refuse_seed(int at, const cJSON *item, struct errbuf *why)
{
    char *text = cJSON_PrintUnformatted(item);
    int rc =
        err_set(why, -EINVAL, "seeds[%d] is %.60s, allowed is a whole number from 0 to 2^53 - 1",
                at, text ? text : "?");

    cJSON_free(text);
    return rc;
}

static int add_seed(struct studyfile *f, const cJSON *item, struct errbuf *why)
{
    double v = cJSON_IsNumber(item) ? item->valuedouble : -1;

    if (!(v >= 0 && v <= (double)SEED_MAX) || v != (double)(int64_t)v)
        return refuse_seed(f->seed_count, item, why);
    for (int i = 0; i < f->seed_count; i++)
        if (f->seeds[i] == (uint64_t)v)
            return err_set(why, -EINVAL, "seeds has %.0f twice", v);
    f->seeds[f->seed_count++] = (uint64_t)v;
    return 0;
}

static int read_seeds(const cJSON *json, struct studyfile *f, uint64_t *ret_seed,
                      struct errbuf *why)
{
    const cJSON *list = NULL;
    int64_t seed = 1;
    int rc = field_i64(json, WHERE, "seed", false, 0, SEED_MAX, &seed, why);

    if (rc == 0)
        rc = field_arr(json, WHERE, "seeds", false, STUDY_SEEDS_MAX, &list, why);
    if (rc < 0)
        return rc;
    *ret_seed = (uint64_t)seed;
    if (!list)
        f->seeds[f->seed_count++] = (uint64_t)seed;
    if (list && !list->child)
        return err_set(why, -EINVAL, "seeds is an empty list; it needs a seed");
    for (const cJSON *item = list ? list->child : NULL; rc == 0 && item; item = item->next)
        rc = add_seed(f, item, why);
    return rc;
}

static int read_name(const cJSON *json, struct studyfile *f, struct errbuf *why)
{
    const char *name = NULL;
    int rc = field_str(json, WHERE, "name", true, NAME_MAX_BYTES, &name, why);

    if (rc < 0)
        return rc;
    if (!text_is_name(name))
        return err_set(
            why, -EINVAL,
            "name is \"%s\", allowed are 1 to %d letters, digits, '.', '_' and '-', with "
            "no '.' or '-' in front",
            name, NAME_MAX_BYTES - 1);
    snprintf(f->name, sizeof(f->name), "%s", name);
    return 0;
}

/* A list where the job file has one value. */
static int check_base(const cJSON *json, struct errbuf *why)
{
    char path[SHOWN_BYTES];

    for (const cJSON *item = json->child; item; item = item->next) {
        const char *near = text_nearest(item->string, studyfile_keys);
        if (text_index(item->string, studyfile_keys) >= 0)
            continue;
        if (jobspec_path(item->string) == PATH_UNKNOWN && near)
            return err_set(why, -EINVAL, WHERE " has no key \"%.60s\"; did you mean \"%s\"?",
                           item->string, near);
        if (jobspec_path(item->string) == PATH_VALUE && cJSON_IsArray(item))
            return err_set(why, -EINVAL, "%s is a list; values to try stand under \"grid\"",
                           item->string);
        if (jobspec_path(item->string) != PATH_SECTION)
            continue;
        for (const cJSON *key = item->child; key; key = key->next) {
            snprintf(path, sizeof(path), "%s.%.60s", item->string, key->string ? key->string : "");
            if (jobspec_path(path) == PATH_VALUE && cJSON_IsArray(key))
                return err_set(why, -EINVAL, "%s is a list; values to try stand under \"grid\"",
                               path);
        }
    }
    return 0;
}

int reading_parse(const cJSON *json, struct reading *ret, struct studyfile *f, struct errbuf *why)
{
    *ret = (struct reading){.json = json};
    int rc = read_name(json, f, why);
    if (rc == 0)
        rc = read_seeds(json, f, &ret->seed, why);
    if (rc == 0)
        rc = check_base(json, why);
    if (rc == 0)
        rc = read_grid(ret, why);
    if (rc == 0)
        rc = field_bool(json, WHERE, "halving", false, &f->halving, why);
    return rc == 0 ? read_arms(ret, why) : rc;
}

void reading_done(struct reading *r)
{
    for (int i = 0; i < r->arm_count; i++)
        free(r->arms[i].overrides);
}

bool studyfile_is(const cJSON *json)
{
    for (size_t i = 0; studyfile_keys[i]; i++)
        if (cJSON_GetObjectItemCaseSensitive(json, studyfile_keys[i]))
            return true;
    return false;
}

int studyfile_parse(const struct cJSON *json, struct studyfile *ret, struct errbuf *why)
{
    struct studyfile f = {.control = 0};
    struct reading *r;

    if (!cJSON_IsObject(json))
        return err_set(why, -EINVAL,
                       "a study file must be an object such as {\"name\": \"first\", \"dataset\": "
                       "\"glyphs\", \"model\": \"lenet\", \"seeds\": [1, 2, 3], \"arms\": "
                       "{\"sgd\": {\"sam.rho\": 0}, \"sam\": {}}, \"control\": \"sgd\"}");
    r = xcalloc(1, sizeof(*r));
    int rc = reading_parse(json, r, &f, why);
    if (rc == 0)
        rc = reading_expand(r, &f, why);
    reading_done(r);
    free(r);
    if (rc < 0)
        studyfile_done(&f);
    else
        *ret = f;
    return rc;
}

void studyfile_done(struct studyfile *f)
{
    for (int i = 0; i < f->job_count; i++) {
        cJSON_Delete(f->jobs[i].spec);
        free(f->jobs[i].described);
    }
    free(f->jobs);
    free(f->arms);
    free(f->data);
    *f = (struct studyfile){.control = 0};
}
