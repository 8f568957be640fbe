#include "proto/cli/import/import.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "tests/harness.h"

#define SAMPLES 6
#define TEST_SAMPLES 4
#define HIGH 5
#define WIDE 3
#define IMAGE_BYTES (HIGH * WIDE)
#define TRAIN_IMAGES "train-images-idx3-ubyte"
#define TRAIN_LABELS "train-labels-idx1-ubyte"
#define TEST_IMAGES "t10k-images-idx3-ubyte"
#define TEST_LABELS "t10k-labels-idx1-ubyte"

static struct errbuf why;
static const uint8_t labels[SAMPLES] = {0, 3, 1, 2, 3, 0};
static const uint8_t test_labels[TEST_SAMPLES] = {3, 0, 1, 2};

/* Bytes as they are, or gzip'd when the name ends in .gz. */
static void write_file(const char *name, const void *data, size_t bytes)
{
    size_t n = strlen(name);
    bool zip = n > 3 && strcmp(name + n - 3, ".gz") == 0;
    gzFile f = gzopen(test_path(name), zip ? "wb" : "wbT");

    ASSERT(f);
    ASSERT(bytes == 0 || gzwrite(f, data, (unsigned)bytes) == (int)bytes);
    ASSERT_EQ(Z_OK, gzclose(f));
}

/* An IDX file whose header says `sizes` and that holds `bytes` of data. */
static void write_idx(const char *name, int dims, const uint32_t *sizes, const uint8_t *data,
                      size_t bytes)
{
    size_t head = 4 + 4 * (size_t)dims;
    uint8_t *file = calloc(head + bytes, 1);

    file[2] = 8;
    file[3] = (uint8_t)dims;
    for (int i = 0; i < dims; i++)
        for (int b = 0; b < 4; b++)
            file[4 + 4 * i + b] = (uint8_t)(sizes[i] >> (24 - 8 * b));
    if (data)
        memcpy(file + head, data, bytes);
    write_file(name, file, head + bytes);
    free(file);
}

static void write_images(const char *name, uint32_t n, uint32_t high, uint32_t wide)
{
    size_t bytes = (size_t)n * high * wide;
    uint8_t *data = calloc(bytes + 1, 1);

    for (size_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)(i * 7 + n);
    write_idx(name, 3, (uint32_t[]){n, high, wide}, data, bytes);
    free(data);
}

static void write_labels(const char *name, const uint8_t *data, uint32_t n)
{
    write_idx(name, 1, &n, data, n);
}

static void write_train(void)
{
    write_images(TRAIN_IMAGES, SAMPLES, HIGH, WIDE);
    write_labels(TRAIN_LABELS, labels, SAMPLES);
}

static void assert_train(const struct dataset_draft *d)
{
    ASSERT_EQ(SAMPLES, d->samples);
    ASSERT_EQ(HIGH, d->dims.h);
    ASSERT_EQ(WIDE, d->dims.w);
    ASSERT_EQ(1, d->dims.c);
    for (size_t i = 0; i < SAMPLES * IMAGE_BYTES; i++)
        ASSERT_EQ((uint8_t)(i * 7 + SAMPLES), d->images[i]);
}

static int import(const char *path, const char *labels_path, struct dataset_draft *ret,
                  struct errbuf *sentence)
{
    return import_files(&(struct import_request){.path = path, .labels_path = labels_path}, ret,
                        sentence);
}

static void assert_refused(const char *path, const char *labels_path, int code, const char *file,
                           const char *part)
{
    struct dataset_draft d;

    ASSERT_EQ(code, import(path, labels_path, &d, &why));
    ASSERT_HAS(file, why.text);
    ASSERT_HAS(part, why.text);
}

/* The folder of the test as it is. */
static void assert_folder_refused(const char *file, const char *part)
{
    assert_refused(test_dir(), NULL, -EINVAL, file, part);
}

TEST(reads_a_folder)
{
    struct dataset_draft d;

    write_train();
    write_images(TEST_IMAGES, TEST_SAMPLES, HIGH, WIDE);
    write_labels(TEST_LABELS, test_labels, TEST_SAMPLES);
    ASSERT_OK(import(test_dir(), NULL, &d, &why), why);
    assert_train(&d);
    ASSERT_EQ(4, d.classes);
    ASSERT_EQ(TEST_SAMPLES, d.test_samples);
    ASSERT_EQ(3, d.labels[1]);
    ASSERT_EQ(3, d.test_labels[0]);
    ASSERT_EQ((uint8_t)(20 * 7 + TEST_SAMPLES), d.test_images[20]);
    ASSERT(!d.truth);
    ASSERT(!d.planted);
    ASSERT(!d.class_names);
    char source[300];
    snprintf(source, sizeof(source), "IDX %s", strrchr(test_dir(), '/') + 1);
    ASSERT_STR(source, d.source);
    dataset_draft_done(&d);
}

