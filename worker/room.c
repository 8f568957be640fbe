#include "worker/room.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "common/machine.h"
#include "common/text.h"

/* --- what there is --- */

/* A line of /proc/self/status in bytes; 0 when it is missing. */
static size_t of_process(const char *name)
{
    FILE *f = fopen("/proc/self/status", "re");
    char line[256];
    int64_t kib = 0;

    while (f && fgets(line, sizeof(line), f)) {
        char *value = line + strlen(name), *end;

        if (strncmp(line, name, strlen(name)) != 0)
            continue;
        value += strspn(value, ": \t");
        end = value + strcspn(value, " ");
        *end = 0;
        text_i64(value, 0, INT64_MAX / 1024, &kib);
        break;
    }
    if (f)
        fclose(f);
    return (size_t)kib * 1024;
}

static size_t of_limit(int resource, const char *used)
{
    struct rlimit limit;

    if (getrlimit((__rlimit_resource_t)resource, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
        return SIZE_MAX;
    size_t has = of_process(used);
    return limit.rlim_cur > has ? limit.rlim_cur - has : 0;
}

static size_t or_none(int64_t bytes)
{
    return bytes > 0 ? (size_t)bytes : SIZE_MAX;
}

/* The narrowest of them, for what is written to or for a file that is mapped, which leaves memory
 * again; *ret_what names it. ranks: processes that share what is not of one process alone. */
static size_t left(bool file, unsigned ranks, const char **ret_what)
{
    struct machine m;

    machine_here(&m);
    const struct {
        size_t bytes;
        const char *what;
        bool of_files; /* it counts files that are mapped */
    } all[] = {
        {of_limit(RLIMIT_AS, "VmSize"), "its address space (ulimit -v) leaves", true},
        {or_none(m.physical_bytes) / ranks,
         ranks > 1 ? "the rank's share of the machine is" : "the machine has", false},
        {or_none(m.group_bytes) / ranks,
         ranks > 1 ? "the rank's share of its cgroup is" : "its cgroup allows", false},
        {of_limit(RLIMIT_DATA, "VmData"), "its data segment (ulimit -d) leaves", false},
    };
    size_t least = 0;

    for (size_t i = 1; i < sizeof(all) / sizeof(all[0]); i++)
        if ((!file || all[i].of_files) && all[i].bytes < all[least].bytes)
            least = i;
    *ret_what = all[least].what;
    return all[least].bytes;
}

static int64_t capped(uint64_t bytes)
{
    return bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes;
}

int64_t room_bytes(void)
{
    const char *what;
    const size_t bytes = left(false, 1, &what), most = ROOM_BYTES_MAX;

    return bytes < 1 ? 1 : bytes > most ? (int64_t)most : (int64_t)bytes;
}

/* --- jobs --- */

int room_check(const struct footprint_job *job, struct room_crew crew, struct errbuf *why)
{
    struct footprint f;
    const char *what;
    size_t has = left(false, crew.ranks, &what);

    if (footprint_of(job, &f) < 0)
        return err_set(why, -EBUSY, "no memory at this time to count what a job needs");
    if (footprint_bytes(&f, crew.threads) <= has)
        return 0;
    footprint_explain(job, crew.threads, has, what, why);
    return -ENOMEM;
}

int room_refuse(const struct footprint_job *job, struct room_crew crew, struct errbuf *why)
{
    char need[TEXT_F64_BYTES], there[TEXT_F64_BYTES];
    struct footprint f;
    const char *what;
    size_t has = left(false, crew.ranks, &what);
    int rc = room_check(job, crew, why);

    if (rc < 0 || footprint_of(job, &f) < 0)
        return rc < 0 ? rc : -EBUSY;
    return err_set(why, -EBUSY,
                   "no memory at this time for model %s with shards of %u, which needs %s; %s %s, "
                   "which others use too",
                   job->model->name, job->shard,
                   text_of_bytes(capped(footprint_bytes(&f, crew.threads)), need), what,
                   text_of_bytes(capped(has), there));
}

/* --- datasets --- */

int room_refuse_dataset(int64_t bytes, struct errbuf *why)
{
    char need[TEXT_F64_BYTES], there[TEXT_F64_BYTES];
    const char *what;
    size_t has = left(true, 1, &what);

    if ((uint64_t)bytes > has)
        return err_set(why, -ENOMEM, "the dataset has %s and is mapped whole, %s %s",
                       text_of_bytes(bytes, need), what, text_of_bytes(capped(has), there));
    return err_set(why, -EBUSY, "no memory at this time to map the dataset of %s",
                   text_of_bytes(bytes, need));
}
