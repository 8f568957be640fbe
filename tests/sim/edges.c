/* Clock, failpoints, the loop's timer and signals, and a dashboard that is not there. */
#include "tests/sim/edges.h"

#include <errno.h>
#include <uv.h>

#include "common/clock.h"
#include "common/halves.h"
#include "server/http/http.h"
#include "server/net/loop_busy.h"
#include "server/store/failpoint.h"
#include "tests/sim/journal.h"
#include "tests/sim/life.h"
#include "tests/sim/net.h"
#include "tests/sim/world.h"

#define UNIX_START_MS INT64_C(1790000000000)
#define MONO_START_MS 5000
#define SIGNALS_MAX 4

static struct {
    int64_t clock_jump_ms;
    uint64_t crash_at;
    struct {
        int number;
        uv_signal_t *handle;
        uv_signal_cb call;
    } signals[SIGNALS_MAX];
    int signal_count;
} edges;

/* --- clock --- */

int64_t clock_mono_ms(void)
{
    return MONO_START_MS + world_now_us() / MS;
}

double clock_mono_s(void)
{
    return MONO_START_MS / 1e3 + (double)world_now_us() / 1e6;
}

/* Nothing that the simulation does takes time. */
double clock_thread_s(void)
{
    return 0;
}

int64_t clock_unix_ms(void)
{
    return UNIX_START_MS + edges.clock_jump_ms + world_now_us() / MS;
}

void edges_jump_clock(int64_t ms)
{
    note("clock_jump ms=%lld", (long long)ms);
    edges.clock_jump_ms += ms;
}

/* --- failpoints --- */

void failpoint_init(struct failpoint *f)
{
    *f = (struct failpoint){.left = 1};
}

void edges_crash_at_failpoint(uint64_t n)
{
    edges.crash_at = n;
}

void failpoint_hit(struct failpoint *f, const char *name)
{
    (void)f;
    if (edges.crash_at > 0 && --edges.crash_at == 0)
        life_crash(name);
}

/* --- the loop --- */

int uv_loop_init(uv_loop_t *loop)
{
    (void)loop;
    edges.signal_count = 0;
    return 0;
}

int uv_loop_close(uv_loop_t *loop)
{
    (void)loop;
    return 0;
}

/* The events of the loop are the world's. */
int uv_run(uv_loop_t *loop, uv_run_mode mode)
{
    (void)loop;
    (void)mode;
    return 0;
}

int loop_busy_open(struct loop_busy *b, uv_loop_t *loop, struct metrics *m)
{
    (void)b;
    (void)loop;
    (void)m;
    return 0;
}

void uv_stop(uv_loop_t *loop)
{
    (void)loop;
}

void uv_walk(uv_loop_t *loop, uv_walk_cb call, void *arg)
{
    (void)loop;
    (void)call;
    (void)arg;
}

int uv_is_closing(const uv_handle_t *handle)
{
    (void)handle;
    return 1;
}

void uv_close(uv_handle_t *handle, uv_close_cb call)
{
    if (call)
        call(handle);
}

int uv_timer_init(uv_loop_t *loop, uv_timer_t *timer)
{
    (void)loop;
    timer->timer_cb = NULL;
    return 0;
}

static void call_timer(void *arg)
{
    uv_timer_t *timer = arg;

    timer->timer_cb(timer);
}

static void on_timer(void *arg, int64_t life)
{
    uv_timer_t *timer = arg;

    if (life != life_number() || !life_up())
        return;
    world_after((int64_t)timer->repeat * MS, on_timer, timer, life);
    life_enter(call_timer, timer);
}

int uv_timer_start(uv_timer_t *timer, uv_timer_cb call, uint64_t timeout, uint64_t repeat)
{
    timer->timer_cb = call;
    timer->repeat = repeat;
    world_after((int64_t)timeout * MS, on_timer, timer, life_number());
    return 0;
}

int uv_timer_stop(uv_timer_t *timer)
{
    (void)timer;
    return 0;
}

int uv_signal_init(uv_loop_t *loop, uv_signal_t *handle)
{
    (void)loop;
    (void)handle;
    return 0;
}

int uv_signal_start(uv_signal_t *handle, uv_signal_cb call, int number)
{
    if (edges.signal_count == SIGNALS_MAX)
        return -ENOSPC;
    edges.signals[edges.signal_count].handle = handle;
    edges.signals[edges.signal_count].call = call;
    edges.signals[edges.signal_count++].number = number;
    return 0;
}

void edges_signal(int number)
{
    for (int i = 0; i < edges.signal_count; i++)
        if (edges.signals[i].number == number)
            edges.signals[i].call(edges.signals[i].handle, number);
}

void edges_crash(void)
{
    edges.signal_count = 0;
    net_server_gone();
}

/* --- no thread for long loops --- */

struct halves *__wrap_halves_create(void);
struct halves *__wrap_halves_create(void)
{
    return NULL;
}

/* --- no dashboard --- */

int http_check(const char *address, struct errbuf *why)
{
    (void)address;
    (void)why;
    return 0;
}

int http_open(struct net *net, const struct http_host *host, const char *address, struct http **ret,
              struct errbuf *why)
{
    (void)net;
    (void)host;
    (void)address;
    (void)ret;
    return err_set(why, -ENOSYS, "there is no dashboard in a simulation");
}

int http_check_figures(const char *address, struct errbuf *why)
{
    return http_check(address, why);
}

int http_open_figures(struct net *net, const struct http_host *host, const char *address,
                      struct http **ret, struct errbuf *why)
{
    return http_open(net, host, address, ret, why);
}

void http_close(struct http *h)
{
    (void)h;
}

void http_tick(struct http *h, int64_t now_ms)
{
    (void)h;
    (void)now_ms;
}

const char *http_url(const struct http *h)
{
    (void)h;
    return "";
}

void http_token(const struct http *h, enum role role, const char *key, int64_t key_end_ms,
                char out[HTTP_PASS_HEX])
{
    (void)h;
    (void)role;
    (void)key;
    (void)key_end_ms;
    out[0] = '\0';
}
