/* The job description as JSON: every walk is over the table in jobspec_rows.c. Dependencies between
 * keys are in jobspec_check.c. */
#include "common/jobspec.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/field.h"
#include "common/jobspec_internal.h"
#include "common/jobspec_synonyms.h"
#include "common/model.h"
#include "common/text.h"

#define KEYS_MAX 40            /* of one object, and the NULL behind them */
#define CONFIG_BYTES_MAX 16384 /* as text */
#define ROOT "job file"

static void *field_of(const struct jobspec *spec, const struct row *row)
{
    return (char *)spec + row->offset;
}

/* The part of the path behind the section, which is the key inside its object. */
static const char *row_key(const struct row *row)
{
    const char *dot = strchr(row->path, '.');

    return dot ? dot + 1 : row->path;
}

/* Is row a key of the section (NULL: of the file itself)? */
static bool row_in(const struct row *row, const struct row *section)
{
    const char *dot = strchr(row->path, '.');

    if (!section || !dot)
        return !section && !dot;
    size_t n = (size_t)(dot - row->path);
    return strncmp(row->path, section->path, n) == 0 && section->path[n] == '\0';
}

static const struct row *row_at(const char *path)
{
    const struct row *row = jobspec_rows;

    while (strcmp(row->path, path) != 0)
        row++;
    return row;
}

/* The word that spec has for the choice. */
static const char *chosen(const struct jobspec *spec, const struct choice *c)
{
    const struct row *row = row_at(c->path);

    return row->names[*(const int *)field_of(spec, row)];
}

static bool is_choice(const struct jobspec *spec, const struct choice *c)
{
    return strcmp(chosen(spec, c), c->word) == 0;
}

/* Does a job with these choices have the key, or something to write for it? */
static bool key_used(const struct jobspec *spec, const struct row *row)
{
    if (jobspec_external(spec) && !row->external)
        return false;
    if (row->type == ROW_CONFIG)
        return spec->config != NULL;
    /* A job of Steppe's own has the same description as ever. */
    if (row->names == engine_names)
        return jobspec_external(spec);
    if (row->type == ROW_NAMES)
        return ((const struct names *)field_of(spec, row))->count > 0;
    if (row->type == ROW_CHANNELS)
        return ((const struct channels *)field_of(spec, row))->count > 0;
    return (!row->only || is_choice(spec, row->only)) && given_used(spec, row->type);
}

/* The same; for a section, any key in it. */
static bool row_used(const struct jobspec *spec, const struct row *row)
{
    bool used = row->type != ROW_SECTION && key_used(spec, row);

    for (const struct row *r = jobspec_rows; row->type == ROW_SECTION && !used && r->path; r++)
        used = row_in(r, row) && key_used(spec, r);
    return used;
}

bool row_ranged(const struct row *row)
{
    return row->min < row->max;
}

const char *row_range(const struct row *row, char buf[RANGE_BYTES])
{
    snprintf(buf, RANGE_BYTES, "%s%.16g to %s%.16g", row->above_min ? "above " : "", row->min,
             row->below_max ? "below " : "", row->max);
    return buf;
}

/* Defaults and reading. */

/* "0.5, 0.75" */
static bool set_shares(const char *text, struct shares *ret)
{
    char item[TEXT_F64_BYTES];

    *ret = (struct shares){0};
    for (const char *at = text; *at && ret->count < MILESTONES_MAX;) {
        size_t n = strcspn(at, ",");
        snprintf(item, sizeof(item), "%.*s", (int)n, at);
        if (!text_f64(item, 0, 1, &ret->at[ret->count++]))
            return false;
        at += n + strspn(at + n, ", ");
    }
    return true;
}

static void set_default(struct jobspec *spec, const struct row *row, const char *def)
{
    void *field = field_of(spec, row);
    int64_t integer;
    bool good = true;

    switch (row->type) {
    case ROW_SECTION:
    case ROW_NAME:
    case ROW_MODEL:
    case ROW_EXCLUDE:
    case ROW_WEIGHTS:
    case ROW_CHANNELS:
    case ROW_CLASS_WEIGHTS:
    case ROW_NAMES:
    case ROW_DATASET:
    case ROW_REVISIONS:
    case ROW_CONFIG:
        break;
    case ROW_INT:
        good = text_i64(def, (int64_t)row->min, (int64_t)row->max, field);
        break;
    case ROW_SEED:
        good = text_i64(def, (int64_t)row->min, (int64_t)row->max, &integer);
        *(uint64_t *)field = good ? (uint64_t)integer : 0;
        break;
    case ROW_F64:
    case ROW_RATIO:
        good = text_ratio(def, row->min, row->max, field);
        break;
    case ROW_SHARES:
        good = set_shares(def, field);
        break;
    case ROW_BOOL:
        *(bool *)field = strcmp(def, "true") == 0;
        break;
    case ROW_ENUM:
    case ROW_MEASURE:
        *(int *)field = text_index(def, row->names);
        good = *(int *)field >= 0;
        break;
    }
    assert(good);
    (void)good;
}

