#include <errno.h>

#include "common/rng.h"
#include "proto/cli/import/npy.h"
#include "proto/cli/import/npy_file.h"
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

    ASSERT_EQ(-EINVAL, npy_file_images(test_path("a.npy"), NPY_LAYOUT_JUDGE, &images, &why));
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
        write_npy("a.npy", version, dict("|u1", "(3, 2, 1)"), "abcdef", 6);
        ASSERT_OK(npy_file_images(test_path("a.npy"), NPY_LAYOUT_JUDGE, &images, &why), why);
        ASSERT_EQ(3, images.samples);
        ASSERT_EQ(2, images.dims.h);
        ASSERT_EQ(1, images.dims.w);
        ASSERT_EQ(1, images.dims.c);
        ASSERT_MEM("abcdef", images.data, 6);
        free(images.data);
    }
    write_npy("a.npy", 1, dict("|u1", "(1, 2, 1, 3)"), "abcdef", 6);
    ASSERT_OK(npy_file_images(test_path("a.npy"), NPY_LAYOUT_JUDGE, &images, &why), why);
    ASSERT_EQ(2, images.dims.h);
    ASSERT_EQ(1, images.dims.w);
    ASSERT_EQ(3, images.dims.c);
    free(images.data);
}

TEST(keys_come_in_any_order_and_with_any_quotes)
{
    struct npy_images images;

    write_npy("a.npy", 1, "{\"shape\":(1,1,1),\"fortran_order\":False,\"descr\":\"<u1\"}", "x", 1);
    ASSERT_OK(npy_file_images(test_path("a.npy"), NPY_LAYOUT_JUDGE, &images, &why), why);
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
    write_npy("a.npy", 1, dict("<u2", "(3,)"), "\0\0\xfe\xff\xff\xff", 6);
    assert_labels_refused("label 2 of");
    assert_labels_refused("is 65535, allowed is 0 to 65534");
    write_npy("a.npy", 1, dict("|i1", "(3,)"), "\0\xff\0", 3);
    assert_labels_refused("is -1, allowed");
    write_npy("a.npy", 1, dict("<i8", "(3,)"), "\0\0\0\0\0\0\0\x80................", 24);
    assert_labels_refused("is -9223372036854775808, allowed");
    write_npy("a.npy", 1, dict("<u8", "(3,)"), "\0\0\0\0\0\0\0\x80................", 24);
    assert_labels_refused("allowed is 0 to 65534");
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
        {"|u1", "()", "has shape [], images need [N,H,W]", "labels need [N]"},
        {"|u1", "(3, 2)", "has shape [3,2]", "has shape [3,2], but labels need [N] or [N,1]"},
        {"|u1", "(4,)", "has shape [4]", "has 4 labels, but images.npy has 3 images"},
        {"|u1", "(0, 2, 2)", "has 0 images", "has shape [0,2,2]"},
        {"|u1", "(2, 513, 2)", "has 513 pixels from top to bottom", "[2,513,2]"},
        {"|u1", "(2, 2, 0)", "has 0 pixels from left to right (shape [2,2,0] as [N,H,W])", ""},
        {"|u1", "(2, 3, 600, 32)", "has 600 pixels from top to bottom (shape [2,3,600,32] as", ""},
        {"|u1", "(2, 3, 2, 600)", "has 600 pixels from left to right (shape [2,3,2,600] as [N,C,H",
         ""},
        {"|u1", "(268435457, 2, 2)", "has 268435457 images", ""},
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
    assert_images_refused("is truncated: 1 bytes follow its header, expected 4294967296");
    write_npy("a.npy", 1, dict("<i8", "(3, 1)"), "x", 1);
    assert_labels_refused("is truncated: 1 bytes follow its header, expected 24");
    write_npy("a.npy", 1, dict("|u1", "(3,)"), "\0\1\2\3", 4);
    assert_labels_refused("goes on after the 3 bytes");
}

