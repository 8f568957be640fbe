/* From what is varied to jobs: every arm at every point of the grid, on every column, with every
 * seed. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/field.h"
#include "common/hash.h"
#include "common/jobspec.h"
#include "common/jobspec_paths.h"
#include "common/rng.h"
#include "common/studyfile_internal.h"
#include "common/text.h"

#define EPOCHS_MIN 4 /* of halving */

/* An arm at a point of the grid. */
struct point {
    const struct named_arm *arm;
    int at[STUDY_AXES_MAX]; /* of a list that varies: the value's index; else -1 */
    int trial;              /* -1: no range varies */
};

struct expansion {
    const struct reading *r;
    struct studyfile *f;
    struct point *points; /* [arm_count] */
    int (*columns)[STUDY_AXES_MAX];
};

/* --- values --- */

static uint32_t hash_of_path(const char *path)
{
    uint8_t hash[SHA256_BYTES];

    sha256_of(path, strlen(path), hash);
    return (uint32_t)hash[0] | (uint32_t)hash[1] << 8 | (uint32_t)hash[2] << 16 |
           (uint32_t)hash[3] << 24;
}

/* The value of a range in a trial, to four significant digits, within the range. */
static double draw(const struct axis *axis, uint64_t seed, int trial)
{
    struct rng rng = rng_at(seed, RNG_STUDY, hash_of_path(axis->path), (uint32_t)trial);
    char text[TEXT_F64_BYTES];
    double v;

    if (axis->range == RANGE_INT)
        return axis->lo + (double)rng_below(&rng, (uint64_t)(axis->hi - axis->lo) + 1);
    v = axis->range == RANGE_LOG
            ? exp(log(axis->lo) + rng_unit(&rng) * (log(axis->hi) - log(axis->lo)))
            : axis->lo + rng_unit(&rng) * (axis->hi - axis->lo);
    snprintf(text, sizeof(text), "%.4g", v);
    text_f64(text, -INFINITY, INFINITY, &v);
    return v < axis->lo ? axis->lo : v > axis->hi ? axis->hi : v;
}

/* The value of an axis at a point; owned. NULL: it does not vary there. */
static cJSON *value_at(const struct reading *r, const struct point *p, int axis)
{
    const struct axis *a = &r->axes[axis];

    if (a->range != RANGE_NONE && p->at[axis] >= 0)
        return cJSON_CreateNumber(draw(a, r->seed, p->trial));
    return p->at[axis] < 0 ? NULL : cJSON_Duplicate(cJSON_GetArrayItem(a->values, p->at[axis]), 1);
}

/* As it stands in a name; owned. */
static char *value_text(const cJSON *value)
{
    char number[TEXT_F64_BYTES];

    if (cJSON_IsString(value))
        return xstrdup(value->valuestring);
    if (cJSON_IsNumber(value))
        return xstrdup(text_of_f64(value->valuedouble, number));
    if (!cJSON_IsArray(value) || !cJSON_IsString(value->child))
        return cJSON_PrintUnformatted(value);
    char *joined = xstrdup(value->child->valuestring);
    for (const cJSON *item = value->child->next; item; item = item->next) {
        char *longer = xasprintf("%s+%s", joined, cJSON_IsString(item) ? item->valuestring : "");
        free(joined);
        joined = longer;
    }
    return joined;
}

/* --- names --- */

/* The last part of the path, unless another axis has the same. */
static const char *short_key(const struct reading *r, int axis)
{
    const char *path = r->axes[axis].path, *dot = strchr(path, '.');

    for (int i = 0; dot && i < r->axis_count; i++) {
        const char *other = strchr(r->axes[i].path, '.');
        if (i != axis && strcmp(other ? other + 1 : r->axes[i].path, dot + 1) == 0)
            return path;
    }
    return dot ? dot + 1 : path;
}

/* Adds " key=value" (bare: the value alone) to a name. */
static int add_to_name(study_text name, const char *key, const cJSON *value, struct errbuf *why)
{
    char *text = value_text(value);
    size_t used = strlen(name), left = sizeof(study_text) - used;
    int n = snprintf(name + used, left, "%s%s%s%s", used ? " " : "", key, *key ? "=" : "", text);
    int rc = 0;

    if (n >= (int)left)
        rc = err_set(why, -EINVAL,
                     "the name of an arm would have more than %d bytes (%s=%.60s); list it under "
                     "\"arms\", where it gets a short name",
                     STUDY_ARM_BYTES - 1, key, text);
    free(text);
    text_make_printable(name);
    return rc;
}

