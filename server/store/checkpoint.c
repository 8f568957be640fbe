/* One table lists the parts of a checkpoint; taking, writing, reading and restoring walk it. */
#include "server/store/checkpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/safetensors.h"
#include "common/text.h"

#define FORMAT_NAME "steppe-checkpoint-"
#define FORMAT FORMAT_NAME "1"

/* The cursor as it lies in the file: all 64-bit, little-endian. */
enum {
    CURSOR_EPOCH,
    CURSOR_STEP,
    CURSOR_STEP_IN_EPOCH,
    CURSOR_SUMS,
    CURSOR_LR = CURSOR_SUMS + SUM_COUNT,
    CURSOR_SECONDS,
    CURSOR_WORDS
};

/* The vectors come last; their number and names depend on the job, and so does the presence of
 * lapses and of a chosen epoch. Open scores are there inside an epoch whose steps measure; older
 * versions wrote them into every file. */
enum {
    PART_CURSOR,
    PART_THETA,
    PART_RANK,
    PART_VALUES,
    PART_CLASSES,
    PART_LAPSES,
    PART_CHOSEN,
    PART_CHOSEN_THETA,
    PART_VECTORS
};
#define PARTS_MAX (PART_VECTORS + RUN_VECTORS_MAX)

enum part_rows { ROWS_CURSOR, ROWS_FLOATS, ROWS_SAMPLES, ROWS_CHOSEN };

#define LAPSES_COLUMNS (sizeof(struct lapses) / sizeof(uint32_t))
#define CHOSEN_WORDS (sizeof(struct run_chosen) / sizeof(double))

static const struct part {
    const char *name; /* NULL: of the vector */
    enum dtype dtype;
    enum part_rows rows;
    int columns; /* 0: one-dimensional */
} parts[PART_VECTORS + 1] = {
    [PART_CURSOR] = {"cursor", DTYPE_F64, ROWS_CURSOR, 0},
    [PART_THETA] = {"theta", DTYPE_F32, ROWS_FLOATS, 0},
    [PART_RANK] = {"rank", DTYPE_F64, ROWS_SAMPLES, 0},
    [PART_VALUES] = {"open_scores", DTYPE_F64, ROWS_SAMPLES, 4},
    [PART_CLASSES] = {"open_classes", DTYPE_U32, ROWS_SAMPLES, 3},
    [PART_LAPSES] = {"lapses", DTYPE_U32, ROWS_SAMPLES, LAPSES_COLUMNS},
    [PART_CHOSEN] = {"chosen", DTYPE_F64, ROWS_CHOSEN, 0},
    [PART_CHOSEN_THETA] = {"chosen_theta", DTYPE_F32, ROWS_FLOATS, 0},
    [PART_VECTORS] = {NULL, DTYPE_F32, ROWS_FLOATS, 0},
};

struct checkpoint {
    struct checkpoint_shape shape;
    struct run_cursor cursor;
    char *class_names; /* owned or NULL */
    int part_count;
    void *data[PARTS_MAX]; /* owned; the cursor's is used while it is read or written */
};

static const struct part *part_of(int i)
{
    return &parts[i < PART_VECTORS ? i : PART_VECTORS];
}

/* Do checkpoints of this shape have the part? */
static bool part_used(const struct checkpoint *c, int i)
{
    return i == PART_LAPSES                             ? c->shape.lapses
           : i == PART_VALUES || i == PART_CLASSES      ? c->shape.scores
           : i == PART_CHOSEN || i == PART_CHOSEN_THETA ? c->shape.chosen
                                                        : true;
}

static size_t part_rows(const struct checkpoint *c, int i)
{
    const size_t rows[] = {
        [ROWS_CURSOR] = CURSOR_WORDS,
        [ROWS_FLOATS] = c->shape.floats,
        [ROWS_SAMPLES] = c->shape.samples,
        [ROWS_CHOSEN] = CHOSEN_WORDS,
    };

    return rows[part_of(i)->rows];
}

static size_t part_entries(const struct checkpoint *c, int i)
{
    return part_rows(c, i) * (size_t)(part_of(i)->columns ? part_of(i)->columns : 1);
}

