#include "proto/cli/import/split.h"

#include <errno.h>

#include "tests/harness.h"

static struct errbuf why;

TEST(names_of_parts_are_known_in_any_case_and_dress)
{
    static const struct {
        const char *name;
        enum split_kind kind;
    } names[] = {
        {"train", SPLIT_TRAIN},     {"Train", SPLIT_TRAIN},
        {"TRAINING", SPLIT_TRAIN},  {"training_set", SPLIT_TRAIN},
        {"trainset", SPLIT_TRAIN},  {"seg_train", SPLIT_TRAIN},
        {"train2017", SPLIT_TRAIN}, {"Train Images", SPLIT_TRAIN},
        {"trainval", SPLIT_TRAIN},  {"valid", SPLIT_VAL},
        {"Validation", SPLIT_VAL},  {"val", SPLIT_VAL},
        {"dev", SPLIT_VAL},         {"val-256", SPLIT_VAL},
        {"test", SPLIT_TEST},       {"Test", SPLIT_TEST},
        {"Testing", SPLIT_TEST},    {"test1", SPLIT_TEST},
        {"testset", SPLIT_TEST},    {"t10k", SPLIT_TEST},
        {"T10K", SPLIT_TEST},       {"test_batch", SPLIT_TEST},
        {"holdout", SPLIT_HELD},    {"dog", SPLIT_NONE},
        {"trainer", SPLIT_NONE},    {"test tube", SPLIT_NONE},
        {"train_test", SPLIT_NONE}, {"contest", SPLIT_NONE},
        {"images", SPLIT_NONE},     {"", SPLIT_NONE},
        {"device", SPLIT_NONE},     {"12", SPLIT_NONE},
        {"tést", SPLIT_NONE},       {"training shoes", SPLIT_NONE},
        {"valley", SPLIT_NONE},     {"data", SPLIT_NONE},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (split_kind_of(names[i].name) != names[i].kind)
            FAIL("%s is taken for %d", names[i].name, split_kind_of(names[i].name));
}

TEST(halves_of_one_thing_are_known)
{
    static const char *const pairs[][2] = {{"mnist_train", "mnist_test"},
                                           {"train_64x64", "val_64x64"},
                                           {"trainA", "testA"},
                                           {"ILSVRC2012_img_train", "ilsvrc2012_img_val"},
                                           {"Training data 2", "Validation data 2"}};
    static const char *const others[][2] = {
        {"mnist_train", "svhn_test"}, {"trainA", "testB"}, {"test", "train"},
        {"train", "trained"},         {"photo", "photo"},  {"train", "train"}};

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        if (!split_is_pair(pairs[i][0], pairs[i][1]))
            FAIL("%s and %s are no pair", pairs[i][0], pairs[i][1]);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (split_is_pair(others[i][0], others[i][1]))
            FAIL("%s and %s are a pair", others[i][0], others[i][1]);
    ASSERT_EQ(SPLIT_TEST, split_word_in("digits_test"));
    ASSERT_EQ(SPLIT_VAL, split_word_in("val 64 x 64"));
    ASSERT_EQ(SPLIT_NONE, split_word_in("contest"));
    ASSERT_EQ(SPLIT_NONE, split_word_in(""));
}

static int choose(const char *const *names, int count, const char *train, const char *test,
                  struct split_choice *ret)
{
    *ret = (struct split_choice){.where = "here", .names = names, .count = count};
    int rc = split_choose_train(ret, train, &why);

    return rc ? rc : split_choose_test(ret, test, &why);
}

TEST(the_test_part_goes_before_the_validation_part)
{
    static const char *const names[] = {"Dev", "Test", "Training", "extra"};
    struct split_choice c;

    ASSERT_OK(choose(names, 4, NULL, NULL, &c), why);
    ASSERT_EQ(2, c.train);
    ASSERT_EQ(1, c.test);
    ASSERT_OK(choose(names, 4, NULL, "dev", &c), why);
    ASSERT_EQ(0, c.test);
    ASSERT_OK(choose(names, 4, NULL, "none", &c), why);
    ASSERT_EQ(-1, c.test);
    ASSERT_OK(choose(names, 4, "Test", NULL, &c), why);
    ASSERT_EQ(1, c.train);
    ASSERT_EQ(0, c.test);
    ASSERT_OK(choose(names + 3, 1, NULL, NULL, &c), why);
    ASSERT_EQ(-1, c.train);
    ASSERT_EQ(-1, c.test);
}

TEST(what_names_do_not_tell_is_asked)
{
    static const char *const names[] = {"Train", "train", "val", "valid"};
    struct split_choice c;

    ASSERT_EQ(-EINVAL, choose(names, 4, NULL, NULL, &c));
    ASSERT_STR("here has 2 training sets, Train or train; --train NAME says which is meant",
               why.text);
    ASSERT_EQ(-EINVAL, choose(names, 4, "train", NULL, &c));
    ASSERT_HAS("here has 2 validation sets, val or valid; --test NAME says which", why.text);
    ASSERT_OK(choose(names, 4, "train/", "val", &c), why);
    ASSERT_EQ(1, c.train);
    ASSERT_EQ(2, c.test);
    ASSERT_EQ(-EINVAL, choose(names, 4, "TRAIN", NULL, &c));
    ASSERT_HAS("--train is \"TRAIN\", but here has no such part; it has Train, train, val or valid",
               why.text);
    ASSERT_EQ(-EINVAL, choose(names, 4, "val", "val", &c));
    ASSERT_HAS("val of here cannot be both", why.text);
    ASSERT_OK(choose(names + 1, 2, "TRAIN", "VAL", &c), why);
    ASSERT_EQ(0, c.train);
    ASSERT_EQ(1, c.test);
}
