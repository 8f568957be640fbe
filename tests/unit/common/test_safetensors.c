#include "common/safetensors.h"

#include <errno.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/file.h"
#include "common/hash.h"
#include "tests/harness.h"

static struct errbuf why;

static const float weights[6] = {0, 1, -2, 3.5f, 1e-20f, 6};
static const uint8_t labels[3] = {7, 0, 255};
static const int64_t step = -5;
static const struct safetensors_meta meta[] = {{"format", "pt"}, {"na\"me\n", "\xc3\xa9\\\x01"}};

static int write_sample(const char *path)
{
    const struct tensor tensors[] = {
        tensor_make("fc.weight", DTYPE_F32, 2, (uint64_t[]){2, 3}, weights),
        tensor_1d("labels", DTYPE_U8, 3, labels),
        tensor_1d("empty", DTYPE_F64, 0, NULL),
        tensor_make("step", DTYPE_I64, 0, NULL, &step),
    };

    return safetensors_write(path, tensors, 4, meta, 2, &why);
}

/* Parses header + data, in memory of exactly that size. */
static int parse_made(const char *header, const char *data, size_t data_bytes)
{
    uint64_t length = strlen(header);
    size_t bytes = 8 + length + data_bytes;
    struct safetensors st = {0};
    char *file = malloc(bytes);

    memcpy(file, &length, 8);
    memcpy(file + 8, header, length);
    memcpy(file + 8 + length, data, data_bytes);
    int rc = safetensors_parse(file, bytes, &st, &why);
    safetensors_close(&st);
    free(file);
    return rc;
}

TEST(what_is_written_is_read)
{
    struct safetensors st = {0};
    const struct tensor *t;

    ASSERT_OK(write_sample(test_path("f")), why);
    ASSERT_OK(safetensors_open(test_path("f"), &st, &why), why);
    ASSERT_EQ(4, st.tensor_count);
    ASSERT_STR("fc.weight", st.tensors[0].name);
    ASSERT_OK(safetensors_need(&st, "fc.weight", DTYPE_F32, 2, &t, &why), why);
    ASSERT_EQ(2, t->shape[0]);
    ASSERT_EQ(3, t->shape[1]);
    ASSERT_MEM(weights, t->data, sizeof(weights));
    ASSERT_EQ(0, (uintptr_t)t->data % 64);
    ASSERT_OK(safetensors_need(&st, "labels", DTYPE_U8, 1, &t, &why), why);
    ASSERT_MEM(labels, t->data, sizeof(labels));
    ASSERT_EQ(0, safetensors_find(&st, "empty")->bytes);
    ASSERT_OK(safetensors_need(&st, "step", DTYPE_I64, 0, &t, &why), why);
    ASSERT_MEM(&step, t->data, sizeof(step));
    ASSERT_EQ(2, st.meta_count);
    ASSERT_STR("pt", safetensors_meta_get(&st, "format"));
    ASSERT_STR(meta[1].value, safetensors_meta_get(&st, meta[1].key));
    ASSERT(safetensors_meta_get(&st, "other") == NULL);
    safetensors_close(&st);
    safetensors_close(&st);
}

TEST(the_bytes_are_the_same_each_time_and_pinned)
{
    uint8_t first[SHA256_BYTES], again[SHA256_BYTES];
    struct safetensors st = {0};
    size_t bytes;
    char *data;

    ASSERT_OK(write_sample(test_path("a")), why);
    ASSERT_OK(safetensors_open(test_path("a"), &st, &why), why);
    ASSERT_OK(safetensors_write(test_path("b"), st.tensors, st.tensor_count, st.meta, st.meta_count,
                                &why),
              why);
    safetensors_close(&st);
    ASSERT_OK(sha256_file(test_path("a"), first, &why), why);
    ASSERT_OK(sha256_file(test_path("b"), again, &why), why);
    ASSERT_MEM(first, again, sizeof(first));
    ASSERT_OK(file_read(test_path("a"), 10000, &data, &bytes, &why), why);
    ASSERT_HAS("{\"__metadata__\":{\"format\":\"pt\",\"na\\\"me\\u000a\":\"\xc3\xa9\\\\\\u0001\"},"
               "\"fc.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
               "\"labels\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[24,27]},"
               "\"empty\":{\"dtype\":\"F64\",\"shape\":[0],\"data_offsets\":[27,27]},"
               "\"step\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[27,35]}} ",
               data + 8);
    ASSERT_EQ(35, bytes % 64);
    free(data);
}

