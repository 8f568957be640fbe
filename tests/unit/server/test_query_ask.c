/* classes, risers, suspects, compare, map and rows, over scores that a person can add up. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "server/core/sample_history.h"
#include "server/query/query.h"
#include "server/query/query_internal.h"
#include "tests/unit/server/store_fixture.h"

#define N 40

struct world {
    struct store *store;
    struct query *query;
    int64_t job;
};

static void fold(struct store *s, int64_t job, int64_t epoch, double (*loss)(int i, int64_t epoch),
                 int (*predicted)(int i, int64_t epoch))
{
    struct fixture_scores x = fixture_scores(job, epoch, N);
    char sha256[SHA256_HEX];
    struct errbuf why;

    for (int i = 0; i < N; i++) {
        double l = loss(i, epoch), rest = 1 - exp(-l);
        x.adm[i] = i / 100.0;
        x.scores[i] = (struct score){
            .loss = l,
            .adv_loss = 2 * l,
            .grad_norm = i,
            .el2n = sqrt(2) * rest, /* one rival has all the rest */
            .predicted = predicted(i, epoch),
            .flags = SCORE_MEASURED,
        };
    }
    ASSERT_OK(store_fold(s, &x.fold, sha256, &why), why);
    fixture_scores_done(&x);
}

/* Sample 7 becomes harder from epoch to epoch, sample 8 easier; the others have loss 1. */
static double loss_of(int i, int64_t epoch)
{
    return i == 7 ? 1 + (double)epoch : i == 8 ? 5 - (double)epoch : 1;
}

/* Samples of class 3 are taken for 4, and sample 7 from epoch 1 on for 0. */
static int predicted_of(int i, int64_t epoch)
{
    return i == 7 && epoch > 0 ? 0 : i % 10 == 3 ? 4 : i % 10;
}

static struct world world_open(void)
{
    struct world w = {.store = fixture_open()};
    struct errbuf why;

    fixture_dataset(w.store, N);
    w.job = fixture_job(w.store, 1);
    for (int64_t e = 0; e < 4; e++)
        fold(w.store, w.job, e, loss_of, predicted_of);
    ASSERT_OK(query_open(test_path("state"), &w.query, &why), why);
    return w;
}

static void world_close(struct world *w)
{
    query_close(w->query);
    store_close(w->store);
}

static struct ask ask_of(const struct world *w)
{
    struct ask a = ASK;

    a.job = w->job;
    return a;
}

static double number(const cJSON *json, const char *name)
{
    const cJSON *value = cJSON_GetObjectItem(json, name);

    if (!cJSON_IsNumber(value))
        FAIL("there is no number %s", name);
    return value->valuedouble;
}
static const cJSON *row(const cJSON *json, int i)
{
    const cJSON *rows = cJSON_GetObjectItem(json, "rows");

    if (i >= cJSON_GetArraySize(rows))
        FAIL("there is no row %d", i);
    return cJSON_GetArrayItem(rows, i);
}

TEST(the_margin_of_two_classes_is_that_of_their_logits)
{
    /* z_y - z = 2: loss = ln(1 + exp(-2)), el2n = sqrt(2) (1 - p). */
    double loss = log1p(exp(-2)), rest = -expm1(-loss);

    ASSERT_NEAR(2, score_margin(loss, sqrt(2) * rest), 1e-12);
    /* Ten classes, the other nine alike: ln(9) / 2 below z_y - z. */
    double p = exp(1.5) / (exp(1.5) + 9), q = (1 - p) / 9;
    ASSERT_NEAR(1.5 - log(9) / 2, score_margin(-log(p), sqrt((1 - p) * (1 - p) + 9 * q * q)),
                1e-12);
    ASSERT(isfinite(score_margin(0, 0)));
    ASSERT(isfinite(score_margin(1e-300, 1e-300)));
    ASSERT(isfinite(score_margin(745, 1.4)));
}

/* Means of margins are in databases: the rule stays, whatever number of classes is allowed. These
 * are of a server that allowed 1000, for el2n that say less than a spread over so many. */
TEST(margins_are_those_of_old_databases)
{
    static const struct {
        double loss, el2n, margin;
    } old[] = {
        {1.0, 0.1, 2.9125527848781503},
        {8.0, 0.9999, -4.5457868416008544},
        {0.0, 0.0, 711.8502961717552},
        {0.25, 0.3, 1.3462276404426297},
        {8.534836626588833, 0.9999017440429955, -5.08076246552889}, /* 5089 classes alike */
    };

    for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++)
        ASSERT_NEAR(old[i].margin, score_margin(old[i].loss, old[i].el2n),
                    1e-12 * fabs(old[i].margin));
    /* What the other classes have at least is told by what is there. */
    ASSERT_NEAR(1.0 / 5089, score_rival(old[4].loss, old[4].el2n), 1e-9);
}