/* Without memory for its parts. */
static struct checkpoint checkpoint_of(const struct checkpoint_shape *shape)
{
    struct checkpoint c = {.shape = *shape, .part_count = PART_VECTORS};

    while (shape->vectors[c.part_count - PART_VECTORS])
        c.part_count++;
    return c;
}

size_t checkpoint_memory(const struct checkpoint_shape *shape)
{
    const struct checkpoint c = checkpoint_of(shape);
    size_t bytes = 0;

    for (int i = 0; i < c.part_count; i++)
        bytes += part_used(&c, i) ? part_entries(&c, i) * dtype_bytes(part_of(i)->dtype) : 0;
    return bytes;
}

static struct checkpoint *checkpoint_new(const struct checkpoint_shape *shape)
{
    struct checkpoint *c = xmalloc(sizeof(*c));

    *c = checkpoint_of(shape);
    for (int i = 0; i < c->part_count; i++) {
        if (!part_used(c, i))
            continue;
        c->data[i] = alloc_bytes(part_entries(c, i), dtype_bytes(part_of(i)->dtype));
        if (!c->data[i]) {
            checkpoint_free(c);
            return NULL;
        }
    }
    return c;
}

void checkpoint_free(struct checkpoint *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->part_count; i++)
        free(c->data[i]);
    free(c->class_names);
    free(c);
}

/* Where the run has the parts that are copied as they are; NULL: the part is packed. */
static void run_parts(const struct run_state *s, void *ret[PARTS_MAX])
{
    memset(ret, 0, PARTS_MAX * sizeof(*ret));
    ret[PART_THETA] = s->theta;
    ret[PART_RANK] = s->rank;
    ret[PART_LAPSES] = s->lapses;
    ret[PART_CHOSEN] = s->chosen;
    ret[PART_CHOSEN_THETA] = s->chosen_theta;
    for (int i = 0; s->vector_names[i]; i++)
        ret[PART_VECTORS + i] = s->vectors[i];
}

static void pack_score(struct checkpoint *c, uint32_t sample, const struct score *s)
{
    const double values[4] = {s->loss, s->adv_loss, s->grad_norm, s->el2n};
    const uint32_t classes[3] = {(uint32_t)s->predicted, (uint32_t)s->adv_predicted, s->flags};

    memcpy((double *)c->data[PART_VALUES] + 4 * (size_t)sample, values, sizeof(values));
    memcpy((uint32_t *)c->data[PART_CLASSES] + 3 * (size_t)sample, classes, sizeof(classes));
}

static void pack_scores(struct checkpoint *c, const struct score *scores, uint32_t samples)
{
    for (uint32_t i = 0; i < samples; i++)
        pack_score(c, i, &scores[i]);
}

struct checkpoint *checkpoint_take(struct run *r, int64_t now_ms)
{
    struct run_state s = run_state(r);
    struct checkpoint *c = checkpoint_new(&(struct checkpoint_shape){
        s.floats, s.samples, s.vector_names, .lapses = s.lapses != NULL,
        .scores = s.scores && s.cursor->step_in_epoch > 0, .chosen = s.chosen != NULL,
        .scaling = scaling_of_model(s.model)});
    void *from[PARTS_MAX];

    if (!c)
        return NULL;
    c->cursor = run_cursor(r, now_ms);
    c->class_names = s.class_names ? xstrdup(s.class_names) : NULL;
    run_parts(&s, from);
    for (int i = 0; i < c->part_count; i++)
        if (from[i])
            memcpy(c->data[i], from[i], part_entries(c, i) * dtype_bytes(part_of(i)->dtype));
    if (c->shape.scores) {
        pack_scores(c, s.scores, s.samples);
        for (uint32_t i = 0; i < s.swept_count; i++)
            pack_score(c, s.swept[i], &(struct score){0});
    }
    return c;
}

static void restore_scores(const struct checkpoint *c, struct score *scores, uint32_t samples)
{
    for (uint32_t i = 0; i < samples; i++) {
        const double *v = (const double *)c->data[PART_VALUES] + 4 * (size_t)i;
        const uint32_t *k = (const uint32_t *)c->data[PART_CLASSES] + 3 * (size_t)i;

        scores[i] = (struct score){.loss = v[0],
                                   .adv_loss = v[1],
                                   .grad_norm = v[2],
                                   .el2n = v[3],
                                   .predicted = (int32_t)k[0],
                                   .adv_predicted = (int32_t)k[1],
                                   .flags = k[2]};
    }
}

