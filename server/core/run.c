/* The training state machine of one job.
 *
 * Bits: theta gets the root of the reduction tree; an epoch's metrics are added step by step in
 * double; scores are written to places of their own. So no result depends
 * on who computed what or on the order of arrival. */
#include "server/core/run.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "server/core/run_internal.h"

static int make_segments(struct run *r)
{
    const struct model *m = r->model;

    const bool all = r->spec->optimizer.decay == DECAY_ALL;

    r->segments = alloc_bytes((size_t)m->trained_count, sizeof(*r->segments));
    if (!r->segments)
        return -ENOMEM;
    for (int i = 0; i < m->trained_count; i++) {
        const struct param *p = &m->params[i];
        size_t end = i + 1 < m->trained_count ? m->params[i + 1].offset : m->trained;

        r->segments[r->segment_count++] = (struct segment){
            .offset = p->offset, .count = end - p->offset, .decay = all || p->decay};
    }
    return 0;
}

static int make_vectors(struct run *r)
{
    const char *const *names = run_vectors(r->spec);

    for (int i = 0; names[i]; i++) {
        r->vectors[i] = alloc_bytes(r->model->floats, sizeof(float));
        if (!r->vectors[i])
            return -ENOMEM;
    }
    return 0;
}

/* Scores of a round that are not of a sweep, by position. */
static uint32_t count_slots(const struct run *r)
{
    uint32_t slots = (uint32_t)r->spec->batch;

    slots = slots > r->tests ? slots : r->tests;
    return slots > r->held[USE_VALIDATION] ? slots : r->held[USE_VALIDATION];
}

/* What there is of a sample from the beginning on. */
static int make_samples(struct run *r)
{
    const uint32_t n = r->data->samples;
    uint32_t listed = n > r->tests ? n : r->tests;
    uint32_t weights = run_statistics_most(r->spec, r->model, n) * (uint32_t)r->spec->shard;

    if (listed < (uint32_t)r->spec->batch)
        listed = (uint32_t)r->spec->batch;
    if (weights < (uint32_t)r->spec->batch)
        weights = (uint32_t)r->spec->batch;
    r->rank = alloc_bytes(n, sizeof(*r->rank));
    if (curriculum_counts_lapses(r->spec))
        r->lapses = alloc_bytes(n, sizeof(*r->lapses));
    if (run_train_source(r))
        r->scores = alloc_bytes(n, sizeof(*r->scores));
    else
        r->room = malloc(radix_bytes(n));
    r->slots = alloc_bytes(count_slots(r), sizeof(*r->slots));
    r->ids = alloc_bytes(listed, sizeof(*r->ids));
    r->weights = alloc_bytes(weights, sizeof(*r->weights));
    return r->rank && (r->lapses || !curriculum_counts_lapses(r->spec)) && (r->scores || r->room) &&
                   r->slots && r->ids && r->weights
               ? 0
               : -ENOMEM;
}

static int take_uses(struct run *r, const struct run_inputs *in)
{
    uint32_t n = r->data->samples;

    r->use = alloc_bytes(n, sizeof(*r->use));
    if (!r->use)
        return -ENOMEM;
    memcpy(r->use, in->use, n);
    split_exclude(r->use, in->excluded, in->excluded_count);
    memset(r->held, 0, sizeof(r->held));
    for (uint32_t i = 0; i < n; i++)
        r->held[r->use[i]]++;
    return 0;
}

