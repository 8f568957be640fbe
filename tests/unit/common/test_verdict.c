/* What may be said of a label, and its one form. */
#include "common/verdict.h"

#include <errno.h>

#include "tests/harness.h"

static const uint16_t labels[] = {3, 0, 2};

static int settle(struct verdict *v, struct errbuf *why)
{
    why->text[0] = 0;
    return verdict_settle(v, labels, 3, 4, why);
}

TEST(what_is_said_of_a_label_has_one_form)
{
    static const struct {
        struct verdict said;
        enum verdict_kind kind;
        int32_t label;
    } cases[] = {
        {{.sample = 0, .kind = VERDICT_RIGHT, .label = -1}, VERDICT_RIGHT, -1},
        {{.sample = 0, .kind = VERDICT_RIGHT, .label = 3}, VERDICT_RIGHT, -1},
        /* It was seen under a revision. */
        {{.sample = 0, .kind = VERDICT_RIGHT, .label = 1}, VERDICT_WRONG, 1},
        {{.sample = 1, .kind = VERDICT_WRONG, .label = 3}, VERDICT_WRONG, 3},
        {{.sample = 2, .kind = VERDICT_EXCLUDE, .label = -1}, VERDICT_EXCLUDE, -1},
        {{.sample = 2, .kind = VERDICT_UNSURE, .label = -1}, VERDICT_UNSURE, -1},
        {{.sample = 2, .kind = VERDICT_NONE, .label = -1}, VERDICT_NONE, -1},
    };
    struct errbuf why;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct verdict v = cases[i].said;
        ASSERT_OK(settle(&v, &why), why);
        ASSERT_EQ(cases[i].kind, v.kind);
        ASSERT_EQ(cases[i].label, v.label);
    }
}

TEST(what_cannot_be_said_is_named)
{
    static const struct {
        struct verdict said;
        const char *part;
    } cases[] = {
        {{.sample = 3, .kind = VERDICT_RIGHT, .label = -1}, "no training sample 3"},
        {{.sample = 1, .kind = VERDICT_WRONG, .label = -1}, "sample 1 is said to be wrong without"},
        {{.sample = 1, .kind = VERDICT_WRONG, .label = 0}, "label 0 is the one that it has"},
        {{.sample = 1, .kind = VERDICT_WRONG, .label = 4}, "is 4, allowed is 0 to 3"},
        {{.sample = 1, .kind = VERDICT_UNSURE, .label = 2}, "has a label beside \"unsure\""},
        {{.sample = 1, .kind = VERDICT_RIGHT, .label = -1, .note = "a\nb"}, "the note on sample 1"},
    };
    struct errbuf why;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct verdict v = cases[i].said;
        ASSERT_EQ(-EINVAL, settle(&v, &why));
        ASSERT_HAS(cases[i].part, why.text);
    }
}