void checkpoint_restore(const struct checkpoint *c, struct run *r)
{
    struct run_state s = run_state(r);
    void *to[PARTS_MAX];

    *s.cursor = c->cursor;
    run_parts(&s, to);
    for (int i = 0; i < c->part_count; i++)
        if (to[i])
            memcpy(to[i], c->data[i], part_entries(c, i) * dtype_bytes(part_of(i)->dtype));
    if (s.scores && c->shape.scores)
        restore_scores(c, s.scores, s.samples);
}

int64_t checkpoint_epoch(const struct checkpoint *c)
{
    return c->cursor.epoch;
}

uint64_t checkpoint_step(const struct checkpoint *c)
{
    return c->cursor.step;
}

const float *checkpoint_model(const struct checkpoint *c, int64_t *ret_epochs)
{
    const struct run_chosen *chosen = c->data[PART_CHOSEN];
    const bool chose = chosen && chosen->epoch >= 0;

    *ret_epochs = chose ? (int64_t)chosen->epoch + 1 : c->cursor.epoch;
    return c->data[chose ? PART_CHOSEN_THETA : PART_THETA];
}

const char *checkpoint_class_names(const struct checkpoint *c)
{
    return c->class_names;
}

void checkpoint_model_hash(const struct checkpoint *c, char ret[SHA256_HEX])
{
    int64_t epochs;

    sha256_hex_of(checkpoint_model(c, &epochs), c->shape.floats * sizeof(float), ret);
}

static void cursor_pack(const struct run_cursor *c, double words[CURSOR_WORDS])
{
    words[CURSOR_EPOCH] = (double)c->epoch;
    words[CURSOR_STEP] = (double)c->step;
    words[CURSOR_STEP_IN_EPOCH] = (double)c->step_in_epoch;
    memcpy(words + CURSOR_SUMS, c->sums, sizeof(c->sums));
    words[CURSOR_LR] = c->lr;
    words[CURSOR_SECONDS] = c->seconds;
}

static int cursor_unpack(const double words[CURSOR_WORDS], struct run_cursor *c, struct errbuf *why)
{
    static const struct {
        const char *name;
        double max;
    } counts[] = {[CURSOR_EPOCH] = {"epoch", EPOCHS_MAX},
                  [CURSOR_STEP] = {"step", 0x1p53},
                  [CURSOR_STEP_IN_EPOCH] = {"step_in_epoch", UINT32_MAX}};

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        if (!(words[i] >= 0 && words[i] <= counts[i].max))
            return err_set(why, -EINVAL, "%s is %g, allowed is 0 to %g", counts[i].name, words[i],
                           counts[i].max);
    c->epoch = (int64_t)words[CURSOR_EPOCH];
    c->step = (uint64_t)words[CURSOR_STEP];
    c->step_in_epoch = (uint32_t)words[CURSOR_STEP_IN_EPOCH];
    memcpy(c->sums, words + CURSOR_SUMS, sizeof(c->sums));
    c->lr = words[CURSOR_LR];
    c->seconds = words[CURSOR_SECONDS];
    return 0;
}

static struct tensor part_tensor(const struct checkpoint *c, int i)
{
    const struct part *p = part_of(i);
    const char *name = i < PART_VECTORS ? p->name : c->shape.vectors[i - PART_VECTORS];
    uint64_t shape[2] = {part_rows(c, i), (uint64_t)p->columns};

    return tensor_make(name, p->dtype, p->columns ? 2 : 1, shape, c->data[i]);
}

static int given_up(const char *path, struct errbuf *why)
{
    return err_set(why, -ESHUTDOWN, "the server is stopping; checkpoint %s was not finished", path);
}

