#include <errno.h>

#include "common/hash.h"
#include "tests/unit/cli/files.h"

#define PIXELS 1024
#define RECORD 3073

static struct errbuf why;

/* Pixel p of plane c of record r. */
static uint8_t pixel(int r, int c, int p)
{
    return (uint8_t)(r * 31 + c * 85 + p * 3);
}

/* count records that begin with prefix bytes of label; the last is (first + i) % classes. */
static void write_records(const char *name, int count, int prefix, int first, int classes)
{
    size_t record = (size_t)prefix + 3 * PIXELS;
    uint8_t *data = calloc((size_t)count + 1, record);

    for (int i = 0; i < count; i++) {
        uint8_t *at = data + (size_t)i * record;
        at[prefix - 1] = (uint8_t)((first + i) % classes);
        for (int p = 0; p < 3 * PIXELS; p++)
            at[prefix + p] = pixel(first + i, p / PIXELS, p % PIXELS);
    }
    file_put(name, data, (size_t)count * record);
    free(data);
}

static void write_cifar10(const char *folder)
{
    char name[64];

    for (int b = 1; b <= 5; b++) {
        snprintf(name, sizeof(name), "%sdata_batch_%d.bin", folder, b);
        write_records(name, 2, 1, 2 * b, 3);
    }
    snprintf(name, sizeof(name), "%stest_batch.bin", folder);
    write_records(name, 4, 1, 50, 3);
    snprintf(name, sizeof(name), "%sbatches.meta.txt", folder);
    file_put(name, "car\nbird\r\ncat\n\n", 15);
}

static void assert_cifar10(const struct dataset_draft *d)
{
    ASSERT_EQ(10, d->samples);
    ASSERT_EQ(4, d->test_samples);
    ASSERT_EQ(32, d->dims.h);
    ASSERT_EQ(32, d->dims.w);
    ASSERT_EQ(3, d->dims.c);
    ASSERT_EQ(3, d->classes);
    ASSERT_STR("bird", d->class_names[1]);
    for (int i = 0; i < 10; i++)
        ASSERT_EQ((2 + i) % 3, d->labels[i]);
    for (int c = 0; c < 3; c++)
        for (int p = 0; p < PIXELS; p++) {
            ASSERT_EQ(pixel(2 + 7, c, p), d->images[7 * 3 * PIXELS + p * 3 + c]);
            ASSERT_EQ(pixel(50, c, p), d->test_images[p * 3 + c]);
        }
}

TEST(reads_cifar10_batch_after_batch)
{
    struct dataset_draft d;

    write_cifar10("");
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    assert_cifar10(&d);
    ASSERT_HAS("CIFAR-10 ", d.source);
    dataset_draft_done(&d);
}

TEST(finds_the_folder_of_the_archive)
{
    struct dataset_draft d;

    folder_put("cifar-10-batches-bin");
    folder_put("flowers");
    file_put("flowers/a.png", "x", 1);
    file_put("cifar-10-binary.tar.gz", "x", 1);
    write_cifar10("cifar-10-batches-bin/");
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    assert_cifar10(&d);
    ASSERT_HAS("cifar-10-batches-bin in ", here_notes.texts[0]);
    ASSERT_STR("cifar-10-binary.tar.gz, flowers/ (1 picture)", here_notes.left);
    dataset_draft_done(&d);
}

TEST(reads_the_fine_labels_of_cifar100)
{
    struct dataset_draft d;

    write_records("train.bin", 7, 2, 0, 4);
    write_records("test.bin", 2, 2, 3, 4);
    file_put("fine_label_names.txt", "a\nb\nc\nd", 7);
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_EQ(7, d.samples);
    ASSERT_EQ(2, d.test_samples);
    ASSERT_EQ(4, d.classes);
    ASSERT_EQ(3, d.test_labels[0]);
    ASSERT_EQ(pixel(1, 2, 5), d.images[3 * PIXELS + 5 * 3 + 2]);
    ASSERT_HAS("CIFAR-100 ", d.source);
    dataset_draft_done(&d);
}

