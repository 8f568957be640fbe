/* One request is outstanding at any time. A result is sent until it is answered; the server counts
 * it once, however often it comes. */
#include "worker/duty.h"

#include <errno.h>
#include <string.h>

#include "common/halves.h"
#include "common/log.h"
#include "common/notify.h"
#include "proto/client.h"
#include "worker/combine.h"
#include "worker/greet.h"
#include "worker/loaded.h"
#include "worker/numerics.h"
#include "worker/predict.h"
#include "worker/refusal.h"
#include "worker/runner.h"
#include "worker/talk.h"
#include "worker/task.h"

#define TASK_MS 40000 /* the server holds a reply for up to 25 s */
#define TASK_RETRY_MS 35000
/* A prediction and a job take turns: its model is kept for so many tasks of jobs. */
#define PREDICT_KEPT_TASKS 8

struct duty {
    const struct duty_options *options;
    struct talk talk;
    struct cache cache;
    struct halves *halves; /* NULL: none */
    char class[NUMERICS_CLASS_BYTES];
    char wanted[NUMERICS_CLASS_BYTES]; /* a class that the server asked for; "" */
    bool known;                        /* the server has accepted a hello before */
    struct loaded loaded;
    struct combine combine;  /* with other workers */
    struct predict *predict; /* NULL: none is loaded */
    int others;              /* tasks of jobs since its last one */
};

/* --- the data of a task --- */

/* The vector is long and all threads wait for it. */
static int copy_vector(const struct duty *s, const struct message *m, const char *name, float *out,
                       struct errbuf *why)
{
    const uint64_t n = s->loaded.model.floats;
    const struct tensor *t;
    int rc = message_tensor(m, name, DTYPE_F32, 1, &n, &t, why);

    if (rc == 0) /* a value that is not finite shows in the loss */
        halves_copy(s->halves, out, t->data, t->bytes);
    return rc;
}

/* --- computing and answering --- */

static cJSON *with_have(const struct loaded *p)
{
    cJSON *request = cJSON_CreateObject();

    if (p->job && p->share.number) {
        cJSON *have = cJSON_AddObjectToObject(request, "have");
        cJSON_AddNumberToObject(have, "job", (double)p->job);
        cJSON_AddNumberToObject(have, "incarnation", (double)p->share.incarnation);
        cJSON_AddNumberToObject(have, "share", (double)p->share.number);
    } else if (p->job && p->step >= 0) {
        cJSON *have = cJSON_AddObjectToObject(request, "have");
        cJSON_AddNumberToObject(have, "job", (double)p->job);
        cJSON_AddNumberToObject(have, "incarnation", (double)p->incarnation);
        cJSON_AddNumberToObject(have, "step", (double)p->step);
        cJSON_AddNumberToObject(have, "phase", p->phase);
        if (p->turn)
            cJSON_AddNumberToObject(have, "turn", (double)p->turn);
        if (p->vector_turn)
            cJSON_AddNumberToObject(have, "vector", (double)p->vector_turn);
    }
    return request;
}

static cJSON *with_key(const struct loaded *p, const struct task *t)
{
    cJSON *request = with_have(p);

    task_add_key(request, t);
    return request;
}

/* Fetches the task's theta, or its vector, in pieces. */
static int fetch(struct duty *s, const struct loaded *p, const struct task *t, bool vector,
                 struct errbuf *why)
{
    const size_t bytes = p->model.floats * sizeof(float);
    const int64_t said = vector ? t->vector_bytes : t->theta_bytes;
    cJSON *key;

    if ((uint64_t)said != bytes)
        return err_set(why, -EINVAL, "the task's %s has %lld bytes, the model has %zu",
                       vector ? "vector" : "theta", (long long)said, bytes);
    key = cJSON_CreateObject();
    task_add_round(key, t);
    if (vector)
        cJSON_AddTrueToObject(key, "vector");
    int rc = vector ? talk_fetch(&s->talk, key, bytes, p->vector, why)
                    : combine_theta(&s->combine, &s->talk, t, key, bytes, p->theta, why);
    cJSON_Delete(key);
    return rc;
}

/* Makes p->at the task's theta: where it is shared, from the message, in pieces, or as it already
 * is. As talk_call. */
