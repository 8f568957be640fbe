#include "common/machine.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/file.h"
#include "tests/harness.h"

#define MIB (INT64_C(1) << 20)

/* root/path with this text, and the folders that lead to it. */
static void put(const char *path, const char *text)
{
    char *whole = xasprintf("%s/%s", test_path("root"), path), *folder = xstrdup(whole);
    const struct file_part part = {text, strlen(text)};
    struct errbuf why = {""};

    *strrchr(folder, '/') = '\0';
    ASSERT_OK(file_mkdirs(folder, 0700, &why), why);
    ASSERT_OK(file_write_atomic(whole, 0600, &part, 1, &why), why);
    free(folder);
    free(whole);
}

static struct machine look(unsigned processors)
{
    struct machine m = {.online = 8, .allowed = processors, .physical_bytes = 16384 * MIB};

    machine_groups(test_path("root"), &m);
    return m;
}

static void mount_v2(const char *below)
{
    char *text =
        xasprintf("22 1 8:1 / / rw - ext4 /dev/sda rw\n"
                  "31 23 0:28 %s /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw\n",
                  below);

    put("proc/self/mountinfo", text);
    free(text);
}

static void mount_v1(const char *below)
{
    char *text =
        xasprintf("31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
                  "32 31 0:29 %s /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
                  "34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
                  "35 31 0:32 %s /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
                  "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
                  below, below);

    put("proc/self/mountinfo", text);
    free(text);
}

TEST(a_machine_without_groups_is_all_ours)
{
    char text[MACHINE_TEXT_BYTES];
    struct machine m = look(8);

    ASSERT_EQ(8, machine_processors(&m));
    ASSERT_EQ(16384 * MIB, machine_memory(&m));
    ASSERT_STR("the machine's 8 processors", machine_say_processors(&m, text));
    ASSERT_STR("the machine's 16 GiB", machine_say_memory(&m, text));
}

TEST(an_affinity_mask_counts)
{
    char text[MACHINE_TEXT_BYTES];
    struct machine m = look(2);

    ASSERT_EQ(2, machine_processors(&m));
    ASSERT_STR("affinity of 2 processors", machine_say_processors(&m, text));
    m.allowed = 1;
    ASSERT_STR("affinity of 1 processor", machine_say_processors(&m, text));
}

TEST(version_2_in_a_container_whose_group_is_the_root)
{
    char text[MACHINE_TEXT_BYTES];

    put("proc/self/cgroup", "0::/\n");
    mount_v2("/");
    put("sys/fs/cgroup/memory.max", "536870912\n");
    put("sys/fs/cgroup/cpu.max", "150000 100000\n");
    struct machine m = look(8);
    ASSERT_EQ(2, machine_processors(&m));
    ASSERT_EQ(512 * MIB, machine_memory(&m));
    ASSERT_STR("the cgroup's quota of 1.5 processors", machine_say_processors(&m, text));
    ASSERT_STR("the cgroup's 512 MiB", machine_say_memory(&m, text));
    put("sys/fs/cgroup/cpu.max", "50000 100000\n");
    m = look(8);
    ASSERT_EQ(1, machine_processors(&m));
    put("sys/fs/cgroup/cpu.max", "200000 100000\n");
    m = look(8);
    ASSERT_EQ(2, machine_processors(&m));
}

TEST(no_limit_is_written_as_max)
{
    put("proc/self/cgroup", "0::/a\n");
    mount_v2("/");
    put("sys/fs/cgroup/a/memory.max", "max\n");
    put("sys/fs/cgroup/a/memory.high", "max\n");
    put("sys/fs/cgroup/a/cpu.max", "max 100000\n");
    struct machine m = look(3);
    ASSERT_EQ(3, machine_processors(&m));
    ASSERT_EQ(16384 * MIB, machine_memory(&m));
}

