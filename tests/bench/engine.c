/* The engine alone: T threads in one process run the shards of synthetic batches as a worker would,
 * their gradients are summed along the tree and every thread applies the optimizer to its slice of
 * the parameters. One JSON line a mode; repetitions of the modes are interleaved, so that a noisy
 * moment meets all of them. With --ask it says what it is and measures what it is asked on standard
 * input, a line "MODE SECONDS" at a time, as peer_torch.py does. The mode "peak" is the speed of a
 * large matrix product on every thread. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/model.h"
#include "common/options.h"
#include "common/reduce.h"
#include "common/rng.h"
#include "common/text.h"
#include "server/core/curriculum.h"
#include "server/core/optimizer.h"
#include "worker/nn/gemm.h"
#include "worker/nn/net.h"
#include "worker/step.h"

#define SAMPLES 1024u
#define REPETITIONS 5
#define WARM_S 0.1
#define STEPS_MAX 100000u /* of one measurement */
#define ONLINE_SHARE 0.8  /* of a shard, where curricula begin */
#define PEAK_N 1024       /* rows, columns and depth of the product that "peak" measures */

enum mode { SGD, SAM, FUSED, ONLINE, SWEEP, PEAK, MODES };
static const char *const mode_names[] = {"sgd", "sam", "fused", "online", "sweep", "peak", NULL};

struct config {
    const char *model, *mode; /* mode NULL: all */
    int64_t threads, shard, batch, classes;
    double seconds;
    bool ask, profile, help;
};

static const struct option table[] = {
    {"model", OPT_STR, offsetof(struct config, model), .def = "lenet", .arg = "NAME",
     .help = "preset; for images as its data set has them"},
    {"mode", OPT_STR, offsetof(struct config, mode), .arg = "MODE",
     .help = "sgd, sam, fused, online, sweep or peak; all but peak when it is left out"},
    {"threads", OPT_INT, offsetof(struct config, threads), .def = "1", .arg = "N",
     .help = "compute threads", .min = 1, .max = THREADS_MAX},
    {"shard", OPT_INT, offsetof(struct config, shard), .def = "64", .arg = "N",
     .help = "samples of a shard", .min = 1, .max = SHARD_MAX},
    {"batch", OPT_INT, offsetof(struct config, batch), .def = "128", .arg = "N",
     .help = "samples of a step, a multiple of the shard", .min = 1, .max = SAMPLES},
    {"classes", OPT_INT, offsetof(struct config, classes), .def = "10", .arg = "N",
     .help = "classes", .min = 2, .max = CLASSES_MAX},
    {"seconds", OPT_F64, offsetof(struct config, seconds), .def = "3", .arg = "S",
     .help = "length of the measurement of a mode", .fmin = 0.05, .fmax = 3600},
    {"ask", OPT_FLAG, offsetof(struct config, ask),
     .help = "measures what standard input asks for, MODE SECONDS on a line"},
    {"profile", OPT_FLAG, offsetof(struct config, profile),
     .help = "says at the end where the time went"},
    {"help", OPT_FLAG, offsetof(struct config, help), .help = "prints this"},
    {0},
};

struct bench {
    struct config config;
    struct model model;
    const struct kernels *kernels;
    struct samples set;
    uint32_t shards;
    struct reduce *reduce;
    pthread_mutex_t lock;                 /* reduce */
    pthread_barrier_t start, summed, end; /* of a step */
    struct thread *threads;
    enum mode mode;
    uint32_t step;
    atomic_bool stop;
    float *theta, *velocity;
    struct score *scores; /* [SAMPLES] */
    double *times;        /* [STEPS_MAX] seconds of each step */
};

/* The main thread is number 0. */
struct thread {
    struct bench *bench;
    uint32_t index;
    pthread_t id;
    struct step *step;
    struct profile *profile; /* NULL: not wanted */
    struct segment *slice;   /* of the parameters, to update */
    int slice_count;
    float *product; /* operands and result of "peak" */
};

static const struct step_spec specs[MODES] = {
    [SGD] = {.rho = 0},
    [SAM] = {.rho = 0.05},
    [FUSED] = {.rho = 0.05, .epsilon = 8.0 / 255, .fused = true},
    /* By adm, in mode select, the scores kept. */
    [ONLINE] = {.rho = 0.05, .epsilon = 8.0 / 255, .fused = true, .online = true},
    [SWEEP] = {.epsilon = 8.0 / 255},
    [PEAK] = {0},
};