static int read_theta(struct duty *s, struct loaded *p, const struct message *m,
                      const struct task *t, struct errbuf *why)
{
    const bool inlined = tensor_find(m->tensors, m->tensor_count, "theta") != NULL;
    const bool moved = phase_moved((enum phase)t->phase);
    const enum phase phase = moved ? (enum phase)t->phase : PHASE_TRAIN;
    const int64_t turn = moved ? t->turn : 0;
    int rc;

    if (t->theta_place >= 0)
        return loaded_take_shared(p, t, why);
    p->at = p->theta;
    p->told.job = 0;
    if (inlined || t->theta_bytes) {
        if (p->step != t->step || p->incarnation != t->incarnation)
            p->vector_turn = 0;
        p->step = -1;
        peer_hide(s->combine.peer);
        rc = inlined ? copy_vector(s, m, "theta", p->theta, why) : fetch(s, p, t, false, why);
        if (rc < 0)
            return rc;
        group_share(p->group, GROUP_JOB, GROUP_THETA, p->theta, p->model.floats);
        p->incarnation = t->incarnation;
        p->step = t->step;
        p->phase = phase;
        p->turn = turn;
    }
    loaded_share(p, s->options, &s->talk);
    if (p->step != t->step || p->incarnation != t->incarnation || p->phase != phase ||
        p->turn != turn)
        return err_set(why, -EINVAL, "the task came without theta%s of step %lld",
                       moved ? " hat" : "", (long long)t->step);
    peer_show(s->combine.peer, p->theta, p->model.floats * sizeof(float));
    return 0;
}

/* The same for p->vector, which a product has beside theta. */
static int read_vector(struct duty *s, struct loaded *p, const struct message *m,
                       const struct task *t, struct errbuf *why)
{
    const bool inlined = tensor_find(m->tensors, m->tensor_count, "vector") != NULL;
    int rc;

    if (t->phase != PHASE_PRODUCT)
        return 0;
    if (!p->vector)
        return err_set(why, -EINVAL, "a product is wanted of job %lld, which measures no flatness",
                       (long long)t->job);
    if (inlined || t->vector_bytes) {
        p->vector_turn = 0;
        rc = inlined ? copy_vector(s, m, "vector", p->vector, why) : fetch(s, p, t, true, why);
        if (rc < 0)
            return rc;
        group_share(p->group, GROUP_JOB, GROUP_PRODUCT, p->vector, p->model.floats);
        p->vector_turn = t->turn;
    }
    return t->turn > 0 && p->vector_turn == t->turn
               ? 0
               : err_set(why, -EINVAL, "the task came without its vector");
}

struct answer {
    enum message_type type;
    cJSON *request;
    struct tensor tensors[RESULT_PARTS];
    int tensor_count;
    const float *upload; /* [floats], a gradient that is sent in pieces before it; else NULL */
    size_t upload_bytes;
    cJSON *upload_key;
};

static void answer_done(struct answer *a)
{
    cJSON_Delete(a->request);
    cJSON_Delete(a->upload_key);
    *a = (struct answer){.request = NULL};
}

/* The two phases of an ascent by the whole batch are plain passes, at theta and at theta hat: the
 * server has ascended between them. */
static struct step_spec step_spec_of(const struct jobspec *spec, const struct task *t)
{
    return (struct step_spec){
        .rho = t->phase == PHASE_TRAIN && t->step % spec->sam_interval == 0 ? spec->rho : 0,
        .sam = (enum sam_kind)spec->sam,
        .sam_alpha = spec->sam_alpha,
        .smoothing = spec->label_smoothing,
        .mixup = spec->mixup,
        .fused = t->kind == TASK_TRAIN &&
                 phase_scores((enum phase)t->phase, spec->score_source == SOURCE_TRAIN),
        .attack = (enum attack)spec->attack,
        .epsilon = spec->epsilon,
        .alpha = spec->alpha,
        .moves = (uint32_t)spec->attack_steps,
        .random_start = spec->random_start,
        .online = jobspec_online(spec),
        .order = {.measure = (enum measure)spec->curriculum.measure,
                  .normaliser = (enum normaliser)spec->normaliser,
                  .hard_first = spec->curriculum.order == ORDER_HARD_FIRST},
        .augment = {.crop = (uint32_t)spec->crop, .flip = spec->flip},
        .seed = spec->seed,
        .step = (uint64_t)t->step,
        .slot = (uint32_t)(t->lo * spec->shard),
    };
}

