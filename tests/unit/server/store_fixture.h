/* A small store for tests: a dataset, jobs, scores that are a pure function of (epoch, sample), and
 * the whole content of difficulty.db as one text. */
#ifndef STEPPE_TESTS_STORE_FIXTURE_H
#define STEPPE_TESTS_STORE_FIXTURE_H

#include <sqlite3.h>
#include <stdlib.h>

#include "common/rng.h"
#include "server/store/store.h"
#include "tests/harness.h"

#define FIXTURE_SHA "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define FIXTURE_CLASSES 10

__attribute__((unused)) static struct store *fixture_open(void)
{
    struct store *s;
    struct errbuf why;

    ASSERT_OK(store_open(test_path("state"), &s, &why), why);
    return s;
}

/* Sample i is of domain i % 7 / 3, art, sketch or photo; label of sample i is i % 10; the truth of
 * every tenth, from 1 on, is another (planted 1), and every tenth from 2 on is hard (planted 2). */
__attribute__((unused)) static void fixture_dataset(struct store *s, uint32_t samples)
{
    struct dataset_record rec = {.name = "digits", .sha256 = FIXTURE_SHA, .bytes = 1000};
    uint16_t *labels = calloc(samples, sizeof(*labels)), *truth = calloc(samples, sizeof(*truth));
    uint16_t *domains = calloc(samples, sizeof(*domains));
    uint8_t *planted = calloc(samples, 1);
    struct dataset d = {
        .samples = samples,
        .classes = FIXTURE_CLASSES,
        .labels = labels,
        .truth = truth,
        .planted = planted,
        .domains = domains,
        .domain_count = 3,
        .domain_names_json = "[\"art\",\"sketch\",\"photo\"]",
        .class_names_json =
            "[\"zero\",\"one\",\"two\",\"three\",\"four\",\"five\",\"six\",\"seven\"]",
        .source = "drawn for a test",
    };
    struct errbuf why;

    for (uint32_t i = 0; i < samples; i++) {
        labels[i] = (uint16_t)(i % FIXTURE_CLASSES);
        domains[i] = (uint16_t)(i % 7 / 3);
        planted[i] = i % 10 == 1 ? PLANTED_FLIP : i % 10 == 2 ? PLANTED_HARD : PLANTED_NONE;
        truth[i] = planted[i] == PLANTED_FLIP ? 9 : labels[i];
    }
    ASSERT_OK(store_dataset_add(s, &rec, &d, &why), why);
    free(labels);
    free(truth);
    free(planted);
    free(domains);
}

__attribute__((unused)) static struct job_record fixture_job_record(int number)
{
    struct job_record rec = {
        .state = JOB_QUEUED,
        .dataset = "digits",
        .dataset_sha256 = FIXTURE_SHA,
        .spec_json = (char *)"{\"name\": \"j\", \"dataset\": \"digits\", \"model\": \"mlp\","
                             " \"seed\": 77, \"attack\": {\"epsilon\": 0.25}}",
        .created_unix_ms = 1000 + number,
    };

    snprintf(rec.uuid, sizeof(rec.uuid), "00000000-0000-4000-8000-%012d", number);
    snprintf(rec.name, sizeof(rec.name), "job-%d", number);
    return rec;
}

__attribute__((unused)) static int64_t fixture_job(struct store *s, int number)
{
    struct job_record rec = fixture_job_record(number);
    struct errbuf why;

    ASSERT_OK(store_job_insert(s, &rec, NULL, &why), why);
    return rec.job;
}

/* One epoch of scores; arrays owned. Sample i % 16 == 15 is not measured. */
struct fixture_scores {
    struct score *scores;
    double *adm;
    uint16_t *labels;
    struct fold fold;
};

__attribute__((unused)) static struct fixture_scores fixture_scores(int64_t job, int64_t epoch,
                                                                    uint32_t samples)
{
    struct fixture_scores x = {
        .scores = calloc(samples, sizeof(*x.scores)),
        .adm = calloc(samples, sizeof(*x.adm)),
        .labels = calloc(samples, sizeof(*x.labels)),
    };

    for (uint32_t i = 0; i < samples; i++) {
        struct rng r = rng_at(1, RNG_TEST, (uint32_t)epoch, i);
        struct score *s = &x.scores[i];
        x.labels[i] = (uint16_t)(i % FIXTURE_CLASSES);
        s->loss = 3 * rng_unit(&r);
        s->adv_loss = s->loss + rng_range(&r, -0.1, 2);
        s->grad_norm = rng_unit(&r);
        s->el2n = rng_unit(&r);
        s->predicted = (int32_t)(rng_below(&r, 2) ? x.labels[i] : rng_below(&r, FIXTURE_CLASSES));
        s->flags = i % 16 == 15 ? 0 : SCORE_MEASURED;
        double gap = s->adv_loss > s->loss ? s->adv_loss - s->loss : 0;
        x.adm[i] = gap / (gap + 0.9);
    }
    x.fold = (struct fold){
        .record = {.job = job,
                   .epoch = epoch,
                   .share = 0.8,
                   .scheduled = samples,
                   .lr = 0.05,
                   .train_loss = 1.0 / (double)(epoch + 1),
                   .train_accuracy = 0.5,
                   .sharpness = 0.01,
                   .test_loss = NAN,
                   .test_accuracy = NAN,
                   .validation_loss = NAN,
                   .validation_accuracy = NAN,
                   .validation_adv_accuracy = NAN,
                   .adv_accuracy = NAN,
                   .mean_gap = 0.9,
                   .seconds = 2.5},
        .scores = x.scores,
        .adm = x.adm,
        .labels = x.labels,
        .samples = samples,
    };
    return x;
}

