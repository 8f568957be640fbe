/* Simulated workers for `make swarm`: they speak the wire format of a TCP connection themselves (a
 * process may have at most 512 nanomsg sockets), compute nothing and answer every task at once or
 * after a moment. Prints one line of JSON.
 *
 * Of a training round the server holds every reply until the last result is there, so what counts
 * as its time is that from the last request which it had to wait for: of a reply that opens a
 * round, the last result of the round before; else the request itself.
 *
 * Beside them there may be connections that stay silent (half of them after a proper greeting) and
 * others that send garbage; whoever is thrown out comes again. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/options.h"
#include "common/text.h"
#include "proto/frame.h"
#include "proto/result.h"

#define PROCESSES_MAX 16
#define BUCKETS 20000 /* of 0.1 ms */
#define BUCKETS_PER_MS 10
#define STEPS_KEPT 1024
#define FLOATS_MAX 4096
#define SAMPLES_PER_TASK_MAX 4096
#define GREETING "\0SP\0\0\x30\0\0"

struct settings {
    int64_t port, workers, processes, seconds, think_ms, idle, garbage;
};

#define AT(field) offsetof(struct settings, field)
static const struct option table[] = {
    {"port", OPT_INT, AT(port), .min = 1, .max = 65535},
    {"workers", OPT_INT, AT(workers), .def = "1000", .min = 1, .max = 100000},
    {"processes", OPT_INT, AT(processes), .def = "2", .min = 1, .max = PROCESSES_MAX},
    {"seconds", OPT_INT, AT(seconds), .def = "30", .min = 1, .max = 3600},
    {"think-ms", OPT_INT, AT(think_ms), .def = "10", .min = 0, .max = 10000},
    {"idle", OPT_INT, AT(idle), .def = "0", .min = 0, .max = 10000},
    {"garbage", OPT_INT, AT(garbage), .def = "0", .min = 0, .max = 10000},
    {0},
};

/* Shared by all processes. */
struct board {
    _Atomic int64_t
        last_sent_us[STEPS_KEPT]; /* last result that a training step waits for, by step */
    _Atomic uint64_t replies, refused, broken, strangers;
    _Atomic uint64_t buckets[BUCKETS];
    _Atomic int64_t ready;
    double cpu_s[PROCESSES_MAX + 1];
};

static struct board *board;
static int64_t end_us;

static int64_t now_us(void)
{
    return (int64_t)(clock_mono_s() * 1e6);
}

/* --- one worker --- */

struct worker {
    int fd;
    char sender[UUID_BYTES];
    uint32_t request;
    uint8_t *in; /* what has arrived */
    size_t have, room;
    int64_t sent_us, due_us; /* due_us > 0: the next request waits until then */
    bool measured;           /* replies are counted from the second on */
    /* the task that it holds */
    bool task;
    int64_t job, incarnation, step, phase, lo, hi, count, floats;
};

static int dial(const struct settings *s)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s->port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
        close(fd);
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

static bool write_all(int fd, const void *data, size_t bytes)
{
    for (const char *p = data; bytes > 0;) {
        ssize_t n = send(fd, p, bytes, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        p += n;
        bytes -= (size_t)n;
    }
    return true;
}

/* Sends JSON and tensors as one message. */
static void say(struct worker *w, cJSON *json, const struct tensor *tensors, int count)
{
    static const size_t head_bytes = 12;
    struct errbuf why;
    void *body = NULL;
    size_t bytes;

    if (message_encode(json, tensors, count, NULL, malloc, &body, &bytes, &why) < 0) {
        fprintf(stderr, "swarm: %s\n", why.text);
        exit(1);
    }
    uint8_t *all = xmalloc(head_bytes + bytes);
    uint64_t length = htobe64(bytes + 4);
    uint32_t id = htobe32(0x80000000u | ++w->request);
    memcpy(all, &length, 8);
    memcpy(all + 8, &id, 4);
    memcpy(all + head_bytes, body, bytes);
    w->sent_us = now_us();
    if (!write_all(w->fd, all, head_bytes + bytes)) {
        close(w->fd);
        w->fd = -1;
        atomic_fetch_add(&board->broken, 1);
    }
    free(all);
    free(body);
    cJSON_Delete(json);
}

static cJSON *envelope(const struct worker *w, const char *type)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "type", type);
    cJSON_AddNumberToObject(json, "v", 1);
    cJSON_AddNumberToObject(json, "id", w->request + 1);
    cJSON_AddStringToObject(json, "sender", w->sender);
    return json;
}

