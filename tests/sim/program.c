#include "tests/sim/program.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/fields.h"
#include "tests/sim/journal.h"
#include "tests/sim/net.h"
#include "tests/sim/person_fields.h"
#include "tests/sim/program_epoch.h"
#include "tests/sim/world.h"

#define PIECE_POSITIONS 15     /* of a stream, in a message */
#define TAKEN_OVER_PERMILLE 50 /* with each answer */

enum saying { OPEN, SHOW, JOIN, ORDER, REPORT, CLOSE };
static const char *const types[] = {"external.open",  "job.show",        "external.join",
                                    "external.order", "external.report", "external.close"};

/* What is said in between, of which nothing may count. */
enum odd { NOTHING, LATE /* of an epoch that is closed */, BROKEN /* with a NaN */ };

/* A process; when one ends, the other begins. */
struct program {
    struct client client;
    int64_t turn;     /* counts what it has planned: what is older is forgotten */
    bool speaks;      /* it was started, and has not ended */
    bool stale;       /* it speaks on, though another was told that the job is its own */
    bool asked_stale; /* what is outstanding was asked since */
    enum saying saying;
    enum odd odd;
    uint32_t rank;              /* that is spoken for */
    int64_t back;               /* the epoch of its checkpoint; -1: it goes on */
    int64_t incarnation, first; /* epoch that opening gave */
    uint32_t batch;
    bool probabilities;       /* the job keeps them */
    char life[UUID_BYTES];    /* of the memory that the pieces up to `sent` went to */
    char opening[UUID_BYTES]; /* what it calls its opening; "" nothing, as older clients */
    struct program_epoch e;
};

static struct {
    struct program both[2];
    int current;
    int64_t job, newest; /* incarnation */
    int64_t closed;      /* epochs of which a program was told so */
    bool over;
} me;

static void say(void *arg, int64_t turn);

static void later(struct program *p, int64_t us)
{
    world_after(us, say, p, ++p->turn);
}

static bool calm(void)
{
    return scenario_get()->undisturbed || world_now_us() >= scenario_get()->calm_us;
}

static int64_t some_time(void)
{
    return scenario_get()->undisturbed ? 0 : world_delay(MS, SECOND);
}

static void stop(struct program *p)
{
    p->turn++;
    p->speaks = false;
    net_stop(&p->client);
}

/* --- processes --- */

static void name_opening(struct program *p)
{
    p->opening[0] = 0;
    if (world_chance(700))
        snprintf(p->opening, sizeof(p->opening), "%08x-0000-4000-8000-%012x",
                 (unsigned)world_draw(UINT32_MAX), (unsigned)world_draw(UINT32_MAX));
}

static void start(struct program *p, int64_t after_us)
{
    stop(p);
    p->speaks = true;
    p->stale = false;
    p->saying = OPEN;
    p->odd = NOTHING;
    p->incarnation = 0;
    p->back = me.closed > 0 && world_chance(400) ? (int64_t)world_draw((uint64_t)me.closed) : -1;
    name_opening(p);
    later(p, after_us);
}

/* The current one ends, or is left alone and speaks on; another takes its place. */
static void take_over(bool speaks_on)
{
    struct program *old = &me.both[me.current];

    note("program_ends incarnation=%" PRId64 " speaks_on=%d", old->incarnation, speaks_on);
    if (!speaks_on)
        stop(old);
    me.current = !me.current;
    start(&me.both[me.current], world_delay(10 * MS, 20 * SECOND));
}

static void end_all(const char *why)
{
    note("program_over why=\"%s\"", why);
    me.over = true;
    stop(&me.both[0]);
    stop(&me.both[1]);
}

/* --- asking --- */