static struct result_shape shape_of(const struct loaded *p, const struct task *t)
{
    return result_shape((enum phase)t->phase, p->spec.score_source == SOURCE_TRAIN, p->model.floats,
                        (uint32_t)t->count, p->spec.score_probabilities ? p->model.classes : 0);
}

static bool shares(const struct loaded *p, const struct task *t)
{
    return p->share.number && p->share.incarnation == t->incarnation;
}

/* The gradient goes to the server: in memory that it has with us, ahead of the result, or (nothing
 * is to be done) in it. */
static void send_gradient(const struct duty *s, const struct loaded *p, const struct task *t,
                          const float *grad, struct result_shape *io, struct answer *a)
{
    const size_t bytes = p->model.floats * sizeof(float);

    if (!io->floats && !io->ahead)
        return;
    if (shares(p, t)) {
        halves_copy(s->halves, share_gradient(&p->share), grad, bytes);
        cJSON_AddTrueToObject(a->request, "shared");
        io->floats = 0;
    } else if (io->ahead) {
        a->upload = grad;
        a->upload_bytes = bytes;
        a->upload_key = cJSON_CreateObject();
        task_add_key(a->upload_key, t);
    }
}

/* Makes the answer out of the task's result, or of what other workers add to it; one that was given
 * to another worker says so. 0, -ESTALE: nobody waits for it; or as talk_call. */
static int answer_with(struct duty *s, struct loaded *p, const struct task *t,
                       const struct result *result, struct answer *a, struct errbuf *why)
{
    struct combined sum = {.task = t,
                           .floats = p->model.floats,
                           .fused = p->spec.score_source == SOURCE_TRAIN,
                           .room = p->combines,
                           .result = *result,
                           .end = (uint32_t)t->hi,
                           .count = (uint32_t)t->count};
    struct task done = *t;
    const bool meets = t->token[0] && s->combine.peer && !shares(p, t);
    int rc = meets ? combine_sum(&s->combine, &s->talk, &sum, why) : 0;

    if (rc < 0)
        return rc == -EALREADY ? -ESTALE : rc;
    done.hi = sum.to ? t->hi : sum.end;
    done.count = sum.count;
    *a = (struct answer){.type = MSG_TASK_RESULT, .request = with_key(p, &done)};
    if (sum.to) {
        cJSON_AddNumberToObject(a->request, "to", sum.to);
        return 0;
    }
    struct result_shape shape = shape_of(p, &done);
    send_gradient(s, p, &done, sum.result.grad, &shape, a);
    rc = result_room(&p->packed, shape.samples, why);
    if (rc == 0)
        a->tensor_count = result_pack(&shape, &sum.result, &p->packed, a->tensors);
    return rc;
}

/* Runs the task; the answer is its result, or why there is none. 0; -EINTR: it was given up;
 * -ENOMEM: there is no memory for it; -ESTALE: the dataset was changed meanwhile, and the result is
 * worthless. */
static int compute(struct duty *s, struct loaded *p, const struct task *t, struct answer *a,
                   struct errbuf *why)
{
    const struct dataset *d = &p->data.dataset;
    const struct samples test = {d->test_images, d->test_labels, d->test_samples};
    const struct samples train = {d->images, p->labelled ? p->labels : d->labels, d->samples};
    struct work work = {
        .train = t->kind == TASK_TRAIN,
        .flat = t->kind == TASK_FLATNESS ? (enum phase)t->phase : PHASE_TRAIN,
        .vector = p->vector,
        .spec = step_spec_of(&p->spec, t),
        .theta = p->at,
        .set = t->kind == TASK_TEST ? &test : &train,
        .test = t->kind == TASK_TEST,
        .labelled = t->kind != TASK_TEST && p->labelled,
        .ids = p->ids,
        .weights = p->weights,
        .count = (uint32_t)t->count,
        .stop = s->talk.stop,
    };
    const struct result_shape shape = shape_of(p, t);
    struct yield yield = {.scores = shape.samples ? p->scores : NULL,
                          .probabilities = shape.classes ? p->probabilities : NULL};

