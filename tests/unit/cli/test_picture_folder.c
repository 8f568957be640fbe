#include <errno.h>

#include "tests/unit/cli/exif.h"
#include "tests/unit/cli/folders.h"

static struct errbuf why;

TEST(samples_are_in_the_order_of_classes_and_names)
{
    struct dataset_draft d;

    write_classes("", 100);
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_EQ(3, d.samples);
    ASSERT_EQ(0, d.test_samples);
    ASSERT_EQ(SIDE, d.dims.h);
    ASSERT_EQ(SIDE, d.dims.w);
    ASSERT_EQ(1, d.dims.c);
    ASSERT_EQ(2, d.classes);
    ASSERT_STR("cat", d.class_names[0]);
    ASSERT_STR("dog", d.class_names[1]);
    ASSERT_EQ(0, d.labels[1]);
    ASSERT_EQ(1, d.labels[2]);
    ASSERT_EQ(110, d.images[0]); /* "10" sorts before "9" */
    ASSERT_EQ(120, d.images[PIXELS]);
    ASSERT_EQ(100, d.images[2 * PIXELS]);
    ASSERT_HAS("pictures ", d.source);
    dataset_draft_done(&d);
}

static void assert_splits(const char *test_name)
{
    struct dataset_draft d;
    char path[32];

    folder_put("train");
    write_classes("train/", 100);
    folder_put(test_name);
    snprintf(path, sizeof(path), "%s/dog", test_name);
    folder_put(path);
    snprintf(path, sizeof(path), "%s/dog/x.png", test_name);
    write_png(path, SIDE, SIDE, 1, 7);
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_EQ(3, d.samples);
    ASSERT_EQ(1, d.test_samples);
    ASSERT_EQ(1, d.test_labels[0]);
    ASSERT_EQ(7, d.test_images[PIXELS - 1]);
    dataset_draft_done(&d);
}

TEST(train_and_test_are_splits)
{
    assert_splits("test");
}

TEST(val_takes_the_place_of_test)
{
    assert_splits("val");
}

TEST(train_without_folders_is_a_class)
{
    struct dataset_draft d;

    folder_put("train");
    folder_put("plane");
    write_png("train/a.png", SIDE, SIDE, 1, 1);
    write_png("plane/a.png", SIDE, SIDE, 1, 2);
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_STR("plane", d.class_names[0]);
    ASSERT_STR("train", d.class_names[1]);
    dataset_draft_done(&d);
}

/* Pixels of grey `value` as the RGB of an image at index i. */
static void assert_grey(const uint8_t *images, size_t i, int value)
{
    for (size_t k = 0; k < 3 * PIXELS; k++)
        ASSERT_EQ(value, images[i * 3 * PIXELS + k]);
}

TEST(one_colour_picture_makes_all_of_them_rgb)
{
    struct dataset_draft d;

    folder_put("train");
    folder_put("test");
    write_classes("train/", 100);
    write_classes("test/", 50);
    write_png("test/dog/b.png", SIDE, SIDE, 3, 77);
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_EQ(3, d.dims.c);
    assert_grey(d.images, 0, 110);
    assert_grey(d.images, 1, 120);
    assert_grey(d.images, 2, 100);
    assert_grey(d.test_images, 0, 60);
    assert_grey(d.test_images, 1, 70);
    for (size_t k = 0; k < 3 * PIXELS; k++)
        ASSERT_EQ(77 + k % 3, d.test_images[2 * 3 * PIXELS + k]);
    dataset_draft_done(&d);
}

TEST(grey_pictures_behind_a_colour_one_become_rgb)
{
    struct dataset_draft d;

    write_classes("", 100);
    write_png("cat/0.png", SIDE, SIDE, 3, 30);
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_EQ(32, d.images[2]);
    assert_grey(d.images, 1, 110);
    assert_grey(d.images, 3, 100);
    dataset_draft_done(&d);
}

TEST(scaled_pictures_may_have_any_size)
{
    struct dataset_draft d;

    write_classes("", 100);
    write_png("dog/wide.png", 3, 700, 1, 9);
    ASSERT_OK(import_here(NULL, 6, &d, &why), why);
    ASSERT_EQ(6, d.dims.h);
    ASSERT_EQ(6, d.dims.w);
    ASSERT_EQ(110, d.images[35]);
    ASSERT_EQ(9, d.images[3 * 36]);
    ASSERT_HAS(", scaled to 6 x 6", d.source);
    dataset_draft_done(&d);
}

