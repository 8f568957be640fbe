#include "tests/sim/scenario.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/core/tree.h"
#include "server/http/http.h"
#include "tests/sim/cache.h"
#include "tests/sim/damage.h"
#include "tests/sim/disk.h"
#include "tests/sim/disk_vfs.h"
#include "tests/sim/edges.h"
#include "tests/sim/journal.h"
#include "tests/sim/life.h"
#include "tests/sim/net.h"
#include "tests/sim/worker.h"
#include "tests/sim/world.h"

#define WORKERS_MOST 5
#define HOARDERS_MOST 6

const char *const plant_names[] = {[PLANT_NONE] = "none",
                                   [PLANT_INCARNATION] = "incarnation",
                                   [PLANT_TWICE] = "twice",
                                   [PLANT_ORDER] = "order",
                                   [PLANT_PIECES] = "pieces",
                                   [PLANT_PROGRAM] = "program",
                                   NULL};

#define MODEL                                                                                      \
    "\"dataset\":\"d\",\"model\":{\"layers\":[{\"type\":\"flatten\"},{\"type\":\"dense\","         \
    "\"units\":3}]},"

#define EXTERNAL "\"engine\":\"external\",\"dataset\":\"d\","

#define REVISED                                                                                    \
    "\"epochs\":3,\"batch\":12,\"shard\":3,\"score\":{\"every\":1},"                               \
    "\"validation\":{\"share\":0.2},\"curriculum\":{\"balance\":\"class\",\"full_at\":1}"