static void run_shard(struct bench *b, struct step *step, uint32_t shard)
{
    const uint32_t n = (uint32_t)b->config.shard;
    const uint32_t first = (b->step * (uint32_t)b->config.batch + shard * n) % (SAMPLES - n + 1);
    uint32_t ids[SHARD_MAX];
    float weights[SHARD_MAX];
    double *sums;

    for (uint32_t i = 0; i < n; i++) {
        ids[i] = first + i;
        weights[i] = 1;
    }
    if (b->mode == ONLINE)
        schedule_places(&(struct jobspec){.curriculum = {.mode = MODE_SELECT}}, ONLINE_SHARE, n,
                        weights);
    if (b->mode == SWEEP) {
        step_score(step, &specs[SWEEP], b->theta, &b->set, ids, n, b->scores + first, NULL);
        return;
    }
    pthread_mutex_lock(&b->lock);
    float *grad = reduce_buffer(b->reduce, &sums);
    pthread_mutex_unlock(&b->lock);
    step_train(step, &specs[b->mode], b->theta, &b->set, ids, weights, n, grad, sums,
               b->scores + first);
    pthread_mutex_lock(&b->lock);
    reduce_add(b->reduce, (struct node){shard, shard + 1}, grad);
    pthread_mutex_unlock(&b->lock);
}

static void run_product(struct thread *t)
{
    const size_t entries = (size_t)PEAK_N * PEAK_N;

    if (!t->product) {
        t->product = alloc_bytes(3 * entries, sizeof(*t->product));
        for (size_t i = 0; i < 3 * entries; i++)
            t->product[i] = (float)(i % 7);
    }
    gemm(false, false, PEAK_N, PEAK_N, PEAK_N, t->product, PEAK_N, t->product + entries, PEAK_N, 0,
         t->product + 2 * entries, PEAK_N);
}

static void update(struct bench *b, const struct thread *t)
{
    static const struct optimizer_spec spec = {.lr = 0.01, .momentum = 0.9, .weight_decay = 5e-4};
    const double *sums;
    const float *grad = reduce_result(b->reduce, &sums);

    optimizer_step(&spec, spec.lr, b->step, sums[SUM_WEIGHT], t->slice, t->slice_count, grad,
                   b->theta, &b->velocity, b->theta);
    if (t->index == 0)
        optimizer_running(grad + b->model.trained, b->shards, b->theta + b->model.trained,
                          b->theta + b->model.trained, b->model.floats - b->model.trained);
}

/* One thread's part of a step. */
static void take_part(struct thread *t)
{
    struct bench *b = t->bench;

    profile_part(t->profile, PART_WAIT);
    if (b->mode == PEAK) {
        run_product(t);
        return;
    }
    for (uint32_t s = t->index; s < b->shards; s += (uint32_t)b->config.threads)
        run_shard(b, t->step, s);
    if (b->mode == SWEEP)
        return;
    profile_part(t->profile, PART_REDUCE);
    pthread_barrier_wait(&b->summed);
    profile_part(t->profile, PART_WAIT);
    update(b, t);
    profile_part(t->profile, PART_UPDATE);
}

static void *thread_main(void *arg)
{
    struct thread *t = arg;
    struct bench *b = t->bench;

    net_thread_init();
    for (;;) {
        pthread_barrier_wait(&b->start);
        if (atomic_load(&b->stop))
            return NULL;
        take_part(t);
        pthread_barrier_wait(&b->end);
    }
}

