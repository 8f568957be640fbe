#include <errno.h>
#include <sys/resource.h>

#include "common/file.h"
#include "common/text.h"
#include "tests/unit/nn/support.h"
#include "worker/room.h"
#include "worker/step.h"

static const char layers[] = "[{\"type\": \"conv2d\", \"channels\": 16}, {\"type\": \"relu\"}, "
                             "{\"type\": \"flatten\"}, {\"type\": \"dense\"}]";

static struct room_job job_of(const struct model *m, uint32_t shard, unsigned threads)
{
    return (struct room_job){
        .model = m, .kernels = kernels_best(), .shard = shard, .threads = threads};
}

/* Bytes that this process has mapped. */
static size_t mapped(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (!f || fscanf(f, "%lu", &pages) != 1) /* NOLINT: a test */
        FAIL("no /proc/self/statm");
    fclose(f);
    return pages * 4096;
}

TEST(what_a_step_maps_is_what_it_was_said_to_need)
{
    struct model m = model_of(layers, (struct dims){32, 32, 3}, 10);
    size_t said = step_bytes(&m, kernels_best(), 256, true), before = mapped();
    struct step *s = step_create(&m, kernels_best(), 256, true);

    ASSERT(s);
    ASSERT(said > (size_t)256 * 32 * 32 * 16 * sizeof(float));
    ASSERT(mapped() - before >= said);
    ASSERT(mapped() - before <= said + (8 << 20));
    step_free(s);
    model_done(&m);
}

TEST(more_samples_and_more_threads_need_more)
{
    struct model m = model_of(layers, (struct dims){32, 32, 3}, 10);
    struct room_job one = job_of(&m, 64, 1), two = job_of(&m, 64, 2), wide = job_of(&m, 512, 1);

    ASSERT(room_needed(&two) > room_needed(&one));
    ASSERT(room_needed(&wide) > 4 * room_needed(&one));
    model_done(&m);
}

TEST(a_second_gradient_of_each_thread_counts)
{
    struct model m = model_of(layers, (struct dims){128, 128, 3}, 10);
    struct room_job two = job_of(&m, 4, 2);
    const size_t before = room_needed(&two);

    two.splits = true;
    ASSERT(room_needed(&two) > before + m.floats * sizeof(float));
    model_done(&m);
}

TEST(what_no_machine_has_is_refused_before_it_is_asked_for)
{
    struct model m = model_of(layers, (struct dims){512, 512, 3}, 10);
    struct room_job job = job_of(&m, SHARD_MAX, THREADS_MAX);
    struct errbuf why = {""};

    ASSERT_EQ(-ENOMEM, room_check(&job, &why));
    ASSERT_HAS("with shards of 4096 needs", why.text);
    ASSERT_HAS("of memory on 256 threads, ", why.text);
    ASSERT_HAS("; a smaller shard or a worker with fewer --threads needs less: with 1 it is ",
               why.text);
    ASSERT(strlen(why.text) < REFUSAL_BYTES_MAX);
    model_done(&m);
}

TEST(what_should_fit_is_refused_for_a_time)
{
    struct model m = model_of(layers, (struct dims){8, 8, 3}, 10);
    struct room_job small = job_of(&m, 2, 1), large = job_of(&m, SHARD_MAX, THREADS_MAX);
    struct errbuf why = {""};

    ASSERT_EQ(-EBUSY, room_refuse(&small, &why));
    ASSERT_HAS("no memory at this time for model ", why.text);
    ASSERT(strlen(why.text) < REFUSAL_BYTES_MAX);
    model_done(&m);
    m = model_of(layers, (struct dims){512, 512, 3}, 10);
    large.model = &m;
    ASSERT_EQ(-ENOMEM, room_refuse(&large, &why));
    ASSERT_HAS("a smaller shard", why.text);
    model_done(&m);
}

TEST(a_limit_of_the_process_counts)
{
#ifdef __SANITIZE_ADDRESS__
    SKIP("the sanitizer maps terabytes");
#endif
    struct model m = model_of(layers, (struct dims){64, 64, 3}, 10);
    struct room_job job = job_of(&m, 1024, 1);
    struct rlimit limit = {mapped() + (64 << 20), RLIM_INFINITY};
    struct errbuf why = {""};

    ASSERT_EQ(0, room_check(&job, &why));
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = mapped() + (64 << 20);
    ASSERT_EQ(0, setrlimit(RLIMIT_AS, &limit));
    ASSERT_EQ(-ENOMEM, room_check(&job, &why));
    ASSERT_HAS("its address space (ulimit -v) leaves ", why.text);
    model_done(&m);
}