/* Small, and together they go through every kind of round. */
static const char *const specs[SCENARIO_SPECS_ALL] = {
    "{" MODEL "\"epochs\":3,\"batch\":16,\"shard\":2,\"score\":{\"probabilities\":true},"
    "\"curriculum\":{\"full_at\":1}}",
    "{" MODEL "\"epochs\":2,\"batch\":40,\"shard\":4,\"optimizer\":{\"name\":\"adamw\"},"
    "\"curriculum\":{\"measure\":\"loss\",\"order\":\"hard_first\",\"mode\":\"weight\"}}",
    "{" MODEL "\"epochs\":3,\"batch\":12,\"shard\":2,\"score\":{\"source\":\"train\",\"every\":2},"
    "\"curriculum\":{\"measure\":\"el2n\",\"full_at\":1,\"smoothing\":0.5}}",
    "{" MODEL "\"epochs\":4,\"batch\":20,\"shard\":4,\"score\":{\"every\":3},"
    "\"curriculum\":{\"measure\":\"none\"},\"optimizer\":{\"momentum\":0}," SCENARIO_INPUT "}",
    "{" MODEL "\"epochs\":1,\"batch\":8,\"shard\":1,\"optimizer\":{\"clip\":0.5},"
    "\"curriculum\":{\"measure\":\"random\",\"balance\":\"none\"}}",
    "{" MODEL "\"epochs\":5,\"batch\":30,\"shard\":10,\"curriculum\":{\"mode\":\"both\","
    "\"measure\":\"grad_norm\",\"pacing\":\"root\"},\"optimizer\":{\"schedule\":\"step\"}}",
    "{" MODEL "\"epochs\":4,\"batch\":18,\"shard\":6,\"score\":{\"source\":\"train\"},"
    "\"test_domains\":[\"domain-1\"],\"validation\":{\"share\":0.2},\"keep\":\"best\","
    "\"early_stopping\":{\"patience\":1},\"sampling\":\"balanced\","
    "\"sam\":{\"interval\":2},\"optimizer\":{\"nesterov\":true,\"warmup\":0.25}}",
    "{" MODEL "\"epochs\":2,\"batch\":16,\"shard\":4,\"sam\":{\"scope\":\"batch\"},"
    "\"fold\":{\"of\":4,\"leave\":1},\"class_weights\":\"balanced\","
    "\"validation\":{\"share\":0.2},\"curriculum\":{\"full_at\":1}}",
    "{" MODEL "\"epochs\":2,\"batch\":18,\"shard\":3,\"score\":{\"source\":\"train\"},"
    "\"sam\":{\"scope\":\"batch\",\"interval\":2}}",
    "{" MODEL "\"epochs\":2,\"batch\":16,\"shard\":4,\"optimizer\":{\"name\":\"adamw\"},"
    "\"sam\":{\"name\":\"fsam\",\"interval\":2}}",
    "{" MODEL "\"epochs\":4,\"batch\":12,\"shard\":4,\"curriculum\":{\"measure\":\"loss\","
    "\"mode\":\"spl_hard\",\"diversity\":0.5,\"balance\":\"none\",\"full_at\":1,\"smoothing\":0.5}"
    "}",
    "{" MODEL "\"epochs\":3,\"batch\":12,\"shard\":2,\"score\":{\"source\":\"train\",\"every\":2},"
    "\"curriculum\":{\"measure\":\"loss\",\"mode\":\"spl_log\",\"full_at\":1},"
    "\"average\":{\"from\":0.5}}",
    "{" MODEL "\"epochs\":2,\"batch\":18,\"shard\":6,"
    "\"sam\":{\"name\":\"gsam\",\"scope\":\"batch\"}}",
    "{" MODEL "\"epochs\":2,\"batch\":16,\"shard\":4,\"flatness\":{\"every\":1,"
    "\"samples\":30,\"probes\":2,\"iterations\":5}}",
    "{" MODEL "\"epochs\":3,\"batch\":16,\"shard\":8,\"curriculum\":{\"scope\":\"step\","
    "\"initial\":0.3,\"full_at\":1}}",
    "{" MODEL "\"epochs\":2,\"batch\":20,\"shard\":5,\"curriculum\":{\"scope\":\"step\","
    "\"measure\":\"loss\",\"mode\":\"both\",\"order\":\"hard_first\",\"initial\":0.5}}",
    [SCENARIO_SPEC_LIST] = "{" MODEL "\"epochs\":3,\"batch\":12,\"shard\":3,"
                           "\"validation\":{\"share\":0.3}}",
    [SCENARIO_SPEC_TAKES] = "{" MODEL REVISED "}",
    [SCENARIO_SPEC_FROM(0)] = "{" MODEL REVISED ",\"revisions\":[[0,\"d@1\"]]}",
    [SCENARIO_SPEC_FROM(1)] = "{" MODEL REVISED ",\"revisions\":[[1,\"d@1\"]]}",
    [SCENARIO_SPEC_LONG] =
        "{" MODEL "\"epochs\":15,\"batch\":2,\"shard\":1,\"score\":{\"every\":15},"
        "\"curriculum\":{\"measure\":\"none\"}}",
    [SCENARIO_SPEC_FROM(2)] = "{" MODEL REVISED ",\"revisions\":[[2,\"d@1\"]]}",
    [SCENARIO_SPEC_EXTERNAL] = "{" EXTERNAL "\"epochs\":4,\"batch\":12,\"config\":{\"net\":\"a\"},"
                               "\"curriculum\":{\"full_at\":1}}",
    [SCENARIO_SPEC_EXTERNAL + 1] =
        "{" EXTERNAL "\"epochs\":3,\"batch\":6,\"validation\":{\"share\":0.2},\"curriculum\":"
        "{\"measure\":\"loss\",\"order\":\"hard_first\",\"mode\":\"both\"}}",
    [SCENARIO_SPEC_EXTERNAL + 2] =
        "{" EXTERNAL "\"epochs\":5,\"batch\":6,\"curriculum\":{\"measure\":\"el2n\","
        "\"smoothing\":0.5,\"balance\":\"none\",\"full_at\":1}}",
    [SCENARIO_SPEC_EXTERNAL + 3] =
        "{" EXTERNAL "\"epochs\":6,\"batch\":12,\"curriculum\":{\"measure\":\"loss\","
        "\"mode\":\"spl_hard\",\"balance\":\"none\",\"full_at\":1,\"smoothing\":0.5}}",
    [SCENARIO_SPEC_EXTERNAL_REVISED] =
        "{" EXTERNAL "\"epochs\":4,\"batch\":6,\"score\":{\"probabilities\":true},"
        "\"validation\":{\"share\":0.2},\"curriculum\":{\"balance\":\"class\",\"full_at\":1},"
        "\"revisions\":[[1,\"d@1\"]]}",
};

static struct scenario scenario;

const struct scenario *scenario_get(void)
{
    return &scenario;
}

const char *scenario_spec(int spec)
{
    return specs[spec];
}

bool scenario_has_revision(int spec)
{
    return (spec >= SCENARIO_SPEC_TAKES && spec < SCENARIO_SPECS) ||
           spec == SCENARIO_SPEC_EXTERNAL_REVISED;
}

struct server_options scenario_options(const char *state)
{
    return (struct server_options){.state = state,
                                   .listen = "tcp://127.0.0.1:7500",
                                   .insecure_loopback = true,
                                   .http = HTTP_NONE,
                                   .memory_bytes = 1 << 30,
                                   .max_running = 1 + (int64_t)world_draw(3),
                                   .checkpoint_s = 1,
                                   .uploads_bytes = UPLOADS_BYTES_DEFAULT,
                                   .combine_floats = scenario.combines};
}

void scenario_uuid(char out[UUID_BYTES])
{
    static const char digits[] = "0123456789abcdef";

    for (int i = 0; i < 36; i++)
        out[i] = i == 8 || i == 13 || i == 18 || i == 23 ? '-'
                 : i == 14                               ? '4'
                 : i == 19                               ? '8'
                                                         : digits[world_draw(16)];
    out[36] = 0;
}

