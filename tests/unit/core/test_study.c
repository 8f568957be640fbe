/* Student's t against printed tables, spread and paired differences against numbers worked out by
 * hand, and the bookkeeping of a study. */
#include "server/core/halving.h"
#include "server/core/spread.h"
#include "server/core/student.h"
#include "server/core/study.h"
#include "tests/harness.h"

/* Two-sided 90, 95 and 99 %, as tables have them (Fisher & Yates, table III). */
TEST(quantiles_are_those_of_the_tables)
{
    static const struct {
        int df;
        double q90, q95, q99;
    } rows[] = {
        {1, 6.314, 12.706, 63.657}, {2, 2.920, 4.303, 9.925},   {3, 2.353, 3.182, 5.841},
        {4, 2.132, 2.776, 4.604},   {5, 2.015, 2.571, 4.032},   {9, 1.833, 2.262, 3.250},
        {10, 1.812, 2.228, 3.169},  {29, 1.699, 2.045, 2.756},  {30, 1.697, 2.042, 2.750},
        {60, 1.671, 2.000, 2.660},  {120, 1.658, 1.980, 2.617},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ASSERT_NEAR(rows[i].q90, student_quantile(0.90, rows[i].df), 6e-4);
        ASSERT_NEAR(rows[i].q95, student_quantile(0.95, rows[i].df), 6e-4);
        ASSERT_NEAR(rows[i].q99, student_quantile(0.99, rows[i].df), 6e-4);
    }
}

/* df 1: 2/pi atan(t); df 2: t / sqrt(2 + t^2). */
TEST(the_chance_is_the_closed_form_and_undoes_the_quantile)
{
    ASSERT_NEAR(0.5, student_within(1, 1), 1e-15);
    ASSERT_NEAR(1.5 / sqrt(2 + 1.5 * 1.5), student_within(1.5, 2), 1e-15);
    for (int df = 1; df < 100; df++)
        ASSERT_NEAR(0.95, student_within(student_quantile(0.95, df), df), 1e-12);
}

TEST(spread_is_of_a_sample)
{
    const double x[] = {2, NAN, 4, 4, 4, 5, 5, 7, 9};
    struct spread s = spread_of(x, 9);

    ASSERT_EQ(8, s.count);
    ASSERT_NEAR(5, s.mean, 1e-15);
    ASSERT_NEAR(sqrt(32.0 / 7), s.sd, 1e-15);
    ASSERT(isnan(spread_of(x, 0).mean));
    ASSERT_NEAR(2, spread_of(x, 2).mean, 0);
    ASSERT(isnan(spread_of(x, 2).sd));
}

/* Differences 1, 2, 3: mean 2, sd 1, t(0.95, 2) = 4.303. */
TEST(a_difference_is_paired_and_has_students_interval)
{
    const double x[] = {11, 22, 33, 99}, control[] = {10, 20, 30, NAN};
    struct difference d = spread_difference(x, control, 4);

    ASSERT_EQ(3, d.count);
    ASSERT_NEAR(2, d.mean, 1e-15);
    ASSERT_NEAR(2 - 4.302653 / sqrt(3), d.low, 1e-6);
    ASSERT_NEAR(2 + 4.302653 / sqrt(3), d.high, 1e-6);
    ASSERT_STR("inside the noise", outcome_names[d.outcome]);
}

/* Differences 1, 3: sd sqrt(2), t(0.95, 1) = 12.706. */
TEST(two_pairs_are_enough_for_an_interval)
{
    const double x[] = {1, 3}, control[] = {0, 0};
    struct difference d = spread_difference(x, control, 2);

    ASSERT_NEAR(sqrt(2), spread_of(x, 2).sd, 1e-15);
    ASSERT_NEAR(2 - 12.706205, d.low, 1e-5);
    ASSERT_NEAR(2 + 12.706205, d.high, 1e-5);
    ASSERT_EQ(OUTCOME_NOISE, d.outcome);
}