TEST(a_file_without_tensors_or_metadata_is_fine)
{
    struct safetensors st = {0};

    ASSERT_OK(safetensors_write(test_path("f"), NULL, 0, NULL, 0, &why), why);
    ASSERT_OK(safetensors_open(test_path("f"), &st, &why), why);
    ASSERT_EQ(0, st.tensor_count);
    ASSERT_EQ(0, st.meta_count);
    safetensors_close(&st);
}

TEST(a_file_cut_anywhere_is_refused)
{
    size_t bytes;
    char *data;

    ASSERT_OK(write_sample(test_path("f")), why);
    ASSERT_OK(file_read(test_path("f"), 10000, &data, &bytes, &why), why);
    for (size_t n = 0; n < bytes; n++) {
        struct safetensors st = {0};
        char *cut = malloc(n + (n == 0));
        memcpy(cut, data, n);
        why.text[0] = '\0';
        if (safetensors_parse(cut, n, &st, &why) != -EINVAL || !why.text[0])
            FAIL("took the first %zu bytes of %zu", n, bytes);
        free(cut);
    }
    free(data);
}

/* Whatever a byte becomes, the reader answers, and what it takes lies within the file. */
TEST(a_changed_byte_never_breaks_the_reader)
{
    static const unsigned char flips[] = {0x01, 0x02, 0x10, 0x20, 0x80, 0xff};
    size_t bytes;
    char *data;

    ASSERT_OK(write_sample(test_path("f")), why);
    ASSERT_OK(file_read(test_path("f"), 10000, &data, &bytes, &why), why);
    for (size_t i = 0; i < bytes * sizeof(flips); i++) {
        struct safetensors st = {0};
        char *changed = malloc(bytes);
        memcpy(changed, data, bytes);
        changed[i / sizeof(flips)] ^= (char)flips[i % sizeof(flips)];
        if (safetensors_parse(changed, bytes, &st, &why) == 0) {
            for (int k = 0; k < st.tensor_count; k++) {
                const char *begin = st.tensors[k].data;
                ASSERT(begin >= changed && st.tensors[k].bytes <= bytes);
                ASSERT(begin + st.tensors[k].bytes <= changed + bytes);
            }
        }
        safetensors_close(&st);
        free(changed);
    }
    free(data);
}

#define T(name, dtype, shape, offsets)                                                             \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

