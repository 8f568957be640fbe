/* The engine alone: T threads in one process run the shards of synthetic batches as a worker would,
 * their gradients are summed along the tree and the optimizer is applied. One JSON line a mode;
 * repetitions of the modes are interleaved, so that a noisy moment meets all of them. */
#include <cjson/cJSON.h>
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
#include "server/core/optimizer.h"
#include "worker/nn/gemm.h"
#include "worker/nn/net.h"
#include "worker/step.h"

#define SAMPLES 4096u
#define REPETITIONS 5

enum mode { SGD, SAM, FUSED, SWEEP, MODES };
static const char *const mode_names[] = {"sgd", "sam", "fused", "sweep", NULL};

struct config {
    const char *model, *mode; /* mode NULL: all */
    int64_t threads, shard, batch, classes;
    double seconds;
    bool help;
};

static const struct option table[] = {
    {"model", OPT_STR, offsetof(struct config, model), .def = "lenet", .arg = "NAME",
     .help = "preset; for images as its data set has them"},
    {"mode", OPT_STR, offsetof(struct config, mode), .arg = "MODE",
     .help = "sgd, sam, fused or sweep; all of them when it is left out"},
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
    pthread_mutex_t lock; /* reduce */
    pthread_barrier_t start, end;
    enum mode mode;
    uint32_t step;
    atomic_bool stop;
    float *theta, *next, *velocity;
    struct segment *segments;
    struct score *scores; /* [SAMPLES] */
};

struct thread {
    struct bench *bench;
    uint32_t index;
    pthread_t id;
};

