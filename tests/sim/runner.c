#include "tests/sim/runner.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/dataset.h"
#include "common/file.h"
#include "common/log.h"
#include "common/safetensors.h"
#include "tests/sim/damage.h"
#include "tests/sim/disk.h"
#include "tests/sim/disk_vfs.h"
#include "tests/sim/guess.h"
#include "tests/sim/journal.h"
#include "tests/sim/life.h"
#include "tests/sim/namer.h"
#include "tests/sim/person.h"
#include "tests/sim/reader.h"
#include "tests/sim/worker.h"
#include "tests/sim/world.h"

#define SIDE_MAX 16
/* Hours of simulated time that the jobs may take once nothing is disturbed any more. */
#define CALM_US (4 * 3600 * SECOND)
#define FILE_BYTES_MOST (1 << 20)
/* A seed that runs for so long of real time hangs. */
#define SEED_S 120
#define HEAP_BYTES (64 << 20)

struct runner {
    enum plant plant;
    bool echo;
    struct runner_plan use;
    struct person_file dataset, list, names[NAMER_FILES];
    struct outcome outcomes[SCENARIO_SPECS_ALL][SIM_CLASSES];
    uint8_t *disk; /* with the dataset on it; NULL until it was imported */
    size_t disk_bytes;
    struct journal *journals[SIDE_MAX];
    const struct journal *last;
};

/* --- the process of a seed --- */

static _Noreturn void run_world(const struct runner *r, struct journal *j)
{
    uint8_t *image;

    alarm(SEED_S);
    /* Memory that is free stays ours: a seed starts the server many times. */
    mallopt(M_TRIM_THRESHOLD, HEAP_BYTES);
    mallopt(M_MMAP_THRESHOLD, HEAP_BYTES);
    mallopt(M_TOP_PAD, HEAP_BYTES / 8);
    log_set_level(r->echo ? LOG_INFO : LOG_ERROR);
    if (!r->echo && !freopen("/dev/null", "w", stderr))
        _exit(1);
    journal_use(j, r->echo);
    disk_init();
    disk_vfs_use();
    if (!scenario_get()->fresh)
        disk_load(r->disk, r->disk_bytes);
    damage_begin(r->dataset.data, r->dataset.bytes, r->dataset.sha256);
    person_begin(&r->dataset, &r->list);
    guest_begin();
    namer_begin(r->names);
    life_begin();
    if (!world_run(scenario_get()->calm_us + CALM_US))
        note("violation what=\"the jobs do not come to their end\"");
    if (r->use.end)
        r->use.end(r->use.arg);
    if (scenario_get()->jobs == 0) { /* what is handed back is the disk */
        life_stop();
        j->bytes = disk_save(&image);
        memcpy(j->text, image, j->bytes);
    }
    fflush(NULL);
    _exit(0);
}

/* As fork. */
static pid_t start(struct journal *j)
{
    j->bytes = 0;
    j->full = false;
    j->text[0] = 0;
    fflush(NULL);
    return fork();
}

static pid_t start_seed(const struct runner *r, uint64_t seed, struct journal *j)
{
    pid_t pid = start(j);

    if (pid != 0)
        return pid;
    if (r->use.begin) {
        r->use.begin(r->use.arg, seed);
    } else {
        world_init(seed);
        scenario_make(seed, r->plant);
    }
    run_world(r, j);
}

/* --- judging --- */

static const struct outcome *expected(void *arg, int spec, int class)
{
    const struct runner *r = arg;

    return &r->outcomes[spec][class];
}

static uint64_t count_lines(const char *text, const char *event)
{
    uint64_t count = 0;

    for (const char *at = text; (at = strstr(at, event)) != NULL; at++)
        count++;
    return count;
}

