#include "common/jobspec_synonyms.h"

#include <string.h>

#include "common/jobspec_paths.h"
#include "tests/harness.h"

TEST(every_word_leads_to_a_key)
{
    size_t count = 0;

    for (const char *path; (path = jobspec_synonym(count)); count++)
        if (jobspec_path(path) == PATH_UNKNOWN)
            FAIL("%s is no key", path);
    ASSERT(count > 50);
}

TEST(words_of_other_programs_are_known)
{
    static const char *const pairs[][2] = {
        {"batch_size", "batch"},
        {"batchSize", "batch"},
        {"lr", "optimizer.lr"},
        {"learning_rate", "optimizer.lr"},
        {"learning-rate", "optimizer.lr"},
        {"optimizer.learning_rate", "optimizer.lr"},
        {"momentum", "optimizer.momentum"},
        {"weight_decay", "optimizer.weight_decay"},
        {"optimizer.weightDecay", "optimizer.weight_decay"},
        {"rho", "sam.rho"},
        {"optimizer.rho", "sam.rho"},
        {"epsilon", "attack.epsilon"},
        {"eps", "attack.epsilon"},
        {"optimizer.eps", "optimizer.epsilon"},
        {"model.name", "model"},
        {"arch", "model"},
        {"optimizer.type", "optimizer.name"},
        {"num_epochs", "epochs"},
        {"optimizer.num_epochs", "epochs"},
        {"std", "input.std"},
        {"val_split", "validation.share"},
        {"labelSmoothing", "label_smoothing"},
    };

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        const char *meant = jobspec_meant(pairs[i][0]);
        ASSERT_STR(pairs[i][1], meant ? meant : "nothing");
    }
}

TEST(what_no_program_says_is_not_guessed)
{
    char long_word[200];

    memset(long_word, 'a', sizeof(long_word) - 1);
    long_word[sizeof(long_word) - 1] = '\0';
    ASSERT(jobspec_meant("") == NULL);
    ASSERT(jobspec_meant(".") == NULL);
    ASSERT(jobspec_meant("sam.") == NULL);
    ASSERT(jobspec_meant("workers") == NULL);
    ASSERT(jobspec_meant(long_word) == NULL);
}
