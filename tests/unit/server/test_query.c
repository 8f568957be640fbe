#include <errno.h>
#include <unistd.h>

#include "server/query/query.h"
#include "server/query/query_internal.h"
#include "tests/unit/server/store_fixture.h"

#define N 40

struct world {
    struct store *store;
    struct query *query;
    int64_t job;
};

/* Two scored epochs and one without scores between them: in epoch e sample i has adm i/100 (e = 0)
 * or (39 - i)/100 (e = 2), loss i, gap 1/2, all but sample 5 right. */
static struct world world_open(void)
{
    struct world w = {.store = fixture_open()};
    struct errbuf why;
    char sha256[SHA256_HEX];

    fixture_dataset(w.store, N);
    w.job = fixture_job(w.store, 1);
    for (int e = 0; e < 3; e++) {
        struct fixture_scores x = fixture_scores(w.job, e, N);
        for (int i = 0; i < N; i++) {
            x.adm[i] = (e == 0 ? i : N - 1 - i) / 100.0;
            x.scores[i] = (struct score){.loss = i,
                                         .adv_loss = i + 0.5,
                                         .grad_norm = 2.0 * i,
                                         .el2n = 0.125,
                                         .flags = SCORE_MEASURED};
            x.scores[i].predicted = i == 5 ? 1 : i % FIXTURE_CLASSES;
        }
        if (e == 1) {
            x.fold.scores = NULL;
            x.fold.record.mean_gap = NAN;
        }
        ASSERT_OK(store_fold(w.store, &x.fold, sha256, &why), why);
        fixture_scores_done(&x);
    }
    ASSERT_OK(query_open(test_path("state"), &w.query, &why), why);
    return w;
}

static void world_close(struct world *w)
{
    query_close(w->query);
    store_close(w->store);
}

/* The margins of these made-up scores are no round numbers: they have a test of their own. */
static void drop_margins(cJSON *json)
{
    cJSON *row;

    cJSON_ArrayForEach(row, cJSON_GetObjectItem(json, "rows"))
    {
        ASSERT(cJSON_IsNumber(cJSON_GetObjectItem(row, "margin")));
        cJSON_DeleteItemFromObject(row, "margin");
    }
}

static char printed[8192];
static const char *print(cJSON *json)
{
    drop_margins(json);
    ASSERT(cJSON_PrintPreallocated(json, printed, sizeof(printed), 0));
    cJSON_Delete(json);
    return printed;
}

TEST(the_hardest_come_first_with_their_labels)
{
    struct world w = world_open();
    struct top_args a = {.job = w.job, .epoch = 0, .by = BY_ADM, .class_id = -1, .limit = 2};
    struct errbuf why;
    cJSON *out;

    ASSERT_OK(query_top(w.query, &a, &out, &why), why);
    ASSERT_STR(
        "{\"epoch\":0,\"total\":40,\"more\":true,\"rows\":["
        "{\"sample\":39,\"label\":9,\"label_name\":\"9\",\"truth\":9,\"adm\":0.39,\"loss\":39,"
        "\"adv_loss\":39.5,\"gap\":0.5,\"grad_norm\":78,\"el2n\":0.125,\"predicted\":9,"
        "\"correct\":true},"
        "{\"sample\":38,\"label\":8,\"label_name\":\"8\",\"truth\":8,\"adm\":0.38,\"loss\":38,"
        "\"adv_loss\":38.5,\"gap\":0.5,\"grad_norm\":76,\"el2n\":0.125,\"predicted\":8,"
        "\"correct\":true}]}",
        print(out));
    world_close(&w);
}

static void top_samples(struct world *w, const struct top_args *a, const char *want)
{
    char got[200] = "";
    struct errbuf why;
    const cJSON *row;
    cJSON *out;

    ASSERT_OK(query_top(w->query, a, &out, &why), why);
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(out, "rows"))
    {
        size_t at = strlen(got);
        snprintf(got + at, sizeof(got) - at, "%d ", cJSON_GetObjectItem(row, "sample")->valueint);
    }
    cJSON_Delete(out);
    ASSERT_STR(want, got);
}

