#include "server/server.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/halves.h"
#include "common/log.h"
#include "common/own.h"
#include "proto/address.h"
#include "server/handle/dispatch.h"
#include "server/http/http.h"
#include "server/jobs/figures.h"
#include "server/net/gate.h"
#include "server/net/lane.h"
#include "server/net/local.h"
#include "server/query/query.h"
#include "server/store/state_dir.h"

#define TRIM_MS 60000
#define TICK_MS 100
#define PATIENCE_MS 1000 /* at the end, for what is at work: then it gives up */
#define STATE_DEPTH 2    /* jobs/7 and backups/TIME */

/* Cuts the text of --listen into addresses. */
static int split_listen(const struct server_options *options, char *text,
                        const char *urls[LISTEN_URLS_MAX], int *ret_count, struct errbuf *why)
{
    const enum address_guard guard = options->key                 ? ADDRESS_SEALED
                                     : options->insecure_loopback ? ADDRESS_LOOPBACK
                                                                  : ADDRESS_NO_TCP;
    int count = 0, rc = 0;

    for (char *url; rc == 0 && (url = strsep(&text, ",")) != NULL;) {
        if (count == LISTEN_URLS_MAX)
            rc = err_set(why, -EINVAL, "--listen names more than %d addresses", LISTEN_URLS_MAX);
        else if ((rc = address_check_bind(url, guard, why)) < 0)
            err_prefix(why, rc, "--listen");
        else
            urls[count++] = url;
    }
    *ret_count = count;
    return rc;
}

int server_check(const struct server_options *options, struct errbuf *why)
{
    const char *urls[LISTEN_URLS_MAX];
    char *text = options->listen ? xstrdup(options->listen) : NULL;
    struct locals *locals = NULL;
    int count, rc = split_listen(options, text, urls, &count, why);

    free(text);
    if (rc == 0 && options->key && options->insecure_loopback)
        rc = err_set(why, -EINVAL,
                     "--insecure-loopback is for servers without a key; leave it out, or --key");
    if (rc == 0)
        rc = locals_open(options->groups, &locals, why);
    locals_close(locals);
    if (rc == 0 && options->http)
        rc = http_check(options->http, why);
    if (rc == 0 && options->metrics)
        rc = http_check_figures(options->metrics, why);
    if (rc == 0 && strlen(options->state) >= STATE_DIR_BYTES)
        rc = err_set(why, -EINVAL, "--state is longer than %d bytes", STATE_DIR_BYTES - 1);
    return rc;
}

static int listen_socket(struct server *s, struct socket *socket, const char *const *urls,
                         int count, struct errbuf *why)
{
    if (count == 0)
        return 0;
    socket->net = &s->net;
    int rc = transport_open(&s->net.loop, urls, count, s->locals, socket_message, socket,
                            &socket->transport, why);
    if (rc == 0)
        transport_on_gone(socket->transport, socket_gone);
    if (rc == 0 && socket->sealed_only)
        transport_of_strangers(socket->transport, socket_newcomer);
    for (int i = 0; rc == 0 && i < count; i++)
        if (socket->sealed_only || address_is_ipc(urls[i]))
            log_info("server.listen", "url=%s%s", urls[i], socket->sealed_only ? " sealed" : "");
        else
            log_warn("server.listen",
                     "url=%s insecure=\"every user of this machine is an administrator here\"",
                     urls[i]);
    return rc;
}

