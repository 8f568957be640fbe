/* What a list of suspects is worth, and suspects by models that have not seen them. */
#include "server/query/query_trust.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "server/query/query.h"
#include "tests/unit/server/store_fixture.h"

#define N 40
#define NOTHING ((struct unseen_accuracy){NAN, NAN, false})

static double number(const cJSON *obj, const char *key)
{
    const cJSON *item = cJSON_GetObjectItem(obj, key);

    ASSERT(cJSON_IsNumber(item));
    return item->valuedouble;
}

/* loss and el2n of a softmax over three classes with these probabilities of label and rivals. */
static struct score score_of(double label, double rival, double last, int predicted)
{
    return (struct score){.loss = -log(label),
                          .el2n = sqrt(pow(1 - label, 2) + rival * rival + last * last),
                          .predicted = predicted,
                          .flags = SCORE_MEASURED};
}

TEST(the_rival_is_exact_for_three_classes_and_the_least_for_more)
{
    static const double cases[][2] = {
        {0.5, 0.3}, {0.1, 0.9}, {0.2, 0.4}, {1e-9, 0.7}, {0.98, 0.02}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const double label = cases[i][0], rival = cases[i][1];
        const struct score s = score_of(label, rival, 1 - label - rival, 0);
        ASSERT_NEAR(fmax(rival, 1 - label - rival), score_rival(s.loss, s.el2n), 1e-7);
    }
    /* 0.5, 0.2, 0.1 behind a label of 0.2: two alike and a rest have the same sums. */
    const double el2n = sqrt(0.64 + 0.25 + 0.04 + 0.01), least = score_rival(-log(0.2), el2n);
    ASSERT(least <= 0.5 && least > 0.38);
    for (double loss = 1e-320; loss < 1e3; loss *= 10)
        for (double e = 1e-320; e < 1.5; e *= 7) {
            const double p = score_rival(loss, e);
            ASSERT(p >= 0 && p <= 1);
        }
}

/* Two classes of 10: of class 0 eight are sure, one is taken for 1 surely and one hardly; of class
 * 1 all are sure. */
TEST(the_confident_joint_counts_what_reaches_the_threshold_of_its_class)
{
    struct score scores[20];
    uint16_t labels[20];
    struct query_epoch x = {.count = 20, .scores = scores, .labels = labels};
    struct label_noise *noise = calloc(CLASSES_MAX, sizeof(*noise));

    for (int i = 0; i < 20; i++) {
        labels[i] = i < 10 ? 0 : 1;
        scores[i] = score_of(0.9, 0.1, 0, labels[i]);
    }
    scores[8] = score_of(0.05, 0.95, 0, 1);
    scores[9] = score_of(0.45, 0.55, 0, 1); /* above neither threshold */
    label_noise(&x, noise);
    ASSERT_EQ(10, noise[0].samples);
    ASSERT_NEAR((8 * 0.9 + 0.05 + 0.45) / 10, noise[0].confidence, 1e-12);
    ASSERT_NEAR(0.9, noise[1].confidence, 1e-12);
    ASSERT_EQ(9, noise[0].counted);
    ASSERT_EQ(8, noise[0].agree);
    ASSERT_NEAR(10.0 / 9, noise[0].expected, 1e-12);
    ASSERT_EQ(0, noise[1].expected);
    scores[8].predicted = 5; /* nobody is labelled so: no threshold */
    label_noise(&x, noise);
    ASSERT_EQ(8, noise[0].counted);
    ASSERT_EQ(0, noise[5].samples);
    labels[0] = LABEL_UNKNOWN;
    label_noise(&x, noise);
    ASSERT_EQ(9, noise[0].samples);
    free(noise);
}

/* 800 predictions, the first 98 of them sure, four as sure as the hundredth; behind them one
 * without a label. Of the first 96 every fourth is not the label. */
