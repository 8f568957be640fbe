/* External jobs: the order of an epoch, what is reported, how an epoch closes. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/rng.h"
#include "server/core/external.h"
#include "tests/harness.h"

#define SAMPLES 100
#define TESTS 6
#define CLASSES 4
#define BATCH 8
#define STEPS (SAMPLES / BATCH)

static uint16_t labels[SAMPLES], test_labels[TESTS];
static const struct dataset data = {.samples = SAMPLES,
                                    .test_samples = TESTS,
                                    .classes = CLASSES,
                                    .labels = labels,
                                    .test_labels = test_labels};
static const struct overlay no_overlays[JOB_REVISIONS_MAX];

static struct jobspec spec_of(int measure)
{
    for (uint32_t i = 0; i < SAMPLES; i++)
        labels[i] = (uint16_t)(i % CLASSES);
    for (uint32_t i = 0; i < TESTS; i++)
        test_labels[i] = (uint16_t)(i % CLASSES);
    return (struct jobspec){
        .engine = ENGINE_EXTERNAL,
        .epochs = 4,
        .batch = BATCH,
        .seed = 3,
        .curriculum = {.measure = measure, .initial = 0.5, .final = 1, .full_at = 1},
    };
}

static struct external *create(const struct jobspec *spec, int64_t epoch)
{
    const struct run_inputs in = {0};
    struct external *e;

    ASSERT_EQ(0, external_create(spec, &data, 7, 2, &in, no_overlays, &e));
    if (epoch >= 0)
        ASSERT_EQ(0, external_open(e, epoch, 1000));
    return e;
}

static double loss_of(int64_t epoch, uint32_t sample)
{
    struct rng r = rng_at(1, RNG_TEST, (uint32_t)epoch, sample);

    return 3 * rng_unit(&r);
}

/* Reports loss, adv_loss and predicted of the samples first, first + step ... */
static void report(struct external *e, uint32_t first, uint32_t step, uint64_t *ret_counted,
                   uint64_t *ret_dropped)
{
    uint32_t ids[SAMPLES], n = 0;
    double loss[SAMPLES], adv_loss[SAMPLES];
    int32_t predicted[SAMPLES];
    struct errbuf why;

    for (uint32_t i = first; i < SAMPLES; i += step, n++) {
        ids[n] = i;
        loss[n] = loss_of(external_epoch(e), i);
        adv_loss[n] = loss[n] + loss_of(external_epoch(e) + 100, i);
        predicted[n] = (int32_t)(i % 3);
    }
    const struct external_report r = {.count = n,
                                      .ids = ids,
                                      .values = {[EXTERNAL_LOSS] = {loss, false},
                                                 [EXTERNAL_ADV_LOSS] = {adv_loss, false},
                                                 [EXTERNAL_PREDICTED] = {predicted, false}}};
    ASSERT_OK(external_report(e, &r, ret_counted, ret_dropped, &why), why);
}

static struct external_closed close_all(struct external *e)
{
    struct external_closed c;
    struct errbuf why;

    ASSERT_OK(external_rank_closes(e, 0, 1, NULL, 0, &why), why);
    ASSERT_OK(external_close(e, 3500, &c, &why), why);
    return c;
}

/* As a step of a run would have it. */
static void assert_stream(const struct external *e, const struct jobspec *spec, int64_t epoch)
{
    uint32_t ids[STEPS * BATCH], want[BATCH];
    float weights[STEPS * BATCH], want_weights[BATCH];
    struct stream s;

    ASSERT_EQ(STEPS * BATCH, external_order(e).positions);
    external_positions(e, 0, 1, 0, STEPS * BATCH, ids, weights);
    ASSERT_EQ(0, stream_init(&s, external_schedule(e), spec->seed, epoch, NULL, 0));
    for (uint32_t k = 0; k < STEPS; k++) {
        stream_batch(&s, k, BATCH, want, want_weights);
        ASSERT_EQ(0, memcmp(want, ids + k * BATCH, sizeof(want)));
        ASSERT_EQ(0, memcmp(want_weights, weights + k * BATCH, sizeof(want_weights)));
    }
    stream_done(&s);
}

