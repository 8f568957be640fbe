#include <errno.h>

#include "common/rng.h"
#include "proto/cli/npy.h"
#include "proto/cli/npy_file.h"
#include "tests/unit/cli/files.h"

#define HEADER_ROOM 256

static struct errbuf why;

/* A .npy file with this dictionary as its header (blanks and newline are added), then the data. */
static void write_npy(const char *name, int version, const char *dict, const void *data,
                      size_t bytes)
{
    uint8_t file[4096] = "\x93NUMPY";
    size_t prefix = version > 1 ? 12 : 10, at = prefix, header = strlen(dict) + 7;

    file[6] = (uint8_t)version;
    file[8] = (uint8_t)header;
    file[9] = (uint8_t)(header >> 8);
    memcpy(file + at, dict, strlen(dict));
    memset(file + at + strlen(dict), ' ', 6);
    at += header;
    file[at - 1] = '\n';
    ASSERT(at + bytes <= sizeof(file));
    if (bytes)
        memcpy(file + at, data, bytes);
    file_put(name, file, at + bytes);
}

static const char *dict(const char *descr, const char *shape)
{
    static char text[HEADER_ROOM];

    snprintf(text, sizeof(text), "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr,
             shape);
    return text;
}

static void assert_images_refused(const char *part)
{
    struct npy_images images;

    ASSERT_EQ(-EINVAL, npy_file_images(test_path("a.npy"), &images, &why));
    ASSERT_HAS("a.npy", why.text);
    ASSERT_HAS(part, why.text);
}

static void assert_labels_refused(const char *part)
{
    uint16_t *labels;

    ASSERT_EQ(-EINVAL, npy_file_labels(test_path("a.npy"), "images.npy", 3, &labels, &why));
    ASSERT_HAS("a.npy", why.text);
    ASSERT_HAS(part, why.text);
}

TEST(reads_images_of_three_and_four_dimensions)
{
    struct npy_images images;

    for (int version = 1; version <= 3; version++) {
        write_npy("a.npy", version, dict("|u1", "(2, 3, 1)"), "abcdef", 6);
        ASSERT_OK(npy_file_images(test_path("a.npy"), &images, &why), why);
        ASSERT_EQ(2, images.samples);
        ASSERT_EQ(3, images.dims.h);
        ASSERT_EQ(1, images.dims.w);
        ASSERT_EQ(1, images.dims.c);
        ASSERT_MEM("abcdef", images.data, 6);
        free(images.data);
    }
    write_npy("a.npy", 1, dict("|u1", "(1, 1, 2, 3)"), "abcdef", 6);
    ASSERT_OK(npy_file_images(test_path("a.npy"), &images, &why), why);
    ASSERT_EQ(2, images.dims.w);
    ASSERT_EQ(3, images.dims.c);
    free(images.data);
}

TEST(keys_come_in_any_order_and_with_any_quotes)
{
    struct npy_images images;

    write_npy("a.npy", 1, "{\"shape\":(1,1,1),\"fortran_order\":False,\"descr\":\"<u1\"}", "x", 1);
    ASSERT_OK(npy_file_images(test_path("a.npy"), &images, &why), why);
    ASSERT_MEM("x", images.data, 1);
    free(images.data);
}

TEST(reads_labels_of_every_integer_type)
{
    static const struct {
        const char *descr, *data;
        size_t bytes;
    } types[] = {
        {"|u1", "\0\2\1", 1},
        {"|i1", "\0\2\1", 1},
        {"<u2", "\0\0\2\0\1\0", 2},
        {"<i2", "\0\0\2\0\1\0", 2},
        {"<u4", "\0\0\0\0\2\0\0\0\1\0\0\0", 4},
        {"<i4", "\0\0\0\0\2\0\0\0\1\0\0\0", 4},
        {"<u8", "\0\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0", 8},
        {">u2", "\0\0\0\2\0\1", 2},
        {">i4", "\0\0\0\0\0\0\0\2\0\0\0\1", 4},
        {"<i8", "\0\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0", 8},
    };
    uint16_t *labels;

    for (size_t i = 0; i < 2 * sizeof(types) / sizeof(types[0]); i++) {
        write_npy("a.npy", 1, dict(types[i / 2].descr, i % 2 ? "(3, 1)" : "(3,)"),
                  types[i / 2].data, 3 * types[i / 2].bytes);
        ASSERT_OK(npy_file_labels(test_path("a.npy"), "images.npy", 3, &labels, &why), why);
        ASSERT_EQ(0, labels[0]);
        ASSERT_EQ(2, labels[1]);
        ASSERT_EQ(1, labels[2]);
        free(labels);
    }
}

