/* How fast scores become rows and how fast they are found again: folds epochs of random scores with
 * the real store in a temporary folder, then asks the questions people ask most. Prints one line
 * of JSON; rows_per_s and the answers count CPU time, which neighbours change least.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/options.h"
#include "common/rng.h"
#include "common/text.h"
#include "server/query/query.h"
#include "server/store/store.h"

#define CLASSES 10
#define ASKED 9 /* times each question is asked; the median is shown */
#define DATASET_SHA256 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

struct args {
    int64_t samples, epochs;
    const char *dir;
};

#define AT(field) offsetof(struct args, field)
static const struct option table[] = {
    {"samples", OPT_INT, AT(samples), .def = "50000", .arg = "N", .min = 1, .max = SAMPLES_MAX,
     .help = "samples of an epoch"},
    {"epochs", OPT_INT, AT(epochs), .def = "20", .arg = "E", .min = 1, .max = EPOCHS_MAX,
     .help = "epochs that are folded"},
    {"dir", OPT_STR, AT(dir), .def = "/tmp", .arg = "DIR",
     .help = "where the temporary folder is made"},
    {0},
};

struct data {
    struct score *scores;
    double *adm;
    uint16_t *labels;
    uint32_t samples;
};

static double cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void fill(struct data *d, int64_t epoch)
{
    for (uint32_t i = 0; i < d->samples; i++) {
        struct rng r = rng_at(1, RNG_TEST, (uint32_t)epoch, i);
        struct score *s = &d->scores[i];
        s->loss = 3 * rng_unit(&r);
        double gap = rng_unit(&r);
        s->adv_loss = s->loss + gap;
        s->grad_norm = rng_unit(&r);
        s->el2n = rng_unit(&r);
        s->predicted = (int32_t)rng_below(&r, CLASSES);
        s->flags = SCORE_MEASURED;
        d->adm[i] = gap / (gap + 0.5);
    }
}

static int prepare(struct store *s, struct data *d, int64_t *ret_job, struct errbuf *why)
{
    struct dataset_record dr = {.name = "bench", .sha256 = DATASET_SHA256};
    struct dataset dataset = {.samples = d->samples, .classes = CLASSES, .labels = d->labels};
    struct job_record rec = {.name = "bench",
                             .dataset = "bench",
                             .dataset_sha256 = DATASET_SHA256,
                             .spec_json = (char *)"{}",
                             .state = JOB_RUNNING};

    for (uint32_t i = 0; i < d->samples; i++)
        d->labels[i] = (uint16_t)(i % CLASSES);
    text_uuid(rec.uuid);
    int rc = store_dataset_add(s, &dr, &dataset, why);
    if (rc == 0)
        rc = store_job_insert(s, &rec, NULL, why);
    *ret_job = rec.job;
    return rc;
}

struct times {
    double cpu, wall;
};

static int fold_all(struct store *s, struct data *d, int64_t job, int64_t epochs, struct times *ret,
                    struct errbuf *why)
{
    char sha256[SHA256_HEX];
    int rc = 0;

    *ret = (struct times){0};
    for (int64_t e = 0; rc == 0 && e < epochs; e++) {
        struct fold f = {.record = {.job = job, .epoch = e},
                         .scores = d->scores,
                         .adm = d->adm,
                         .labels = d->labels,
                         .samples = d->samples};
        fill(d, e);
        double cpu = cpu_s(), wall = clock_mono_s();
        rc = store_fold(s, &f, sha256, why);
        ret->cpu += cpu_s() - cpu;
        ret->wall += clock_mono_s() - wall;
    }
    return rc;
}

/* What people ask most; each is timed. */
static int ask_top(struct query *q, int64_t job, cJSON **ret, struct errbuf *why)
{
    const struct top_args a = {.job = job, .epoch = -1, .by = BY_ADM, .class_id = -1, .limit = 100};

    return query_top(q, &a, ret, why);
}
static int ask_histogram(struct query *q, int64_t job, cJSON **ret, struct errbuf *why)
{
    const struct histogram_args a = {.job = job, .epoch = -1, .by = BY_ADM, .bins = 20};

    return query_histogram(q, &a, ret, why);
}
static int ask_trajectory(struct query *q, int64_t job, cJSON **ret, struct errbuf *why)
{
    const struct trajectory_args a = {.job = job, .sample = 17, .from = -1, .limit = ROWS_MAX};

    return query_trajectory(q, &a, ret, why);
}
static int ask_with(struct query *q, int64_t job, cJSON **ret, struct errbuf *why,
                    int (*answer)(struct query *, const struct ask *, cJSON **, struct errbuf *))
{
    struct ask a = ASK;

    a.job = a.other = job;
    a.other_epoch = 0;
    a.limit = 100;
    return answer(q, &a, ret, why);
}
static int ask_suspects(struct query *q, int64_t job, cJSON **ret, struct errbuf *why)
{
    return ask_with(q, job, ret, why, query_suspects);
}
static int ask_classes(struct query *q, int64_t job, cJSON **ret, struct errbuf *why)
{
    return ask_with(q, job, ret, why, query_classes);
}
static int ask_risers(struct query *q, int64_t job, cJSON **ret, struct errbuf *why)
{
    return ask_with(q, job, ret, why, query_risers);
}
static int ask_compare(struct query *q, int64_t job, cJSON **ret, struct errbuf *why)
{
    return ask_with(q, job, ret, why, query_compare);
}
static int ask_map(struct query *q, int64_t job, cJSON **ret, struct errbuf *why)
{
    return ask_with(q, job, ret, why, query_map);
}

