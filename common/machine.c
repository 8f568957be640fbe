#define _GNU_SOURCE /* CPU_ALLOC */
#include "common/machine.h"

#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/text.h"

#define LINE_BYTES 4096
#define PROCESSORS_MAX (1 << 16) /* in a mask; the kernel's own limit is 8192 */

/* A hierarchy of control groups as this process sees it. */
struct hierarchy {
    char path[LINE_BYTES];  /* our group, from the root of the hierarchy; "": none */
    char mount[LINE_BYTES]; /* the folder where it is mounted; "": not mounted */
    char below[LINE_BYTES]; /* the group that this folder shows */
};

/* The first line of root/folder/name without its end; false when there is none. */
static bool read_line(const char *root, const char *folder, const char *name, char out[LINE_BYTES])
{
    char *path = xasprintf("%s%s/%s", root, folder, name);
    FILE *f = fopen(path, "re");
    bool good = f && fgets(out, LINE_BYTES, f);

    free(path);
    if (f)
        fclose(f);
    if (good)
        out[strcspn(out, "\n")] = '\0';
    return good;
}

/* Is word in the comma separated list? */
static bool has_word(const char *list, const char *word)
{
    const size_t bytes = strlen(word);

    for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',')
        if (strncmp(at, word, bytes) == 0 && (at[bytes] == ',' || !at[bytes]))
            return true;
    return false;
}

/* Calls each with every line of the file until it returns true. */
static void read_lines(const char *root, const char *name,
                       bool (*each)(struct hierarchy *h, char *line, const char *controller),
                       struct hierarchy *h, const char *controller)
{
    char *path = xasprintf("%s/proc/self/%s", root, name), line[LINE_BYTES];
    FILE *f = fopen(path, "re");
    bool enough = false;

    while (f && !enough && fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = '\0';
        enough = each(h, line, controller);
    }
    free(path);
    if (f)
        fclose(f);
}

/* "4:memory:/a/b", of version 2 "0::/a/b". */
static bool group_line(struct hierarchy *h, char *line, const char *controller)
{
    char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;

    if (!path)
        return false;
    *path++ = '\0';
    list++;
    if (*controller ? !has_word(list, controller) : *list != '\0')
        return false;
    snprintf(h->path, sizeof(h->path), "%s", path);
    return true;
}

/* "31 23 0:28 /below /mount rw shared:1 - cgroup cgroup rw,memory". */
static bool mount_line(struct hierarchy *h, char *line, const char *controller)
{
    char *type = strstr(line, " - "), *words[5], *at = line;

    for (int i = 0; i < 5; i++)
        if (!(words[i] = strsep(&at, " ")))
            return false;
    type = type ? type + 3 : NULL;
    char *source = type ? strchr(type, ' ') : NULL;
    char *options = source ? strchr(source + 1, ' ') : NULL;
    if (!options)
        return false;
    *source = '\0';
    if (*controller ? strcmp(type, "cgroup") != 0 || !has_word(options + 1, controller)
                    : strcmp(type, "cgroup2") != 0)
        return false;
    snprintf(h->below, sizeof(h->below), "%s", words[3]);
    snprintf(h->mount, sizeof(h->mount), "%s", words[4]);
    return true;
}

/* Our group's folder into out, and the length of its part that is the mount: we cannot see above
 * that. A group that is not below the mounted one belongs to another namespace; then the mount's
 * folder is the nearest one. False: there is no such hierarchy. */
static bool our_folder(const char *root, const char *controller, char out[2 * LINE_BYTES],
                       size_t *ret_mount)
{
    struct hierarchy *h = xcalloc(1, sizeof(*h));
    const char *path = h->path;

    read_lines(root, "cgroup", group_line, h, controller);
    read_lines(root, "mountinfo", mount_line, h, controller);
    bool found = h->path[0] && h->mount[0];
    size_t below = strcmp(h->below, "/") == 0 ? 0 : strlen(h->below);
    if (strncmp(path, h->below, below) == 0 && (path[below] == '/' || !path[below]))
        path += below;
    else
        path = "";
    if (strcmp(path, "/") == 0 || strstr(path, "/../") || strcmp(path, "/..") == 0)
        path = "";
    snprintf(out, 2 * LINE_BYTES, "%s%s", h->mount, path);
    *ret_mount = strlen(h->mount);
    free(h);
    return found;
}

static void take_less(int64_t *io_limit, int64_t limit)
{
    if (*io_limit == 0 || limit < *io_limit)
        *io_limit = limit;
}

/* Version 1 writes the largest number of whole pages for "no limit". */
static void read_memory(const char *root, const char *folder, const char *name, int64_t *io_limit)
{
    char line[LINE_BYTES];
    int64_t bytes;

    if (read_line(root, folder, name, line) &&
        text_i64(line, 1, INT64_MAX - (INT64_C(1) << 20), &bytes))
        take_less(io_limit, bytes);
}