static void judge(struct runner *r, struct journal *j, int status, struct judgement *v)
{
    sha256_hex_of(j->text, j->bytes, v->log_sha256);
    v->events = count_lines(j->text, "\n");
    v->lives = (int64_t)count_lines(j->text, " serving ");
    v->applied = (int64_t)count_lines(j->text, " apply ");
    v->given = (int64_t)count_lines(j->text, " gave ");
    v->good = reader_check(j->text, expected, r, v->why, sizeof(v->why));
    if (WIFSIGNALED(status)) {
        v->good = false;
        snprintf(v->why, sizeof(v->why), "the process of the seed ended by signal %d (%s)",
                 WTERMSIG(status), strsignal(WTERMSIG(status)));
    } else if (WEXITSTATUS(status) != 0) {
        v->good = false;
        snprintf(v->why, sizeof(v->why), "the process of the seed ended with status %d",
                 WEXITSTATUS(status));
    } else if (v->good && j->full) {
        v->good = false;
        snprintf(v->why, sizeof(v->why), "the event log is full");
    }
    r->last = j;
}

static int wait_for(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return status;
}

void runner_run(struct runner *r, uint64_t first, uint64_t count, int side,
                bool (*each)(void *arg, const struct judgement *v), void *arg)
{
    pid_t pids[SIDE_MAX];
    uint64_t started = 0;
    bool go_on = true;

    if (side > SIDE_MAX)
        side = SIDE_MAX;
    for (uint64_t judged = 0; judged < started || (go_on && judged < count); judged++) {
        for (; go_on && started < count && started < judged + (uint64_t)side; started++)
            pids[started % (uint64_t)side] =
                start_seed(r, first + started, r->journals[started % (uint64_t)side]);
        struct judgement v = {.seed = first + judged};
        int status = wait_for(pids[judged % (uint64_t)side]);
        if (!go_on)
            continue;
        judge(r, r->journals[judged % (uint64_t)side], status, &v);
        go_on = each(arg, &v);
    }
}

void runner_use(struct runner *r, const struct runner_plan *plan)
{
    r->use = *plan;
}

const char *runner_log(const struct runner *r)
{
    return r->last->text;
}

/* --- the undisturbed runs --- */

static int take_file(const char *path, struct person_file *ret, struct errbuf *why)
{
    int rc = file_read(path, FILE_BYTES_MOST, &ret->data, &ret->bytes, why);

    if (rc == 0)
        sha256_hex_of(ret->data, ret->bytes, ret->sha256);
    return rc;
}

/* Of samples to leave out. */
static int make_list(struct runner *r, struct errbuf *why)
{
    static const uint32_t samples[] = {0, 3, 4, 11, 40};
    const struct tensor t =
        tensor_1d("sample", DTYPE_U32, sizeof(samples) / sizeof(samples[0]), (void *)samples);
    char path[] = "/tmp/steppe-sim-XXXXXX";
    int fd = mkstemp(path), rc = safetensors_write(path, &t, 1, NULL, 0, why);

    if (rc == 0)
        rc = take_file(path, &r->list, why);
    close(fd);
    unlink(path);
    return rc;
}

/* Of the dataset's samples. */
static int make_names(struct runner *r, struct errbuf *why)
{
    int rc = 0;

    for (int i = 0; rc == 0 && i < NAMER_FILES; i++) {
        char path[] = "/tmp/steppe-sim-XXXXXX";
        int fd = mkstemp(path);
        rc = namer_write(path, r->dataset.sha256, i, why);
        if (rc == 0)
            rc = take_file(path, &r->names[i], why);
        close(fd);
        unlink(path);
    }
    return rc;
}

/* Images of which nothing but labels and numbers matters. */
static int make_dataset(struct runner *r, struct errbuf *why)
{
    struct dataset_draft d = {.samples = SCENARIO_SAMPLES,
                              .test_samples = SCENARIO_TESTS,
                              .classes = SCENARIO_CLASSES,
                              .dims = {.h = 4, .w = 4, .c = 1}};
    char path[] = "/tmp/steppe-sim-XXXXXX";
    uint8_t digest[SHA256_BYTES];
    int fd = mkstemp(path), rc;

    d.images = xcalloc(SCENARIO_SAMPLES, 16);
    d.test_images = xcalloc(SCENARIO_TESTS, 16);
    d.labels = xcalloc(SCENARIO_SAMPLES, sizeof(*d.labels));
    d.test_labels = xcalloc(SCENARIO_TESTS, sizeof(*d.test_labels));
    for (unsigned i = 0; i < SCENARIO_SAMPLES * 16; i++)
        d.images[i] = (uint8_t)(i * 37);
    d.domains = xcalloc(SCENARIO_SAMPLES, sizeof(*d.domains));
    d.domain_count = 3;
    d.domain_names = xcalloc(d.domain_count, sizeof(*d.domain_names));
    for (unsigned i = 0; i < d.domain_count; i++)
        d.domain_names[i] = xasprintf("domain-%u", i);
    for (unsigned i = 0; i < SCENARIO_SAMPLES; i++) {
        d.labels[i] = (uint16_t)(i * i % SCENARIO_CLASSES);
        d.domains[i] = (uint16_t)(i / 2 % d.domain_count);
    }
    for (unsigned i = 0; i < SCENARIO_TESTS; i++)
        d.test_labels[i] = (uint16_t)(i % SCENARIO_CLASSES);
    snprintf(d.source, sizeof(d.source), "made for a simulation");
    rc = dataset_write(&d, path, digest, why);
    if (rc == 0)
        rc = take_file(path, &r->dataset, why);
    dataset_draft_done(&d);
    close(fd);
    unlink(path);
    return rc;
}