int checkpoint_write(const struct checkpoint *c, const char *path, const _Atomic bool *stop,
                     char ret_sha256[SHA256_HEX], struct errbuf *why)
{
    struct tensor tensors[PARTS_MAX];
    const struct scaling *scaling = &c->shape.scaling;
    char mean[SCALING_LIST_BYTES], std[SCALING_LIST_BYTES];
    struct safetensors_meta meta[4] = {{"format", FORMAT}};
    uint8_t digest[SHA256_BYTES];
    int count = 0, said = 1;

    if (scaling->channels > 0) {
        meta[said++] =
            (struct safetensors_meta){"mean", scaling_list(scaling->mean, scaling->channels, mean)};
        meta[said++] =
            (struct safetensors_meta){"std", scaling_list(scaling->std, scaling->channels, std)};
    }
    if (c->class_names)
        meta[said++] = (struct safetensors_meta){"class_names", c->class_names};

    cursor_pack(&c->cursor, c->data[PART_CURSOR]);
    for (int i = 0; i < c->part_count; i++)
        if (part_used(c, i))
            tensors[count++] = part_tensor(c, i);
    int rc = safetensors_write_until(path, tensors, count, meta, said, stop, why);
    if (rc == 0)
        rc = sha256_file_until(path, stop, digest, why);
    if (rc == 0)
        text_hex(digest, sizeof(digest), ret_sha256);
    return rc == -EINTR ? given_up(path, why) : rc;
}

/* A file from before there was metadata is accepted as it is. */
static int read_said(const struct safetensors *st, struct checkpoint *c, struct errbuf *why)
{
    const char *mean = safetensors_meta_get(st, "mean"), *std = safetensors_meta_get(st, "std");
    const char *names = safetensors_meta_get(st, "class_names");
    const struct scaling *want = &c->shape.scaling;
    char list[SCALING_LIST_BYTES];

    if (want->channels > 0 && mean &&
        strcmp(mean, scaling_list(want->mean, want->channels, list)) != 0)
        return err_set(why, -EINVAL, "mean is \"%s\", the job's is \"%s\"", mean, list);
    if (want->channels > 0 && std &&
        strcmp(std, scaling_list(want->std, want->channels, list)) != 0)
        return err_set(why, -EINVAL, "std is \"%s\", the job's is \"%s\"", std, list);
    if (names && strlen(names) <= CLASS_NAMES_BYTES_MAX)
        c->class_names = xstrdup(names);
    return 0;
}

static int check_chosen(const struct run_chosen *chosen, struct errbuf *why)
{
    if (chosen && !(chosen->epoch >= -1 && chosen->epoch < EPOCHS_MAX))
        return err_set(why, -EINVAL, "the chosen epoch is %g, allowed is -1 to %d", chosen->epoch,
                       EPOCHS_MAX - 1);
    return 0;
}

/* A file of a later version is not damaged: it stays as it is for the program that wrote it. */
static int check_format(const struct safetensors *st, struct errbuf *why)
{
    const char *format = safetensors_meta_get(st, "format");
    int64_t version;

    if (format && strcmp(format, FORMAT) == 0)
        return 0;
    if (format && strncmp(format, FORMAT_NAME, strlen(FORMAT_NAME)) == 0 &&
        text_i64(format + strlen(FORMAT_NAME), 2, INT32_MAX, &version))
        return err_set(
            why, -ENOTSUP,
            "a newer Steppe wrote it (its format is \"%s\", this one knows \"%s\"); it was "
            "not touched; use that version",
            format, FORMAT);
    return err_set(why, -EINVAL, "format is \"%s\", expected \"%s\"", format ? format : "", FORMAT);
}

static int read_parts(const struct safetensors *st, struct checkpoint *c, struct errbuf *why)
{
    int rc = check_format(st, why);

    if (rc < 0)
        return rc;
    const bool steps_measure = c->shape.scores;
    c->shape.scores = steps_measure && safetensors_find(st, parts[PART_VALUES].name);
    for (int i = 0; i < c->part_count; i++) {
        if (!part_used(c, i))
            continue;
        struct tensor want = part_tensor(c, i);
        const struct tensor *t;

        rc = safetensors_need(st, want.name, want.dtype, want.dims, &t, why);
        if (rc < 0)
            return rc;
        if (memcmp(t->shape, want.shape, (size_t)want.dims * sizeof(want.shape[0])) != 0)
            return err_set(why, -EINVAL, "tensor %s has %llu rows, expected %llu", want.name,
                           (unsigned long long)t->shape[0], (unsigned long long)want.shape[0]);
        memcpy(c->data[i], t->data, t->bytes);
    }
    rc = read_said(st, c, why);
    if (rc == 0)
        rc = check_chosen(c->data[PART_CHOSEN], why);
    if (rc == 0)
        rc = cursor_unpack(c->data[PART_CURSOR], &c->cursor, why);
    if (rc == 0 && steps_measure && !c->shape.scores && c->cursor.step_in_epoch > 0)
        rc = err_set(why, -EINVAL, "it is of the middle of an epoch, and has no tensor %s",
                     parts[PART_VALUES].name);
    return rc;
}