TEST(other_labels_must_be_of_the_named_classes)
{
    struct dataset_draft d;

    write_cifar10("");
    file_put("other.txt", "0\n1\n2\n0\n1\n2\n0\n1\n2\n0\n", 20);
    ASSERT_OK(import_here("other.txt", 0, &d, &why), why);
    ASSERT_EQ(2, d.truth[0]);
    ASSERT_EQ(0, d.labels[0]);
    ASSERT_EQ(3, d.classes);
    ASSERT_HAS(", labels of other.txt", d.source);
    dataset_draft_done(&d);
    file_put("other.txt", "0\n1\n2\n0\n1\n3\n0\n1\n2\n0\n", 20);
    ASSERT_REFUSED(-EINVAL, "other.txt", 0, "label 5 of", "is 3, allowed is 0 to 2 (3 classes)");
}

TEST(a_missing_file_is_named)
{
    static const char *const names[] = {"data_batch_4.bin", "test_batch.bin", "batches.meta.txt"};

    for (int i = 0; i < 3; i++) {
        write_cifar10("");
        file_remove(names[i]);
        ASSERT_REFUSED(-ENOENT, NULL, 0, names[i], "no such file");
    }
}

TEST(a_truncated_file_is_refused)
{
    static const size_t sizes[] = {1, RECORD - 1, RECORD + 1, 2 * RECORD - 1};

    write_cifar10("");
    for (int i = 3; i >= 0; i--) {
        file_cut("data_batch_2.bin", sizes[i]);
        ASSERT_REFUSED(-EINVAL, NULL, 0, "data_batch_2.bin is truncated",
                       "whole number of CIFAR-10 records of 3073 bytes");
    }
    file_cut("data_batch_2.bin", 0);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "data_batch_2.bin is empty", "expected");
    write_records("data_batch_2.bin", 1, 2, 0, 2);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "data_batch_2.bin is truncated", "it has 3074 bytes");
}

TEST(a_label_out_of_range_is_named)
{
    write_cifar10("");
    write_records("test_batch.bin", 3, 1, 1, 4);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "record 2 of",
                   "test_batch.bin has label 3, allowed is 0 to 2");
}

TEST(class_names_must_be_usable)
{
    write_cifar10("");
    file_put("batches.meta.txt", "only\n\n", 6);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "batches.meta.txt has 1 class names", "at least 2");
    file_put("batches.meta.txt", "", 0);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "batches.meta.txt has 0 class names", "at least 2");
    static char many[2 * (CLASSES_MAX + 1)];
    for (size_t i = 0; i < sizeof(many); i++)
        many[i] = i % 2 ? '\n' : 'x';
    file_put("batches.meta.txt", many, sizeof(many));
    ASSERT_REFUSED(-EINVAL, NULL, 0, "batches.meta.txt", "more than 65535 class names");
}

/* The names below an empty line would be those of other labels. */
TEST(class_names_do_not_shift)
{
    struct dataset_draft d;

    write_cifar10("");
    file_put("batches.meta.txt", "car\n\nbird\ncat\n", 14);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "batches.meta.txt: line 2 is empty", "the name of class 1");
    file_put("batches.meta.txt",
             "\xff\xfe"
             "c\0a\0r\0",
             8);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "batches.meta.txt", "is text in UTF-16, expected UTF-8");
    file_put("batches.meta.txt",
             "\xef\xbb\xbf"
             "car\r\nbird\r\ncat\r\n\r\n",
             21);
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_STR("car", d.class_names[0]);
    ASSERT_EQ(3, d.classes);
    dataset_draft_done(&d);
}

TEST(a_folder_in_the_place_of_a_file_is_refused)
{
    write_cifar10("");
    file_remove("data_batch_5.bin");
    folder_put("data_batch_5.bin");
    ASSERT_REFUSED(-EISDIR, NULL, 0, "data_batch_5.bin", "is a folder");
}

TEST(class_names_that_are_too_long_are_refused_before_the_images)
{
    char names[140] = "car\n";

    memset(names + 4, 'n', 129);
    write_cifar10("");
    file_put("batches.meta.txt", names, 133);
    file_cut("data_batch_1.bin", 5);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "batches.meta.txt has a class name of 129 bytes", "to 128");
}

