/* What a job does with each training image. */
#include "server/core/split.h"

#include <errno.h>
#include <string.h>

#include "common/rng.h"
#include "tests/harness.h"

#define N 200
#define CLASSES 4 /* of 120, 40, 40 and 0 samples */
#define DOMAINS 3

static uint16_t labels[N], domains[N];

static struct dataset data_of(bool with_domains)
{
    for (uint32_t i = 0; i < N; i++) {
        labels[i] = i % 5 < 3 ? 0 : (uint16_t)(i % 5 - 2);
        domains[i] = (uint16_t)(i / 5 % 4 < 2 ? 0 : i / 5 % 4 - 1);
    }
    return (struct dataset){.samples = N,
                            .classes = CLASSES,
                            .labels = labels,
                            .domains = with_domains ? domains : NULL,
                            .domain_count = with_domains ? DOMAINS : 0};
}

static uint32_t count_of(const uint8_t *use, enum use which, int label, int domain)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < N; i++)
        count += use[i] == which && (label < 0 || labels[i] == label) &&
                 (domain < 0 || domains[i] == domain);
    return count;
}

static void make(const struct split_wish *w, const struct dataset *d, uint8_t *use)
{
    struct errbuf why;
    uint32_t counts[USES];

    ASSERT_OK(split_make(w, d, use, &why), why);
    ASSERT_OK(split_count(w, d, counts, &why), why);
    for (enum use i = 0; i < USES; i++)
        ASSERT_EQ(count_of(use, i, -1, -1), counts[i]);
}

TEST(a_share_is_of_each_class_and_of_each_domain_in_it)
{
    const struct dataset d = data_of(true);
    const struct split_wish w = {.seed = 7, .share = 0.1};
    uint8_t use[N];

    make(&w, &d, use);
    ASSERT_EQ(12, count_of(use, USE_VALIDATION, 0, -1));
    ASSERT_EQ(4, count_of(use, USE_VALIDATION, 1, -1));
    ASSERT_EQ(4, count_of(use, USE_VALIDATION, 2, -1));
    ASSERT_EQ(N - 20, count_of(use, USE_TRAIN, -1, -1));
    /* Domain 0 has half of the pictures, the others a quarter each. */
    ASSERT_EQ(6, count_of(use, USE_VALIDATION, 0, 0));
    ASSERT_EQ(3, count_of(use, USE_VALIDATION, 0, 1));
    ASSERT_EQ(2, count_of(use, USE_VALIDATION, 1, 0));
    ASSERT_EQ(1, count_of(use, USE_VALIDATION, 1, 2));
}

TEST(what_is_left_over_goes_by_largest_remainder_to_the_lower_domain)
{
    const struct dataset d = data_of(true);
    const struct split_wish w = {.share = 0.07}; /* 3 of 40: 1.5, 0.75, 0.75 */
    uint8_t use[N];

    make(&w, &d, use);
    ASSERT_EQ(1, count_of(use, USE_VALIDATION, 1, 0));
    ASSERT_EQ(1, count_of(use, USE_VALIDATION, 1, 1));
    ASSERT_EQ(1, count_of(use, USE_VALIDATION, 1, 2));
    const struct split_wish tie = {.share = 0.025}; /* 1 of 40: 0.5, 0.25, 0.25 */
    make(&tie, &d, use);
    ASSERT_EQ(1, count_of(use, USE_VALIDATION, 2, 0));
    ASSERT_EQ(0, count_of(use, USE_VALIDATION, 2, 1));
}

/* Written out: of a class without domains, the ones with the smallest keys. */
TEST(the_smallest_draws_validate)
{
    const struct dataset d = data_of(false);
    const struct split_wish w = {.seed = 11, .share = 0.25};
    uint8_t use[N];

    make(&w, &d, use);
    for (uint32_t i = 0; i < N; i++) {
        uint32_t smaller = 0, n = 0;
        struct rng mine = rng_at(11, RNG_VALIDATION, i, 0);
        const uint64_t key = rng_u64(&mine);

        for (uint32_t k = 0; k < N; k++) {
            struct rng other = rng_at(11, RNG_VALIDATION, k, 0);
            n += labels[k] == labels[i];
            smaller += labels[k] == labels[i] && rng_u64(&other) < key;
        }
        ASSERT_EQ(smaller < n / 4 ? USE_VALIDATION : USE_TRAIN, use[i]);
    }
}

TEST(another_seed_draws_others)
{
    const struct dataset d = data_of(true);
    struct split_wish w = {.seed = 1, .share = 0.5};
    uint8_t one[N], again[N], two[N];

    make(&w, &d, one);
    make(&w, &d, again);
    ASSERT_MEM(one, again, N);
    w.seed = 2;
    make(&w, &d, two);
    ASSERT(memcmp(one, two, N) != 0);
}

TEST(a_domain_is_what_the_job_takes_it_for)
{
    static const uint8_t of_domain[DOMAINS] = {USE_TRAIN, USE_TEST, USE_ASIDE};
    const struct dataset d = data_of(true);
    struct split_wish w = {.share = 0.2, .of_domain = of_domain};
    uint8_t use[N];

    make(&w, &d, use);
    ASSERT_EQ(50, count_of(use, USE_TEST, -1, 1));
    ASSERT_EQ(50, count_of(use, USE_ASIDE, -1, 2));
    ASSERT_EQ(20, count_of(use, USE_VALIDATION, -1, 0)); /* the share of what is trained on */
    ASSERT_EQ(80, count_of(use, USE_TRAIN, -1, 0));
    w.share = 0;
    make(&w, &d, use);
    ASSERT_EQ(0, count_of(use, USE_VALIDATION, -1, -1));
}

