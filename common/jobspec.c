/* The job description. rows[] is the one place that knows a key: where it stands in the file, its
 * field, type, range, default and meaning; reading, writing and the help of `submit` walk it. Keys
 * stand in the order in which a person meets them. What ties two keys together is in cross_check.
 *
 * One default depends on another key: a job with too few epochs for the default curriculum gets
 * full_at 1 and, with one epoch, no warm-up (few_epochs). A written value is never changed. */
#include "common/jobspec.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "common/field.h"
#include "common/model.h"
#include "common/text.h"

#define SEED_MAX 9007199254740991.0 /* 2^53 - 1: up to here a JSON number is one integer only */
#define RANGE_BYTES 128

const char *const optimizer_names[] = {[OPTIMIZER_SGD] = "sgd", NULL};
const char *const lr_schedule_names[] = {[LR_CONSTANT] = "constant", [LR_COSINE] = "cosine", NULL};
const char *const attack_names[] = {[ATTACK_FGSM] = "fgsm", NULL};
const char *const score_source_names[] = {[SOURCE_SWEEP] = "sweep", [SOURCE_TRAIN] = "train", NULL};
const char *const normaliser_names[] = {
    [NORM_POPULATION] = "population", [NORM_SAMPLE] = "sample", NULL};
const char *const measure_names[] = {[MEASURE_ADM] = "adm",
                                     [MEASURE_LOSS] = "loss",
                                     [MEASURE_GRAD_NORM] = "grad_norm",
                                     [MEASURE_EL2N] = "el2n",
                                     [MEASURE_RANDOM] = "random",
                                     [MEASURE_NONE] = "none",
                                     NULL};
const char *const order_names[] = {
    [ORDER_EASY_FIRST] = "easy_first", [ORDER_HARD_FIRST] = "hard_first", NULL};
const char *const curriculum_mode_names[] = {
    [MODE_SELECT] = "select", [MODE_WEIGHT] = "weight", [MODE_BOTH] = "both", NULL};
const char *const pacing_names[] = {[PACING_LINEAR] = "linear",
                                    [PACING_QUAD] = "quad",
                                    [PACING_ROOT] = "root",
                                    [PACING_STEP] = "step",
                                    [PACING_EXP] = "exp",
                                    [PACING_LOG] = "log",
                                    NULL};
const char *const balance_names[] = {[BALANCE_NONE] = "none", [BALANCE_CLASS] = "class", NULL};
const char *const numerics_names[] = {
    [NUMERICS_STRICT] = "strict", [NUMERICS_RELAXED] = "relaxed", NULL};

enum row_type {
    ROW_SECTION, /* an object; the rows "section.key" below it are its keys */
    ROW_NAME,    /* char[NAME_MAX_BYTES], as text_is_name */
    ROW_MODEL,   /* struct cJSON *, owned */
    ROW_INT,     /* int64_t */
    ROW_SEED,    /* uint64_t */
    ROW_F64,     /* double */
    ROW_RATIO,   /* double, also written "8/255" */
    ROW_BOOL,    /* bool */
    ROW_ENUM,    /* int, index into names */
};

struct row {
    const char *path; /* "epochs", "optimizer.lr"; NULL ends the table */
    enum row_type type;
    size_t offset;             /* of the field in struct jobspec */
    const char *def;           /* as a person would write it; NULL: the key is required */
    double min, max;           /* of a number */
    bool above_min, below_max; /* this end itself is not allowed */
    const char *const *names;  /* ROW_ENUM */
    const char *help;
};

#define AT(field) offsetof(struct jobspec, field)

