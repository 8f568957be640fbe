/* Simulated workers for `make bench PARTS=large` and `make swarm PARTS=vectors`: they speak as
 * workers do (proto/client, worker/talk), fetch theta and send vectors of its true length, and
 * answer with made-up numbers that a server takes for valid, so that the server is measured and not
 * its workers. Each is a process. They serve one job and refuse all others. With --trees they
 * combine their sums as workers do (worker/combine.h).
 *
 * Every beat a line "microseconds results step bytes" (CLOCK_MONOTONIC, results that were accepted,
 * newest step of a training task, bytes of vectors that went up or down); when standard input ends,
 * or a worker, one line of JSON. */
#define _GNU_SOURCE
#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/options.h"
#include "proto/result.h"
#include "worker/combine.h"
#include "worker/talk.h"
#include "worker/task.h"

#define WORKERS_MOST 256
#define TASK_MS 40000
#define TASK_RETRY_MS 35000
#define HELLO_MS 10000

struct settings {
    const char *connect, *key, *class, *name;
    int64_t workers, threads, job, classes, shard_us, beat_ms;
    bool trees;
};

#define AT(field) offsetof(struct settings, field)
static const struct option table[] = {
    {"connect", OPT_STR, AT(connect), .arg = "URL"},
    {"key", OPT_STR, AT(key), .arg = "FILE"},
    {"class", OPT_STR, AT(class), .def = "crowd/1"},
    {"name", OPT_STR, AT(name), .def = "crowd"},
    {"workers", OPT_INT, AT(workers), .def = "1", .min = 1, .max = WORKERS_MOST},
    {"threads", OPT_INT, AT(threads), .def = "1", .min = 1, .max = THREADS_MAX},
    {"job", OPT_INT, AT(job), .min = 1, .max = INT32_MAX},
    {"classes", OPT_INT, AT(classes), .def = "10", .min = 2, .max = UINT16_MAX},
    {"shard-us", OPT_INT, AT(shard_us), .def = "0", .min = 0, .max = 60000000},
    {"trees", OPT_FLAG, AT(trees), .help = "combine sums"},
    {"beat-ms", OPT_INT, AT(beat_ms), .def = "50", .min = 1, .max = 60000},
    {0},
};

/* Shared by all processes. */
struct board {
    _Atomic int64_t results, dropped, step, bytes, uploads;
    _Atomic sig_atomic_t stop;
    double cpu_s[WORKERS_MOST];
};

static struct board *board;
/* One for all: the gradient that everybody sends, and where theta goes that nobody reads. */
static float *gradient, *theta;

static void die(const char *what, const struct errbuf *why)
{
    fprintf(stderr, "crowd: %s: %s\n", what, why->text);
    _exit(1);
}

/* Pages that nobody has touched take no memory. */
static void *shared(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);

    if (p == MAP_FAILED) {
        perror("crowd: mmap");
        exit(1);
    }
    return p;
}

/* --- made-up scores --- */