TEST(a_group_has_what_all_above_it_leave)
{
    put("proc/self/cgroup", "0::/slice/unit/part\n");
    mount_v2("/");
    put("sys/fs/cgroup/slice/memory.max", "1073741824\n");
    put("sys/fs/cgroup/slice/unit/memory.max", "max\n");
    put("sys/fs/cgroup/slice/unit/memory.high", "268435456\n");
    put("sys/fs/cgroup/slice/unit/part/memory.max", "2147483648\n");
    put("sys/fs/cgroup/slice/cpu.max", "300000 100000\n");
    put("sys/fs/cgroup/slice/unit/part/cpu.max", "400000 100000\n");
    struct machine m = look(8);
    ASSERT_EQ(3, machine_processors(&m));
    ASSERT_EQ(256 * MIB, machine_memory(&m));
}

TEST(version_1_has_a_hierarchy_for_each_controller)
{
    put("proc/self/cgroup",
        "9:name=systemd:/\n4:memory:/m/n\n3:cpuset:/\n2:cpu,cpuacct:/c\n0::/\n");
    mount_v1("/");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("sys/fs/cgroup/memory/m/memory.limit_in_bytes", "805306368\n");
    put("sys/fs/cgroup/memory/m/n/memory.limit_in_bytes", "9223372036854771712\n");
    put("sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us", "400000\n");
    put("sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_period_us", "100000\n");
    put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    struct machine m = look(8);
    ASSERT_EQ(4, machine_processors(&m));
    ASSERT_EQ(768 * MIB, machine_memory(&m));
}

/* The group's name is the host's, the folder that is mounted is the group's. */
TEST(version_1_in_a_container_that_sees_the_names_of_its_host)
{
    put("proc/self/cgroup", "4:memory:/docker/abc/sub\n2:cpu,cpuacct:/docker/abc\n0::/\n");
    mount_v1("/docker/abc");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n");
    put("sys/fs/cgroup/memory/sub/memory.limit_in_bytes", "134217728\n");
    put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "250000\n");
    put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    struct machine m = look(8);
    ASSERT_EQ(3, machine_processors(&m));
    ASSERT_EQ(128 * MIB, machine_memory(&m));
}

TEST(a_group_of_another_namespace_is_seen_from_its_mount)
{
    const char *const groups[] = {"0::/../other\n", "0::/elsewhere/x\n", "0::/..\n"};

    mount_v2("/pod");
    put("sys/fs/cgroup/memory.max", "536870912\n");
    put("sys/fs/memory.max", "1048576\n");
    for (int i = 0; i < 3; i++) {
        put("proc/self/cgroup", groups[i]);
        struct machine m = look(8);
        ASSERT_EQ(512 * MIB, machine_memory(&m));
    }
}

TEST(what_is_broken_is_no_limit)
{
    put("proc/self/cgroup", "0\n0:\n0::/\n");
    put("proc/self/mountinfo", "\n31 23\n31 23 0:28 / /sys/fs/cgroup rw - cgroup2\n"
                               "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    put("sys/fs/cgroup/memory.max", "-5\n");
    put("sys/fs/cgroup/memory.high", "\n");
    put("sys/fs/cgroup/cpu.max", "100000\n");
    struct machine m = look(8);
    ASSERT_EQ(8, machine_processors(&m));
    ASSERT_EQ(16384 * MIB, machine_memory(&m));
    put("sys/fs/cgroup/memory.max", "");
    put("sys/fs/cgroup/cpu.max", "0 0\n");
    m = look(8);
    ASSERT_EQ(8, machine_processors(&m));
    ASSERT_EQ(16384 * MIB, machine_memory(&m));
}

TEST(the_least_limit_of_memory_counts)
{
    char text[MACHINE_TEXT_BYTES];
    struct machine m = {.physical_bytes = 100 * MIB, .group_bytes = 200 * MIB};

    ASSERT_EQ(100 * MIB, machine_memory(&m));
    m.address_bytes = 50 * MIB;
    ASSERT_STR("ulimit -v's 50 MiB", machine_say_memory(&m, text));
    m = (struct machine){.allowed = 0};
    ASSERT_EQ(INT64_MAX, machine_memory(&m));
    ASSERT_EQ(1, machine_processors(&m));
}

TEST(this_machine_has_something)
{
    struct machine m;

    machine_here(&m);
    ASSERT(machine_processors(&m) >= 1 && machine_processors(&m) <= m.allowed);
    ASSERT(m.allowed <= m.online);
    ASSERT(machine_memory(&m) > 0 && machine_memory(&m) <= m.physical_bytes);
}