TEST(the_surest_eighth_has_all_that_are_as_sure_as_its_last)
{
    struct score scores[801];
    uint16_t labels[801];
    struct query_epoch x = {.count = 801, .scores = scores, .labels = labels};
    struct surest s;
    struct errbuf why;

    for (int i = 0; i < 801; i++) {
        const double p = i < 98 ? 0.9 - i / 8000.0 : i < 102 ? 0.8 : 0.7 - i / 8000.0;
        labels[i] = 0;
        scores[i] = i % 4 || i >= 96 ? score_of(p, 1 - p, 0, 0) : score_of(1 - p, p, 0, 1);
    }
    scores[800] = score_of(1e-20, 1, 0, 1);
    labels[800] = LABEL_UNKNOWN;
    ASSERT_OK(query_surest(&x, &s, &why), why);
    ASSERT_EQ(800, s.of);
    ASSERT_EQ(102, s.samples);
    ASSERT_EQ(24, s.other);
    ASSERT_NEAR(800 * 24 / 102.0, s.wrong, 1e-9);
    ASSERT_NEAR(800 * (24 - 2 * sqrt(24)) / 102, s.least, 1e-9);
    ASSERT_NEAR(800 * (24 + 2 * sqrt(24)) / 102, s.most, 1e-9);
    ASSERT_EQ(13, s.first);
    ASSERT(!s.fewer);
    for (int i = 0; i < 60; i++) /* then the wrong ones are in the other half */
        scores[i] = score_of(0.95, 0.05, 0, 0);
    ASSERT_OK(query_surest(&x, &s, &why), why);
    ASSERT_EQ(0, s.first);
    ASSERT_EQ(9, s.other);
    ASSERT(s.fewer);
    scores[0] = score_of(0.1, 0.9, 0, 1);
    x.count = 1; /* so few wrong ones may be none */
    ASSERT_OK(query_surest(&x, &s, &why), why);
    ASSERT_EQ(1, s.samples);
    ASSERT_EQ(1, s.wrong);
    ASSERT_EQ(0, s.least);
    ASSERT_EQ(1, s.most); /* and no more are than there are */
    x.count = 0;
    ASSERT_OK(query_surest(&x, &s, &why), why);
    ASSERT_EQ(0, s.samples);
    ASSERT_EQ(0, s.wrong);
}

/* An epoch of scores; the first `right` samples are predicted as labelled, those from `left` to
 * `end` are left out and lose `loss`. */
static void fold(struct store *s, int64_t job, int right, int left, int end, double loss,
                 struct unseen_accuracy held)
{
    struct fixture_scores x = fixture_scores(job, 0, N);
    char sha256[SHA256_HEX];
    struct errbuf why;

    for (int i = 0; i < N; i++) {
        const bool out = i >= left && i < end;
        x.scores[i] = score_of(exp(-(out ? loss + i / 100.0 : 0.1)), 0, 0,
                               i < right ? x.labels[i] : (x.labels[i] + 1) % FIXTURE_CLASSES);
        x.scores[i].el2n = sqrt(2) * -expm1(-x.scores[i].loss);
        x.scores[i].flags |= out ? SCORE_LEFT_OUT : 0;
    }
    x.fold.record.train_accuracy = right / (double)N;
    x.fold.record.validation_accuracy = held.validation;
    x.fold.record.test_accuracy = held.test;
    ASSERT_OK(store_fold(s, &x.fold, sha256, &why), why);
    fixture_scores_done(&x);
}

static struct ask ask_of(int64_t job)
{
    struct ask a = ASK;

    a.job = job;
    a.by = SUSPECT_LOSS;
    return a;
}

static const char *warning(const cJSON *out, int at)
{
    const cJSON *w =
        cJSON_GetArrayItem(cJSON_GetObjectItem(cJSON_GetObjectItem(out, "worth"), "warnings"), at);

    return w ? w->valuestring : "";
}

/* The test's is said where nothing validates. */
static void check_held(const struct unseen_accuracy *other, const cJSON *worth)
{
    const cJSON *validation = cJSON_GetObjectItem(worth, "validation_accuracy"),
                *test = cJSON_GetObjectItem(worth, "test_accuracy");

    ASSERT_EQ(!isnan(other->validation), validation != NULL);
    ASSERT_EQ(isnan(other->validation) && !isnan(other->test), test != NULL);
    if (validation)
        ASSERT_NEAR(other->validation, validation->valuedouble, 1e-12);
    if (test)
        ASSERT_NEAR(other->test, test->valuedouble, 1e-12);
}