static void take_quota(double *io_quota, const char *quota, const char *period)
{
    int64_t granted_us, of_us;

    if (!text_i64(quota, 1, INT64_MAX, &granted_us) || !text_i64(period, 1, INT64_MAX, &of_us))
        return; /* "max" or -1 */
    double processors = (double)granted_us / (double)of_us;
    if (*io_quota <= 0 || processors < *io_quota)
        *io_quota = processors;
}

static void read_v1(const char *root, const char *folder, struct machine *io)
{
    char quota[LINE_BYTES], period[LINE_BYTES];

    read_memory(root, folder, "memory.limit_in_bytes", &io->group_bytes);
    if (read_line(root, folder, "cpu.cfs_quota_us", quota) &&
        read_line(root, folder, "cpu.cfs_period_us", period))
        take_quota(&io->quota, quota, period);
}

static void read_v2(const char *root, const char *folder, struct machine *io)
{
    char line[LINE_BYTES];

    read_memory(root, folder, "memory.max", &io->group_bytes);
    read_memory(root, folder, "memory.high", &io->group_bytes); /* above it everything slows down */
    if (!read_line(root, folder, "cpu.max", line))
        return;
    char *period = strchr(line, ' ');
    if (!period)
        return;
    *period++ = '\0';
    take_quota(&io->quota, line, period);
}

/* A limit of a group holds for all below it. */
static void walk_up(const char *root, const char *controller,
                    void (*read)(const char *root, const char *folder, struct machine *io),
                    struct machine *io)
{
    char folder[2 * LINE_BYTES];
    size_t mount;

    if (!our_folder(root, controller, folder, &mount))
        return;
    read(root, folder, io);
    while (strlen(folder) > mount) {
        *strrchr(folder, '/') = '\0';
        read(root, folder, io);
    }
}

void machine_groups(const char *root, struct machine *io)
{
    io->quota = 0;
    io->group_bytes = 0;
    walk_up(root, "", read_v2, io);
    walk_up(root, "memory", read_v1, io);
    walk_up(root, "cpu", read_v1, io);
}

/* 0 when it cannot be read. */
static unsigned count_allowed(void)
{
    for (int n = 1024; n <= PROCESSORS_MAX; n *= 2) {
        cpu_set_t *set = CPU_ALLOC(n);
        const size_t bytes = CPU_ALLOC_SIZE(n);
        unsigned count = 0;

        if (!set)
            return 0;
        if (sched_getaffinity(0, bytes, set) == 0)
            count = (unsigned)CPU_COUNT_S(bytes, set);
        CPU_FREE(set);
        if (count)
            return count;
    }
    return 0;
}

void machine_here(struct machine *ret)
{
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    const long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    struct machine m = {.online = online > 0 ? (unsigned)online : 1};
    struct rlimit limit;

    m.allowed = count_allowed();
    if (m.allowed == 0)
        m.allowed = m.online;
    if (pages > 0 && page_bytes > 0)
        m.physical_bytes = (int64_t)pages * page_bytes;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur < (rlim_t)INT64_MAX)
        m.address_bytes = (int64_t)limit.rlim_cur;
    machine_groups("", &m);
    *ret = m;
}

static unsigned quota_processors(const struct machine *m)
{
    const unsigned whole = m->quota < UINT_MAX / 2 ? (unsigned)m->quota : UINT_MAX / 2;

    return m->quota <= 0 ? UINT_MAX : whole < m->quota ? whole + 1 : whole;
}

unsigned machine_processors(const struct machine *m)
{
    const unsigned granted = quota_processors(m);

    return granted < m->allowed ? granted : m->allowed ? m->allowed : 1;
}

int64_t machine_memory(const struct machine *m)
{
    const int64_t limits[] = {m->physical_bytes, m->group_bytes, m->address_bytes};
    int64_t least = INT64_MAX;

    for (int i = 0; i < 3; i++)
        if (limits[i] > 0 && limits[i] < least)
            least = limits[i];
    return least;
}

const char *machine_say_processors(const struct machine *m, char buf[MACHINE_TEXT_BYTES])
{
    const bool by_quota = quota_processors(m) < m->allowed, by_mask = m->allowed < m->online;
    char number[TEXT_F64_BYTES];

    if (by_quota)
        snprintf(buf, MACHINE_TEXT_BYTES, "the cgroup's quota of %s processor%s",
                 text_of_f64(m->quota, number), m->quota <= 1 ? "" : "s");
    else
        snprintf(buf, MACHINE_TEXT_BYTES, "%s %u processor%s",
                 by_mask ? "affinity of" : "the machine's", m->allowed, m->allowed == 1 ? "" : "s");
    return buf;
}

const char *machine_say_memory(const struct machine *m, char buf[MACHINE_TEXT_BYTES])
{
    const int64_t bytes = machine_memory(m);
    char number[TEXT_F64_BYTES];

    snprintf(buf, MACHINE_TEXT_BYTES, "%s %s",
             bytes == m->physical_bytes ? "the machine's"
             : bytes == m->group_bytes  ? "the cgroup's"
                                        : "ulimit -v's",
             text_of_bytes(bytes, number));
    return buf;
}
