#include <errno.h>
#include <math.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/core/score_hash.h"
#include "tests/unit/server/store_fixture.h"

#define SAMPLES 40000 /* three slices */

TEST(the_hash_of_an_epoch_is_that_of_its_packed_rows)
{
    struct store *s = fixture_open();
    struct fixture_scores x;
    struct errbuf why;
    char sha256[SHA256_HEX], stored[SHA256_HEX];
    /* Two rows: sample 0 and sample 2; -0.0 is stored as 0.0. */
    struct {
        uint32_t sample;
        double values[5];
        int32_t predicted;
        uint32_t flags;
    } __attribute__((packed)) rows[2];
    char want[SHA256_HEX];

    fixture_dataset(s, 3);
    x = fixture_scores(fixture_job(s, 1), 0, 3);
    x.scores[1].flags = 0;
    x.scores[2].flags = SCORE_MEASURED | SCORE_NO_DIRECTION;
    x.scores[2].grad_norm = -0.0;
    for (int i = 0; i < 2; i++) {
        const struct score *sc = &x.scores[2 * i];
        rows[i].sample = (uint32_t)(2 * i);
        rows[i].values[0] = sc->loss;
        rows[i].values[1] = sc->adv_loss;
        rows[i].values[2] = x.adm[2 * i];
        rows[i].values[3] = i == 1 ? 0.0 : sc->grad_norm;
        rows[i].values[4] = sc->el2n;
        rows[i].predicted = sc->predicted;
        rows[i].flags = sc->flags;
    }
    ASSERT_EQ(104, sizeof(rows));
    sha256_hex_of(rows, sizeof(rows), want);
    ASSERT_OK(store_fold(s, &x.fold, sha256, &why), why);
    ASSERT_STR(want, sha256);
    ASSERT_OK(store_epoch_hash(s, 1, 0, stored, &why), why);
    ASSERT_STR(want, stored);
    ASSERT_SELECT("0|1\n2|3\n", "SELECT sample_id, flags FROM score");
    fixture_scores_done(&x);
    store_close(s);
}

TEST(an_epoch_without_scores_is_committed_with_the_hash_of_nothing)
{
    struct store *s = fixture_open();
    struct fold f = {.record = {.epoch = 0,
                                .share = 1,
                                .scheduled = 8,
                                .train_loss = INFINITY,
                                .test_accuracy = 0.25,
                                .mean_gap = NAN}};
    struct errbuf why;
    char sha256[SHA256_HEX], want[SHA256_HEX];

    f.record.job = fixture_job(s, 1);
    ASSERT_OK(store_fold(s, &f, sha256, &why), why);
    sha256_hex_of("", 0, want);
    ASSERT_STR(want, sha256);
    ASSERT_SELECT(
        "committed|0|NULL|NULL|0.25|NULL\n",
        "SELECT state, n_scored, mean_gap, train_loss, test_accuracy, adm_mean FROM epoch");
    f.record.job = 5;
    ASSERT_EQ(-ENOENT, store_fold(s, &f, sha256, &why));
    ASSERT_HAS("no job 5", why.text);
    store_close(s);
}

TEST(an_epoch_without_scores_gives_back_the_pages_of_those_with)
{
    struct store *s = fixture_open();
    struct fixture_scores x;
    struct fold none = {.record = {.epoch = 1, .share = 1, .scheduled = 8, .mean_gap = NAN}};
    struct errbuf why;
    char sha256[SHA256_HEX];

    fixture_dataset(s, SAMPLES);
    sqlite3_int64 before = sqlite3_memory_used();
    x = fixture_scores(none.record.job = fixture_job(s, 1), 0, SAMPLES);
    ASSERT_OK(store_fold(s, &x.fold, sha256, &why), why);
    ASSERT(sqlite3_memory_used() - before > 2 << 20);
    ASSERT_OK(store_fold(s, &none, sha256, &why), why);
    ASSERT(sqlite3_memory_used() - before < 1 << 19);
    fixture_scores_done(&x);
    store_close(s);
}

