/* The quick part of the simulation: some seeds hold every promise, a seed replays exactly, and each
 * planted fault is found. `make sim SEEDS=n` runs more. */
#include "tests/harness.h"

#include <inttypes.h>
#include <math.h>

#include "tests/sim/reader.h"
#include "tests/sim/runner.h"
#include "tests/sim/world.h"

#define QUICK_SEEDS 120
#define SEARCH_SEEDS 1000 /* within which a planted fault must show */
#define SIDE 2

struct seen {
    struct judgement last;
    uint64_t seeds;
    int64_t lives, applied, given;
    char hashes[8][SHA256_HEX];
};

static struct runner *open_runner(enum plant plant)
{
    struct errbuf why = {""};
    struct runner *r;

    ASSERT_OK(runner_open(plant, false, &r, &why), why);
    return r;
}

/* Until one fails. */
static bool take(void *arg, const struct judgement *v)
{
    struct seen *seen = arg;

    seen->last = *v;
    seen->lives += v->lives;
    seen->applied += v->applied;
    seen->given += v->given;
    memcpy(seen->hashes[seen->seeds++ % 8], v->log_sha256, SHA256_HEX);
    return v->good;
}

TEST(seeds_keep_every_promise)
{
    struct runner *r = open_runner(PLANT_NONE);
    struct seen seen = {.seeds = 0};

    runner_run(r, 1, QUICK_SEEDS, SIDE, take, &seen);
    runner_close(r);
    if (!seen.last.good)
        FAIL("seed %" PRIu64 ": %s\nagain: make sim FIRST=%" PRIu64 " SEEDS=1 SHOW=1",
             seen.last.seed, seen.last.why, seen.last.seed);
    ASSERT_EQ(QUICK_SEEDS, seen.seeds);
    ASSERT(seen.lives > QUICK_SEEDS);   /* the server did die, */
    ASSERT(seen.applied > QUICK_SEEDS); /* and work was done, */
    ASSERT(seen.given > 0);             /* some of it together */
}

TEST(a_seed_replays_exactly)
{
    struct runner *r = open_runner(PLANT_NONE);
    struct seen all = {.seeds = 0}, one;

    runner_run(r, 1, 8, SIDE, take, &all);
    for (uint64_t seed = 1; seed <= 8; seed += 3) {
        one = (struct seen){.seeds = 0};
        runner_run(r, seed, 1, 1, take, &one);
        ASSERT_STR(all.hashes[seed - 1], one.hashes[0]);
    }
    ASSERT(strcmp(all.hashes[0], all.hashes[1]) != 0);
    runner_close(r);
}

static const struct outcome *undisturbed(void *arg, int spec, int class)
{
    (void)spec, (void)class;
    return arg;
}

/* What the reader says of the end of a story. */
static void reads_as(const char *sentence, const char *log)
{
    struct outcome want = {.model = "m", .scores = {"s"}, .measured = {"t"}, .flat = "f"};
    char why[400] = "";
    const bool good = reader_check(log, undisturbed, &want, why, sizeof(why));

    ASSERT_EQ(*sentence == 0, good);
    ASSERT_HAS(sentence, why);
}

#define FLAT(hash) "1 final job=1 state=done model=m class=class-0 flat=" hash " reason=\"\"\n"

TEST(another_flatness_is_found)
{
    struct outcome o;

    ASSERT(
        reader_outcome(FLAT("f0") "1 final_epoch job=1 epoch=0 scores=s measured=t valid=0\n", &o));
    ASSERT_STR("f0", o.flat);
    reads_as("has measured another flatness", FLAT("g"));
    reads_as("has measured another flatness", FLAT(""));
}

#define FOLD(probs) "1 fold job=1 epoch=0 rc=0 scores=s probs=" probs "\n"

TEST(other_probabilities_are_found)
{
    struct outcome o;

    ASSERT(reader_outcome(FOLD("p0") FLAT("f") "1 final_epoch job=1 epoch=0 scores=s\n", &o));
    ASSERT_STR("p0", o.probs[0]);
    reads_as("the probabilities of epoch 0 were p0", FOLD("p0") FOLD("p0") FOLD("p1"));
    reads_as("the probabilities of epoch 0 were p0", FOLD("p0") FOLD(""));
}