TEST(the_order_is_the_stream_of_the_schedule_and_has_its_hash)
{
    struct jobspec spec = spec_of(MEASURE_ADM);
    struct external *e = create(&spec, 0);
    uint32_t ids[STEPS * BATCH];
    float weights[STEPS * BATCH];
    uint8_t all[sizeof(ids) + sizeof(weights)];
    char hash[SHA256_HEX];

    assert_stream(e, &spec, 0);
    external_positions(e, 0, 1, 0, STEPS * BATCH, ids, weights);
    memcpy(all, ids, sizeof(ids));
    memcpy(all + sizeof(ids), weights, sizeof(weights));
    sha256_hex_of(all, sizeof(all), hash);
    ASSERT_STR(hash, external_order(e).sha256);
    ASSERT_EQ(50, external_order(e).scheduled);
    ASSERT_NEAR(0.5, external_order(e).share, 0);
    external_free(e);
}

TEST(ranks_have_consecutive_parts_of_each_batch)
{
    struct jobspec spec = spec_of(MEASURE_ADM);
    struct external *e = create(&spec, 0);
    uint32_t whole[STEPS * BATCH], part[STEPS * BATCH];
    float weights[STEPS * BATCH];
    struct errbuf why;

    external_positions(e, 0, 1, 0, STEPS * BATCH, whole, weights);
    for (uint32_t world = 1; world <= BATCH; world *= 2)
        for (uint32_t rank = 0; rank < world; rank++) {
            const uint32_t mine = BATCH / world, first = 3, n = STEPS * mine - first;
            external_positions(e, rank, world, first, n, part, weights);
            for (uint32_t i = 0; i < n; i++) {
                const uint32_t at = first + i;
                ASSERT_EQ(whole[at / mine * BATCH + rank * mine + at % mine], part[i]);
            }
        }
    ASSERT_EQ(0, external_check_rank(e, 3, 4, &why));
    ASSERT_EQ(-EINVAL, external_check_rank(e, 0, 3, &why));
    ASSERT_HAS("world is 3 and batch is 8", why.text);
    ASSERT_EQ(-EINVAL, external_check_rank(e, 4, 4, &why));
    external_free(e);
}

TEST(the_first_valid_value_of_a_sample_and_measure_counts)
{
    struct jobspec spec = spec_of(MEASURE_ADM);
    struct external *e = create(&spec, 0);
    const uint32_t ids[] = {5, 6, 5};
    double loss[] = {1, 2, 3};
    int32_t predicted[] = {-1, 2, 3};
    uint64_t counted, dropped;
    struct errbuf why;
    struct external_report r = {
        .count = 3,
        .ids = ids,
        .values = {[EXTERNAL_LOSS] = {loss, false}, [EXTERNAL_PREDICTED] = {predicted, false}}};

    loss[1] = NAN;
    ASSERT_EQ(-EINVAL, external_report(e, &r, &counted, &dropped, &why));
    ASSERT_HAS("loss of sample 6 is nan", why.text);
    loss[1] = 2;
    predicted[1] = CLASSES;
    ASSERT_EQ(-EINVAL, external_report(e, &r, &counted, &dropped, &why));
    ASSERT_HAS("predicted of sample 6 is 4, allowed is 0 to 3", why.text);
    predicted[1] = 2;
    ASSERT_OK(external_report(e, &r, &counted, &dropped, &why), why);
    ASSERT_EQ(4, counted); /* losses of 5 and 6, classes of 6 and, later in the message, of 5 */
    ASSERT_EQ(1, dropped);
    struct external_closed c = close_all(e);
    ASSERT_NEAR(1, c.epoch.scores[5].loss, 0);
    ASSERT_EQ(3, c.epoch.scores[5].predicted);
    ASSERT_EQ(1, c.dropped);
    ASSERT(isnan(c.epoch.scores[5].adv_loss) && isnan(c.epoch.adm[5]));
    ASSERT(isnan(c.epoch.record.mean_gap)); /* nobody reported a gap */
    ASSERT_EQ(0, c.epoch.scores[7].flags);
    external_closed_done(&c);
    external_free(e);
}

