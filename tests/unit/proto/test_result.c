/* The tensors of a task.result: what a worker packs is what the server unpacks, and whatever is not
 * of the shape that the server waits for is refused by name. */
#include "proto/result.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/bounds.h"
#include "proto/frame.h"
#include "proto/messages.h"
#include "tests/harness.h"

enum { FLOATS = 7, SAMPLES = 5, CLASSES = 3 };

static const struct result_shape whole = {
    .floats = FLOATS, .sums = true, .samples = SAMPLES, .classes = CLASSES};

struct numbers {
    float grad[FLOATS];
    double sums[SUM_COUNT];
    struct score scores[SAMPLES];
    float probabilities[SAMPLES * CLASSES];
};

/* No two of them are equal. */
static struct numbers make_numbers(void)
{
    struct numbers n = {.sums = {0}};

    for (int i = 0; i < FLOATS; i++)
        n.grad[i] = 0.5f * (float)i - 1;
    for (enum sum i = 0; i < SUM_COUNT; i++)
        n.sums[i] = 1.0 / (i + 3);
    for (int i = 0; i < SAMPLES * CLASSES; i++)
        n.probabilities[i] = 0.01f * (float)(i + 1);
    for (int i = 0; i < SAMPLES; i++)
        n.scores[i] = (struct score){.loss = 100 * i + 0.1,
                                     .adv_loss = 100 * i + 0.2,
                                     .grad_norm = 100 * i + 0.3,
                                     .el2n = 100 * i + 0.4,
                                     .predicted = 2 * i - 1,
                                     .adv_predicted = 2 * i + 100,
                                     .flags = 7u * (unsigned)i + 1};
    return n;
}

static void assert_score(const struct score *want, const struct score *got)
{
    ASSERT_NEAR(want->loss, got->loss, 0);
    ASSERT_NEAR(want->adv_loss, got->adv_loss, 0);
    ASSERT_NEAR(want->grad_norm, got->grad_norm, 0);
    ASSERT_NEAR(want->el2n, got->el2n, 0);
    ASSERT_EQ(want->predicted, got->predicted);
    ASSERT_EQ(want->adv_predicted, got->adv_predicted);
    ASSERT_EQ(want->flags, got->flags);
}

/* What n says, packed to this shape; the tensors lie in the message, views of n and of the room. */
static struct message pack(const struct numbers *n, const struct result_shape *shape,
                           struct result_room *room)
{
    const struct result r = {n->grad, n->sums, n->scores, n->probabilities};
    struct message m = {.json = NULL};
    struct errbuf why;

    ASSERT_OK(result_room(room, shape->samples, &why), why);
    m.tensor_count = result_pack(shape, &r, room, m.tensors);
    return m;
}

static void assert_numbers(const struct numbers *want, const struct result_shape *shape,
                           const struct result *got)
{
    if (shape->floats)
        ASSERT_MEM(want->grad, got->grad, sizeof(want->grad));
    else
        ASSERT(!got->grad);
    for (enum sum i = 0; shape->sums && i < SUM_COUNT; i++)
        ASSERT_NEAR(want->sums[i], got->sums[i], 0);
    ASSERT_EQ(shape->sums, got->sums != NULL);
    for (uint32_t i = 0; i < shape->samples; i++)
        assert_score(&want->scores[i], &got->scores[i]);
    ASSERT_EQ(shape->samples > 0, got->scores != NULL);
    if (shape->classes)
        ASSERT_MEM(want->probabilities, got->probabilities, sizeof(want->probabilities));
    else
        ASSERT(!got->probabilities);
}

