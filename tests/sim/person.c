#include "tests/sim/person.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "tests/sim/damage.h"
#include "tests/sim/journal.h"
#include "tests/sim/life.h"
#include "tests/sim/net.h"
#include "tests/sim/person_fields.h"
#include "tests/sim/program.h"
#include "tests/sim/scenario.h"
#include "tests/sim/watch.h"
#include "tests/sim/world.h"

#define LOOK_US (2 * SECOND)
#define STEPS_MAX 96

/* What is said, in this order; LOOK goes on until all jobs have ended. */
enum verb {
    LIST_RM, /* of samples that a job leaves out; what lies there of it may be damaged too */
    LIST_OFFER,
    LIST_PUT,
    OFFER,
    PUT,
    COMMIT,
    JUDGE, /* verdicts on samples, and a revision of them */
    REVISE,
    SUBMIT,
    PAUSE,
    RESUME,
    RELAX,
    UNPIN,
    CANCEL,
    APPLY,
    LOOK,
    REMOVE,
    PULL,
    SHOW,
    MODEL,
    STUDY, /* behind the verbs of jobs */
    STUDY_SHOW,
    STUDY_PAUSE,
    STUDY_RESUME,
    STUDY_CANCEL,
    STUDY_RM
};

static const char *const types[] = {
    [LIST_RM] = "upload.rm",
    [LIST_OFFER] = "dataset.offer",
    [LIST_PUT] = "dataset.put",
    [OFFER] = "dataset.offer",
    [PUT] = "dataset.put",
    [COMMIT] = "dataset.commit",
    [JUDGE] = "verdict.put",
    [REVISE] = "dataset.revise",
    [SUBMIT] = "job.submit",
    [PAUSE] = "job.pause",
    [RESUME] = "job.resume",
    [RELAX] = "job.resume",
    [UNPIN] = "job.unpin",
    [CANCEL] = "job.cancel",
    [APPLY] = "job.apply",
    [LOOK] = "job.list",
    [REMOVE] = "job.rm",
    [PULL] = "",
    [SHOW] = "job.show",
    [MODEL] = "model.get",
    [STUDY] = "study.submit",
    [STUDY_SHOW] = "study.show",
    [STUDY_PAUSE] = "study.pause",
    [STUDY_RESUME] = "study.resume",
    [STUDY_CANCEL] = "study.cancel",
    [STUDY_RM] = "study.rm",
};

struct step {
    enum verb verb;
    int job; /* index */
    int64_t delay_us;
};

struct person_job {
    char uuid[UUID_BYTES];
    int64_t number; /* 0: not known yet */
    bool paused;    /* by will */
    int64_t from;   /* epoch of a revision that was acknowledged; -1: none */
    int spec, like; /* its own, with whose result it ends; and the one that it was made from */
    char state[12];
    bool removing; /* was asked for */
};

static struct {
    struct client client;
    struct step steps[STEPS_MAX];
    int count, at;
    bool extra; /* something between: a job is resumed, the dataset imported again */
    enum verb extra_verb;
    int extra_job;
    struct person_job
        jobs[SCENARIO_JOBS_MAX + SCENARIO_STUDY_JOBS]; /* the study's behind the others */
    int job_count;
    char study_uuid[UUID_BYTES], verdict_uuid[UUID_BYTES];
    struct person_file dataset, list;
} me;

static void do_step(void *arg, int64_t number);

static void add(enum verb verb, int job, int64_t delay_us)
{
    if (me.count < STEPS_MAX)
        me.steps[me.count++] = (struct step){verb, job, delay_us};
}

static int64_t some_time(void)
{
    return scenario_get()->undisturbed ? 0 : world_delay(10 * MS, 10 * SECOND);
}

static void draw_verbs(int job)
{
    if (scenario_get()->undisturbed)
        return;
    for (int i = 0; i < 2 && world_chance(300); i++) {
        add(PAUSE, job, some_time());
        add(RESUME, job, some_time());
    }
    if (me.jobs[job].spec < SCENARIO_SPEC_EXTERNAL && world_chance(50))
        add(world_chance(500) ? RELAX : UNPIN, job, some_time());
    if (world_chance(100))
        add(CANCEL, job, some_time());
}

