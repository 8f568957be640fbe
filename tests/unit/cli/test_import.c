#include <errno.h>

#include "common/file.h"
#include "proto/cli/import/npy.h"
#include "tests/unit/cli/files.h"

static struct errbuf why;

static void write_idx_train(void)
{
    file_put("train-images-idx3-ubyte", "\0\0\x08\3\0\0\0\3\0\0\0\1\0\0\0\2abcdef", 22);
    file_put("train-labels-idx1-ubyte", "\0\0\x08\1\0\0\0\3\0\1\2", 11);
}

TEST(a_folder_of_nothing_known_says_what_is_needed)
{
    ASSERT_REFUSED(-EINVAL, NULL, 0, test_dir(), "holds no dataset, expected");
    file_put("data.csv", "1,2", 3);
    ASSERT_REFUSED(-EINVAL, NULL, 0, test_dir(), "train-images-idx3-ubyte (IDX)");
    ASSERT_REFUSED(-EINVAL, NULL, 0, test_dir(), "data_batch_1.bin or train.bin (CIFAR)");
    ASSERT_REFUSED(-EINVAL, NULL, 0, test_dir(), "train_images.npy or x_train.npy");
    ASSERT_REFUSED(-EINVAL, NULL, 0, test_dir(), ".png, .jpg, .jpeg or .webp files");
}

TEST(a_path_that_is_not_there_is_refused)
{
    struct import_request r = {.path = test_path("none")};
    struct dataset_draft d;

    ASSERT_EQ(-ENOENT, import_files(&r, &d, &why));
    ASSERT_HAS("none: there is no such file", why.text);
}

TEST(half_a_dataset_says_which_file_is_missing)
{
    file_put("t10k-labels-idx1-ubyte", "\0\0\x08\1\0\0\0\0", 8);
    ASSERT_REFUSED(-ENOENT, NULL, 0, test_dir(), "has no train-images-idx3-ubyte");
}

TEST(scaling_is_for_pictures_only)
{
    write_idx_train();
    ASSERT_REFUSED(-EINVAL, NULL, 32, test_dir(), "--size is for folders of pictures, but");
    ASSERT_REFUSED(-EINVAL, NULL, 32, test_dir(), "is IDX");
}

TEST(a_layout_is_for_arrays_only)
{
    write_idx_train();
    here_layout = NPY_LAYOUT_NCHW;
    ASSERT_REFUSED(-EINVAL, NULL, 0, "--layout is for numpy's arrays, but", "is IDX");
}

/* As torchvision leaves it: root/MNIST/raw. */
TEST(folders_around_a_dataset_are_passed)
{
    struct dataset_draft d;

    folder_put("MNIST");
    folder_put("MNIST/raw");
    write_idx_train();
    static const char *const names[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte"};
    for (int i = 0; i < 2; i++) {
        char to[64];
        snprintf(to, sizeof(to), "MNIST/raw/%s", names[i]);
        ASSERT_EQ(0, rename(test_path(names[i]), test_path(to)));
    }
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_EQ(3, d.samples);
    ASSERT_EQ(2, here_notes.count);
    ASSERT_HAS("MNIST/raw, the only folder in", here_notes.texts[1]);
    size_t bytes;
    const char *uri = uris_at(&d.uris, 2, &bytes); /* below the folder that was named */
    ASSERT_EQ(3, d.uris.count);
    ASSERT_EQ(strlen("MNIST/raw/train-images-idx3-ubyte[2]"), bytes);
    ASSERT(memcmp("MNIST/raw/train-images-idx3-ubyte[2]", uri, bytes) == 0);
    dataset_draft_done(&d);
}

TEST(other_labels_from_numpy_keep_the_truth)
{
    struct dataset_draft d;

    write_idx_train();
    ASSERT_OK(npy_write(test_path("other.npy"), DTYPE_I64, (int64_t[]){5, 0, 1}, 3, &why), why);
    ASSERT_OK(import_here("other.npy", 0, &d, &why), why);
    ASSERT_EQ(6, d.classes);
    ASSERT_EQ(5, d.labels[0]);
    ASSERT_EQ(0, d.truth[0]);
    ASSERT_EQ(2, d.truth[2]);
    ASSERT_HAS(", labels of other.npy", d.source);
    dataset_draft_done(&d);
}

TEST(labels_that_correct_others_are_the_truth)
{
    struct import_request r = {
        .path = test_dir(), .labels_path = test_path("fix.txt"), .labels_are = LABELS_TRUE};
    struct dataset_draft d;

    write_idx_train();
    file_put("fix.txt", "0\n0\n1\n", 6);
    ASSERT_OK(import_files(&r, &d, &why), why);
    ASSERT_EQ(0, d.labels[1]);
    ASSERT_EQ(1, d.labels[2]);
    ASSERT(!d.truth);
    ASSERT(!d.planted);
    ASSERT_EQ(2, d.relabelled);
    ASSERT_EQ(2, d.classes);
    ASSERT_HAS(", corrected by fix.txt", d.source);
    ASSERT_OK(dataset_flip(&d, 1.0 / 3, 1, &why), why);
    for (int i = 0; i < 3; i++)
        ASSERT_EQ("\0\0\1"[i], d.truth[i]);
    dataset_draft_done(&d);
    r.labels_are = LABELS_NOISY;
    ASSERT_OK(import_files(&r, &d, &why), why);
    ASSERT_EQ(1, d.labels[2]);
    ASSERT_EQ(2, d.truth[2]);
    ASSERT_EQ(2, d.relabelled);
    dataset_draft_done(&d);
}

TEST(other_labels_from_numpy_are_judged)
{
    write_idx_train();
    ASSERT_OK(npy_write(test_path("other.npy"), DTYPE_I32, (int32_t[]){5, 0, -1}, 3, &why), why);
    ASSERT_REFUSED(-EINVAL, "other.npy", 0, "other.npy: entry 2 has \"-1\"",
                   "expected a label, 0 to 65534");
    ASSERT_OK(npy_write(test_path("other.npy"), DTYPE_U8, "\1\2", 2, &why), why);
    ASSERT_REFUSED(-EINVAL, "other.npy", 0, "other.npy has 2 labels", "has 3 images");
    ASSERT_OK(npy_write(test_path("other.npy"), DTYPE_F32, (float[]){1, 1, 1}, 3, &why), why);
    ASSERT_REFUSED(-EINVAL, "other.npy", 0, "other.npy has entries of type <f4", "integers");
}

TEST(a_long_name_does_not_break_the_source)
{
    char folder[400], file[440];
    struct dataset_draft d;

    snprintf(folder, sizeof(folder), "%s/", test_dir());
    memset(folder + strlen(folder), 'n', 250);
    folder[strlen(test_dir()) + 1 + 250] = 0;
    ASSERT_EQ(0, mkdir(folder, 0700));
    write_idx_train();
    static const char *const names[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte"};
    for (int i = 0; i < 2; i++) {
        snprintf(file, sizeof(file), "%s/%s", folder, names[i]);
        ASSERT_EQ(0, rename(test_path(names[i]), file));
    }
    file_put("other.txt", "0\n1\n2\n", 6);
    struct import_request r = {.path = folder, .labels_path = test_path("other.txt")};
    ASSERT_OK(import_files(&r, &d, &why), why);
    ASSERT_EQ(sizeof(d.source) - 1, strlen(d.source));
    dataset_draft_done(&d);
}