TEST(pictures_of_other_sizes_need_scaling)
{
    write_classes("", 100);
    write_png("dog/wide.png", SIDE, SIDE + 1, 1, 9);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "dog/wide.png is 4 pixels high and 5 wide, but",
                   "cat/10.png is 4 and 4; --size N scales all pictures");
    write_png("dog/wide.png", 2, 700, 1, 9);
    ASSERT_REFUSED(-ERANGE, NULL, 0, "dog/wide.png is 2 pixels high and 700 wide, allowed is 1 to",
                   "512; --size N scales all pictures");
}

TEST(jpegs_are_read_whatever_their_name_says)
{
    uint8_t pixels[PIXELS];
    struct dataset_draft d;

    memset(pixels, 60, sizeof(pixels));
    struct encoded e = jpeg_make(JCS_GRAYSCALE, 1, false, SIDE, SIDE, pixels);
    write_classes("", 100);
    file_put("cat/0.jpg", e.data, e.bytes);
    file_put("cat/1.JPEG", e.data, e.bytes);
    file_put("cat/00.png", e.data, e.bytes);
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_EQ(6, d.samples);
    for (int i = 0; i < 3 * PIXELS; i++)
        ASSERT_NEAR(60, d.images[i], 1);
    dataset_draft_done(&d);
    free(e.data);
}

TEST(hidden_names_and_files_beside_the_classes_are_skipped)
{
    struct dataset_draft d;

    write_classes("", 100);
    folder_put(".git");
    file_put("README", "about", 5);
    file_put("cat/.DS_Store", "x", 1);
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_EQ(3, d.samples);
    ASSERT_EQ(2, d.classes);
    dataset_draft_done(&d);
}

TEST(names_of_classes_become_printable)
{
    struct dataset_draft d;

    write_classes("", 100);
    folder_put("odd\xff\n");
    write_png("odd\xff\n/a.png", SIDE, SIDE, 1, 1);
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_STR("odd??", d.class_names[2]);
    dataset_draft_done(&d);
}

TEST(names_of_classes_that_become_the_same_are_refused)
{
    write_classes("", 100);
    folder_put("x\ny");
    write_png("x\ny/a.png", SIDE, SIDE, 1, 1);
    folder_put("x\033y");
    write_png("x\033y/a.png", SIDE, SIDE, 1, 1);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "has two class folders that are both shown as \"x?y\"",
                   "not UTF-8");
}

TEST(what_does_not_fit_is_named)
{
    write_classes("", 100);
    folder_put("empty");
    ASSERT_REFUSED(-EINVAL, NULL, 0, "/empty is empty", "in each class folder");
    file_put("empty/notes.txt", "x", 1);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "/empty/notes.txt is no picture", ".webp files");
    file_remove("empty/notes.txt");
    folder_put("empty/more");
    ASSERT_REFUSED(-EINVAL, NULL, 0, "/empty holds folders, but ",
                   "/cat holds none; use CLASS/FILE");
    file_remove("empty/more");
    file_remove("empty");
    write_png("lost.png", SIDE, SIDE, 1, 1);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "/lost.png is not in a class folder", "CLASS/lost.png");
}

/* Two domains, of which one has a class that the other lacks. */
static void write_domains(const char *at, int value)
{
    char name[64];

    snprintf(name, sizeof(name), "%ssketch", at);
    folder_put(name);
    snprintf(name, sizeof(name), "%ssketch/", at);
    write_classes(name, value);
    snprintf(name, sizeof(name), "%sart", at);
    folder_put(name);
    snprintf(name, sizeof(name), "%sart/bee", at);
    folder_put(name);
    snprintf(name, sizeof(name), "%sart/dog", at);
    folder_put(name);
    snprintf(name, sizeof(name), "%sart/bee/a.png", at);
    write_png(name, SIDE, SIDE, 1, value + 1);
    snprintf(name, sizeof(name), "%sart/dog/a.png", at);
    write_png(name, SIDE, SIDE, 1, value + 2);
}

TEST(domains_are_the_folders_of_class_folders)
{
    static const uint16_t labels[] = {0, 2, 1, 1, 2}, domains[] = {0, 0, 1, 1, 1};
    static const uint8_t values[] = {101, 102, 110, 120, 100};
    struct dataset_draft d;

    write_domains("", 100);
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_EQ(5, d.samples);
    ASSERT_EQ(3, d.classes);
    ASSERT_STR("bee", d.class_names[0]);
    ASSERT_STR("dog", d.class_names[2]);
    ASSERT_EQ(2, d.domain_count);
    ASSERT_STR("art", d.domain_names[0]);
    ASSERT_STR("sketch", d.domain_names[1]);
    ASSERT_MEM(labels, d.labels, sizeof(labels));
    ASSERT_MEM(domains, d.domains, sizeof(domains));
    for (int i = 0; i < 5; i++)
        ASSERT_EQ(values[i], d.images[i * PIXELS]);
    dataset_draft_done(&d);
}

