#include <stdlib.h>

#include "common/jobspec_help.h"
#include "tests/unit/common/jobspec_made.h"

/* Every number of a job file with its ends: the first value in and out on either side. */
static const struct {
    const char *section, *key, *below, *lowest, *highest, *above;
    const char *with; /* the choice that has the key; "" : all */
} ranges[] = {
    {"", "epochs", "-1", "1", "100000", "100001", ""},
    {"", "batch", "0", "64", "65536", "65537",
     ""}, /* 64: the lowest that the default shard divides */
    {"", "shard", "0", "1", "128", "4097",
     ""}, /* 128: the highest that divides the default batch */
    {"", "seed", "-1", "0", "9007199254740991", "9007199254740992", ""},
    {"augment", "crop", "-1", "0", "511", "512", ""},
    {"optimizer", "lr", "0", "1e-300", "1000", "1000.001", ""},
    {"optimizer", "momentum", "-0.001", "0", "0.9999999", "1", ""},
    {"optimizer", "beta1", "-0.001", "0", "0.9999999", "1", "\"name\": \"adamw\""},
    {"optimizer", "beta2", "-0.001", "0", "0.9999999", "1", "\"name\": \"adamw\""},
    {"optimizer", "epsilon", "0", "1e-30", "1", "1.001", "\"name\": \"adamw\""},
    {"optimizer", "clip", "-0.001", "0", "1000000", "1000001", ""},
    {"optimizer", "gamma", "0", "1e-300", "1", "1.001", "\"schedule\": \"step\""},
    {"optimizer", "weight_decay", "-0.001", "0", "1", "1.001", ""},
    {"optimizer", "warmup", "-0.001", "0", "0.9999999", "1", ""},
    {"sam", "rho", "-0.001", "0", "100", "100.001", ""},
    {"sam", "alpha", "-0.001", "0", "100", "100.001", "\"name\": \"gsam\""},
    {"sam", "lambda", "-0.001", "0", "0.9999999", "1", "\"name\": \"fsam\""},
    {"sam", "sigma", "-0.001", "0", "100", "100.001", "\"name\": \"fsam\""},
    {"sam", "interval", "0", "1", "1000000", "1000001", ""},
    {"attack", "epsilon", "-0.001", "0", "1", "1.001", ""},
    {"attack", "alpha", "-0.001", "0", "1", "1.001", "\"name\": \"pgd\""},
    {"attack", "steps", "0", "1", "1000", "1001", "\"name\": \"pgd\""},
    {"validation", "share", "-0.001", "0", "0.9999999", "1", ""},
    {"fold", "of", "-1", "0", "20", "21", ""},
    {"fold", "leave", "-1", "0", "19", "20", "\"of\": 20"},       /* which every job has */
    {"early_stopping", "patience", "-1", "0", "0", "100001", ""}, /* more needs keep best */
    {"", "label_smoothing", "-0.001", "0", "0.9999999", "1", ""},
    {"", "verify", "-0.001", "0", "1", "1.001", ""},
    {"", "mixup", "-0.001", "0", "1000", "1001", ""},
    {"average", "from", "-0.001", "0", "1", "1.001", ""},
    {"score", "every", "-1", "0", "100000", "100001", ""},
    {"curriculum", "initial", "0", "1e-9", "1", "1.001", ""},
    {"curriculum", "final", "0", "1e-9", "1", "1.001", ""},
    {"curriculum", "full_at", "0", "0.11", "1", "1.001", ""}, /* 0.11: above warmup / epochs */
    {"curriculum", "warmup", "-1", "0", "4", "100001", ""},   /* 4: below full_at * epochs */
    {"curriculum", "diversity", "-0.001", "0", "1000", "1001",
     "\"mode\": \"spl_hard\", \"measure\": \"loss\", \"balance\": \"none\""},
    {"flatness", "every", "-1", "0", "100000", "100001", ""},
    {"flatness", "samples", "-1", "0", "268435456", "268435457", ""},
    {"flatness", "probes", "0", "1", "1000", "1001", ""},
    {"flatness", "iterations", "4", "5", "100", "101", ""},
    {"flatness", "rho", "0", "1e-300", "1000", "1000.001", ""},
    {"curriculum", "smoothing", "-0.001", "0", "0.9999999", "1", ""},
};

#define RANGES (sizeof(ranges) / sizeof(ranges[0]))