TEST(each_corruption_is_refused_with_a_sentence)
{
    static const struct {
        const char *header;
        size_t data_bytes;
        const char *part;
    } cases[] = {
        {"", 0, "safetensors header is empty"},
        {"[]", 0, "safetensors header is a list"},
        {"{", 0, "not valid JSON"},
        {"{\"a\":5}", 0, "tensor \"a\" is not described by an object"},
        {"{}", 1, "the tensors end at byte 0 of the data, the file has 1"},
        {"{" T("a", "F32", "[1]", "[0,4]") "}", 5, "end at byte 4 of the data, the file has 5"},
        {"{" T("a", "F32", "[2]", "[0,4]") "}", 4, "\"a\" has 4 bytes, its shape and dtype need 8"},
        {"{" T("a", "F32", "[1]", "[0,8]") "}", 4, "a start and an end within 4 bytes"},
        {"{" T("a", "F32", "[1]", "[4,0]") "}", 4, "a start and an end within 4 bytes"},
        {"{" T("a", "F32", "[1]", "[0]") "}", 4, "a start and an end"},
        {"{" T("a", "F32", "[1]", "[0,4,4]") "}", 4, "data_offsets has 3 entries"},
        {"{" T("a", "F32", "[1]", "[-4,0]") "}", 4, "entry 0 of data_offsets is not a whole"},
        {"{" T("a", "F32", "[1]", "[0,4.5]") "}", 4, "entry 1 of data_offsets is not a whole"},
        {"{" T("a", "F32", "[1]", "[0,\"4\"]") "}", 4, "entry 1 of data_offsets"},
        {"{" T("a", "F32", "[1]", "[4,8]") "}", 8, "begins at byte 4 of the data, expected 0"},
        {"{" T("a", "U8", "[2]", "[0,2]") "," T("b", "U8", "[2]", "[1,3]") "}", 3,
         "tensor \"b\" begins at byte 1 of the data, expected 2"},
        {"{" T("a", "U8", "[2]", "[0,2]") "," T("b", "U8", "[2]", "[3,5]") "}", 5,
         "tensor \"b\" begins at byte 3"},
        {"{" T("b", "U8", "[2]", "[2,4]") "," T("a", "U8", "[2]", "[1,3]") "}", 4,
         "tensor \"a\" begins at byte 1 of the data, expected 0"},
        {"{" T("b", "U8", "[2]", "[2,4]") "," T("a", "U8", "[1]", "[0,1]") "}", 4,
         "tensor \"b\" begins at byte 2 of the data, expected 1"},
        {"{" T("b", "U8", "[2]", "[0,2]") "," T("a", "U8", "[2]", "[0,2]") "}", 2,
         "begins at byte 0 of the data, expected 2"},
        {"{" T("a", "U8", "[2]", "[0,2]") "," T("a", "U8", "[2]", "[2,4]") "}", 4, "\"a\" twice"},
        {"{" T("a", "F8_E4M3", "[4]", "[0,4]") "}", 4, "dtype is \"F8_E4M3\", allowed is U8"},
        {"{" T("a", "U8", "[1,1,1,1,1,1,1]", "[0,1]") "}", 1, "shape has 7 entries"},
        {"{" T("a", "U8", "[9007199254740991,9007199254740991]", "[0,1]") "}", 1, "too large"},
        {"{" T("a", "U8", "[4294967296,4294967296]", "[0,0]") "}", 0, "too large"},
        {"{" T("a", "U8", "[0,4294967296,4294967296]", "[0,0]") "}", 0, "too large"},
        {"{" T("a", "U8", "[1e300]", "[0,0]") "}", 0, "entry 0 of shape is not a whole"},
        {"{" T("a", "U8", "5", "[0,5]") "}", 5, "tensor \"a\": shape is 5"},
        {"{" T("", "U8", "[1]", "[0,1]") "}", 1, "a tensor name is 0 bytes long"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "tensor \"a\": data_offsets is missing"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":1}}", 1,
         "tensor \"a\" has no key \"x\""},
        {"{\"__metadata__\":5}", 0, "__metadata__ is 5"},
        {"{\"__metadata__\":{\"k\":5}}", 0, "__metadata__.k is not a text"},
        {"{\"__metadata__\":{\"k\":\"a\",\"k\":\"b\"}}", 0, "the key \"k\" twice"},
        {"{\"a\":[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]}", 0, "nested deeper"},
    };
    static const char data[16];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ASSERT_EQ(-EINVAL, parse_made(cases[i].header, data, cases[i].data_bytes));
        ASSERT_HAS(cases[i].part, why.text);
    }
    ASSERT_OK(parse_made("{" T("a", "U8", "[2]", "[0,2]") "}  ", data, 2), why);
}

/* As PyTorch's writer and others leave them: sorted by name or not at all. */
TEST(tensors_are_named_in_any_order)
{
    static const char header[] = "{" T("b", "F16", "[2]", "[3,7]") "," T(
        "none", "F64", "[0]", "[3,3]") ","
                                       "\"__metadata__\":{\"k\":\"v\"}," T(
                                           "a", "U8", "[3]", "[0,3]") "," T("last", "U8", "[0]",
                                                                            "[7,7]") "}";
    static const char data[] = "abcdefg";
    const uint64_t length = sizeof(header) - 1;
    char file[8 + sizeof(header) - 1 + 7];
    struct safetensors st = {0};
    const struct tensor *t;

    memcpy(file, &length, 8);
    memcpy(file + 8, header, length);
    memcpy(file + 8 + length, data, 7);
    ASSERT_OK(safetensors_parse(file, sizeof(file), &st, &why), why);
    ASSERT_EQ(4, st.tensor_count);
    ASSERT_STR("b", st.tensors[0].name);
    ASSERT_OK(safetensors_need(&st, "a", DTYPE_U8, 1, &t, &why), why);
    ASSERT_MEM("abc", t->data, 3);
    ASSERT_OK(safetensors_need(&st, "b", DTYPE_F16, 1, &t, &why), why);
    ASSERT_MEM("defg", t->data, 4);
    safetensors_close(&st);
}