/* The addresses of --listen and the ipc socket in the state folder. */
static int listen_all(struct server *s, const struct server_options *options, struct errbuf *why)
{
    const char *urls[LISTEN_URLS_MAX], *plain[LISTEN_URLS_MAX + 1], *sealed[LISTEN_URLS_MAX];
    char *text = options->listen ? xstrdup(options->listen) : NULL,
         *ipc = xasprintf("ipc://%s/" ADDRESS_SOCKET, s->service.dir);
    int count, plain_count = 0, sealed_count = 0;
    int rc = split_listen(options, text, urls, &count, why);

    for (int i = 0; rc == 0 && i < count; i++)
        if (options->key && !address_is_ipc(urls[i]))
            sealed[sealed_count++] = urls[i];
        else
            plain[plain_count++] = urls[i];
    if (rc == 0 && address_check(ipc, why) == 0)
        plain[plain_count++] = ipc;
    else if (rc == 0 && count == 0)
        rc = err_prefix(why, -ENAMETOOLONG, "--state");
    else if (rc == 0)
        log_warn("server.listen", "url=%s error=\"%s\"", ipc, why->text);
    s->sealed.sealed_only = true;
    s->plain.plain = options->insecure_loopback ? ROLE_ADMIN : ROLE_NONE;
    if (rc == 0)
        rc = listen_socket(s, &s->plain, plain, plain_count, why);
    if (rc == 0)
        rc = listen_socket(s, &s->sealed, sealed, sealed_count, why);
    free(text);
    free(ipc);
    return rc;
}

/* To a person at a terminal only: a log is kept, and read by others. */
static void say_link(const struct http *h)
{
    char token[HTTP_PASS_HEX];

    if (isatty(STDERR_FILENO) != 1)
        return;
    http_token(h, ROLE_SUBMIT, "", 0, token);
    log_info("http.link", "open=%s/#token=%s", http_url(h), token);
}

/* The figures' address, then the dashboard. If the default address is taken, the server only warns;
 * if a requested one is taken, it does not start. Not everybody on this machine may read a server
 * with keys: there the dashboard must be requested. */
static int listen_http(struct server *s, const struct server_options *options, struct errbuf *why)
{
    const char *address = options->http;

    const struct http_host host = {
        .dir = s->service.dir, .decoder = options->decoder, .figures = figures_take};
    int rc = options->metrics
                 ? http_open_figures(&s->net, &host, options->metrics, &s->figures, why)
                 : 0;

    if (rc < 0)
        return err_prefix(why, rc, "--metrics");
    if (address ? strcmp(address, HTTP_NONE) == 0 : options->key != NULL)
        return 0;
    rc = http_open(&s->net, &host, address ? address : HTTP_DEFAULT, &s->http, why);
    if (rc == 0) {
        s->service.dashboard = s->http;
        say_link(s->http);
    }
    if (rc != -EADDRINUSE || address)
        return rc;
    log_warn("http.listen",
             "error=\"%s; there is no dashboard: choose another address with --http\"", why->text);
    return 0;
}

/* Frees the pages of messages (main.c keeps them) when no job runs any more, and strangers' pages
 * while none runs. */
static void give_back(struct server *s, int64_t now_ms)
{
    bool running = jobs_running(s->service.jobs, 0) != NULL;

    if (!running && (s->ran || now_ms >= s->trim_ms)) {
        alloc_give_back();
        s->trim_ms = now_ms + TRIM_MS;
    }
    s->ran = running;
}

static void on_tick(uv_timer_t *timer)
{
    struct server *s = timer->data;
    int64_t now_ms = clock_mono_ms();

    notify_alive(&s->notify, now_ms);
    give_back(s, now_ms);

    metrics_tick(&s->net.metrics, now_ms, TICK_MS);
    http_tick(s->http, now_ms);
    http_tick(s->figures, now_ms);
    jobs_tick(s->service.jobs, now_ms);
    studies_tick(s->service.studies, now_ms);
    workers_tick(s->service.workers, now_ms);
    predictions_tick(s->service.predictions, now_ms);
    gate_tick(s->net.gate, now_ms);
    upkeep_tick(s->service.upkeep, now_ms);
    audit_tick(s->service.audit, now_ms);
    keys_tick(s->service.keys, now_ms);
    datasets_tick(&s->service, now_ms);
    disk_watch_tick(&s->service.disk, s->service.dir, now_ms);
}

