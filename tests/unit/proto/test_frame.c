#include "proto/frame.h"

#include <errno.h>
#include <stdlib.h>

#include "common/bounds.h"
#include "common/file.h"
#include "common/rng.h"
#include "common/sums.h"
#include "tests/harness.h"

#define HEADER_BYTES 60

struct bytes {
    uint8_t *data;
    size_t count;
};

static struct bytes encode(const cJSON *json, const struct tensor *tensors, int count)
{
    struct errbuf why;
    struct bytes b;
    void *body;

    ASSERT_OK(message_encode(json, tensors, count, NULL, malloc, &body, &b.count, &why), why);
    b.data = body;
    return b;
}

static cJSON *parse(const char *text)
{
    cJSON *json = cJSON_Parse(text);

    ASSERT(json);
    return json;
}

/* A frame by PROTOCOL.md, without the codec: what it says may be wrong. */
static struct bytes make_frame(const char *text, size_t attachment_bytes)
{
    size_t json_bytes = strlen(text), start = HEADER_BYTES + json_bytes;

    while (start % 16 != 12)
        start++;
    struct bytes b = {calloc(1, start + attachment_bytes), start + attachment_bytes};
    ASSERT(b.data);
    memcpy(b.data, "\xF5SP\x01\x3C", 5);
    for (int i = 0; i < 4; i++)
        b.data[16 + i] = (uint8_t)(json_bytes >> 8 * i);
    for (int i = 0; i < 8; i++)
        b.data[20 + i] = (uint8_t)((uint64_t)attachment_bytes >> 8 * i);
    memcpy(b.data + HEADER_BYTES, text, json_bytes);
    return b;
}

/* Decodes a copy that ends where the memory ends, so that a sanitizer sees every step beyond. */
static int decode(const void *data, size_t bytes, struct errbuf *why)
{
    struct message m = {.json = NULL};
    uint8_t *copy = malloc(bytes ? bytes : 1);
    volatile uint8_t read = 0;

    ASSERT(copy);
    memcpy(copy, data, bytes);
    int rc = message_decode(copy, bytes, JSON_REQUEST_BYTES_MAX, &m, why);
    for (int t = 0; t < m.tensor_count; t++)
        for (size_t i = 0; i < m.tensors[t].bytes; i++)
            read = ((const uint8_t *)m.tensors[t].data)[i];
    ASSERT(rc == 0 || (m.json == NULL && m.tensor_count == 0));
    message_done(&m);
    free(copy);
    (void)read;
    return rc;
}

static void assert_refused(const void *data, size_t bytes, int code, const char *part)
{
    struct errbuf why = {""};

    ASSERT_EQ(code, decode(data, bytes, &why));
    ASSERT_HAS(part, why.text);
}

static void assert_tensors_refused(const char *list, size_t attachment_bytes, const char *part)
{
    char text[8192];

    snprintf(text, sizeof(text), "{\"tensors\":%s}", list);
    struct bytes b = make_frame(text, attachment_bytes);
    assert_refused(b.data, b.count, -EINVAL, part);
    free(b.data);
}

/* A result with three tensors, as a worker sends it. */
static struct bytes example(void)
{
    static const float grad[3] = {0.5f, -1.25f, 3e-20f};
    static const double sums[SUM_COUNT] = {[SUM_WEIGHT] = 2,
                                           [SUM_LOSS] = 0.1,
                                           [SUM_LOSS_HAT] = 0.2,
                                           [SUM_SAMPLES] = 2,
                                           [SUM_CORRECT] = 1};
    static const int32_t classes[4] = {9, -1, 3, INT32_MAX};
    static const uint64_t two_by_two[2] = {2, 2};
    const struct tensor tensors[] = {
        tensor_1d("grad", DTYPE_F32, 3, grad),
        tensor_1d("sums", DTYPE_F64, SUM_COUNT, sums),
        tensor_make("classes", DTYPE_I32, 2, two_by_two, classes),
    };
    cJSON *json = parse("{\"type\":\"task.result\",\"v\":1,\"id\":7,"
                        "\"sender\":\"6f1c0a52-93b7-4f0e-8a31-2d5e9c7b4410\",\"job\":3,"
                        "\"incarnation\":2,\"step\":41,\"phase\":0,\"lo\":0,\"hi\":2}");
    struct bytes b = encode(json, tensors, 3);