TEST(a_list_says_what_it_is_worth)
{
    static const struct {
        int right;
        struct unseen_accuracy held;
        const char *first, *note;
    } cases[] = {
        {N,
         {0.95, 0.1, false},
         "the model knows 100.00% of the labels by heart, wrong ones too; steppe suspects 1",
         ""},
        {N,
         {NAN, NAN, false},
         "the model knows 100.00% of the labels by heart, wrong ones too",
         ""},
        {30,
         {0.5, 0.7, false},
         "75.00% of the labels that it was trained on and on 50.00% of those held out to validate",
         "on 50.00% of those held out to validate: it knows some by heart, wrong ones too; steppe "
         "suspects 3 --out-of-sample 5"},
        {N,
         {NAN, 0.6, false},
         "100.00% of the labels that it was trained on and on 60.00% of those of the test (nothing "
         "validates): it knows some by heart",
         "on 60.00% of those of the test (nothing validates)"},
        {30, {NAN, 0.7, false}, "", ""},
        {12,
         {0.5, NAN, false},
         "the model is right on 30.00% of the labels, and always naming the largest class would "
         "be on 10.00%: a model that has learnt little says little about labels",
         ""},
        {24, {0.5, NAN, false}, "", ""},
    };
    struct store *store = fixture_open();
    struct query *q;
    struct errbuf why;
    cJSON *out;

    fixture_dataset(store, N);
    ASSERT_OK(query_open(test_path("state"), &q, &why), why);
    for (int i = 0; i < (int)(sizeof(cases) / sizeof(cases[0])); i++) {
        const struct ask a = ask_of(fixture_job(store, 1 + i));
        fold(store, a.job, cases[i].right, 0, 0, 0, cases[i].held);
        ASSERT_OK(query_suspects(q, &a, &out, &why), why);
        ASSERT_HAS(cases[i].first, warning(out, 0));
        ASSERT_STR("", warning(out, 1));
        ASSERT_EQ(*cases[i].first == 0, *warning(out, 0) == 0);
        const cJSON *worth = cJSON_GetObjectItem(out, "worth");
        ASSERT_NEAR(cases[i].right / (double)N, number(worth, "accuracy"), 1e-12);
        check_held(&cases[i].held, worth);
        ASSERT_EQ(N, number(worth, "samples"));
        ASSERT_EQ(strstr(cases[i].first, "by heart") || cases[i].note[0],
                  !cJSON_GetObjectItem(worth, "least"));
        ASSERT_EQ(FIXTURE_CLASSES, cJSON_GetArraySize(cJSON_GetObjectItem(worth, "classes")));
        cJSON_Delete(out);
        out = cJSON_CreateArray();
        ASSERT_OK(query_note_by_heart(q, a.job, out, &why), why);
        ASSERT_EQ(*cases[i].note != 0, cJSON_GetArraySize(out));
        if (out->child)
            ASSERT_HAS(cases[i].note, out->child->valuestring);
        cJSON_Delete(out);
    }
    query_close(q);
    store_close(store);
}

/* Of each class two samples are learnt, one is hardly, and one is taken for another class, less
 * surely than the two. */
TEST(what_is_not_learnt_is_no_wrong_label)
{
    static const double sure[] = {0.99, 0.99, 0.6, 0.9};
    struct store *store = fixture_open();
    char sha256[SHA256_HEX];
    struct query *q;
    struct errbuf why;
    cJSON *out;

    fixture_dataset(store, N);
    const struct ask a = ask_of(fixture_job(store, 1));
    struct fixture_scores x = fixture_scores(a.job, 0, N);
    for (int i = 0; i < N; i++) {
        const double p = sure[i / FIXTURE_CLASSES];
        x.scores[i] = i < 30 ? score_of(p, 1 - p, 0, x.labels[i])
                             : score_of(1 - p, p, 0, (x.labels[i] + 1) % FIXTURE_CLASSES);
    }
    x.fold.record.validation_accuracy = 0.7;
    ASSERT_OK(store_fold(store, &x.fold, sha256, &why), why);
    ASSERT_OK(query_open(test_path("state"), &q, &why), why);
    ASSERT_OK(query_suspects(q, &a, &out, &why), why);
    const cJSON *worth = cJSON_GetObjectItem(out, "worth");
    ASSERT_NEAR(N / 3.0, number(worth, "expected"), 1e-9);
    ASSERT_EQ(0, number(worth, "surest"));
    ASSERT_EQ(0, number(worth, "least"));
    ASSERT_NEAR(N / 3.0, number(worth, "most"), 1e-9);
    ASSERT_HAS("most of the 13 may be right labels that are not learnt: 0 of the 20 surest "
               "predictions contradict their label, and at that rate 0 of 40 are wrong",
               warning(out, 0));
    cJSON_Delete(out);
    fixture_scores_done(&x);
    query_close(q);
    store_close(store);
}