static const struct step_spec specs[MODES] = {
    [SGD] = {.rho = 0},
    [SAM] = {.rho = 0.05},
    [FUSED] = {.rho = 0.05, .epsilon = 8.0 / 255, .fused = true},
    [SWEEP] = {.epsilon = 8.0 / 255},
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
    if (b->mode == SWEEP) {
        step_score(step, &specs[SWEEP], b->theta, &b->set, ids, n, b->scores + first);
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

static void *thread_main(void *arg)
{
    struct thread *t = arg;
    struct bench *b = t->bench;

    net_thread_init();
    struct step *step = step_create(&b->model, b->kernels, (uint32_t)b->config.shard);
    if (!step) {
        fprintf(stderr, "engine: out of memory\n");
        exit(1);
    }
    for (;;) {
        pthread_barrier_wait(&b->start);
        if (atomic_load(&b->stop))
            break;
        for (uint32_t s = t->index; s < b->shards; s += (uint32_t)b->config.threads)
            run_shard(b, step, s);
        pthread_barrier_wait(&b->end);
    }
    step_free(step);
    return NULL;
}

static void update(struct bench *b)
{
    static const struct optimizer_spec spec = {.lr = 0.01, .momentum = 0.9, .weight_decay = 5e-4};
    const double *sums;
    const float *grad = reduce_result(b->reduce, &sums);
    float *theta = b->theta;

    optimizer_step(&spec, spec.lr, b->step, sums[SUM_WEIGHT], b->segments, b->model.param_count,
                   grad, b->theta, &b->velocity, b->next);
    b->theta = b->next;
    b->next = theta;
}

/* Images a second of `mode` over about `seconds`. */
static double measure(struct bench *b, enum mode mode, double seconds)
{
    const double start = clock_mono_s();
    double now;
    uint32_t steps = 0;

    b->mode = mode;
    do {
        reduce_reset(b->reduce, (struct node){0, b->shards}, b->shards);
        pthread_barrier_wait(&b->start);
        pthread_barrier_wait(&b->end);
        if (mode != SWEEP)
            update(b);
        b->step++;
        steps++;
        now = clock_mono_s();
    } while (now - start < seconds);
    return steps * (double)b->config.batch / (now - start);
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void report(const struct bench *b, enum mode mode, double rates[REPETITIONS])
{
    qsort(rates, REPETITIONS, sizeof(rates[0]), compare);
    const double median = rates[REPETITIONS / 2];
    printf("{\"model\":\"%s\",\"mode\":\"%s\",\"threads\":%d,\"shard\":%d,\"batch\":%d,"
           "\"core\":\"%s\",\"images_per_s\":%.0f,\"images_per_s_min\":%.0f,"
           "\"images_per_s_max\":%.0f,\"ms_per_step\":%.3f}\n",
           b->config.model, mode_names[mode], (int)b->config.threads, (int)b->config.shard,
           (int)b->config.batch, gemm_core(), median, rates[0], rates[REPETITIONS - 1],
           1e3 * (double)b->config.batch / median);
}

static void run_modes(struct bench *b, int only)
{
    double rates[MODES][REPETITIONS];

    for (int r = -1; r < REPETITIONS; r++) /* the first round warms up */
        for (int m = 0; m < MODES; m++)
            if (only < 0 || m == only)
                rates[m][r < 0 ? 0 : r] =
                    measure(b, (enum mode)m, r < 0 ? 0.1 : b->config.seconds / REPETITIONS);
    for (int m = 0; m < MODES; m++)
        if (only < 0 || m == only)
            report(b, (enum mode)m, rates[m]);
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

    for (size_t i = 0; i < bytes; i++)
        images[i] = (uint8_t)rng_u32(&r);
    for (uint32_t i = 0; i < SAMPLES; i++)
        labels[i] = (uint16_t)rng_below(&r, classes);
    *set = (struct samples){images, labels, SAMPLES};
}

static int prepare(struct bench *b, struct errbuf *why)
{
    const float mean[3] = {0.5f, 0.5f, 0.5f}, std[3] = {0.29f, 0.29f, 0.29f};
    const struct dims image = image_of(b->config.model);
    cJSON *desc = cJSON_CreateString(b->config.model);
    int rc = model_parse(desc, image, (uint32_t)b->config.classes, mean, std, &b->model, why);

    cJSON_Delete(desc);
    if (rc)
        return rc;
    make_samples(&b->set, image, (uint32_t)b->config.classes);
    b->shards = (uint32_t)(b->config.batch / b->config.shard);
    b->theta = alloc_bytes(b->model.floats, sizeof(float));
    b->next = alloc_bytes(b->model.floats, sizeof(float));
    b->velocity = alloc_bytes(b->model.floats, sizeof(float));
    b->scores = alloc_bytes(SAMPLES, sizeof(*b->scores));
    b->reduce = reduce_create(b->model.floats, STEP_SUMS);
    b->segments = xcalloc((size_t)b->model.param_count, sizeof(*b->segments));
    for (int i = 0; i < b->model.param_count; i++) {
        const struct param *p = &b->model.params[i];
        b->segments[i] = (struct segment){p->offset, p->count, p->decay};
    }
    model_init(&b->model, 1, b->theta);
    pthread_mutex_init(&b->lock, NULL);
    pthread_barrier_init(&b->start, NULL, (unsigned)b->config.threads + 1);
    pthread_barrier_init(&b->end, NULL, (unsigned)b->config.threads + 1);
    return 0;
}

/* Everything is released at exit: a bench lives as long as its process. */
static void run(struct bench *b, int mode)
{
    const uint32_t count = (uint32_t)b->config.threads;
    struct thread *threads = xcalloc(count, sizeof(*threads));

    for (uint32_t i = 0; i < count; i++) {
        threads[i] = (struct thread){.bench = b, .index = i};
        if (pthread_create(&threads[i].id, NULL, thread_main, &threads[i]) != 0) {
            fprintf(stderr, "engine: a thread could not be started\n");
            exit(1);
        }
    }
    run_modes(b, mode);
    atomic_store(&b->stop, true);
    pthread_barrier_wait(&b->start);
    for (uint32_t i = 0; i < count; i++)
        pthread_join(threads[i].id, NULL);
    free(threads);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    struct errbuf why = {""};
    struct config *c = &bench.config;
    int mode = -1;

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
    for (int m = 0; c->mode && m < MODES; m++)
        if (strcmp(c->mode, mode_names[m]) == 0)
            mode = m;
    if (c->mode && mode < 0) {
        err_set(&why, -1, "--mode is \"%s\", allowed are sgd, sam, fused and sweep", c->mode);
        goto usage;
    }
    gemm_init();
    if (kernels_choose(getenv("STEPPE_KERNELS"), &bench.kernels, &why) || prepare(&bench, &why))
        goto usage;
    run(&bench, mode);
    return 0;
usage:
    fprintf(stderr, "engine: %s\n", why.text);
    return 2;
}