static void run_step(struct bench *b)
{
    reduce_reset(b->reduce, (struct node){0, b->shards}, b->shards);
    pthread_barrier_wait(&b->start);
    take_part(&b->threads[0]);
    pthread_barrier_wait(&b->end);
    b->step++;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Images a second of `mode`, GFLOP a second of PEAK, by the median step of about `seconds`;
 * ret_best, which may be NULL: by the fastest one. */
static double measure(struct bench *b, enum mode mode, double seconds, double *ret_best)
{
    const double start = clock_mono_s();
    double last = start, now;
    uint32_t steps = 0;

    b->mode = mode;
    do {
        run_step(b);
        now = clock_mono_s();
        b->times[steps++] = now - last;
        last = now;
    } while (now - start < seconds && steps < STEPS_MAX);
    qsort(b->times, steps, sizeof(*b->times), compare);
    const double work = mode == PEAK ? 2e-9 * PEAK_N * PEAK_N * PEAK_N * (double)b->config.threads
                                     : (double)b->config.batch;
    if (ret_best)
        *ret_best = work / b->times[0];
    return work / b->times[steps / 2];
}

static void report(const struct bench *b, enum mode mode, double rates[REPETITIONS])
{
    qsort(rates, REPETITIONS, sizeof(rates[0]), compare);
    const double median = rates[REPETITIONS / 2];
    printf("{\"model\":\"%s\",\"mode\":\"%s\",\"threads\":%d,\"shard\":%d,\"batch\":%d,"
           "\"core\":\"%s\",\"rate\":%.1f,\"rate_min\":%.1f,\"rate_max\":%.1f,"
           "\"ms_per_step\":%.3f}\n",
           b->config.model, mode_names[mode], (int)b->config.threads, (int)b->config.shard,
           (int)b->config.batch, gemm_core(), median, rates[0], rates[REPETITIONS - 1],
           1e3 * (double)b->config.batch / median);
}

static void run_modes(struct bench *b, int only)
{
    double rates[MODES][REPETITIONS];

    for (int r = -1; r < REPETITIONS; r++) /* the first round warms up */
        for (int m = 0; m < MODES; m++)
            if (m == only || (only < 0 && m != PEAK))
                rates[m][r < 0 ? 0 : r] = measure(
                    b, (enum mode)m, r < 0 ? WARM_S : b->config.seconds / REPETITIONS, NULL);
    for (int m = 0; m < MODES; m++)
        if (m == only || (only < 0 && m != PEAK))
            report(b, (enum mode)m, rates[m]);
}

static uint64_t first_macs(const struct model *m)
{
    for (int i = 0; i < m->layer_count; i++)
        if (m->layers[i].kind == LAYER_DENSE || m->layers[i].kind == LAYER_CONV2D)
            return (uint64_t)m->layers[i].out.h * m->layers[i].out.w *
                   m->params[m->layers[i].weight].count;
    return 0;
}

/* Answers "MODE SECONDS" lines until they end. */
static int answer(struct bench *b, struct errbuf *why)
{
    const char *const space = " \n";
    char line[100];
    bool warm[MODES] = {false};

    printf("{\"model\":\"%s\",\"threads\":%d,\"shard\":%d,\"batch\":%d,\"core\":\"%s\","
           "\"kernels\":\"%s\",\"parameters\":%zu,\"forward_mflop\":%.4f,\"first_mflop\":%.4f}\n",
           b->config.model, (int)b->config.threads, (int)b->config.shard, (int)b->config.batch,
           gemm_core(), b->kernels->name, b->model.param_total,
           2e-6 * (double)model_macs(&b->model), 2e-6 * (double)first_macs(&b->model));
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        char *rest, *name = strtok_r(line, space, &rest), *seconds = strtok_r(NULL, space, &rest);
        int mode = name ? text_index(name, mode_names) : -1;
        double s = seconds ? strtod(seconds, NULL) : 0, best;
        if (mode < 0 || !(s > 0))
            return err_set(why, -EINVAL, "asked was \"%s\" for %s seconds", name ? name : "",
                           seconds ? seconds : "no");
        if (!warm[mode])
            measure(b, (enum mode)mode, WARM_S, NULL);
        warm[mode] = true;
        const double rate = measure(b, (enum mode)mode, s, &best);
        printf("{\"mode\":\"%s\",\"rate\":%.2f,\"best\":%.2f}\n", name, rate, best);
        fflush(stdout);
    }
    return 0;
}

/* The images a preset is made for: 28x28x1 as MNIST's, 32x32x3 as CIFAR's for residual networks. */
static struct dims image_of(const char *model)
{
    const bool cifar = strncmp(model, "resnet", 6) == 0 || strncmp(model, "wrn", 3) == 0;

    return cifar ? (struct dims){32, 32, 3} : (struct dims){28, 28, 1};
}

static void make_samples(struct samples *set, struct dims image, uint32_t classes)
{
    struct rng r = rng_at(1, RNG_TEST, 0, 0);
    const size_t bytes = (size_t)SAMPLES * image.h * image.w * image.c;
    uint8_t *images = xmalloc(bytes);
    uint16_t *labels = xmalloc(SAMPLES * sizeof(*labels));

    for (size_t i = 0; i < bytes; i++) { /* about normal: the mean of four */
        const uint32_t four = rng_u32(&r);
        images[i] =
            (uint8_t)(((four & 255) + (four >> 8 & 255) + (four >> 16 & 255) + (four >> 24)) / 4);
    }
    for (uint32_t i = 0; i < SAMPLES; i++)
        labels[i] = (uint16_t)rng_below(&r, classes);
    *set = (struct samples){images, labels, SAMPLES};
}