TEST(labels_out_of_range_are_named)
{
    write_npy("a.npy", 1, dict("<u2", "(3,)"), "\0\0\xe7\3\xe8\3", 6);
    assert_labels_refused("label 2 of");
    assert_labels_refused("is 1000, allowed is 0 to 999");
    write_npy("a.npy", 1, dict("|i1", "(3,)"), "\0\xff\0", 3);
    assert_labels_refused("is -1, allowed");
    write_npy("a.npy", 1, dict("<i8", "(3,)"), "\0\0\0\0\0\0\0\x80................", 24);
    assert_labels_refused("is -9223372036854775808, allowed");
    write_npy("a.npy", 1, dict("<u8", "(3,)"), "\0\0\0\0\0\0\0\x80................", 24);
    assert_labels_refused("allowed is 0 to 999");
}

TEST(other_types_shapes_and_orders_are_refused)
{
    static const struct {
        const char *descr, *shape, *images, *labels;
    } cases[] = {
        {"<f4", "(3,)", "of type <f4, allowed for images is |u1", "of type <f4, allowed for"},
        {">c8", "(3,)", "of type >c8", "of type >c8, allowed for labels are integers"},
        {"|b1", "(3,)", "of type |b1", "of type |b1"},
        {"", "(3,)", "of type ,", "of type ,"},
        {"|u1", "()", "has shape [], needed for images is [N,H,W]", "needed for labels is [N]"},
        {"|u1", "(3, 2)", "has shape [3,2]", "has shape [3,2], needed for labels is [N] or [N,1]"},
        {"|u1", "(4,)", "has shape [4]", "has 4 labels, but images.npy has 3 images"},
        {"|u1", "(0, 2, 2)", "has 0 images", "has shape [0,2,2]"},
        {"|u1", "(2, 513, 2)", "has 513 pixels from top to bottom", "[2,513,2]"},
        {"|u1", "(2, 2, 0)", "has 0 pixels from left to right (shape [2,2,0] as [N,H,W])", ""},
        {"|u1", "(2, 3, 32, 32)", "has 32 channels (shape [2,3,32,32] as [N,H,W,C])", ""},
        {"|u1", "(67108865, 2, 2)", "has 67108865 images", ""},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        write_npy("a.npy", 1, dict(cases[i].descr, cases[i].shape), "", 0);
        assert_images_refused(cases[i].images);
        assert_labels_refused(cases[i].labels);
    }
    write_npy("a.npy", 1, "{'descr': '|u1', 'fortran_order': True, 'shape': (1, 2, 2)}", "xxxx", 4);
    assert_images_refused("fortran_order True, allowed is False");
}

TEST(headers_that_are_not_numpys_are_refused)
{
    static const char *const dicts[] = {
        "",
        "{",
        "{}",
        "{'descr': '|u1', 'fortran_order': False}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 1)",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 1)} x",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1 1, 1)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1, -1, 1)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 99999999999999999999)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1)}",
        "{'descr': '|u1', 'fortran_order': Maybe, 'shape': (1, 1, 1)}",
        "{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (1, 1, 1)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 1), 'shape': (1, 1, 1)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 1), 'more': 1}",
        "{'descr': '|u1u1u1u1u1u1u1u1u1u1u1u1u1u1u1u1u1u1u1', 'fortran_order': False}",
    };

    for (size_t i = 0; i < sizeof(dicts) / sizeof(dicts[0]); i++) {
        write_npy("a.npy", 1, dicts[i], "x", 1);
        assert_images_refused("has a header that is not {'descr'");
    }
    write_npy("a.npy", 4, dict("|u1", "(1, 1, 1)"), "x", 1);
    assert_images_refused("has .npy version 4, allowed is 1 to 3");
    file_put("a.npy", "\x93NUMPY\2\0\xff\xff\xff\xff{", 13);
    assert_images_refused("has a header of 4294967295 bytes, allowed is up to 65536");
    file_put("a.npy", "\x89PNG\r\n\x1a\n", 8);
    assert_images_refused("starts with bytes 89 50 4e 47");
    file_put("a.npy", "", 0);
    assert_images_refused("has 0 bytes only");
}