TEST(what_the_job_excludes_is_no_suspect_and_counts_nowhere)
{
    static const uint32_t excluded[] = {0, 7, N - 1, N + 5};
    struct store *store = fixture_open();
    struct query *q;
    struct errbuf why;
    cJSON *out;

    fixture_dataset(store, N);
    struct ask a = ask_of(fixture_job(store, 1));
    fold(store, a.job, N, 0, 0, 0, NOTHING);
    a.limit = N;
    a.excluded = excluded;
    a.excluded_count = 4;
    ASSERT_OK(query_open(test_path("state"), &q, &why), why);
    ASSERT_OK(query_suspects(q, &a, &out, &why), why);
    ASSERT_EQ(N - 3, number(out, "samples"));
    ASSERT_EQ(N - 3, number(cJSON_GetObjectItem(out, "worth"), "samples"));
    const cJSON *row;
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(out, "rows"))
    {
        const double sample = number(row, "sample");
        ASSERT(sample != 0 && sample != 7 && sample != N - 1);
    }
    cJSON_Delete(out);
    query_close(q);
    store_close(store);
}

TEST(a_sample_has_the_score_of_the_model_that_left_it_out)
{
    struct store *store = fixture_open();
    struct query *q;
    struct errbuf why;
    cJSON *out;

    fixture_dataset(store, N);
    struct ask a = ask_of(fixture_job(store, 1));
    fold(store, a.job, N, 0, 0, 0, NOTHING);
    for (int k = 0; k < 2; k++) {
        a.folds[k] = fixture_job(store, 2 + k);
        fold(store, a.folds[k], 10, 20 * k, 20 * k + 20, 1 + k, NOTHING);
    }
    a.fold_count = 2;
    a.limit = N;
    ASSERT_OK(query_open(test_path("state"), &q, &why), why);
    ASSERT_OK(query_suspects(q, &a, &out, &why), why);
    const cJSON *rows = cJSON_GetObjectItem(out, "rows"),
                *worth = cJSON_GetObjectItem(out, "worth");
    ASSERT_EQ(N, cJSON_GetArraySize(rows));
    for (int i = 0; i < N; i++) { /* the second fold loses more; within one the later sample */
        const cJSON *row = cJSON_GetArrayItem(rows, i);
        ASSERT_EQ(N - 1 - i, number(row, "sample"));
        ASSERT_EQ(1, number(row, "seen"));
    }
    ASSERT(cJSON_IsTrue(cJSON_GetObjectItem(worth, "out_of_sample")));
    ASSERT_NEAR(0.25, number(worth, "accuracy"), 1e-12);
    ASSERT(!cJSON_GetObjectItem(worth, "validation_accuracy"));
    ASSERT_HAS("says little about labels", warning(out, 0));
    ASSERT_STR("", warning(out, 1));
    cJSON_Delete(out);
    a.class_id = 3;
    ASSERT_OK(query_suspects(q, &a, &out, &why), why);
    ASSERT_EQ(4, number(out, "samples"));
    ASSERT_EQ(N, number(cJSON_GetObjectItem(out, "worth"), "samples"));
    cJSON_Delete(out);
    a.folds[0] = a.folds[1] = a.job; /* leaves nothing out */
    ASSERT_EQ(-ENOENT, query_suspects(q, &a, &out, &why));
    ASSERT_HAS("no scores of what they left out", why.text);
    query_close(q);
    store_close(store);
}
