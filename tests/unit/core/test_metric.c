/* What a metric may be called, and who owns it. */
#include "server/core/metric.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "tests/harness.h"

#define LONGEST "0123456789012345678901234567890123456789012345678901234567890123"

static struct epoch_record e;
static struct metric_set set;
static struct errbuf why;

static void refused(const char *name, double value, const char *said)
{
    ASSERT_EQ(-EINVAL, metric_add(&set, &e, name, value, &why));
    ASSERT_HAS(said, why.text);
}

TEST(names_are_kept_in_order_and_the_last_value_counts)
{
    static const char *const names[] = {"val/f1", "~", "!", "a\"b\\c", LONGEST, "val/f1"};

    for (int i = 0; i < 6; i++)
        ASSERT_OK(metric_add(&set, &e, names[i], i, &why), why);
    ASSERT_EQ(5, set.count);
    static const struct metric want[] = {
        {"!", 2}, {LONGEST, 4}, {"a\"b\\c", 3}, {"val/f1", 5}, {"~", 1}};
    for (int i = 0; i < 5; i++) {
        ASSERT_STR(want[i].name, set.items[i].name);
        ASSERT_NEAR(want[i].value, set.items[i].value, 0);
    }
    metric_set_done(&set);
}

TEST(what_is_no_name_or_no_number_is_refused)
{
    refused("", 1, "has 0 characters, allowed is 1 to 64");
    refused(LONGEST "x", 1, "has 65 characters, allowed is 1 to 64");
    refused("my loss", 1, "is called \"my loss\", allowed is printable ASCII without spaces");
    refused("a\tb", 1, "printable ASCII");
    refused("verlust_ä", 1, "printable ASCII");
    refused("x", NAN, "metric x is nan, allowed is a finite number");
    refused("x", -INFINITY, "metric x is -inf, allowed");
    refused("test_loss", INFINITY, "metric test_loss is inf, allowed");
    ASSERT_EQ(0, set.count);
}

TEST(what_the_epoch_has_a_place_for_goes_there_in_its_unit)
{
    ASSERT_OK(metric_add(&set, &e, "test_accuracy", 0.875, &why), why);
    ASSERT_OK(metric_add(&set, &e, "lr", 0.5, &why), why);
    ASSERT_OK(metric_add(&set, &e, "validation_adv_accuracy", 0.25, &why), why);
    ASSERT_OK(metric_add(&set, &e, "sharpness", -0.125, &why), why);
    ASSERT_NEAR(0.875, e.test_accuracy, 0);
    ASSERT_NEAR(0.5, e.lr, 0);
    ASSERT_NEAR(0.25, e.validation_adv_accuracy, 0);
    ASSERT_NEAR(-0.125, e.sharpness, 0);
    ASSERT_EQ(0, set.count);
    refused("test_accuracy", 91.5, "metric test_accuracy is 91.5, allowed is 0 to 1, not percent");
    refused("lr", -1, "metric lr is -1, allowed is 0 to inf");
    ASSERT_NEAR(0.875, e.test_accuracy, 0);
}

TEST(what_only_steppe_finds_out_is_refused_by_name)
{
    static const char *const names[] = {
        "share",   "scheduled",   "scored",  "mean_gap", "adm_mean", "adm_p10", "adm_p50",
        "adm_p90", "newly_right", "seconds", "epoch",    "dropped",  "revision"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        refused(names[i], 1, names[i]);
        ASSERT_HAS("Steppe finds out itself", why.text);
    }
}

TEST(a_set_ends_at_its_bound)
{
    char name[16];

    for (int i = 0; i < METRICS_MAX; i++) {
        snprintf(name, sizeof(name), "m%d", i * 7 % METRICS_MAX);
        ASSERT_OK(metric_add(&set, &e, name, i, &why), why);
    }
    refused("x", 1, "metric x would be one of 257, allowed is 256 names a job");
    ASSERT_OK(metric_add(&set, &e, "m0", -1, &why), why);
    ASSERT_NEAR(-1, set.items[0].value, 0);
    metric_set_done(&set);
}