TEST(the_words_follow_the_interval)
{
    const double control[] = {0, 0, 0}, up[] = {1, 1.1, 0.9}, down[] = {-1, -1.1, -0.9};
    const double near[] = {0.1, -0.1, 0};

    ASSERT_EQ(OUTCOME_ABOVE, spread_difference(up, control, 3).outcome);
    ASSERT_EQ(OUTCOME_BELOW, spread_difference(down, control, 3).outcome);
    ASSERT_EQ(OUTCOME_NOISE, spread_difference(near, control, 3).outcome);
    ASSERT_EQ(OUTCOME_ONE_PAIR, spread_difference(up, control, 1).outcome);
    ASSERT(isnan(spread_difference(up, control, 1).low));
    ASSERT_EQ(OUTCOME_NO_PAIR, spread_difference(up, control, 0).outcome);
}

/* Of a small test set, two seeds easily differ by the same number of samples. */
TEST(equal_differences_have_no_interval)
{
    const double control[] = {10 / 42.0, 9 / 42.0, 8 / 42.0},
                 x[] = {11 / 42.0, 10 / 42.0, 9 / 42.0};
    struct difference d = spread_difference(x, control, 3);

    ASSERT_EQ(OUTCOME_EQUAL, d.outcome);
    ASSERT_EQ(3, d.count);
    ASSERT_NEAR(1 / 42.0, d.mean, 1e-15);
    ASSERT(isnan(d.low) && isnan(d.high));
    ASSERT_EQ(OUTCOME_EQUAL, spread_difference(x, x, 3).outcome);
}

TEST(a_study_finds_its_jobs_by_arm_column_and_seed)
{
    struct study *s = study_create("first");
    int sam = study_arm(s, "sam"), sgd = study_arm(s, "sgd"), a = study_data(s, "a");

    ASSERT_EQ(sam, study_arm(s, "sam"));
    study_add(s, sgd, a, 2, "{}")->job = 4;
    study_add(s, sam, a, 7, "{}")->job = 3;
    study_add(s, sgd, a, 1, "{}")->job = 2;
    ASSERT_EQ(3, study_find(s, sam, a, 7)->job);
    ASSERT_EQ(4, study_find(s, sgd, a, 2)->job);
    ASSERT(!study_find(s, sam, a, 1));
    ASSERT_EQ(2, s->jobs[1].job); /* in order */
    ASSERT(study_by_job(s, 4)->seed == 2 && !study_by_job(s, 5));
    study_add_uuid(s, "cccccccc-1111-4111-8111-cccccccccccc");
    struct study *c = study_copy(s);
    study_free(s);
    ASSERT(study_has_uuid(c, "cccccccc-1111-4111-8111-cccccccccccc"));
    ASSERT_STR("sgd", c->arms[c->jobs[2].arm]);
    ASSERT_STR("{}", c->jobs[2].described);
    study_free(c);
}

/* Five arms with one seed, of which the first is the control; values[rung][arm]. */
static struct study *make_halving(int arms, int seeds)
{
    struct study *s = study_create("h");
    char name[8];

    for (int a = 0; a < arms; a++) {
        snprintf(name, sizeof(name), "arm%d", a);
        for (int seed = 1; seed <= seeds; seed++)
            study_add(s, study_arm(s, name), study_data(s, "d"), (uint64_t)seed, "{}")->state =
                JOB_RUNNING;
    }
    s->control = 0;
    return s;
}

TEST(the_worse_half_stops_at_each_rung_and_the_control_never)
{
    struct study *s = make_halving(5, 1);
    double first[] = {0.1, 0.5, 0.7, 0.6, 0.4}, second[] = {0.1, NAN, 0.8, 0.9, NAN};
    const double *value[] = {first, second};
    int passed[1];
    bool stopped[5];

    halving_judge(s, value, passed, stopped);
    ASSERT_EQ(2, passed[0]);
    const bool want[] = {false, true, true, false, true};
    ASSERT_MEM(want, stopped, sizeof(want));
    study_free(s);
}

TEST(a_rung_is_judged_when_all_that_are_in_have_come_to_it_or_ended)
{
    struct study *s = make_halving(3, 2);
    double first[] = {NAN, NAN, 0.5, 0.5, 0.6, NAN}, none[] = {NAN, NAN, NAN, NAN, NAN, NAN};
    const double *value[] = {first, none};
    int passed[1];
    bool stopped[6];

    halving_judge(s, value, passed, stopped);
    ASSERT_EQ(0, passed[0]);
    for (int i = 0; i < 6; i++)
        ASSERT(!stopped[i]);
    s->jobs[5].state = JOB_FAILED;
    halving_judge(s, value, passed, stopped);
    ASSERT_EQ(1, passed[0]);
    ASSERT(stopped[2] && stopped[3] && !stopped[4]);
    /* Asked again, when what it decided has happened. */
    s->jobs[2].state = s->jobs[3].state = JOB_CANCELLED;
    halving_judge(s, value, passed, stopped);
    ASSERT_EQ(1, passed[0]);
    ASSERT(stopped[2] && stopped[3] && !stopped[4]);
    study_free(s);
}