static void draw_revision(void)
{
    const struct scenario *p = scenario_get();
    bool any = false;

    for (int i = 0; i < p->jobs; i++)
        any = any || scenario_has_revision(p->specs[i]);
    if (!any)
        return;
    scenario_uuid(me.verdict_uuid);
    add(JUDGE, 0, 0);
    add(REVISE, 0, 0);
}

static void draw_study(void)
{
    scenario_uuid(me.study_uuid);
    add(STUDY, 0, some_time());
    add(STUDY_SHOW, 0, 0);
    if (world_chance(300)) {
        add(STUDY_PAUSE, 0, some_time());
        add(STUDY_RESUME, 0, some_time());
    }
    if (world_chance(150))
        add(STUDY_CANCEL, 0, some_time());
}

static void draw_steps(void)
{
    const struct scenario *p = scenario_get();

    add(OFFER, 0, 0);
    add(PUT, 0, 0);
    add(COMMIT, 0, 0);
    if (p->jobs == 0)
        return;
    draw_revision();
    for (int i = 0; i < p->jobs; i++) {
        scenario_uuid(me.jobs[i].uuid);
        me.jobs[i].spec = me.jobs[i].like = p->specs[i];
        me.jobs[i].from = -1;
        if (p->specs[i] == SCENARIO_SPEC_LIST) {
            add(LIST_OFFER, i, 0);
            add(LIST_PUT, i, 0);
        }
        add(SUBMIT, i, some_time());
        if (p->specs[i] == SCENARIO_SPEC_TAKES && !p->undisturbed && world_chance(800))
            add(APPLY, i, some_time());
        if (world_chance(500))
            draw_verbs(i);
    }
    me.job_count = p->jobs;
    if (p->study)
        draw_study();
    for (int i = 0; i < p->jobs; i++)
        draw_verbs(i);
    add(LOOK, 0, 0);
    for (int i = 0; i < p->jobs && !p->undisturbed; i++)
        add(REMOVE, i, 0);
    if (p->study && world_chance(300))
        add(STUDY_RM, 0, 0);
    add(PULL, 0, SECOND);
    for (int i = 0; i < p->jobs + (p->study ? SCENARIO_STUDY_JOBS : 0); i++) {
        add(SHOW, i, 0);
        add(MODEL, i, 0);
    }
}

/* --- asking --- */

static cJSON *spec_of(int index)
{
    int spec = scenario_get()->specs[index];
    cJSON *json = cJSON_Parse(scenario_spec(spec)), *list;

    if (scenario_get()->verify > 0 && spec < SCENARIO_SPEC_EXTERNAL)
        cJSON_AddNumberToObject(json, "verify", scenario_get()->verify);
    if (spec != SCENARIO_SPEC_LIST)
        return json;
    list = cJSON_AddObjectToObject(json, "exclude");
    cJSON_AddStringToObject(list, "file", "list.safetensors");
    cJSON_AddStringToObject(list, "sha256", me.list.sha256);
    return json;
}

#define ARMS "{\"a\":{},\"b\":{\"sam.rho\":1}"
/* Rates so large that the arms differ in what they get right. */
#define FAST(arm, lr) ",\"" arm "\":{\"optimizer.lr\":" lr "}"
#define MORE_ARMS "{\"a\":{}" FAST("b", "1") FAST("c", "4") FAST("d", "16") "}"

/* SCENARIO_STUDY_JOBS jobs. Without halving the arm "a" with seed 1 is the spec itself. */
static cJSON *study_file(void)
{
    const bool halving = scenario_get()->halving;
    cJSON *json = cJSON_Parse(scenario_spec(scenario_get()->study_spec));

    cJSON_AddStringToObject(json, "name", "st");
    cJSON_AddItemToObject(json, "seeds", cJSON_Parse(halving ? "[1]" : "[1,2]"));
    cJSON_AddItemToObject(json, "arms", cJSON_Parse(halving ? MORE_ARMS : ARMS "}"));
    cJSON_AddStringToObject(json, "control", "a");
    if (halving) {
        cJSON_ReplaceItemInObject(json, "epochs", cJSON_CreateNumber(4));
        cJSON_AddItemToObject(json, "validation", cJSON_Parse("{\"share\":0.2}"));
        cJSON_AddTrueToObject(json, "halving");
    }
    return json;
}