int run_create(const struct jobspec *spec, const struct model *model, const struct dataset *data,
               int64_t job, int64_t incarnation, const struct run_inputs *in, struct run **ret)
{
    struct run *r = xcalloc(1, sizeof(*r));
    const uint32_t n = data->samples;

    r->shared = SHARED_NONE;
    r->spec = spec;
    r->model = model;
    r->data = data;
    r->job = job;
    r->incarnation = incarnation;
    r->held[USE_TRAIN] = n;
    if (in->use && take_uses(r, in) < 0) {
        run_free(r);
        return -ENOMEM;
    }
    r->tests = r->held[USE_TEST] > 0 ? r->held[USE_TEST] : data->test_samples;
    r->epoch_steps = jobspec_epoch_steps(spec, r->held[USE_TRAIN]);
    r->epochs = jobspec_epochs(spec);
    r->steps = (uint64_t)r->epoch_steps * (uint64_t)r->epochs;
    r->test = r->validation = MEASURED_NOTHING;
    r->chosen = (struct run_chosen){-1, -1};
    if (spec->keep == KEEP_BEST)
        r->chosen_theta = alloc_bytes(model->floats, sizeof(float));
    r->round = round_create();
    r->reduce = reduce_create(model->floats, SUM_COUNT);
    r->tally = reduce_create(0, SUM_COUNT);
    if (run_theta_create(r) < 0 || (spec->keep == KEEP_BEST && !r->chosen_theta) || !r->round ||
        !r->reduce || !r->tally || make_samples(r) < 0 || make_segments(r) < 0 ||
        make_vectors(r) < 0 || run_ascent_create(r) < 0 ||
        curriculum_begin(in->order, in->excluded, in->excluded_count, r->use, n, r->rank) < 0) {
        run_free(r);
        return -ENOMEM;
    }
    if (model->floats > INLINE_FLOATS_MAX)
        r->uploads = uploads_create(r->reduce, model->floats, INLINE_FLOATS_MAX);
    if (in->theta)
        memcpy(r->theta, in->theta, model->floats * sizeof(*r->theta));
    else
        model_init(model, spec->seed, r->theta);
    if (in->class_names && spec->epochs == 0)
        r->class_names = xstrdup(in->class_names);
    *ret = r;
    return 0;
}

void run_free(struct run *r)
{
    if (!r)
        return;
    stream_done(&r->stream);
    schedule_done(&r->schedule);
    round_free(r->round);
    uploads_free(r->uploads);
    tree_free(r->tree);
    checks_free(r->checks);
    reduce_free(r->reduce);
    reduce_free(r->tally);
    flatness_free(r->flatness);
    free(r->flat);
    free(r->class_names);
    run_theta_free(r);
    free(r->chosen_theta);
    free(r->by_class);
    free(r->by_domain);
    run_ascent_free(r);
    for (int i = 0; i < RUN_VECTORS_MAX; i++)
        free(r->vectors[i]);
    free(r->segments);
    free(r->use);
    free(r->rank);
    run_revision_free(r);
    free(r->lapses);
    free(r->probabilities);
    free(r->scores);
    free(r->room);
    free(r->slots);
    free(r->ids);
    free(r->weights);
    free(r);
}

struct run_state run_state(struct run *r)
{
    return (struct run_state){
        .cursor = &r->cursor,
        .theta = r->theta,
        .chosen = r->chosen_theta ? &r->chosen : NULL,
        .chosen_theta = r->chosen_theta,
        .vector_names = run_vectors(r->spec),
        .vectors = r->vectors,
        .floats = r->model->floats,
        .rank = r->rank,
        .lapses = r->lapses,
        .scores = run_train_source(r) ? r->scores : NULL,
        .swept = r->ids,
        .swept_count = r->phase == PHASE_SWEEP ? r->slot_count : 0,
        .samples = r->data->samples,
        .model = r->model,
        .class_names = run_class_names(r),
    };
}

const char *run_class_names(const struct run *r)
{
    return r->class_names ? r->class_names : r->data->class_names_json;
}

struct run_cursor run_cursor(const struct run *r, int64_t now_ms)
{
    struct run_cursor c = r->cursor;

    c.seconds += (double)(now_ms - r->epoch_start_ms) / 1e3;
    return c;
}

static uint32_t shards_of(const struct run *r, uint32_t count)
{
    uint32_t shard = (uint32_t)r->spec->shard;

    return (uint32_t)(((uint64_t)count + shard - 1) / shard);
}