static const struct question {
    const char *name;
    int (*ask)(struct query *q, int64_t job, cJSON **ret, struct errbuf *why);
} questions[] = {
    {"top100", ask_top},
    {"histogram", ask_histogram},
    {"trajectory", ask_trajectory},
    {"suspects", ask_suspects},
    {"classes", ask_classes},
    {"risers", ask_risers},
    {"compare", ask_compare},
    {"map", ask_map},
};
#define QUESTIONS (sizeof(questions) / sizeof(questions[0]))

static int by_time(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* Median CPU time of each question, ms. */
static int ask_all(const char *dir, int64_t job, double ret_ms[QUESTIONS], struct errbuf *why)
{
    struct query *q;
    int rc = query_open(dir, &q, why);

    if (rc != 0)
        return rc;
    for (size_t k = 0; rc == 0 && k < QUESTIONS; k++) {
        double ms[ASKED];
        for (int i = 0; rc == 0 && i < ASKED; i++) {
            cJSON *out = NULL;
            double start = cpu_s();
            rc = questions[k].ask(q, job, &out, why);
            ms[i] = (cpu_s() - start) * 1e3;
            cJSON_Delete(out);
        }
        qsort(ms, ASKED, sizeof(*ms), by_time);
        ret_ms[k] = ms[ASKED / 2];
    }
    query_close(q);
    return rc;
}

static void print(const struct args *a, const struct times *times, double bytes_per_row,
                  const double ms[QUESTIONS])
{
    const double rows = (double)a->samples * (double)a->epochs;

    printf("{\"bench\": \"fold\", \"samples\": %lld, \"epochs\": %lld, \"rows_per_s\": %.0f, "
           "\"rows_per_s_wall\": %.0f, \"bytes_per_row\": %.1f",
           (long long)a->samples, (long long)a->epochs, rows / times->cpu, rows / times->wall,
           bytes_per_row);
    for (size_t k = 0; k < QUESTIONS; k++)
        printf(", \"%s_ms\": %.2f", questions[k].name, ms[k]);
    printf("}\n");
}

static void remove_dir(const char *dir)
{
    struct dirent *entry;
    DIR *d = opendir(dir);

    while (d && (entry = readdir(d)))
        unlinkat(dirfd(d), entry->d_name, 0);
    if (d)
        closedir(d);
    rmdir(dir);
}

static int run(const struct args *a, const char *dir, struct errbuf *why)
{
    const uint32_t n = (uint32_t)a->samples;
    struct data d = {alloc_bytes(n, sizeof(*d.scores)), alloc_bytes(n, sizeof(*d.adm)),
                     alloc_bytes(n, sizeof(*d.labels)), n};
    const double rows = (double)a->samples * (double)a->epochs;
    char *path = xasprintf("%s/difficulty.db", dir);
    struct store *s = NULL;
    struct stat before, after;
    struct times times;
    double ms[QUESTIONS];
    int64_t job;

    int rc = d.scores && d.adm && d.labels ? 0 : err_set(why, -1, "out of memory");
    if (rc == 0)
        rc = store_open(dir, &s, why);
    if (rc == 0)
        rc = prepare(s, &d, &job, why);
    if (rc == 0 && stat(path, &before) != 0)
        rc = err_set(why, -1, "cannot look at %s", path);
    if (rc == 0)
        rc = fold_all(s, &d, job, a->epochs, &times, why);
    if (rc == 0 && stat(path, &after) != 0)
        rc = err_set(why, -1, "cannot look at %s", path);
    if (rc == 0)
        rc = ask_all(dir, job, ms, why);
    if (rc == 0)
        print(a, &times, (double)(after.st_size - before.st_size) / rows, ms);
    store_close(s);
    free(path);
    free(d.scores);
    free(d.adm);
    free(d.labels);
    return rc;
}

int main(int argc, char **argv)
{
    struct args a;
    struct errbuf why = {""};

    int rc = options_defaults(table, &a, &why);
    if (rc == 0)
        rc = options_args(table, argc, argv, &a, NULL, NULL, &why);
    if (rc != 0) {
        fprintf(stderr, "fold: %s\n", why.text);
        return 2;
    }
    char *dir = xasprintf("%s/steppe-fold-XXXXXX", a.dir);
    if (!mkdtemp(dir))
        rc = err_set(&why, -1, "cannot make a folder in %s", a.dir);
    if (rc == 0) {
        rc = run(&a, dir, &why);
        remove_dir(dir);
    }
    if (rc != 0)
        fprintf(stderr, "fold: %s\n", why.text);
    free(dir);
    return rc == 0 ? 0 : 1;
}
