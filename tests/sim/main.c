/* steppe-sim: runs seeds of the simulation and names those that break a promise.
 *   steppe-sim [--first N] [--seeds N] [--side N] [--plant FAULT] [--show] */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/options.h"
#include "tests/sim/runner.h"

struct settings {
    int64_t first, seeds, side;
    int plant;
    bool show, help;
};

#define AT(field) offsetof(struct settings, field)

static const struct option table[] = {
    {"first", OPT_INT, AT(first), .def = "1", .min = 0, .max = INT64_MAX / 2, .arg = "SEED",
     .help = "seed to begin with"},
    {"seeds", OPT_INT, AT(seeds), .def = "1000", .min = 1, .max = 1000000000, .arg = "N",
     .help = "how many, one after the other"},
    {"side", OPT_INT, AT(side), .def = "2", .min = 1, .max = 16, .arg = "N",
     .help = "how many at the same time"},
    {"plant", OPT_ENUM, AT(plant), .def = "none", .names = plant_names, .arg = "FAULT",
     .help = "a fault that the simulation has to find"},
    {"show", OPT_FLAG, AT(show), .help = "print the event log and the server's own"},
    {"help", OPT_FLAG, AT(help), .help = "print this"},
    {0},
};

struct tally {
    const struct settings *settings;
    uint64_t seeds, events;
    int64_t lives, applied, given, failed;
};

static bool take(void *arg, const struct judgement *v)
{
    struct tally *t = arg;

    t->seeds++;
    t->events += v->events;
    t->lives += v->lives;
    t->applied += v->applied;
    t->given += v->given;
    if (t->settings->show)
        printf("seed %" PRIu64 ": event log %s\n", v->seed, v->log_sha256);
    if (v->good)
        return true;
    t->failed++;
    printf("seed %" PRIu64 " FAILED, event log %s\n  %s\n"
           "  again: make sim FIRST=%" PRIu64 " SEEDS=1 SHOW=1%s%s\n",
           v->seed, v->log_sha256, v->why, v->seed, t->settings->plant ? " PLANT=" : "",
           t->settings->plant ? plant_names[t->settings->plant] : "");
    fflush(stdout);
    return t->settings->plant == PLANT_NONE;
}

int main(int argc, char **argv)
{
    struct settings settings = {0};
    struct errbuf why = {""};
    struct runner *runner;
    struct tally tally = {.settings = &settings};

    if (options_defaults(table, &settings, &why) < 0 ||
        options_args(table, argc, argv, &settings, NULL, NULL, &why) < 0) {
        fprintf(stderr, "steppe-sim: %s\n", why.text);
        return 2;
    }
    if (settings.help) {
        options_help(table, stdout);
        return 0;
    }
    if (runner_open((enum plant)settings.plant, settings.show, &runner, &why) < 0) {
        fprintf(stderr, "steppe-sim: %s\n", why.text);
        return 1;
    }
    runner_run(runner, (uint64_t)settings.first, (uint64_t)settings.seeds, (int)settings.side, take,
               &tally);
    runner_close(runner);
    printf("%" PRIu64 " seeds, %" PRId64 " failed; %" PRId64 " starts of the server, %" PRId64
           " nodes applied, %" PRId64 " sums given, %" PRIu64 " events\n",
           tally.seeds, tally.failed, tally.lives, tally.applied, tally.given, tally.events);
    return tally.failed > 0;
}