TEST(a_history_has_mean_and_spread_of_the_confidence)
{
    struct sample_history h = SAMPLE_UNMEASURED;
    static const double p[] = {0.5, 0.25, 0.75};

    for (int e = 0; e < 3; e++) {
        struct measurement m = {.loss = -log(p[e]), .el2n = 0.5, .right = e == 1};
        sample_history_add(&h, e, &m);
    }
    ASSERT_NEAR(0.5, h.confidence, 1e-15);
    ASSERT_NEAR(sqrt(0.125 / 3), sample_history_variability(&h), 1e-15);
    ASSERT_EQ(1, h.forgotten);
    ASSERT_EQ(2, h.last_epoch);
}

TEST(suspicion_goes_from_the_last_margin_to_the_mean)
{
    ASSERT_NEAR(3, suspicion(-3, -1, 0.02), 0);
    ASSERT_NEAR(2, suspicion(-3, -1, 0.03), 1e-15);
    ASSERT_NEAR(1, suspicion(-3, -1, 0.9), 0);
    ASSERT_NEAR(1, suspicion(-3, -1, NAN), 0);

    struct newly_right n = {0};
    struct sample_history never = {.seen = 2}, once = {.seen = 2, .right = 1};
    newly_right_count(&n, &SAMPLE_UNMEASURED, true);
    newly_right_count(&n, &once, true);
    ASSERT(isnan(newly_right_share(&n)));
    newly_right_count(&n, &never, true);
    newly_right_count(&n, &never, false);
    ASSERT_NEAR(0.5, newly_right_share(&n), 0);
}

TEST(classes_come_hardest_first_with_what_they_are_taken_for)
{
    struct world w = world_open();
    struct ask a = ask_of(&w);
    struct errbuf why;
    cJSON *out;

    a.by = BY_LOSS;
    ASSERT_OK(query_classes(w.query, &a, &out, &why), why);
    ASSERT_EQ(10, cJSON_GetArraySize(cJSON_GetObjectItem(out, "rows")));
    ASSERT_EQ(7, number(row(out, 0), "class")); /* losses 4, 1, 1, 1 */
    ASSERT_STR("seven", cJSON_GetStringValue(cJSON_GetObjectItem(row(out, 0), "name")));
    ASSERT_NEAR(1.75, number(row(out, 0), "mean"), 1e-15);
    ASSERT_NEAR(1, number(row(out, 0), "p50"), 0);
    ASSERT_NEAR(3.1, number(row(out, 0), "p90"), 1e-15);
    ASSERT_NEAR(0.75, number(row(out, 0), "accuracy"), 0);
    ASSERT_EQ(0, number(row(out, 0), "mistaken_for"));
    ASSERT_EQ(1, number(row(out, 0), "mistaken"));
    ASSERT_EQ(8, number(row(out, 1), "class"));
    cJSON_Delete(out);
    a.by = BY_ACCURACY; /* class 3 is never right; the figures are those of the loss */
    ASSERT_OK(query_classes(w.query, &a, &out, &why), why);
    ASSERT_STR("accuracy", cJSON_GetStringValue(cJSON_GetObjectItem(out, "by")));
    ASSERT_EQ(3, number(row(out, 0), "class"));
    ASSERT_EQ(7, number(row(out, 1), "class"));
    ASSERT_NEAR(1, number(row(out, 0), "mean"), 1e-15);
    cJSON_Delete(out);
    a.by = BY_LOSS;
    a.class_id = 3;
    ASSERT_OK(query_classes(w.query, &a, &out, &why), why);
    ASSERT_EQ(1, cJSON_GetArraySize(cJSON_GetObjectItem(out, "rows")));
    ASSERT_NEAR(0, number(row(out, 0), "accuracy"), 0);
    ASSERT_STR("four", cJSON_GetStringValue(cJSON_GetObjectItem(row(out, 0), "mistaken_name")));
    ASSERT_EQ(4, number(row(out, 0), "mistaken"));
    cJSON_Delete(out);
    world_close(&w);
}