static cJSON *fields_of(const struct program *p, const struct program_epoch *e)
{
    cJSON *fields = cJSON_CreateObject();

    cJSON_AddNumberToObject(fields, "job", (double)me.job);
    if (p->saying != OPEN && p->saying != SHOW)
        cJSON_AddNumberToObject(fields, "incarnation", (double)p->incarnation);
    if (p->saying >= ORDER)
        cJSON_AddNumberToObject(fields, "epoch", (double)e->epoch);
    if (p->saying == ORDER || p->saying == CLOSE) {
        cJSON_AddNumberToObject(fields, "rank", p->rank);
        cJSON_AddNumberToObject(fields, "world", e->world);
    }
    return fields;
}

static void ask(struct program *p, cJSON *fields, const struct tensor *tensors, int count)
{
    char what[100];

    p->asked_stale = p->stale;
    snprintf(what, sizeof(what), "job=%" PRId64 " inc=%" PRId64 " epoch=%" PRId64, me.job,
             p->incarnation, p->saying == OPEN ? p->back : p->e.epoch - (p->odd == LATE));
    net_ask(&p->client, types[p->saying], fields, tensors, count, what);
}

static void ask_open(struct program *p)
{
    cJSON *fields = fields_of(p, &p->e);
    char name[32];

    snprintf(name, sizeof(name), "train.py on %d", p->client.number);
    cJSON_AddStringToObject(fields, "program", name);
    if (p->back >= 0)
        cJSON_AddNumberToObject(fields, "epoch", (double)p->back);
    if (p->opening[0])
        cJSON_AddStringToObject(fields, "uuid", p->opening);
    ask(p, fields, NULL, 0);
}

static void ask_order(struct program *p)
{
    cJSON *fields;
    uint32_t count = PIECE_POSITIONS;

    p->rank = program_epoch_lacks(&p->e);
    const uint32_t at = p->e.have[p->rank];
    /* The first piece is small enough for the shortest stream. */
    count = p->e.total == 0 ? 1 : 1 + (uint32_t)world_draw(count);
    if (p->e.total > 0 && count > p->e.total - at)
        count = p->e.total - at;
    fields = fields_of(p, &p->e);
    cJSON_AddNumberToObject(fields, "first", at);
    cJSON_AddNumberToObject(fields, "count", count);
    ask(p, fields, NULL, 0);
}

/* Of a program that was superseded, and of an epoch that is closed, it is anything but what counts.
 */
static void ask_report(struct program *p)
{
    struct program_epoch e = p->e;
    const struct piece *piece = &e.pieces[e.sent];
    struct piece_values values;
    struct tensor tensors[PIECE_TENSORS];

    if (p->odd == LATE)
        e.epoch--;
    cJSON *fields = fields_of(p, &e);
    const int count =
        program_epoch_values(&e, piece, p->stale || p->odd != NOTHING, &values, tensors);
    if (p->odd == BROKEN)
        program_epoch_break(piece, &values);
    if (piece->test)
        cJSON_AddStringToObject(fields, "split", "test");
    ask(p, fields, tensors, count);
}

static void ask_close(struct program *p)
{
    cJSON *fields = fields_of(p, &p->e), *metrics;

    cJSON_AddStringToObject(fields, "life", p->life);
    metrics = cJSON_AddObjectToObject(fields, "metrics");
    cJSON_AddNumberToObject(metrics, "train_loss", 1.0 / (double)(p->e.epoch + 1));
    if (p->rank > 0)
        cJSON_AddNumberToObject(metrics, "of_a_rank", (double)p->e.epoch);
    ask(p, fields, NULL, 0);
}

static void say(void *arg, int64_t turn)
{
    struct program *p = arg;

    if (turn != p->turn || !p->speaks)
        return;
    if (p->stale && p->saying == SHOW) /* which everybody may */
        p->saying = JOIN;
    if (p->saying == OPEN)
        ask_open(p);
    else if (p->saying == ORDER)
        ask_order(p);
    else if (p->saying == REPORT)
        ask_report(p);
    else if (p->saying == CLOSE)
        ask_close(p);
    else
        ask(p, fields_of(p, &p->e), NULL, 0);
}

/* --- an epoch --- */