TEST(top_follows_measure_order_epoch_and_class)
{
    struct world w = world_open();
    struct top_args a = {.job = w.job, .epoch = -1, .by = BY_ADM, .class_id = -1, .limit = 3};

    top_samples(&w, &a, "0 1 2 "); /* the last scored epoch is 2 */
    a.by = BY_LOSS;
    top_samples(&w, &a, "39 38 37 ");
    a.easiest = true;
    top_samples(&w, &a, "0 1 2 ");
    a.by = BY_EL2N; /* all equal: by gap, then by sample */
    top_samples(&w, &a, "0 1 2 ");
    a.by = BY_GAP;
    a.class_id = 7;
    a.limit = 1000;
    top_samples(&w, &a, "7 17 27 37 ");
    world_close(&w);
}

TEST(planted_samples_are_named)
{
    struct world w = world_open();
    struct top_args a = {.job = w.job, .epoch = 2, .by = BY_ADM, .class_id = -1, .limit = 3};
    struct errbuf why;
    cJSON *out;

    ASSERT_OK(query_top(w.query, &a, &out, &why), why);
    const cJSON *rows = cJSON_GetObjectItem(out, "rows");
    ASSERT(!cJSON_GetObjectItem(cJSON_GetArrayItem(rows, 0), "planted"));
    ASSERT_STR("flipped",
               cJSON_GetStringValue(cJSON_GetObjectItem(cJSON_GetArrayItem(rows, 1), "planted")));
    ASSERT_EQ(9, cJSON_GetObjectItem(cJSON_GetArrayItem(rows, 1), "truth")->valueint);
    ASSERT_STR("hard",
               cJSON_GetStringValue(cJSON_GetObjectItem(cJSON_GetArrayItem(rows, 2), "planted")));
    cJSON_Delete(out);
    world_close(&w);
}

TEST(what_is_not_there_is_said_with_what_there_is)
{
    struct world w = world_open();
    struct top_args a = {.job = 9, .epoch = -1, .class_id = -1, .limit = 1};
    struct errbuf why;
    cJSON *out = NULL;

    ASSERT_EQ(-ENOENT, query_top(w.query, &a, &out, &why));
    ASSERT_STR("there is no job 9; the jobs are 1 to 1", why.text);
    a.job = w.job;
    a.epoch = 1;
    ASSERT_EQ(-ENOENT, query_top(w.query, &a, &out, &why));
    ASSERT_STR(
        "job 1 has no scores of epoch 2; it has scores of epochs from 1 to 3, the nearest is 1",
        why.text);
    a.epoch = 0;
    a.class_id = 10;
    ASSERT_EQ(-ENOENT, query_top(w.query, &a, &out, &why));
    ASSERT_STR("the dataset of job 1 has no class 10; its classes are 0 to 9", why.text);
    const struct trajectory_args beyond = {.job = w.job, .sample = N, .from = -1, .limit = 10};
    ASSERT_EQ(-ENOENT, query_trajectory(w.query, &beyond, &out, &why));
    ASSERT_STR("job 1 has no sample 40; its samples are 0 to 39", why.text);
    int64_t second = fixture_job(w.store, 2);
    ASSERT_EQ(-ENOENT, query_planted(w.query, second, -1, &out, &why));
    ASSERT_HAS("job 2 has no scores yet", why.text);
    ASSERT_EQ(-ENOENT, query_events(w.query, 9, 0, 10, &out, &why));
    ASSERT(!out);
    world_close(&w);
}

TEST(a_histogram_counts_every_sample_once)
{
    struct world w = world_open();
    struct histogram_args a = {.job = w.job, .epoch = 0, .by = BY_LOSS, .bins = 4};
    struct errbuf why;
    cJSON *out;

    ASSERT_OK(query_histogram(w.query, &a, &out, &why), why);
    ASSERT_STR("{\"epoch\":0,\"by\":\"loss\",\"bins\":["
               "{\"lo\":0,\"hi\":9.75,\"count\":10},{\"lo\":9.75,\"hi\":19.5,\"count\":10},"
               "{\"lo\":19.5,\"hi\":29.25,\"count\":10},{\"lo\":29.25,\"hi\":39,\"count\":10}],"
               "\"mean\":19.5,\"p10\":3.9,\"p50\":19.5,\"p90\":35.1,\"count\":40}",
               print(out));
    world_close(&w);
}

