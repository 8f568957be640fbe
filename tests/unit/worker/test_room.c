#include <errno.h>
#include <sys/resource.h>

#include "common/alloc.h"
#include "common/file.h"
#include "common/text.h"
#include "tests/unit/nn/support.h"
#include "worker/nn/curve.h"
#include "worker/room.h"
#include "worker/step.h"

static const char layers[] = "[{\"type\": \"conv2d\", \"channels\": 16}, {\"type\": \"relu\"}, "
                             "{\"type\": \"flatten\"}, {\"type\": \"dense\"}]";

static uint64_t needed(const struct footprint_job *job, unsigned threads)
{
    struct footprint f;

    ASSERT_EQ(0, footprint_of(job, &f));
    return footprint_bytes(&f, threads);
}

static struct room_crew alone(unsigned threads)
{
    return (struct room_crew){threads, 1};
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

/* What a step and, with flatness, a product of this job map is what is counted of a thread, without
 * its result, which the runner holds. */
static void check_counted(const char *desc, struct dims in, uint32_t classes, uint32_t shard)
{
    struct model m = model_of(desc, in, classes);
    const size_t vector = m.floats * sizeof(float), slack = 1 << 20;
    struct footprint_job job = {.model = &m, .shard = shard};
    struct footprint plain, splits, flat;

    ASSERT_EQ(0, footprint_of(&job, &plain));
    job.splits = true;
    ASSERT_EQ(0, footprint_of(&job, &splits));
    job.flatness = true;
    ASSERT_EQ(0, footprint_of(&job, &flat));
    for (int with = 0; with < 2; with++) {
        const size_t said = (with ? splits : plain).thread - vector, before = mapped();
        struct step *s = step_create(&m, kernels_best(), shard, with == 1);
        ASSERT(s);
        ASSERT(mapped() - before >= said);
        ASSERT(mapped() - before <= said + slack);
        step_free(s);
    }
    const size_t before = mapped();
    struct curve *c = curve_create(&m, kernels_best(), shard);
    ASSERT(c);
    ASSERT(mapped() - before >= flat.thread - splits.thread);
    ASSERT(mapped() - before <= flat.thread - splits.thread + slack);
    ASSERT_EQ(flat.once, splits.once + vector);
    curve_free(c);
    model_done(&m);
}

TEST(what_a_thread_maps_is_what_it_was_said_to_need)
{
    check_counted(layers, (struct dims){32, 32, 3}, 10, 256);
    check_counted(layers, (struct dims){9, 7, 1}, 3, 5);
    for (int i = 0; model_presets[i]; i++) {
        const char *desc = model_presets[i];
        check_counted(desc, (struct dims){32, 32, 3}, 1000, 16);
    }
}

TEST(no_kernel_needs_more_scratch_than_is_counted)
{
    static const uint32_t channels[] = {1, 3, 8, 16, 24, 32, 64, 100, 128, 256, 512};
    enum { COUNT = sizeof(channels) / sizeof(channels[0]) };
    bool uses = false;

    for (uint32_t k = 1; k <= 5; k++)
        for (uint32_t stride = 1; stride <= 2; stride++)
            for (int i = 0; i < COUNT * COUNT; i++) {
                const struct layer l = {.kind = LAYER_CONV2D,
                                        .in = {16, 16, channels[i / COUNT]},
                                        .out = {16 / stride, 16 / stride, channels[i % COUNT]},
                                        .kernel = k,
                                        .stride = stride,
                                        .padding = k / 2};
                const struct conv_shape shape = {l.in.h,  l.in.w,   l.in.c,   l.out.h,  l.out.w,
                                                 l.out.c, l.kernel, l.stride, l.padding};
                const size_t most = kernels_scratch(&shape);
                ASSERT(layer_space_of(&l, 8, sizeof(float)).scratch >= most);
                uses |= most > 0;
            }
#ifdef __x86_64__
    ASSERT(uses);
#endif
}

TEST(more_samples_and_more_threads_need_more)
{
    struct model m = model_of(layers, (struct dims){32, 32, 3}, 10);
    const struct footprint_job job = {.model = &m, .shard = 64}, wide = {.model = &m, .shard = 512};

    ASSERT(needed(&job, 2) > needed(&job, 1));
    ASSERT(needed(&wide, 1) > 4 * needed(&job, 1));
    model_done(&m);
}

TEST(a_second_gradient_of_each_thread_counts)
{
    struct model m = model_of(layers, (struct dims){128, 128, 3}, 10);
    struct footprint_job job = {.model = &m, .shard = 4};
    const uint64_t before = needed(&job, 2);

    job.splits = true;
    ASSERT(needed(&job, 2) > before + m.floats * sizeof(float));
    model_done(&m);
}

/* The largest part of the shard that fits is named, with what it needs; beside it none does. */
TEST(the_shard_that_would_fit_is_named)
{
    struct model m = model_of(layers, (struct dims){128, 128, 3}, 10);
    struct footprint_job job = {.model = &m, .shard = 96}, part = job;
    struct errbuf why = {""};
    uint64_t bytes, of_part = 0;

    for (uint32_t d = 2; d <= 96; d++) {
        if (96 % d != 0)
            continue;
        part.shard = 96 / d;
        of_part = needed(&part, 2);
        ASSERT_EQ(part.shard, footprint_part(&job, 2, of_part, &bytes));
        ASSERT_EQ(of_part, bytes);
    }
    ASSERT_EQ(0, footprint_part(&job, 2, of_part - 1, &bytes));
    ASSERT_EQ(of_part, bytes);
    footprint_explain(&job, 2, of_part - 1, "the machine has", &why);
    ASSERT_HAS("; shards of 1 need ", why.text);
    part.shard = 32;
    footprint_explain(&job, 1, needed(&part, 1), "the machine has", &why);
    ASSERT_HAS("of memory on 1 thread, the machine has ", why.text);
    ASSERT_HAS("; a smaller shard needs less: with 32 it is ", why.text);
    model_done(&m);
}

TEST(what_no_machine_has_is_refused_before_it_is_asked_for)
{
    struct model m = model_of(layers, (struct dims){512, 512, 3}, 10);
    const struct footprint_job job = {.model = &m, .shard = SHARD_MAX};
    struct errbuf why = {""};

    ASSERT_EQ(-ENOMEM, room_check(&job, alone(THREADS_MAX), &why));
    ASSERT_HAS("with shards of 4096 needs", why.text);
    ASSERT_HAS("of memory on 256 threads, ", why.text);
    ASSERT_HAS(" worker with fewer --threads", why.text);
    ASSERT(strlen(why.text) < REFUSAL_BYTES_MAX);
    model_done(&m);
}

TEST(ranks_of_one_machine_share_it)
{
    struct model m = model_of(layers, (struct dims){64, 64, 3}, 10);
    const struct footprint_job job = {.model = &m, .shard = 64};
    const struct room_crew many = {1, 1 << 30};
    struct errbuf why = {""};

    ASSERT_EQ(0, room_check(&job, alone(1), &why));
    ASSERT_EQ(-ENOMEM, room_check(&job, many, &why));
    ASSERT_HAS("of memory on 1 thread, the rank's share of ", why.text);
    ASSERT(strlen(why.text) < REFUSAL_BYTES_MAX);
    ASSERT_EQ(-ENOMEM, room_refuse(&job, many, &why));
    model_done(&m);
}

TEST(what_should_fit_is_refused_for_a_time)
{
    struct model m = model_of(layers, (struct dims){8, 8, 3}, 10);
    struct footprint_job job = {.model = &m, .shard = 2};
    struct errbuf why = {""};

    ASSERT_EQ(-EBUSY, room_refuse(&job, alone(1), &why));
    ASSERT_HAS("no memory at this time for model ", why.text);
    ASSERT(strlen(why.text) < REFUSAL_BYTES_MAX);
    ASSERT_EQ(-EBUSY, room_refuse_dataset(1 << 20, &why));
    ASSERT_HAS("no memory at this time to map the dataset of 1 MiB", why.text);
    model_done(&m);
    m = model_of(layers, (struct dims){512, 512, 3}, 10);
    job.shard = SHARD_MAX;
    ASSERT_EQ(-ENOMEM, room_refuse(&job, alone(THREADS_MAX), &why));
    ASSERT_HAS(" worker with fewer --threads", why.text);
    model_done(&m);
}

TEST(a_limit_of_the_process_counts)
{
#ifdef __SANITIZE_ADDRESS__
    SKIP("the sanitizer maps terabytes");
#endif
    struct model m = model_of(layers, (struct dims){64, 64, 3}, 10);
    const struct footprint_job job = {.model = &m, .shard = 1024};
    struct rlimit limit = {mapped() + (64 << 20), RLIM_INFINITY};
    struct errbuf why = {""};

    ASSERT_EQ(0, room_check(&job, alone(1), &why));
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = mapped() + (64 << 20);
    ASSERT_EQ(0, setrlimit(RLIMIT_AS, &limit));
    ASSERT_EQ(-ENOMEM, room_check(&job, alone(1), &why));
    ASSERT_HAS("its address space (ulimit -v) leaves ", why.text);
    ASSERT_EQ(-ENOMEM, room_refuse_dataset(INT64_C(1) << 40, &why));
    ASSERT_HAS("the dataset has 1 TiB and is mapped whole, its address space", why.text);
    model_done(&m);
}