static int name_point(const struct reading *r, const struct point *p, study_text ret,
                      struct errbuf *why)
{
    int rc = 0;

    snprintf(ret, sizeof(study_text), "%s", p->arm->name);
    for (int i = 0; rc == 0 && i < r->axis_count; i++) {
        cJSON *value = r->axes[i].is_data ? NULL : value_at(r, p, i);
        if (value)
            rc = add_to_name(ret, short_key(r, i), value, why);
        cJSON_Delete(value);
    }
    if (rc == 0 && !ret[0])
        snprintf(ret, sizeof(study_text), "%s", "job");
    return rc;
}

/* "pacs", or "pacs test_domains=photo". */
static int name_column(const struct expansion *x, int column, study_text ret, struct errbuf *why)
{
    const struct reading *r = x->r;
    const cJSON *base = cJSON_GetObjectItemCaseSensitive(r->json, "dataset");
    int rc = 0;

    ret[0] = 0;
    for (int i = 0; i < r->axis_count; i++)
        if (strcmp(r->axes[i].path, "dataset") == 0)
            base = cJSON_GetArrayItem(r->axes[i].values, x->columns[column][i]);
    if (!cJSON_IsString(base))
        return err_set(why, -EINVAL,
                       "dataset is no name; give one dataset, or a list under \"grid\"");
    snprintf(ret, sizeof(study_text), "%s", base->valuestring);
    for (int i = 0; rc == 0 && i < r->axis_count; i++)
        if (r->axes[i].is_data && strcmp(r->axes[i].path, "dataset") != 0)
            rc = add_to_name(ret, short_key(r, i),
                             cJSON_GetArrayItem(r->axes[i].values, x->columns[column][i]), why);
    for (int i = 0; rc == 0 && i < column; i++)
        if (strcmp(x->f->data[i], ret) == 0)
            rc = err_set(why, -EINVAL, "grid has \"%s\" twice", ret);
    return rc;
}

/* --- counting --- */

/* How many points there are over the axes of one kind that vary for the arm (NULL: columns); at
 * most STUDY_JOBS_MAX + 1. */
static int64_t count_points(const struct reading *r, const struct named_arm *arm)
{
    int64_t count = 1;
    bool ranges = false;

    for (int i = 0; i < r->axis_count && count <= STUDY_JOBS_MAX; i++) {
        const struct axis *a = &r->axes[i];
        if (a->is_data == (arm != NULL) || (arm && named_arm_sets(arm, a->path)))
            continue;
        ranges = ranges || a->range != RANGE_NONE;
        count *= a->range == RANGE_NONE ? a->count : 1;
    }
    count *= ranges ? r->trials : 1;
    return count > STUDY_JOBS_MAX ? STUDY_JOBS_MAX + 1 : count;
}

static int count_all(const struct reading *r, struct studyfile *f, struct errbuf *why)
{
    int64_t arms = 0, data = count_points(r, NULL);

    for (int i = 0; i < r->arm_count; i++)
        arms += count_points(r, &r->arms[i]);
    int64_t jobs = arms * data * f->seed_count;
    if (arms > STUDY_JOBS_MAX || data > STUDY_JOBS_MAX)
        return err_set(why, -ERANGE,
                       "the grid has more than %d points; a study has at most %d jobs",
                       STUDY_JOBS_MAX, STUDY_JOBS_MAX);
    if (jobs > STUDY_JOBS_MAX)
        return err_set(why, -ERANGE,
                       "%lld arm%s x %lld dataset%s x %d seed%s are %lld jobs; a study has at most "
                       "%d",
                       (long long)arms, arms == 1 ? "" : "s", (long long)data, data == 1 ? "" : "s",
                       f->seed_count, f->seed_count == 1 ? "" : "s", (long long)jobs,
                       STUDY_JOBS_MAX);
    f->arm_count = (int)arms;
    f->data_count = (int)data;
    f->job_count = 0;
    return 0;
}

/* The k-th point: the last list varies fastest, then trials. */
static struct point point_at(const struct reading *r, const struct named_arm *arm, int64_t k)
{
    struct point p = {.arm = arm, .trial = -1};
    bool ranges = false;