TEST(logarithmic_bins_take_zeros_into_the_first)
{
    struct world w = world_open();
    struct histogram_args a = {.job = w.job, .epoch = 0, .by = BY_LOSS, .bins = 2, .log = true};
    struct errbuf why;
    cJSON *out;

    ASSERT_OK(query_histogram(w.query, &a, &out, &why), why);
    const cJSON *bins = cJSON_GetObjectItem(out, "bins"), *first = cJSON_GetArrayItem(bins, 0);
    ASSERT_EQ(2, cJSON_GetArraySize(bins));
    ASSERT_NEAR(0, cJSON_GetObjectItem(first, "lo")->valuedouble, 0);
    ASSERT_NEAR(sqrt(39), cJSON_GetObjectItem(first, "hi")->valuedouble, 1e-12);
    ASSERT_EQ(7, cJSON_GetObjectItem(first, "count")->valueint); /* 0 to 6 */
    ASSERT_EQ(33, cJSON_GetObjectItem(cJSON_GetArrayItem(bins, 1), "count")->valueint);
    cJSON_Delete(out);
    world_close(&w);
}

TEST(equal_values_are_one_bin)
{
    struct world w = world_open();
    struct histogram_args a = {.job = w.job, .epoch = 0, .by = BY_EL2N, .bins = 20, .log = true};
    struct errbuf why;
    cJSON *out;

    ASSERT_OK(query_histogram(w.query, &a, &out, &why), why);
    ASSERT_HAS("\"bins\":[{\"lo\":0.125,\"hi\":0.125,\"count\":40}]", print(out));
    world_close(&w);
}

TEST(a_trajectory_goes_through_the_scored_epochs)
{
    struct world w = world_open();
    struct errbuf why;
    cJSON *out;

    const struct trajectory_args a = {.job = w.job, .sample = 5, .from = -1, .limit = 10};
    ASSERT_OK(query_trajectory(w.query, &a, &out, &why), why);
    ASSERT_STR(
        "{\"sample\":{\"sample\":5,\"label\":5,\"label_name\":\"five\",\"truth\":5},\"rows\":["
        "{\"epoch\":0,\"adm\":0.05,\"loss\":5,\"adv_loss\":5.5,\"gap\":0.5,\"grad_norm\":10,"
        "\"el2n\":0.125,\"predicted\":1,\"correct\":false},"
        "{\"epoch\":2,\"adm\":0.34,\"loss\":5,\"adv_loss\":5.5,\"gap\":0.5,\"grad_norm\":10,"
        "\"el2n\":0.125,\"predicted\":1,\"correct\":false}],\"total\":2,\"more\":false}",
        print(out));
    world_close(&w);
}

/* Flipped are 1, 11, 21, 31 and hard 2, 12, 22, 32 of 0..39. Of the 36 others, those below a
 * flipped one are 1, 10, 19, 28: 58 of 144 pairs; below a hard one 2, 11, 20, 29: 62. */
TEST(auroc_counts_the_pairs_in_the_right_order)
{
    struct world w = world_open();
    struct errbuf why;
    cJSON *out;

    ASSERT_OK(query_planted(w.query, w.job, 0, &out, &why), why);
    const cJSON *flipped = cJSON_GetObjectItem(out, "auroc_flipped");
    const cJSON *hard = cJSON_GetObjectItem(out, "auroc_hard");
    ASSERT_EQ(4, cJSON_GetObjectItem(out, "flipped")->valueint);
    ASSERT_EQ(4, cJSON_GetObjectItem(out, "hard")->valueint);
    ASSERT_NEAR(58.0 / 144, cJSON_GetObjectItem(flipped, "loss")->valuedouble, 1e-15);
    ASSERT_NEAR(58.0 / 144, cJSON_GetObjectItem(flipped, "adm")->valuedouble, 1e-15);
    ASSERT_NEAR(62.0 / 144, cJSON_GetObjectItem(hard, "grad_norm")->valuedouble, 1e-15);
    ASSERT_NEAR(0.5, cJSON_GetObjectItem(hard, "el2n")->valuedouble, 1e-15); /* all tied */
    cJSON_Delete(out);
    ASSERT_OK(query_planted(w.query, w.job, 2, &out, &why), why);
    flipped = cJSON_GetObjectItem(out, "auroc_flipped");
    ASSERT_NEAR(86.0 / 144, cJSON_GetObjectItem(flipped, "adm")->valuedouble, 1e-15);
    /* The first four by adm are 0, 1, 2, 3, of which 1 is flipped and 2 hard. */
    const cJSON *found = cJSON_GetObjectItem(out, "precision_flipped");
    ASSERT_NEAR(0.25, cJSON_GetObjectItem(found, "adm")->valuedouble, 0);
    found = cJSON_GetObjectItem(out, "precision_hard");
    ASSERT_NEAR(0.25, cJSON_GetObjectItem(found, "adm")->valuedouble, 0);
    cJSON_Delete(out);
    world_close(&w);
}

