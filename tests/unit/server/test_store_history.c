/* Table sample_state: what it says of a sample over the epochs, and who gets in between while a
 * large job's is written. */
#include <math.h>

#include "tests/unit/server/store_fixture.h"

#define SAMPLES 40000 /* three slices */

/* One sample over four epochs, by hand. */
TEST(sample_state_counts_what_happened_to_a_sample)
{
    struct store *s = fixture_open();
    int64_t job = fixture_job(s, 1);
    static const double adm[] = {0.5, 0.25, 0.75, 0.0};
    static const bool right[] = {true, false, true, false};
    double ema = 0.5;
    struct errbuf why;
    char sha256[SHA256_HEX], want[200];

    for (int e = 0; e < 4; e++) {
        struct fixture_scores x = fixture_scores(job, e, 2);
        x.adm[0] = adm[e];
        x.adm[1] = 0.3; /* so that sample 0 is the hardest in epochs 0 and 2 */
        x.scores[0].loss = e;
        x.scores[0].predicted = right[e] ? 0 : 1;
        ASSERT_OK(store_fold(s, &x.fold, sha256, &why), why);
        ema = e == 0 ? adm[0] : 0.3 * adm[e] + 0.7 * ema;
        fixture_scores_done(&x);
    }
    snprintf(want, sizeof(want), "0|%.15g|1.5|0|4|2|2|2|3\n", ema);
    ASSERT_SELECT(want, "SELECT class_id, adm_ema, loss_mean, correct, n_seen, n_correct, n_forget,"
                        " n_hard, last_epoch FROM sample_state WHERE sample_id = 0");
    /* exp(-loss) over losses 0 to 3. */
    ASSERT_SELECT("1|1\n", "SELECT abs(confidence - 0.388250) < 1e-6,"
                           " abs(variability - 0.371879) < 1e-6 FROM v_data_map WHERE sample = 0");
    ASSERT_SELECT("NULL\n", "SELECT quote(newly_right) FROM epoch WHERE epoch = 0");
    store_close(s);
}

/* Each epoch measures others: rows are added, changed and left. The store writes them anew from the
 * scores when it finds none. */
TEST(sample_state_follows_epochs_that_measure_parts)
{
    struct store *s = fixture_open();
    struct errbuf why;
    char sha256[SHA256_HEX];

    fixture_dataset(s, 1000);
    int64_t job = fixture_job(s, 1), other = fixture_job(s, 2);
    for (int e = 0; e < 6; e++) {
        struct fixture_scores x = fixture_scores(job, e, 1000);
        for (int i = 0; i < 1000; i++)
            if (i % 6 > e || (i + e) % 3 == 0)
                x.scores[i].flags = 0;
        ASSERT_OK(store_fold(s, &x.fold, sha256, &why), why);
        fixture_scores_done(&x);
        if (e == 2) { /* so that the next one reads the rows */
            fixture_fold(s, other, 0, 1000, NULL);
            store_close(s);
            s = fixture_open();
        }
    }
    store_close(s);
    char *kept = fixture_select("difficulty.db", "SELECT * FROM sample_state");
    sqlite3 *sql = fixture_sql("difficulty.db");
    sqlite3_exec(sql, "DELETE FROM sample_state", NULL, NULL, NULL);
    ASSERT(sqlite3_changes(sql) > 1000);
    sqlite3_close(sql);
    s = fixture_open();
    char *anew = fixture_select("difficulty.db", "SELECT * FROM sample_state");
    ASSERT_STR(anew, kept);
    free(anew);
    free(kept);
    store_close(s);
}

/* A small fold in every pause of a large one. */
struct passing {
    struct store *s;
    int64_t job;
    int epoch;
    bool busy; /* nothing passes the small one */
};

static void fold_small(void *arg)
{
    struct passing *p = arg;

    if (p->busy)
        return;
    p->busy = true;
    fixture_fold(p->s, p->job, p->epoch++, 10, NULL);
    p->busy = false;
}

TEST(others_are_folded_while_the_histories_of_a_large_job_are_written)
{
    struct store *s = fixture_open();

    fixture_dataset(s, SAMPLES);
    int64_t large = fixture_job(s, 1), small = fixture_job(s, 2);
    fixture_fold(s, large, 0, SAMPLES, NULL);
    fixture_fold(s, large, 1, SAMPLES, NULL);
    struct passing p = {s, small, 0, false};
    for (int i = 0; i < 10; i++)
        fold_small(&p);
    char *apart = fixture_dump();
    struct errbuf why;
    ASSERT_OK(store_epochs_drop(s, large, 1, &why), why);
    ASSERT_OK(store_epochs_drop(s, small, 0, &why), why);
    p.epoch = 0;
    store_pass_with(s, fold_small, &p);
    fixture_fold(s, large, 1, SAMPLES, NULL);
    store_pass_with(s, NULL, NULL);
    /* Three slices of scores, one of test scores, three of histories that are read, and three
     * that are written. */
    ASSERT_EQ(10, p.epoch);
    char *together = fixture_dump();
    ASSERT_STR(apart, together);
    ASSERT_SELECT("2|2|0\n", "SELECT (SELECT max(n_seen) FROM v_data_map WHERE job = 1),"
                             " (SELECT max(n_seen) FROM v_suspect WHERE job = 1),"
                             " (SELECT count(*) FROM sample_state x WHERE x.job_id = -2)");
    free(apart);
    free(together);
    store_close(s);
}

TEST(a_large_job_that_is_removed_leaves_no_histories)
{
    struct store *s = fixture_open();
    struct errbuf why;

    fixture_dataset(s, SAMPLES);
    int64_t job = fixture_job(s, 1);
    for (int e = 0; e < 2; e++)
        fixture_fold(s, job, e, SAMPLES, NULL);
    ASSERT_OK(store_job_remove(s, job, &why), why);
    ASSERT_SELECT("0\n", "SELECT count(*) FROM sample_state");
    /* Nor do those that a server left behind which died in between. */
    sqlite3 *sql = fixture_sql("difficulty.db");
    sqlite3_exec(sql,
                 "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
                 "INSERT INTO sample_state SELECT -3, i, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0 FROM n;"
                 "INSERT INTO sample_state SELECT 4, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0",
                 NULL, NULL, NULL);
    sqlite3_close(sql);
    ASSERT_SELECT("20002\n", "SELECT count(*) FROM sample_state");
    store_close(s);
    s = fixture_open();
    ASSERT_SELECT("0\n", "SELECT count(*) FROM sample_state");
    store_close(s);
}