static const struct row rows[] = {
    {"name", ROW_NAME, AT(name), .def = "", .help = "name of the job; none: the dataset's name"},
    {"dataset", ROW_NAME, AT(dataset), .help = "name of an imported dataset"},
    {"model", ROW_MODEL, AT(model), .help = "a preset or {\"layers\": [...]}"},
    {"epochs", ROW_INT, AT(epochs), .def = "10", .min = 1, .max = EPOCHS_MAX,
     .help = "epochs of floor(samples / batch) steps"},
    {"batch", ROW_INT, AT(batch), .def = "128", .min = 1, .max = BATCH_MAX,
     .help = "samples of a step; a multiple of shard"},
    {"shard", ROW_INT, AT(shard), .def = "64", .min = 1, .max = SHARD_MAX,
     .help = "samples of one SAM ascent, computed by one thread"},
    {"seed", ROW_SEED, AT(seed), .def = "1", .max = SEED_MAX,
     .help = "all that is random follows from it"},

    {"optimizer", ROW_SECTION, .help = "the update of a step"},
    {"optimizer.name", ROW_ENUM, AT(optimizer.kind), .def = "sgd", .names = optimizer_names,
     .help = "its rule"},
    {"optimizer.lr", ROW_F64, AT(optimizer.lr), .def = "0.05", .max = 1000, .above_min = true,
     .help = "learning rate"},
    {"optimizer.momentum", ROW_F64, AT(optimizer.momentum), .def = "0.9", .max = 1,
     .below_max = true, .help = "share of the velocity that is kept"},
    {"optimizer.nesterov", ROW_BOOL, AT(optimizer.nesterov), .def = "false",
     .help = "Nesterov's look ahead; needs momentum above 0"},
    {"optimizer.weight_decay", ROW_F64, AT(optimizer.weight_decay), .def = "5e-4", .max = 1,
     .help = "L2 decay of weights; biases have none"},
    {"optimizer.schedule", ROW_ENUM, AT(optimizer.schedule), .def = "cosine",
     .names = lr_schedule_names, .help = "learning rate over the job, behind the warm-up"},
    {"optimizer.warmup", ROW_F64, AT(optimizer.warmup), .def = "0", .max = 1, .below_max = true,
     .help = "share of all steps in which the learning rate rises linearly"},

    {"sam", ROW_SECTION, .help = "sharpness-aware minimisation"},
    {"sam.rho", ROW_F64, AT(rho), .def = "0.05", .max = 100,
     .help = "radius of the ascent; 0 is plain SGD"},

    {"attack", ROW_SECTION, .help = "the adversarial twin of a sample"},
    {"attack.name", ROW_ENUM, AT(attack), .def = "fgsm", .names = attack_names,
     .help = "how it is made"},
    {"attack.epsilon", ROW_RATIO, AT(epsilon), .def = "8/255", .max = 1,
     .help = "largest change of a pixel in [0, 1]; a number or \"8/255\""},

    {"score", ROW_SECTION, .help = "how and when the difficulty of samples is measured"},
    {"score.source", ROW_ENUM, AT(score_source), .def = "sweep", .names = score_source_names,
     .help = "sweep: all samples at one state of the model; train: within the training steps"},
    {"score.every", ROW_INT, AT(score_every), .def = "0", .max = EPOCHS_MAX,
     .help = "epochs between sweeps; 0: 1 until the share is final, then 5"},
    {"score.normaliser", ROW_ENUM, AT(normaliser), .def = "population", .names = normaliser_names,
     .help = "what adm divides the loss gap by"},

    {"curriculum", ROW_SECTION, .help = "what is trained on, and when"},
    {"curriculum.measure", ROW_ENUM, AT(curriculum.measure), .def = "adm", .names = measure_names,
     .help = "orders the samples; none: always all of them"},
    {"curriculum.order", ROW_ENUM, AT(curriculum.order), .def = "easy_first", .names = order_names,
     .help = "the end that comes first"},
    {"curriculum.mode", ROW_ENUM, AT(curriculum.mode), .def = "select",
     .names = curriculum_mode_names, .help = "leave the rest out, weigh it down, or both"},
    {"curriculum.pacing", ROW_ENUM, AT(curriculum.pacing), .def = "linear", .names = pacing_names,
     .help = "how the share goes from initial to final"},
    {"curriculum.initial", ROW_F64, AT(curriculum.initial), .def = "0.8", .max = 1,
     .above_min = true, .help = "share of the training set at the start of pacing"},
    {"curriculum.final", ROW_F64, AT(curriculum.final), .def = "1", .max = 1, .above_min = true,
     .help = "share of the training set at its end"},
    {"curriculum.full_at", ROW_F64, AT(curriculum.full_at), .def = "0.5", .max = 1,
     .above_min = true,
     .help = "share of the epochs after which pacing ends; 1 when neither it nor warmup is "
             "written and epochs is 1 or 2"},
    {"curriculum.warmup", ROW_INT, AT(curriculum.warmup), .def = "1", .max = EPOCHS_MAX,
     .help = "epochs with everything before pacing, below full_at * epochs; 0 when neither is "
             "written and epochs is 1"},
    {"curriculum.smoothing", ROW_F64, AT(curriculum.smoothing), .def = "0", .max = 1,
     .below_max = true, .help = "share of its old rank that a sample keeps"},
    {"curriculum.balance", ROW_ENUM, AT(curriculum.balance), .def = "class", .names = balance_names,
     .help = "class: the same share of every class"},

    {"numerics", ROW_ENUM, AT(numerics), .def = "strict", .names = numerics_names,
     .help = "strict: workers of one numerics class, so the same bits; relaxed: any worker"},
    {0},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))
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