TEST(a_tree_of_classes_has_no_domains)
{
    struct dataset_draft d;

    write_classes("", 100);
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT(!d.domains && !d.domain_names);
    ASSERT_EQ(0, d.domain_count);
    dataset_draft_done(&d);
}

TEST(test_pictures_may_be_of_a_domain_of_their_own)
{
    struct dataset_draft d;

    folder_put("train");
    write_domains("train/", 100);
    folder_put("test");
    folder_put("test/photo");
    folder_put("test/photo/dog");
    write_png("test/photo/dog/a.png", SIDE, SIDE, 1, 9);
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_EQ(2, d.domain_count);
    ASSERT_EQ(1, d.test_samples);
    ASSERT_EQ(2, d.test_labels[0]);
    dataset_draft_done(&d);
    folder_put("test/photo/ant");
    ASSERT_REFUSED(-EINVAL, NULL, 0, "/test/photo/ant is not a class", "training");
}

TEST(a_tree_of_both_depths_is_refused)
{
    write_domains("", 100);
    folder_put("zoo");
    write_png("zoo/a.png", SIDE, SIDE, 1, 1);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "/zoo holds no folders, but ", "/art holds folders; use");
    file_remove("zoo/a.png");
    file_remove("zoo");
    write_png("art/lost.png", SIDE, SIDE, 1, 1);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "/art/lost.png is not in a class folder",
                   "art/CLASS/lost.png");
    file_remove("art/lost.png");
    folder_put("art/dog/more");
    ASSERT_REFUSED(-EINVAL, NULL, 0, "/art/dog/more is a folder in a class folder", ".webp");
}

TEST(a_test_split_has_the_depth_of_the_training_split)
{
    folder_put("train");
    write_domains("train/", 100);
    folder_put("test");
    write_classes("test/", 50);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "/test holds CLASS/FILE, but the training pictures are",
                   "DOMAIN/CLASS/FILE; --test test takes it as it is");
}

TEST(one_class_is_refused)
{
    folder_put("dog");
    write_png("dog/a.png", SIDE, SIDE, 1, 1);
    ASSERT_REFUSED(-EINVAL, NULL, 0, test_dir(), "has 1 class folder, allowed is 2 to 65535");
}

TEST(test_classes_must_be_training_classes)
{
    folder_put("train");
    write_classes("train/", 100);
    folder_put("test");
    ASSERT_REFUSED(-EINVAL, NULL, 0, "/test", "has no class folders");
    folder_put("test/cow");
    ASSERT_REFUSED(-EINVAL, NULL, 0, "/test/cow", "is not a class of the training pictures");
}

TEST(damaged_and_unreadable_pictures_are_named)
{
    write_classes("", 100);
    file_cut("dog/b.png", 40);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "dog/b.png is a truncated PNG", "after 40 bytes");
    file_put("dog/b.png", "BM......", 8);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "dog/b.png", "is neither PNG nor JPEG");
    file_put("dog/b.png", "", 0);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "dog/b.png", "is empty");
    file_remove("dog/b.png");
    ASSERT_EQ(0, symlink("nowhere", test_path("dog/b.png")));
    ASSERT_REFUSED(-ENOENT, NULL, 0, "dog/b.png", "no such file");
    file_remove("dog/b.png");
    ASSERT_EQ(0, mkfifo(test_path("dog/b.png"), 0600));
    ASSERT_REFUSED(-EINVAL, NULL, 0, "dog/b.png", "is not a file");
}

/* Imports what is here with a request that the caller may change. */
static int import_bad(bool skip, struct import_notes *notes, struct dataset_draft *ret)
{
    struct import_request r = {.path = test_path("."), .skip_bad = skip, .notes = notes};

    return import_files(&r, ret, &why);
}

