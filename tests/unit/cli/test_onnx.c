/* The ONNX writer, read again field by field. tests/unit/nn/test_export.c has OpenCV run the files.
 */
#include <stdlib.h>

#include "proto/cli/onnx.h"
#include "proto/cli/protobuf.h"
#include "tests/unit/common/models.h"

static void assert_bytes(const struct protobuf *p, size_t bytes, const uint8_t *want)
{
    ASSERT(!p->failed);
    ASSERT_EQ(bytes, p->bytes);
    ASSERT_MEM(want, p->data, bytes);
}

/* The examples of the description of the encoding, and the ends of the ranges. */
TEST(fields_are_encoded_as_protocol_buffers_are)
{
    struct protobuf p = {.data = NULL};

    pb_int(&p, 1, 150);
    pb_text(&p, 2, "testing");
    pb_float(&p, 16, 1);
    pb_int(&p, 3, -1);
    pb_bytes(&p, 4, NULL, 0);
    assert_bytes(&p, 31,
                 (const uint8_t[]){0x08, 0x96, 0x01,                                     /* 150 */
                                   0x12, 0x07, 't',  'e',  's',  't',  'i',  'n',  'g',  /* text */
                                   0x85, 0x01, 0x00, 0x00, 0x80, 0x3f,                   /* 1.0 */
                                   0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, /* -1 */
                                   0xff, 0x01, 0x22, 0x00});
    free(p.data);
}

TEST(messages_inside_messages_have_their_lengths)
{
    static const uint8_t zeros[200];
    struct protobuf p = {.data = NULL};

    size_t outer = pb_begin(&p, 3), inner = pb_begin(&p, 1);
    pb_int(&p, 1, 150);
    pb_end(&p, inner);
    inner = pb_begin(&p, 2);
    pb_end(&p, inner);
    pb_end(&p, outer);
    assert_bytes(&p, 9, (const uint8_t[]){0x1a, 0x07, 0x0a, 0x03, 0x08, 0x96, 0x01, 0x12, 0x00});
    outer = pb_begin(&p, 1);
    pb_bytes(&p, 1, zeros, sizeof(zeros)); /* 203 bytes: a length of two */
    pb_end(&p, outer);
    ASSERT_EQ(9 + 3 + 203, p.bytes);
    ASSERT_MEM(((const uint8_t[]){0x0a, 0xcb, 0x01, 0x0a, 0xc8, 0x01, 0x00}), p.data + 9, 7);
    free(p.data);
}

/* --- a reader of what was written --- */

struct span {
    const uint8_t *at, *end;
};

static uint64_t read_varint(struct span *s)
{
    uint64_t value = 0;

    for (int shift = 0;; shift += 7) {
        ASSERT(s->at < s->end && shift < 64);
        value |= (uint64_t)(*s->at & 0x7f) << shift;
        if (*s->at++ < 0x80)
            return value;
    }
}

/* The next field: its number, and its value as a number or as bytes. False at the end. */
static bool next(struct span *s, uint32_t *field, uint64_t *number, struct span *bytes)
{
    if (s->at == s->end)
        return false;
    uint64_t key = read_varint(s);
    *field = (uint32_t)(key >> 3);
    *bytes = (struct span){NULL, NULL};
    if ((key & 7) == 0) {
        *number = read_varint(s);
        return true;
    }
    ASSERT((key & 7) == 2 || (key & 7) == 5);
    *number = (key & 7) == 5 ? 4 : read_varint(s);
    ASSERT(*number <= (size_t)(s->end - s->at));
    *bytes = (struct span){s->at, s->at + *number};
    s->at = bytes->end;
    return true;
}

/* The index-th field of this number. */
static bool find(struct span s, uint32_t wanted, int index, uint64_t *number, struct span *bytes)
{
    uint32_t field;

    while (next(&s, &field, number, bytes))
        if (field == wanted && index-- == 0)
            return true;
    return false;
}

static struct span part(struct span s, uint32_t field, int index)
{
    struct span bytes;
    uint64_t number;

    ASSERT(find(s, field, index, &number, &bytes));
    return bytes;
}

static uint64_t number_of(struct span s, uint32_t field, int index)
{
    struct span bytes;
    uint64_t number;

    ASSERT(find(s, field, index, &number, &bytes));
    return number;
}

static bool is_text(struct span s, const char *text)
{
    return (size_t)(s.end - s.at) == strlen(text) && memcmp(s.at, text, strlen(text)) == 0;
}

/* The node of the graph that has this output. */
static struct span node_of(struct span graph, const char *output)
{
    struct span node;
    uint64_t number;

    for (int i = 0; find(graph, 1, i, &number, &node); i++)
        if (is_text(part(node, 2, 0), output))
            return node;
    test_fail(__FILE__, __LINE__, "there is no node %s", output);
}

static struct span initializer(struct span graph, const char *name)
{
    struct span tensor;
    uint64_t number;

    for (int i = 0; find(graph, 5, i, &number, &tensor); i++)
        if (is_text(part(tensor, 8, 0), name))
            return tensor;
    test_fail(__FILE__, __LINE__, "there is no initializer %s", name);
}