int run_open_round(struct run *r, enum phase phase, uint32_t count)
{
    uint32_t shards = shards_of(r, count);

    r->reissued += round_reissued(r->round);
    r->phase = phase;
    r->slot_count = count;
    r->whole = NULL;
    if (r->uploads)
        uploads_reset(r->uploads);
    if (r->checks)
        checks_reset(r->checks);
    if (r->tree)
        tree_open(r->tree, shards);
    int rc = round_open(r->round, shards);
    /* Touched here, where time is; unless the last ones may be back before they are needed. */
    if (rc == 0 && phase == PHASE_SWEEP && !r->scores && !r->lent) {
        r->scores = alloc_bytes(r->data->samples, sizeof(*r->scores));
        rc = r->scores ? 0 : -ENOMEM;
    }
    if (rc == 0 && phase == PHASE_SWEEP && r->spec->score_probabilities && !r->probabilities) {
        r->probabilities =
            alloc_bytes((size_t)r->data->samples * r->model->classes, sizeof(*r->probabilities));
        rc = r->probabilities ? 0 : -ENOMEM;
    }
    if (rc == 0 && phase_sums(phase))
        reduce_reset(phase_vector(phase) ? r->reduce : r->tally, (struct node){0, shards}, shards);
    return rc;
}

/* Where the order is made in the step, a shard has the weights of its places. */
static void weigh_places(struct run *r)
{
    const uint32_t shard = (uint32_t)r->spec->shard, batch = (uint32_t)r->spec->batch;

    schedule_places(r->spec, r->schedule.share, shard, r->weights);
    for (uint32_t at = shard; at < batch; at += shard)
        memcpy(r->weights + at, r->weights, shard * sizeof(*r->weights));
}

static int open_train(struct run *r)
{
    uint32_t batch = (uint32_t)r->spec->batch;

    stream_batch(&r->stream, r->cursor.step_in_epoch, batch, r->ids, r->weights);
    if (jobspec_online(r->spec))
        weigh_places(r);
    r->id_count = batch;
    return run_open_round(r, run_ascends(r) ? PHASE_ASCENT : PHASE_TRAIN, batch);
}

/* Opens the phase after the one that has ended; *ret_closed: nothing is left in this epoch. */
static int open_after(struct run *r, enum phase over, bool *ret_closed)
{
    static const enum phase measuring[] = {PHASE_SWEEP, PHASE_SLOPE, PHASE_VALIDATION, PHASE_TEST,
                                           PHASE_HELD_TEST};
    const size_t count = sizeof(measuring) / sizeof(measuring[0]);
    size_t next = 0;

    *ret_closed = false;
    while (!phase_trains(over) && measuring[next++] != (phase_measures(over) ? PHASE_SLOPE : over))
        ;
    for (; next < count; next++) {
        if (measuring[next] == PHASE_SLOPE &&
            flatness_due(&r->spec->flatness, r->cursor.epoch, r->epochs))
            return run_flatness_open(r);
        uint32_t samples = measuring[next] == PHASE_SLOPE ? 0 : run_list(r, measuring[next]);
        if (samples > 0)
            return run_open_round(r, measuring[next], samples);
    }
    *ret_closed = true;
    return 0;
}

static int open_epoch(struct run *r, int64_t now_ms)
{
    stream_done(&r->stream);
    schedule_done(&r->schedule);
    run_take_revision(r);
    int rc = schedule_make(r->spec, r->rank, run_labels(r), r->data->classes, r->data->samples,
                           r->cursor.epoch, r->room, &r->schedule);
    if (rc == 0)
        rc = stream_init(&r->stream, &r->schedule, r->spec->seed, r->cursor.epoch,
                         r->spec->sampling == SAMPLING_BALANCED ? run_labels(r) : NULL,
                         r->data->classes);
    r->epoch_start_ms = r->train_start_ms = now_ms;
    r->train_start_step = r->cursor.step_in_epoch;
    return rc;
}