static void ask_study(enum verb verb)
{
    cJSON *fields = cJSON_CreateObject();

    if (verb == STUDY) {
        cJSON_AddStringToObject(fields, "uuid", me.study_uuid);
        cJSON_AddItemToObject(fields, "spec", study_file());
    } else {
        cJSON_AddStringToObject(fields, "study", "st");
    }
    for (int i = scenario_get()->jobs; i < me.job_count && verb != STUDY_SHOW; i++)
        note("ask verb=%s job=%" PRId64, types[verb], me.jobs[i].number);
    net_ask(&me.client, types[verb], fields, NULL, 0, "study=st");
}

/* Another label for some, others to leave out; of those that validate, too. */
#define VERDICTS                                                                                   \
    "[{\"sample\":2,\"verdict\":\"wrong\",\"label\":0},{\"sample\":5,\"verdict\":\"exclude\"},"    \
    "{\"sample\":7,\"verdict\":\"wrong\",\"label\":2},{\"sample\":30,\"verdict\":\"exclude\"},"    \
    "{\"sample\":31,\"verdict\":\"unsure\"}]"

static void fill(enum verb verb, const struct person_job *job, int index, cJSON *out,
                 struct tensor *tensor, int *tensors)
{
    const struct person_file *file = verb <= LIST_PUT ? &me.list : &me.dataset;

    if (verb <= COMMIT) {
        cJSON_AddStringToObject(out, "sha256", file->sha256);
        if (verb != COMMIT && verb != LIST_RM)
            cJSON_AddNumberToObject(out, "bytes", (double)file->bytes);
        if (verb == COMMIT)
            cJSON_AddStringToObject(out, "name", "d");
        if (verb == PUT || verb == LIST_PUT) {
            cJSON_AddNumberToObject(out, "offset", 0);
            *tensor = tensor_1d("piece", DTYPE_U8, file->bytes, file->data);
            *tensors = 1;
        }
    } else if (verb == JUDGE) {
        cJSON_AddStringToObject(out, "dataset", "d");
        cJSON_AddStringToObject(out, "uuid", me.verdict_uuid);
        cJSON_AddItemToObject(out, "rows", cJSON_Parse(VERDICTS));
    } else if (verb == REVISE) {
        cJSON_AddStringToObject(out, "name", "d");
    } else if (verb == SUBMIT) {
        cJSON_AddStringToObject(out, "uuid", job->uuid);
        cJSON_AddItemToObject(out, "spec", spec_of(index));
    } else if (verb != LOOK) {
        cJSON_AddNumberToObject(out, "job", (double)job->number);
        if (verb == RELAX)
            cJSON_AddTrueToObject(out, "relaxed");
        else if (verb == UNPIN) /* of nearly all workers */
            cJSON_AddStringToObject(out, "class", "class-0");
    }
}

static void ask(enum verb verb, int index)
{
    if (verb >= STUDY) {
        ask_study(verb);
        return;
    }
    struct person_job *job = &me.jobs[index];
    cJSON *fields = cJSON_CreateObject();
    struct tensor tensor;
    int tensors = 0;
    char what[80] = "";

    job->removing |= verb == REMOVE;
    fill(verb, job, index, fields, &tensor, &tensors);
    if (verb == SUBMIT)
        snprintf(what, sizeof(what), "uuid=%s", job->uuid);
    else if (verb > SUBMIT && verb != LOOK)
        snprintf(what, sizeof(what), "job=%" PRId64, job->number);
    if (verb >= SUBMIT && verb <= REMOVE && verb != LOOK)
        note("ask verb=%s %s%s", types[verb], what,
             verb == RELAX   ? " relaxed=1"
             : verb == UNPIN ? " unpinned=1"
                             : "");
    if (verb == COMMIT)
        note("ask verb=dataset.commit");
    net_ask(&me.client, types[verb], fields, &tensor, tensors, what);
}

static void next(void)
{
    me.extra = false;
    me.at++;
    if (me.at == me.count)
        world_end();
    else
        world_after(me.steps[me.at].delay_us, do_step, NULL, me.at);
}

static void try_again(int64_t after_us)
{
    world_after(after_us, do_step, NULL, me.at);
}

static void do_extra(enum verb verb, int job)
{
    me.extra = true;
    me.extra_verb = verb;
    me.extra_job = job;
}