TEST(a_margin_stands_for_el2n_where_there_is_none)
{
    struct jobspec spec = spec_of(MEASURE_MARGIN);
    struct external *e = create(&spec, 0);
    const uint32_t ids[] = {1, 2};
    const float loss[] = {0.5F, 1}, margin[] = {1.25F, 3};
    const double el2n[] = {0.75};
    uint64_t counted, dropped;
    struct errbuf why;
    struct external_report r = {
        .count = 2,
        .ids = ids,
        .values = {[EXTERNAL_LOSS] = {loss, true}, [EXTERNAL_MARGIN] = {margin, true}}};
    const struct external_report given = {
        .count = 1, .ids = ids + 1, .values = {[EXTERNAL_EL2N] = {el2n, false}}};

    ASSERT_OK(external_report(e, &r, &counted, &dropped, &why), why);
    ASSERT_OK(external_report(e, &given, &counted, &dropped, &why), why);
    struct external_closed c = close_all(e);
    ASSERT_NEAR(1.25, score_margin(0.5, c.epoch.scores[1].el2n), 1e-9);
    ASSERT_NEAR(0.75, c.epoch.scores[2].el2n, 0);
    external_closed_done(&c);
    external_free(e);
}

TEST(probabilities_count_once_and_others_are_unknown)
{
    struct jobspec spec = spec_of(MEASURE_NONE);
    const uint32_t ids[] = {5, 6, 5};
    float rows[][CLASSES] = {{1, 0, 0, 0}, {0.25F, 0.25F, 0.25F, 0.25F}, {0, 1, 0, 0}};
    uint64_t counted, dropped;
    struct errbuf why;
    struct external_report r = {.count = 3, .ids = ids, .probabilities = rows, .classes = CLASSES};
    const size_t without = external_memory(&spec, &data);

    struct external *e = create(&spec, 0);
    ASSERT_EQ(-EINVAL, external_report(e, &r, &counted, &dropped, &why));
    ASSERT_HAS("job 7 keeps none", why.text);
    spec.score_probabilities = true;
    ASSERT_EQ(without + 2 * sizeof(float) * SAMPLES * CLASSES, external_memory(&spec, &data));
    r.test = true;
    ASSERT_EQ(-EINVAL, external_report(e, &r, &counted, &dropped, &why));
    r.test = false;
    r.classes = CLASSES - 1;
    ASSERT_EQ(-EINVAL, external_report(e, &r, &counted, &dropped, &why));
    ASSERT_HAS("probabilities has 3 classes, the dataset has 4", why.text);
    r.classes = CLASSES;
    rows[1][2] = NAN;
    ASSERT_EQ(-EINVAL, external_report(e, &r, &counted, &dropped, &why));
    ASSERT_HAS("class 2 of sample 6 is nan", why.text);
    rows[1][2] = 0.26F;
    ASSERT_EQ(-EINVAL, external_report(e, &r, &counted, &dropped, &why));
    ASSERT_HAS("those of sample 6 add up to 1.01, not to 1", why.text);
    rows[1][2] = 0.2505F;
    ASSERT_OK(external_report(e, &r, &counted, &dropped, &why), why);
    ASSERT_EQ(2, counted);
    ASSERT_EQ(1, dropped);
    struct external_closed c = close_all(e);
    const float *p = c.epoch.probabilities;
    ASSERT(p && !c.epoch.scores);
    ASSERT_EQ(0, memcmp(rows, p + 5 * CLASSES, 2 * sizeof(rows[0])));
    for (uint32_t i = 0; i < SAMPLES * CLASSES; i++)
        ASSERT(isnan(p[i]) == (i / CLASSES != 5 && i / CLASSES != 6));
    struct external *second = c.next;
    c.next = NULL;
    external_take_room(second, e);
    external_closed_done(&c);
    external_free(e);
    struct external_closed next = close_all(second);
    ASSERT(!next.epoch.probabilities);
    external_closed_done(&next);
    external_free(second);
}

TEST(an_epoch_in_the_room_of_the_one_before_knows_nothing_of_it)
{
    struct jobspec spec = spec_of(MEASURE_ADM);
    struct external *e = create(&spec, 0);
    const uint32_t ids[] = {3, 9};
    const double loss[] = {0.5, 1}, el2n[] = {0.25, 0.5};
    uint64_t counted, dropped;
    struct errbuf why;
    struct external_report r = {
        .count = 2, .ids = ids, .values = {[EXTERNAL_LOSS] = {loss, false}}};

    report(e, 0, 1, &counted, &dropped);
    struct external_closed c = close_all(e);
    struct external *second = c.next;
    c.next = NULL;
    external_take_room(second, e);
    external_closed_done(&c);
    external_free(e);
    r.values[EXTERNAL_EL2N].at = el2n;
    ASSERT_OK(external_report(second, &r, &counted, &dropped, &why), why);
    ASSERT_EQ(4, counted);
    c = close_all(second);
    for (uint32_t i = 0; i < SAMPLES; i++) {
        const struct score *s = &c.epoch.scores[i];
        ASSERT((s->flags & SCORE_MEASURED) == (i == 3 || i == 9 ? SCORE_MEASURED : 0));
        ASSERT(isnan(s->adv_loss) && isnan(s->grad_norm) && s->predicted == -1);
        ASSERT(isnan(s->loss) == (i != 3 && i != 9) && isnan(s->el2n) == isnan(s->loss));
    }
    external_closed_done(&c);
    external_free(second);
}

