/* What the tests of the job description share. */
#ifndef STEPPE_TESTS_UNIT_COMMON_JOBSPEC_MADE_H
#define STEPPE_TESTS_UNIT_COMMON_JOBSPEC_MADE_H

#include <cjson/cJSON.h>
#include <errno.h>

#include "common/field.h"
#include "common/jobspec.h"
#include "tests/harness.h"

#define BASE "\"dataset\": \"glyphs\", \"model\": \"lenet\""

static inline int parse(const char *text, struct jobspec *ret, struct errbuf *why)
{
    cJSON *json;
    int rc = field_parse(text, strlen(text), JSON_REQUEST_BYTES_MAX, "job file", &json, why);

    if (rc)
        return rc;
    rc = jobspec_parse(json, ret, why);
    cJSON_Delete(json);
    return rc;
}

/* A job file with these keys besides dataset and model. */
static inline int parse_keys(const char *keys, struct jobspec *ret, struct errbuf *why)
{
    char text[1024];

    snprintf(text, sizeof(text), "{" BASE "%s%s}", *keys ? ", " : "", keys);
    return parse(text, ret, why);
}

static inline struct jobspec made(const char *keys)
{
    struct errbuf why = {0};
    struct jobspec spec;

    ASSERT_OK(parse_keys(keys, &spec, &why), why);
    return spec;
}

static inline void assert_refused(const char *keys, const char *sentence)
{
    struct errbuf why = {0};
    struct jobspec spec = {.epochs = 77};

    ASSERT_EQ(-EINVAL, parse_keys(keys, &spec, &why));
    ASSERT_HAS(sentence, why.text);
    ASSERT_EQ(77, spec.epochs);
}

static inline void assert_same_names(const struct names *a, const struct names *b)
{
    ASSERT_EQ(a->count, b->count);
    for (int i = 0; i < a->count; i++)
        ASSERT_STR(a->at[i], b->at[i]);
}

static inline void assert_same(const struct jobspec *a, const struct jobspec *b)
{
    const struct optimizer_spec *x = &a->optimizer, *y = &b->optimizer;
    const struct curriculum_spec *c = &a->curriculum, *d = &b->curriculum;

    ASSERT_STR(a->name, b->name);
    ASSERT_STR(a->dataset, b->dataset);
    ASSERT(cJSON_Compare(a->model, b->model, true));
    ASSERT(a->epochs == b->epochs && a->batch == b->batch && a->shard == b->shard);
    ASSERT(a->seed == b->seed && a->rho == b->rho && a->epsilon == b->epsilon);
    ASSERT(x->lr == y->lr && x->momentum == y->momentum && x->nesterov == y->nesterov);
    ASSERT(x->weight_decay == y->weight_decay && x->schedule == y->schedule);
    ASSERT(x->warmup == y->warmup && x->kind == y->kind && a->attack == b->attack);
    ASSERT(x->beta1 == y->beta1 && x->beta2 == y->beta2 && x->epsilon == y->epsilon);
    ASSERT(x->clip == y->clip && x->gamma == y->gamma);
    ASSERT_MEM(&x->milestones, &y->milestones, sizeof(x->milestones));
    ASSERT(a->label_smoothing == b->label_smoothing && a->sam == b->sam);
    ASSERT(a->mixup == b->mixup && a->average_from == b->average_from);
    ASSERT(a->crop == b->crop && a->flip == b->flip);
    ASSERT(a->sam_interval == b->sam_interval && a->sam_scope == b->sam_scope &&
           a->alpha == b->alpha);
    ASSERT(a->sam_alpha == b->sam_alpha && a->sam_lambda == b->sam_lambda);
    ASSERT(a->sam_sigma == b->sam_sigma);
    ASSERT(a->attack_steps == b->attack_steps && a->random_start == b->random_start);
    ASSERT(a->score_source == b->score_source && a->score_every == b->score_every);
    ASSERT_EQ(a->score_probabilities, b->score_probabilities);
    ASSERT(a->normaliser == b->normaliser && a->numerics == b->numerics);
    ASSERT(a->verify == b->verify);
    ASSERT(c->measure == d->measure && c->order == d->order && c->mode == d->mode);
    ASSERT(c->pacing == d->pacing && c->balance == d->balance && c->initial == d->initial);
    ASSERT(c->final == d->final && c->full_at == d->full_at && c->warmup == d->warmup);
    ASSERT(c->smoothing == d->smoothing && c->diversity == d->diversity);
    ASSERT_EQ(c->scope, d->scope);
    ASSERT(a->validation.share == b->validation.share);
    ASSERT(a->fold.of == b->fold.of && a->fold.leave == b->fold.leave);
    ASSERT_EQ(a->keep, b->keep);
    ASSERT_EQ(a->patience, b->patience);
    ASSERT_EQ(a->sampling, b->sampling);
    ASSERT(a->class_weights.kind == b->class_weights.kind &&
           a->class_weights.count == b->class_weights.count);
    for (uint32_t i = 0; i < a->class_weights.count; i++)
        ASSERT(a->class_weights.at[i] == b->class_weights.at[i]);
    assert_same_names(&a->validation.domains, &b->validation.domains);
    assert_same_names(&a->train_domains, &b->train_domains);
    assert_same_names(&a->test_domains, &b->test_domains);
    ASSERT_MEM(&a->flatness, &b->flatness, sizeof(a->flatness));
}

/* Writes the spec and reads it again; the text is freed by the caller. */
static inline char *assert_round_trip(const struct jobspec *spec)
{
    struct errbuf why = {0};
    struct jobspec again;
    cJSON *json = jobspec_json(spec);
    char *text = cJSON_Print(json);

    ASSERT(text);
    ASSERT_OK(parse(text, &again, &why), why);
    assert_same(spec, &again);
    jobspec_done(&again);
    cJSON_Delete(json);
    return text;
}

#endif