TEST(a_score_that_is_not_finite_is_refused_before_anything_is_written)
{
    struct store *s = fixture_open();
    struct fixture_scores x = fixture_scores(fixture_job(s, 1), 2, 20);
    struct errbuf why;
    char sha256[SHA256_HEX];

    x.scores[15].loss = NAN; /* not measured: of no interest */
    x.scores[17].el2n = INFINITY;
    ASSERT_EQ(-EINVAL, store_fold(s, &x.fold, sha256, &why));
    ASSERT_HAS("el2n of sample 17 in epoch 2 of job 1 is inf", why.text);
    ASSERT_SELECT("0|0\n", "SELECT (SELECT count(*) FROM epoch), (SELECT count(*) FROM score)");
    x.scores[17].el2n = 1;
    ASSERT_OK(store_fold(s, &x.fold, sha256, &why), why);
    fixture_scores_done(&x);
    store_close(s);
}

TEST(what_was_not_reported_is_null_and_has_its_hash)
{
    struct store *s = fixture_open();
    struct errbuf why;
    char sha256[SHA256_HEX], again[SHA256_HEX];
    struct score_hash h;

    fixture_dataset(s, 4);
    struct fixture_scores x = fixture_scores(fixture_job(s, 1), 0, 4);
    x.fold.partial = true;
    x.scores[0] = (struct score){0.5, NAN, NAN, NAN, x.labels[0], -1, SCORE_MEASURED};
    x.scores[1] = (struct score){NAN, NAN, 2, NAN, -1, -1, SCORE_MEASURED};
    x.scores[2].flags = x.scores[3].flags = 0;
    x.adm[0] = x.adm[1] = -NAN;
    x.fold.record.mean_gap = NAN;
    ASSERT_OK(store_fold(s, &x.fold, sha256, &why), why);
    score_hash_init(&h);
    score_hash_add(&h, 0, &x.scores[0], NAN);
    score_hash_add(&h, 1, &x.scores[1], NAN);
    score_hash_end(&h, again);
    ASSERT_STR(again, sha256);
    ASSERT_SELECT("0|NULL|0.5|NULL|NULL|NULL|1\n1|NULL|NULL|NULL|2.0|NULL|NULL\n",
                  "SELECT sample_id, adm, loss, adv_loss, grad_norm, el2n, correct FROM score");
    ASSERT_SELECT("2|NULL|NULL\n", "SELECT n_scored, adm_p50, mean_gap FROM epoch");
    /* Only what has a loss has a history, which knows no margin. */
    ASSERT_SELECT("0|0.5|NULL|NULL|1|1\n", "SELECT sample_id, loss_mean, margin_mean, adm_ema,"
                                           " n_seen, n_correct FROM sample_state");
    x.fold.partial = false;
    ASSERT_EQ(-EINVAL, store_fold(s, &x.fold, sha256, &why));
    fixture_scores_done(&x);
    store_close(s);
}

TEST(an_epoch_has_the_statistics_of_its_adm)
{
    struct store *s = fixture_open();
    struct fixture_scores x = fixture_scores(fixture_job(s, 1), 0, 11);
    struct errbuf why;
    char sha256[SHA256_HEX];

    for (int i = 0; i < 11; i++)
        x.adm[i] = (i * 7 % 11) / 16.0;
    ASSERT_OK(store_fold(s, &x.fold, sha256, &why), why);
    ASSERT_SELECT("11|0.3125|0.0625|0.3125|0.5625\n",
                  "SELECT n_scored, adm_mean, adm_p10, adm_p50, adm_p90 FROM epoch");
    fixture_scores_done(&x);
    store_close(s);
}

TEST(with_nothing_but_zeros_no_sample_is_hard)
{
    struct store *s = fixture_open();
    struct fixture_scores x = fixture_scores(fixture_job(s, 1), 0, 10);
    struct errbuf why;
    char sha256[SHA256_HEX];

    memset(x.adm, 0, 10 * sizeof(*x.adm));
    ASSERT_OK(store_fold(s, &x.fold, sha256, &why), why);
    ASSERT_SELECT("10|0\n", "SELECT count(*), sum(n_hard) FROM sample_state");
    fixture_scores_done(&x);
    store_close(s);
}

TEST(folding_an_epoch_again_changes_nothing)
{
    struct store *s = fixture_open();
    char first[SHA256_HEX], again[SHA256_HEX];

    fixture_dataset(s, SAMPLES);
    int64_t job = fixture_job(s, 1);
    for (int e = 0; e < 3; e++)
        fixture_fold(s, job, e, SAMPLES, first);
    char *before = fixture_dump();
    fixture_fold(s, job, 2, SAMPLES, again);
    ASSERT_STR(first, again);
    fixture_fold(s, job, 0, SAMPLES, NULL); /* one in the middle of others */
    char *after = fixture_dump();
    ASSERT_STR(before, after);
    free(before);
    free(after);
    store_close(s);
}