static void say_hello(struct worker *w)
{
    cJSON *json = envelope(w, "worker.hello");

    cJSON_AddStringToObject(json, "name", "swarm");
    cJSON_AddNumberToObject(json, "threads", 1);
    cJSON_AddStringToObject(json, "class", "swarm/1");
    say(w, json, NULL, 0);
}

/* The same numbers in every result. */
static int result_tensors(const struct worker *w, struct tensor ret[RESULT_PARTS])
{
    static const float grad[FLOATS_MAX];
    static const double sums[SUM_COUNT] = {
        [SUM_WEIGHT] = 1, [SUM_LOSS] = 1, [SUM_LOSS_HAT] = 1, [SUM_SAMPLES] = 1, [SUM_CORRECT] = 1};
    static struct score scores[SAMPLES_PER_TASK_MAX];
    static struct result_room room;
    const struct result result = {.grad = grad, .sums = sums, .scores = scores};
    const struct result_shape shape =
        result_shape((enum phase)w->phase, false, (size_t)w->floats, (uint32_t)w->count, 0);
    struct errbuf why;

    for (uint32_t i = 0; i < shape.samples && !scores[i].flags; i++)
        scores[i] = (struct score){.loss = 1, .adv_loss = 1, .flags = SCORE_MEASURED};
    if (result_room(&room, shape.samples, &why) < 0) {
        fprintf(stderr, "swarm: %s\n", why.text);
        exit(1);
    }
    return result_pack(&shape, &result, &room, ret);
}

static void say_result(struct worker *w)
{
    const struct {
        const char *name;
        int64_t value;
    } key[] = {{"job", w->job},   {"incarnation", w->incarnation},
               {"step", w->step}, {"phase", w->phase},
               {"lo", w->lo},     {"hi", w->hi}};
    struct tensor tensors[RESULT_PARTS];
    cJSON *json = envelope(w, "task.result"), *have = cJSON_AddObjectToObject(json, "have");

    for (size_t i = 0; i < sizeof(key) / sizeof(key[0]); i++) {
        cJSON_AddNumberToObject(json, key[i].name, (double)key[i].value);
        if (i < 3)
            cJSON_AddNumberToObject(have, key[i].name, (double)key[i].value);
    }
    say(w, json, tensors, result_tensors(w, tensors));
    /* A step waits for the one before it; of an epoch's first one its test opens it. */
    atomic_store(&board->last_sent_us[(w->step + (w->phase == 0)) % STEPS_KEPT], w->sent_us);
}

static void say_next(struct worker *w)
{
    if (w->task)
        say_result(w);
    else
        say(w, envelope(w, "task.next"), NULL, 0);
    w->due_us = 0;
}

static void take_number(const cJSON *json, const char *name, int64_t *ret)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);

    if (cJSON_IsNumber(item))
        *ret = (int64_t)item->valuedouble;
}

/* What the server needed for this reply: see the head of the file. */
static void measure(const struct worker *w, int64_t step_before)
{
    int64_t from_us = w->sent_us;

    if (w->task && w->step != step_before && step_before >= 0) {
        int64_t last_us = atomic_load(&board->last_sent_us[w->step % STEPS_KEPT]);
        from_us = last_us > from_us ? last_us : from_us;
    }
    int64_t bucket = (now_us() - from_us) * BUCKETS_PER_MS / 1000;
    atomic_fetch_add(&board->buckets[bucket < 0 ? 0 : bucket < BUCKETS ? bucket : BUCKETS - 1], 1);
}

