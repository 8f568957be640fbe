#include "worker/room.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "common/machine.h"
#include "common/text.h"
#include "worker/step.h"

static size_t add(size_t a, size_t b)
{
    size_t sum;

    return __builtin_add_overflow(a, b, &sum) ? SIZE_MAX : sum;
}

static size_t times(size_t a, size_t b)
{
    size_t product;

    return __builtin_mul_overflow(a, b, &product) ? SIZE_MAX : product;
}

size_t room_needed(const struct room_job *job)
{
    const size_t vector = times(job->model->floats, sizeof(float));
    const size_t steps =
        times(job->threads, step_bytes(job->model, job->kernels, job->shard, job->splits));

    /* theta, a gradient for each thread, and their sum. */
    size_t needed = add(steps, times(2 + (size_t)job->threads, vector));
    if (job->flatness) { /* the tangents of a product, and the vector */
        needed = add(needed,
                     times(job->threads, step_product_bytes(job->model, job->kernels, job->shard)));
        needed = add(needed, vector);
    }
    return needed;
}

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

/* The narrowest of them; *ret_what names it. */
static size_t left(const char **ret_what)
{
    struct machine m;

    machine_here(&m);
    const struct {
        size_t bytes;
        const char *what;
    } all[] = {
        {or_none(m.physical_bytes), "the machine has"},
        {or_none(m.group_bytes), "its cgroup allows"},
        {of_limit(RLIMIT_AS, "VmSize"), "its address space (ulimit -v) leaves"},
        {of_limit(RLIMIT_DATA, "VmData"), "its data segment (ulimit -d) leaves"},
    };
    size_t least = 0;

    for (size_t i = 1; i < sizeof(all) / sizeof(all[0]); i++)
        if (all[i].bytes < all[least].bytes)
            least = i;
    *ret_what = all[least].what;
    return all[least].bytes;
}

/* --- the sentence --- */

static int64_t capped(size_t bytes)
{
    return bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes;
}

static int refuse(const struct room_job *job, size_t has, const char *what, struct errbuf *why)
{
    struct room_job least = *job;
    char need[TEXT_F64_BYTES], there[TEXT_F64_BYTES], small[TEXT_F64_BYTES];

    least.shard = 1;
    return err_set(why, -ENOMEM,
                   "model %s with shards of %u needs %s of memory on %u thread%s, %s %s; a smaller "
                   "shard%s needs less: with 1 it is %s",
                   job->model->name, job->shard, text_of_bytes(capped(room_needed(job)), need),
                   job->threads, job->threads == 1 ? "" : "s", what,
                   text_of_bytes(capped(has), there),
                   job->threads == 1 ? "" : " or a worker with fewer --threads",
                   text_of_bytes(capped(room_needed(&least)), small));
}

int room_check(const struct room_job *job, struct errbuf *why)
{
    const char *what;
    size_t has = left(&what);

    return room_needed(job) <= has ? 0 : refuse(job, has, what, why);
}

int room_refuse(const struct room_job *job, struct errbuf *why)
{
    char need[TEXT_F64_BYTES], there[TEXT_F64_BYTES];
    const char *what;
    size_t has = left(&what);

    if (room_needed(job) > has)
        return refuse(job, has, what, why);
    return err_set(why, -EBUSY,
                   "no memory at this time for model %s with shards of %u, which needs %s; %s %s, "
                   "which others use too",
                   job->model->name, job->shard, text_of_bytes(capped(room_needed(job)), need),
                   what, text_of_bytes(capped(has), there));
}

int room_refuse_dataset(int64_t bytes, struct errbuf *why)
{
    char need[TEXT_F64_BYTES], there[TEXT_F64_BYTES];
    const char *what;
    size_t has = left(&what);

    return err_set(why, -ENOMEM, "the dataset has %s and is mapped whole, %s %s",
                   text_of_bytes(bytes, need), what, text_of_bytes(capped(has), there));
}