static bool row_ranged(const struct row *row)
{
    return row->min < row->max;
}

/* "0 to 1", "above 0 to 1", "0 to below 1" */
static const char *range_text(const struct row *row, char buf[RANGE_BYTES])
{
    snprintf(buf, RANGE_BYTES, "%s%.16g to %s%.16g", row->above_min ? "above " : "", row->min,
             row->below_max ? "below " : "", row->max);
    return buf;
}

/* Defaults and reading. */

static void set_default(struct jobspec *spec, const struct row *row)
{
    void *field = field_of(spec, row);
    int64_t integer;
    bool good = true;

    switch (row->type) {
    case ROW_SECTION:
    case ROW_NAME:
    case ROW_MODEL:
        break;
    case ROW_INT:
        good = text_i64(row->def, (int64_t)row->min, (int64_t)row->max, field);
        break;
    case ROW_SEED:
        good = text_i64(row->def, (int64_t)row->min, (int64_t)row->max, &integer);
        *(uint64_t *)field = good ? (uint64_t)integer : 0;
        break;
    case ROW_F64:
    case ROW_RATIO:
        good = text_ratio(row->def, row->min, row->max, field);
        break;
    case ROW_BOOL:
        *(bool *)field = strcmp(row->def, "true") == 0;
        break;
    case ROW_ENUM:
        *(int *)field = text_index(row->def, row->names);
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

static int read_f64(const cJSON *obj, const char *where, const struct row *row, double *field,
                    struct errbuf *why)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(obj, row_key(row));
    char range[RANGE_BYTES], value[TEXT_F64_BYTES];

    /* The getters' ranges are closed; theirs would name an end that is not allowed. */
    if (cJSON_IsNumber(item) && (row->above_min || row->below_max)) {
        double v = item->valuedouble;
        if (v < row->min || v > row->max || (row->above_min && v == row->min) ||
            (row->below_max && v == row->max))
            return err_set(why, -EINVAL, "%s is %s, allowed is %s", row->path,
                           text_of_f64(v, value), range_text(row, range));
    }
    return (row->type == ROW_RATIO ? field_ratio : field_f64)(obj, where, row_key(row), false,
                                                              row->min, row->max, field, why);
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
    case ROW_BOOL:
        return field_bool(obj, where, row_key(row), false, field, why);
    case ROW_ENUM:
        return field_enum(obj, where, row_key(row), false, row->names, field, why);
    }
    return 0;
}

/* Reads the keys of one object: those of the section, or of the file itself (NULL). */
static int read_object(const cJSON *obj, const struct row *section, struct jobspec *spec,
                       struct errbuf *why)
{
    const char *where = section ? section->path : ROOT;
    const char *keys[ROWS];
    int count = 0;

    for (const struct row *row = rows; row->path; row++)
        if (row_in(row, section))
            keys[count++] = row_key(row);
    keys[count] = NULL;
    int rc = field_known(obj, where, keys, why);
    for (const struct row *row = rows; rc == 0 && row->path; row++)
        if (row_in(row, section))
            rc = read_row(obj, where, row, spec, why);
    return rc;
}

/* Checks that tie keys together. */

static bool paces(const struct jobspec *spec)
{
    const struct curriculum_spec *c = &spec->curriculum;

    return c->full_at * (double)spec->epochs > (double)c->warmup;
}

/* The default curriculum of a job that is too short for it; written keys are left alone. */
static void few_epochs(const cJSON *json, struct jobspec *spec)
{
    const cJSON *c = cJSON_GetObjectItemCaseSensitive(json, "curriculum");

    if (cJSON_GetObjectItemCaseSensitive(c, "full_at") ||
        cJSON_GetObjectItemCaseSensitive(c, "warmup"))
        return;
    if (!paces(spec))
        spec->curriculum.full_at = 1;
    if (!paces(spec))
        spec->curriculum.warmup = 0;
}