static void hear(struct worker *w, const uint8_t *body, size_t bytes, int64_t think_us)
{
    struct errbuf why;
    struct message m;
    int64_t step_before = w->task ? w->step : -1;

    if (message_decode(body, bytes, JSON_REPLY_BYTES_MAX, &m, &why) < 0) {
        fprintf(stderr, "swarm: %s\n", why.text);
        exit(1);
    }
    const cJSON *task = cJSON_GetObjectItemCaseSensitive(m.json, "task");
    const struct tensor *theta = tensor_find(m.tensors, m.tensor_count, "theta");
    if (cJSON_GetObjectItemCaseSensitive(m.json, "code"))
        atomic_fetch_add(&board->refused, 1);
    w->task = cJSON_IsString(task) && strcmp(task->valuestring, "none") != 0;
    if (theta)
        w->floats = (int64_t)(theta->bytes / sizeof(float));
    take_number(m.json, "job", &w->job);
    take_number(m.json, "incarnation", &w->incarnation);
    take_number(m.json, "step", &w->step);
    take_number(m.json, "phase", &w->phase);
    take_number(m.json, "lo", &w->lo);
    take_number(m.json, "hi", &w->hi);
    take_number(m.json, "count", &w->count);
    message_done(&m);
    if (w->floats > FLOATS_MAX || w->count > SAMPLES_PER_TASK_MAX) {
        fprintf(stderr, "swarm: the job is too large\n");
        exit(1);
    }
    atomic_fetch_add(&board->replies, 1);
    if (w->measured && task)
        measure(w, step_before);
    w->measured = w->task;
    w->due_us = now_us() + (think_us ? random() % (2 * think_us) : 0);
}

/* Takes what has arrived; hears every whole message. */
static void receive(struct worker *w, int64_t think_us)
{
    if (w->room - w->have < 65536) {
        w->room = 2 * w->room + 65536;
        w->in = xrealloc(w->in, w->room);
    }
    ssize_t n = recv(w->fd, w->in + w->have, w->room - w->have, MSG_DONTWAIT);
    if (n <= 0) {
        if (n < 0 && errno == EAGAIN)
            return;
        close(w->fd);
        w->fd = -1;
        atomic_fetch_add(&board->broken, 1);
        return;
    }
    w->have += (size_t)n;
    for (;;) {
        uint64_t length;
        if (w->have < 8)
            return;
        memcpy(&length, w->in, 8);
        length = be64toh(length);
        if (w->have < 8 + length)
            return;
        hear(w, w->in + 12, length - 4, think_us);
        w->have -= 8 + length;
        memmove(w->in, w->in + 8 + length, w->have);
    }
}

static void start(struct worker *w, const struct settings *s, int poll)
{
    char greeting[8];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = w};

    w->fd = dial(s);
    if (w->fd < 0 || !write_all(w->fd, GREETING, 8) || recv(w->fd, greeting, 8, MSG_WAITALL) != 8) {
        perror("swarm: connect");
        exit(1);
    }
    text_uuid(w->sender);
    say_hello(w);
    epoll_ctl(poll, EPOLL_CTL_ADD, w->fd, &event);
}

