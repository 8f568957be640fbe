/* steppe-worker: computes for one server. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/completion.h"
#include "common/field.h"
#include "common/file.h"
#include "common/file_limit.h"
#include "common/log.h"
#include "common/machine.h"
#include "common/manual.h"
#include "common/notify.h"
#include "common/options.h"
#include "common/output.h"
#include "common/process.h"
#include "common/text.h"
#include "proto/address.h"
#include "worker/cache.h"
#include "worker/duty.h"
#include "worker/group.h"
#include "worker/link.h"
#include "worker/nn/gemm.h"
#include "worker/nn/kernels.h"
#include "worker/numerics.h"
#include "worker/pin.h"
#include "worker/room.h"
#include "worker/stop.h"

#define KEPT_BYTES (64 << 20) /* pieces on their way in and out */
#define DRAIN_S 10            /* to finish, and again to give back; a service gets 25 s in all */

struct worker_options {
    struct duty_options duty;
    const char *config, *class;
    int log_level;
    bool help, version, print_class, print_config;
};

#define AT(field) offsetof(struct worker_options, field)

static const struct option table[] = {
    {"connect", OPT_STR, AT(duty.server), .arg = "URL",
     .help = "address of the server (default: of your own server on this machine, " ADDRESS_SOCKET
             " in $XDG_STATE_HOME/steppe or ~/.local/state/steppe)"},
    {"key", OPT_STR, AT(duty.key), .arg = "FILE",
     .help = "seal messages with the key in this file (steppe key issue --role worker)"},
    {"peer-listen", OPT_STR, AT(duty.listen), .arg = "URL",
     .help = "with a key, where other workers reach this one, to combine gradients before one of "
             "them reports: tcp://HOST:PORT, or none (default: a free port of the interface that "
             "leads to the server)"},
    {"threads", OPT_INT, AT(duty.threads), .arg = "T", .min = 1, .max = THREADS_MAX,
     .help = "compute threads (default: one for each processor that it may use)"},
    {"name", OPT_STR, AT(duty.name), .arg = "NAME",
     .help = "name in `steppe workers` (default: host-pid)"},
    {"cache", OPT_STR, AT(duty.cache), .arg = "DIR",
     .help = "folder for datasets, shared by the workers of a host (default $XDG_CACHE_HOME/steppe "
             "or ~/.cache/steppe)"},
    {"class", OPT_STR, AT(class), .arg = "CLASS",
     .help = "compute in this numerics class only, written as `steppe show` prints it (default: "
             "the fastest here, or one that a job waits for)"},
    {"print-class", OPT_FLAG, AT(print_class), .typed = true,
     .help = "print the numerics class and exit"},
    {"config", OPT_STR, AT(config), .arg = "FILE", .typed = true,
     .help = "read options from a file of \"name = value\" lines"},
    {"print-config", OPT_FLAG, AT(print_config), .typed = true,
     .help = "print such a file, with the options that are given and the defaults of the others, "
             "and exit"},
    {"profile", OPT_FLAG, AT(duty.profile),
     .help = "when a job or the worker ends, print the time that each layer took in each pass"},
    {"log-level", OPT_ENUM, AT(log_level), .def = "info", .names = log_level_names, .arg = "LEVEL",
     .help = "log events of this level and above"},
    {"help", OPT_FLAG, AT(help), .typed = true, .help = "show this help"},
    {"version", OPT_FLAG, AT(version), .typed = true, .help = "show the version"},
    {0},
};

static _Atomic sig_atomic_t stop;

/* On SIGTERM, SIGINT or SIGHUP it finishes its task. An alarm makes it give the task back; a second
 * alarm ends it anyway. A second SIGTERM acts like the alarm. */
static void on_signal(int number)
{
    if (stop == STOP_NOW && number == SIGALRM)
        _exit(0);
    stop = stop == STOP_NOT ? STOP_SOON : STOP_NOW;
    alarm(DRAIN_S);
}