TEST(the_tensors_are_those_of_the_protocol)
{
    static const struct {
        const char *name;
        enum dtype dtype;
        int dims;
        uint64_t shape[2];
    } want[RESULT_PARTS] = {
        [RESULT_GRAD] = {"grad", DTYPE_F32, 1, {FLOATS}},
        [RESULT_SUMS] = {"sums", DTYPE_F64, 1, {5}},
        [RESULT_SCORES] = {"scores", DTYPE_F64, 2, {SAMPLES, 4}},
        [RESULT_CLASSES] = {"classes", DTYPE_I32, 2, {SAMPLES, 2}},
        [RESULT_FLAGS] = {"flags", DTYPE_U32, 1, {SAMPLES}},
        [RESULT_PROBABILITIES] = {"probabilities", DTYPE_F32, 2, {SAMPLES, CLASSES}},
    };
    static const double row[4] = {100.1, 100.2, 100.3, 100.4};
    static const int32_t pair[2] = {1, 102};
    const struct numbers n = make_numbers();
    struct result_room room = {.rows = NULL};
    const struct message m = pack(&n, &whole, &room);

    ASSERT_EQ(RESULT_PARTS, m.tensor_count);
    ASSERT_EQ(RESULT_PARTS, message_tensors_max(MSG_TASK_RESULT));
    for (int i = 0; i < RESULT_PARTS; i++) {
        ASSERT_STR(want[i].name, m.tensors[i].name);
        ASSERT_EQ(want[i].dtype, m.tensors[i].dtype);
        ASSERT_EQ(want[i].dims, m.tensors[i].dims);
        for (int d = 0; d < want[i].dims; d++)
            ASSERT_EQ(want[i].shape[d], m.tensors[i].shape[d]);
    }
    /* The gradient is not copied. */
    ASSERT(m.tensors[RESULT_GRAD].data == n.grad);
    ASSERT_MEM(row, (const double *)m.tensors[RESULT_SCORES].data + 4, sizeof(row));
    ASSERT_MEM(pair, (const int32_t *)m.tensors[RESULT_CLASSES].data + 2, sizeof(pair));
    ASSERT_EQ(8, ((const uint32_t *)m.tensors[RESULT_FLAGS].data)[1]);
    result_room_done(&room);
}

TEST(what_is_packed_comes_back_in_every_shape)
{
    const struct numbers n = make_numbers();
    struct result_room from = {.rows = NULL}, to = {.rows = NULL};

    for (unsigned i = 0; i < 16; i++) {
        if ((i & 12) == 8)
            continue; /* probabilities come with scores */
        const struct result_shape shape = {.floats = i & 1 ? FLOATS : 0,
                                           .sums = i & 2,
                                           .samples = i & 4 ? SAMPLES : 0,
                                           .classes = i & 8 ? CLASSES : 0};
        const struct message m = pack(&n, &shape, &from);
        struct result got = {.grad = NULL};
        struct errbuf why;

        ASSERT_EQ((i & 1) + (i >> 1 & 1) + 3 * (i >> 2 & 1) + (i >> 3), m.tensor_count);
        ASSERT_OK(result_unpack(&m, &shape, &to, &got, &why), why);
        assert_numbers(&n, &shape, &got);
    }
    result_room_done(&from);
    result_room_done(&to);
}

TEST(a_result_is_read_wherever_it_lies_in_a_message)
{
    const struct numbers n = make_numbers();
    struct result_room from = {.rows = NULL}, to = {.rows = NULL};
    const struct message packed = pack(&n, &whole, &from);
    cJSON *json = cJSON_CreateObject();
    struct errbuf why;
    void *body;
    size_t bytes;

    ASSERT_OK(message_encode(json, packed.tensors, packed.tensor_count, NULL, malloc, &body, &bytes,
                             &why),
              why);
    for (size_t shift = 0; shift < 16; shift++) {
        uint8_t *copy = malloc(bytes + shift);
        struct result got;
        struct message m;

        ASSERT(copy);
        memcpy(copy + shift, body, bytes);
        ASSERT_OK(message_decode(copy + shift, bytes, JSON_REQUEST_BYTES_MAX, &m, &why), why);
        ASSERT_OK(result_unpack(&m, &whole, &to, &got, &why), why);
        assert_numbers(&n, &whole, &got);
        ASSERT((const uint8_t *)got.grad > copy &&
               (const uint8_t *)got.grad < copy + shift + bytes);
        message_done(&m);
        free(copy);
    }
    free(body);
    cJSON_Delete(json);
    result_room_done(&from);
    result_room_done(&to);
}

static void assert_refused(const struct message *m, const struct result_shape *shape,
                           const char *sentence)
{
    struct result_room room = {.rows = NULL};
    struct errbuf why = {""};
    struct result got;

    ASSERT_EQ(-EINVAL, result_unpack(m, shape, &room, &got, &why));
    ASSERT_STR(sentence, why.text);
    ASSERT(!room.rows); /* nothing was made for it */
}