static void begin_epoch(struct program *p, int64_t epoch)
{
    program_epoch_begin(&p->e, epoch, p->e.world, p->probabilities);
    p->saying = ORDER;
    p->odd = NOTHING;
}

/* All reports of the open epoch go out again. */
static void notice_life(struct program *p, const struct message *m)
{
    const char *life = text(m->json, "life");

    if (strcmp(life, p->life) == 0)
        return;
    snprintf(p->life, sizeof(p->life), "%s", life);
    p->e.sent = 0;
    memset(p->e.closed, 0, sizeof(p->e.closed));
    if (p->saying == CLOSE)
        p->saying = REPORT;
}

/* What comes after a report. */
static void go_on(struct program *p)
{
    p->odd = NOTHING;
    if (p->e.sent == p->e.piece_count) {
        p->saying = CLOSE;
        p->rank = (uint32_t)world_draw(p->e.world);
    } else if (!calm() && world_chance(60)) {
        p->odd = p->e.epoch > 0 && world_chance(500) ? LATE : BROKEN;
    }
}

static void take_opened(struct program *p, const struct message *m)
{
    static const uint32_t worlds[] = {1, 2, 3};

    p->incarnation = fields_number(m, "incarnation", 0);
    p->first = fields_number(m, "epoch", -1);
    p->batch = (uint32_t)fields_number(m, "batch", 0);
    p->probabilities = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(m->json, "probabilities"));
    note("opened job=%" PRId64 " inc=%" PRId64 " epoch=%" PRId64 " asked=%" PRId64, me.job,
         p->incarnation, p->first, p->back);
    if (p->back >= 0 && p->first != p->back)
        note("violation what=\"a program is given another epoch than it asked for\"");
    if (p->incarnation <= me.newest)
        note("violation what=\"an incarnation is given twice\"");
    me.newest = p->incarnation;
    me.closed = p->first;
    me.both[!me.current].stale = true;
    snprintf(p->life, sizeof(p->life), "%s", text(m->json, "life"));
    p->e.world = worlds[world_draw(RANKS_MOST)];
    begin_epoch(p, p->first);
    p->saying = SHOW;
}

/* What was taken back is out of the views, unless another program has closed it again since. */
static void take_shown(struct program *p, const struct message *m)
{
    const cJSON *epoch;

    cJSON_ArrayForEach(epoch, cJSON_GetObjectItemCaseSensitive(m->json, "epochs"))
    {
        if (!p->stale && number(epoch, "epoch") >= p->first &&
            cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(epoch, "committed")))
            note("violation what=\"an epoch that was taken back is shown\"");
    }
    p->saying = world_chance(500) ? JOIN : ORDER;
}

static void take_joined(struct program *p, const struct message *m)
{
    if (fields_number(m, "incarnation", 0) != p->incarnation ||
        fields_number(m, "epoch", -1) != p->first)
        note("violation what=\"who joins is told something else than who opened\"");
    notice_life(p, m);
    p->saying = ORDER;
}

static void take_order(struct program *p, const struct message *m)
{
    notice_life(p, m);
    program_epoch_take(&p->e, p->rank, p->batch, m);
    if (program_epoch_lacks(&p->e) < p->e.world)
        return;
    note("ordered job=%" PRId64 " inc=%" PRId64 " epoch=%" PRId64 " stream=%s", me.job,
         p->incarnation, p->e.epoch, text(m->json, "stream_sha256"));
    program_epoch_cut(&p->e);
    p->saying = REPORT;
}

static void take_reported(struct program *p, const struct message *m)
{
    if (p->odd == BROKEN)
        note("violation what=\"a report with a NaN is taken\"");
    if (p->odd == LATE && fields_number(m, "counted", -1) != 0)
        note("violation what=\"a report of a closed epoch counts\"");
    if (p->odd == NOTHING)
        p->e.sent++;
    notice_life(p, m);
    go_on(p);
}