    int rc = group_run(p->group, GROUP_JOB, p->runner, &work, &yield, why);
    if (rc == -ENOMEM)
        return loaded_no_memory(p, s->options, why);
    if (rc == -EINTR)
        return rc;
    if (rc == -ESTALE)
        loaded_drop(p);
    if (rc == -ESTALE || loaded_check(p) < 0)
        return -ESTALE;
    if (rc < 0) {
        *a = (struct answer){.type = MSG_TASK_FAIL, .request = with_key(p, t)};
        log_warn("task.fail", "job=%lld step=%lld reason=\"%s\"", (long long)t->job,
                 (long long)t->step, why->text);
        cJSON_AddStringToObject(a->request, "reason", why->text);
        return 0;
    }
    rc = answer_with(s, p, t,
                     &(struct result){yield.grad, yield.sums, yield.scores, yield.probabilities}, a,
                     why);
    if (rc < 0)
        answer_done(a);
    return rc;
}

/* --- talking --- */

static int hello(struct duty *s, struct errbuf *why)
{
    const char *address = peer_address(s->combine.peer);
    const bool known = s->known;
    int rc = greet_hello(&s->talk, s->options, s->class, address, &s->known, s->wanted, why);

    if (rc == 0 && !known && address)
        log_info("worker.listen", "address=%s", address);
    return rc == 0 && s->wanted[0] && s->options->may_change ? -ERESTART : rc;
}

static void ask_next(struct duty *s, struct answer *a)
{
    answer_done(a);
    a->type = MSG_TASK_NEXT;
    a->request = with_have(&s->loaded);
}

/* Sends the answer until the server has taken it; ret is the next task's message. As talk_call. */
static int exchange(struct duty *s, struct answer *a, struct message *ret, struct errbuf *why)
{
    for (;;) {
        int rc = 0;

        if (a->upload)
            rc = talk_upload(&s->talk, a->upload_key, a->upload_bytes, a->upload, why);
        if (rc == -EALREADY) /* another worker was faster */
            ask_next(s, a);
        else if (rc < 0)
            return rc;
        rc = talk_call(&s->talk, a->type, a->request, a->tensors, a->tensor_count, TASK_MS,
                       TASK_RETRY_MS, ret, why);
        if (rc != -ESTALE || !a->upload)
            return rc;
    }
}

/* Fetches what the task in m needs, then runs it. As talk_call; any other failure lies between this
 * worker and the job. */
static int run_task(struct duty *s, const struct message *m, const struct task *t, struct answer *a,
                    struct errbuf *why)
{
    int rc = loaded_take(&s->loaded, s->options, &s->talk, &s->cache, s->halves, t->job, why);

    peer_begin(s->combine.peer, t->token);
    if (rc == 0)
        rc = loaded_samples(&s->loaded, m, t, why);
    if (rc == 0)
        rc = read_theta(s, &s->loaded, m, t, why);
    if (rc == 0)
        rc = read_vector(s, &s->loaded, m, t, why);
    return rc < 0 ? rc : compute(s, &s->loaded, t, a, why);
}

/* Tells the server that we cannot do this job, and makes room for others. */
static void refuse(struct duty *s, int64_t job, int rc, struct answer *a, const struct errbuf *why)
{
    log_error("job.refuse", "job=%lld error=\"%s\"", (long long)job, why->text);
    loaded_drop(&s->loaded);
    answer_done(a);
    a->type = MSG_TASK_REFUSE;
    a->request = refusal_make(job, rc, why);
}

static void forget_prediction(struct duty *s)
{
    predict_free(s->predict);
    s->predict = NULL;
    s->others = 0;
}

/* A task of a prediction, whose answer goes to a. */
static int take_prediction(struct duty *s, const struct message *m, struct answer *a,
                           struct errbuf *why)
{
    struct predict_answer answer;
    s->others = 0;
    int rc = predict_task(&s->predict, s->options, &s->talk, m, &answer, why);

    if (rc == -ESTALE) {
        ask_next(s, a);
        return 0;
    }
    if (rc < 0)
        return rc;
    cJSON *have = with_have(&s->loaded);
    cJSON *held = cJSON_DetachItemFromObject(have, "have");
    if (held)
        cJSON_AddItemToObject(answer.request, "have", held);
    cJSON_Delete(have);
    *a = (struct answer){
        .type = answer.type, .request = answer.request, .tensor_count = answer.tensor_count};
    memcpy(a->tensors, answer.tensors, sizeof(answer.tensors));
    return 0;
}