/* Samples 7 and 8 are of art. */
TEST(domains_come_hardest_first)
{
    struct world w = world_open();
    struct ask a = ask_of(&w);
    struct errbuf why;
    cJSON *out;

    a.by = BY_LOSS;
    ASSERT_OK(query_domains(w.query, &a, &out, &why), why);
    ASSERT_EQ(3, cJSON_GetArraySize(cJSON_GetObjectItem(out, "rows")));
    ASSERT_EQ(3, number(out, "epoch"));
    ASSERT_EQ(0, number(row(out, 0), "domain"));
    ASSERT_STR("art", cJSON_GetStringValue(cJSON_GetObjectItem(row(out, 0), "name")));
    ASSERT_EQ(18, number(row(out, 0), "samples"));
    ASSERT_NEAR(22.0 / 18, number(row(out, 0), "mean"), 1e-15); /* losses 4, 2 and 16 of 1 */
    ASSERT_NEAR(1, number(row(out, 0), "p50"), 0);
    ASSERT(!cJSON_GetObjectItem(row(out, 0), "mistaken"));
    ASSERT_EQ(1, number(row(out, 1), "domain")); /* equal: in their order */
    cJSON_Delete(out);
    a.class_id = 7;
    a.limit = 1;
    ASSERT_OK(query_domains(w.query, &a, &out, &why), why);
    ASSERT_EQ(1, cJSON_GetArraySize(cJSON_GetObjectItem(out, "rows")));
    ASSERT_EQ(2, number(row(out, 0), "samples")); /* samples 7 and 37 */
    cJSON_Delete(out);
    world_close(&w);
}

TEST(a_dataset_without_domains_has_none)
{
    struct world w = world_open();
    struct ask a = ask_of(&w);
    struct errbuf why;
    cJSON *out = NULL;

    sqlite3 *sql = fixture_sql("difficulty.db");
    sqlite3_exec(sql, "UPDATE sample SET domain_id = NULL", NULL, NULL, NULL);
    sqlite3_close(sql);
    ASSERT_EQ(-ENOENT, query_domains(w.query, &a, &out, &why));
    ASSERT_HAS("the dataset of job 1 has no domains", why.text);
    ASSERT_SELECT("0\n", "SELECT count(*) FROM v_domain");
    world_close(&w);
}

TEST(risers_are_what_changed_between_two_epochs)
{
    struct world w = world_open();
    struct ask a = ask_of(&w);
    struct errbuf why;
    cJSON *out;

    a.by = BY_LOSS;
    ASSERT_OK(query_risers(w.query, &a, &out, &why), why);
    ASSERT_EQ(0, number(out, "from"));
    ASSERT_EQ(3, number(out, "epoch"));
    ASSERT_EQ(7, number(row(out, 0), "sample"));
    ASSERT_NEAR(1, number(row(out, 0), "before"), 0);
    ASSERT_NEAR(4, number(row(out, 0), "after"), 0);
    ASSERT_NEAR(3, number(row(out, 0), "rise"), 0);
    ASSERT_EQ(7, number(row(out, 0), "predicted_before"));
    ASSERT_EQ(0, number(row(out, 0), "predicted"));
    cJSON_Delete(out);
    a.reverse = true;
    a.from = 1;
    a.epoch = 2;
    ASSERT_OK(query_risers(w.query, &a, &out, &why), why);
    ASSERT_EQ(8, number(row(out, 0), "sample"));
    ASSERT_NEAR(-1, number(row(out, 0), "rise"), 0);
    cJSON_Delete(out);
    a.by = BY_MARGIN; /* a margin that falls rises in hardness */
    a.reverse = false;
    ASSERT_OK(query_risers(w.query, &a, &out, &why), why);
    ASSERT_EQ(7, number(row(out, 0), "sample"));
    ASSERT(number(row(out, 0), "after") < number(row(out, 0), "before"));
    ASSERT(number(row(out, 0), "rise") > 0);
    cJSON_Delete(out);
    a.from = 2;
    ASSERT_EQ(-EINVAL, query_risers(w.query, &a, &out, &why));
    ASSERT_STR("from is epoch 3 and the other 3; from must be an earlier one", why.text);
    world_close(&w);
}