static void take_all_closed(struct program *p, const struct message *m)
{
    const int64_t next = fields_number(m, "next", -1);

    note("closed_epoch job=%" PRId64 " inc=%" PRId64 " epoch=%" PRId64 " scores=%s", me.job,
         p->incarnation, p->e.epoch, text(m->json, "scores_sha256"));
    if (next >= 0 && next != p->e.epoch + 1)
        note("violation what=\"epochs do not follow one another\"");
    me.closed = p->e.epoch + 1;
    if (next < 0)
        end_all("done");
    else
        begin_epoch(p, next);
}

static void take_closed(struct program *p, const struct message *m)
{
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(m->json, "closed"))) {
        take_all_closed(p, m);
        return;
    }
    if (strcmp(text(m->json, "life"), p->life) == 0)
        p->e.closed[p->rank] = true;
    notice_life(p, m);
    for (uint32_t i = 0; i < p->e.world && p->e.closed[p->rank]; i++)
        p->rank = (p->rank + 1) % p->e.world;
}

/* --- answers --- */

static void take_stale(struct program *p, const char *code)
{
    if (p->asked_stale && !code[0])
        note("violation what=\"a superseded program is answered\"");
    if (strcmp(code, "gone") == 0 || strcmp(code, "not_found") == 0)
        stop(p);
    else
        later(p, world_delay(10 * MS, 5 * SECOND));
}

static void take_error(struct program *p, const char *code, const struct message *m)
{
    const char *sentence = text(m->json, "error");

    note("program_denied type=%s job=%" PRId64 " code=%s error=\"%.200s\"", types[p->saying],
         me.job, code, sentence);
    if (strcmp(code, "bad_tensor") == 0 && p->odd == BROKEN) {
        go_on(p);
        later(p, some_time());
    } else if (strcmp(code, "gone") == 0 && strstr(sentence, "superseded")) {
        take_over(false); /* by an opening of its own that came twice, or late */
    } else if (strcmp(code, "gone") == 0 || strcmp(code, "not_found") == 0) {
        end_all(sentence);
    } else if (strcmp(code, "bad_field") == 0 && p->saying == OPEN && p->back >= 0) {
        p->back = -1; /* an old opening has taken back more than it has */
        name_opening(p);
        later(p, some_time());
    } else if (strcmp(code, "unavailable") == 0) {
        later(p, world_delay(50 * MS, 2 * SECOND));
    } else if (strcmp(code, "not_allowed") == 0 && strcmp(text(m->json, "state"), "paused") == 0) {
        later(p, 2 * SECOND);
    } else {
        note("violation what=\"%s is refused with %s\"", types[p->saying], code);
    }
}

static void on_reply(void *arg, const struct message *m)
{
    static void (*const take[])(struct program * p, const struct message *m) = {
        take_opened, take_shown, take_joined, take_order, take_reported, take_closed};
    struct program *p = arg;
    const char *code = text(m->json, "code");

    if (p->asked_stale || (p->stale && code[0])) {
        take_stale(p, code);
        return;
    }
    if (p != &me.both[me.current] && strcmp(code, "gone") == 0) {
        stop(p);
        return;
    }
    if (code[0]) {
        take_error(p, code, m);
        return;
    }
    take[p->saying](p, m);
    if (me.over)
        return;
    if (p == &me.both[me.current] && !calm() && world_chance(TAKEN_OVER_PERMILLE))
        take_over(world_chance(500));
    if (p->speaks)
        later(p, some_time());
}

void program_begin(int64_t job, int spec)
{
    if (spec < SCENARIO_SPEC_EXTERNAL || me.job)
        return;
    me.job = job;
    for (int i = 0; i < 2; i++) {
        struct client *c = &me.both[i].client;
        *c = (struct client){.number = CLIENT_PROGRAM + i, .reply = on_reply, .arg = &me.both[i]};
        scenario_uuid(c->sender);
        net_add(c);
    }
    start(&me.both[0], some_time());
}