/* Reads and runs the task in m; the answer to it goes to a. */
static int take_task(struct duty *s, const struct message *m, struct answer *a, struct errbuf *why)
{
    struct task task = {0};
    int rc = task_read(m, &task, why);

    if (rc == 0 && task.kind == TASK_NONE) {
        forget_prediction(s);
        ask_next(s, a);
        greet_read_class(m->json, s->wanted);
        return s->wanted[0] && s->options->may_change ? -ERESTART : 0;
    }
    if (rc < 0)
        return rc;
    if (task.kind == TASK_PREDICT)
        return take_prediction(s, m, a, why);
    if (++s->others > PREDICT_KEPT_TASKS)
        forget_prediction(s);
    rc = run_task(s, m, &task, a, why);
    if (rc == -ESTALE) { /* others have finished the step meanwhile, or we start again */
        ask_next(s, a);
        rc = 0;
    } else if (refusal_is(rc)) {
        refuse(s, task.job, rc, a, why);
        rc = 0;
    }
    return rc;
}

/* The last answer is sent too; a gradient in pieces would take too long. */
static void bye(struct duty *s, const struct answer *a)
{
    const struct last_word last = {a->type, a->request, a->tensors, a->tensor_count};
    bool some = a->request && a->type != MSG_TASK_NEXT && !a->upload;

    greet_bye(s->options, client_sender(s->talk.client), some ? &last : NULL);
}

/* The server is not understood, or was lost while a job was loaded: what is held goes back, so
 * that others compute it, and we stay away, longer each time in a row. */
static int stay_away(struct duty *s, int *io_ms, struct errbuf *why)
{
    bye(s, &(struct answer){.request = NULL});
    talk_backoff(&s->talk, io_ms);
    return *s->talk.stop ? -EINTR : hello(s, why);
}

/* Does task after task. On a stop, *a may hold an answer that has perhaps not arrived. */
static int work_loop(struct duty *s, struct answer *a, struct errbuf *why)
{
    struct message m = {0};
    int away_ms = 0, rc = hello(s, why);

    if (rc < 0)
        return rc;
    ask_next(s, a);
    while (!*s->talk.stop) {
        rc = exchange(s, a, &m, why);
        if (rc == -EINTR)
            break;
        answer_done(a);
        if (rc == 0) {
            rc = take_task(s, &m, a, why);
            message_done(&m);
        }
        if (rc == 0) {
            away_ms = 0;
            continue;
        }
        if (rc == -ENOTCONN) {
            rc = hello(s, why);
        } else if (rc != -EINTR && rc != -ERESTART) {
            log_error("task.refused", "error=\"%s\"", why->text);
            rc = stay_away(s, &away_ms, why);
        }
        if (rc < 0)
            break;
        ask_next(s, a);
    }
    return rc;
}

int duty_run(const struct duty_options *options, const _Atomic sig_atomic_t *stop,
             char ret_class[NUMERICS_CLASS_BYTES], struct errbuf *why)
{
    struct duty s = {.options = options,
                     .talk = {.stop = stop},
                     .cache = {.dir = options->cache},
                     .loaded = {.step = -1}};
    struct answer a = {.request = NULL};
    int rc;

    numerics_class(options->kernels, s.class);
    rc = greet_open(options, NULL, stop, &s.talk.client, why);
    if (rc < 0)
        return rc;
    if (options->threads > 1)
        s.halves = halves_create();
    client_halves(s.talk.client, s.halves);
    client_supervised(s.talk.client, options->notify);
    combine_open(&s.combine, options, s.halves);
    s.loaded.peer = s.combine.peer;
    rc = work_loop(&s, &a, why);
    if (rc != -ERESTART)
        notify_stopping(options->notify);
    if (rc == -EINTR || rc == -ERESTART || rc == 0)
        bye(&s, &a);
    if (rc == -ERESTART)
        memcpy(ret_class, s.wanted, sizeof(s.wanted));
    else if (rc == -EINTR)
        rc = 0;
    answer_done(&a);
    loaded_drop(&s.loaded);
    predict_free(s.predict);
    combine_done(&s.combine);
    client_close(s.talk.client);
    halves_free(s.halves);
    return rc;
}