TEST(folding_again_with_fewer_scores_leaves_none_of_the_old_ones)
{
    struct store *s = fixture_open();
    struct errbuf why;
    char sha256[SHA256_HEX];

    int64_t job = fixture_job(s, 1);
    fixture_fold(s, job, 0, 100, NULL);
    struct fixture_scores x = fixture_scores(job, 0, 100);
    for (int i = 10; i < 100; i++)
        x.scores[i].flags = 0;
    ASSERT_OK(store_fold(s, &x.fold, sha256, &why), why);
    ASSERT_SELECT("10|10|10\n", "SELECT (SELECT count(*) FROM score), (SELECT count(*) FROM"
                                " sample_state), (SELECT n_scored FROM epoch)");
    x.fold.scores = NULL;
    x.fold.adm = NULL;
    ASSERT_OK(store_fold(s, &x.fold, sha256, &why), why);
    ASSERT_SELECT("0|0\n", "SELECT (SELECT count(*) FROM score), (SELECT count(*) FROM"
                           " sample_state)");
    fixture_scores_done(&x);
    store_close(s);
}

TEST(dropped_epochs_leave_the_state_of_those_before_them)
{
    struct store *s = fixture_open();
    struct errbuf why;
    char sha256[SHA256_HEX];

    fixture_dataset(s, 1000);
    int64_t job = fixture_job(s, 1), other = fixture_job(s, 2);
    fixture_fold(s, other, 0, 1000, NULL);
    for (int e = 0; e < 2; e++)
        fixture_fold(s, job, e, 1000, NULL);
    char *before = fixture_dump();
    for (int e = 2; e < 5; e++)
        fixture_fold(s, job, e, 1000, NULL);
    ASSERT_OK(store_epochs_drop(s, job, 2, &why), why);
    char *after = fixture_dump();
    ASSERT_STR(before, after);
    ASSERT_EQ(-ENOENT, store_epoch_hash(s, job, 2, sha256, &why));
    ASSERT_HAS("epoch 2 of job 1 is not committed", why.text);
    ASSERT_OK(store_epochs_drop(s, job, 2, &why), why);
    free(before);
    free(after);
    store_close(s);
}