/* In [0, 1), the same for the same two numbers. */
static double chance(uint64_t a, uint64_t b)
{
    uint64_t x = (a + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ (b + 1) * UINT64_C(0xbf58476d1ce4e5b9);

    x = (x ^ x >> 31) * UINT64_C(0x94d049bb133111eb);
    x = (x ^ x >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
    return (double)((x ^ x >> 32) >> 11) * 0x1p-53;
}

/* A sample is as hard as it is, and a little different at every step. Its label is its number
 * modulo the classes, as the datasets of the bench have it. */
static struct score score_of(uint32_t sample, int64_t step, int64_t classes)
{
    const double hard = chance(sample, 0), now = chance(sample, (uint64_t)step + 1);
    const double loss = exp(-9 + 10 * hard + now);
    const int32_t label = (int32_t)(sample % (uint64_t)classes);
    const int32_t other = (int32_t)((sample / 7 + 1) % (uint64_t)classes);

    return (struct score){.loss = loss,
                          .adv_loss = loss * (1.2 + now),
                          .grad_norm = loss / (1 + 0.3 * loss),
                          .el2n = 1.3 * -expm1(-loss),
                          .predicted = loss < 0.7 ? label : other,
                          .adv_predicted = loss < 0.4 ? label : other,
                          .flags = SCORE_MEASURED};
}

/* --- one worker --- */

struct worker {
    const struct settings *s;
    struct talk talk;
    struct combine combine;
    struct task held;     /* whose theta is here; step -1: none */
    size_t floats;        /* of theta */
    struct score *scores; /* [capacity] */
    uint32_t capacity;
    struct result_room room;
};

struct answer {
    enum message_type type;
    cJSON *request;
    struct tensor tensors[RESULT_PARTS];
    int tensor_count;
};

static void hello(struct worker *w)
{
    cJSON *request = cJSON_CreateObject();
    struct message reply = {0};
    struct errbuf why;

    cJSON_AddStringToObject(request, "name", w->s->name);
    cJSON_AddNumberToObject(request, "threads", (double)w->s->threads);
    cJSON_AddStringToObject(request, "class", w->s->class);
    if (peer_address(w->combine.peer))
        cJSON_AddStringToObject(request, "address", peer_address(w->combine.peer));
    int rc = talk_call(&w->talk, MSG_WORKER_HELLO, request, NULL, 0, HELLO_MS, 0, &reply, &why);
    if (rc < 0 && rc != -EINTR)
        die("worker.hello", &why);
    message_done(&reply);
    cJSON_Delete(request);
}

static cJSON *with_have(const struct worker *w)
{
    cJSON *request = cJSON_CreateObject();

    if (w->held.step >= 0)
        task_add_round(cJSON_AddObjectToObject(request, "have"), &w->held);
    return request;
}

static void ask_next(const struct worker *w, struct answer *a)
{
    cJSON_Delete(a->request);
    *a = (struct answer){.type = MSG_TASK_NEXT, .request = with_have(w)};
}

/* Takes theta out of the message, or fetches it. As talk_call. */
static int take_theta(struct worker *w, const struct message *m, const struct task *t,
                      struct errbuf *why)
{
    const struct tensor *inlined = tensor_find(m->tensors, m->tensor_count, "theta");
    cJSON *key;
    int rc;

    if (inlined || t->theta_bytes > 0)
        peer_hide(w->combine.peer);
    if (inlined) {
        w->floats = inlined->bytes / sizeof(float);
        memcpy(theta, inlined->data, inlined->bytes);
        atomic_fetch_add(&board->bytes, (int64_t)inlined->bytes);
    }
    if (!inlined && t->theta_bytes > 0) {
        w->floats = (size_t)t->theta_bytes / sizeof(float);
        key = cJSON_CreateObject();
        task_add_round(key, t);
        rc = combine_theta(&w->combine, &w->talk, t, key, (size_t)t->theta_bytes, theta, why);
        cJSON_Delete(key);
        if (rc < 0)
            return rc;
        atomic_fetch_add(&board->bytes, t->theta_bytes);
    }
    for (size_t i = 0; i < w->floats && gradient[w->floats - 1] == 0; i++)
        gradient[i] = 1e-6f;
    peer_show(w->combine.peer, theta, w->floats * sizeof(float));
    w->held = *t;
    return 0;
}

static int make_room(struct worker *w, uint32_t count, struct errbuf *why)
{
    if (count <= w->capacity)
        return 0;
    free(w->scores);
    w->scores = xcalloc(count, sizeof(*w->scores));
    w->capacity = count;
    return result_room(&w->room, count, why);
}

static int make_scores(struct worker *w, const struct message *m, const struct task *t,
                       struct errbuf *why)
{
    const struct tensor *ids = tensor_find(m->tensors, m->tensor_count, "ids");
    int rc = make_room(w, (uint32_t)t->count, why);

    for (uint32_t i = 0; rc == 0 && i < (uint32_t)t->count; i++) {
        uint32_t id = (uint32_t)t->first + i;
        if (ids)
            memcpy(&id, (const char *)ids->data + sizeof(id) * i, sizeof(id));
        w->scores[i] = score_of(id, t->step, w->s->classes);
    }
    return rc;
}

/* The time that a worker would compute. */
static void compute(const struct worker *w, const struct task *t)
{
    const int64_t turns = (t->hi - t->lo + w->s->threads - 1) / w->s->threads;

    if (w->s->shard_us > 0)
        usleep((unsigned)(turns * w->s->shard_us)); /* what is simulated */
}

/* 0, -EALREADY: nobody waits for it; or as talk_call. */
static int send_ahead(struct worker *w, const struct task *t, const float *sum, struct errbuf *why)
{
    cJSON *key = cJSON_CreateObject();

    task_add_key(key, t);
    int rc = talk_upload(&w->talk, key, w->floats * sizeof(float), sum, why);
    cJSON_Delete(key);
    if (rc == 0)
        atomic_fetch_add(&board->uploads, 1);
    return rc;
}

/* Adds what others have to the sum, or gives it to one of them, as the server says. 0, -EALREADY:
 * nobody waits for it; or as talk_call. */
static int combine(struct worker *w, struct combined *sum, struct errbuf *why)
{
    const struct task *t = sum->task;

    return t->token[0] ? combine_sum(&w->combine, &w->talk, sum, why) : 0;
}

static int make_result(struct worker *w, const struct message *m, const struct task *t,
                       struct answer *a, struct errbuf *why)
{
    static const double sums[SUM_COUNT] = {
        [SUM_WEIGHT] = 1, [SUM_LOSS] = 1, [SUM_LOSS_HAT] = 1, [SUM_SAMPLES] = 1, [SUM_CORRECT] = 1};
    int rc = phase_scores((enum phase)t->phase, false) ? make_scores(w, m, t, why) : 0;
    struct combined sum = {.task = t,
                           .floats = w->floats,
                           .room = true,
                           .result = {gradient, sums, w->scores, NULL},
                           .end = (uint32_t)t->hi,
                           .count = (uint32_t)t->count};
    struct task done = *t;

    compute(w, t);
    if (rc == 0)
        rc = combine(w, &sum, why);
    done.hi = sum.to ? t->hi : sum.end;
    const struct result_shape shape =
        result_shape((enum phase)t->phase, false, w->floats, sum.count, 0);
    if (rc == 0 && shape.ahead && !sum.to)
        rc = send_ahead(w, &done, sum.result.grad, why);
    if (rc == 0 && phase_vector((enum phase)t->phase))
        atomic_fetch_add(&board->bytes, (int64_t)(w->floats * sizeof(float)));
    if (rc < 0)
        return rc;
    cJSON_Delete(a->request);
    *a = (struct answer){.type = MSG_TASK_RESULT, .request = with_have(w)};
    task_add_key(a->request, &done);
    if (sum.to)
        cJSON_AddNumberToObject(a->request, "to", sum.to);
    else
        a->tensor_count = result_pack(&shape, &sum.result, &w->room, a->tensors);
    return 0;
}

static void refuse(const struct worker *w, const struct task *t, struct answer *a)
{
    cJSON_Delete(a->request);
    *a = (struct answer){.type = MSG_TASK_REFUSE, .request = with_have(w)};
    cJSON_AddNumberToObject(a->request, "job", (double)t->job);
    cJSON_AddStringToObject(a->request, "cause", "unsupported");
    cJSON_AddStringToObject(a->request, "reason", "this simulated worker is another job's");
}

/* As talk_call; -ESTALE: others have finished the step. */
static int take_task(struct worker *w, const struct message *m, struct answer *a,
                     struct errbuf *why)
{
    struct task task;
    int rc = task_read(m, &task, why);

    if (rc < 0)
        return rc;
    if (task.kind == TASK_NONE || task.kind == TASK_PREDICT) {
        ask_next(w, a);
        return 0;
    }
    if (w->s->job && task.job != w->s->job) {
        refuse(w, &task, a);
        return 0;
    }
    peer_begin(w->combine.peer, task.token);
    rc = take_theta(w, m, &task, why);
    if (rc < 0)
        return rc;
    if (phase_trains((enum phase)task.phase) && task.step > atomic_load(&board->step))
        atomic_store(&board->step, task.step);
    return make_result(w, m, &task, a, why);
}

static void count(const struct message *m)
{
    const cJSON *said = cJSON_GetObjectItemCaseSensitive(m->json, "result");

    if (cJSON_IsString(said))
        atomic_fetch_add(
            strcmp(said->valuestring, "accepted") == 0 ? &board->results : &board->dropped, 1);
}

static double cpu_s(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void work(const struct settings *s, int number)
{
    struct worker w = {.s = s, .talk = {.stop = &board->stop}, .held = {.step = -1}};
    struct answer a = {.request = NULL};
    struct message m = {0};
    struct errbuf why = {""};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (client_open(s->connect, NULL, &board->stop, &w.talk.client, &why) < 0 ||
        (s->key && client_use_key(w.talk.client, s->key, &why) < 0))
        die("connect", &why);
    w.combine.key = s->key;
    if (s->trees && peer_open(s->connect, s->key, NULL, &w.combine.peer, &why) < 0)
        die("listen", &why);
    hello(&w);
    ask_next(&w, &a);
    while (!board->stop) {
        int rc = talk_call(&w.talk, a.type, a.request, a.tensors, a.tensor_count, TASK_MS,
                           TASK_RETRY_MS, &m, &why);
        if (rc == 0) {
            count(&m);
            rc = take_task(&w, &m, &a, &why);
            message_done(&m);
        }
        if (rc == -ENOTCONN)
            hello(&w);
        else if (rc < 0 && rc != -ESTALE && rc != -EALREADY && rc != -EINTR)
            die("a task", &why);
        if (rc < 0)
            ask_next(&w, &a);
    }
    board->cpu_s[number] = cpu_s();
    _exit(0);
}

/* --- all of them --- */

/* Until standard input ends, or a worker does, which is a fault. */
static bool beat(const struct settings *s)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};

    while (waitpid(-1, NULL, WNOHANG) == 0) {
        printf("%lld %lld %lld %lld\n", (long long)(clock_mono_s() * 1e6),
               (long long)board->results, (long long)board->step, (long long)board->bytes);
        fflush(stdout);
        if (poll(&in, 1, (int)s->beat_ms) > 0)
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct settings s = {.connect = NULL};
    struct errbuf why = {""};
    double cpu = 0;
    int status;

    if (options_defaults(table, &s, &why) < 0 ||
        options_args(table, argc, argv, &s, NULL, NULL, &why) < 0 || !s.connect) {
        fprintf(stderr, "crowd: %s\n", why.text[0] ? why.text : "--connect is missing");
        return 2;
    }
    log_set_level(LOG_ERROR);
    board = shared(sizeof(*board));
    gradient = shared(PARAM_FLOATS_MAX * sizeof(*gradient));
    theta = shared(PARAM_FLOATS_MAX * sizeof(*theta));
    for (int i = 0; i < s.workers; i++)
        if (fork() == 0)
            work(&s, i);
    bool bad = beat(&s);
    board->stop = 1;
    while (wait(&status) > 0)
        bad |= status != 0;
    for (int i = 0; i < s.workers; i++)
        cpu += board->cpu_s[i];
    printf("{\"workers\": %lld, \"results\": %lld, \"dropped\": %lld, \"uploads\": %lld, "
           "\"bytes\": %lld, \"cpu_s\": %.2f}\n",
           (long long)s.workers, (long long)board->results, (long long)board->dropped,
           (long long)board->uploads, (long long)board->bytes, cpu);
    return bad;
}