static float entry(struct span tensor, size_t index)
{
    struct span raw = part(tensor, 9, 0);
    float v;

    ASSERT((index + 1) * sizeof(v) <= (size_t)(raw.end - raw.at));
    memcpy(&v, raw.at + index * sizeof(v), sizeof(v));
    return v;
}

static void write_model(const char *layers, struct dims in, uint32_t classes, char **ret,
                        struct span *ret_all)
{
    const struct safetensors_meta meta[] = {{"job", "7"}, {"class_names", "[\"a\",\"b\"]"}};
    struct model m = made(layers, in, classes);
    float *theta = calloc(m.floats, sizeof(*theta));
    struct errbuf why = {0};
    size_t bytes = 0;

    for (size_t i = 0; i < m.floats; i++)
        theta[i] = (float)i;
    ASSERT_OK(onnx_write(&m, theta, meta, 2, test_path("m.onnx"), &why), why);
    ASSERT_OK(file_read(test_path("m.onnx"), 1 << 20, ret, &bytes, &why), why);
    *ret_all = (struct span){(uint8_t *)*ret, (uint8_t *)*ret + bytes};
    free(theta);
    model_done(&m);
}

TEST(a_file_says_what_it_is_and_how_pixels_are_scaled)
{
    struct span all, pair;
    uint64_t number;
    char *text;
    bool found = false;

    write_model(LAYERS(FLAT ",{\"type\": \"dense\"}"), (struct dims){3, 4, 2}, 2, &text, &all);
    ASSERT_EQ(7, number_of(all, 1, 0));
    ASSERT(is_text(part(all, 2, 0), "steppe"));
    ASSERT_EQ(13, number_of(part(all, 8, 0), 2, 0));
    struct span graph = part(all, 7, 0);
    ASSERT_EQ(255, entry(initializer(graph, "scale"), 0));
    ASSERT_EQ(0.5f, entry(initializer(graph, "mean"), 1));
    ASSERT_EQ(0.25f, entry(initializer(graph, "std"), 1));
    ASSERT(is_text(part(part(graph, 11, 0), 1, 0), "pixels"));
    struct span sides = part(part(part(part(graph, 11, 0), 2, 0), 1, 0), 2, 0);
    ASSERT(is_text(part(part(sides, 1, 0), 2, 0), "N"));
    ASSERT_EQ(2, number_of(part(sides, 1, 1), 1, 0));
    ASSERT_EQ(3, number_of(part(sides, 1, 2), 1, 0));
    ASSERT_EQ(4, number_of(part(sides, 1, 3), 1, 0));
    ASSERT(is_text(part(part(graph, 12, 0), 1, 0), "logits"));
    ASSERT(is_text(part(part(graph, 12, 1), 1, 0), "probabilities"));
    for (int i = 0; find(all, 14, i, &number, &pair); i++)
        found = found || (is_text(part(pair, 1, 0), "class_names") &&
                          is_text(part(pair, 2, 0), "[\"a\",\"b\"]"));
    ASSERT(found);
    free(text);
}

/* A dense weight behind a flatten has its inputs in the order of PyTorch's flatten. */
TEST(parameters_have_the_layouts_of_pytorch)
{
    struct span all;
    char *text;

    write_model(LAYERS("{\"type\": \"conv2d\", \"channels\": 3, \"kernel\": 2, \"padding\": 0},"
                       "{\"type\": \"dropout\"}," FLAT ",{\"type\": \"dense\"}"),
                (struct dims){3, 4, 2}, 2, &text, &all);
    struct span graph = part(all, 7, 0);
    struct span kernel = initializer(graph, "conv1.weight");
    const uint64_t shape[] = {3, 2, 2, 2};
    for (int i = 0; i < 4; i++)
        ASSERT_EQ(shape[i], number_of(kernel, 1, i));
    /* ours [kh, kw, in, out]: o = 1, i = 1, y = 0, x = 1 */
    ASSERT_EQ(((0 * 2 + 1) * 2 + 1) * 3 + 1, entry(kernel, ((1 * 2 + 1) * 2 + 0) * 2 + 1));
    struct span conv = node_of(graph, "conv1:out"), flat = node_of(graph, "flatten1:out");
    ASSERT(is_text(part(conv, 4, 0), "Conv"));
    ASSERT(is_text(part(conv, 1, 2), "conv1.bias"));
    ASSERT(is_text(part(flat, 1, 0), "conv1:out")); /* the dropout is not there */
    free(text);
}

TEST(a_folder_that_is_not_there_is_named)
{
    struct model m = made("\"lenet\"", (struct dims){28, 28, 1}, 10);
    float *theta = calloc(m.floats, sizeof(*theta));
    struct errbuf why = {0};

    ASSERT(onnx_write(&m, theta, NULL, 0, "/none/m.onnx", &why) < 0);
    ASSERT(strstr(why.text, "/none"));
    free(theta);
    model_done(&m);
}
