#include <errno.h>

#include "server/core/job.h"
#include "tests/harness.h"

/* The matrix once more, row by row: q r p d f c. */
TEST(state_changes_are_exactly_these)
{
    static const char *const want[JOB_STATES] = {
        [JOB_QUEUED] = ".xx.xx", [JOB_RUNNING] = "..xxxx", [JOB_PAUSED] = "x...xx",
        [JOB_DONE] = "......",   [JOB_FAILED] = "......",  [JOB_CANCELLED] = "......",
    };

    for (int from = 0; from < JOB_STATES; from++)
        for (int to = 0; to < JOB_STATES; to++)
            if (job_state_allowed(from, to) != (want[from][to] == 'x'))
                FAIL("%s -> %s", job_state_names[from], job_state_names[to]);
}

TEST(every_state_has_a_name_and_three_are_final)
{
    int finals = 0;

    for (int s = 0; s < JOB_STATES; s++) {
        ASSERT(job_state_names[s]);
        finals += job_state_final(s);
    }
    ASSERT(!job_state_names[JOB_STATES]);
    ASSERT_EQ(3, finals);
    ASSERT(job_state_final(JOB_DONE) && job_state_final(JOB_FAILED));
    ASSERT(job_state_final(JOB_CANCELLED));
    ASSERT_STR("cancelled", job_state_names[JOB_CANCELLED]);
}

TEST(verbs_give_the_new_state_or_say_it_is_there_already)
{
    /* by verb and state: n ew, a lready, i nvalid */
    static const char *const want[] = {
        [VERB_PAUSE] = "nnaiii",
        [VERB_RESUME] = "aaniii",
        [VERB_CANCEL] = "nnniia",
    };
    static const enum job_state to[] = {
        [VERB_PAUSE] = JOB_PAUSED,
        [VERB_RESUME] = JOB_QUEUED,
        [VERB_CANCEL] = JOB_CANCELLED,
    };

    for (int verb = 0; verb <= VERB_CANCEL; verb++)
        for (int from = 0; from < JOB_STATES; from++) {
            struct errbuf why = {""};
            enum job_state got = JOB_STATES;
            int rc = job_verb_apply(from, verb, &got, &why);
            char w = want[verb][from];
            ASSERT_EQ(w == 'n' ? 0 : w == 'a' ? -EALREADY : -EINVAL, rc);
            ASSERT_EQ(w == 'n' ? to[verb] : JOB_STATES, got);
            ASSERT_EQ(w == 'i', why.text[0] != 0);
            if (rc == 0)
                ASSERT(job_state_allowed(from, got));
        }
}

TEST(a_refused_verb_names_the_state_and_what_is_allowed)
{
    struct errbuf why;
    enum job_state got;

    ASSERT_EQ(-EINVAL, job_verb_apply(JOB_DONE, VERB_PAUSE, &got, &why));
    ASSERT_STR("is done; only a job that is queued or running can be paused", why.text);
    ASSERT_EQ(-EINVAL, job_verb_apply(JOB_FAILED, VERB_RESUME, &got, &why));
    ASSERT_STR("is failed; only a job that is paused can be resumed", why.text);
}