    cJSON_Delete(json);
    return b;
}

static struct bytes read_golden(const char *name)
{
    char path[128], *text;
    struct errbuf why;
    struct bytes b;

    snprintf(path, sizeof(path), "tests/golden/%s", name);
    if (file_read(path, 1 << 20, &text, &b.count, &why) < 0)
        SKIP("not run from the root of the repository");
    b.data = (uint8_t *)text;
    return b;
}

TEST(without_tensors_a_message_is_plain_json)
{
    cJSON *json = parse("{\"type\":\"ping\",\"id\":9007199254740992,\"list\":[1,\"\\u00e9\"]}");
    struct bytes b = encode(json, NULL, 0);
    struct errbuf why;
    struct message m;

    ASSERT_EQ('{', b.data[0]);
    ASSERT_EQ('}', b.data[b.count - 1]);
    ASSERT_OK(message_decode(b.data, b.count, JSON_REQUEST_BYTES_MAX, &m, &why), why);
    ASSERT(cJSON_Compare(json, m.json, 1));
    ASSERT_EQ(0, m.tensor_count);
    ASSERT(!m.release);
    message_done(&m);
    cJSON_Delete(json);
    free(b.data);
}

TEST(tensors_of_every_type_and_shape_come_back)
{
    static const uint64_t shape[TENSOR_DIMS_MAX] = {1, 2, 3, 1, 2, 1};
    uint8_t data[DTYPE_WIRE][12 * 8];
    struct tensor tensors[DTYPE_WIRE + 2];
    struct errbuf why;
    struct message m;

    for (size_t i = 0; i < sizeof(data); i++)
        data[i / sizeof(data[0])][i % sizeof(data[0])] = (uint8_t)(i * 37);
    for (int d = 0; d < DTYPE_WIRE; d++)
        tensors[d] =
            tensor_make(dtype_name((enum dtype)d), (enum dtype)d, TENSOR_DIMS_MAX, shape, data[d]);
    tensors[DTYPE_WIRE] = tensor_1d("empty", DTYPE_F32, 0, NULL);
    tensors[DTYPE_WIRE + 1] = tensor_make("scalar", DTYPE_F64, 0, NULL, data[0]);
    cJSON *json = parse("{\"a\":1}");
    struct bytes b = encode(json, tensors, DTYPE_WIRE + 2);
    ASSERT_OK(message_decode(b.data, b.count, JSON_REQUEST_BYTES_MAX, &m, &why), why);
    ASSERT_EQ(DTYPE_WIRE + 2, m.tensor_count);
    for (int i = 0; i < m.tensor_count; i++) {
        const struct tensor *got = &m.tensors[i];
        ASSERT_STR(tensors[i].name, got->name);
        ASSERT_EQ(tensors[i].dtype, got->dtype);
        ASSERT_EQ(tensors[i].dims, got->dims);
        ASSERT_MEM(tensors[i].shape, got->shape, sizeof(got->shape));
        ASSERT_EQ(tensors[i].bytes, got->bytes);
        if (got->bytes > 0)
            ASSERT_MEM(tensors[i].data, got->data, got->bytes);
    }
    ASSERT(cJSON_Compare(json, m.json, 1)); /* without the key tensors */
    message_done(&m);
    cJSON_Delete(json);
    free(b.data);
}

TEST(a_tensor_lies_sixteen_aligned_when_the_body_lies_four_behind)
{
    static const double one = 1;
    const struct tensor t[] = {tensor_1d("a", DTYPE_U8, 1, &one),
                               tensor_1d("b", DTYPE_F64, 1, &one)};
    char text[64];

    for (int pad = 0; pad < 40; pad++) {
        struct message m;
        struct errbuf why;
        snprintf(text, sizeof(text), "{\"k\":\"%.*s\"}", pad,
                 "........................................");
        cJSON *json = parse(text);
        struct bytes b = encode(json, t, 2);
        ASSERT_OK(message_decode(b.data, b.count, JSON_REQUEST_BYTES_MAX, &m, &why), why);
        size_t at = (size_t)((const uint8_t *)m.tensors[0].data - b.data);
        ASSERT_EQ(12, at % 16);
        ASSERT(at - HEADER_BYTES - (b.data[16] + 256u * b.data[17]) < 16);
        ASSERT_EQ(64, (const uint8_t *)m.tensors[1].data - (const uint8_t *)m.tensors[0].data);
        message_done(&m);
        cJSON_Delete(json);
        free(b.data);
    }
}