TEST(suspects_follow_the_measure_and_the_epoch)
{
    struct world w = world_open();
    struct ask a = ask_of(&w);
    struct errbuf why;
    cJSON *out;

    a.by = SUSPECT_LOSS;
    ASSERT_OK(query_suspects(w.query, &a, &out, &why), why);
    ASSERT_EQ(7, number(row(out, 0), "sample")); /* 4, then 8 with 2 */
    ASSERT_EQ(8, number(row(out, 1), "sample"));
    ASSERT_EQ(1, number(row(out, 0), "right"));
    ASSERT_EQ(4, number(row(out, 0), "seen"));
    ASSERT_EQ(1, number(row(out, 0), "forgotten"));
    ASSERT_NEAR(2.5, number(row(out, 0), "loss_mean"), 1e-15);
    cJSON_Delete(out);
    a.by = SUSPECT_LOSS_MEAN;
    ASSERT_OK(query_suspects(w.query, &a, &out, &why), why);
    ASSERT_EQ(8, number(row(out, 0), "sample")); /* 3.5 */
    ASSERT_NEAR(3.5, number(row(out, 0), "value"), 1e-15);
    cJSON_Delete(out);
    a.epoch = 1; /* earlier than the last: summed up again */
    ASSERT_OK(query_suspects(w.query, &a, &out, &why), why);
    ASSERT_NEAR(4.5, number(row(out, 0), "value"), 1e-15);
    ASSERT_EQ(2, number(row(out, 0), "seen"));
    cJSON_Delete(out);
    a.by = SUSPECT_FORGETTING; /* never right comes first */
    ASSERT_OK(query_suspects(w.query, &a, &out, &why), why);
    ASSERT_EQ(3, number(row(out, 0), "sample"));
    cJSON_Delete(out);
    a.class_id = 5;
    a.limit = 2;
    ASSERT_OK(query_suspects(w.query, &a, &out, &why), why);
    ASSERT_EQ(2, cJSON_GetArraySize(cJSON_GetObjectItem(out, "rows")));
    ASSERT_EQ(5, number(row(out, 1), "label"));
    cJSON_Delete(out);
    world_close(&w);
}

/* Losses and el2n as they come, some so sure that exp(-loss) is 1. */
static int64_t fold_varied(const struct world *w)
{
    int64_t job = fixture_job(w->store, 2);
    char sha256[SHA256_HEX];
    struct errbuf why;

    for (int64_t e = 0; e < 3; e++) {
        struct fixture_scores x = fixture_scores(job, e, N);
        for (int i = 0; i < N; i++) {
            struct score *s = &x.scores[i];
            if (i % 3 == 0)
                s->loss = i == 3 * e ? 0 : pow(10, -i);
            s->el2n = -expm1(-s->loss) * (1 + 0.4 * s->grad_norm);
        }
        ASSERT_OK(store_fold(w->store, &x.fold, sha256, &why), why);
        fixture_scores_done(&x);
    }
    return job;
}

/* The rows of query_suspects as those of v_suspect are selected below. */
static char *suspects_text(const struct world *w, int64_t job)
{
    struct ask a = ask_of(w);
    struct errbuf why;
    cJSON *out;
    char *text;
    size_t bytes;
    FILE *to = open_memstream(&text, &bytes);

    a.job = job;
    a.limit = N;
    ASSERT_OK(query_suspects(w->query, &a, &out, &why), why);
    for (int i = 0; i < cJSON_GetArraySize(cJSON_GetObjectItem(out, "rows")); i++)
        fprintf(to, "%.0f|%.9f\n", number(row(out, i), "sample"), number(row(out, i), "value"));
    cJSON_Delete(out);
    fclose(to);
    return text;
}

/* Ranks and view agree: the same order by suspicion, and the same values, wherever between margin
 * and mean it lies. */
TEST(the_view_of_suspects_has_their_order)
{
    static const char *const newly_right[] = {"0", "0.033", "0.9", "NULL"};
    struct world w = world_open();
    int64_t job = fold_varied(&w);

    for (size_t i = 0; i < sizeof(newly_right) / sizeof(newly_right[0]); i++) {
        sqlite3 *sql = fixture_sql("difficulty.db");
        char update[80];
        snprintf(update, sizeof(update), "UPDATE epoch SET newly_right = %s", newly_right[i]);
        ASSERT_EQ(SQLITE_OK, sqlite3_exec(sql, update, NULL, NULL, NULL));
        sqlite3_close(sql);
        char *view = fixture_select("difficulty.db", "SELECT sample, printf('%.9f', suspicion)"
                                                     " FROM v_suspect WHERE job = 2");
        char *rows = suspects_text(&w, job);
        ASSERT_STR(rows, view);
        free(rows);
        free(view);
    }
    world_close(&w);
}

static double reversed(int i, int64_t epoch)
{
    (void)epoch;
    return 1.0 / (1 + i);
}
static double rising(int i, int64_t epoch)
{
    (void)epoch;
    return 1 + i;
}