/* A file that cannot be read as a checkpoint is damaged, unless it is memory or descriptors that
 * are out, or the file is of a later version. */
static int damage_of(int rc)
{
    return rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE || rc == -ENOTSUP ? rc : -EUCLEAN;
}

int checkpoint_read(const char *path, const char *want_sha256, const struct checkpoint_shape *shape,
                    const _Atomic bool *stop, struct checkpoint **ret, struct errbuf *why)
{
    struct checkpoint *c = checkpoint_new(shape);
    struct safetensors st = {0};
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX] = "";
    int rc;

    if (!c)
        return err_set(why, -ENOMEM, "no memory for the checkpoint %s", path);
    rc = sha256_file_until(path, stop, digest, why);
    if (rc == -EINTR)
        rc = given_up(path, why);
    if (rc < 0)
        goto out;
    text_hex(digest, sizeof(digest), hex);
    if (strcmp(hex, want_sha256) != 0) {
        rc = err_set(why, -EUCLEAN, "checkpoint %s is damaged: its SHA-256 is not the recorded one",
                     path);
        goto out;
    }
    rc = safetensors_open(path, &st, why);
    if (rc == 0)
        rc = read_parts(&st, c, why);
    if (rc < 0)
        rc = err_prefix(why, damage_of(rc), "checkpoint %s", path);
out:
    safetensors_close(&st);
    if (rc < 0)
        checkpoint_free(c);
    else
        *ret = c;
    return rc;
}

/* The part of a file that has the model which people get. */
static int model_part(const struct safetensors *st, const struct checkpoint_shape *shape,
                      struct errbuf *why)
{
    const struct tensor *t;
    struct run_chosen chosen;

    if (!shape->chosen)
        return PART_THETA;
    int rc = safetensors_need(st, parts[PART_CHOSEN].name, DTYPE_F64, 1, &t, why);
    if (rc == 0 && t->bytes != sizeof(chosen))
        rc = err_set(why, -EINVAL, "chosen has %zu bytes, expected %zu", t->bytes, sizeof(chosen));
    if (rc < 0)
        return rc;
    memcpy(&chosen, t->data, sizeof(chosen));
    return chosen.epoch >= 0 ? PART_CHOSEN_THETA : PART_THETA;
}

int checkpoint_read_model(const char *path, const struct checkpoint_shape *shape, size_t offset,
                          size_t bytes, void *out, struct errbuf *why)
{
    const size_t whole = shape->floats * sizeof(float);
    struct safetensors st = {0};
    const struct tensor *t = NULL;
    int rc, part = PART_THETA;

    if (offset > whole || bytes > whole - offset)
        return err_set(why, -EINVAL, "the request is for %zu bytes from %zu, theta has %zu", bytes,
                       offset, whole);
    rc = safetensors_open(path, &st, why);
    if (rc == 0)
        rc = check_format(&st, why);
    if (rc == 0)
        rc = part = model_part(&st, shape, why);
    if (rc >= 0)
        rc = safetensors_need(&st, parts[part].name, DTYPE_F32, 1, &t, why);
    if (rc == 0 && t->bytes != whole)
        rc = err_set(why, -EINVAL, "theta has %zu bytes, expected %zu", t->bytes, whole);
    if (rc == 0)
        memcpy(out, (const char *)t->data + offset, bytes);
    else
        rc = err_prefix(why, damage_of(rc), "checkpoint %s", path);
    safetensors_close(&st);
    return rc;
}