static void say_ready(const struct server *s)
{
    char *status = xasprintf("serves what is in %s", s->service.dir);

    notify_ready(&s->notify, status);
    free(status);
}

/* Settles what was promised: held replies say "no task", the run is kept in a checkpoint. */
static void on_stop(uv_signal_t *signal, int number)
{
    struct server *s = signal->data;

    if (s->net.stopping)
        return;
    s->net.stopping = true;
    notify_stopping(&s->notify);
    log_info("server.stop", "signal=%d", number);
    workers_dismiss(s->service.workers);
    predictions_dismiss(s->service.predictions);
    jobs_stop(s->service.jobs);
    uv_stop(&s->net.loop);
}

static void on_reload(uv_signal_t *signal, int number)
{
    struct server *s = signal->data;
    struct errbuf why;

    (void)number;
    notify_reloading(&s->notify);
    if (gate_reload(s->net.gate, &why) < 0)
        log_error("gate.keys", "error=\"%s\" text=\"the keys of before stay\"", why.text);
    log_info("server.reload", "text=\"options are read at a start only\"");
    say_ready(s);
}

static int start_handles(struct server *s)
{
    int rc = uv_timer_init(&s->net.loop, &s->tick);

    if (rc == 0)
        rc = loop_busy_open(&s->busy, &s->net.loop, &s->net.metrics);
    if (rc == 0)
        rc = uv_signal_init(&s->net.loop, &s->sigint);
    if (rc == 0)
        rc = uv_signal_init(&s->net.loop, &s->sigterm);
    if (rc == 0)
        rc = uv_signal_init(&s->net.loop, &s->sighup);
    s->tick.data = s->sigint.data = s->sigterm.data = s->sighup.data = s;
    if (rc == 0)
        rc = uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
    if (rc == 0)
        rc = uv_signal_start(&s->sigint, on_stop, SIGINT);
    if (rc == 0)
        rc = uv_signal_start(&s->sighup, on_reload, SIGHUP);
    return rc < 0 ? rc : uv_signal_start(&s->sigterm, on_stop, SIGTERM);
}

/* The folder is made closed, or must be: an open one is refused, not closed, since it may have been
 * opened for a purpose, or be somebody's home, named by mistake. In it, files of an earlier version
 * are closed. */
static int close_state(const char *dir, struct errbuf *why)
{
    uint64_t count = 0;
    int rc = own_closed(dir, why);

    if (rc == 0)
        rc = own_close(dir, STATE_DEPTH, &count, why);
    if (rc == 0 && count > 0)
        log_info("server.state",
                 "closed=%llu text=\"others could have read so many files in the "
                 "state folder\"",
                 (unsigned long long)count);
    return rc < 0 ? err_prefix(why, rc, "--state") : 0;
}

/* Makes the state folder and its absolute name: people are told where the databases are. */
static int make_state(struct server *s, const char *dir, struct errbuf *why)
{
    int rc = file_mkdirs(dir, 0700, why);

    if (rc < 0)
        return err_prefix(why, rc, "--state");
    char *path = realpath(dir, NULL);
    if (!path)
        rc = err_set(why, -errno, "cannot resolve --state %s: %s", dir, err_text(-errno));
    else if (strlen(path) >= STATE_DIR_BYTES)
        rc = err_set(why, -EINVAL, "--state is longer than %d bytes", STATE_DIR_BYTES - 1);
    else
        memcpy(s->service.dir, path, strlen(path) + 1);
    free(path);
    return rc < 0 ? rc : close_state(s->service.dir, why);
}

static void let_pass(void *arg)
{
    lane_let_pass(arg);
}