TEST(all_pictures_that_cannot_be_read_are_told_at_once)
{
    struct import_notes notes = {.count = 0};
    struct dataset_draft d;
    char name[32];

    write_classes("", 100);
    file_put("cat/10.png", "", 0);
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof(name), "dog/a%02d.png", i);
        file_put(name, "BM......", 8);
    }
    ASSERT_EQ(-EINVAL, import_bad(false, &notes, &d));
    ASSERT_HAS("31 of 33 pictures of ", why.text);
    ASSERT_HAS("cannot be read; --skip-bad leaves them out", why.text);
    ASSERT_EQ(31, notes.bad_count);
    ASSERT_HAS("cat/10.png is empty", notes.bad[0]);
    ASSERT_HAS("dog/a00.png is neither PNG", notes.bad[1]);
    import_notes_done(&notes);
}

TEST(pictures_that_cannot_be_read_are_left_out_when_asked)
{
    struct import_notes notes = {.count = 0};
    struct dataset_draft d;
    size_t bytes;

    write_classes("", 100);
    file_put("cat/1.png", "", 0);
    file_put("dog/a.png", "BM......", 8);
    file_put("dog/c.png", "BM......", 8);
    ASSERT_OK(import_bad(true, &notes, &d), why);
    ASSERT_EQ(3, d.samples);
    ASSERT_EQ(110, d.images[0]);
    ASSERT_EQ(120, d.images[PIXELS]);
    ASSERT_EQ(100, d.images[2 * PIXELS]);
    ASSERT_EQ(0, d.labels[1]);
    ASSERT_EQ(1, d.labels[2]);
    ASSERT_EQ(3, d.uris.count);
    ASSERT_MEM("cat/10.png", uris_at(&d.uris, 0, &bytes), 10);
    ASSERT_MEM("dog/b.png", uris_at(&d.uris, 2, &bytes), 9);
    ASSERT_EQ(9, bytes);
    ASSERT_EQ(3, notes.bad_count);
    ASSERT_STR("3 of 6 pictures cannot be read and are left out", notes.texts[0]);
    import_notes_done(&notes);
    dataset_draft_done(&d);
}

TEST(something_has_to_be_left)
{
    struct import_notes notes = {.count = 0};
    struct dataset_draft d;

    write_classes("", 100);
    file_put("cat/10.png", "", 0);
    file_put("cat/9.PNG", "", 0);
    file_put("dog/b.png", "", 0);
    ASSERT_EQ(-EINVAL, import_bad(true, &notes, &d));
    ASSERT_HAS("3 of 3 pictures of ", why.text);
    ASSERT_HAS("no training picture is left", why.text);
    import_notes_done(&notes);
}

/* Pictures of another size are not bad: the one that came first may be the odd one. */
TEST(another_size_is_not_left_out)
{
    struct import_notes notes = {.count = 0};
    struct dataset_draft d;

    write_classes("", 100);
    write_png("dog/z.png", SIDE, SIDE + 1, 1, 1);
    ASSERT_EQ(-EINVAL, import_bad(true, &notes, &d));
    ASSERT_HAS("--size N scales all pictures", why.text);
    import_notes_done(&notes);
}

TEST(jpegs_are_turned_as_exif_says_or_taken_as_stored)
{
    uint8_t pixels[8 * 8] = {0};
    struct import_request r = {.path = NULL};
    struct dataset_draft d;

    memset(pixels, 255, 8 * 4); /* the upper half is white */
    struct encoded e = jpeg_turned(3, 8, 8, pixels);
    folder_put("a");
    folder_put("b");
    file_put("a/a.jpg", e.data, e.bytes);
    file_put("b/a.jpg", e.data, e.bytes);
    free(e.data);
    r.path = test_path(".");
    ASSERT_OK(import_files(&r, &d, &why), why);
    ASSERT(d.images[0] < 50 && d.images[63] > 200);
    dataset_draft_done(&d);
    r.stored = true;
    ASSERT_OK(import_files(&r, &d, &why), why);
    ASSERT(d.images[0] > 200 && d.images[63] < 50);
    dataset_draft_done(&d);
}

TEST(other_labels_are_those_of_the_sorted_samples)
{
    struct dataset_draft d;

    write_classes("", 100);
    file_put("other.txt", "1\n0\n1\n", 6);
    ASSERT_OK(import_here("other.txt", 0, &d, &why), why);
    ASSERT_EQ(1, d.labels[0]);
    ASSERT_EQ(0, d.truth[0]);
    dataset_draft_done(&d);
}

TEST(a_stop_ends_the_import)
{
    _Atomic sig_atomic_t stop = 1;
    struct import_request r = {.path = test_dir(), .stop = &stop};
    struct dataset_draft d;

    write_classes("", 100);
    ASSERT_EQ(-EINTR, import_files(&r, &d, &why));
    ASSERT_HAS("nothing was sent", why.text);
}