int run_start(struct run *r, int64_t now_ms)
{
    bool closed;
    int rc;

    r->start_ms = now_ms;
    if (r->cursor.epoch >= r->epochs || run_stopped(r)) {
        r->finished = true;
        return 0;
    }
    rc = open_epoch(r, now_ms);
    if (rc < 0)
        return rc;
    if (r->cursor.step_in_epoch < r->epoch_steps)
        return open_train(r);
    const uint32_t samples = run_list_statistics(r);
    if (samples > 0)
        return run_open_round(r, PHASE_DESCENT, samples);
    rc = open_after(r, PHASE_TRAIN, &closed);
    /* Nothing left to do: such an epoch closes with its last update, where no checkpoint is
     * taken. */
    return rc == 0 && closed ? -EINVAL : rc;
}

/* Adds the sums of a step's results. A descent knows only theta hat; the rest was measured in its
 * ascent. */
static void add_sums(struct run *r, const double sums[SUM_COUNT])
{
    const bool descent = r->phase == PHASE_DESCENT;

    for (enum sum i = 0; i < SUM_COUNT; i++)
        r->cursor.sums[i] += descent && i != SUM_LOSS_HAT ? r->ascent_sums[i] : sums[i];
}

void run_halves(struct run *r, struct halves *h)
{
    reduce_halves(r->reduce, h);
    r->halves = h;
}

struct update {
    struct run *run;
    const float *grad;
    double divisor;
};

/* Entries [first, end) of the update. */
static void update_part(void *arg, size_t first, size_t end)
{
    const struct update *u = arg;
    struct run *r = u->run;

    for (int i = 0; i < r->segment_count; i++) {
        struct segment s = r->segments[i];
        const size_t to = s.offset + s.count < end ? s.offset + s.count : end;
        s.offset = s.offset > first ? s.offset : first;
        if (s.offset >= to)
            continue;
        s.count = to - s.offset;
        optimizer_step(&r->spec->optimizer, r->cursor.lr, r->cursor.step, u->divisor, &s, 1,
                       u->grad, r->theta, r->vectors, r->next);
    }
}

static void apply_update(struct run *r)
{
    struct run_cursor *c = &r->cursor;
    const double *sums;
    const float *grad = run_gradient(r, &sums);
    const struct optimizer_spec *o = &r->spec->optimizer;
    float *spare = r->theta;

    if (r->phase == PHASE_DESCENT)
        grad = run_descend(r, grad);
    c->lr = optimizer_lr(o, c->step, r->steps);
    struct update u = {r, grad,
                       optimizer_divisor(o, sums[SUM_WEIGHT], r->segments, r->segment_count, grad)};
    halves_run(r->halves, r->model->trained, update_part, &u);
    if (r->phase == PHASE_TRAIN)
        run_average_statistics(r, grad);
    r->theta = r->next;
    r->next = spare;
    add_sums(r, sums);
    if (run_train_source(r))
        for (uint32_t i = 0; i < r->slot_count; i++)
            r->scores[r->ids[i]] = r->slots[i];
    c->step++;
    c->step_in_epoch++;
    if (c->step_in_epoch == r->epoch_steps)
        run_average_epoch(r);
}

static int open_next(struct run *r, int64_t now_ms)
{
    int rc = open_epoch(r, now_ms);

    return rc < 0 ? rc : open_train(r);
}

/* The result of a training round enters theta. */
static void take_trained(struct run *r)
{
    r->statistics = r->cursor.step_in_epoch == r->epoch_steps;
    if (r->statistics)
        run_take_statistics(r);
    else
        apply_update(r);
}

bool run_close_round(struct run *r, int64_t now_ms)
{
    if (r->finished || r->between || r->closed || !round_done(r->round) ||
        (r->checks && !checks_done(r->checks)))
        return false;
    r->closed = true;
    if (r->phase == PHASE_ASCENT) {
        run_ascend(r);
        return true;
    }
    r->work_done += run_round_cost(r);
    r->work_ms = (double)(now_ms - r->start_ms);
    /* Before the message goes that perhaps has the gradient. */
    if (phase_trains(r->phase))
        take_trained(r);
    else if (phase_measures(r->phase))
        r->taken = run_flatness_take(r);
    return true;
}