#define ARM(job, arm) "1 submitted job=" job " spec=-1 arm=" arm "\n"
#define END(job, state, reason)                                                                    \
    "2 final job=" job " state=" state " model=m class=class-0 flat= reason=\"" reason "\"\n"
#define VALID(job, epoch, valid)                                                                   \
    "3 final_epoch job=" job " epoch=" epoch " scores=s measured=t valid=" valid "\n"
#define STOPS "stopped by halving: its arm is among the worse half by validation accuracy"
#define EARLY ARM("1", "a") ARM("2", "b") ARM("3", "c") ARM("4", "d") END("1", "done", "")
#define BOTH(job, first, second) VALID(job, "0", first) VALID(job, "1", second)

TEST(an_arm_that_halving_stops_or_leaves_in_error_is_found)
{
    reads_as("",
             EARLY END("2", "done", "") END("3", "cancelled", STOPS) END("4", "cancelled", STOPS)
                 BOTH("2", "0.5", "0.5") VALID("3", "0", "0.25") BOTH("4", "0.75", "0.25"));
    reads_as("arm b does not stop",
             EARLY END("2", "cancelled", STOPS) END("3", "cancelled", STOPS) END("4", "done", "")
                 BOTH("2", "0.5", "0.5") VALID("3", "0", "0.25") BOTH("4", "0.75", "0.25"));
    reads_as("arm d stops",
             EARLY END("2", "done", "") END("3", "cancelled", STOPS) END("4", "done", "")
                 BOTH("2", "0.5", "0.5") VALID("3", "0", "0.25") BOTH("4", "0.75", "0.25"));
    reads_as("arm d stopped before it was compared",
             EARLY END("2", "done", "") END("3", "cancelled", STOPS) END("4", "cancelled", STOPS)
                 BOTH("2", "0.5", "0.5") VALID("3", "0", "0.25") VALID("4", "0", "0.75"));
    reads_as("", EARLY END("2", "done", "") END("3", "cancelled", "") END("4", "done", "")
                     BOTH("2", "0.5", "0.5") VALID("3", "0", "0.25") BOTH("4", "0.75", "0.25"));
}

static void must_find(enum plant plant, const char *sentence)
{
    struct runner *r = open_runner(plant);
    struct seen seen = {.seeds = 0}, again = {.seeds = 0};

    runner_run(r, 1, SEARCH_SEEDS, SIDE, take, &seen);
    ASSERT(!seen.last.good);
    ASSERT_HAS(sentence, seen.last.why);
    runner_run(r, seen.last.seed, 1, 1, take, &again);
    ASSERT_STR(seen.last.why, again.last.why);
    ASSERT_STR(seen.last.log_sha256, again.last.log_sha256);
    runner_close(r);
}

TEST(a_result_of_another_incarnation_that_counts_is_found)
{
    must_find(PLANT_INCARNATION, "a node is applied by a result of another inc");
}

TEST(a_node_that_is_applied_twice_is_found)
{
    must_find(PLANT_TWICE, "is applied twice");
}

TEST(a_report_of_a_superseded_program_that_counts_is_found)
{
    must_find(PLANT_PROGRAM, "a report of another incarnation counts");
}

#define OF_NO_RUN "1 submitted job=1 spec=-1\n" /* that it is compared with */
#define OPENED(inc) "1 row job=1 state=running inc=" inc " rc=0 waits= class=\n"
#define BEGUN(inc, epoch) "1 begun job=1 inc=" inc " epoch=" epoch "\n"
#define FOLDED(epoch)                                                                              \
    "1 folding job=1 epoch=" epoch "\n1 fold job=1 epoch=" epoch " rc=0 scores=s probs=\n"
#define DROPPED(rc) "1 drop job=1 first=0\n1 dropped job=1 rc=" rc "\n"
#define ASKED_BACK "1 deliver from=30 external.open id=9 job=1 inc=0 epoch=0\n1 delivered\n"
#define TWO_EPOCHS OPENED("1") BEGUN("1", "0") FOLDED("0") FOLDED("1")