/* Folds epoch 1 in a process that dies at the failpoint; epoch 0 is there already. */
static void die_in_fold(const char *failpoint, int64_t job)
{
    pid_t pid = fork();
    int status;

    ASSERT(pid >= 0);
    if (pid == 0) {
        setenv("STEPPE_FAILPOINT", failpoint, 1);
        struct store *s = fixture_open();
        fixture_fold(s, job, 1, SAMPLES, NULL);
        _exit(0);
    }
    ASSERT_EQ(pid, waitpid(pid, &status, 0));
    ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void fold_survives(const char *failpoint, bool refold)
{
    struct store *s = fixture_open();
    struct errbuf why;
    char sha256[SHA256_HEX];

    fixture_dataset(s, SAMPLES);
    int64_t job = fixture_job(s, 1);
    fixture_fold(s, job, 0, SAMPLES, NULL);
    fixture_fold(s, job, 1, SAMPLES, NULL);
    char *undisturbed = fixture_dump();
    if (!refold)
        ASSERT_OK(store_epochs_drop(s, job, 1, &why), why);
    store_close(s);
    die_in_fold(failpoint, job);
    s = fixture_open();
    ASSERT_EQ(-ENOENT, store_epoch_hash(s, job, 1, sha256, &why));
    ASSERT_SELECT("0\n", "SELECT max(epoch) FROM v_trajectory");
    ASSERT_SELECT("0\n", "SELECT DISTINCT epoch FROM v_hardest");
    if (!refold)
        ASSERT_SELECT("1\n", "SELECT max(n_seen) FROM v_data_map");
    fixture_fold(s, job, 1, SAMPLES, sha256);
    char *repaired = fixture_dump();
    ASSERT_STR(undisturbed, repaired);
    free(undisturbed);
    free(repaired);
    store_close(s);
}

TEST(a_fold_killed_in_a_slice_is_repaired_by_folding_again)
{
    fold_survives("fold.slice:2", false);
}

TEST(a_fold_killed_before_its_commit_is_repaired_by_folding_again)
{
    fold_survives("fold.commit", false);
}

TEST(a_second_fold_of_an_epoch_killed_in_a_slice_counts_it_once)
{
    fold_survives("fold.slice:2", true);
}

TEST(a_fold_killed_while_its_histories_are_written_is_repaired_by_folding_again)
{
    fold_survives("fold.history:2", false);
}

TEST(a_second_fold_of_an_epoch_killed_there_counts_it_once)
{
    fold_survives("fold.history:2", true);
}

TEST(views_show_committed_epochs_only)
{
    struct store *s = fixture_open();

    fixture_dataset(s, 100);
    int64_t job = fixture_job(s, 1);
    fixture_fold(s, job, 0, 100, NULL);
    fixture_fold(s, job, 1, 100, NULL);
    ASSERT_SELECT("1\n", "SELECT DISTINCT epoch FROM v_latest");
    sqlite3 *sql = fixture_sql("difficulty.db");
    sqlite3_exec(sql, "UPDATE epoch SET state = 'open' WHERE epoch = 1", NULL, NULL, NULL);
    sqlite3_close(sql);
    ASSERT_SELECT("0\n", "SELECT DISTINCT epoch FROM v_latest");
    ASSERT_SELECT("0\n", "SELECT DISTINCT epoch FROM v_hardest");
    ASSERT_SELECT("0\n", "SELECT DISTINCT epoch FROM v_class");
    ASSERT_SELECT("0\n", "SELECT DISTINCT epoch FROM v_hist");
    ASSERT_SELECT("0\n", "SELECT DISTINCT epoch FROM v_trajectory");
    ASSERT_SELECT("1|94\n", "SELECT epochs, scores FROM v_job_compare");
    store_close(s);
}

TEST(views_say_what_the_rows_say)
{
    struct store *s = fixture_open();
    struct errbuf why;
    char sha256[SHA256_HEX];

    fixture_dataset(s, 10);
    int64_t job = fixture_job(s, 1);
    for (int e = 0; e < 5; e++) {
        struct fixture_scores x = fixture_scores(job, e, 10);
        for (int i = 0; i < 10; i++) {
            x.adm[i] = i / 10.0;
            x.scores[i].loss = i;
            x.scores[i].adv_loss = i + 0.5;
            x.scores[i].el2n = -expm1(-i) * sqrt(2); /* of two classes */
            x.scores[i].predicted = i == 7 ? 3 : i;
        }
        ASSERT_OK(store_fold(s, &x.fold, sha256, &why), why);
        fixture_scores_done(&x);
    }
    ASSERT_SELECT("1|4|9|9|9|0.9|9.0|0.5|1\n1|4|8|8|8|0.8|8.0|0.5|1\n1|4|7|7|seven|0.7|7.0|0.5|0\n",
                  "SELECT job, epoch, sample, label, label_name, adm, loss, gap, correct"
                  " FROM v_hardest LIMIT 3");
    ASSERT_SELECT("1|9|1\n", "SELECT sample, truth, planted FROM v_latest WHERE planted = 1");
    ASSERT_SELECT("1|4|7|seven|1|0.7|0.7|0.7|7.0|0.0\n", "SELECT * FROM v_class WHERE label = 7");
    /* Samples 3, 4 and 5; photo has no row but sample 6. */
    ASSERT_SELECT("1|4|1|sketch|3|0.4|0.4|0.5|4.0|1.0\n1|4|2|photo|1|0.6|0.6|0.6|6.0|1.0\n",
                  "SELECT * FROM v_domain WHERE domain > 0");
    ASSERT_SELECT("1|4|0|0.0|0.05|1\n1|4|2|0.1|0.15|1\n", "SELECT * FROM v_hist LIMIT 2");
    ASSERT_SELECT("1|9|9|9|9.0|9.0|5|5|9|0\n1|8|8|8|8.0|8.0|5|5|8|0\n1|7|7|3|7.0|7.0|5|0|7|0\n",
                  "SELECT job, sample, label, predicted, loss, loss_mean, n_seen, n_correct,"
                  " truth, planted = 1 FROM v_suspect LIMIT 3");
    ASSERT_SELECT("9|1|1|1\n",
                  "SELECT count(*), sum(abs(suspicion - ln(exp(loss) - 1)) < 1e-12) = 9,"
                  " min(suspicion = -margin),"
                  " max(abs(margin - margin_mean)) < 1e-12"
                  " FROM v_suspect WHERE loss > 0");
    ASSERT_SELECT("1|7|0.0|1\n", "SELECT job, sample, correctness, variability = 0 FROM v_data_map"
                                 " WHERE correctness < 1");
    ASSERT_SELECT("1|0|10|1|9\n", "SELECT job, n_forget, samples, never_right, right_now"
                                  " FROM v_forgetting");
    ASSERT_SELECT("1|0|4|0.0|0.0\n",
                  "SELECT job, epoch_from, epoch_to, rise, loss_rise FROM v_riser"
                  " WHERE sample = 2 AND epoch_from = 0 AND epoch_to = 4");
    ASSERT_SELECT("1|1|10|1.0\n", "SELECT * FROM v_rank_correlation WHERE job = 1 AND other = 1");
    ASSERT_SELECT("3\n4\n", "SELECT epoch FROM v_trajectory WHERE job = 1 AND sample = 2"
                            " AND epoch > 2");
    store_close(s);
}

TEST(the_trajectory_of_a_sample_is_reached_by_key)
{
    struct store *s = fixture_open();

    fixture_fold(s, fixture_job(s, 1), 0, 100, NULL);
    char *plan = fixture_select("difficulty.db", "EXPLAIN QUERY PLAN SELECT * FROM v_trajectory"
                                                 " WHERE job = 1 AND sample = 17");
    ASSERT_HAS("SEARCH e USING PRIMARY KEY (job_id=?)", plan);
    ASSERT_HAS("SEARCH s USING PRIMARY KEY (job_id=? AND epoch=? AND sample_id=?)", plan);
    ASSERT(!strstr(plan, "SCAN"));
    free(plan);
    store_close(s);
}

static void fold_metrics(struct store *s, int64_t job, int64_t epoch, const char *prefix, int count,
                         int rc, const char *said)
{
    struct fixture_scores x = fixture_scores(job, epoch, 20);
    struct metric_set set = {0};
    char sha256[SHA256_HEX], name[METRIC_NAME_BYTES];
    struct errbuf why = {0};

    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "%s%d", prefix, i);
        ASSERT_OK(metric_add(&set, &x.fold.record, name, i + 0.5, &why), why);
    }
    ASSERT_OK(metric_add(&set, &x.fold.record, "test_accuracy", 0.25, &why), why);
    x.fold.metrics = &set;
    ASSERT_EQ(rc, store_fold(s, &x.fold, sha256, &why));
    ASSERT_HAS(said, why.text);
    metric_set_done(&set);
    fixture_scores_done(&x);
}