    for (int i = 0; i < STUDY_AXES_MAX; i++)
        p.at[i] = -1;
    for (int i = 0; i < r->axis_count; i++)
        ranges =
            ranges || (r->axes[i].range != RANGE_NONE && !named_arm_sets(arm, r->axes[i].path));
    if (ranges) {
        p.trial = (int)(k % r->trials);
        k /= r->trials;
    }
    for (int i = r->axis_count; i-- > 0;) {
        const struct axis *a = &r->axes[i];
        if (a->is_data || named_arm_sets(arm, a->path))
            continue;
        p.at[i] = a->range == RANGE_NONE ? (int)(k % a->count) : 0;
        k /= a->range == RANGE_NONE ? a->count : 1;
    }
    return p;
}

/* Two points with one name. */
static int refuse_twins(const struct expansion *x, int a, int b, struct errbuf *why)
{
    const struct point *p = &x->points[a], *q = &x->points[b];

    if (p->arm == q->arm && p->trial >= 0 && p->trial != q->trial)
        return err_set(why, -EINVAL,
                       "trials %d and %d both draw \"%s\"; give fewer trials or wider ranges",
                       p->trial + 1, q->trial + 1, x->f->arms[a]);
    return err_set(why, -EINVAL, "two arms are called \"%s\"", x->f->arms[a]);
}

static int make_arms(struct expansion *x, struct errbuf *why)
{
    struct studyfile *f = x->f;
    int rc = 0, n = 0;

    f->arms = xcalloc((size_t)f->arm_count, sizeof(*f->arms));
    x->points = xcalloc((size_t)f->arm_count, sizeof(*x->points));
    for (int i = 0; i < x->r->arm_count; i++) {
        int64_t points = count_points(x->r, &x->r->arms[i]);
        for (int64_t k = 0; rc == 0 && k < points; k++, n++) {
            x->points[n] = point_at(x->r, &x->r->arms[i], k);
            rc = name_point(x->r, &x->points[n], f->arms[n], why);
            for (int j = 0; rc == 0 && j < n; j++)
                if (strcmp(f->arms[j], f->arms[n]) == 0)
                    rc = refuse_twins(x, j, n, why);
        }
    }
    return rc;
}

static int make_columns(struct expansion *x, struct errbuf *why)
{
    struct studyfile *f = x->f;
    int rc = 0;

    f->data = xcalloc((size_t)f->data_count, sizeof(*f->data));
    x->columns = xcalloc((size_t)f->data_count, sizeof(*x->columns));
    for (int c = 0; rc == 0 && c < f->data_count; c++) {
        int k = c;
        for (int i = x->r->axis_count; i-- > 0;)
            if (x->r->axes[i].is_data) {
                x->columns[c][i] = k % x->r->axes[i].count;
                k /= x->r->axes[i].count;
            }
        rc = name_column(x, c, f->data[c], why);
    }
    return rc;
}

static int find_control(const struct reading *r, struct studyfile *f, struct errbuf *why)
{
    const char **names = xcalloc((size_t)f->arm_count + 1, sizeof(*names));
    char list[256];
    int rc = 0;

    for (int i = 0; i < f->arm_count; i++)
        names[i] = f->arms[i];
    f->control_given = r->control != NULL;
    f->control = r->control ? text_index(r->control, names) : 0;
    const char *near = r->control ? text_nearest(r->control, names) : NULL;
    if (!r->control && f->arm_count > 1)
        rc = err_set(why, -EINVAL,
                     "control is missing; it names the arm with which the others are compared: %s",
                     text_list(names, list, sizeof(list)));
    else if (f->control < 0)
        rc = err_set(why, -EINVAL, "control is \"%.80s\", which is no arm; %s%s%s", r->control,
                     near ? "did you mean \"" : "the arms are ",
                     near ? near : text_list(names, list, sizeof(list)), near ? "\"?" : "");
    free(names);
    return rc;
}

/* --- jobs --- */