/* The scores of an epoch in any order of any number of messages make the same next epoch, and so
 * does replaying them. */
TEST(an_epoch_follows_from_the_scores_before_it)
{
    struct jobspec spec = spec_of(MEASURE_ADM);
    struct external *one = create(&spec, 0), *parts = create(&spec, 0), *again;
    uint64_t counted, dropped;

    for (int epoch = 0; epoch < 3; epoch++) {
        report(one, 0, 1, &counted, &dropped);
        ASSERT_EQ(3 * SAMPLES, counted);
        for (uint32_t k = 3; k-- > 0;)
            report(parts, k, 3, &counted, &dropped);
        report(parts, 1, 3, &counted, &dropped);
        ASSERT_EQ(0, counted);
        struct external_closed a = close_all(one), b = close_all(parts);
        ASSERT_EQ(0, memcmp(a.epoch.scores, b.epoch.scores, SAMPLES * sizeof(*a.epoch.scores)));
        ASSERT_EQ(0, memcmp(a.epoch.adm, b.epoch.adm, SAMPLES * sizeof(*a.epoch.adm)));
        ASSERT_NEAR(epoch == 0 ? 2.5 : 0, a.epoch.record.seconds, 1e-9);
        ASSERT_EQ(0, a.missing);
        ASSERT_STR(external_order(a.next).sha256, external_order(b.next).sha256);
        assert_stream(a.next, &spec, epoch + 1);
        again = create(&spec, -1);
        struct external *from = one;
        for (int e = 0; e <= epoch; e++) { /* all epochs before it, from their scores alone */
            struct score scores[SAMPLES];
            for (uint32_t i = 0; i < SAMPLES; i++)
                scores[i] = (struct score){.loss = loss_of(e, i),
                                           .adv_loss = loss_of(e, i) + loss_of(e + 100, i),
                                           .grad_norm = NAN,
                                           .el2n = NAN,
                                           .predicted = (int32_t)(i % 3),
                                           .flags = SCORE_MEASURED};
            ASSERT_EQ(0, external_replay(again, e, scores));
        }
        ASSERT_EQ(0, external_open(again, epoch + 1, 0));
        ASSERT_STR(external_order(a.next).sha256, external_order(again).sha256);
        external_free(again);
        external_free(from);
        external_free(parts);
        one = a.next;
        parts = b.next;
        a.next = b.next = NULL;
        external_closed_done(&a);
        external_closed_done(&b);
    }
    report(one, 0, 1, &counted, &dropped);
    struct external_closed last = close_all(one);
    ASSERT(!last.next);
    external_closed_done(&last);
    external_free(one);
    external_free(parts);
}

TEST(what_was_not_reported_is_missing_and_keeps_its_rank)
{
    struct jobspec spec = spec_of(MEASURE_LOSS);
    struct external *e = create(&spec, 0);
    uint8_t in_order[SAMPLES] = {0};
    uint32_t ids[STEPS * BATCH], want = 0;
    float weights[STEPS * BATCH];
    uint64_t counted, dropped;

    external_positions(e, 0, 1, 0, STEPS * BATCH, ids, weights);
    for (uint32_t i = 0; i < STEPS * BATCH; i++)
        in_order[ids[i]] = 1;
    for (uint32_t i = 0; i < SAMPLES; i++)
        want += in_order[i] && i % 2 == 1;
    report(e, 0, 2, &counted, &dropped);
    struct external_closed c = close_all(e);
    ASSERT_EQ(want, c.missing);
    struct external_closed after = close_all(c.next); /* nothing at all */
    ASSERT(!after.epoch.scores && !after.epoch.adm);
    ASSERT(isnan(after.epoch.record.mean_gap));
    external_closed_done(&after);
    external_closed_done(&c);
    external_free(e);
}