/* Sizes whose product does not fit 64 bits, or is more than the file has. */
TEST(a_header_cannot_announce_more_than_the_file_has)
{
    write_npy("a.npy", 1, dict("|u1", "(67108864, 8, 8)"), "x", 1);
    assert_images_refused("is truncated: 1 bytes follow its header, needed are 4294967296");
    write_npy("a.npy", 1, dict("<i8", "(3, 1)"), "x", 1);
    assert_labels_refused("is truncated: 1 bytes follow its header, needed are 24");
    write_npy("a.npy", 1, dict("|u1", "(3,)"), "\0\1\2\3", 4);
    assert_labels_refused("goes on after the 3 bytes");
}

TEST(every_truncation_of_an_array_is_refused)
{
    struct stat st;

    write_npy("a.npy", 1, dict("|u1", "(2, 3, 1)"), "abcdef", 6);
    ASSERT_EQ(0, stat(test_path("a.npy"), &st));
    for (off_t bytes = st.st_size - 1; bytes >= 0; bytes--) {
        file_cut("a.npy", (size_t)bytes);
        assert_images_refused(bytes < 6 ? "bytes only" : "is truncated");
    }
}

TEST(mutated_arrays_are_read_or_refused)
{
    uint8_t file[200];
    size_t bytes;

    write_npy("a.npy", 1, dict("|u1", "(2, 3, 1)"), "abcdef", 6);
    FILE *f = fopen(test_path("a.npy"), "rb");
    ASSERT(f);
    bytes = fread(file, 1, sizeof(file), f);
    fclose(f);
    for (uint32_t i = 0; i < 2000; i++) {
        struct rng r = rng_at(1, RNG_TEST, i, 0);
        struct npy_images images;
        uint16_t *labels;
        uint8_t changed[sizeof(file)];
        memcpy(changed, file, bytes);
        for (uint64_t k = 1 + rng_below(&r, 3); k > 0; k--)
            changed[rng_below(&r, bytes)] = (uint8_t)rng_u32(&r);
        file_put("b.npy", changed, bytes);
        if (npy_file_images(test_path("b.npy"), &images, &why) == 0) {
            ASSERT_EQ(6, (size_t)images.samples * images.dims.h * images.dims.w * images.dims.c);
            free(images.data);
        }
        if (npy_file_labels(test_path("b.npy"), "images", 2, &labels, &why) == 0)
            free(labels);
    }
}

TEST(what_is_no_array_is_told_from_one)
{
    write_npy("a.npy", 1, dict("|u1", "(3,)"), "\0\1\2", 3);
    ASSERT(npy_file_is(test_path("a.npy")));
    file_put("b", "\x93NUMP", 5);
    ASSERT(!npy_file_is(test_path("b")));
    ASSERT(!npy_file_is(test_path("none")));
    ASSERT(!npy_file_is(test_dir()));
}

static void write_pair(const char *images, const char *labels, const char *shape)
{
    uint8_t pixels[24];

    memset(pixels, 'p', sizeof(pixels));
    write_npy(images, 1, dict("|u1", shape), pixels, sizeof(pixels));
    write_npy(labels, 1, dict("<i4", "(2,)"), "\0\0\0\0\4\0\0\0", 8);
}

static void assert_pairs(const char *names[4])
{
    struct dataset_draft d;

    write_pair(names[0], names[1], "(2, 3, 4)");
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_EQ(2, d.samples);
    ASSERT_EQ(0, d.test_samples);
    ASSERT_EQ(5, d.classes);
    ASSERT_EQ(4, d.labels[1]);
    ASSERT_HAS("npy ", d.source);
    dataset_draft_done(&d);
    write_pair(names[2], names[3], "(2, 3, 4)");
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_EQ(2, d.test_samples);
    ASSERT_EQ('p', d.test_images[23]);
    dataset_draft_done(&d);
    write_pair(names[2], names[3], "(2, 4, 3)");
    ASSERT_REFUSED(-EINVAL, NULL, 0, names[2], "has images of 4 x 3 x 1, but");
    file_remove(names[2]);
    ASSERT_REFUSED(-ENOENT, NULL, 0, names[2], "no such file");
    file_remove(names[1]);
    ASSERT_REFUSED(-ENOENT, NULL, 0, names[1], "no such file");
}

TEST(pairs_make_a_dataset_with_or_without_a_test_split)
{
    assert_pairs((const char *[]){"train_images.npy", "train_labels.npy", "test_images.npy",
                                  "test_labels.npy"});
}

TEST(pairs_may_have_the_names_of_keras)
{
    assert_pairs((const char *[]){"x_train.npy", "y_train.npy", "x_test.npy", "y_test.npy"});
}