int server_open(struct server *s, const struct server_options *options, struct errbuf *why)
{
    struct metrics *m = &s->net.metrics;
    int rc;

    *s = (struct server){.net = {.service = &s->service,
                                 .start_ms = clock_mono_ms(),
                                 .dispatch = dispatch,
                                 .handle = dispatch_handle},
                         .service = {.net = &s->net,
                                     .memory_bytes = options->memory_bytes,
                                     .max_running = options->max_running,
                                     .checkpoint_s = options->checkpoint_s,
                                     .combine_floats = options->combine_floats
                                                           ? options->combine_floats
                                                           : INLINE_FLOATS_MAX}};
    if (notify_open(&s->notify, why) < 0)
        log_warn("server.notify", "error=\"%s\"", why->text);
    failpoint_init(&s->service.failpoint);
    db_ends_open(&s->service.ends, &s->net.giving_up);
    waits_open(&s->net);
    rc = uv_loop_init(&s->net.loop);
    if (rc < 0)
        return err_set(why, rc, "cannot start the event loop: %s", err_text(rc));
    rc = locals_open(options->groups, &s->locals, why);
    if (rc == 0 && (rc = gate_open(options->key, s->locals, &s->net.gate, why)) < 0)
        err_prefix(why, rc, "--key");
    if (rc == 0)
        rc = make_state(s, options->state, why);
    if (rc == 0)
        rc = store_open(s->service.dir, &s->service.store, why);
    if (rc == 0)
        store_end_with(s->service.store, &s->service.ends);
    if (rc == 0)
        rc = keys_open(&s->service, &s->service.keys, why);
    if (rc == 0)
        rc = query_open(s->service.dir, &s->service.query, why);
    if (rc == 0)
        rc = query_open(s->service.dir, &s->service.scans, why);
    if (rc == 0)
        rc = query_open(s->service.dir, &s->service.replays, why);
    if (rc == 0)
        rc = query_open(s->service.dir, &s->service.reader, why);
    if (rc == 0)
        rc = datasets_open(s->service.dir, s->service.store, &s->service.datasets, why);
    if (rc == 0)
        incoming_open(s->service.dir, options->uploads_bytes, clock_mono_ms(),
                      &s->service.incoming);
    disk_watch_tick(&s->service.disk, s->service.dir, clock_mono_ms());
    predictions_open(&s->service, &s->service.predictions);
    if (rc == 0)
        rc = workers_open(&s->service, &s->service.workers, why);
    if (rc == 0)
        rc = jobs_open(&s->service, &s->service.jobs, why);
    if (rc == 0)
        rc = studies_open(&s->service, &s->service.studies, why);
    if (rc == 0 && ((rc = lane_open(&s->net.loop, "store", &m->commit, &s->net.store_lane)) < 0 ||
                    (rc = lane_open(&s->net.loop, "query", &m->query, &s->net.query_lane)) < 0 ||
                    (rc = lane_open(&s->net.loop, "scan", &m->query, &s->net.scan_lane)) < 0 ||
                    (rc = lane_open(&s->net.loop, "replay", &m->query, &s->net.replay_lane)) < 0 ||
                    (rc = lane_open(&s->net.loop, "decode", NULL, &s->net.decode_lane)) < 0 ||
                    (rc = lane_open(&s->net.loop, "read", NULL, &s->net.read_lane)) < 0 ||
                    (rc = lane_open(&s->net.loop, "upload", NULL, &s->net.upload_lane)) < 0 ||
                    (rc = lane_open(&s->net.loop, "data", NULL, &s->net.data_lane)) < 0 ||
                    (rc = lane_open(&s->net.loop, "brief", NULL, &s->net.brief_lane)) < 0 ||
                    (rc = lane_open(&s->net.loop, "long", NULL, &s->net.long_lane)) < 0 ||
                    (rc = start_handles(s)) < 0))
        err_set(why, rc, "cannot start: %s", err_text(rc));
    if (rc == 0)
        store_pass_with(s->service.store, let_pass, s->net.store_lane);
    s->net.halves = halves_create();
    s->service.audit = audit_open(&s->service);
    s->net.record = audit_answer;
    if (rc == 0)
        rc = questions_open(&s->service, options->cell_program, &s->service.questions, why);
    if (rc == 0)
        rc = upkeep_open(&s->service, &options->retention, &s->service.upkeep, why);
    if (rc == 0)
        rc = listen_all(s, options, why);
    if (rc == 0)
        rc = listen_http(s, options, why);
    if (rc < 0) {
        server_close(s);
        return rc;
    }
    studies_begin(s->service.studies);
    jobs_pump(s->service.jobs);
    log_info("server.start", "version=%s state=%s memory_bytes=%lld", STEPPE_VERSION,
             s->service.dir, (long long)s->service.memory_bytes);
    say_ready(s);
    return 0;
}