/* --- disturbances --- */

static void strike(void *arg, int64_t life)
{
    (void)arg;
    if (life != life_number())
        return;
    if (world_chance(250))
        life_stop();
    else
        life_kill(world_chance(scenario.power_permille));
}

void scenario_schedule_death(int64_t life)
{
    world_after(world_delay(20 * MS, 8 * SECOND), strike, NULL, life);
}

static void hit_worker(void)
{
    int number = 1 + (int)world_draw((uint64_t)workers_added());

    switch (world_draw(3)) {
    case 0:
        worker_kill(number, world_delay(100 * MS, 60 * SECOND));
        break;
    case 1:
        worker_stall(number, world_delay(100 * MS, 90 * SECOND));
        break;
    default:
        worker_leave(number, world_delay(100 * MS, 20 * SECOND));
    }
}

static void disk_ok(void *arg, int64_t number)
{
    (void)arg;
    (void)number;
    note("disk_full on=0");
    disk_set_error(0);
    edges_slow_disk(0);
}

static void hit_disk(void)
{
    static const int errors[] = {ENOSPC, ENOSPC, EDQUOT, EROFS, EIO};
    int error = errors[world_draw(sizeof(errors) / sizeof(errors[0]))];

    if (world_chance(500)) {
        note("disk_full on=1 error=%d", error);
        disk_set_error(error);
    } else {
        edges_slow_disk(world_between(200 * MS, 20 * SECOND));
    }
    world_after(world_delay(200 * MS, 20 * SECOND), disk_ok, NULL, 0);
}

/* A person's sqlite3 at one of the databases, or something ruder. */
static void lock_database(void)
{
    struct inode *f = disk_find(world_chance(500) ? DISK_ROOT "/state/state.db"
                                                  : DISK_ROOT "/state/difficulty.db");

    if (f)
        disk_vfs_lock(f, world_chance(200), world_delay(100 * MS, 60 * SECOND));
}

static void cut_somebody(void)
{
    int who = world_chance(300)   ? -1
              : world_chance(100) ? CLIENT_PROGRAM + (int)world_draw(2)
                                  : (int)world_draw((uint64_t)workers_added() + 1);
    uint64_t way = world_draw(3);

    net_cut(who, way != 1, way != 2, world_delay(100 * MS, 60 * SECOND));
}

static void damage_files(void)
{
    if (world_chance(500))
        damage_dataset();
    else if (world_chance(500))
        damage_checkpoint(true);
    else
        damage_attached();
}

static void disturb(void *arg, int64_t number)
{
    (void)arg;
    (void)number;
    if (world_now_us() >= scenario.calm_us)
        return;
    switch (world_draw(9)) {
    case 0:
        hit_worker();
        break;
    case 1:
        cut_somebody();
        break;
    case 2:
        if (world_chance(300))
            hit_disk();
        break;
    case 3:
        if (world_chance(200))
            edges_jump_clock(world_between(-86400000, 86400000));
        break;
    case 4:
        if (world_chance(500))
            lock_database();
        break;
    case 5:
        if (world_chance(400))
            damage_files();
        break;
    case 6:
        cache_damage();
        break;
    default:
        net_replay();
    }
    world_after(world_delay(50 * MS, 6 * SECOND), disturb, NULL, 0);
}

static void calm_down(void *arg, int64_t number)
{
    (void)arg;
    (void)number;
    note("calm");
}

/* --- drawing --- */

/* Everything is checked where one of them forges: what is not found out has no promise. */
static void draw_forger(bool mixed, int count, struct worker_traits *first)
{
    if (mixed || count < 4 || !world_chance(400))
        return;
    scenario.verify = 0.3;
    scenario.keys = true;
    if (world_chance(500)) {
        scenario.verify = 1;
        scenario.study = false;
        first->forge_permille = (unsigned)world_between(50, 1000);
    }
}

static void add_workers(void)
{
    const int least = scenario.combines ? TREE_WORKERS_MIN + 1 : 1;
    int count = least + (int)world_draw((uint64_t)(WORKERS_MOST - least) + 1);
    int hosts = 1 + (int)world_draw(CACHE_HOSTS);
    bool mixed = !scenario.combines && world_chance(150);
    /* Small rounds have many nodes where each worker takes few shards. */
    const uint64_t threads = scenario.combines ? 1 : 4;

    for (int i = 1; i <= count; i++) {
        struct worker_traits t = {.threads = 1 + (int)world_draw(threads), .slowness = 1};

        t.host = (int)world_draw((uint64_t)hosts);
        t.class = mixed ? (uint32_t)world_draw(SIM_CLASSES) : 0;
        if (world_chance(100))
            t.slowness = 10 + (int)world_draw(40);
        if (world_chance(60))
            t.bad_permille = (unsigned)world_between(20, 300);
        if (world_chance(100))
            t.refuse_permille = (unsigned)world_between(300, 1000);
        t.listens = scenario.combines && world_chance(970);
        if (i == 1)
            draw_forger(mixed, count, &t);
        worker_add(i, &t,
                   world_chance(scenario.combines ? 950 : 700) ? 0
                                                               : world_delay(SECOND, 30 * SECOND));
    }
}

