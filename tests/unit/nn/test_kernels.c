#include <errno.h>

#include "tests/unit/nn/support.h"
#include "worker/nn/kernels.h"

TEST(a_set_is_chosen_by_name_and_the_best_one_without)
{
    const struct kernels *set = NULL;
    struct errbuf why;

    for (size_t i = 0; kernels_at(i); i++) {
        if (!kernels_at(i)->supported())
            continue;
        ASSERT_OK(kernels_choose(kernels_at(i)->name, &set, &why), why);
        ASSERT(set == kernels_at(i));
    }
    ASSERT_OK(kernels_choose(NULL, &set, &why), why);
    ASSERT(set == kernels_best());
    ASSERT_OK(kernels_choose("", &set, &why), why);
    ASSERT(set == kernels_best() && set->supported());
}

TEST(an_unknown_or_foreign_set_is_refused_by_the_names_that_are_allowed)
{
    const struct kernels *set = NULL;
    struct errbuf why;

    ASSERT_EQ(-EINVAL, kernels_choose("AVX2", &set, &why));
    ASSERT(strstr(why.text, "\"AVX2\"") && strstr(why.text, kernels_best()->name));
    ASSERT(strstr(why.text, "reference"));
    for (size_t i = 0; kernels_at(i); i++) {
        if (kernels_at(i)->supported())
            continue;
        ASSERT_EQ(-EINVAL, kernels_choose(kernels_at(i)->name, &set, &why));
        ASSERT(strstr(why.text, kernels_at(i)->name) && strstr(why.text, "reference"));
    }
    ASSERT(!set);
}