TEST(metrics_of_a_program_are_committed_with_their_epoch_and_go_with_it)
{
    struct store *s = fixture_open();
    const int64_t job = fixture_job(s, 1), other = fixture_job(s, 2);
    struct errbuf why;

    fold_metrics(s, job, 0, "a", 2, 0, "");
    fold_metrics(s, job, 0, "b/", 2, 0, ""); /* again: the rows of the first fold are gone */
    fold_metrics(s, job, 1, "b/", 1, 0, "");
    fold_metrics(s, other, 0, "b/", 1, 0, "");
    ASSERT_SELECT("1|0|b/0|0.5\n1|0|b/1|1.5\n1|1|b/0|0.5\n2|0|b/0|0.5\n", "SELECT * FROM metric");
    ASSERT_SELECT("b/0|0.5\nlr|0.05\nscored|19.0\ntest_accuracy|0.25\ntrain_loss|0.5\n",
                  "SELECT name, value FROM v_metric WHERE job = 1 AND epoch = 1 AND name IN"
                  " ('b/0', 'lr', 'scored', 'test_accuracy', 'train_loss', 'test_loss')"
                  " ORDER BY name");
    ASSERT_OK(store_epochs_drop(s, job, 1, &why), why);
    ASSERT_SELECT("1|0|b/0|0.5\n1|0|b/1|1.5\n2|0|b/0|0.5\n", "SELECT * FROM metric");
    ASSERT_OK(store_job_remove(s, job, &why), why);
    ASSERT_SELECT("2|0|b/0|0.5\n", "SELECT * FROM metric");
    ASSERT_SELECT("0\n", "SELECT count(*) FROM v_metric WHERE job = 1");
    store_close(s);
}

