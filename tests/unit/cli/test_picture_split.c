#include <errno.h>
#include <unistd.h>

#include "tests/unit/cli/folders.h"

static struct errbuf why;

static void assert_counts(uint32_t samples, uint32_t test_samples, const char *left)
{
    struct dataset_draft d;

    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_EQ(samples, d.samples);
    ASSERT_EQ(test_samples, d.test_samples);
    ASSERT_EQ(2, d.classes);
    ASSERT(!d.domains);
    ASSERT_EQ(110, d.images[0]); /* of the folder that was written as training set */
    ASSERT_STR(left, here_notes.left);
    dataset_draft_done(&d);
}

/* Folders of two names, of which the second holds the test set. */
static void assert_names(const char *train, const char *test)
{
    char name[64];

    write_set(train, 100);
    snprintf(name, sizeof(name), "%s/dog", test);
    folder_put(test);
    folder_put(name);
    snprintf(name, sizeof(name), "%s/dog/x.png", test);
    write_png(name, SIDE, SIDE, 1, 7);
    assert_counts(3, 1, "");
}

TEST(train_and_test_are_splits_in_any_case)
{
    assert_names("Train", "Test");
}

TEST(training_and_testing_are_splits)
{
    assert_names("Training", "Testing");
}

TEST(valid_takes_the_place_of_test)
{
    assert_names("train", "valid");
    ASSERT_STR("valid is taken for the test set", here_notes.texts[0]);
}

TEST(splits_may_be_called_sets_and_be_wrapped_twice)
{
    folder_put("archive");
    folder_put("archive/training_set");
    folder_put("archive/test_set");
    write_set("archive/training_set/training_set", 100);
    write_set("archive/test_set/test_set", 50);
    assert_counts(3, 3, "");
    ASSERT_HAS("archive, the only folder in", here_notes.texts[0]);
}

TEST(what_is_left_out_is_named)
{
    write_set("train", 100);
    write_set("test", 50);
    write_set("Val", 20);
    folder_put("masks");
    write_png("cover.png", SIDE, SIDE, 1, 1);
    file_put("train/classes.csv", "x", 1);
    file_put("Thumbs.db", "x", 1);
    file_put("test/dog/Thumbs.db", "x", 1);
    folder_put("__MACOSX");
    assert_counts(3, 3, "Val/ (3 pictures), cover.png, masks/ (0 pictures), train/classes.csv");
    ASSERT_EQ(2, here_notes.left_folders);
    ASSERT_EQ(2, here_notes.left_files);
    here_choose(NULL, "val");
    assert_counts(3, 3, "cover.png, masks/ (0 pictures), test/ (3 pictures), train/classes.csv");
    here_choose(NULL, "none");
    assert_counts(
        3, 0,
        "Val/ (3 pictures), cover.png, masks/ (0 pictures), test/ (3 pictures), train/classes.csv");
}

TEST(many_that_are_left_out_are_counted)
{
    char name[32], text[700] = "";
    FILE *out = fmemopen(text, sizeof(text), "w");

    write_classes("", 100);
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "n%02d.txt", i);
        file_put(name, "x", 1);
    }
    assert_counts(3, 0, "n00.txt, n01.txt, n02.txt, n03.txt, n04.txt, n05.txt, n06.txt, n07.txt");
    import_notes_print(&here_notes, "note: ", out);
    ASSERT_EQ(0, fclose(out));
    ASSERT_HAS("note: 20 files left out: n00.txt, n01.txt", text);
    ASSERT_HAS("n07.txt and 12 more\n", text);
}

TEST(two_training_sets_are_asked_for)
{
    write_set("Train", 100);
    write_set("train", 50);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "has 2 training sets, Train or train", "--train NAME says");
    here_choose("Train", NULL);
    assert_counts(3, 0, "train/ (3 pictures)");
}

TEST(an_unknown_folder_beside_the_training_set_is_asked_for)
{
    struct dataset_draft d;

    write_set("train", 100);
    write_set("holdout", 50);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "has train/ and holdout/: --test holdout takes the latter",
                   "--test none leaves it out, --train . trains on both");
    here_choose(NULL, "holdout");
    assert_counts(3, 3, "");
    here_choose(NULL, "none");
    assert_counts(3, 0, "holdout/ (3 pictures)");
    here_choose(".", NULL);
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_EQ(6, d.samples);
    ASSERT_STR("holdout", d.domain_names[0]);
    dataset_draft_done(&d);
}

TEST(a_class_that_is_called_holdout_is_asked_for)
{
    write_classes("", 100);
    folder_put("holdout");
    write_png("holdout/a.png", SIDE, SIDE, 1, 1);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "has holdout/, but no train/ beside it", "--test none");
    here_choose(NULL, "none");
    assert_counts(3, 0, "holdout/ (1 picture)");
}

TEST(a_test_set_alone_is_asked_for)
{
    struct dataset_draft d;

    write_set("Test", 100);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "has Test/, but no train/ beside it",
                   "--train Test trains on");
    here_choose("Test", NULL);
    assert_counts(3, 0, "");
    here_choose(NULL, NULL);
    write_set("photo", 50);
    write_set("sketch", 20);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "--test Test trains on the other folders and tests on it",
                   "--train . trains on all of them");
    here_choose(NULL, "Test");
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_EQ(6, d.samples);
    ASSERT_EQ(3, d.test_samples);
    ASSERT_STR("sketch", d.domain_names[1]);
    ASSERT_EQ(110, d.test_images[0]);
    dataset_draft_done(&d);
    here_choose(NULL, "none");
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_EQ(6, d.samples);
    ASSERT_EQ(2, d.domain_count);
    ASSERT_STR("Test/ (3 pictures)", here_notes.left);
    dataset_draft_done(&d);
}

