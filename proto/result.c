#include "proto/result.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "proto/frame.h"

/* A tensor of columns has a row a sample: fields of one type that lie side by side in its score. */
static const struct part {
    const char *name;
    enum dtype dtype;
    uint32_t columns; /* 0: it has one dimension */
    size_t field;     /* of the first column in struct score */
} parts[RESULT_PARTS] = {
    [RESULT_GRAD] = {.name = "grad", .dtype = DTYPE_F32},
    [RESULT_SUMS] = {.name = "sums", .dtype = DTYPE_F64}, /* by enum sum */
    /* loss, adv_loss, grad_norm, el2n */
    [RESULT_SCORES] = {"scores", DTYPE_F64, 4, offsetof(struct score, loss)},
    /* predicted, adv_predicted */
    [RESULT_CLASSES] = {"classes", DTYPE_I32, 2, offsetof(struct score, predicted)},
    [RESULT_FLAGS] = {"flags", DTYPE_U32, 0, offsetof(struct score, flags)},
    [RESULT_PROBABILITIES] = {.name = "probabilities", .dtype = DTYPE_F32}, /* columns: classes */
};

#define SCORE_BYTES (4 * sizeof(double) + 2 * sizeof(int32_t) + sizeof(uint32_t))

_Static_assert(offsetof(struct score, adv_loss) == offsetof(struct score, loss) + 8 &&
                   offsetof(struct score, grad_norm) == offsetof(struct score, loss) + 16 &&
                   offsetof(struct score, el2n) == offsetof(struct score, loss) + 24,
               "the columns of scores");
_Static_assert(offsetof(struct score, adv_predicted) == offsetof(struct score, predicted) + 4,
               "the columns of classes");
_Static_assert(sizeof(struct score) >= SCORE_BYTES, "a room holds scores either way");

struct result_shape result_shape(enum phase phase, bool fused, size_t floats, uint32_t samples,
                                 uint32_t classes)
{
    const bool vector = phase_vector(phase), fits = floats <= INLINE_FLOATS_MAX;

    return (struct result_shape){.floats = vector && fits ? floats : 0,
                                 .ahead = vector && !fits,
                                 .sums = phase_sums(phase),
                                 .samples = phase_scores(phase, fused) ? samples : 0,
                                 .classes = phase == PHASE_SWEEP ? classes : 0};
}

int result_room(struct result_room *room, uint32_t samples, struct errbuf *why)
{
    if (samples <= room->capacity)
        return 0;
    result_room_done(room);
    room->rows = alloc_bytes(samples, sizeof(struct score));
    if (!room->rows)
        return err_set(why, -ENOMEM, "no memory for the scores of %u samples", samples);
    room->capacity = samples;
    return 0;
}

void result_room_done(struct result_room *room)
{
    free(room->rows);
    *room = (struct result_room){.rows = NULL};
}

static uint64_t rows_of(const struct result_shape *shape, enum result_part part)
{
    if (part == RESULT_GRAD)
        return shape->floats;
    if (part == RESULT_SUMS)
        return shape->sums ? SUM_COUNT : 0;
    return part == RESULT_PROBABILITIES && !shape->classes ? 0 : shape->samples;
}

static uint32_t columns_of(const struct result_shape *shape, enum result_part part)
{
    return part == RESULT_PROBABILITIES ? shape->classes : parts[part].columns;
}

static bool is_of_score(enum result_part part)
{
    return part >= RESULT_SCORES && part <= RESULT_FLAGS;
}

static size_t row_bytes(const struct part *p)
{
    return dtype_bytes(p->dtype) * (p->columns ? p->columns : 1);
}

size_t result_row_bytes(const struct result_shape *shape)
{
    return shape->samples == 0 ? 0 : SCORE_BYTES + shape->classes * sizeof(float);
}

/* Copies one part of all scores to out. */
static void pack_rows(const struct part *p, const struct score *scores, uint32_t samples, void *out)
{
    const size_t bytes = row_bytes(p);

    for (size_t i = 0; i < samples; i++)
        memcpy((char *)out + i * bytes, (const char *)&scores[i] + p->field, bytes);
}

static void unpack_rows(const struct part *p, const void *rows, uint32_t samples,
                        struct score *scores)
{
    const size_t bytes = row_bytes(p);

    for (size_t i = 0; i < samples; i++)
        memcpy((char *)&scores[i] + p->field, (const char *)rows + i * bytes, bytes);
}

int result_pack(const struct result_shape *shape, const struct result *r, struct result_room *room,
                struct tensor ret[RESULT_PARTS])
{
    char *rows = room->rows;
    int count = 0;

    assert(shape->samples <= room->capacity);
    for (enum result_part i = 0; i < RESULT_PARTS; i++) {
        const struct part *p = &parts[i];
        const uint64_t sides[2] = {rows_of(shape, i), columns_of(shape, i)};
        const void *data = i == RESULT_GRAD            ? r->grad
                           : i == RESULT_PROBABILITIES ? r->probabilities
                                                       : (const void *)r->sums;

        if (sides[0] == 0)
            continue;
        if (is_of_score(i)) {
            pack_rows(p, r->scores, shape->samples, rows);
            data = rows;
            rows += shape->samples * row_bytes(p);
        }
        ret[count++] = tensor_make(p->name, p->dtype, sides[1] ? 2 : 1, sides, data);
    }
    return count;
}

int result_unpack(const struct message *m, const struct result_shape *shape,
                  struct result_room *room, struct result *ret, struct errbuf *why)
{
    const struct tensor *found[RESULT_PARTS] = {NULL};
    int rc = 0;

    /* Memory is for those who sent what it is for. */
    for (enum result_part i = 0; rc == 0 && i < RESULT_PARTS; i++) {
        const uint64_t sides[2] = {rows_of(shape, i), columns_of(shape, i)};
        if (sides[0] > 0)
            rc = message_tensor(m, parts[i].name, parts[i].dtype, sides[1] ? 2 : 1, sides,
                                &found[i], why);
    }
    if (rc == 0)
        rc = result_room(room, shape->samples, why);
    if (rc < 0)
        return rc;
    *ret = (struct result){.grad = NULL};
    if (found[RESULT_GRAD])
        ret->grad = found[RESULT_GRAD]->data;
    if (found[RESULT_SUMS])
        ret->sums = memcpy(room->sums, found[RESULT_SUMS]->data, sizeof(room->sums));
    if (found[RESULT_PROBABILITIES])
        ret->probabilities = found[RESULT_PROBABILITIES]->data;
    for (enum result_part i = RESULT_SCORES; i <= RESULT_FLAGS; i++)
        if (found[i])
            unpack_rows(&parts[i], found[i]->data, shape->samples, room->rows);
    if (shape->samples)
        ret->scores = room->rows;
    return 0;
}