static int read_name(const cJSON *obj, const char *where, const struct row *row, char *field,
                     struct errbuf *why)
{
    const char *text = NULL;
    bool required = row->def == NULL;
    int rc = field_str(obj, where, row->path, required, NAME_MAX_BYTES, &text, why);

    if (rc || !text)
        return rc;
    if (!text_is_name(text))
        return err_set(why, -EINVAL,
                       "%s is \"%s\", allowed are 1 to %d letters, digits, '.', '_' and '-', with "
                       "no '.' or '-' in front",
                       row->path, text, NAME_MAX_BYTES - 1);
    snprintf(field, NAME_MAX_BYTES, "%s", text);
    return 0;
}

static int read_model(const cJSON *obj, const struct row *row, cJSON **field, struct errbuf *why)
{
    const cJSON *desc = cJSON_GetObjectItemCaseSensitive(obj, row->path);

    int rc = model_check(desc, why);
    if (rc)
        return rc;
    *field = cJSON_Duplicate(desc, true);
    return *field ? 0 : err_set(why, -ENOMEM, "out of memory");
}

static int read_config(const cJSON *obj, const struct row *row, cJSON **field, struct errbuf *why)
{
    const cJSON *config = NULL;
    int rc = field_obj(obj, ROOT, row->path, false, &config, why);

    if (rc || !config)
        return rc;
    char *text = cJSON_PrintUnformatted(config);
    const size_t bytes = text ? strlen(text) : 0;
    free(text);
    if (bytes > CONFIG_BYTES_MAX)
        return err_set(why, -EINVAL, "%s has %zu bytes, allowed is up to %d", row->path, bytes,
                       CONFIG_BYTES_MAX);
    *field = text ? cJSON_Duplicate(config, true) : NULL;
    return *field ? 0 : err_set(why, -ENOMEM, "out of memory");
}

static bool in_range(const struct row *row, double v)
{
    return !(v < row->min || v > row->max || (row->above_min && v == row->min) ||
             (row->below_max && v == row->max));
}

static int read_f64(const cJSON *obj, const char *where, const struct row *row, double *field,
                    struct errbuf *why)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(obj, row_key(row));
    char range[RANGE_BYTES], value[TEXT_F64_BYTES];

    /* The getters' ranges are closed, so their sentence would name an end that is not allowed. */
    if (cJSON_IsNumber(item) && (row->above_min || row->below_max)) {
        double v = item->valuedouble;
        if (!in_range(row, v))
            return err_set(why, -EINVAL, "%s is %s, allowed is %s", row->path,
                           text_of_f64(v, value), row_range(row, range));
    } else if (item && row->type == ROW_F64 && (row->above_min || row->below_max)) {
        return field_refuse(item, where, row_key(row), row_range(row, range), why);
    }
    return (row->type == ROW_RATIO ? field_ratio : field_f64)(obj, where, row_key(row), false,
                                                              row->min, row->max, field, why);
}

static int read_shares(const cJSON *obj, const char *where, const struct row *row,
                       struct shares *field, struct errbuf *why)
{
    char range[RANGE_BYTES], value[TEXT_F64_BYTES];
    const cJSON *list = NULL, *item;
    struct shares s = {0};
    int rc = field_arr(obj, where, row_key(row), false, MILESTONES_MAX, &list, why);

    if (rc || !list)
        return rc;
    cJSON_ArrayForEach(item, list)
    {
        double v = cJSON_IsNumber(item) ? item->valuedouble : row->max;
        if (!in_range(row, v))
            return err_set(why, -EINVAL, "%s[%d] is %s, allowed is a number %s", row->path, s.count,
                           cJSON_IsNumber(item) ? text_of_f64(v, value) : "no number",
                           row_range(row, range));
        if (s.count > 0 && v <= s.at[s.count - 1])
            return err_set(why, -EINVAL, "%s[%d] is %s, it must be above the one before it",
                           row->path, s.count, text_of_f64(v, value));
        s.at[s.count++] = v;
    }
    *field = s;
    return 0;
}