TEST(epochs_leave_out_what_was_not_measured)
{
    struct world w = world_open();
    struct epoch_record last;
    struct errbuf why;
    cJSON *out;

    ASSERT_OK(query_epochs(w.query, w.job, 1, &out, &why), why);
    const cJSON *rows = cJSON_GetObjectItem(out, "epochs");
    ASSERT_EQ(2, cJSON_GetArraySize(rows));
    const cJSON *row = cJSON_GetArrayItem(rows, 0);
    ASSERT_EQ(1, cJSON_GetObjectItem(row, "epoch")->valueint);
    ASSERT_EQ(0, cJSON_GetObjectItem(row, "scored")->valueint);
    ASSERT_NEAR(0.5, cJSON_GetObjectItem(row, "train_loss")->valuedouble, 0);
    ASSERT(cJSON_IsTrue(cJSON_GetObjectItem(row, "committed")));
    ASSERT(!cJSON_GetObjectItem(row, "test_accuracy"));
    ASSERT(!cJSON_GetObjectItem(row, "mean_gap"));
    ASSERT(!cJSON_GetObjectItem(row, "adm_mean"));
    row = cJSON_GetArrayItem(rows, 1);
    ASSERT_EQ(N, cJSON_GetObjectItem(row, "scored")->valueint);
    ASSERT_NEAR(0.9, cJSON_GetObjectItem(row, "mean_gap")->valuedouble, 0);
    ASSERT_NEAR(0.195, cJSON_GetObjectItem(row, "adm_mean")->valuedouble, 1e-15);
    ASSERT_EQ(64, strlen(cJSON_GetStringValue(cJSON_GetObjectItem(row, "scores_sha256"))));
    cJSON_Delete(out);
    ASSERT_OK(query_last_epoch(w.query, w.job, &last, &why), why);
    ASSERT_EQ(2, last.epoch);
    ASSERT_NEAR(1.0 / 3, last.train_loss, 0);
    ASSERT(isnan(last.test_accuracy));
    ASSERT_EQ(-ENOENT, query_last_epoch(w.query, fixture_job(w.store, 2), &last, &why));
    world_close(&w);
}

TEST(events_come_in_order_from_where_one_asks)
{
    struct world w = world_open();
    struct errbuf why;
    cJSON *out;

    for (int i = 2; i <= 5; i++)
        ASSERT_OK(store_event_add(w.store, w.job, "epoch", i == 4 ? "four" : "x", &why), why);
    ASSERT_OK(query_events(w.query, w.job, 3, 1, &out, &why), why);
    const cJSON *rows = cJSON_GetObjectItem(out, "events");
    ASSERT_EQ(1, cJSON_GetArraySize(rows));
    const cJSON *row = cJSON_GetArrayItem(rows, 0);
    ASSERT_EQ(4, cJSON_GetObjectItem(row, "event")->valueint);
    ASSERT_STR("epoch", cJSON_GetStringValue(cJSON_GetObjectItem(row, "kind")));
    ASSERT_STR("four", cJSON_GetStringValue(cJSON_GetObjectItem(row, "text")));
    ASSERT(cJSON_GetObjectItem(row, "unix_ms")->valuedouble > 1e12);
    cJSON_Delete(out);
    world_close(&w);
}