TEST(a_tensor_that_is_missing_is_named)
{
    static const char *const sentences[RESULT_PARTS] = {
        [RESULT_GRAD] = "tensor grad is missing",
        [RESULT_SUMS] = "tensor sums is missing",
        [RESULT_SCORES] = "tensor scores is missing",
        [RESULT_CLASSES] = "tensor classes is missing",
        [RESULT_FLAGS] = "tensor flags is missing",
        [RESULT_PROBABILITIES] = "tensor probabilities is missing",
    };
    const struct numbers n = make_numbers();
    struct result_room room = {.rows = NULL};

    for (int part = 0; part < RESULT_PARTS; part++) {
        struct message m = pack(&n, &whole, &room);
        m.tensors[part] = m.tensors[--m.tensor_count];
        assert_refused(&m, &whole, sentences[part]);
    }
    result_room_done(&room);
}

TEST(a_tensor_of_another_type_or_shape_is_named_with_what_is_allowed)
{
    static const struct {
        enum result_part part;
        enum dtype dtype;
        int dims;
        uint64_t shape[2];
        const char *sentence;
    } wrong[] = {
        {RESULT_GRAD, DTYPE_F64, 1, {FLOATS}, "tensor grad is F64 [7], allowed is F32 [7]"},
        {RESULT_GRAD, DTYPE_F32, 1, {FLOATS - 1}, "tensor grad is F32 [6], allowed is F32 [7]"},
        {RESULT_GRAD, DTYPE_F32, 2, {FLOATS, 1}, "tensor grad is F32 [7, 1], allowed is F32 [7]"},
        {RESULT_SUMS, DTYPE_F32, 1, {SUM_COUNT}, "tensor sums is F32 [5], allowed is F64 [5]"},
        {RESULT_SUMS, DTYPE_F64, 1, {SUM_COUNT + 1}, "tensor sums is F64 [6], allowed is F64 [5]"},
        {RESULT_SCORES,
         DTYPE_F64,
         2,
         {4, SAMPLES},
         "tensor scores is F64 [4, 5], allowed is F64 [5, 4]"},
        {RESULT_SCORES,
         DTYPE_F64,
         1,
         {4 * SAMPLES},
         "tensor scores is F64 [20], allowed is F64 [5, 4]"},
        {RESULT_SCORES,
         DTYPE_U64,
         2,
         {SAMPLES, 4},
         "tensor scores is U64 [5, 4], allowed is F64 [5, 4]"},
        {RESULT_CLASSES,
         DTYPE_U32,
         2,
         {SAMPLES, 2},
         "tensor classes is U32 [5, 2], allowed is I32 [5, 2]"},
        {RESULT_CLASSES,
         DTYPE_I32,
         2,
         {SAMPLES, 1},
         "tensor classes is I32 [5, 1], allowed is I32 [5, 2]"},
        {RESULT_FLAGS, DTYPE_I32, 1, {SAMPLES}, "tensor flags is I32 [5], allowed is U32 [5]"},
        {RESULT_FLAGS, DTYPE_U32, 1, {0}, "tensor flags is U32 [0], allowed is U32 [5]"},
        {RESULT_PROBABILITIES,
         DTYPE_F32,
         2,
         {SAMPLES, CLASSES + 1},
         "tensor probabilities is F32 [5, 4], allowed is F32 [5, 3]"},
    };
    static const uint8_t zeros[256];
    const struct numbers n = make_numbers();
    struct result_room room = {.rows = NULL};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct message m = pack(&n, &whole, &room);
        struct tensor *t = &m.tensors[wrong[i].part];
        *t = tensor_make(t->name, wrong[i].dtype, wrong[i].dims, wrong[i].shape, zeros);
        assert_refused(&m, &whole, wrong[i].sentence);
    }
    result_room_done(&room);
}

TEST(what_the_shape_leaves_out_is_not_looked_at)
{
    static const struct result_shape sums = {.sums = true};
    const struct numbers n = make_numbers();
    struct result_room from = {.rows = NULL}, to = {.rows = NULL};
    struct message m = pack(&n, &whole, &from);
    struct errbuf why;
    struct result got;

    m.tensors[RESULT_FLAGS] = tensor_1d("flags", DTYPE_U8, 1, "");
    ASSERT_OK(result_unpack(&m, &sums, &to, &got, &why), why);
    ASSERT(!got.grad && !got.scores);
    ASSERT_NEAR(n.sums[SUM_LOSS_HAT], got.sums[SUM_LOSS_HAT], 0);
    result_room_done(&from);
    result_room_done(&to);
}