TEST(an_external_job_that_loses_an_epoch_is_found)
{
    reads_as("", TWO_EPOCHS OPENED("2") BEGUN("2", "2"));
    reads_as("an epoch is lost: 2 were committed", TWO_EPOCHS OPENED("2") BEGUN("2", "1"));
    reads_as("", TWO_EPOCHS OPENED("2") ASKED_BACK DROPPED("0") BEGUN("2", "0"));
    reads_as("taken back that no program asked for", TWO_EPOCHS OPENED("2") DROPPED("0"));
    reads_as("an epoch is lost", TWO_EPOCHS OPENED("2") ASKED_BACK DROPPED("-5") BEGUN("2", "0"));
    reads_as("", TWO_EPOCHS "1 folding job=1 epoch=2\n" OPENED("2") BEGUN("2", "3"));
    reads_as("epoch 2 was never committed", TWO_EPOCHS OPENED("2") BEGUN("2", "3"));
}

TEST(who_speaks_for_an_external_job_is_checked)
{
    reads_as("a program is told of incarnation 2, durable is 1",
             OPENED("1") "1 opened job=1 inc=2 epoch=0 asked=-1\n");
    reads_as("a program was told of incarnation 1 before",
             OPENED("1") "1 opened job=1 inc=1 epoch=0 asked=-1\n"
                         "1 opened job=1 inc=1 epoch=0 asked=-1\n");
    reads_as("a report of another incarnation counts",
             OPENED("2") "1 reported job=1 inc=2 said=1 epoch=0 counted=1 dropped=0\n");
    reads_as("a report counts, and the job was opened as 2",
             OPENED("2") "1 reported job=1 inc=1 said=1 epoch=0 counted=1 dropped=0\n");
    reads_as("the order of epoch 0 was a", OF_NO_RUN "1 ordered job=1 inc=1 epoch=0 stream=a\n"
                                                     "1 ordered job=1 inc=2 epoch=0 stream=b\n");
    reads_as("said to be closed that was never committed",
             OF_NO_RUN OPENED("1") BEGUN("1", "0") "1 closed_epoch job=1 inc=1 epoch=0 scores=s\n");
}

TEST(a_damaged_piece_that_is_handed_out_is_found)
{
    must_find(PLANT_PIECES, "a damaged piece is handed out as good");
}

TEST(a_checkpoint_before_its_fold_is_found)
{
    must_find(PLANT_ORDER, "a checkpoint counts on epoch");
}

/* --- a worker that forges --- */

#define FORGED_RUNS 50
#define SHARE 0.1
#define K_MAX 400

/* Over the runs: how many had a k-th forged node that counted, and in how many it was the first
 * that had been drawn. */
static struct {
    unsigned permille;
    uint64_t at_risk[K_MAX], found[K_MAX];
    uint64_t forged, drawn, discoveries, seen;
} liar;

static void begin_forged(void *arg, uint64_t number)
{
    (void)arg;
    world_init(number);
    scenario_make_forged(SHARE, liar.permille);
}

static bool is_event(const char *line, const char *event)
{
    const char *at = memchr(line, ' ', 24);

    return at && strncmp(at + 1, event, strlen(event)) == 0;
}

/* Was the node of this voice given to its worker as one to check? */
static bool was_second(const char *log, const char *voice)
{
    char event[120];
    const char *from = strstr(voice, " worker=");
    size_t n = strcspn(from, "\n");

    snprintf(event, sizeof(event), " second%.*s\n", (int)n, from);
    const char *at = strstr(log, event);
    return at && at < voice;
}

/* One run: the nodes that were the forger's own and that it forged, up to the discovery. Where one
 * is drawn another worker may be faster; it is forged all the same. */
static bool take_forged(void *arg, const struct judgement *v)
{
    const char *log = runner_log(*(struct runner **)arg);
    bool forged = false, found = false, lied = false;
    uint64_t k = 0;

    for (const char *line = log; *line && !lied; line = strchr(line, '\n') + 1) {
        if (is_event(line, "deliver ")) {
            const char *end = strchr(line, '\n'), *mark = strstr(line, " forged=1");
            forged = mark && mark < end;
        }
        bool voice = is_event(line, "voice ");
        if (forged && k < K_MAX && (voice ? !was_second(log, line) : is_event(line, "apply "))) {
            liar.forged++;
            liar.drawn += voice;
            liar.at_risk[k] += !found;
            liar.found[k++] += !found && voice;
            found |= voice;
        }
        forged &= !voice; /* what is applied behind it is the same node */
        lied = is_event(line, "lied ");
    }
    liar.seen++;
    liar.discoveries += lied;
    if (lied && !v->good)
        FAIL("run %" PRIu64 " after its discovery: %s", v->seed, v->why);
    ASSERT(lied || strstr(log, " state=done "));
    return true;
}