/* The server says that the dataset's file is damaged, and what helps. */
static void heal(int64_t after_us)
{
    if (world_chance(250))
        damage_put_back();
    else if (!me.extra)
        do_extra(OFFER, 0);
    try_again(after_us);
}

static bool is_final(const char *state)
{
    return strcmp(state, "done") == 0 || strcmp(state, "failed") == 0 ||
           strcmp(state, "cancelled") == 0;
}

/* Whether there is something to remove: of the cancelled ones, every other. */
static bool skips(const struct step *s)
{
    const struct person_job *job = &me.jobs[s->job];

    if (s->verb < STUDY && s->job >= me.job_count && s->job > 0)
        return true; /* its study was gone before it was looked at */

    if (s->verb == REMOVE) /* what was asked for once is asked for until it is done */
        return strcmp(job->state, "cancelled") != 0 || (!job->removing && world_chance(500));
    if (s->verb == MODEL)
        return strcmp(job->state, "done") != 0;
    return s->verb == SHOW && strcmp(job->state, "removed") == 0;
}

static void pull(void)
{
    note("plug");
    life_kill(true);
    next();
}

static void do_step(void *arg, int64_t number)
{
    const struct step *s = &me.steps[me.at];

    (void)arg;
    if (number != me.at)
        return;
    if (skips(s))
        next();
    else if (s->verb == PULL && life_up())
        pull();
    else if (s->verb == PULL)
        try_again(SECOND);
    else if (me.extra)
        ask(me.extra_verb, me.extra_job);
    else
        ask(s->verb, s->job);
}

/* --- answers --- */

static bool says_damaged(const char *sentence)
{
    return strstr(sentence, "import the same data again") != NULL;
}

static bool is_of_list(const char *sentence)
{
    return strncmp(sentence, "exclude: ", strlen("exclude: ")) == 0;
}

static void send_list(int64_t after_us)
{
    if (!me.extra)
        do_extra(LIST_RM, 0);
    try_again(after_us);
}

/* The jobs as they are; resumes one that the server paused and will not take up by itself, ends the
 * looking when all have ended. */
static void take_list(const struct message *m)
{
    bool all = true, damaged = false, list_damaged = false;
    const cJSON *row;

    me.extra = false;
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(m->json, "jobs"))
    {
        for (int i = 0; i < me.job_count; i++) {
            struct person_job *job = &me.jobs[i];
            if (job->number != number(row, "job"))
                continue;
            snprintf(job->state, sizeof(job->state), "%s", text(row, "state"));
            all = all && is_final(job->state) && !text(row, "waiting")[0];
            if (strcmp(job->state, "paused") == 0)
                note("paused job=%" PRId64 " reason=\"%s\"", job->number, text(row, "reason"));
            if (strcmp(job->state, "paused") == 0 && !me.extra && watch_needs_resume(job->number))
                do_extra(RESUME, i);
            if (is_of_list(text(row, "waiting"))) {
                note("waits_for_list job=%" PRId64 " for=\"%.200s\"", job->number,
                     text(row, "waiting"));
                list_damaged = true;
            }
            if (says_damaged(text(row, "waiting"))) {
                note("waits job=%" PRId64 " for=\"%.200s\"", job->number, text(row, "waiting"));
                damaged = true;
            }
        }
    }
    if (all)
        next();
    else if (damaged && !me.extra && world_chance(500))
        heal(LOOK_US);
    else if (list_damaged && !me.extra && world_chance(500))
        send_list(LOOK_US);
    else
        try_again(LOOK_US);
}

static void take_ack(enum verb verb, int index, const struct message *m)
{
    struct person_job *job = &me.jobs[index];
    const cJSON *row = cJSON_GetObjectItemCaseSensitive(m->json, "job");

    if (verb == SUBMIT) {
        job->number = number(row, "job");
        note("submitted job=%" PRId64 " spec=%d", job->number, job->spec);
        program_begin(job->number, job->spec);
    }
    if (verb == APPLY)
        job->from = number(m->json, "from");
    if (verb == REMOVE)
        snprintf(job->state, sizeof(job->state), "removed");
    note("ack verb=%s job=%" PRId64 " state=%s", types[verb], verb < SUBMIT ? -1 : job->number,
         verb == REMOVE ? "removed" : text(row, "state"));
    if (verb == LIST_PUT)
        note("list_sent");
    if (me.extra && verb < COMMIT && verb != LIST_PUT)
        do_extra(verb + 1, 0), try_again(0);
    else if (me.extra)
        me.extra = false, try_again(LOOK_US);
    else
        next();
}

