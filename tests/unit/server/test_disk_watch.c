#include "server/jobs/disk_watch.h"

#include <errno.h>

#include "tests/harness.h"

#define MIB (INT64_C(1) << 20)

TEST(a_disk_is_nearly_full_below_a_share_of_it)
{
    ASSERT_EQ(2 * MIB, disk_watch_least(100 * MIB));

    ASSERT_EQ(1024 * MIB, disk_watch_least((INT64_C(1) << 40) * 10));
}

TEST(an_alarm_refuses_what_is_new_and_ends_with_some_room)
{
    struct disk_watch d = {0};
    struct errbuf why;

    ASSERT_EQ(0, disk_watch_room(&d, "jobs", &why));
    disk_watch_note(&d, 2 * MIB, 100 * MIB);
    ASSERT_EQ(0, disk_watch_room(&d, "jobs", &why));
    disk_watch_note(&d, 2 * MIB - 1, 100 * MIB);
    ASSERT_EQ(-ENOSPC, disk_watch_room(&d, "jobs", &why));
    ASSERT_HAS("nearly full", why.text);
    ASSERT_HAS("new jobs are taken again above 3 MiB", why.text);
    disk_watch_note(&d, 3 * MIB - 1, 100 * MIB); /* it does not come and go */
    ASSERT_EQ(-ENOSPC, disk_watch_room(&d, "uploads", &why));
    disk_watch_note(&d, 3 * MIB, 100 * MIB);
    ASSERT_EQ(0, disk_watch_room(&d, "jobs", &why));
}

TEST(a_disk_that_cannot_be_asked_has_room)
{
    struct disk_watch d = {0};

    disk_watch_tick(&d, test_path("there/is/none"), 1);
    ASSERT_EQ(-1, d.free_bytes);
    ASSERT(!d.alarm);
    disk_watch_tick(&d, test_dir(), 2);
    ASSERT_EQ(-1, d.free_bytes); /* not yet again */
    disk_watch_tick(&d, test_dir(), 60000);
    ASSERT(d.free_bytes >= 0);
}