/* More workers, of a key of their own, that bring nothing; some of what the others do may be lost
 * to them as long as these are undisturbed. */
static void add_hoarders(void)
{
    const struct worker_traits t = {.threads = 1, .slowness = 1, .hoards = true};
    int count = workers_added() + 1 + (int)world_draw(HOARDERS_MOST);

    scenario.keys = true;
    for (int i = workers_added() + 1; i <= count; i++)
        worker_add(i, &t, world_delay(MS, 30 * SECOND));
}

static unsigned rate(unsigned most)
{
    return world_chance(400) ? 0 : (unsigned)world_draw(most + 1);
}

/* Behind the first, of which predictions are asked for; early, so that it is disturbed. */
static void add_external(void)
{
    scenario.specs[scenario.jobs++] = scenario.specs[1];
    scenario.specs[1] = SCENARIO_SPEC_EXTERNAL + (int)world_draw(SCENARIO_EXTERNALS);
}

void scenario_make(uint64_t seed, enum plant plant)
{
    scenario = (struct scenario){
        .seed = seed,
        .plant = plant,
        .fresh = world_chance(200),
        .combines = seed % 3 == 0,
        .jobs = 1 + (world_chance(400) ? 1 : 0) + (world_chance(150) ? 1 : 0),
        .calm_us = world_between(5, 60) * SECOND,
        .drop_permille = rate(150),
        .double_permille = rate(250),
        .delay_most_us = world_chance(500) ? 5 * MS : world_delay(20 * MS, 5 * SECOND),
        .power_permille = rate(1000),
        .damage_permille = world_chance(200) ? 300 : 0,
        .death_permille = world_chance(150) ? 0 : 900,
        .restart_least_us = 50 * MS,
        .restart_most_us = world_delay(100 * MS, 30 * SECOND),
    };
    if (scenario.combines) /* workers that are at one job meet more often */
        scenario.jobs = 1;
    for (int i = 0; i < scenario.jobs; i++)
        scenario.specs[i] =
            world_chance(150) ? SCENARIO_SPEC_LIST : (int)world_draw(SCENARIO_SPECS);
    if (world_chance(400))
        add_external();
    scenario.study = !scenario.combines && world_chance(300);
    scenario.study_spec = (int)world_draw(SCENARIO_SPEC_LIST);
    scenario.halving = world_chance(300);
    if (scenario.halving)
        scenario.study_spec = 0;
    add_workers();
    if (world_chance(150))
        add_hoarders();
    world_after(world_delay(50 * MS, 6 * SECOND), disturb, NULL, 0);
    world_after(scenario.calm_us, calm_down, NULL, 0);
}

static void make_undisturbed(int spec, uint32_t class, int64_t delay_us)
{
    const struct worker_traits t = {.threads = 2, .class = class, .slowness = 1};

    scenario =
        (struct scenario){.undisturbed = true, .jobs = 1, .specs = {spec}, .delay_most_us = MS};
    worker_add(1, &t, delay_us);
}

void scenario_make_undisturbed(int spec, uint32_t class)
{
    make_undisturbed(spec, class, 0);
}

void scenario_make_forged(double verify, unsigned forge_permille)
{
    scenario = (struct scenario){.undisturbed = true,
                                 .fresh = true,
                                 .jobs = 1,
                                 .specs = {SCENARIO_SPEC_LONG},
                                 .keys = true,
                                 .verify = verify,
                                 .delay_most_us = MS};
    for (int i = 1; i <= 4; i++) {
        const struct worker_traits t = {
            .threads = 1, .slowness = 1, .forge_permille = i == 1 ? forge_permille : 0};
        worker_add(i, &t, 0);
    }
}

void scenario_make_hoarded(int hoarders)
{
    struct worker_traits t = {.threads = 1, .slowness = 1, .hoards = true};

    make_undisturbed(SCENARIO_SPEC_LONG, 0, 30 * SECOND);
    scenario.keys = true;
    for (int i = 0; i < hoarders; i++)
        worker_add(2 + i, &t, 0);
}

void scenario_make_struck(int spec, bool fresh)
{
    scenario_make_undisturbed(spec, 0);
    scenario.fresh = fresh;
    scenario.restart_least_us = 50 * MS;
    scenario.restart_most_us = 100 * MS;
}

void scenario_make_import(void)
{
    scenario = (struct scenario){.undisturbed = true, .fresh = true, .delay_most_us = MS};
}