TEST(reads_gzip_dots_and_a_slash_behind_the_folder)
{
    struct dataset_draft d;

    write_images("train-images.idx3-ubyte.gz", SAMPLES, HIGH, WIDE);
    write_labels("train-labels.idx1-ubyte", labels, SAMPLES);
    write_images("t10k-images-idx3-ubyte.gz", TEST_SAMPLES, HIGH, WIDE);
    write_labels("t10k-labels-idx1-ubyte.gz", test_labels, TEST_SAMPLES);
    ASSERT_OK(import(test_path(""), NULL, &d, &why), why);
    assert_train(&d);
    ASSERT_EQ(TEST_SAMPLES, d.test_samples);
    dataset_draft_done(&d);
}

TEST(reads_one_images_file_with_its_labels_beside_it)
{
    struct dataset_draft d;

    write_images("my-images.idx3.gz", SAMPLES, HIGH, WIDE);
    write_labels("my-labels.idx1", labels, SAMPLES);
    ASSERT_OK(import(test_path("my-images.idx3.gz"), NULL, &d, &why), why);
    assert_train(&d);
    ASSERT_EQ(4, d.classes);
    ASSERT_EQ(0, d.test_samples);
    ASSERT_STR("IDX my-images.idx3.gz", d.source);
    dataset_draft_done(&d);
}

/* Imports the folder with a test set that is called so. */
static void assert_test_name(const char *images, const char *test_labels_name)
{
    struct dataset_draft d;

    write_images(images, TEST_SAMPLES, HIGH, WIDE);
    write_labels(test_labels_name, test_labels, TEST_SAMPLES);
    ASSERT_OK(import(test_dir(), NULL, &d, &why), why);
    assert_train(&d);
    ASSERT_EQ(TEST_SAMPLES, d.test_samples);
    dataset_draft_done(&d);
    ASSERT_EQ(0, unlink(test_path(images)));
    ASSERT_EQ(0, unlink(test_path(test_labels_name)));
}

TEST(test_sets_have_other_names)
{
    write_images("Train-Images-IDX3-ubyte", SAMPLES, HIGH, WIDE);
    write_labels("Train-labels.idx1-ubyte.gz", labels, SAMPLES);
    assert_test_name("test-images-idx3-ubyte", "test-labels-idx1-ubyte");
    assert_test_name("Test-images-idx3-ubyte.gz", "TEST-labels-idx1-ubyte");
    assert_test_name("T10K-images.idx3-ubyte", "t10k-labels-idx1-ubyte");
    assert_test_name("val-images-idx3-ubyte", "val-labels-idx1-ubyte");
    assert_test_name("validation-images-idx3-ubyte", "validation-labels-idx1-ubyte");
}

TEST(one_of_several_test_sets_is_taken_and_the_others_named)
{
    struct import_notes notes = {.count = 0};
    struct import_request r = {.path = test_dir(), .notes = &notes};
    struct dataset_draft d;

    write_train();
    write_images(TEST_IMAGES, TEST_SAMPLES, HIGH, WIDE);
    write_labels(TEST_LABELS, test_labels, TEST_SAMPLES);
    write_images(TEST_IMAGES ".gz", TEST_SAMPLES, HIGH, WIDE);
    write_images("valid-images-idx3-ubyte", 1, HIGH, WIDE);
    write_labels("valid-labels-idx1-ubyte", test_labels, 1);
    write_images("extra-images-idx3-ubyte", 1, HIGH, WIDE);
    ASSERT_OK(import_files(&r, &d, &why), why);
    ASSERT_EQ(TEST_SAMPLES, d.test_samples);
    ASSERT_STR("extra-images-idx3-ubyte, " TEST_IMAGES ".gz, valid-images-idx3-ubyte, "
               "valid-labels-idx1-ubyte",
               notes.left);
    dataset_draft_done(&d);
    write_images("test-images-idx3-ubyte", 1, HIGH, WIDE);
    write_labels("test-labels-idx1-ubyte", test_labels, 1);
    assert_folder_refused(test_dir(), "has 2 test sets, t10k or test; --test NAME");
    r.test = "test";
    ASSERT_OK(import_files(&r, &d, &why), why);
    ASSERT_EQ(1, d.test_samples);
    dataset_draft_done(&d);
    import_notes_done(&notes);
}