TEST(of_equal_arms_the_later_stops)
{
    struct study *s = make_halving(3, 1);
    double first[] = {NAN, 0.5, 0.5}, none[] = {NAN, NAN, NAN};
    const double *value[] = {first, none};
    int passed[1];
    bool stopped[3];

    halving_judge(s, value, passed, stopped);
    ASSERT(!stopped[1] && stopped[2]);
    ASSERT_EQ(2, halving_rung(9, 0));
    ASSERT_EQ(4, halving_rung(9, 1));
    study_free(s);
}

/* Two columns that rank the arms the other way round; only the first has come to the second rung.
 */
TEST(each_column_is_judged_by_itself)
{
    struct study *s = study_create("h");
    double first[10], second[10];
    const double *value[] = {first, second};
    int passed[2];
    bool stopped[10];

    for (int a = 0; a < 5; a++)
        for (int d = 0; d < 2; d++) {
            const char *arms[] = {"0", "1", "2", "3", "4"}, *data[] = {"up", "down"};
            study_add(s, study_arm(s, arms[a]), study_data(s, data[d]), 1, "{}")->state =
                JOB_RUNNING;
            first[2 * a + d] = d == 0 ? 0.1 * a : 1 - 0.1 * a;
            second[2 * a + d] = d == 0 ? 0.1 * a : NAN;
        }
    s->control = 0;
    halving_judge(s, value, passed, stopped);
    ASSERT_EQ(2, passed[0]);
    ASSERT_EQ(1, passed[1]);
    const bool want[] = {false, false, true, false, true, false, true, true, false, true};
    ASSERT_MEM(want, stopped, sizeof(want));
    study_free(s);
}

/* A seed that failed takes nothing from the mean of the others; an arm of which all failed is the
 * worst, although it comes before its equals. */
TEST(an_arm_is_ranked_by_the_mean_of_the_seeds_that_it_has)
{
    struct study *s = make_halving(4, 2);
    double first[] = {0.9, 0.9, NAN, NAN, 0.4, 0.4, NAN, 0.6};
    double none[] = {NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    const double *value[] = {first, none};
    int passed[1];
    bool stopped[8];

    s->jobs[2].state = s->jobs[3].state = s->jobs[6].state = JOB_FAILED;
    halving_judge(s, value, passed, stopped);
    ASSERT_EQ(1, passed[0]);
    const bool worst[] = {false, false, true, true, false, false, false, false};
    ASSERT_MEM(worst, stopped, sizeof(worst));
    study_free(s);

    s = make_halving(3, 2);
    double half[] = {0.9, 0.9, 0.4, 0.4, NAN, 0.6};
    value[0] = half;
    s->jobs[4].state = JOB_FAILED;
    halving_judge(s, value, passed, stopped);
    const bool mean[] = {false, false, true, true, false, false};
    ASSERT_MEM(mean, stopped, sizeof(mean));
    study_free(s);
}

TEST(jobs_run_seed_by_seed_then_by_column_and_arm)
{
    struct study *s = study_create("o");
    int order[8];

    for (int i = 0; i < 8; i++)
        study_add(s, study_arm(s, i & 1 ? "b" : "a"), study_data(s, i & 2 ? "y" : "x"),
                  i & 4 ? 2 : 1, "{}");
    study_order(s, order);
    for (int i = 0; i < 8; i++) { /* they stand by arm, column and seed */
        ASSERT_EQ(i >> 2, s->jobs[i].arm);
        ASSERT_EQ(i >> 1 & 1, s->jobs[i].data);
        ASSERT_EQ(1 + (i & 1), s->jobs[i].seed);
    }
    for (int i = 0; i < 8; i++) {
        const struct study_job *j = &s->jobs[order[i]];
        ASSERT_EQ(i & 1, j->arm);
        ASSERT_EQ(i >> 1 & 1, j->data);
        ASSERT_EQ(1 + (i >> 2), j->seed);
    }
    study_free(s);
}