TEST(a_share_that_leaves_a_class_empty_is_refused)
{
    static const struct {
        double share;
        const char *sentence;
    } cases[] = {
        {0.01, "validation.share is 0.01, which leaves class 1 (40 training samples) nothing to "
               "validate with; allowed for it is 0.013 and above"},
        {0.99, "validation.share is 0.99, which leaves class 1 (40 training samples) nothing to "
               "train on; allowed for it is below 0.9875"},
    };
    const struct dataset d = data_of(true);
    uint32_t counts[USES];
    uint8_t use[N];
    struct errbuf why;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct split_wish w = {.share = cases[i].share};
        ASSERT_EQ(-EINVAL, split_make(&w, &d, use, &why));
        ASSERT_STR(cases[i].sentence, why.text);
        ASSERT_EQ(-EINVAL, split_count(&w, &d, counts, &why));
    }
    const struct split_wish least = {.share = 0.013}, most = {.share = 0.987};
    make(&least, &d, use);
    make(&most, &d, use);
    labels[0] = 3; /* the only one of its class */
    ASSERT_EQ(-EINVAL, split_make(&least, &d, use, &why));
    ASSERT_HAS("class 3 has one training sample only", why.text);
}

TEST(excluded_samples_do_not_validate)
{
    static const uint8_t of_domain[DOMAINS] = {USE_TRAIN, USE_TRAIN, USE_TEST};
    const struct dataset d = data_of(true);
    const struct split_wish w = {.share = 0.3, .of_domain = of_domain};
    uint8_t use[N], all[N];
    uint32_t ids[4] = {0}, at = 0;

    make(&w, &d, use);
    memcpy(all, use, N);
    for (uint8_t wanted = USE_TRAIN; wanted <= USE_TEST; wanted++) {
        for (at = 0; use[at] != wanted; at++)
            ;
        ids[wanted] = at;
    }
    ASSERT_EQ(2, split_exclude(use, ids, 3));
    ASSERT_EQ(USE_ASIDE, use[ids[USE_VALIDATION]]);
    use[ids[USE_VALIDATION]] = USE_VALIDATION;
    ASSERT_MEM(all, use, N); /* nothing else has changed */
}

TEST(folds_are_even_in_all_in_each_class_and_in_each_domain_of_it)
{
    const struct dataset d = data_of(true);
    uint8_t fold[N], again[N], other[N];
    uint32_t counts[7][CLASSES][DOMAINS] = {0}, all[7] = {0};
    struct errbuf why;

    ASSERT_OK(split_folds(3, 7, &d, fold, &why), why);
    ASSERT_OK(split_folds(3, 7, &d, again, &why), why);
    ASSERT_OK(split_folds(4, 7, &d, other, &why), why);
    ASSERT_MEM(fold, again, N);
    ASSERT(memcmp(fold, other, N) != 0);
    for (uint32_t i = 0; i < N; i++) {
        ASSERT(fold[i] < 7);
        all[fold[i]]++;
        counts[fold[i]][labels[i]][domains[i]]++;
    }
    for (int f = 0; f < 7; f++) {
        ASSERT(all[f] == N / 7 || all[f] == N / 7 + 1);
        for (int c = 0; c < CLASSES; c++)
            for (int k = 0; k < DOMAINS; k++) {
                uint32_t mine = counts[f][c][k], first = counts[0][c][k];
                ASSERT(mine + 1 >= first && first + 1 >= mine);
            }
    }
}

TEST(a_fold_is_left_out_of_what_is_trained_on_and_of_the_validation)
{
    static const uint8_t of_domain[DOMAINS] = {USE_TRAIN, USE_TRAIN, USE_TEST};
    const struct dataset d = data_of(true);
    uint8_t use[N], fold[N], left[N] = {0};
    struct errbuf why;

    ASSERT_OK(split_folds(3, 4, &d, fold, &why), why);
    for (int64_t leave = 0; leave < 4; leave++) {
        const struct split_wish w = {
            .seed = 3, .share = 0.2, .of_domain = of_domain, .fold = {4, leave}};
        make(&w, &d, use);
        for (uint32_t i = 0; i < N; i++) {
            ASSERT_EQ(domains[i] == 2, use[i] == USE_TEST);
            ASSERT_EQ(domains[i] != 2 && fold[i] == leave, use[i] == USE_FOLD);
            left[i] = (uint8_t)(left[i] + (use[i] == USE_FOLD));
        }
        ASSERT(count_of(use, USE_VALIDATION, -1, -1) > 0);
    }
    for (uint32_t i = 0; i < N; i++)
        ASSERT_EQ(domains[i] != 2, left[i]); /* each once */
    const uint32_t ids[] = {0};
    use[0] = USE_FOLD;
    ASSERT_EQ(1, split_exclude(use, ids, 1));
    ASSERT_EQ(USE_FOLD, use[0]); /* it is measured all the same */
}