TEST(numbers_come_as_they_are)
{
    struct numbers n = make_numbers();
    struct result_room from = {.rows = NULL}, to = {.rows = NULL};
    struct errbuf why;
    struct result got;

    n.grad[3] = NAN;
    n.sums[SUM_WEIGHT] = -INFINITY;
    n.scores[4].el2n = INFINITY;
    n.scores[0].predicted = INT32_MIN;
    n.scores[0].flags = UINT32_MAX;
    const struct message m = pack(&n, &whole, &from);
    ASSERT_OK(result_unpack(&m, &whole, &to, &got, &why), why);
    ASSERT_MEM(n.grad, got.grad, sizeof(n.grad));
    ASSERT(got.sums[SUM_WEIGHT] == -INFINITY && got.scores[4].el2n == INFINITY);
    ASSERT_EQ(INT32_MIN, got.scores[0].predicted);
    ASSERT_EQ(UINT32_MAX, got.scores[0].flags);
    result_room_done(&from);
    result_room_done(&to);
}

/* From message to message there is no new memory. */
TEST(a_room_is_used_again)
{
    struct result_room room = {.rows = NULL};
    struct errbuf why;

    ASSERT_OK(result_room(&room, 100, &why), why);
    const void *rows = room.rows;
    ASSERT_OK(result_room(&room, 7, &why), why);
    ASSERT_OK(result_room(&room, 100, &why), why);
    ASSERT(room.rows == rows);
    ASSERT_OK(result_room(&room, 101, &why), why);
    ASSERT_EQ(101, room.capacity);
    result_room_done(&room);
    ASSERT(!room.rows && room.capacity == 0);
}

TEST(a_phase_decides_what_its_results_carry)
{
    static const struct {
        bool sums, scores, fused_scores, no_vector;
    } want[PHASES] = {
        [PHASE_TRAIN] = {.sums = true, .fused_scores = true},
        [PHASE_ASCENT] = {.sums = true, .fused_scores = true},
        [PHASE_DESCENT] = {.sums = true},
        [PHASE_SWEEP] = {.scores = true, .fused_scores = true},
        [PHASE_TEST] = {.scores = true, .fused_scores = true},
        [PHASE_VALIDATION] = {.scores = true, .fused_scores = true},
        [PHASE_HELD_TEST] = {.scores = true, .fused_scores = true},
        [PHASE_SLOPE] = {.sums = true},
        [PHASE_PRODUCT] = {.sums = true},
        [PHASE_LOSS] = {.sums = true, .no_vector = true},
    };

    for (enum phase i = 0; i < PHASES; i++) {
        const struct result_shape plain = result_shape(i, false, FLOATS, SAMPLES, CLASSES),
                                  fused = result_shape(i, true, FLOATS, SAMPLES, CLASSES);
        ASSERT_EQ(want[i].sums, plain.sums);
        ASSERT_EQ(want[i].sums && !want[i].no_vector ? FLOATS : 0, plain.floats);
        ASSERT(!plain.ahead);
        ASSERT_EQ(want[i].sums, fused.sums);
        ASSERT_EQ(want[i].scores ? SAMPLES : 0, plain.samples);
        ASSERT_EQ(want[i].fused_scores ? SAMPLES : 0, fused.samples);
        ASSERT_EQ(i == PHASE_SWEEP ? CLASSES : 0, plain.classes);
    }
    ASSERT_EQ(INLINE_FLOATS_MAX, result_shape(PHASE_TRAIN, false, INLINE_FLOATS_MAX, 1, 0).floats);
    /* A longer one goes ahead. */
    ASSERT_EQ(0, result_shape(PHASE_TRAIN, false, INLINE_FLOATS_MAX + 1, 1, 0).floats);
    ASSERT(result_shape(PHASE_TRAIN, false, INLINE_FLOATS_MAX + 1, 1, 0).sums);
    ASSERT(result_shape(PHASE_TRAIN, false, INLINE_FLOATS_MAX + 1, 1, 0).ahead);
    ASSERT(!result_shape(PHASE_LOSS, false, INLINE_FLOATS_MAX + 1, 1, 0).ahead);
}