/* Kaggle's MNIST has each file a second time, in a folder that is called as the other. */
TEST(folders_that_are_called_as_files_are_left_out)
{
    struct import_notes notes = {.count = 0};
    struct import_request r = {.path = test_dir(), .notes = &notes};
    struct dataset_draft d;

    write_images("train-images.idx3-ubyte", SAMPLES, HIGH, WIDE);
    write_labels("train-labels.idx1-ubyte", labels, SAMPLES);
    ASSERT_EQ(0, mkdir(test_path(TRAIN_IMAGES), 0700));
    ASSERT_OK(import_files(&r, &d, &why), why);
    assert_train(&d);
    ASSERT_STR(TRAIN_IMAGES "/ (0 pictures)", notes.left);
    dataset_draft_done(&d);
    import_notes_done(&notes);
}

/* As EMNIST has it. */
TEST(sets_of_other_words_can_be_chosen)
{
    struct import_request r = {.path = test_dir(), .train = "emnist-a-train"};
    struct dataset_draft d;

    write_images("emnist-a-train-images-idx3-ubyte", SAMPLES, HIGH, WIDE);
    write_labels("emnist-a-train-labels-idx1-ubyte", labels, SAMPLES);
    write_images("emnist-a-test-images-idx3-ubyte", TEST_SAMPLES, HIGH, WIDE);
    write_labels("emnist-a-test-labels-idx1-ubyte", test_labels, TEST_SAMPLES);
    assert_refused(test_dir(), NULL, -ENOENT, "has no " TRAIN_IMAGES,
                   "choose with --train NAME from emnist-a-test or emnist-a-train");
    r.test = "emnist-a-test";
    ASSERT_OK(import_files(&r, &d, &why), why);
    assert_train(&d);
    ASSERT_EQ(TEST_SAMPLES, d.test_samples);
    dataset_draft_done(&d);
}

TEST(a_test_set_alone_is_not_trained_on)
{
    struct import_request r = {.path = test_dir(), .train = "test"};
    struct dataset_draft d;

    write_images("test-images-idx3-ubyte", SAMPLES, HIGH, WIDE);
    write_labels("test-labels-idx1-ubyte", labels, SAMPLES);
    assert_refused(test_dir(), NULL, -ENOENT, "has no " TRAIN_IMAGES,
                   "; choose with --train NAME from test");
    ASSERT_OK(import_files(&r, &d, &why), why);
    assert_train(&d);
    dataset_draft_done(&d);
    r.path = test_path("test-images-idx3-ubyte");
    ASSERT_EQ(-EINVAL, import_files(&r, &d, &why));
    ASSERT_HAS("--train is for folders, but", why.text);
}

TEST(what_is_imported_can_be_written_and_opened)
{
    struct dataset_draft draft;
    struct dataset d;
    uint8_t sha256[SHA256_BYTES];
    const char *folder = test_path("odd \xff\n name");

    ASSERT_EQ(0, mkdir(folder, 0700));
    write_images("odd \xff\n name/" TRAIN_IMAGES, SAMPLES, HIGH, WIDE);
    write_labels("odd \xff\n name/" TRAIN_LABELS, labels, SAMPLES);
    ASSERT_OK(import(test_path("odd \xff\n name"), NULL, &draft, &why), why);
    ASSERT_OK(dataset_write(&draft, test_path("d"), sha256, &why), why);
    ASSERT_OK(dataset_open(test_path("d"), &d, &why), why);
    ASSERT_STR("IDX odd ?? name", d.source);
    ASSERT_MEM(draft.labels, d.labels, SAMPLES * sizeof(*d.labels));
    dataset_close(&d);
    dataset_draft_done(&draft);
}

TEST(one_class_counts_as_two)
{
    struct dataset_draft d;

    write_images(TRAIN_IMAGES, SAMPLES, HIGH, WIDE);
    write_labels(TRAIN_LABELS, (uint8_t[SAMPLES]){0}, SAMPLES);
    ASSERT_OK(import(test_dir(), NULL, &d, &why), why);
    ASSERT_EQ(2, d.classes);
    dataset_draft_done(&d);
}