/* The parameters of [lo, hi) floats. */
static void make_slice(const struct model *m, size_t lo, size_t hi, struct thread *t)
{
    t->slice = xcalloc((size_t)m->trained_count, sizeof(*t->slice));
    for (int i = 0; i < m->trained_count; i++) {
        const struct param *p = &m->params[i];
        const size_t from = p->offset > lo ? p->offset : lo;
        const size_t end = p->offset + p->count, to = end < hi ? end : hi;
        if (from < to)
            t->slice[t->slice_count++] = (struct segment){from, to - from, p->decay};
    }
}

static int make_model(struct bench *b, struct errbuf *why)
{
    /* As the images are made: normalised they have mean 0 and variance 1. */
    const float mean[3] = {0.5f, 0.5f, 0.5f}, std[3] = {0.145f, 0.145f, 0.145f};
    cJSON *desc = cJSON_CreateString(b->config.model);
    int rc = model_parse(desc, image_of(b->config.model), (uint32_t)b->config.classes, mean, std,
                         &b->model, why);

    cJSON_Delete(desc);
    return rc;
}

/* Everything is released at exit: a bench lives as long as its process. */
static int prepare(struct bench *b, struct errbuf *why)
{
    const uint32_t threads = (uint32_t)b->config.threads;
    int rc = make_model(b, why);

    if (rc < 0)
        return rc;
    make_samples(&b->set, b->model.in, (uint32_t)b->config.classes);
    b->shards = (uint32_t)(b->config.batch / b->config.shard);
    b->theta = alloc_bytes(b->model.floats, sizeof(float));
    b->velocity = alloc_bytes(b->model.floats, sizeof(float));
    b->scores = alloc_bytes(SAMPLES, sizeof(*b->scores));
    b->times = xcalloc(STEPS_MAX, sizeof(*b->times));
    b->reduce = reduce_create(b->model.floats, SUM_COUNT);
    b->threads = xcalloc(threads, sizeof(*b->threads));
    model_init(&b->model, 1, b->theta);
    memset(b->velocity, 0, b->model.floats * sizeof(float));
    pthread_mutex_init(&b->lock, NULL);
    pthread_barrier_init(&b->start, NULL, threads);
    pthread_barrier_init(&b->summed, NULL, threads);
    pthread_barrier_init(&b->end, NULL, threads);
    for (uint32_t i = 0; i < threads; i++) {
        struct thread *t = &b->threads[i];
        const size_t lines = b->model.floats / 16;
        *t = (struct thread){.bench = b, .index = i};
        make_slice(&b->model, lines * i / threads * 16, lines * (i + 1) / threads * 16, t);
        t->step = step_create(&b->model, b->kernels, (uint32_t)b->config.shard, false);
        if (b->config.profile)
            step_profile(t->step, t->profile = profile_create(&b->model));
        if (!t->step || (i > 0 && pthread_create(&t->id, NULL, thread_main, t) != 0))
            return err_set(why, -ENOMEM, "no memory for %u threads", threads);
    }
    net_thread_init();
    return 0;
}

static void finish(struct bench *b)
{
    atomic_store(&b->stop, true);
    pthread_barrier_wait(&b->start);
    for (uint32_t i = 1; i < b->config.threads; i++)
        pthread_join(b->threads[i].id, NULL);
    if (b->config.profile) {
        struct profile *profiles[THREADS_MAX];
        for (uint32_t i = 0; i < b->config.threads; i++)
            profiles[i] = b->threads[i].profile;
        profile_print(profiles, (unsigned)b->config.threads, stderr);
    }
}

int main(int argc, char **argv)
{
    static struct bench bench;
    struct errbuf why = {""};
    struct config *c = &bench.config;
    int rc = 0;

    if (options_defaults(table, c, &why) || options_args(table, argc, argv, c, NULL, NULL, &why))
        goto usage;
    if (c->help) {
        options_help(table, stdout);
        return 0;
    }
    if (c->batch % c->shard != 0) {
        err_set(&why, -1, "--batch must be a multiple of --shard");
        goto usage;
    }
    const int mode = c->mode ? text_index(c->mode, mode_names) : -1;
    if (c->mode && mode < 0) {
        err_set(&why, -1, "--mode is \"%s\", allowed are sgd, sam, fused, online, sweep and peak",
                c->mode);
        goto usage;
    }
    gemm_init();
    if (kernels_choose(getenv("STEPPE_KERNELS"), &bench.kernels, &why) || prepare(&bench, &why))
        goto usage;
    if (c->ask)
        rc = answer(&bench, &why);
    else
        run_modes(&bench, mode);
    finish(&bench);
    if (rc < 0)
        fprintf(stderr, "engine: %s\n", why.text);
    return rc < 0 ? 1 : 0;
usage:
    fprintf(stderr, "engine: %s\n", why.text);
    return 2;
}