TEST(files_of_other_programs_are_recognised)
{
    static const struct {
        const char *bytes;
        size_t count;
        const char *part;
    } cases[] = {
#define BYTES(s) s, sizeof(s) - 1
        {BYTES("PK\x03\x04\x14\0\0\0\0\0archive/data.pkl and more"),
         "it is a PyTorch file; in Python"},
        {BYTES("PK\x03\x04\x14\0\0\0\0\0arr_0.npy and more"), "it is a numpy .npz archive"},
        {BYTES("PK\x03\x04\x14\0\0\0\0\0model.weights.h5 and more"), "it is an HDF5 file"},
        {BYTES("PK\x03\x04\x14\0\0\0\0\0letter.txt and more"), "it is a zip archive"},
        {BYTES("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"), "it is a PyTorch file"},
        {BYTES("\x80\x04\x95\0\0\0\0\0\0\0\0"), "it is a Python pickle"},
        {BYTES("\x89HDF\r\n\x1a\n\0\0\0"), "it is an HDF5 file (Keras, .h5)"},
        {BYTES("\x08\x07\x12\x07pytorch\x1a\x05"), "it is an ONNX file"},
        {BYTES("\x08\x08\x3a\x95\x10"), "it is an ONNX file"},
        {BYTES("\x93NUMPY\x01\0"), "it is a numpy array"},
        {BYTES("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull fetches it"},
        {BYTES("\x1f\x8b\x08\0"), "it is a gzip file"},
        {BYTES("<!DOCTYPE html><html>"), "it is an HTML page"},
        {BYTES("\x1c\0\0\0TFL3\0\0\0\0"), "it is a TensorFlow Lite file"},
    };
    struct safetensors st = {0};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ASSERT_EQ(-EINVAL, safetensors_parse(cases[i].bytes, cases[i].count, &st, &why));
        ASSERT_HAS("it is not a safetensors file, ", why.text);
        ASSERT_HAS(cases[i].part, why.text);
    }
    const struct file_part part = {cases[0].bytes, cases[0].count};
    ASSERT_OK(file_write_atomic(test_path("kept"), 0600, &part, 1, &why), why);
    ASSERT_EQ(-EINVAL, safetensors_open_as(test_path("kept"), "my/m.pt", &st, &why));
    ASSERT_HAS("my/m.pt: it is not a safetensors file, it is a PyTorch file", why.text);
    ASSERT(!strstr(why.text, test_dir()));
    ASSERT_EQ(-ENOENT, safetensors_open_as(test_path("none"), "my/m.pt", &st, &why));
    ASSERT_HAS("cannot open my/m.pt", why.text);
    /* The length of a header may look like anything. */
    ASSERT_EQ(-EINVAL, safetensors_parse("\x80\x02\0\0\0\0\0\0{\"a\":{}}", 16, &st, &why));
    ASSERT_HAS("the safetensors header should have 640 bytes, the file has 8", why.text);
}

TEST(a_name_has_its_limit)
{
    char name[TENSOR_NAME_MAX + 1], header[300];

    for (size_t n = TENSOR_NAME_MAX - 1; n <= TENSOR_NAME_MAX; n++) {
        memset(name, 'n', n);
        name[n] = '\0';
        snprintf(header, sizeof(header),
                 "{\"%s\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", name);
        ASSERT_EQ(n < TENSOR_NAME_MAX ? 0 : -EINVAL, parse_made(header, "x", 1));
    }
    ASSERT_HAS("a tensor name is 64 bytes long, allowed is 1 to 63", why.text);
}