TEST(notes_come_with_the_job)
{
    const struct job_notes notes = {.count = 2, .text = {"a", "b \"c\""}};
    struct job_record rec = fixture_job_record(2);
    struct world w = world_open();
    struct errbuf why;
    cJSON *out;

    ASSERT_OK(store_job_insert(w.store, &rec, &notes, &why), why);
    ASSERT_EQ(-EEXIST, store_job_insert(w.store, &rec, &notes, &why));
    ASSERT_OK(query_notes(w.query, rec.job, &out, &why), why);
    ASSERT_STR("[\"a\",\"b \\\"c\\\"\"]", print(out));
    ASSERT_OK(query_notes(w.query, w.job, &out, &why), why);
    ASSERT_STR("[]", print(out));
    world_close(&w);
}

struct replayed {
    int calls;
    int64_t epochs[4];
    double loss_of_7[4];
    uint32_t flags_of_15[4];
};

static int keep(void *arg, int64_t epoch, const struct score *scores)
{
    struct replayed *r = arg;

    ASSERT(r->calls < 4);
    r->epochs[r->calls] = epoch;
    r->loss_of_7[r->calls] = scores[7].loss;
    r->flags_of_15[r->calls++] = scores[15].flags;
    return 0;
}

TEST(a_replay_gives_the_committed_scores_epoch_by_epoch)
{
    struct store *s = fixture_open();
    int64_t job = fixture_job(s, 1);
    struct fixture_scores x = fixture_scores(job, 3, N);
    struct replayed r = {.calls = 0};
    struct query *q;
    struct errbuf why;

    fixture_fold(s, job, 1, N, NULL);
    fixture_fold(s, job, 3, N, NULL);
    fixture_fold(s, job, 4, N, NULL);
    ASSERT_OK(query_open(test_path("state"), &q, &why), why);
    ASSERT_OK(query_replay(q, job, 4, N, keep, &r, &why), why);
    ASSERT_EQ(2, r.calls);
    ASSERT_EQ(1, r.epochs[0]);
    ASSERT_EQ(3, r.epochs[1]);
    ASSERT_NEAR(x.scores[7].loss, r.loss_of_7[1], 0);
    ASSERT_EQ(0, r.flags_of_15[1]); /* not measured */
    ASSERT_EQ(-EUCLEAN, query_replay(q, job, 4, N / 2, keep, &r, &why));
    ASSERT_HAS("there are 20 samples", why.text);
    fixture_scores_done(&x);
    query_close(q);
    store_close(s);
}

TEST(a_query_stops_at_its_deadline_and_the_next_one_runs)
{
    struct world w = world_open();
    struct histogram_args a = {.job = w.job, .epoch = 0, .by = BY_LOSS, .bins = 4};
    struct errbuf why;
    cJSON *out;

    fixture_dataset(w.store, N);
    fixture_fold(w.store, w.job, 3, 20000, NULL);
    a.epoch = 3;
    w.query->limit_ms = -60000; /* more than what its rows add */
    ASSERT_EQ(-ETIMEDOUT, query_histogram(w.query, &a, &out, &why));
    ASSERT_HAS("took too long", why.text);
    w.query->limit_ms = QUERY_DEADLINE_MS;
    ASSERT_OK(query_histogram(w.query, &a, &out, &why), why);
    cJSON_Delete(out);
    world_close(&w);
}

static int stop_after(void *arg, int64_t epoch, const struct score *scores)
{
    (void)epoch;
    (void)scores;
    query_stop(arg);
    return 0;
}

TEST(a_stopped_reader_is_interrupted_and_begins_nothing)
{
    struct world w = world_open();
    struct histogram_args a = {.job = w.job, .epoch = 0, .by = BY_LOSS, .bins = 4};
    struct errbuf why;
    cJSON *out;

    fixture_dataset(w.store, N);
    for (int64_t e = 3; e < 6; e++)
        fixture_fold(w.store, w.job, e, 20000, NULL);
    ASSERT(query_replay(w.query, w.job, 6, 20000, stop_after, w.query, &why) < 0);
    ASSERT_EQ(-ESHUTDOWN, query_histogram(w.query, &a, &out, &why));
    ASSERT_HAS("is stopping", why.text);
    world_close(&w);
}