static int import_dataset(struct runner *r, struct errbuf *why)
{
    struct journal *j = r->journals[0];
    pid_t pid = start(j);

    if (pid == 0) {
        world_init(0);
        scenario_make_import();
        run_world(r, j);
    }
    int status = wait_for(pid);
    if (status != 0 || j->bytes == 0)
        return err_set(why, -EIO, "the dataset cannot be imported: status %d", status);
    r->disk = xmalloc(j->bytes);
    r->disk_bytes = j->bytes;
    memcpy(r->disk, j->text, j->bytes);
    return 0;
}

static int run_undisturbed(struct runner *r, int spec, uint32_t class, struct errbuf *why)
{
    struct journal *j = r->journals[0];
    pid_t pid = start(j);

    if (pid == 0) {
        world_init(0);
        scenario_make_undisturbed(spec, class);
        run_world(r, j);
    }
    int status = wait_for(pid);
    if (status == 0 && reader_outcome(j->text, &r->outcomes[spec][class]))
        return 0;
    const char *denied = strstr(j->text, " denied ");
    return err_set(why, -EIO, "the undisturbed run of job file %d does not end: status %d%.200s",
                   spec, status, denied ? denied : "");
}

/* Of the job files [first, end), in so many classes. */
static int open_with(int first, int end, uint32_t classes, struct runner **ret, struct errbuf *why)
{
    struct runner *r = xcalloc(1, sizeof(*r));
    int rc;

    for (int i = 0; i < SIDE_MAX; i++)
        r->journals[i] = journal_create();
    rc = make_dataset(r, why);
    if (rc == 0)
        rc = make_list(r, why);
    if (rc == 0)
        rc = make_names(r, why);
    if (rc == 0)
        rc = import_dataset(r, why);
    for (int spec = first; rc == 0 && spec < end; spec++)
        for (uint32_t class = 0; rc == 0 && class < classes; class ++)
            rc = run_undisturbed(r, spec, class, why);
    if (rc < 0) {
        runner_close(r);
        return rc;
    }
    *ret = r;
    return 0;
}

int runner_open(enum plant plant, bool echo, struct runner **ret, struct errbuf *why)
{
    struct runner *r;
    int rc = open_with(0, SCENARIO_SPECS, SIM_CLASSES, &r, why);

    if (rc < 0)
        return rc;
    for (int i = 0; rc == 0 && i < SCENARIO_EXTERNALS; i++) /* no worker computes them */
        rc = run_undisturbed(r, SCENARIO_SPEC_EXTERNAL + i, 0, why);
    if (rc < 0) {
        runner_close(r);
        return rc;
    }
    r->plant = plant;
    r->echo = echo;
    *ret = r;
    return 0;
}

int runner_open_for(int spec, struct runner **ret, struct errbuf *why)
{
    return open_with(spec, spec + 1, 1, ret, why);
}

void runner_close(struct runner *r)
{
    for (int i = 0; i < SIDE_MAX; i++)
        journal_free(r->journals[i]);
    free(r->disk);
    free(r->dataset.data);
    free(r->list.data);
    for (int i = 0; i < NAMER_FILES; i++)
        free(r->names[i].data);
    free(r);
}