TEST(a_header_length_beyond_the_file_is_refused)
{
    static const uint64_t lengths[] = {3, 1u << 30, UINT64_MAX, UINT64_MAX - 7};
    struct safetensors st = {0};
    char file[10] = "........{}";

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        memcpy(file, &lengths[i], 8);
        ASSERT_EQ(-EINVAL, safetensors_parse(file, sizeof(file), &st, &why));
        ASSERT_HAS("the file has 2", why.text);
    }
}

TEST(a_header_beyond_two_mebibytes_is_refused)
{
    size_t bytes = (2u << 20) + 1;
    char *header = xmalloc(bytes + 1);

    memset(header, ' ', bytes);
    header[0] = '{';
    header[bytes - 1] = '}';
    header[bytes] = '\0';
    ASSERT_EQ(-EMSGSIZE, parse_made(header, "", 0));
    ASSERT_HAS("allowed is at most 2097152", why.text);
    header[bytes - 2] = '}';
    header[bytes - 1] = '\0';
    ASSERT_OK(parse_made(header, "", 0), why);
    free(header);
}

TEST(what_could_not_be_read_is_not_written)
{
    const struct tensor twice[] = {tensor_1d("a", DTYPE_U8, 3, labels),
                                   tensor_1d("a", DTYPE_U8, 3, labels)};
    const struct tensor reserved = tensor_1d("__metadata__", DTYPE_U8, 3, labels);
    const struct safetensors_meta bad = {"k", "\xff"};
    struct safetensors st = {0};

    ASSERT_EQ(-EINVAL, safetensors_write(test_path("f"), twice, 2, NULL, 0, &why));
    ASSERT_HAS("the key \"a\" twice", why.text);
    ASSERT_EQ(-EINVAL, safetensors_write(test_path("f"), &reserved, 1, NULL, 0, &why));
    ASSERT_EQ(-EINVAL, safetensors_write(test_path("f"), NULL, 0, &bad, 1, &why));
    ASSERT_HAS("not UTF-8", why.text);
    ASSERT_EQ(-ENOENT, safetensors_open(test_path("f"), &st, &why));
}

TEST(files_that_cannot_be_opened_are_named)
{
    const struct file_part garbage = {"not a safetensors file", 22};
    struct safetensors st = {0};

    ASSERT_EQ(-ENOENT, safetensors_open(test_path("none"), &st, &why));
    ASSERT_HAS("/none: there is no such file", why.text);
    ASSERT_EQ(-EINVAL, safetensors_open(test_dir(), &st, &why));
    ASSERT_HAS("is a folder", why.text);
    ASSERT_OK(file_write_atomic(test_path("f"), 0600, NULL, 0, &why), why);
    ASSERT_EQ(-EINVAL, safetensors_open(test_path("f"), &st, &why));
    ASSERT_HAS("/f is empty", why.text);
    ASSERT_OK(file_write_atomic(test_path("g"), 0600, &garbage, 1, &why), why);
    ASSERT_EQ(-EINVAL, safetensors_open(test_path("g"), &st, &why));
    ASSERT_HAS("/g: the safetensors header should have", why.text);
    ASSERT_EQ(-ENOTDIR, write_sample(test_path("g/h")));
    ASSERT_HAS("/g/h", why.text);
}

TEST(need_says_what_differs)
{
    struct safetensors st = {0};
    const struct tensor *t = NULL;

    ASSERT_OK(write_sample(test_path("f")), why);
    ASSERT_OK(safetensors_open(test_path("f"), &st, &why), why);
    ASSERT_EQ(-EINVAL, safetensors_need(&st, "images", DTYPE_U8, 4, &t, &why));
    ASSERT_STR("tensor \"images\" is missing", why.text);
    ASSERT_EQ(-EINVAL, safetensors_need(&st, "labels", DTYPE_F32, 1, &t, &why));
    ASSERT_STR("tensor \"labels\" is U8, expected F32", why.text);
    ASSERT_EQ(-EINVAL, safetensors_need(&st, "labels", DTYPE_U8, 2, &t, &why));
    ASSERT_STR("tensor \"labels\" has 1 dimensions, expected 2", why.text);
    ASSERT(t == NULL);
    safetensors_close(&st);
}