TEST(an_empty_object_takes_tensors)
{
    const struct tensor t = tensor_1d("x", DTYPE_U8, 3, "abc");
    cJSON *json = parse("{}");
    struct bytes b = encode(json, &t, 1);
    struct errbuf why;
    struct message m;

    ASSERT_OK(message_decode(b.data, b.count, JSON_REQUEST_BYTES_MAX, &m, &why), why);
    ASSERT(!m.json->child);
    ASSERT_MEM("abc", m.tensors[0].data, 3);
    message_done(&m);
    cJSON_Delete(json);
    free(b.data);
}

TEST(goldens_decode_and_encode_to_the_same_bytes)
{
    static const char *const names[] = {"task_result.frame", "not_found.frame"};

    for (int i = 0; i < 2; i++) {
        struct bytes b = read_golden(names[i]);
        struct errbuf why;
        struct message m;
        ASSERT_OK(message_decode(b.data, b.count, JSON_REQUEST_BYTES_MAX, &m, &why), why);
        struct bytes again = encode(m.json, m.tensors, m.tensor_count);
        ASSERT_EQ(b.count, again.count);
        ASSERT_MEM(b.data, again.data, b.count);
        message_done(&m);
        free(again.data);
        free(b.data);
    }
}

TEST(the_golden_result_is_what_a_worker_sends)
{
    struct bytes golden = read_golden("task_result.frame"), b = example();

    ASSERT_EQ(golden.count, b.count);
    ASSERT_MEM(golden.data, b.data, b.count);
    free(golden.data);
    free(b.data);
}

TEST(a_change_of_any_header_byte_is_refused)
{
    struct bytes b = example();
    struct errbuf why;

    for (int at = 0; at < HEADER_BYTES; at++) {
        for (int flip = 1; flip < 256; flip++) {
            b.data[at] ^= (uint8_t)flip;
            if (decode(b.data, b.count, &why) == 0)
                FAIL("byte %d changed by 0x%02x is taken", at, flip);
            b.data[at] ^= (uint8_t)flip;
        }
    }
    ASSERT_OK(decode(b.data, b.count, &why), why);
    free(b.data);
}

TEST(a_message_that_is_cut_or_prolonged_is_refused)
{
    struct bytes b = example(), plain = read_golden("not_found.frame");
    struct errbuf why;

    for (size_t n = 0; n < b.count; n++)
        if (decode(b.data, n, &why) == 0)
            FAIL("the first %zu of %zu bytes are taken", n, b.count);
    for (size_t n = 0; n < plain.count; n++)
        if (decode(plain.data, n, &why) == 0)
            FAIL("the first %zu of %zu bytes are taken", n, plain.count);
    b.data = realloc(b.data, b.count + 1);
    ASSERT(b.data);
    b.data[b.count] = 0;
    assert_refused(b.data, b.count + 1, -EINVAL, "lengths do not add up");
    free(b.data);
    free(plain.data);
}

TEST(bytes_between_json_and_attachment_must_be_zero)
{
    struct bytes b = make_frame("{\"tensors\":[]}", 64);
    struct errbuf why;

    ASSERT_OK(decode(b.data, b.count, &why), why);
    b.data[HEADER_BYTES + 14] = ' ';
    assert_refused(b.data, b.count, -EINVAL, "must be 0");
    free(b.data);
}