TEST(a_job_has_so_many_names_of_metrics_and_no_more)
{
    struct store *s = fixture_open();
    const int64_t job = fixture_job(s, 1);

    fold_metrics(s, job, 0, "a", METRICS_MAX - 1, 0, "");
    fold_metrics(s, job, 1, "b", 2, -EINVAL,
                 "epoch 2 brings 2 new names of metrics to the 255 that job 1 has, allowed is 256");
    ASSERT_SELECT("1\n", "SELECT count(*) FROM epoch");
    fold_metrics(s, job, 1, "b", 1, 0, "");
    fold_metrics(s, job, 1, "c", 1, 0, ""); /* in place of it */
    fold_metrics(s, job, 2, "a", METRICS_MAX - 1, 0, "");
    fold_metrics(s, job, 2, "d", 1, -EINVAL, "1 new names of metrics to the 256");
    store_close(s);
}

/* Seen from the reader: each arm of the view is reached by its key. */
TEST(the_metrics_of_an_epoch_are_reached_by_key)
{
    struct store *s = fixture_open();

    fold_metrics(s, fixture_job(s, 1), 0, "a", 1, 0, "");
    char *plan = fixture_select("difficulty.db", "EXPLAIN QUERY PLAN SELECT name, value FROM"
                                                 " v_metric WHERE job = 1 AND epoch = 0 ORDER BY"
                                                 " name");
    ASSERT_HAS("SEARCH", plan);
    ASSERT(!strstr(plan, "SCAN e") && !strstr(plan, "SCAN m"));
    free(plan);
    store_close(s);
}

/* Three classes; class j of sample i in epoch e is e + i + j / 8. */
static void fold_probabilities(struct store *s, int64_t job, int64_t epoch, uint32_t samples)
{
    struct fixture_scores x = fixture_scores(job, epoch, samples);
    float *p = calloc((size_t)samples * 3, sizeof(*p));
    char sha256[SHA256_HEX];
    struct errbuf why;

    for (uint32_t i = 0; i < 3 * samples; i++)
        p[i] = (float)epoch + (float)(i / 3) + 0.125f * (float)(i % 3);
    x.fold.classes = 3;
    x.fold.probabilities = p;
    ASSERT_OK(store_fold(s, &x.fold, sha256, &why), why);
    fixture_scores_done(&x);
    free(p);
}

TEST(probabilities_are_those_of_the_newest_epoch_that_has_them)
{
    struct store *s = fixture_open();
    const int64_t job = fixture_job(s, 1), other = fixture_job(s, 2);
    struct errbuf why;

    fold_probabilities(s, other, 0, 1);
    fold_probabilities(s, job, 0, 33);
    ASSERT_SELECT("2|000000000000003E0000803E\n",
                  "SELECT job_id, hex(p) FROM probability WHERE job_id = 2");
    ASSERT_SELECT("0|31|32\n", "SELECT epoch, count(*), max(sample_id) FROM probability"
                               " WHERE job_id = 1"); /* 15 and 31 are not measured */
    fixture_fold(s, job, 1, 33, NULL);               /* has none: they stay */
    ASSERT_SELECT("0|31\n", "SELECT epoch, count(*) FROM probability WHERE job_id = 1");
    fold_probabilities(s, job, 2, 20);
    fold_probabilities(s, job, 2, 18); /* again */
    ASSERT_SELECT("2|17\n", "SELECT epoch, count(*) FROM probability WHERE job_id = 1");
    ASSERT_OK(store_epochs_drop(s, job, 2, &why), why);
    ASSERT_SELECT("0\n", "SELECT count(*) FROM probability WHERE job_id = 1");
    fold_probabilities(s, job, 2, 20);
    ASSERT_OK(store_job_remove(s, job, &why), why);
    ASSERT_SELECT("2|1\n", "SELECT job_id, count(*) FROM probability");
    store_close(s);
}

/* More than a slice takes. */
TEST(probabilities_are_written_and_removed_slice_by_slice)
{
    const uint32_t samples = 400000; /* 4.8 MB */
    struct store *s = fixture_open();
    const int64_t job = fixture_job(s, 1);

    fold_probabilities(s, job, 0, samples);
    fold_probabilities(s, job, 1, samples);
    ASSERT_SELECT("1|375000|399998\n", "SELECT epoch, count(*), max(sample_id) FROM probability");
    store_close(s);
}