__attribute__((unused)) static void fixture_scores_done(struct fixture_scores *x)
{
    free(x->scores);
    free(x->adm);
    free(x->labels);
}

__attribute__((unused)) static void fixture_fold(struct store *s, int64_t job, int64_t epoch,
                                                 uint32_t samples, char ret_sha256[SHA256_HEX])
{
    struct fixture_scores x = fixture_scores(job, epoch, samples);
    char sha256[SHA256_HEX];
    struct errbuf why;

    ASSERT_OK(store_fold(s, &x.fold, ret_sha256 ? ret_sha256 : sha256, &why), why);
    fixture_scores_done(&x);
}

__attribute__((unused)) static sqlite3 *fixture_sql(const char *file)
{
    sqlite3 *sql;
    char path[300];

    snprintf(path, sizeof(path), "%s/%s", test_path("state"), file);
    ASSERT_EQ(SQLITE_OK, sqlite3_open_v2(path, &sql, SQLITE_OPEN_READWRITE, NULL));
    return sql;
}

static int fixture_row(void *arg, int columns, char **values, char **names)
{
    FILE *out = arg;

    for (int i = 0; i < columns; i++)
        if (!strstr(names[i], "unix_ms"))
            fprintf(out, "%s%s", values[i] ? values[i] : "NULL", i + 1 < columns ? "|" : "\n");
    return 0;
}

/* The rows of a query as "a|b\nc|d\n", without times; freed by the caller. */
__attribute__((unused)) static char *fixture_select(const char *file, const char *query)
{
    sqlite3 *sql = fixture_sql(file);
    char *text = NULL, *error = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);

    if (sqlite3_exec(sql, query, fixture_row, out, &error) != SQLITE_OK)
        FAIL("%s: %s", query, error);
    fclose(out);
    sqlite3_close(sql);
    return text;
}

/* What takes each migration of state.db back, newest first. */
static const struct {
    int version;
    const char *undo;
} fixture_state_migrations[] = {
    {13, "ALTER TABLE dataset DROP COLUMN key_name"},
    {12, "ALTER TABLE job DROP COLUMN key_name"},
    {11, "DROP TABLE job_hand; DROP TABLE liar; DROP TABLE secret"},
    {10, "DROP TABLE key_revoked; DROP TABLE key_holder"},
    {9, "DROP TABLE audit_count; DROP TABLE audit"},
    {8, "DROP TABLE revision"},
    {7, "DROP TABLE dataset_names"},
    {6, "DROP TABLE verdict_request; DROP TABLE verdict; DROP TABLE judged"},
    {5, "DROP TABLE study_job; DROP TABLE study_request; DROP TABLE study"},
    {4, "ALTER TABLE job DROP COLUMN waits_for"},
};
#define FIXTURE_STATE_VERSION (fixture_state_migrations[0].version)
#define FIXTURE_STATE_OLDEST 3

/* Makes state.db, which is closed, one of an older version. */
__attribute__((unused)) static void fixture_older(int version)
{
    const size_t count = sizeof(fixture_state_migrations) / sizeof(fixture_state_migrations[0]);
    char *was = fixture_select("state.db", "PRAGMA user_version"), done[40];

    ASSERT_EQ(FIXTURE_STATE_VERSION, atoi(was));
    free(was);
    ASSERT(version >= FIXTURE_STATE_OLDEST && version < FIXTURE_STATE_VERSION);
    for (size_t i = 0; i < count && fixture_state_migrations[i].version > version; i++)
        free(fixture_select("state.db", fixture_state_migrations[i].undo));
    snprintf(done, sizeof(done), "PRAGMA user_version=%d", version);
    free(fixture_select("state.db", done));
}

/* Every table of difficulty.db; freed by the caller. */
__attribute__((unused)) static char *fixture_dump(void)
{
    return fixture_select("difficulty.db",
                          "SELECT * FROM dataset; SELECT * FROM class; SELECT * FROM domain;"
                          "SELECT * FROM sample;"
                          "SELECT job_id, uuid, name, dataset, dataset_id, state, config_json,"
                          " seed, attack, epsilon, alpha, attack_steps, normaliser,"
                          " created_unix_ms, finished_unix_ms, model_sha256 FROM job;"
                          "SELECT * FROM epoch; SELECT j.job_id, sample_id, class_id, adm_ema,"
                          " loss_mean, margin_mean, confidence, confidence_m2, correct, n_seen,"
                          " n_correct, n_forget, n_hard, last_epoch"
                          " FROM job j CROSS JOIN sample_state x"
                          " WHERE x.job_id = coalesce(j.history, j.job_id);"
                          "SELECT job_id, epoch, sample_id, hex(adm), hex(loss), hex(adv_loss),"
                          " hex(grad_norm), hex(el2n), predicted, correct, flags FROM score");
}

#define ASSERT_SELECT(want, query)                                                                 \
    do {                                                                                           \
        char *got_ = fixture_select("difficulty.db", query);                                       \
        ASSERT_STR(want, got_);                                                                    \
        free(got_);                                                                                \
    } while (0)

#endif