TEST(test_sets_of_other_names_are_read_or_named)
{
    struct dataset_draft d;

    write_cifar10("");
    ASSERT_EQ(0, rename(test_path("data_batch_2.bin"), test_path("DATA_BATCH_2.BIN")));
    ASSERT_EQ(0, rename(test_path("test_batch.bin"), test_path("Valid_batch.bin")));
    file_put("readme.html", "x", 1);
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    assert_cifar10(&d);
    ASSERT_STR("Valid_batch.bin is taken for the test set", here_notes.texts[0]);
    ASSERT_STR("", here_notes.left);
    dataset_draft_done(&d);
    write_records("test_batch.bin", 1, 1, 50, 3);
    write_records("data_batch_6.bin", 1, 1, 50, 3);
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_EQ(1, d.test_samples);
    ASSERT_EQ(10, d.samples);
    ASSERT_STR("Valid_batch.bin, data_batch_6.bin", here_notes.left);
    dataset_draft_done(&d);
    here_choose(NULL, "valid");
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    assert_cifar10(&d);
    dataset_draft_done(&d);
    here_choose(NULL, "none");
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_EQ(0, d.test_samples);
    ASSERT_EQ(10, d.samples);
    dataset_draft_done(&d);
    here_choose("data", NULL);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "--train is for pictures, .npy and IDX files", "CIFAR-10");
}

TEST(pickles_are_told_where_the_binary_version_is)
{
    struct import_request r = {.path = NULL};
    struct dataset_draft d;

    folder_put("data");
    folder_put("data/cifar-10-batches-py");
    file_put("data/cifar-10-batches-py/data_batch_1", "\x80\2}q\1", 5);
    file_put("data/cifar-10-batches-py/batches.meta", "\x80\2}q\1", 5);
    file_put("data/cifar-10-python.tar.gz", "x", 1);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "holds CIFAR as Python pickles", "cifar-10-binary.tar.gz of");
    r.path = test_path("data/cifar-10-batches-py/data_batch_1");
    ASSERT_EQ(-EINVAL, import_files(&r, &d, &why));
    ASSERT_HAS("data_batch_1 is a Python pickle", why.text);
    static const char *const folders[] = {"data", "data/cifar-10-batches-py"};
    for (int i = 0; i < 2; i++) {
        r.path = test_path(folders[i]);
        ASSERT_EQ(-EINVAL, import_files(&r, &d, &why));
        ASSERT_HAS("cifar-10-binary.tar.gz of", why.text);
    }
    folder_put("cifar-100-python");
    file_put("cifar-100-python/train", "\x80\2}q\1", 5);
    file_put("cifar-100-python/meta", "\x80\2}q\1", 5);
    r.path = test_path("cifar-100-python");
    ASSERT_EQ(-EINVAL, import_files(&r, &d, &why));
    ASSERT_HAS("cifar-100-binary.tar.gz of https", why.text);
}

static void assert_image(const uint8_t *image, int label, const char *want, int got_label)
{
    char sha256[SHA256_HEX];

    sha256_hex_of(image, 3 * PIXELS, sha256);
    ASSERT_STR(want, sha256);
    ASSERT_EQ(label, got_label);
}

/* The hashes were computed from the .bin files with numpy. */
TEST(reads_the_real_cifar10)
{
    const char *archive = "../shared/data/cifar-10/cifar-10-binary.tar.xz";
    struct dataset_draft d;
    uint32_t counts[10] = {0};
    char command[600];

    if (access(archive, R_OK) != 0)
        SKIP("the dataset is not on this machine");
    snprintf(command, sizeof(command), "tar -xJf %s -C %s", archive, test_dir());
    if (system(command) != 0)
        SKIP("tar or xz is missing");
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_EQ(50000, d.samples);
    ASSERT_EQ(10000, d.test_samples);
    ASSERT_STR("airplane", d.class_names[0]);
    ASSERT_STR("truck", d.class_names[9]);
    for (uint32_t i = 0; i < d.samples; i++)
        counts[d.labels[i]]++;
    for (int c = 0; c < 10; c++)
        ASSERT_EQ(5000, counts[c]);
    assert_image(d.images + (size_t)21234 * 3 * PIXELS, 1,
                 "3e9091be9f1ecf08040b072818cdbe1c87d1228218b8f310e2f59034543c9cdd",
                 d.labels[21234]);
    assert_image(d.test_images + (size_t)9999 * 3 * PIXELS, 7,
                 "322e5a9f0e259795a47d74a76b1245bb88af132e53917382643104c5530b5cf5",
                 d.test_labels[9999]);
    dataset_draft_done(&d);
}