/* Sets threads where no option did: ranks of a group that may use the same processors share them.
 * Returns what the log says about threads and memory; malloc. */
static char *set_threads(struct duty_options *options)
{
    char processors[MACHINE_TEXT_BYTES], memory[MACHINE_TEXT_BYTES];
    struct machine machine;
    const bool given = options->threads != 0;

    machine_here(&machine);
    const int64_t may = machine_processors(&machine);
    if (!given) {
        const int64_t share = may / group_neighbours(options->group);
        options->threads = share < 1 ? 1 : share > THREADS_MAX ? THREADS_MAX : share;
    }
    machine_say_processors(&machine, processors);
    return xasprintf("threads=\"%lld (%s%s%s)\" memory=\"%s\"", (long long)options->threads,
                     given ? "--threads; " : "", processors,
                     options->threads > may ? "; they take turns" : "",
                     machine_say_memory(&machine, memory));
}

static char *default_name(void)
{
    char host[NAME_MAX_BYTES - 12] = "";

    if (gethostname(host, sizeof(host) - 1) < 0 || !host[0])
        strcpy(host, "worker");
    return xasprintf("%s-%d", host, (int)getpid());
}

/* The handler is reset, so the fault happens again and ends the process. */
static void on_bus_error(int number)
{
    static const char text[] = "steppe-worker: a mapped file was cut short or cannot be read; the "
                               "worker ends, and checks the file when it is started again\n";
    ssize_t n = write(STDERR_FILENO, text, sizeof(text) - 1);

    (void)number;
    (void)n;
}

static void set_signals(void)
{
    const struct sigaction action = {.sa_handler = on_signal};
    const struct sigaction bus = {.sa_handler = on_bus_error, .sa_flags = (int)SA_RESETHAND};
    struct sigaction before;

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGBUS, &bus, NULL);
    /* The terminal was closed. nohup has us ignore that. */
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a full cache gets a sentence */
}

static int refuse_homeless(struct errbuf *why)
{
    return err_set(why, 2,
                   "HOME is not set, so the folder of the datasets and the server's socket have no "
                   "default; name them with --cache DIR and --connect URL");
}

static void print_help(void)
{
    puts("usage: steppe-worker [options]\n\n"
         "Computes SAM gradients and adversarial gaps for a steppe-server. Needs nothing but its "
         "address.\n");
    options_help(table, stdout);
}

static int print_class(struct errbuf *why)
{
    const struct kernels *kernels;
    char class[NUMERICS_CLASS_BYTES];

    if (kernels_choose(getenv("STEPPE_KERNELS"), &kernels, why) < 0)
        return err_prefix(why, -EINVAL, "STEPPE_KERNELS");
    gemm_init();
    numerics_class(kernels, class);
    puts(class);
    return 0;
}

/* It starts itself anew for another numerics class, unless somebody fixed the one that it has. The
 * processes of a group read each other's memory. */
static void enclose(const struct group *g)
{
    if (!group_alone(g)) {
        process_forgo_rights();
        umask(077);
        return;
    }
    const char *const programs[] = {pin_free() ? process_self : NULL, NULL};
    int rc = process_enclose(programs);

    if (rc < 0)
        log_warn("worker.filter", "error=\"no filter of system calls: %s\"", err_text(rc));
}

/* What would fail every job is reported now, not when the first one comes. */
static int check_host(const char *cache, struct errbuf *why)
{
    int rc = file_limit_raise(WORKER_FILES_MIN, why);

    if (rc < 0)
        return rc;
    rc = cache_check(cache, why);
    return rc < 0 ? err_prefix(why, rc, "--cache") : 0;
}

/* Works for the server, in this class or, where it may, one that the server asks for. */
static int serve(struct worker_options *options, char class[NUMERICS_CLASS_BYTES], char **argv,
                 struct errbuf *why)
{
    struct duty_options *duty = &options->duty;
    struct notify notify;
    int rc;