TEST(tensors_that_lie_wrong_are_refused)
{
#define T(name, dtype, shape, offset)                                                              \
    "{\"name\":\"" name "\",\"dtype\":\"" dtype "\",\"shape\":" shape ",\"offset\":" offset "}"
    static const struct {
        const char *list, *part;
    } cases[] = {
        {"{}", "tensors is an object"},
        {"[1]", "tensors[0] is not an object"},
        {"[{}]", "tensors[0].name is missing"},
        {"[" T("", "U8", "[1]", "0") "]", "tensors[0].name is empty"},
        {"[" T("x", "U9", "[1]", "0") "]", "tensors[0].dtype is \"U9\""},
        {"[" T("x", "U8", "1", "0") "]", "tensors[0].shape is 1"},
        {"[" T("x", "U8", "[1,1,1,1,1,1,1]", "0") "]", "tensors[0].shape has 7 entries"},
        {"[" T("x", "U8", "[1,-1]", "0") "]", "tensors[0].shape[1] is not an integer"},
        {"[" T("x", "U8", "[0.5]", "0") "]", "tensors[0].shape[0] is not an integer"},
        {"[" T("x", "U8", "[1e300]", "0") "]", "tensors[0].shape[0] is not an integer"},
        {"[" T("x", "U8", "[\"1\"]", "0") "]", "tensors[0].shape[0] is not an integer"},
        {"[" T("x", "U8", "[4294967296,4294967296]", "0") "]", "more than memory can hold"},
        {"[" T("x", "F64", "[9007199254740992,2048]", "0") "]", "more than memory can hold"},
        {"[" T("x", "F64", "[9007199254740992]", "0") "]", "the attachment has only 256"},
        {"[" T("x", "U8", "[257]", "0") "]", "the attachment has only 256"},
        {"[" T("x", "U8", "[193]", "64") "]", "193 bytes from offset 64"},
        {"[" T("x", "U8", "[0]", "320") "]", "the attachment has only 256"},
        {"[" T("x", "U8", "[1]", "32") "]", "allowed are multiples of 64"},
        {"[" T("x", "U8", "[1]", "-64") "]", "tensors[0].offset is -64"},
        {"[" T("x", "U8", "[1]", "18446744073709551552") "]", "tensors[0].offset is"},
        {"[" T("x", "U8", "[65]", "0") "," T("y", "U8", "[1]", "64") "]", "ends at 65"},
        {"[" T("x", "U8", "[1]", "64") "," T("y", "U8", "[1]", "0") "]", "ends at 65"},
        {"[" T("x", "U8", "[1]", "0") "," T("x", "U8", "[1]", "64") "]", "two tensors \"x\""},
        {"[{\"name\":\"x\",\"dtype\":\"U8\",\"shape\":[1],\"offset\":0,\"of\":1}]",
         "no key \"of\""},
    };
#undef T

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_tensors_refused(cases[i].list, 256, cases[i].part);
}

TEST(a_frame_without_its_list_of_tensors_is_refused)
{
    struct bytes b = make_frame("{\"a\":1}", 0);

    assert_refused(b.data, b.count, -EINVAL, "tensors is missing");
    free(b.data);
}

TEST(a_long_tensor_name_is_refused)
{
    char list[256];

    snprintf(list, sizeof(list),
             "[{\"name\":\"%064d\",\"dtype\":\"U8\",\"shape\":[1],\"offset\":0}]", 7);
    assert_tensors_refused(list, 64, "64 bytes long, allowed is at most 63");
}

TEST(seventeen_tensors_are_refused)
{
    char list[4096] = "[";
    size_t n = 1;

    for (int i = 0; i < TENSORS_MAX + 1; i++)
        n += (size_t)snprintf(list + n, sizeof(list) - n,
                              "%s{\"name\":\"t%d\",\"dtype\":\"U8\",\"shape\":[1],\"offset\":%d}",
                              i ? "," : "", i, 64 * i);
    snprintf(list + n, sizeof(list) - n, "]");
    assert_tensors_refused(list, 64 * 17, "17 entries, allowed is at most 16");
}

/* Both as plain JSON (where it begins like one) and inside a frame. */
static void assert_json_refused(const char *text, size_t bytes, int code, const char *part)
{
    char *framed = malloc(bytes + 1);

    ASSERT(framed);
    memcpy(framed, text, bytes);
    framed[bytes] = '\0';
    if (text[0] == '{')
        assert_refused(text, bytes, code, part);
    if (strlen(framed) == bytes) {
        struct bytes b = make_frame(framed, 0);
        assert_refused(b.data, b.count, code, part);
        free(b.data);
    }
    free(framed);
}