TEST(an_epoch_closes_when_all_ranks_have_said_so)
{
    struct jobspec spec = spec_of(MEASURE_ADM);
    struct external *e = create(&spec, 0);
    const struct metric high[] = {{"x", 3}, {"train_loss", 9}}, low[] = {{"x", 1}};
    const struct metric wrong[] = {{"y", 1}, {"train_accuracy", 80}};
    uint32_t waiting[2];
    struct external_closed c;
    struct errbuf why;

    ASSERT_EQ(4, external_waiting(e, 4, waiting, 2));
    ASSERT_OK(external_rank_closes(e, 2, 4, high, 2, &why), why);
    ASSERT_EQ(-EINVAL, external_rank_closes(e, 0, 4, wrong, 2, &why));
    ASSERT_EQ(3, external_waiting(e, 4, waiting, 2));
    ASSERT_EQ(0, waiting[0]);
    ASSERT_EQ(1, waiting[1]);
    ASSERT_EQ(-EINVAL, external_rank_closes(e, 0, 2, NULL, 0, &why));
    ASSERT_HAS("ranks of 4 have closed epoch 1", why.text);
    ASSERT_OK(external_rank_closes(e, 1, 4, low, 1, &why), why);
    ASSERT_OK(external_rank_closes(e, 2, 4, high, 2, &why), why); /* again */
    ASSERT_OK(external_rank_closes(e, 0, 4, NULL, 0, &why), why);
    ASSERT_OK(external_rank_closes(e, 3, 4, high, 2, &why), why);
    ASSERT_EQ(0, external_waiting(e, 4, waiting, 2));
    ASSERT_OK(external_close(e, 0, &c, &why), why);
    ASSERT_EQ(1, c.metrics.count);
    ASSERT_NEAR(1, c.metrics.items[0].value, 0);
    ASSERT_NEAR(9, c.epoch.record.train_loss, 0);
    external_closed_done(&c);
    external_free(e);
}

TEST(a_test_that_is_reported_whole_is_summed_up)
{
    struct jobspec spec = spec_of(MEASURE_ADM);
    struct external *e = create(&spec, 0);
    const uint32_t ids[] = {5, 4, 3, 2, 1, 0};
    const double loss[] = {1, 2, 3, 4, 5, 6};
    const int32_t predicted[] = {1, 0, 3, 0, 1, 1};
    uint64_t counted, dropped;
    struct errbuf why;
    struct external_report r = {
        .test = true,
        .count = TESTS,
        .ids = ids,
        .values = {[EXTERNAL_LOSS] = {loss, false}, [EXTERNAL_PREDICTED] = {predicted, false}}};

    ASSERT_OK(external_report(e, &r, &counted, &dropped, &why), why);
    struct external_closed c = close_all(e);
    ASSERT_EQ(TESTS, c.epoch.tested);
    ASSERT_NEAR(3.5, c.epoch.record.test_loss, 1e-12);
    ASSERT_NEAR(4.0 / 6, c.epoch.record.test_accuracy, 1e-12);
    ASSERT(isnan(c.epoch.record.adv_accuracy));
    ASSERT_EQ(2, c.epoch.by_class[1].right);
    external_closed_done(&c);
    r.count = 1;
    r.ids = (const uint32_t[]){TESTS};
    ASSERT_EQ(-EINVAL, external_report(e, &r, &counted, &dropped, &why));
    ASSERT_HAS("the test samples are 0 to 5", why.text);
    external_free(e);
}

TEST(excluded_samples_are_not_in_the_order)
{
    struct jobspec spec = spec_of(MEASURE_NONE);
    const uint32_t excluded[] = {0, 9, 50};
    const struct run_inputs in = {.excluded = excluded, .excluded_count = 3};
    uint32_t ids[SAMPLES];
    float weights[SAMPLES];
    struct external *e;

    ASSERT_EQ(0, external_create(&spec, &data, 7, 2, &in, no_overlays, &e));
    ASSERT_EQ(0, external_open(e, 0, 0));
    ASSERT_EQ(97 / BATCH * BATCH, external_order(e).positions);
    external_positions(e, 0, 1, 0, 97 / BATCH * BATCH, ids, weights);
    for (uint32_t i = 0; i < 97 / BATCH * BATCH; i++)
        ASSERT(ids[i] != 0 && ids[i] != 9 && ids[i] != 50);
    external_free(e);
}