static int read_seed(const cJSON *obj, const char *where, const struct row *row, uint64_t *field,
                     struct errbuf *why)
{
    int64_t v = (int64_t)*field;
    int rc =
        field_i64(obj, where, row_key(row), false, (int64_t)row->min, (int64_t)row->max, &v, why);

    *field = (uint64_t)v;
    return rc;
}

static int read_row(const cJSON *obj, const char *where, const struct row *row,
                    struct jobspec *spec, struct errbuf *why)
{
    void *field = field_of(spec, row);
    bool written = cJSON_GetObjectItemCaseSensitive(obj, row_key(row)) != NULL;

    if (jobspec_external(spec) && !row->external)
        return written ? err_set(why, -EINVAL,
                                 "%s is given, but means nothing to a job of engine external: its "
                                 "program trains by itself",
                                 row->path)
                       : 0;
    if (written && row->type == ROW_CONFIG && !jobspec_external(spec))
        return err_set(why, -EINVAL, "%s is given, but only engine external has it; engine is %s",
                       row->path, engine_names[spec->engine]);
    if (written && row->only && !is_choice(spec, row->only))
        return err_set(why, -EINVAL, "%s is given, but only %s %s has it; %s is %s", row->path,
                       row->only->path, row->only->word, row->only->path, chosen(spec, row->only));
    if (!written && row->other && is_choice(spec, row->other))
        set_default(spec, row, row->other_def);
    switch (row->type) {
    case ROW_SECTION:
        return 0;
    case ROW_NAME:
        return read_name(obj, where, row, field, why);
    case ROW_MODEL:
        return read_model(obj, row, field, why);
    case ROW_INT:
        return field_i64(obj, where, row_key(row), false, (int64_t)row->min, (int64_t)row->max,
                         field, why);
    case ROW_SEED:
        return read_seed(obj, where, row, field, why);
    case ROW_F64:
    case ROW_RATIO:
        return read_f64(obj, where, row, field, why);
    case ROW_SHARES:
        return read_shares(obj, where, row, field, why);
    case ROW_BOOL:
        return field_bool(obj, where, row_key(row), false, field, why);
    case ROW_ENUM:
        return field_enum(obj, where, row_key(row), false, row->names, field, why);
    case ROW_MEASURE:
        return given_read_measure(obj, spec, why);
    case ROW_EXCLUDE:
        return given_read_exclude(obj, spec, why);
    case ROW_WEIGHTS:
        return given_read_weights(obj, spec, why);
    case ROW_CHANNELS:
        return channels_read(obj, where, row->path, field, why);
    case ROW_CLASS_WEIGHTS:
        return class_weights_read(obj, row->path, field, why);
    case ROW_NAMES:
        return names_read(obj, where, row->path, field, why);
    case ROW_DATASET:
        return revisions_read_dataset(obj, spec, why);
    case ROW_REVISIONS:
        return revisions_read(obj, spec, why);
    case ROW_CONFIG:
        return read_config(obj, row, field, why);
    }
    return 0;
}

/* Are these the keys of the section (NULL: of the file)? People who come from other programs are
 * told where their key lies here, others what is nearest to what they mistyped. */
static int check_keys(const cJSON *obj, const struct row *section, const char *const *keys,
                      struct errbuf *why)
{
    const char *where = section ? section->path : ROOT;
    char path[RANGE_BYTES];

    for (const cJSON *item = obj->child; item; item = item->next) {
        if (text_index(item->string, keys) >= 0)
            continue;
        snprintf(path, sizeof(path), "%s%s%s", section ? section->path : "", section ? "." : "",
                 item->string);
        const char *meant = jobspec_meant(path), *dot = strchr(path, '.');
        if (!meant)
            break;
        if (dot && strcmp(meant, path) == 0)
            return err_set(why, -EINVAL, "%s has no key \"%.60s\"; write \"%.*s\": {\"%s\": ...}",
                           where, path, (int)(dot - path), path, dot + 1);
        return err_set(why, -EINVAL, "%s has no key \"%.60s\"; did you mean \"%s\"?", where,
                       item->string,
                       row_in(row_at(meant), section) ? row_key(row_at(meant)) : meant);
    }
    return field_known(obj, where, keys, why);
}

/* Reads the keys of one object: those of the section, or of the file itself (NULL). */
static int read_object(const cJSON *obj, const struct row *section, struct jobspec *spec,
                       struct errbuf *why)
{
    const char *where = section ? section->path : ROOT;
    const char *keys[KEYS_MAX];
    int count = 0;