/* Does a step, or the rest of one, follow in the epoch? */
static bool is_inside(const struct run *r)
{
    return r->phase == PHASE_ASCENT ||
           (phase_trains(r->phase) && r->cursor.step_in_epoch < r->epoch_steps);
}

bool run_is_long(const struct run *r)
{
    return r->between || !is_inside(r) ||
           (r->phase != PHASE_ASCENT &&
            stream_turns(&r->stream, r->cursor.step_in_epoch, (uint32_t)r->spec->batch));
}

/* The training of the epoch, or a round that measures, is done; *ret_closed: nothing is left in
 * this epoch. */
static int go_on_measuring(struct run *r, bool *ret_closed)
{
    bool over = true;
    int rc = 0;

    if (phase_trains(r->phase)) {
        const uint32_t samples = r->statistics ? 0 : run_list_statistics(r);
        if (samples > 0)
            return run_open_round(r, PHASE_DESCENT, samples);
    } else if (phase_measures(r->phase)) {
        rc = r->taken < 0 ? r->taken : run_flatness_go_on(r, &over);
    } else {
        rc = run_take_measured(r);
    }
    return rc < 0 || !over ? rc : open_after(r, r->phase, ret_closed);
}

int run_go_on(struct run *r, int64_t now_ms, enum run_event *ret_event, struct run_epoch *ret)
{
    const bool between = r->between;
    bool closed = false;
    int rc;

    assert(r->closed || between);
    *ret_event = RUN_ROUND;
    r->closed = r->between = false;
    if (between)
        return open_next(r, now_ms);
    if (r->phase == PHASE_ASCENT)
        return run_open_round(r, PHASE_DESCENT, r->slot_count);
    if (is_inside(r))
        return open_train(r);
    rc = go_on_measuring(r, &closed);
    if (rc < 0 || !closed)
        return rc;
    *ret_event = RUN_EPOCH;
    rc = run_close_epoch(r, now_ms, ret);
    if (rc < 0)
        return rc;
    if (r->cursor.epoch >= r->epochs || run_stopped(r)) {
        r->finished = true;
        return 0;
    }
    r->between = r->held_back;
    return r->between ? 0 : open_next(r, now_ms);
}

int run_advance(struct run *r, int64_t now_ms, enum run_event *ret_event, struct run_epoch *ret)
{
    *ret_event = RUN_WAIT;
    return run_close_round(r, now_ms) ? run_go_on(r, now_ms, ret_event, ret) : 0;
}

void run_hold(struct run *r)
{
    r->held_back = true;
}

bool run_let_go(struct run *r)
{
    r->held_back = false;
    return r->between;
}

bool run_is_between(const struct run *r)
{
    return r->between;
}

bool run_stopped(const struct run *r)
{
    const int64_t best = (int64_t)r->chosen.epoch;

    return r->spec->patience > 0 && best >= 0 && r->cursor.epoch < r->epochs &&
           r->cursor.epoch - 1 - best >= r->spec->patience;
}

bool run_finished(const struct run *r)
{
    return r->finished;
}

int64_t run_job(const struct run *r)
{
    return r->job;
}

int64_t run_incarnation(const struct run *r)
{
    return r->incarnation;
}

uint64_t run_step(const struct run *r)
{
    return r->cursor.step;
}

enum phase run_phase(const struct run *r)
{
    return r->phase;
}

uint32_t run_shards(const struct run *r)
{
    return round_shards(r->round);
}

uint32_t run_reissued(const struct run *r)
{
    return r->reissued + round_reissued(r->round);
}

const float *run_theta(const struct run *r)
{
    return r->theta;
}

const float *run_model(const struct run *r, int64_t *ret_epochs)
{
    const bool chosen = r->chosen_theta && r->chosen.epoch >= 0;

    *ret_epochs = chosen ? (int64_t)r->chosen.epoch + 1 : r->cursor.epoch;
    return chosen ? r->chosen_theta : r->theta;
}

const float *run_round_theta(const struct run *r)
{
    return phase_moved(r->phase) ? r->next : r->theta;
}

const struct schedule *run_schedule(const struct run *r)
{
    return &r->schedule;
}