TEST(readers_cannot_write_and_need_a_store)
{
    struct world w = world_open();
    struct query *q;
    struct errbuf why;

    ASSERT(sqlite3_exec(w.query->difficulty.sql, "DELETE FROM score", NULL, NULL, NULL) !=
           SQLITE_OK);
    ASSERT_EQ(-ENOENT, query_open(test_path("nowhere"), &q, &why));
    ASSERT_HAS("there is no state.db", why.text);
    world_close(&w);
}

static void same_numbers(const cJSON *row, const char *name, const double *want, int count)
{
    const cJSON *list = cJSON_GetObjectItem(row, name);

    ASSERT_EQ(count, cJSON_GetArraySize(list));
    for (int i = 0; i < count; i++)
        ASSERT_NEAR(want[i], cJSON_GetArrayItem(list, i)->valuedouble, 0);
}

/* All numbers are different: none may stand in the place of another. */
TEST(a_measurement_of_flatness_is_read_as_it_was_written)
{
    struct world w = world_open();
    struct flatness_args a = {.job = w.job, .from = 0, .limit = 10};
    struct flatness_record r = {.samples = 20,
                                .probes = 3,
                                .products = 6,
                                .loss = 1.5,
                                .gradient_norm = 2.5,
                                .count = FLATNESS_TOP,
                                .trace = 3.5,
                                .trace_error = 4.5,
                                .sharpness = 5.5,
                                .rho = 6.5};
    struct fixture_scores x = fixture_scores(w.job, 3, N);
    char sha256[SHA256_HEX];
    struct errbuf why;
    cJSON *out, *newest;

    for (int i = 0; i < FLATNESS_TOP; i++) {
        r.value[i] = 100 - i;
        r.residual[i] = 0.25 + i;
    }
    for (int k = 0; k < FLATNESS_LINES; k++)
        for (int i = 0; i < FLATNESS_POINTS; i++)
            r.line[k][i] = (struct flatness_point){i, 1000 * k + i, 0.5 + 1000 * k + i};
    x.fold.flatness = &r;
    ASSERT_OK(store_fold(w.store, &x.fold, sha256, &why), why);
    fixture_scores_done(&x);
    ASSERT_OK(query_flatness(w.query, &a, &out, &why), why);
    ASSERT_OK(query_flatness_newest(w.query, w.job, &newest, &why), why);
    const cJSON *rows = cJSON_GetObjectItem(out, "rows"), *row = cJSON_GetArrayItem(rows, 0);
    ASSERT_EQ(1, cJSON_GetArraySize(rows));
    same_numbers(row, "values", r.value, FLATNESS_TOP);
    same_numbers(row, "residuals", r.residual, FLATNESS_TOP);
    same_numbers(newest, "values", r.value, FLATNESS_TOP);
    same_numbers(newest, "residuals", r.residual, FLATNESS_TOP);
    for (int k = 0; k < FLATNESS_LINES; k++) {
        const cJSON *line = cJSON_GetArrayItem(cJSON_GetObjectItem(row, "lines"), k);
        double t[FLATNESS_POINTS], distance[FLATNESS_POINTS], loss[FLATNESS_POINTS];
        for (int i = 0; i < FLATNESS_POINTS; i++) {
            t[i] = r.line[k][i].t;
            distance[i] = r.line[k][i].distance;
            loss[i] = r.line[k][i].loss;
        }
        same_numbers(line, "t", t, FLATNESS_POINTS);
        same_numbers(line, "distance", distance, FLATNESS_POINTS);
        same_numbers(line, "loss", loss, FLATNESS_POINTS);
    }
    cJSON_DeleteItemFromObject(newest, "values");
    cJSON_DeleteItemFromObject(newest, "residuals");
    ASSERT_STR("{\"epoch\":3,\"samples\":20,\"loss\":1.5,\"gradient_norm\":2.5,\"products\":6,"
               "\"trace\":3.5,\"trace_error\":4.5,\"probes\":3,\"sharpness\":5.5,\"rho\":6.5}",
               print(newest));
    cJSON_Delete(out);
    world_close(&w);
}