static const char *keyed(size_t i, const char *value, char buf[128])
{
    const char *section = ranges[i].section;

    if (*section)
        snprintf(buf, 128, "\"%s\": {%s%s\"%s\": %s}", section, ranges[i].with,
                 *ranges[i].with ? ", " : "", ranges[i].key, value);
    else
        snprintf(buf, 128, "\"%s\": %s", ranges[i].key, value);
    return buf;
}

TEST(every_number_is_refused_beyond_either_end_and_taken_at_it)
{
    for (size_t i = 0; i < RANGES; i++) {
        char keys[128], sentence[128];
        snprintf(sentence, sizeof(sentence), "%s%s%s is %s, allowed is ", ranges[i].section,
                 *ranges[i].section ? "." : "", ranges[i].key, ranges[i].below);
        assert_refused(keyed(i, ranges[i].below, keys), sentence);
        snprintf(sentence, sizeof(sentence), "%s is %s, allowed is ", ranges[i].key,
                 ranges[i].above);
        assert_refused(keyed(i, ranges[i].above, keys), sentence);
        struct jobspec s = made(keyed(i, ranges[i].lowest, keys));
        jobspec_done(&s);
        s = made(keyed(i, ranges[i].highest, keys));
        jobspec_done(&s);
    }
}

TEST(a_number_of_another_type_is_refused_with_what_was_found)
{
    for (size_t i = 0; i < RANGES; i++) {
        char keys[128], sentence[128];
        snprintf(sentence, sizeof(sentence), "%s is true, allowed is ", ranges[i].key);
        assert_refused(keyed(i, "true", keys), sentence);
        snprintf(sentence, sizeof(sentence), "%s is null, allowed is ", ranges[i].key);
        assert_refused(keyed(i, "null", keys), sentence);
    }
}

/* The numbers of a job file by path; those of a list are tested on their own. */
static size_t count_numbers(const cJSON *node)
{
    size_t n = cJSON_IsNumber(node) || cJSON_IsRaw(node);

    for (const cJSON *item = node->child; item && !cJSON_IsArray(node); item = item->next)
        n += count_numbers(item);
    return n;
}

TEST(the_ranges_above_are_all_there_are)
{
    size_t plain = 0;

    for (size_t i = 0; i < RANGES; i++)
        plain += !*ranges[i].with || strcmp(ranges[i].section, "fold") == 0;
    struct jobspec s = made("");
    cJSON *json = jobspec_json(&s);
    ASSERT_EQ(plain, count_numbers(json));
    cJSON_Delete(json);
    jobspec_done(&s);
    s = made("\"optimizer\": {\"name\": \"adamw\", \"schedule\": \"step\"},"
             "\"attack\": {\"name\": \"pgd\"}, \"sam\": {\"name\": \"fsam\"},"
             "\"curriculum\": {\"mode\": \"spl_hard\", \"measure\": \"loss\"}");
    json = jobspec_json(&s);
    ASSERT_EQ(RANGES - 2, count_numbers(json)); /* but momentum and gsam's alpha */
    cJSON_Delete(json);
    jobspec_done(&s);
}

TEST(help_has_a_line_for_every_key)
{
    char *text = NULL;
    size_t bytes = 0, lines = 0;
    FILE *out = open_memstream(&text, &bytes);

    jobspec_help(out);
    fclose(out);
    for (const char *p = text; *p; p++)
        lines += *p == '\n';
    ASSERT_EQ(1 + 21 + 12 + 58, lines); /* heading, keys of the file, sections, keys in them */
    for (size_t i = 0; i < RANGES; i++) {
        char path[64];
        snprintf(path, sizeof(path), "\n%s%s%s ", ranges[i].section, *ranges[i].section ? "." : "",
                 ranges[i].key);
        ASSERT_HAS(path, text);
    }
    ASSERT_HAS("[above 0 to 1]", text);
    ASSERT_HAS("[adm, loss, grad_norm, el2n, margin, forgetting, random or none]", text);
    ASSERT_HAS("[mlp, lenet, cnn, resnet20, resnet20_gn, wrn16_4 or resnet18]", text);
    ASSERT_HAS("[0 to 9007199254740991]", text);
    ASSERT_HAS("8/255 ", text);
    ASSERT_HAS("; optimizer.name adamw only", text);
    ASSERT_HAS("; default of optimizer.name adamw: 0.001", text);
    free(text);
}