static void assert_relabelled(const char *name, int last)
{
    struct dataset_draft d;

    write_train();
    ASSERT_OK(import(test_dir(), test_path(name), &d, &why), why);
    for (int i = 0; i < SAMPLES; i++) {
        ASSERT_EQ(labels[i], d.truth[i]);
        ASSERT_EQ(i < SAMPLES - 1 ? i % 2 : last, d.labels[i]);
    }
    ASSERT_EQ(last < 4 ? 4 : last + 1, d.classes);
    ASSERT(!d.planted);
    ASSERT_HAS(", labels of other", d.source);
    dataset_draft_done(&d);
}

TEST(other_labels_from_idx_keep_the_truth)
{
    write_labels("other.gz", (uint8_t[]){0, 1, 0, 1, 0, 9}, SAMPLES);
    assert_relabelled("other.gz", 9);
}

TEST(other_labels_from_text_keep_the_truth)
{
    write_file("other.txt", "0\n1\n0\n1\n0\n65534", 15);
    assert_relabelled("other.txt", 65534);
    write_file("other.gz", " 0\r\n1\t\r\n0\r\n1\r\n0\r\n1\r\n\r\n\n", 23);
    assert_relabelled("other.gz", 1);
}

TEST(bad_lines_of_labels_are_named)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"0\n1\n65535\n1\n0\n1\n", "line 3 has \"65535\", expected a label, 0 to 65534"},
        {"-1\n1\n0\n1\n0\n1\n", "line 1 has \"-1\", expected a label, 0 to 65534"},
        {"0\n1 2\n0\n1\n0\n1\n", "line 2 has \"1 2\", expected"},
        {"0\n\n0\n1\n0\n1\n1\n", "line 2 is empty"},
        {"0\n1\n0\n1\n0\n", "has 5 labels, but"},
        {"0\n1\n0\n1\n0\n1\n2\n", "has 7 labels, but"},
        {"\n", "has 0 labels, but"},
        {"label\n0\n", "has 1 labels below the name \"label\", but"},
    };

    write_train();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        write_file("other.txt", cases[i].text, strlen(cases[i].text));
        assert_refused(test_dir(), test_path("other.txt"), -EINVAL, "other.txt", cases[i].part);
    }
    write_file("other.txt", "0\n1\0002\n0\n1\n0\n1\n", 14);
    assert_refused(test_dir(), test_path("other.txt"), -EINVAL, "other.txt",
                   "line 2 has a zero byte");
}

TEST(other_labels_of_another_count_or_format_are_refused)
{
    write_train();
    write_labels("other", labels, SAMPLES - 1);
    assert_refused(test_dir(), test_path("other"), -EINVAL, "other", "has 5 labels, but");
    write_images("other", 1, HIGH, WIDE);
    assert_refused(test_dir(), test_path("other"), -EINVAL, "other", "is IDX images, expected IDX");
    write_file("other", "\x89PNG\r\n\x1a\n", 8);
    assert_refused(test_dir(), test_path("other"), -EINVAL, "other", "is a PNG image");
    assert_refused(test_dir(), test_path("none"), -ENOENT, "none", "no such file");
}

TEST(missing_files_are_named)
{
    assert_refused(test_path("none"), NULL, -ENOENT, "none", "no such file");
    write_labels(TRAIN_LABELS, labels, SAMPLES);
    assert_refused(test_dir(), NULL, -ENOENT, test_dir(), "has no " TRAIN_IMAGES);
    ASSERT_EQ(0, unlink(test_path(TRAIN_LABELS)));
    write_images(TRAIN_IMAGES, SAMPLES, HIGH, WIDE);
    assert_refused(test_dir(), NULL, -ENOENT, test_dir(), "has no " TRAIN_LABELS);
    assert_refused(test_path(TRAIN_IMAGES), NULL, -ENOENT, "no labels beside it", TRAIN_LABELS);
    write_labels(TRAIN_LABELS, labels, SAMPLES);
    write_images(TEST_IMAGES, TEST_SAMPLES, HIGH, WIDE);
    assert_refused(test_dir(), NULL, -ENOENT, test_dir(), "has no " TEST_LABELS);
    write_images("pictures", 1, HIGH, WIDE);
    assert_refused(test_path("pictures"), NULL, -EINVAL, "pictures",
                   "lacks \"images\" in its name");
}