TEST(bad_json_is_refused)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"[1]", "expected a JSON object"},     {"{\"a\":1,\"a\":2}", "the key \"a\" twice"},
        {"{\"a\":NaN}", "not valid JSON"},     {"{\"a\":Infinity}", "not valid JSON"},
        {"{\"a\":1e999}", "beyond the range"}, {"{\"a\":\"\\u0000\"}", "\\u0000"},
        {"{} {}", "not valid JSON"},           {"{\"a\"}", "not valid JSON"},
        {"{\"a\":\"\xFF\"}", "not UTF-8"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_json_refused(cases[i].text, strlen(cases[i].text), -EINVAL, cases[i].part);
    assert_refused("{\"a\":1}\0", 8, -EINVAL, "control character");
    assert_refused("{\"a\0\":1}", 8, -EINVAL, "control character");
}

TEST(deep_json_is_refused)
{
    char text[50100] = "";

    for (int i = 0; i < 10000; i++)
        memcpy(text + 5 * i, "{\"a\":", 5);
    assert_json_refused(text, 50000, -EINVAL, "nested deeper than 16");
}

TEST(json_over_its_limit_is_refused)
{
    size_t bytes = JSON_REQUEST_BYTES_MAX + 1;
    char *text = malloc(bytes + 1);

    ASSERT(text);
    memset(text, ' ', bytes);
    text[0] = '{';
    text[bytes - 1] = '}';
    text[bytes] = '\0';
    assert_json_refused(text, bytes, -EMSGSIZE, "65537 bytes");
    text[bytes - 2] = '}';
    struct errbuf why;
    ASSERT_OK(decode(text, bytes - 1, &why), why);
    free(text);
}

TEST(what_is_no_message_is_refused)
{
    assert_refused("", 0, -EINVAL, "is empty");
    assert_refused("\xF5", 1, -EINVAL, "ends in its header");
    assert_refused("\xF5SP\x02............................................................", 64,
                   -EINVAL, "frame version is 2");
    assert_refused(" {}", 3, -EINVAL, "begins neither with '{'");
    assert_refused("GET / HTTP/1.1\r\n", 16, -EINVAL, "begins neither with '{'");
}

TEST(an_over_long_message_is_refused_before_it_is_read)
{
    struct errbuf why;
    struct message m;

    ASSERT_EQ(-EMSGSIZE,
              message_decode("{", MESSAGE_BYTES_MAX + 1, JSON_REPLY_BYTES_MAX, &m, &why));
    ASSERT_HAS("8912897 bytes, allowed are 8912896", why.text);
}

TEST(random_changes_never_break_the_reader)
{
    struct bytes base[] = {
        example(), read_golden("not_found.frame"),
        make_frame("{\"tensors\":[{\"name\":\"x\",\"dtype\":\"U16\",\"shape\":[2,3],"
                   "\"offset\":64}],\"n\":-1.5e3}",
                   128)};
    struct errbuf why;
    int taken = 0;

    for (uint32_t round = 0; round < 20000; round++) {
        struct rng r = rng_at(2, RNG_TEST, round, 0);
        const struct bytes *from = &base[round % 3];
        uint8_t data[1024];
        size_t bytes = from->count;
        ASSERT(bytes <= sizeof(data));
        memcpy(data, from->data, bytes);
        for (uint64_t n = 1 + rng_below(&r, 4); n > 0; n--)
            data[rng_below(&r, bytes)] =
                rng_u32(&r) & 1 ? (uint8_t)rng_u32(&r)
                                : (uint8_t) "0123456789[]{},:\"-eE."[rng_below(&r, 21)];
        if (rng_below(&r, 8) == 0)
            bytes = rng_below(&r, bytes);
        taken += decode(data, bytes, &why) == 0;
    }
    ASSERT(taken > 0 && taken < 20000);
    for (int i = 0; i < 3; i++)
        free(base[i].data);
}

static void *no_memory(size_t bytes)
{
    (void)bytes;
    return NULL;
}