TEST(every_truncation_of_an_array_is_refused)
{
    struct stat st;

    write_npy("a.npy", 1, dict("|u1", "(3, 2, 1)"), "abcdef", 6);
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

    write_npy("a.npy", 1, dict("|u1", "(3, 2, 1)"), "abcdef", 6);
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
        if (npy_file_images(test_path("b.npy"), NPY_LAYOUT_NHWC, &images, &why) == 0) {
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

/* Reads an array of bytes 0, 1, 2 ... in the layout. */
static int read_counted(const char *shape, size_t bytes, enum npy_layout layout,
                        struct npy_images *images)
{
    uint8_t data[2048];

    for (size_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)i;
    write_npy("a.npy", 1, dict("|u1", shape), data, bytes);
    return npy_file_images(test_path("a.npy"), layout, images, &why);
}

/* Of [n,c,h,w] with bytes that count up. */
static void assert_channels_first(const struct npy_images *images, uint32_t n, uint32_t c,
                                  uint32_t h, uint32_t w)
{
    ASSERT_EQ(NPY_LAYOUT_NCHW, images->layout);
    ASSERT_EQ(n, images->samples);
    ASSERT_EQ(h, images->dims.h);
    ASSERT_EQ(w, images->dims.w);
    ASSERT_EQ(c, images->dims.c);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t y = 0; y < h; y++)
            for (uint32_t x = 0; x < w; x++)
                for (uint32_t k = 0; k < c; k++)
                    ASSERT_EQ((uint8_t)(((i * c + k) * h + y) * w + x),
                              images->data[((i * h + y) * w + x) * c + k]);
}

TEST(channels_that_come_first_are_found_and_put_last)
{
    static const struct {
        const char *shape;
        uint32_t n, c, h, w;
    } arrays[] = {
        {"(3, 3, 8, 9)", 3, 3, 8, 9}, /* 9 could be channels, 3 is what images have */
        {"(5, 1, 6, 8)", 5, 1, 6, 8},     {"(2, 4, 2, 16)", 2, 4, 2, 16},
        {"(2, 3, 17, 17)", 2, 3, 17, 17}, {"(2, 13, 3, 20)", 2, 13, 3, 20},
    };
    struct npy_images images;

    for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++) {
        size_t bytes = (size_t)arrays[i].n * arrays[i].c * arrays[i].h * arrays[i].w;
        ASSERT_OK(read_counted(arrays[i].shape, bytes, NPY_LAYOUT_JUDGE, &images), why);
        assert_channels_first(&images, arrays[i].n, arrays[i].c, arrays[i].h, arrays[i].w);
        free(images.data);
    }
}

TEST(channels_that_come_last_stay_there)
{
    static const char *const shapes[] = {"(2, 8, 9, 3)", "(2, 9, 8, 3)", "(2, 16, 9, 3)",
                                         "(2, 27, 4, 4)", "(2, 18, 2, 12)"};
    struct npy_images images;

    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        ASSERT_OK(read_counted(shapes[i],
                               i == 2   ? 864
                               : i == 3 ? 864
                               : i == 4 ? 864
                                        : 432,
                               NPY_LAYOUT_JUDGE, &images),
                  why);
        ASSERT_EQ(NPY_LAYOUT_NHWC, images.layout);
        for (int k = 0; k < 432; k++)
            ASSERT_EQ((uint8_t)k, images.data[k]);
        free(images.data);
    }
}

TEST(a_layout_that_can_be_either_is_asked_for)
{
    static const struct {
        const char *shape, *part;
    } cases[] = {
        {"(4, 3, 8, 3)", "of 3 x 8 with 3 channels, as [N,C,H,W] of 8 x 3 with 3; use --layout"},
        {"(4, 1, 28, 1)",
         "as [N,H,W,C] that is images of 1 x 28 with 1 channels, as [N,C,H,W] of 28 x"},
        {"(4, 3, 8, 4)", "shape [4,3,8,4]: as [N,H,W,C] that is images of 3 x 8 with 4 channels"},
        {"(4, 8, 8, 9)",
         "of 8 x 8 with 9 channels, as [N,C,H,W] of 8 x 9 with 8; use --layout nhwc"},
        {"(32, 32, 3, 73)",
         "neither its second nor its last side can be channels, allowed is 1 to 16"},
        {"(4, 3, 100)", "rows of 100 with 3 channels; use --layout nhwc or --layout nchw"},
        {"(4, 100, 3)", "images of 100 x 3, which --layout nhwc says; rows of 100 with 3 channels"},
    };
    struct npy_images images;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        write_npy("a.npy", 1, dict("|u1", cases[i].shape), "", 0);
        assert_images_refused(cases[i].part);
    }
    ASSERT_OK(read_counted("(4, 3, 8, 3)", 288, NPY_LAYOUT_NCHW, &images), why);
    assert_channels_first(&images, 4, 3, 8, 3);
    free(images.data);
    ASSERT_OK(read_counted("(4, 3, 8, 3)", 288, NPY_LAYOUT_NHWC, &images), why);
    ASSERT_EQ(3, images.dims.h);
    ASSERT_EQ(8, images.dims.w);
    ASSERT_EQ(17, images.data[17]);
    free(images.data);
    ASSERT_OK(read_counted("(4, 3, 100)", 1200, NPY_LAYOUT_NCHW, &images), why);
    assert_channels_first(&images, 4, 3, 1, 100);
    free(images.data);
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

    write_pair(names[0], names[1], "(2, 6, 2)");
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_EQ(2, d.samples);
    ASSERT_EQ(0, d.test_samples);
    ASSERT_EQ(5, d.classes);
    ASSERT_EQ(4, d.labels[1]);
    ASSERT_HAS("npy ", d.source);
    dataset_draft_done(&d);
    write_pair(names[2], names[3], "(2, 6, 2)");
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_EQ(2, d.test_samples);
    ASSERT_EQ('p', d.test_images[23]);
    dataset_draft_done(&d);
    write_pair(names[2], names[3], "(2, 2, 6)");
    ASSERT_REFUSED(-EINVAL, NULL, 0, names[2], "has images of 2 x 6 x 1, but");
    file_remove(names[2]);
    ASSERT_REFUSED(-ENOENT, NULL, 0, names[2], "which belongs to");
    file_remove(names[1]);
    ASSERT_REFUSED(-ENOENT, NULL, 0, names[1], "which belongs to");
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