TEST(what_is_no_file_is_refused)
{
    ASSERT_EQ(0, mkdir(test_path(TRAIN_IMAGES), 0700));
    write_labels(TRAIN_LABELS, labels, SAMPLES);
    assert_folder_refused(TRAIN_IMAGES, "is a folder");
    ASSERT_EQ(0, rmdir(test_path(TRAIN_IMAGES)));
    ASSERT_EQ(0, mkfifo(test_path(TRAIN_IMAGES), 0600));
    assert_folder_refused(TRAIN_IMAGES, "is not a file");
    ASSERT_EQ(0, unlink(test_path(TRAIN_IMAGES)));
    write_file(TRAIN_IMAGES, "", 0);
    assert_folder_refused(TRAIN_IMAGES, "is empty");
}

TEST(other_formats_are_recognised)
{
    static const struct {
        const char *data;
        size_t bytes;
        const char *part;
    } cases[] = {
        {"\x89PNG\r\n\x1a\n", 8, "is a PNG image"},
        {"PK\3\4....", 8, "is a zip archive"},
        {"\3757zXZ\0..", 8, "is an xz file"},
        {"\x93NUMPY\1\0", 8, "is a numpy array"},
        {"<!DOCTYPE html>", 15, "is an HTML page"},
        {"\0\0\x08\1\0\0\0\6......", 14, "is IDX labels, expected IDX images"},
        {"\0\0\x0d\3.........", 13, "starts with bytes 00 00 0d 03"},
        {"\0\0", 2, "has 2 bytes only"},
    };
    char tar[600] = "digits/0.png";

    write_labels(TRAIN_LABELS, labels, SAMPLES);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        write_file(TRAIN_IMAGES, cases[i].data, cases[i].bytes);
        assert_folder_refused(TRAIN_IMAGES, cases[i].part);
    }
    ASSERT_EQ(0, unlink(test_path(TRAIN_IMAGES)));
    memcpy(tar + 257, "ustar", 5);
    write_file(TRAIN_IMAGES ".gz", tar, sizeof(tar));
    assert_folder_refused(TRAIN_IMAGES ".gz", "is a gzip of a tar archive");
}

static void assert_sizes_refused(const uint32_t sizes[3], const char *part)
{
    write_idx(TRAIN_IMAGES, 3, sizes, NULL, 100);
    assert_folder_refused(TRAIN_IMAGES, part);
}

TEST(sizes_out_of_bounds_are_refused)
{
    write_labels(TRAIN_LABELS, labels, SAMPLES);
    assert_sizes_refused((uint32_t[]){6, 513, 3}, "513 pixels high, allowed is 1 to 512");
    assert_sizes_refused((uint32_t[]){6, 5, 4000000000}, "4000000000 pixels wide");
    assert_sizes_refused((uint32_t[]){6, 0, 3}, "0 pixels high, allowed is 1 to 512");
    assert_sizes_refused((uint32_t[]){1u << 31, 1, 1}, "2147483648 images, allowed is up to");
    assert_sizes_refused((uint32_t[]){1u << 26, 5, 3}, "is truncated: it ends after 116 bytes");
    write_idx(TRAIN_IMAGES, 3, (uint32_t[]){1u << 26, 512, 512}, NULL, 100);
    assert_refused(test_dir(), NULL, -EFBIG, TRAIN_IMAGES, "bytes of images, allowed is up to");
}

TEST(a_dataset_of_nothing_is_refused)
{
    write_images(TRAIN_IMAGES, 0, HIGH, WIDE);
    write_labels(TRAIN_LABELS, NULL, 0);
    assert_folder_refused(TRAIN_IMAGES, "has 0 images, allowed is 1 to");
}

TEST(counts_that_differ_are_refused)
{
    write_images(TRAIN_IMAGES, SAMPLES, HIGH, WIDE);
    write_labels(TRAIN_LABELS, labels, SAMPLES - 1);
    assert_folder_refused(TRAIN_LABELS, "has 5 labels, but");
    assert_folder_refused(TRAIN_IMAGES, "has 6 images");
}

TEST(a_test_split_of_another_size_is_refused)
{
    write_train();
    write_images(TEST_IMAGES, TEST_SAMPLES, WIDE, HIGH);
    write_labels(TEST_LABELS, test_labels, TEST_SAMPLES);
    assert_folder_refused(TEST_IMAGES, "has images of 3 x 5, but");
    assert_folder_refused(TRAIN_IMAGES, "of 5 x 3");
}

TEST(a_test_label_that_training_lacks_is_refused)
{
    write_train();
    write_images(TEST_IMAGES, TEST_SAMPLES, HIGH, WIDE);
    write_labels(TEST_LABELS, (uint8_t[TEST_SAMPLES]){0, 3, 4, 1}, TEST_SAMPLES);
    assert_folder_refused(TEST_LABELS, "the label of image 2 is 4, allowed is 0 to 3");
}