static int cross_check(const struct jobspec *spec, struct errbuf *why)
{
    const struct curriculum_spec *c = &spec->curriculum;

    if (spec->shard > spec->batch)
        return err_set(why, -EINVAL,
                       "shard is %lld and batch is %lld; a shard is a part of a batch",
                       (long long)spec->shard, (long long)spec->batch);
    if (spec->batch % spec->shard != 0)
        return err_set(why, -EINVAL,
                       "batch is %lld and shard is %lld; batch must be a multiple of shard",
                       (long long)spec->batch, (long long)spec->shard);
    if (!paces(spec))
        return err_set(
            why, -EINVAL,
            "curriculum.warmup is %lld, it must be below full_at * epochs = %.15g * %lld = %.15g",
            (long long)c->warmup, c->full_at, (long long)spec->epochs,
            c->full_at * (double)spec->epochs);
    if (spec->optimizer.nesterov && spec->optimizer.momentum == 0)
        return err_set(why, -EINVAL,
                       "optimizer.nesterov is true and optimizer.momentum is 0; nesterov needs "
                       "momentum above 0");
    return 0;
}

int jobspec_parse(const struct cJSON *json, struct jobspec *ret, struct errbuf *why)
{
    struct jobspec spec = {0};
    int rc;

    if (!cJSON_IsObject(json))
        return err_set(why, -EINVAL,
                       "a job file must be an object such as "
                       "{\"dataset\": \"glyphs\", \"model\": \"lenet\"}");
    for (const struct row *row = rows; row->path; row++)
        if (row->def)
            set_default(&spec, row);
    rc = read_object(json, NULL, &spec, why);
    for (const struct row *row = rows; rc == 0 && row->path; row++) {
        const cJSON *obj = NULL;
        if (row->type != ROW_SECTION)
            continue;
        rc = field_obj(json, ROOT, row->path, false, &obj, why);
        if (rc == 0 && obj)
            rc = read_object(obj, row, &spec, why);
    }
    if (rc == 0) {
        few_epochs(json, &spec);
        rc = cross_check(&spec, why);
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
    *spec = (struct jobspec){0};
}

/* Writing. */

/* cJSON prints 15 digits when they are near enough for it, which may be another double: then the
 * text is ours. */
static cJSON *number_json(double v)
{
    cJSON *number = cJSON_CreateNumber(v);
    char text[64]; /* cJSON wants more room than it uses */
    double back;

    if (number && cJSON_PrintPreallocated(number, text, sizeof(text), false) &&
        text_f64(text, -HUGE_VAL, HUGE_VAL, &back) && back == v)
        return number;
    cJSON_Delete(number);
    return cJSON_CreateRaw(text_of_f64(v, text));
}

static cJSON *row_json(const struct jobspec *spec, const struct row *row)
{
    const void *field = field_of(spec, row);

    switch (row->type) {
    case ROW_SECTION:
        return cJSON_CreateObject();
    case ROW_NAME:
        return cJSON_CreateString(field);
    case ROW_MODEL:
        return cJSON_Duplicate(*(cJSON *const *)field, true);
    case ROW_INT:
        return number_json((double)*(const int64_t *)field);
    case ROW_SEED:
        return number_json((double)*(const uint64_t *)field);
    case ROW_F64:
    case ROW_RATIO:
        return number_json(*(const double *)field);
    case ROW_BOOL:
        return cJSON_CreateBool(*(const bool *)field);
    case ROW_ENUM:
        return cJSON_CreateString(row->names[*(const int *)field]);
    }
    return NULL;
}

struct cJSON *jobspec_json(const struct jobspec *spec)
{
    cJSON *root = cJSON_CreateObject(), *section = NULL;

    for (const struct row *row = rows; root && row->path; row++) {
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

void jobspec_help(FILE *out)
{
    static const char *const types[] = {
        [ROW_SECTION] = "object", [ROW_NAME] = "name",    [ROW_MODEL] = "model",
        [ROW_INT] = "integer",    [ROW_SEED] = "integer", [ROW_F64] = "number",
        [ROW_RATIO] = "ratio",    [ROW_BOOL] = "bool",    [ROW_ENUM] = "word",
    };

    fprintf(out, "%-23s %-8s %-11s %s\n", "key", "type", "default", "meaning [allowed]");
    for (const struct row *row = rows; row->path; row++) {
        char allowed[RANGE_BYTES] = "";
        const char *def = row->def ? row->def : row->type == ROW_SECTION ? "" : "required";
        if (row->type == ROW_MODEL)
            text_list(model_presets, allowed, sizeof(allowed));
        else if (row->names)
            text_list(row->names, allowed, sizeof(allowed));
        else if (row_ranged(row))
            range_text(row, allowed);
        fprintf(out, "%-23s %-8s %-11s %s%s%s%s\n", row->path, types[row->type], def, row->help,
                *allowed ? " [" : "", allowed, *allowed ? "]" : "");
    }
}

uint32_t jobspec_epoch_steps(const struct jobspec *spec, uint32_t samples)
{
    return samples / (uint32_t)spec->batch;
}