TEST(pairs_of_other_words_and_cases)
{
    struct dataset_draft d;

    write_pair("X_Train.npy", "y_train.npy", "(2, 6, 2)");
    write_pair("X_val.npy", "Y_VAL.NPY", "(2, 6, 2)");
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_EQ(2, d.test_samples);
    ASSERT_HAS("X_val.npy is taken for the test set", here_notes.texts[0]);
    dataset_draft_done(&d);
    write_pair("Test_Images.NPY", "test_labels.npy", "(1, 12, 2)");
    ASSERT_REFUSED(-EINVAL, NULL, 0, "test_labels.npy has 2 labels",
                   "Test_Images.NPY has 1 images");
    write_pair("Test_Images.NPY", "test_labels.npy", "(2, 6, 2)");
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_STR("X_val.npy, Y_VAL.NPY", here_notes.left);
    dataset_draft_done(&d);
    here_choose(NULL, "none");
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_EQ(0, d.test_samples);
    ASSERT_EQ(4, here_notes.left_files);
    dataset_draft_done(&d);
    here_choose(NULL, "dev");
    ASSERT_REFUSED(-EINVAL, NULL, 0, "--test is \"dev\", but", "has no such part; it has");
}

TEST(arrays_of_the_same_part_are_not_chosen_from)
{
    write_pair("train_images.npy", "train_labels.npy", "(2, 6, 2)");
    write_pair("x_train.npy", "y_train.npy", "(2, 6, 2)");
    ASSERT_REFUSED(-EINVAL, NULL, 0, "more than one file for the same", "train_images.npy");
    file_remove("x_train.npy");
    file_remove("y_train.npy");
    write_pair("x_training.npy", "y_training.npy", "(2, 6, 2)");
    ASSERT_REFUSED(-EINVAL, NULL, 0, "has 2 training sets, train or training", "--train NAME");
    file_remove("train_images.npy");
    file_remove("train_labels.npy");
    file_remove("x_training.npy");
    file_remove("y_training.npy");
    write_pair("x_test.npy", "y_test.npy", "(2, 6, 2)");
    ASSERT_REFUSED(-ENOENT, NULL, 0, "has no train_images.npy or x_train.npy",
                   "choose with --train NAME from test");
}

TEST(train_and_test_may_have_a_layout_each)
{
    uint8_t first[144], last[144];
    struct dataset_draft d;

    for (size_t i = 0; i < 144; i++)
        first[i] = (uint8_t)i;
    for (size_t p = 0; p < 48; p++)
        for (size_t c = 0; c < 3; c++)
            last[p * 3 + c] = first[c * 48 + p];
    write_npy("x_train.npy", 1, dict("|u1", "(1, 3, 6, 8)"), first, sizeof(first));
    write_npy("y_train.npy", 1, dict("|u1", "(1,)"), "\1", 1);
    write_npy("x_test.npy", 1, dict("|u1", "(1, 6, 8, 3)"), last, sizeof(last));
    write_npy("y_test.npy", 1, dict("|u1", "(1,)"), "\0", 1);
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_MEM(last, d.images, sizeof(last));
    ASSERT_MEM(last, d.test_images, sizeof(last));
    ASSERT_HAS("x_train.npy is read as [N,C,H,W]: images of 6 x 8 with 3", here_notes.texts[0]);
    ASSERT_EQ(1, here_notes.count);
    dataset_draft_done(&d);
}