    if (notify_open(&notify, why) < 0)
        log_warn("worker.notify", "error=\"%s\"", why->text);
    notify_ready(&notify, "works for the server, or waits for it");
    duty->notify = &notify;
    duty->may_change = !options->class && pin_free() && group_alone(duty->group);
    while ((rc = duty_run(duty, &stop, class, why)) == -ERESTART) {
        pin_class(class, argv, why); /* which does not come back unless it fails */
        log_warn("worker.class", "error=\"%s\"", why->text);
        duty->may_change = false;
    }
    notify_close(&notify);
    return rc;
}

/* Gets ready and works, alone, as the head of a group, or as a member of it. The class comes first:
 * a process that has joined a group cannot start itself anew. */
static int work(struct worker_options *options, char **argv, struct errbuf *why)
{
    struct duty_options *duty = &options->duty;
    char class[NUMERICS_CLASS_BYTES], *machine;
    int rc;

    gemm_init();
    numerics_class(duty->kernels, class);
    if (options->class && !pin_matches(options->class, class)) {
        rc = pin_free() ? pin_class(options->class, argv, why)
                        : err_set(why, -ENOTSUP, "the environment gives numerics class %s", class);
        return err_prefix(why, rc, "--class");
    }
    rc = group_join(&duty->group, why);
    if (rc < 0)
        return rc;
    duty->machine = machine = set_threads(duty);
    enclose(duty->group);
    rc = group_agree(duty->group, check_host(duty->cache, why), class, duty->threads, room_bytes(),
                     why);
    if (rc == 0)
        rc = group_heads(duty->group) ? serve(options, class, argv, why)
                                      : group_serve(duty->group, duty, &stop, why);
    group_leave(duty->group);
    free(machine);
    return rc;
}

int main(int argc, char **argv)
{
    struct worker_options options = {0}, initial;
    struct errbuf why = {""};
    struct output output;
    char *cache = file_xdg("XDG_CACHE_HOME", ".cache"), *name = default_name();
    char *server = address_default();
    int status = 2;

    field_own_memory();
    alloc_keep(KEPT_BYTES);
    output_open(&output);
    if (manual_asked(table, argc, argv, stdout) || completion_asked(table, argc, argv, stdout)) {
        status = 0;
        goto out;
    }
    if (options_defaults(table, &options, &why) < 0)
        goto out;
    initial = options;
    if (options_read(table, argc, argv, &options, &options.config, &why) < 0)
        goto out;
    status = 0;
    if (options.help) {
        print_help();
        goto out;
    }
    if (options.version) {
        puts("steppe-worker " STEPPE_VERSION);
        goto out;
    }
    if (options.print_config) {
        puts(OPTIONS_HEAD("steppe-worker"));
        options_write(table, &options, &initial, stdout);
        goto out;
    }
    if (options.print_class) {
        status = print_class(&why) < 0;
        goto out;
    }
    if (!options.duty.cache)
        options.duty.cache = cache;
    if (!options.duty.server)
        options.duty.server = server;
    if (!options.duty.cache || !options.duty.server) {
        status = refuse_homeless(&why);
        goto out;
    }
    if (!options.duty.name)
        options.duty.name = name;
    log_set_level((enum log_level)options.log_level);
    set_signals();
    if (address_check(options.duty.server, &why) < 0) {
        err_prefix(&why, -EINVAL, "--connect");
        status = 2;
        goto out;
    }
    if (options.duty.listen && link_check(options.duty.listen, options.duty.key, &why) < 0) {
        err_prefix(&why, -EINVAL, "--peer-listen");
        status = 2;
        goto out;
    }
    if (kernels_choose(getenv("STEPPE_KERNELS"), &options.duty.kernels, &why) < 0) {
        err_prefix(&why, -EINVAL, "STEPPE_KERNELS");
        status = 2;
        goto out;
    }
    status = work(&options, argv, &why) < 0;
out:
    options_blame(options.config, argc, argv, &why);
    status = output_end(&output, "steppe-worker", status, &why);
    free(server);
    free(cache);
    free(name);
    return status;
}