static double cpu_s(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void run_workers(const struct settings *s, int process, int count)
{
    struct worker *workers = xcalloc((size_t)count, sizeof(*workers));
    struct epoll_event events[256];
    int poll = epoll_create1(EPOLL_CLOEXEC);

    srandom((unsigned)process + 1);
    for (int i = 0; i < count; i++)
        start(&workers[i], s, poll);
    while (now_us() < end_us) {
        int n = epoll_wait(poll, events, 256, 1);
        for (int i = 0; i < n; i++)
            receive(events[i].data.ptr, s->think_ms * 1000);
        int64_t now = now_us();
        for (int i = 0; i < count; i++)
            if (workers[i].fd >= 0 && workers[i].due_us && workers[i].due_us <= now)
                say_next(&workers[i]);
    }
    board->cpu_s[process] = cpu_s();
}

/* --- strangers --- */

static void bother(int fd, int kind)
{
    uint8_t noise[256];
    uint64_t length = kind % 3 == 0   ? htobe64(sizeof(noise))
                      : kind % 3 == 1 ? htobe64(8u << 20)
                                      : htobe64(UINT64_MAX / 2);

    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (uint8_t)random();
    if (kind % 2) {
        send(fd, GREETING, 8, MSG_NOSIGNAL | MSG_DONTWAIT);
        send(fd, &length, 8, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    send(fd, noise, sizeof(noise), MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* The first `idle` connections say a greeting at most, the others garbage. */
static void run_strangers(const struct settings *s)
{
    const int count = (int)(s->idle + s->garbage);
    int *fds = xcalloc((size_t)count, sizeof(*fds));
    char byte[4096];

    for (int i = 0; i < count; i++)
        fds[i] = -1;
    while (now_us() < end_us) {
        for (int i = 0; i < count; i++) {
            if (fds[i] < 0) {
                fds[i] = dial(s);
                atomic_fetch_add(&board->strangers, 1);
                if (fds[i] >= 0 && i < s->idle && i % 2)
                    send(fds[i], GREETING, 8, MSG_NOSIGNAL);
                else if (fds[i] >= 0 && i >= s->idle)
                    bother(fds[i], i);
                continue;
            }
            ssize_t n = recv(fds[i], byte, sizeof(byte), MSG_DONTWAIT);
            if (n == 0 || (n < 0 && errno != EAGAIN)) {
                close(fds[i]);
                fds[i] = -1;
            }
        }
        usleep(100000); /* between two looks */
    }
    board->cpu_s[PROCESSES_MAX] = cpu_s();
}

/* --- all of them --- */

static double percentile(uint64_t total, double share)
{
    uint64_t sum = 0;

    for (int i = 0; i < BUCKETS; i++)
        if ((sum += board->buckets[i]) >= (uint64_t)(share * (double)total))
            return (double)(i + 1) / BUCKETS_PER_MS;
    return (double)BUCKETS / BUCKETS_PER_MS;
}

static void print_all(const struct settings *s)
{
    uint64_t measured = 0;
    double cpu = 0;

    for (int i = 0; i < BUCKETS; i++)
        measured += board->buckets[i];
    for (int i = 0; i < PROCESSES_MAX; i++)
        cpu += board->cpu_s[i];
    printf("{\"workers\": %lld, \"seconds\": %lld, \"replies\": %llu, \"per_s\": %.0f, "
           "\"p50_ms\": %.1f, \"p99_ms\": %.1f, \"max_ms\": %.1f, \"refused\": %llu, \"broken\": "
           "%llu, \"client_cpu_s\": %.2f, \"strangers\": %llu, \"strangers_cpu_s\": %.2f}\n",
           (long long)s->workers, (long long)s->seconds, (unsigned long long)board->replies,
           (double)board->replies / (double)s->seconds, percentile(measured, 0.5),
           percentile(measured, 0.99), percentile(measured, 1), (unsigned long long)board->refused,
           (unsigned long long)board->broken, cpu, (unsigned long long)board->strangers,
           board->cpu_s[PROCESSES_MAX]);
}

int main(int argc, char **argv)
{
    struct settings s = {.port = 0};
    struct errbuf why = {""};

    if (options_defaults(table, &s, &why) < 0 ||
        options_args(table, argc, argv, &s, NULL, NULL, &why) < 0 || s.port == 0) {
        fprintf(stderr, "swarm: %s\n", why.text[0] ? why.text : "--port is missing");
        return 2;
    }
    board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        return 1;
    end_us = now_us() + s.seconds * 1000000;
    for (int i = 0; i < s.processes; i++)
        if (fork() == 0) {
            run_workers(&s, i, (int)(s.workers / s.processes));
            _exit(0);
        }
    if (s.idle + s.garbage > 0 && fork() == 0) {
        run_strangers(&s);
        _exit(0);
    }
    int status, bad = 0;
    while (wait(&status) > 0)
        bad |= status;
    print_all(&s);
    return bad != 0;
}