/* As domains they would be trained on, both of them. */
TEST(halves_of_one_thing_are_asked_for)
{
    write_set("mnist_train", 100);
    write_set("mnist_test", 50);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "has mnist_train/ and mnist_test/: --train mnist_train --test",
                   "--train . trains on all folders");
    here_choose("mnist_train", "mnist_test");
    assert_counts(3, 3, "");
    here_choose("mnist_train", NULL);
    assert_counts(3, 0, "mnist_test/ (3 pictures)");
}

TEST(halves_that_are_classes_are_asked_for)
{
    struct dataset_draft d;

    folder_put("trainA");
    folder_put("testA");
    write_png("trainA/a.png", SIDE, SIDE, 1, 1);
    write_png("testA/a.png", SIDE, SIDE, 1, 2);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "has trainA/ and testA/ without class folders",
                   "--train . trains on both; as training and test set they need trainA/CLASS");
    here_choose(".", NULL);
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_STR("testA", d.class_names[0]);
    dataset_draft_done(&d);
}

TEST(a_domain_with_the_word_of_a_test_set_is_asked_for)
{
    struct dataset_draft d;

    write_set("photo", 100);
    write_set("photo_test", 50);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "has photo_test/, but no train/ beside it", "--test none");
    here_choose(NULL, "none");
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_EQ(3, d.samples);
    ASSERT_STR("photo_test/ (3 pictures)", here_notes.left);
    dataset_draft_done(&d);
    here_choose(".", NULL);
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_EQ(2, d.domain_count);
    ASSERT_STR("2 domains: photo, photo_test", here_notes.texts[0]);
    dataset_draft_done(&d);
}

TEST(folders_that_cannot_be_read_are_named)
{
    folder_put("photos");
    ASSERT_EQ(0, symlink("loop", test_path("photos/loop")));
    ASSERT_REFUSED(-ELOOP, NULL, 0, "cannot open ", "photos/loop");
    write_set("more", 100);
    ASSERT_REFUSED(-ELOOP, NULL, 0, "cannot open ", "photos/loop");
}

/* cat/ and dog/ with test/cat and test/dog beside them. */
TEST(a_test_set_beside_the_classes_can_be_chosen)
{
    write_classes("", 100);
    write_set("test", 50);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "has test/, but no train/ beside it", "--test test");
    here_choose(NULL, "test");
    assert_counts(3, 3, "");
}

TEST(classes_that_are_called_train_and_test_are_asked_for)
{
    struct dataset_draft d;

    folder_put("train");
    folder_put("test");
    write_png("train/a.png", SIDE, SIDE, 1, 1);
    write_png("test/a.png", SIDE, SIDE, 1, 2);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "has train/ and test/ without class folders",
                   "--train . trains on both; as training and test set they need train/CLASS/FILE");
    here_choose(".", NULL);
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_STR("test", d.class_names[0]);
    dataset_draft_done(&d);
}

/* CLASS/train and CLASS/test are not two classes in two domains. */
TEST(splits_inside_the_classes_are_not_trained_on)
{
    struct dataset_draft d;
    static const char *const folders[] = {"cat",      "dog",       "cat/train",
                                          "cat/test", "dog/train", "dog/test"};

    for (size_t i = 0; i < 6; i++) {
        char name[32];
        folder_put(folders[i]);
        snprintf(name, sizeof(name), "%s/a.png", folders[i]);
        if (i > 1)
            write_png(name, SIDE, SIDE, 1, 1);
    }
    ASSERT_REFUSED(-EINVAL, NULL, 0, "has training pictures in folders called test",
                   "--train . trains on them; as a test set they belong in test");
    here_choose(".", NULL);
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_EQ(2, d.domain_count);
    dataset_draft_done(&d);
    here_choose(NULL, NULL);
    folder_put("all");
    for (size_t i = 0; i < 2; i++) {
        char to[32];
        snprintf(to, sizeof(to), "all/%s", folders[i]);
        ASSERT_EQ(0, rename(test_path(folders[i]), test_path(to)));
    }
    ASSERT_REFUSED(-EINVAL, NULL, 0, "/all has training pictures in folders", "called test");
}

TEST(pictures_without_classes_are_no_test_set)
{
    write_set("train", 100);
    folder_put("test");
    write_png("test/1.png", SIDE, SIDE, 1, 1);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "test/1.png is not in a class folder", "--test none leaves");
    here_choose(NULL, "none");
    assert_counts(3, 0, "test/ (1 picture)");
}

TEST(the_only_folder_is_looked_into)
{
    struct dataset_draft d;

    write_set("photos", 100);
    file_put("README", "x", 1);
    assert_counts(3, 0, "README");
    ASSERT_HAS("/photos, the only folder in ", here_notes.texts[0]);
    here_choose(".", NULL);
    ASSERT_OK(import_here(NULL, 0, &d, &why), why);
    ASSERT_STR("photos", d.domain_names[0]);
    dataset_draft_done(&d);
}

TEST(names_that_are_too_long_are_refused_before_a_picture_is_read)
{
    char name[160], file[200];

    folder_put("art");
    write_set("art/cow", 100);
    folder_put("sketch");
    write_set("sketch/cow", 100);
    file_remove("art/cow/cat/9.PNG");
    file_put("art/cow/cat/10.png", "damaged", 7);
    memset(name, 'n', 129);
    name[129] = 0;
    folder_put(name);
    ASSERT_REFUSED(-EINVAL, NULL, 0, test_dir(), "name of 129 bytes, allowed is up to 128: nnnn");
    file_remove(name);
    snprintf(file, sizeof(file), "sketch/%s", name);
    folder_put(file);
    ASSERT_REFUSED(-EINVAL, NULL, 0, "/sketch has a class name of 129 bytes", "nnn...");
}
