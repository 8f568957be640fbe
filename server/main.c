/* steppe-server: the coordinator daemon. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
#include "common/options.h"
#include "common/output.h"
#include "common/process.h"
#include "common/text.h"
#include "proto/address.h"
#include "server/cell/keeper.h"
#include "server/http/http.h"
#include "server/server.h"

#define KEPT_BYTES (256 << 20) /* thirty pieces, to and from as many workers */

#define AT(field) offsetof(struct server_options, field)

static const struct option table[] = {
    {"state", OPT_STR, AT(state), .arg = "DIR",
     .help = "folder of databases, datasets and checkpoints (default $XDG_STATE_HOME/steppe or "
             "~/.local/state/steppe)"},
    {"listen", OPT_STR, AT(listen), .arg = "URLS",
     .help = "further addresses to serve, separated by commas: ipc://PATH, or tcp://HOST:PORT with "
             "--key; ipc://STATE/" ADDRESS_SOCKET " is always served, and alone by default"},
    {"groups", OPT_STR, AT(groups), .arg = "GROUP=ROLE,...",
     .help = "groups of this machine whose members may use ipc, each with a role: read, submit, "
             "worker, trainer or admin; the first that somebody is in counts (default: the "
             "server's own "
             "user and root only, who are administrators)"},
    {"key", OPT_STR, AT(key), .arg = "FILE",
     .help = "file of cluster keys (steppe key new); with it the server may listen on tcp, and "
             "accepts only sealed messages there; SIGHUP reads the file again"},
    {"insecure-loopback", OPT_FLAG, AT(insecure_loopback),
     .help = "serve tcp addresses of loopback without a key: every user of this machine is an "
             "administrator there"},
    {"memory", OPT_BYTES, AT(memory_bytes), .arg = "BYTES", .min = MEMORY_BYTES_MIN,
     .max = INT64_MAX,
     .help = "memory for the jobs that run (default: half of what the machine or the cgroup has, "
             "whichever is less)"},
    {"max-running", OPT_INT, AT(max_running), .def = "4", .arg = "N", .min = 1, .max = RUNNING_MAX,
     .help = "how many jobs run at once and share the workers"},
    {"checkpoint-every", OPT_INT, AT(checkpoint_s), .def = "60", .arg = "SECONDS", .min = 1,
     .max = 86400, .help = "seconds between checkpoints of a job inside an epoch"},
    {"keep-rows", OPT_INT, AT(retention.rows), .def = "20000000", .arg = "N", .max = INT64_MAX,
     .help = "scores that an ended job may keep; a job with more keeps those of its first, its "
             "last five and evenly spaced epochs; 0: no limit"},
    {"keep-jobs", OPT_INT, AT(retention.jobs), .def = "0", .arg = "N", .max = INT64_MAX,
     .help = "how many ended jobs keep the scores of all epochs; older jobs keep those of their "
             "last epoch; 0: all jobs"},
    {"keep-days", OPT_INT, AT(retention.days), .def = "0", .arg = "N", .max = 36500,
     .help = "days for which an ended job keeps the scores of all epochs; after that it keeps "
             "those of its last epoch; 0: for ever"},
    {"max-db", OPT_BYTES, AT(retention.bytes), .arg = "BYTES", .max = INT64_MAX,
     .help =
         "limit for difficulty.db; above it the oldest ended jobs keep only the scores of their "
         "last epoch, and while that is not enough, no new job is accepted (default: no limit)"},
    {"max-uploads", OPT_BYTES, AT(uploads_bytes), .def = UPLOADS_BYTES_WORD, .arg = "BYTES",
     .min = UPLOADS_BYTES_MIN, .max = INT64_MAX,
     .help = "limit for all uploads that nothing uses yet; one key may take a quarter of it, "
             "senders without a key together another quarter"},
    {"http", OPT_STR, AT(http), .arg = "HOST:PORT",
     .help =
         "address of the dashboard and /metrics, on loopback, or none; everybody on this machine "
         "may read there (default " HTTP_DEFAULT ", if it is free and no --key is given)"},
    {"metrics", OPT_STR, AT(metrics), .arg = "HOST:PORT",
     .help = "serve /metrics and /healthz, and nothing else, at this address of a network too, to "
             "everybody who reaches it; * as HOST: all of this machine's"},
    {"config", OPT_STR, AT(config), .arg = "FILE", .typed = true,
     .help = "read options from a file of \"name = value\" lines"},
    {"print-config", OPT_FLAG, AT(print_config), .typed = true,
     .help = "print such a file, with the options that are given and the defaults of the others, "
             "and exit"},
    {"log-level", OPT_ENUM, AT(log_level), .def = "info", .names = log_level_names, .arg = "LEVEL",
     .help = "log events of this level and above"},
    {"help", OPT_FLAG, AT(help), .typed = true, .help = "show this help"},
    {"version", OPT_FLAG, AT(version), .typed = true, .help = "show the version"},
    {0},
};