TEST(two_jobs_are_compared_by_rank)
{
    struct world w = world_open();
    int64_t up = fixture_job(w.store, 2), down = fixture_job(w.store, 3);
    struct ask a = ask_of(&w);
    struct errbuf why;
    cJSON *out;

    fold(w.store, up, 0, rising, predicted_of);
    fold(w.store, down, 0, reversed, predicted_of);
    a.job = up;
    a.other = down;
    a.by = BY_LOSS;
    ASSERT_OK(query_compare(w.query, &a, &out, &why), why);
    ASSERT_EQ(N, number(out, "samples"));
    ASSERT_NEAR(-1, number(out, "spearman"), 1e-12);
    ASSERT_NEAR(1, number(out, "agree"), 0);
    ASSERT_NEAR(20.5, number(out, "mean"), 1e-12);
    ASSERT_EQ(0, number(row(out, 0), "sample")); /* the ends are furthest apart */
    ASSERT_NEAR(0.5 / N, number(row(out, 0), "rank"), 1e-15);
    ASSERT_NEAR(1 - 0.5 / N, number(row(out, 0), "other_rank"), 1e-15);
    cJSON_Delete(out);
    a.by = BY_GRAD_NORM;
    ASSERT_OK(query_compare(w.query, &a, &out, &why), why);
    ASSERT_NEAR(1, number(out, "spearman"), 1e-12);
    cJSON_Delete(out);
    ASSERT_SELECT("40|1.0\n",
                  "SELECT samples, spearman FROM v_rank_correlation"
                  " WHERE job = 2 AND other = 3"); /* by adm, which is i / 100 in both */
    a.other = 9;
    ASSERT_EQ(-ENOENT, query_compare(w.query, &a, &out, &why));
    ASSERT_HAS("there is no job 9", why.text);
    world_close(&w);
}

TEST(the_map_counts_every_sample_once)
{
    struct world w = world_open();
    struct ask a = ask_of(&w);
    const cJSON *count;
    double sum = 0;
    struct errbuf why;
    cJSON *out;

    ASSERT_OK(query_map(w.query, &a, &out, &why), why);
    cJSON_ArrayForEach(count, cJSON_GetObjectItem(out, "counts")) sum += count->valuedouble;
    ASSERT_EQ(N, sum);
    ASSERT_EQ(4, number(out, "epochs"));
    /* All but two have exp(-1) = 0.37 and no spread: row 7, column 0 of 20. */
    ASSERT_EQ(N - 2, cJSON_GetArrayItem(cJSON_GetObjectItem(out, "counts"), 7 * 20)->valuedouble);
    ASSERT_EQ(7, number(row(out, 0), "sample")); /* the most ambiguous */
    cJSON_Delete(out);
    a.by = MAP_HARD;
    ASSERT_OK(query_map(w.query, &a, &out, &why), why);
    ASSERT_EQ(8, number(row(out, 0), "sample"));
    cJSON_Delete(out);
    world_close(&w);
}

TEST(rows_come_in_pieces_with_labels_and_truth)
{
    struct world w = world_open();
    struct score_rows r;
    struct errbuf why;

    struct rows_args a = {.job = w.job, .epoch = -1, .first = 30, .limit = 100};

    ASSERT_OK(query_rows(w.query, &a, &r, &why), why);
    ASSERT_EQ(3, r.epoch);
    ASSERT_EQ(N, r.total);
    ASSERT_EQ(10, r.count);
    ASSERT_EQ(31, r.sample[1]);
    ASSERT_EQ(1, r.label[1]);
    ASSERT_EQ(9, r.truth[1]);
    ASSERT_NEAR(0.31, r.values[0][1], 0);
    ASSERT(!r.more);
    score_rows_done(&r);
    a.first = 2;
    a.limit = 3;
    for (a.sample = 0; a.sample < N - 4; a.sample++) {
        ASSERT_OK(query_rows(w.query, &a, &r, &why), why);
        ASSERT_EQ(3, r.count);
        for (uint32_t i = 0; i < r.count; i++) {
            ASSERT_EQ(a.sample + 2 + i, r.sample[i]);
            ASSERT_EQ(r.sample[i] % 10, r.label[i]);
            ASSERT_EQ(r.sample[i] % 10 == 1 ? 9 : r.sample[i] % 10, r.truth[i]);
        }
        ASSERT_EQ(a.sample + 5 < N, r.more);
        score_rows_done(&r);
    }
    a = (struct rows_args){.job = w.job, .epoch = 0, .first = N, .limit = 100};
    ASSERT_OK(query_rows(w.query, &a, &r, &why), why);
    ASSERT_EQ(0, r.count);
    ASSERT(!r.more);
    score_rows_done(&r);
    world_close(&w);
}