void server_run(struct server *s)
{
    uv_run(&s->net.loop, UV_RUN_DEFAULT);
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* What was acknowledged is on the disk; the rest is told as failed, or computed again. */
static void give_up(void *arg)
{
    struct server *s = arg;

    s->net.giving_up = true;
    db_ends_interrupt(&s->service.ends);
}

static void close_lanes(struct server *s)
{
    struct lane *const lanes[] = {s->net.query_lane,  s->net.scan_lane, s->net.replay_lane,
                                  s->net.decode_lane, s->net.read_lane, s->net.upload_lane,
                                  s->net.data_lane};
    const int64_t by_ms = clock_mono_ms() + PATIENCE_MS;

    for (size_t i = 0; i < sizeof(lanes) / sizeof(lanes[0]); i++)
        lane_close_by(lanes[i], by_ms, give_up, s);
    /* What jobs bring back is for the store. */
    lane_close_by(s->net.brief_lane, by_ms, give_up, s);
    lane_close_by(s->net.long_lane, by_ms, give_up, s);
    s->net.brief_lane = s->net.long_lane = NULL;
    lane_close_by(s->net.store_lane, by_ms, give_up, s);
    if (s->service.store)
        store_pass_with(s->service.store, NULL, NULL);
}

void server_close(struct server *s)
{
    s->net.stopping = true;
    query_stop(s->service.query);
    query_stop(s->service.scans);
    query_stop(s->service.replays);
    questions_stop(s->service.questions);
    upkeep_stop(s->service.upkeep);
    close_lanes(s);
    audit_end(s->service.audit);
    upkeep_close(s->service.upkeep);
    questions_close(s->service.questions);
    studies_close(s->service.studies);
    workers_close(s->service.workers);
    predictions_close(s->service.predictions);
    s->service.predictions = NULL;
    http_close(s->http);
    http_close(s->figures);
    transport_close(s->plain.transport);
    transport_close(s->sealed.transport);
    s->service.workers = NULL;
    if (s->tick.data)
        uv_close((uv_handle_t *)&s->tick, NULL);
    if (s->sigint.data) {
        uv_close((uv_handle_t *)&s->sigint, NULL);
        uv_close((uv_handle_t *)&s->sigterm, NULL);
        uv_close((uv_handle_t *)&s->sighup, NULL);
    }
    uv_run(&s->net.loop, UV_RUN_DEFAULT);
    uv_walk(&s->net.loop, close_handle, NULL);
    uv_run(&s->net.loop, UV_RUN_DEFAULT);
    uv_loop_close(&s->net.loop);
    jobs_close(s->service.jobs);
    halves_free(s->net.halves);
    result_room_done(&s->service.results);
    incoming_close(s->service.incoming);
    datasets_close(s->service.datasets);
    audit_close(s->service.audit);
    keys_close(s->service.keys);
    query_close(s->service.query);
    query_close(s->service.scans);
    query_close(s->service.replays);
    query_close(s->service.reader);
    store_close(s->service.store);
    db_ends_close(&s->service.ends);
    gate_close(s->net.gate);
    locals_close(s->locals);
    waits_close(&s->net);
    notify_close(&s->notify);
}