/* A forger among four, over 300 steps. Each forged node that counts is drawn with SHARE, whatever
 * was before: 1 - (1 - v)^k. Bounds: four standard deviations. After a discovery the reader wants
 * the undisturbed model and scores. */
static void forge_runs(struct runner *r, unsigned permille)
{
    const struct runner_plan plan = {begin_forged, NULL, NULL};
    double alive = 1, formula = 1, greenwood = 0;

    memset(&liar, 0, sizeof(liar));
    liar.permille = permille;
    runner_use(r, &plan);
    runner_run(r, 1, FORGED_RUNS, SIDE, take_forged, &r);
    ASSERT_EQ(FORGED_RUNS, liar.seen);
    const double n = (double)liar.forged, sd = sqrt(n * SHARE * (1 - SHARE));
    printf("%u permille: %" PRIu64 " of %d discovered, %" PRIu64 " of %" PRIu64
           " forged nodes drawn\n",
           permille, liar.discoveries, FORGED_RUNS, liar.drawn, liar.forged);
    ASSERT(fabs((double)liar.drawn - SHARE * n) < 4 * sd);
    for (uint64_t k = 0; k < K_MAX && liar.at_risk[k] > 4; k++) {
        const double risk = (double)liar.at_risk[k], events = (double)liar.found[k];
        alive *= 1 - events / risk;
        formula *= 1 - SHARE;
        greenwood += SHARE / (1 - SHARE) / risk; /* relative variance of alive, by the formula */
        if (fabs(alive - formula) > 4 * formula * sqrt(greenwood))
            FAIL("%.3f of the runs go on after %" PRIu64 " forged nodes, the formula says %.3f",
                 alive, k + 1, formula);
    }
}

TEST(a_forger_is_found_as_often_as_the_formula_says)
{
    struct errbuf why = {""};
    struct runner *r;

    ASSERT_OK(runner_open_for(SCENARIO_SPEC_LONG, &r, &why), why);
    forge_runs(r, 1000);
    ASSERT_EQ(FORGED_RUNS, liar.discoveries);
    forge_runs(r, 100);
    ASSERT(liar.discoveries > FORGED_RUNS / 2);
    runner_close(r);
}

/* --- workers that take and do not bring --- */

#define HOARDERS 20

static struct {
    struct runner *runner;
    int64_t ended_us;
} hoarded;

static void begin_hoarded(void *arg, uint64_t hoarders)
{
    (void)arg;
    world_init(1);
    scenario_make_hoarded((int)hoarders);
}

static bool take_hoarded(void *arg, const struct judgement *v)
{
    (void)arg;
    if (!v->good)
        FAIL("beside %" PRIu64 " that hoard: %s", v->seed, v->why);
    const char *end = strstr(runner_log(hoarded.runner), " writing job=1 state=done");
    ASSERT(end);
    while (end > runner_log(hoarded.runner) && end[-1] != '\n')
        end--;
    hoarded.ended_us = strtoll(end, NULL, 10);
    return true;
}

/* The same bits, which the reader sees to, and not much later: once each of them has taken a node
 * there is little more to lose. */
TEST(those_that_hoard_do_not_hold_up_a_worker_of_another_key)
{
    const struct runner_plan plan = {begin_hoarded, NULL, NULL};
    struct errbuf why = {""};

    ASSERT_OK(runner_open_for(SCENARIO_SPEC_LONG, &hoarded.runner, &why), why);
    runner_use(hoarded.runner, &plan);
    runner_run(hoarded.runner, 0, 1, 1, take_hoarded, NULL);
    const int64_t alone_us = hoarded.ended_us;
    runner_run(hoarded.runner, HOARDERS, 1, 1, take_hoarded, NULL);
    test_say("alone %" PRId64 " s, beside %d that hoard %" PRId64 " s\n", alone_us / SECOND,
             HOARDERS, hoarded.ended_us / SECOND);
    ASSERT(hoarded.ended_us < 2 * alone_us);
    runner_close(hoarded.runner);
}