TEST(metrics_come_with_their_epoch_and_its_time)
{
    struct world w = world_open();
    struct metrics_args a = {.job = w.job, .from = 1, .limit = 1};
    struct fixture_scores x = fixture_scores(w.job, 3, N);
    struct metric_set set = {0};
    char sha256[SHA256_HEX];
    struct errbuf why;
    cJSON *out;

    ASSERT_OK(metric_add(&set, &x.fold.record, "val/f1", 0.75, &why), why);
    x.fold.metrics = &set;
    ASSERT_OK(store_fold(w.store, &x.fold, sha256, &why), why);
    ASSERT_OK(query_metrics(w.query, &a, &out, &why), why);
    ASSERT(cJSON_IsTrue(cJSON_GetObjectItem(out, "more")));
    const cJSON *rows = cJSON_GetObjectItem(out, "rows");
    ASSERT_EQ(1, cJSON_GetArraySize(rows));
    ASSERT_EQ(1, cJSON_GetObjectItem(rows->child, "epoch")->valueint);
    cJSON_Delete(out);
    a.from = 3;
    ASSERT_OK(query_metrics(w.query, &a, &out, &why), why);
    ASSERT(cJSON_IsFalse(cJSON_GetObjectItem(out, "more")));
    cJSON *row = cJSON_GetObjectItem(out, "rows")->child;
    ASSERT(cJSON_GetObjectItem(row, "unix_ms")->valuedouble > 1e12);
    cJSON *values = cJSON_GetObjectItem(row, "metrics");
    for (const char **drop =
             (const char *[]){"adm_mean", "adm_p10", "adm_p50", "adm_p90", "newly_right", NULL};
         *drop; drop++) {
        ASSERT(cJSON_HasObjectItem(values, *drop));
        cJSON_DeleteItemFromObject(values, *drop);
    }
    values = cJSON_DetachItemViaPointer(row, values);
    cJSON_Delete(out);
    ASSERT_STR("{\"lr\":0.05,\"mean_gap\":0.9,\"scheduled\":40,\"scored\":38,\"seconds\":2.5,"
               "\"share\":0.8,\"sharpness\":0.01,\"train_accuracy\":0.5,\"train_loss\":0.25,"
               "\"val/f1\":0.75}",
               print(values));
    metric_set_done(&set);
    fixture_scores_done(&x);
    world_close(&w);
}

TEST(probabilities_come_in_pages_of_the_newest_committed_epoch)
{
    struct world w = world_open();
    struct fixture_scores x = fixture_scores(w.job, 3, N);
    float p[N * 2];
    char sha256[SHA256_HEX];
    struct probability_rows r;
    struct errbuf why;

    ASSERT_EQ(-ENOENT, query_probabilities(w.query, w.job, 0, 10, &r, &why));
    ASSERT_HAS("job 1 has no probabilities of classes; a job with score.probabilities", why.text);
    for (int i = 0; i < N; i++) {
        p[2 * i] = (float)i / N;
        p[2 * i + 1] = 1 - p[2 * i];
    }
    x.fold.classes = 2;
    x.fold.probabilities = p;
    ASSERT_OK(store_fold(w.store, &x.fold, sha256, &why), why);
    ASSERT_OK(query_probabilities(w.query, w.job, 0, 10, &r, &why), why);
    ASSERT_EQ(10, r.count);
    ASSERT(r.more);
    ASSERT_EQ(3, r.epoch);
    ASSERT_EQ(2, r.classes);
    ASSERT_EQ(N, r.samples);
    ASSERT_MEM(p, r.p, 10 * 2 * sizeof(*p));
    probability_rows_done(&r);
    ASSERT_OK(query_probabilities(w.query, w.job, 14, 100, &r, &why), why);
    ASSERT_EQ(14, r.sample[0]);
    ASSERT_EQ(16, r.sample[1]); /* 15 was not measured */
    ASSERT_MEM(p + 32, r.p + 2, 2 * sizeof(*p));
    ASSERT_EQ(N - 14 - 2, r.count);
    ASSERT(!r.more);
    probability_rows_done(&r);
    fixture_scores_done(&x);
    world_close(&w);
}
