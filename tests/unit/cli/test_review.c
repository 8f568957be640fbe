#define _GNU_SOURCE
#include "proto/cli/review.h"

#include <errno.h>

#include "tests/harness.h"

static void keep(struct review *r, enum verdict_kind before)
{
    review_keep(r, &(struct review_step){.at = r->at,
                                         .before = {.number = 1, .verdict = {.kind = before}}});
    review_forward(r);
}

TEST(an_answer_is_a_key_or_a_word_and_wrong_takes_a_class)
{
    static const struct {
        const char *text, *class;
        enum review_act act;
    } good[] = {
        {"r", "", REVIEW_RIGHT},
        {"right", "", REVIEW_RIGHT},
        {"p", "", REVIEW_PREDICTED},
        {"w", "", REVIEW_WRONG},
        {"w  a dog", "a dog", REVIEW_WRONG},
        {"wrong 3", "3", REVIEW_WRONG},
        {"x", "", REVIEW_EXCLUDE},
        {"u", "", REVIEW_UNSURE},
        {"s", "", REVIEW_SKIP},
        {">", "", REVIEW_SKIP},
        {"<", "", REVIEW_BACK},
        {"undo", "", REVIEW_UNDO},
        {"?", "", REVIEW_HELP},
        {"q", "", REVIEW_QUIT},
    };
    static const char *const bad[] = {"", "R", "rr", "righ", "r dog", "exclude 3", "\xc3\xa4"};
    enum review_act act;
    const char *class;
    struct errbuf why;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        ASSERT_EQ(0, review_read(good[i].text, &act, &class, &why));
        ASSERT_EQ(good[i].act, act);
        ASSERT_STR(good[i].class, class);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ASSERT_EQ(-EINVAL, review_read(bad[i], &act, &class, &why));
    ASSERT(strstr(why.text, "is no answer; allowed are r right") != NULL);
}

TEST(it_goes_forward_over_what_has_a_verdict_and_back_to_all)
{
    struct review r;

    review_open(&r, 4);
    r.judged[1] = true;
    ASSERT(!review_back(&r));
    keep(&r, VERDICT_NONE);
    ASSERT_EQ(2, r.at);
    ASSERT_EQ(2, review_left(&r));
    ASSERT(review_back(&r));
    ASSERT_EQ(1, r.at);
    review_forward(&r);
    review_forward(&r);
    review_forward(&r);
    review_forward(&r);
    ASSERT_EQ(4, r.at);
    ASSERT(review_back(&r));
    ASSERT_EQ(3, r.at);
    review_close(&r);
}

TEST(undo_goes_back_step_by_step_and_knows_what_counted_before)
{
    struct review r;

    review_open(&r, 40);
    for (int i = 0; i < 40; i++)
        keep(&r, i == 38 ? VERDICT_UNSURE : VERDICT_NONE);
    ASSERT_EQ(0, review_left(&r));
    ASSERT_EQ(39, review_undo(&r)->at);
    ASSERT_EQ(39, r.at);
    ASSERT_EQ(1, review_left(&r));
    ASSERT_EQ(38, review_undo(&r)->at);
    ASSERT_EQ(1, review_left(&r));
    for (int i = 0; i < 38; i++)
        ASSERT(review_undo(&r) != NULL);
    ASSERT(review_undo(&r) == NULL);
    ASSERT_EQ(39, review_left(&r));
    review_close(&r);
}

TEST(a_label_beside_right_is_known_again_in_the_servers_form)
{
    const struct verdict is_3 = {.kind = VERDICT_RIGHT, .label = 3};
    const struct verdict out = {.kind = VERDICT_EXCLUDE, .label = -1};
    const struct verdict wrong = {.kind = VERDICT_WRONG, .label = 4};

    ASSERT(review_same(&is_3, VERDICT_WRONG, 3, 5));
    ASSERT(review_same(&is_3, VERDICT_RIGHT, -1, 3));
    ASSERT(!review_same(&is_3, VERDICT_RIGHT, -1, 5));
    ASSERT(!review_same(&is_3, VERDICT_WRONG, 4, 5));
    ASSERT(review_same(&out, VERDICT_EXCLUDE, -1, 5));
    ASSERT(!review_same(&out, VERDICT_NONE, -1, 5));
    ASSERT(review_same(&wrong, VERDICT_WRONG, 4, 5));
    ASSERT(!review_same(&wrong, VERDICT_WRONG, 3, 5));
}