/* The jobs of the study, which are jobs like others from now on. */
static void take_study_jobs(const struct message *m)
{
    const cJSON *row, *job;

    me.job_count = scenario_get()->jobs;
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(m->json, "rows"))
    {
        cJSON_ArrayForEach(job, cJSON_GetObjectItemCaseSensitive(row, "jobs"))
        {
            struct person_job *mine = &me.jobs[me.job_count];
            if (me.job_count++ == scenario_get()->jobs + SCENARIO_STUDY_JOBS)
                life_crash("a study has too many jobs");
            *mine = (struct person_job){.number = number(job, "job"), .spec = -1};
            mine->like = scenario_get()->study_spec;
            if (!scenario_get()->halving && *text(row, "arm") == 'a' && number(job, "seed") == 1)
                mine->spec = mine->like;
            note("submitted job=%" PRId64 " spec=%d arm=%s", mine->number, mine->spec,
                 scenario_get()->halving ? text(row, "arm") : "");
        }
    }
}

static void take_study(enum verb verb, const struct message *m)
{
    if (verb == STUDY_SHOW)
        take_study_jobs(m);
    for (int i = scenario_get()->jobs; i < me.job_count && verb == STUDY_RM; i++)
        snprintf(me.jobs[i].state, sizeof(me.jobs[i].state), "removed");
    note("study_ack verb=%s", types[verb]);
    next();
}

static bool is_damaged(const struct message *m)
{
    return strcmp(text(m->json, "code"), "unavailable") == 0 &&
           strstr(text(m->json, "error"), "is damaged") != NULL &&
           !says_damaged(text(m->json, "error"));
}

static void begin_import(void)
{
    if (me.extra)
        do_extra(OFFER, 0);
    else
        me.at = 0;
    try_again(SECOND);
}

static void on_reply(void *arg, const struct message *m)
{
    const struct step *s = &me.steps[me.at];
    const char *code = text(m->json, "code");
    enum verb verb = me.extra ? me.extra_verb : s->verb;
    int index = me.extra ? me.extra_job : s->job;

    (void)arg;
    if (code[0])
        note("denied verb=%s job=%" PRId64 " code=%s error=\"%.200s\"", types[verb],
             me.jobs[index].number, code, text(m->json, "error"));
    if (verb == LIST_RM) /* also when there was none */
        take_ack(verb, index, m);
    else if (strcmp(code, "not_allowed") == 0 && me.extra)
        me.extra = false, try_again(LOOK_US);
    else if (verb == REMOVE && strcmp(code, "not_found") == 0) /* the answer before was lost */
        take_ack(verb, index, m);
    else if (verb == STUDY_RM && strcmp(code, "not_found") == 0) /* likewise */
        take_study(verb, m);
    else if (strcmp(code, "not_allowed") == 0 || (verb == MODEL && is_damaged(m)))
        next();
    else if (verb == COMMIT && (strcmp(code, "not_found") == 0 || strcmp(code, "bad_field") == 0 ||
                                strcmp(code, "gone") == 0))
        begin_import(); /* the upload is gone, or was damaged: once more */
    else if (is_of_list(text(m->json, "error")))
        send_list(SECOND);
    else if (says_damaged(text(m->json, "error")))
        heal(SECOND);
    else if (code[0])
        try_again(SECOND);
    else if (verb >= STUDY)
        take_study(verb, m);
    else if (verb == LOOK)
        take_list(m);
    else if (verb == SHOW)
        person_show(me.jobs[index].number, me.jobs[index].like, me.jobs[index].from, m), next();
    else if (verb == MODEL)
        note("final_model job=%" PRId64 " model=%s", me.jobs[index].number,
             text(m->json, "sha256")),
            next();
    else
        take_ack(verb, index, m);
}

void person_begin(const struct person_file *dataset, const struct person_file *list)
{
    me.dataset = *dataset;
    me.list = *list;
    me.client = (struct client){.number = 0, .reply = on_reply};
    scenario_uuid(me.client.sender);
    net_add(&me.client);
    draw_steps();
    world_after(0, do_step, NULL, 0);
}
