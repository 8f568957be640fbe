#include "tests/sim/life.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "server/server.h"
#include "tests/sim/damage.h"
#include "tests/sim/disk.h"
#include "tests/sim/edges.h"
#include "tests/sim/journal.h"
#include "tests/sim/scenario.h"
#include "tests/sim/world.h"

#define STATE DISK_ROOT "/state"

static struct {
    struct server *server;
    int64_t number;
    bool up, inside;
    jmp_buf escape;
} life;

bool life_up(void)
{
    return life.up;
}

bool life_inside(void)
{
    return life.inside;
}

int64_t life_number(void)
{
    return life.number;
}

struct server *life_server(void)
{
    return life.server;
}

static void boot(void *arg, int64_t number);

/* The process is gone. */
static void died(bool power)
{
    const struct scenario *p = scenario_get();

    life.inside = life.up = false;
    disk_crash(power);
    edges_crash();
    if (power && world_chance(p->damage_permille))
        damage_checkpoint(false);
    world_after(world_delay(p->restart_least_us, p->restart_most_us), boot, NULL, 0);
}

bool life_enter(void (*fn)(void *arg), void *arg)
{
    bool power = world_chance(scenario_get()->power_permille);

    if (setjmp(life.escape) != 0) {
        died(power);
        return false;
    }
    life.inside = true;
    fn(arg);
    life.inside = false;
    return true;
}

void life_crash(const char *where)
{
    note("crash life=%" PRId64 " at=\"%s\"", life.number, where);
    longjmp(life.escape, 1);
}

void life_kill(bool power)
{
    if (!life.up)
        return;
    note("crash life=%" PRId64 " at=\"%s\"", life.number, power ? "power failure" : "kill -9");
    died(power);
}

static void do_stop(void *arg)
{
    (void)arg;
    edges_signal(SIGTERM);
    server_close(life.server);
    free(life.server);
    life.server = NULL;
}

void life_stop(void)
{
    if (!life.up)
        return;
    note("stop life=%" PRId64, life.number);
    if (!life_enter(do_stop, NULL))
        return;
    died(false);
}

struct start {
    struct errbuf why;
    int rc;
};

static void do_boot(void *arg)
{
    struct start *start = arg;
    const struct server_options options = scenario_options(STATE);

    start->rc = server_check(&options, &start->why);
    if (start->rc == 0)
        start->rc = server_open(life.server, &options, &start->why);
}

/* What ends this life, if it is to end by itself. */
static void draw_death(void)
{
    const struct scenario *p = scenario_get();

    disk_crash_in(0);
    edges_crash_at_failpoint(0);
    if (world_now_us() >= p->calm_us || !world_chance(p->death_permille))
        return;
    switch (world_draw(4)) {
    case 0:
        disk_crash_in(1 + world_draw(world_chance(500) ? 60 : 1200));
        break;
    case 1:
        edges_crash_at_failpoint(1 + world_draw(world_chance(500) ? 4 : 40));
        break;
    default:
        scenario_schedule_death(life.number);
    }
}

static void boot(void *arg, int64_t number)
{
    struct start start = {.why = {""}};

    (void)arg;
    (void)number;
    life.server = xcalloc(1, sizeof(*life.server));
    life.number++;
    note("boot life=%" PRId64, life.number);
    draw_death();
    if (!life_enter(do_boot, &start))
        return;
    if (start.rc < 0) {
        note("no_start life=%" PRId64 " full=%d locked=%d error=\"%s\"", life.number,
             disk_error() != 0, start.rc == -EBUSY, start.why.text);
        died(false);
        return;
    }
    life.up = true;
    note("serving life=%" PRId64, life.number);
}

void life_begin(void)
{
    boot(NULL, 0);
}