    for (const struct row *row = jobspec_rows; row->path; row++)
        if (row_in(row, section))
            keys[count++] = row_key(row);
    assert(count < KEYS_MAX);
    keys[count] = NULL;
    int rc = check_keys(obj, section, keys, why);
    for (const struct row *row = jobspec_rows; rc == 0 && row->path; row++)
        if (row_in(row, section))
            rc = read_row(obj, where, row, spec, why);
    return rc;
}

int jobspec_parse(const struct cJSON *json, struct jobspec *ret, struct errbuf *why)
{
    struct jobspec spec = {0};
    int rc;

    if (!cJSON_IsObject(json))
        return err_set(why, -EINVAL,
                       "a job file must be an object such as "
                       "{\"dataset\": \"glyphs\", \"model\": \"lenet\"}");
    for (const struct row *row = jobspec_rows; row->path; row++)
        if (row->def)
            set_default(&spec, row, row->def);
    rc = read_object(json, NULL, &spec, why);
    for (const struct row *row = jobspec_rows; rc == 0 && row->path; row++) {
        const cJSON *obj = NULL;
        if (row->type != ROW_SECTION)
            continue;
        rc = field_obj(json, ROOT, row->path, false, &obj, why);
        if (rc == 0 && obj)
            rc = read_object(obj, row, &spec, why);
    }
    if (rc == 0) {
        jobspec_settle(json, &spec);
        rc = jobspec_check(&spec, why);
    }
    if (rc) {
        jobspec_done(&spec);
        return rc;
    }
    if (!spec.name[0])
        memcpy(spec.name, spec.dataset, sizeof(spec.name));
    *ret = spec;
    return 0;
}

void jobspec_done(struct jobspec *spec)
{
    cJSON_Delete(spec->model);
    cJSON_Delete(spec->config);
    free(spec->exclude.ids);
    names_done(&spec->train_domains);
    names_done(&spec->test_domains);
    names_done(&spec->validation.domains);
    free(spec->class_weights.at);
    *spec = (struct jobspec){0};
}

/* Writing. */

static cJSON *shares_json(const struct shares *s)
{
    cJSON *list = cJSON_CreateArray();

    for (int i = 0; list && i < s->count; i++)
        cJSON_AddItemToArray(list, jobspec_number_json(s->at[i]));
    return list;
}

static cJSON *row_json(const struct jobspec *spec, const struct row *row)
{
    const void *field = field_of(spec, row);

    switch (row->type) {
    case ROW_SECTION:
        return cJSON_CreateObject();
    case ROW_NAME:
    case ROW_DATASET:
        return cJSON_CreateString(field);
    case ROW_MODEL:
    case ROW_CONFIG:
        return cJSON_Duplicate(*(cJSON *const *)field, true);
    case ROW_INT:
        return jobspec_number_json((double)*(const int64_t *)field);
    case ROW_SEED:
        return jobspec_number_json((double)*(const uint64_t *)field);
    case ROW_F64:
    case ROW_RATIO:
        return jobspec_number_json(*(const double *)field);
    case ROW_SHARES:
        return shares_json(field);
    case ROW_BOOL:
        return cJSON_CreateBool(*(const bool *)field);
    case ROW_ENUM:
        return cJSON_CreateString(row->names[*(const int *)field]);
    case ROW_MEASURE:
        return given_measure_json(spec);
    case ROW_EXCLUDE:
        return given_exclude_json(spec);
    case ROW_WEIGHTS:
        return given_weights_json(spec);
    case ROW_CHANNELS:
        return channels_json(field);
    case ROW_CLASS_WEIGHTS:
        return class_weights_json(field);
    case ROW_NAMES:
        return names_json(field);
    case ROW_REVISIONS:
        return jobspec_revisions_json(spec->dataset, field);
    }
    return NULL;
}

struct cJSON *jobspec_json(const struct jobspec *spec)
{
    cJSON *root = cJSON_CreateObject(), *section = NULL;

    for (const struct row *row = jobspec_rows; root && row->path; row++) {
        if (!row_used(spec, row))
            continue;
        cJSON *item = row_json(spec, row);
        cJSON *parent = row_in(row, NULL) ? root : section;
        if (!cJSON_AddItemToObject(parent, row_key(row), item)) {
            cJSON_Delete(item);
            cJSON_Delete(root);
            return NULL;
        }
        if (row->type == ROW_SECTION)
            section = item;
    }
    return root;
}