/* Half of what this process may use, if no option sets it. */
static void set_memory(struct server_options *options, const struct machine *machine)
{
    const int64_t half = machine_memory(machine) / 2;

    if (!options->memory_bytes)
        options->memory_bytes = half < MEMORY_BYTES_MIN ? MEMORY_BYTES_MIN : half;
}

/* The memory that it may use, and why so much. */
static void say_machine(const struct server_options *options, const struct machine *machine,
                        bool given)
{
    char memory[MACHINE_TEXT_BYTES], processors[MACHINE_TEXT_BYTES], bytes[TEXT_F64_BYTES];

    log_info("server.machine", "memory=\"%s (%s %s)\" processors=\"%u (%s)\"",
             text_of_bytes(options->memory_bytes, bytes), given ? "--memory;" : "half of",
             machine_say_memory(machine, memory), machine_processors(machine),
             machine_say_processors(machine, processors));
    if (options->memory_bytes > machine_memory(machine))
        log_warn("server.memory", "error=\"--memory is more than %s\"", memory);
}

static int refuse_homeless(struct errbuf *why)
{
    return err_set(why, -EINVAL,
                   "HOME is not set, so the folder of the databases has no default; name one with "
                   "--state DIR");
}

static void print_help(void)
{
    puts(
        "usage: steppe-server [options]\n\n"
        "Owns jobs, models and the difficulty database; workers and the steppe command connect.\n");
    options_help(table, stdout);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], KEEPER_ARG) == 0)
        return keeper_run(argv[2]);

    struct server_options options = {.cell_program = process_self};
    struct server_options initial;
    struct server *s = xcalloc(1, sizeof(*s));
    struct errbuf why = {""};
    char *state = file_xdg("XDG_STATE_HOME", ".local/state");
    struct machine machine;
    struct output output;
    int status = 2;

    field_own_memory();
    /* Where libuv gets none it would abort without a word. */
    uv_replace_allocator(xmalloc, xrealloc, xcalloc, free);
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
        puts("steppe-server " STEPPE_VERSION);
        goto out;
    }
    if (options.print_config) {
        puts(OPTIONS_HEAD("steppe-server"));
        options_write(table, &options, &initial, stdout);
        goto out;
    }
    log_set_level((enum log_level)options.log_level);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    machine_here(&machine);
    const bool memory_given = options.memory_bytes != 0;
    set_memory(&options, &machine);
    if (!options.state)
        options.state = state;
    options.decoder = process_beside("steppe");
    int rc = process_enclose((const char *const[]){process_self, options.decoder, NULL});
    if (rc < 0)
        log_warn("server.filter", "error=\"no filter of system calls: %s\"", err_text(rc));
    rc = options.state ? server_check(&options, &why) : refuse_homeless(&why);
    status = rc == -EINVAL ? 2 : 1;
    if (rc < 0 || file_limit_raise(SERVER_FILES_MIN, &why) < 0 ||
        server_open(s, &options, &why) < 0)
        goto out;
    status = 0;
    say_machine(&options, &machine, memory_given);
    server_run(s);
    server_close(s);
out:
    options_blame(options.config, argc, argv, &why);
    status = output_end(&output, "steppe-server", status, &why);
    free(state);
    free(s);
    return status;
}