static void cut(const char *name, size_t bytes)
{
    ASSERT_EQ(0, truncate(test_path(name), (off_t)bytes));
}

TEST(every_truncation_is_refused)
{
    struct stat st;

    write_train();
    for (size_t bytes = 16 + SAMPLES * IMAGE_BYTES; bytes-- > 4;) {
        cut(TRAIN_IMAGES, bytes);
        assert_folder_refused(TRAIN_IMAGES, "is truncated");
    }
    cut(TRAIN_IMAGES, 3);
    assert_folder_refused(TRAIN_IMAGES, "has 3 bytes only");
    ASSERT_EQ(0, unlink(test_path(TRAIN_IMAGES)));
    write_images(TRAIN_IMAGES ".gz", SAMPLES, HIGH, WIDE);
    ASSERT_EQ(0, stat(test_path(TRAIN_IMAGES ".gz"), &st));
    for (size_t bytes = (size_t)st.st_size; bytes-- > 0;) {
        cut(TRAIN_IMAGES ".gz", bytes);
        assert_folder_refused(TRAIN_IMAGES ".gz", "");
    }
}

TEST(bytes_behind_the_data_are_refused)
{
    static const uint8_t data[SAMPLES * IMAGE_BYTES + 1];
    static const char *const names[] = {TRAIN_IMAGES, TRAIN_IMAGES ".gz"};

    write_labels(TRAIN_LABELS, labels, SAMPLES);
    for (int i = 0; i < 2; i++) {
        write_idx(names[i], 3, (uint32_t[]){SAMPLES, HIGH, WIDE}, data, sizeof(data));
        assert_folder_refused(names[i], "goes on after the 106 bytes");
        ASSERT_EQ(0, unlink(test_path(names[i])));
    }
}

TEST(a_damaged_gzip_is_refused)
{
    write_images(TRAIN_IMAGES ".gz", SAMPLES, HIGH, WIDE);
    write_labels(TRAIN_LABELS, labels, SAMPLES);
    FILE *f = fopen(test_path(TRAIN_IMAGES ".gz"), "r+b");
    ASSERT(f && fseek(f, -8, SEEK_END) == 0); /* the checksum */
    int byte = fgetc(f);
    ASSERT_EQ(0, fseek(f, -8, SEEK_END));
    ASSERT(fputc(byte ^ 0x55, f) != EOF);
    ASSERT_EQ(0, fclose(f));
    assert_folder_refused(TRAIN_IMAGES ".gz", "is a damaged gzip file");
}

/* A header cannot make a small gzip file ask for more memory than it could fill. */
TEST(a_gzip_that_announces_too_much_is_refused)
{
    write_labels(TRAIN_LABELS, labels, SAMPLES);
    write_idx(TRAIN_IMAGES ".gz", 3, (uint32_t[]){1u << 18, 512, 512}, NULL, 1000);
    assert_folder_refused(TRAIN_IMAGES ".gz", "header announces 68719476752 bytes");
}

static void assert_real(const char *folder, const uint8_t first[4], int first_test)
{
    struct dataset_draft d;
    uint32_t counts[10] = {0};

    if (access(folder, F_OK) != 0)
        SKIP("the dataset is not on this machine");
    ASSERT_OK(import(folder, NULL, &d, &why), why);
    ASSERT_EQ(60000, d.samples);
    ASSERT_EQ(10000, d.test_samples);
    ASSERT_EQ(10, d.classes);
    ASSERT_EQ(28, d.dims.h);
    ASSERT_EQ(28, d.dims.w);
    for (int i = 0; i < 4; i++)
        ASSERT_EQ(first[i], d.labels[i]);
    ASSERT_EQ(first_test, d.test_labels[0]);
    for (uint32_t i = 0; i < d.test_samples; i++)
        counts[d.test_labels[i]]++;
    for (int c = 0; c < 10; c++)
        ASSERT(counts[c] > 800 && counts[c] < 1200);
    dataset_draft_done(&d);
}

TEST(reads_fashion_mnist)
{
    assert_real("../shared/data/fashion-mnist", (uint8_t[]){9, 0, 0, 3}, 9);
}

TEST(reads_mnist)
{
    assert_real("../shared/data/mnist", (uint8_t[]){5, 0, 4, 1}, 7);
}
