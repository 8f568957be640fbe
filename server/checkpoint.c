/* One table says what a checkpoint holds; taking, writing, reading and restoring walk it. */
#include "server/checkpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/safetensors.h"
#include "common/text.h"

#define FORMAT "steppe-checkpoint-1"

/* The cursor as it lies in the file: all 64-bit, little-endian. */
#define CURSOR_WORDS (3 + RUN_SUMS + 2)

enum { PART_CURSOR, PART_THETA, PART_VELOCITY, PART_RANK, PART_VALUES, PART_CLASSES, PARTS };

static const struct {
    const char *name;
    enum dtype dtype;
    int columns; /* 0: one-dimensional */
    bool per_sample;
} parts[PARTS] = {
    [PART_CURSOR] = {"cursor", DTYPE_F64, 0, false},
    [PART_THETA] = {"theta", DTYPE_F32, 0, false},
    [PART_VELOCITY] = {"velocity", DTYPE_F32, 0, false},
    [PART_RANK] = {"rank", DTYPE_F64, 0, true},
    [PART_VALUES] = {"open_scores", DTYPE_F64, 4, true},
    [PART_CLASSES] = {"open_classes", DTYPE_U32, 3, true},
};

struct checkpoint {
    size_t floats;
    uint32_t samples;
    struct run_cursor cursor;
    float *theta, *velocity;
    double *rank;
    double *values;    /* [samples, 4] */
    uint32_t *classes; /* [samples, 3]: predicted, adv_predicted, flags */
};

static struct checkpoint *checkpoint_new(size_t floats, uint32_t samples)
{
    struct checkpoint *c = xcalloc(1, sizeof(*c));

    c->floats = floats;
    c->samples = samples;
    c->theta = alloc_bytes(floats, sizeof(float));
    c->velocity = alloc_bytes(floats, sizeof(float));
    c->rank = alloc_bytes(samples, sizeof(double));
    c->values = alloc_bytes(samples, 4 * sizeof(double));
    c->classes = alloc_bytes(samples, 3 * sizeof(uint32_t));
    if (!c->theta || !c->velocity || !c->rank || !c->values || !c->classes) {
        checkpoint_free(c);
        return NULL;
    }
    return c;
}

void checkpoint_free(struct checkpoint *c)
{
    if (!c)
        return;
    free(c->theta);
    free(c->velocity);
    free(c->rank);
    free(c->values);
    free(c->classes);
    free(c);
}

struct checkpoint *checkpoint_take(struct run *r, int64_t now_ms)
{
    struct run_state s = run_state(r);
    struct checkpoint *c = checkpoint_new(s.floats, s.samples);

    if (!c)
        return NULL;
    c->cursor = run_cursor(r, now_ms);
    memcpy(c->theta, s.theta, s.floats * sizeof(float));
    memcpy(c->velocity, s.velocity, s.floats * sizeof(float));
    memcpy(c->rank, s.rank, s.samples * sizeof(double));
    for (uint32_t i = 0; i < s.samples; i++) {
        const struct score *o = &s.scores[i];
        double values[4] = {o->loss, o->adv_loss, o->grad_norm, o->el2n};
        uint32_t classes[3] = {(uint32_t)o->predicted, (uint32_t)o->adv_predicted, o->flags};

        memcpy(c->values + 4 * (size_t)i, values, sizeof(values));
        memcpy(c->classes + 3 * (size_t)i, classes, sizeof(classes));
    }
    return c;
}

void checkpoint_restore(const struct checkpoint *c, struct run *r)
{
    struct run_state s = run_state(r);

    *s.cursor = c->cursor;
    memcpy(s.theta, c->theta, s.floats * sizeof(float));
    memcpy(s.velocity, c->velocity, s.floats * sizeof(float));
    memcpy(s.rank, c->rank, s.samples * sizeof(double));
    for (uint32_t i = 0; i < s.samples; i++) {
        const double *v = c->values + 4 * (size_t)i;
        const uint32_t *k = c->classes + 3 * (size_t)i;

        s.scores[i] = (struct score){.loss = v[0],
                                     .adv_loss = v[1],
                                     .grad_norm = v[2],
                                     .el2n = v[3],
                                     .predicted = (int32_t)k[0],
                                     .adv_predicted = (int32_t)k[1],
                                     .flags = k[2]};
    }
}

int64_t checkpoint_epoch(const struct checkpoint *c)
{
    return c->cursor.epoch;
}