TEST(what_is_too_long_is_not_encoded)
{
    static const uint8_t none[1] = {0};
    const struct tensor one = tensor_1d("x", DTYPE_U8, MESSAGE_BYTES_MAX, none);
    const struct tensor two[] = {tensor_1d("x", DTYPE_U8, MESSAGE_BYTES_MAX - 64, none),
                                 tensor_1d("y", DTYPE_U8, SIZE_MAX / 16, none)};
    cJSON *json = parse("{\"a\":1}");
    struct errbuf why;
    size_t bytes;
    void *body;

    ASSERT_EQ(-EMSGSIZE, message_encode(json, &one, 1, NULL, no_memory, &body, &bytes, &why));
    ASSERT_HAS("allowed are 8912896", why.text);
    ASSERT_EQ(-EMSGSIZE, message_encode(json, two, 2, NULL, no_memory, &body, &bytes, &why));
    char *text = calloc(1, JSON_REPLY_BYTES_MAX + 1);
    ASSERT(text);
    memset(text, 'x', JSON_REPLY_BYTES_MAX);
    cJSON_AddItemToObject(json, "b", cJSON_CreateStringReference(text));
    ASSERT_EQ(-EMSGSIZE, message_encode(json, NULL, 0, NULL, no_memory, &body, &bytes, &why));
    ASSERT_HAS("allowed are 4194304", why.text);
    free(text);
    cJSON_Delete(json);
}

TEST(encoding_fails_when_memory_is_out)
{
    const struct tensor t = tensor_1d("x", DTYPE_U8, 1, "x");
    cJSON *json = parse("{\"a\":1}");
    struct errbuf why;
    size_t bytes;
    void *body;

    ASSERT_EQ(-ENOMEM, message_encode(json, NULL, 0, NULL, no_memory, &body, &bytes, &why));
    ASSERT_EQ(-ENOMEM, message_encode(json, &t, 1, NULL, no_memory, &body, &bytes, &why));
    ASSERT_HAS("out of memory", why.text);
    cJSON_Delete(json);
}

TEST(a_whole_piece_and_its_json_fit_a_message)
{
    uint8_t *piece = calloc(1, PIECE_BYTES_MAX);
    const struct tensor t = tensor_1d("piece", DTYPE_U8, PIECE_BYTES_MAX, piece);
    cJSON *json = parse("{\"a\":1}");

    ASSERT(piece);
    piece[PIECE_BYTES_MAX - 1] = 7;
    struct bytes b = encode(json, &t, 1);
    ASSERT(b.count < MESSAGE_BYTES_MAX - JSON_REQUEST_BYTES_MAX);
    ASSERT_EQ(7, b.data[b.count - 1]);
    free(b.data);
    free(piece);
    cJSON_Delete(json);
}

TEST(a_tensor_is_given_only_as_what_it_is)
{
    static const uint64_t square[] = {2, 2}, flat[] = {4}, wide[] = {2, 3}, three[] = {3};
    struct bytes b = example();
    const struct tensor *t = NULL;
    struct errbuf why;
    struct message m;

    ASSERT_OK(message_decode(b.data, b.count, JSON_REQUEST_BYTES_MAX, &m, &why), why);
    ASSERT_OK(message_tensor(&m, "classes", DTYPE_I32, 2, square, &t, &why), why);
    ASSERT_EQ(16, t->bytes);
    ASSERT_OK(message_tensor(&m, "grad", DTYPE_F32, 1, NULL, &t, &why), why);
    ASSERT_OK(message_tensor(&m, "grad", DTYPE_F32, 1, three, &t, &why), why);
    ASSERT_EQ(3, t->shape[0]);
    ASSERT_EQ(-EINVAL, message_tensor(&m, "theta", DTYPE_F32, 1, NULL, &t, &why));
    ASSERT_STR("tensor theta is missing", why.text);
    ASSERT_EQ(-EINVAL, message_tensor(&m, "classes", DTYPE_I32, 1, NULL, &t, &why));
    ASSERT_STR("tensor classes is I32 [2, 2], allowed is I32 [any]", why.text);
    ASSERT_EQ(-EINVAL, message_tensor(&m, "classes", DTYPE_I32, 2, wide, &t, &why));
    ASSERT_STR("tensor classes is I32 [2, 2], allowed is I32 [2, 3]", why.text);
    ASSERT_EQ(-EINVAL, message_tensor(&m, "grad", DTYPE_F64, 1, flat, &t, &why));
    ASSERT_STR("tensor grad is F32 [3], allowed is F64 [4]", why.text);
    message_done(&m);
    free(b.data);
}