/* The letters that a name may have in the place of others. */
static void only_name_letters(char *text)
{
    for (char *c = text; *c; c++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", *c))
            *c = '-';
}

/* How many arms before this one have the same letters ("a+b" and "a b"). */
static int alike_before(const struct studyfile *f, int arm)
{
    study_text mine, other;
    int count = 0;

    memcpy(mine, f->arms[arm], sizeof(mine));
    only_name_letters(mine);
    for (int i = 0; i < arm; i++) {
        memcpy(other, f->arms[i], sizeof(other));
        only_name_letters(other);
        count += strcmp(mine, other) == 0;
    }
    return count;
}

/* STUDY.ARM.SEED in the letters that a name may have, cut where it is too long; STUDY.ARM-2.SEED
 * for the second arm of the same letters. */
static cJSON *job_name(const struct studyfile *f, int arm, uint64_t seed)
{
    const int alike = alike_before(f, arm);
    char text[NAME_MAX_BYTES], tail[40];
    char *head = xasprintf("%s.%s", f->name, f->arms[arm]);

    only_name_letters(head);
    if (alike > 0)
        snprintf(tail, sizeof(tail), "-%d.%llu", alike + 1, (unsigned long long)seed);
    else
        snprintf(tail, sizeof(tail), ".%llu", (unsigned long long)seed);
    snprintf(text, sizeof(text), "%.*s%s", (int)(sizeof(text) - 1 - strlen(tail)), head, tail);
    free(head);
    return cJSON_CreateString(text);
}

static cJSON *make_spec(const struct expansion *x, int arm, int column, uint64_t seed)
{
    cJSON *json = cJSON_Duplicate(x->r->json, true);
    const struct named_arm *named = x->points[arm].arm;

    for (int i = 0; studyfile_keys[i]; i++)
        cJSON_DeleteItemFromObjectCaseSensitive(json, studyfile_keys[i]);
    for (int i = 0; i < x->r->axis_count; i++) {
        const struct axis *a = &x->r->axes[i];
        cJSON *value =
            a->is_data ? cJSON_Duplicate(cJSON_GetArrayItem(a->values, x->columns[column][i]), true)
                       : value_at(x->r, &x->points[arm], i);
        if (value)
            jobspec_path_set(json, a->path, value);
    }
    for (int i = 0; i < named->count; i++)
        jobspec_path_set(json, named->overrides[i].path,
                         cJSON_Duplicate(named->overrides[i].value, true));
    jobspec_path_set(json, "seed", cJSON_CreateNumber((double)seed));
    jobspec_path_set(json, "name", job_name(x->f, arm, seed));
    return json;
}

static char *describe(const struct jobspec *spec)
{
    cJSON *json = jobspec_json(spec);

    cJSON_DeleteItemFromObjectCaseSensitive(json, "name");
    char *text = json ? cJSON_PrintUnformatted(json) : NULL;
    cJSON_Delete(json);
    return text;
}

static int check_files(struct jobspec *spec, struct errbuf *why)
{
    for (enum attached_kind kind = 0; kind < ATTACHED_KINDS; kind++) {
        const struct given *g = jobspec_attached(spec, kind);
        if (g && g->kind == GIVEN_FILE)
            return err_set(why, -EINVAL, "%s names a file; the jobs of a study take %s only",
                           jobspec_attached_names[kind],
                           kind == ATTACHED_EXCLUDE ? "a list of samples" : "{\"job\": N}");
    }
    return 0;
}

/* What ranks the arms must not be what they are compared by in the end. */
static int check_halving(const struct jobspec *spec, struct errbuf *why)
{
    if (spec->validation.share == 0 && spec->validation.domains.count == 0)
        return err_set(why, -EINVAL,
                       "halving is true, but nothing validates; arms are ranked by validation "
                       "accuracy, since test figures choose nothing: give \"validation\": "
                       "{\"share\": 0.1}");
    if (spec->epochs < EPOCHS_MIN)
        return err_set(why, -EINVAL,
                       "halving is true and epochs is %lld; it needs at least %d, since arms stop "
                       "after a quarter and after half of them",
                       (long long)spec->epochs, EPOCHS_MIN);
    return 0;
}

/* A study grows, and the newest revision would be another one then. */
static int check_revisions(const struct jobspec *spec, struct errbuf *why)
{
    for (int i = 0; i < spec->revisions.count; i++)
        if (spec->revisions.at[i].number == REVISION_LATEST)
            return err_set(why, -EINVAL,
                           "%s@latest would be another one when the study grows; write its number",
                           spec->dataset);
    return 0;
}

static int make_job(const struct expansion *x, int arm, int column, uint64_t seed,
                    struct errbuf *why)
{
    struct studyfile *f = x->f;
    struct studyfile_job *job = &f->jobs[f->job_count++];
    struct jobspec spec;

    *job = (struct studyfile_job){arm, column, seed, make_spec(x, arm, column, seed), NULL};
    int rc = jobspec_parse(job->spec, &spec, why);
    if (rc == 0) {
        rc = check_files(&spec, why);
        if (rc == 0)
            rc = check_revisions(&spec, why);
        if (rc == 0 && f->halving)
            rc = check_halving(&spec, why);
        job->described = rc == 0 ? describe(&spec) : NULL;
        jobspec_done(&spec);
        if (rc == 0 && !job->described)
            rc = err_set(why, -ENOMEM, "no memory for a job description");
    }
    return rc < 0 && f->arm_count > 1 ? err_prefix(why, rc, "arm %s", f->arms[arm]) : rc;
}

/* The jobs of the first column and seed stand in the order of the arms. */
static int check_same(const struct studyfile *f, struct errbuf *why)
{
    for (int i = 0; i < f->arm_count; i++)
        for (int j = 0; j < i; j++)
            if (strcmp(f->jobs[i].described, f->jobs[j].described) == 0)
                return err_set(why, -EINVAL,
                               "the arms \"%s\" and \"%s\" come to the same job; leave one out",
                               f->arms[j], f->arms[i]);
    return 0;
}

int reading_expand(const struct reading *r, struct studyfile *f, struct errbuf *why)
{
    struct expansion x = {.r = r, .f = f};
    int rc = count_all(r, f, why);

    if (rc == 0)
        rc = make_arms(&x, why);
    if (rc == 0)
        rc = make_columns(&x, why);
    if (rc == 0)
        rc = find_control(r, f, why);
    if (rc == 0)
        f->jobs = xcalloc((size_t)(f->arm_count * f->data_count * f->seed_count), sizeof(*f->jobs));
    for (int s = 0; rc == 0 && s < f->seed_count; s++)
        for (int c = 0; rc == 0 && c < f->data_count; c++)
            for (int a = 0; rc == 0 && a < f->arm_count; a++)
                rc = make_job(&x, a, c, f->seeds[s], why);
    if (rc == 0)
        rc = check_same(f, why);
    free(x.points);
    free(x.columns);
    return rc;
}

/* --- comparing --- */

/* Today's form of a description: newer keys get their defaults. */
static int read_again(const char *text, cJSON **ret, struct errbuf *why)
{
    struct jobspec spec;
    cJSON *json = NULL;
    int rc = field_parse(text, strlen(text), JSON_REPLY_BYTES_MAX, "description", &json, why);

    if (rc == 0)
        rc = jobspec_parse(json, &spec, why);
    cJSON_Delete(json);
    if (rc < 0)
        return rc;
    char *again = describe(&spec);
    jobspec_done(&spec);
    *ret = again ? cJSON_Parse(again) : NULL;
    free(again);
    return *ret ? 0 : err_set(why, -ENOMEM, "no memory for a job description");
}

static int differ(const char *section, const cJSON *a, const cJSON *b, struct errbuf *why)
{
    char *was = a ? cJSON_PrintUnformatted(a) : xstrdup("not given"),
         *is = b ? cJSON_PrintUnformatted(b) : xstrdup("not given");
    const char *key = a ? a->string : b->string;
    int rc = err_set(why, -EEXIST, "%s%s%s was %.100s and is %.100s now", section,
                     *section ? "." : "", key, was, is);

    free(was);
    free(is);
    return rc;
}

static int compare(const char *section, const cJSON *was, const cJSON *is, struct errbuf *why)
{
    int rc = 0;

    for (const cJSON *a = was->child; rc == 0 && a; a = a->next) {
        const cJSON *b = cJSON_GetObjectItemCaseSensitive(is, a->string);
        if (b && jobspec_path(a->string) == PATH_SECTION && !*section)
            rc = compare(a->string, a, b, why);
        else if (!b || !cJSON_Compare(a, b, true))
            rc = differ(section, a, b, why);
    }
    for (const cJSON *b = is->child; rc == 0 && b; b = b->next)
        if (!cJSON_GetObjectItemCaseSensitive(was, b->string))
            rc = differ(section, NULL, b, why);
    return rc;
}

int studyfile_compare(const char *was, const char *is, struct errbuf *why)
{
    cJSON *a = NULL, *b = NULL;
    int rc = strcmp(was, is) == 0 ? 1 : read_again(was, &a, why);

    if (rc == 0)
        rc = read_again(is, &b, why);
    if (rc == 0)
        rc = compare("", a, b, why);
    cJSON_Delete(a);
    cJSON_Delete(b);
    return rc > 0 ? 0 : rc;
}