uint64_t checkpoint_step(const struct checkpoint *c)
{
    return c->cursor.step;
}

const float *checkpoint_theta(const struct checkpoint *c)
{
    return c->theta;
}

void checkpoint_model_hash(const struct checkpoint *c, char ret[SHA256_HEX])
{
    sha256_hex_of(c->theta, c->floats * sizeof(float), ret);
}

static void cursor_pack(const struct run_cursor *c, double words[CURSOR_WORDS])
{
    words[0] = (double)c->epoch;
    words[1] = (double)c->step;
    words[2] = (double)c->step_in_epoch;
    memcpy(words + 3, c->sums, sizeof(c->sums));
    words[3 + RUN_SUMS] = c->lr;
    words[4 + RUN_SUMS] = c->seconds;
}

static void cursor_unpack(const double words[CURSOR_WORDS], struct run_cursor *c)
{
    c->epoch = (int64_t)words[0];
    c->step = (uint64_t)words[1];
    c->step_in_epoch = (uint32_t)words[2];
    memcpy(c->sums, words + 3, sizeof(c->sums));
    c->lr = words[3 + RUN_SUMS];
    c->seconds = words[4 + RUN_SUMS];
}

static void *part_data(struct checkpoint *c, int part, double *cursor)
{
    void *const data[PARTS] = {cursor, c->theta, c->velocity, c->rank, c->values, c->classes};

    return data[part];
}

static struct tensor part_tensor(struct checkpoint *c, int part, double *cursor)
{
    uint64_t rows = part == PART_CURSOR      ? CURSOR_WORDS
                    : parts[part].per_sample ? c->samples
                                             : c->floats;
    uint64_t shape[2] = {rows, (uint64_t)parts[part].columns};

    return tensor_make(parts[part].name, parts[part].dtype, parts[part].columns ? 2 : 1, shape,
                       part_data(c, part, cursor));
}

int checkpoint_write(const struct checkpoint *c, const char *path, char ret_sha256[SHA256_HEX],
                     struct errbuf *why)
{
    struct checkpoint view = *c; /* the table hands out writable pointers; nothing is written */
    double cursor[CURSOR_WORDS];
    struct tensor tensors[PARTS];
    const struct safetensors_meta meta[] = {{"format", FORMAT}};
    uint8_t digest[SHA256_BYTES];

    cursor_pack(&c->cursor, cursor);
    for (int i = 0; i < PARTS; i++)
        tensors[i] = part_tensor(&view, i, cursor);
    int rc = safetensors_write(path, tensors, PARTS, meta, 1, why);
    if (rc == 0)
        rc = sha256_file(path, digest, why);
    if (rc == 0)
        text_hex(digest, sizeof(digest), ret_sha256);
    return rc;
}

static int read_parts(const struct safetensors *st, struct checkpoint *c, struct errbuf *why)
{
    double cursor[CURSOR_WORDS];
    const char *format = safetensors_meta_get(st, "format");

    if (!format || strcmp(format, FORMAT) != 0)
        return err_set(why, -EINVAL, "format is \"%s\", wanted \"%s\"", format ? format : "",
                       FORMAT);
    for (int i = 0; i < PARTS; i++) {
        struct tensor want = part_tensor(c, i, cursor);
        const struct tensor *t;
        int rc = safetensors_need(st, want.name, want.dtype, want.dims, &t, why);

        if (rc < 0)
            return rc;
        if (memcmp(t->shape, want.shape, (size_t)want.dims * sizeof(want.shape[0])) != 0)
            return err_set(why, -EINVAL, "tensor %s has %llu rows, wanted %llu", want.name,
                           (unsigned long long)t->shape[0], (unsigned long long)want.shape[0]);
        memcpy(part_data(c, i, cursor), t->data, t->bytes);
    }
    cursor_unpack(cursor, &c->cursor);
    return 0;
}

int checkpoint_read(const char *path, const char *want_sha256, size_t floats, uint32_t samples,
                    struct checkpoint **ret, struct errbuf *why)
{
    struct checkpoint *c = checkpoint_new(floats, samples);
    struct safetensors st = {0};
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX] = "";
    int rc;

    if (!c)
        return err_set(why, -ENOMEM, "no memory for the checkpoint %s", path);
    rc = sha256_file(path, digest, why);
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
        rc = err_prefix(why, -EUCLEAN, "checkpoint %s", path);
out:
    safetensors_close(&st);
    if (rc < 0)
        checkpoint_free(c);
    else
        *ret = c;
    return rc;
}
