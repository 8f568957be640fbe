#include "proto/cli/worth.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/text.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/sample_row.h"

#define CLASSES_SHOWN 3

static const cJSON *worth_of(const cJSON *reply)
{
    return cJSON_GetObjectItemCaseSensitive(reply, "worth");
}

static bool is_unseen(const cJSON *worth)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(worth, "out_of_sample"));
}

char *worth_known(const cJSON *reply, char buf[WORTH_BYTES])
{
    const cJSON *worth = worth_of(reply);
    double accuracy, other, guess = 0;
    char share[TEXT_F64_BYTES];

    *buf = '\0';
    if (!reply_f64(worth, "accuracy", &accuracy) || !reply_f64(worth, "guess_accuracy", &guess))
        return buf;
    int used = snprintf(
        buf, WORTH_BYTES, "right on %s of the labels %s", text_of_share(accuracy, share),
        is_unseen(worth) ? "by models that have not seen them" : "that the model was trained on");
    if (reply_f64(worth, "validation_accuracy", &other))
        used += snprintf(buf + used, WORTH_BYTES - (size_t)used,
                         ", on %s of those held out to validate", text_of_share(other, share));
    else if (reply_f64(worth, "test_accuracy", &other))
        used += snprintf(buf + used, WORTH_BYTES - (size_t)used, ", on %s of those of the test",
                         text_of_share(other, share));
    snprintf(buf + used, WORTH_BYTES - (size_t)used, " (%s by naming one class)",
             text_of_share(guess, share));
    return buf;
}

static double expected_of(const cJSON *row)
{
    double expected = 0;

    reply_f64(row, "expected", &expected);
    return expected;
}

/* The class with the most errors behind `last`, equal ones in the order of the reply;
 * NULL: there is no other. */
static const cJSON *next_class(const cJSON *rows, const cJSON *last)
{
    const cJSON *row, *most = NULL;
    bool behind = !last;

    cJSON_ArrayForEach(row, rows)
    {
        const double e = expected_of(row);
        const bool later = !last || e < expected_of(last) || (behind && e == expected_of(last));
        if (later && e > 0 && (!most || e > expected_of(most)))
            most = row;
        behind |= row == last;
    }
    return most;
}

/* The share is that of the count beside it, which has no decimals. */
static const char *share_of(double count, double samples, char buf[TEXT_F64_BYTES])
{
    return text_of_share(round(count) / samples, buf);
}

char *worth_expected(const cJSON *reply, char buf[WORTH_BYTES])
{
    const cJSON *worth = worth_of(reply), *rows, *row = NULL;
    double expected, least, most, samples = 0;
    char label[LABEL_BYTES], low[TEXT_F64_BYTES], high[TEXT_F64_BYTES];

    *buf = '\0';
    if (!reply_f64(worth, "expected", &expected) || !reply_f64(worth, "samples", &samples) ||
        samples < 1)
        return buf;
    int used;
    if (reply_f64(worth, "least", &least) && reply_f64(worth, "most", &most))
        used = snprintf(buf, WORTH_BYTES,
                        "expected to be wrong: %.0f to %.0f of %.0f labels, %s to %s", round(least),
                        round(most), samples, share_of(least, samples, low),
                        share_of(most, samples, high));
    else
        used = snprintf(buf, WORTH_BYTES, "expected to be wrong: about %.0f of %.0f labels, %s",
                        round(expected), samples, share_of(expected, samples, low));
    rows = cJSON_GetObjectItemCaseSensitive(worth, "classes");
    for (int i = 0; i < CLASSES_SHOWN && used < WORTH_BYTES; i++) {
        row = next_class(rows, row);
        if (!row)
            break;
        reply_f64(row, "samples", &samples);
        used += snprintf(buf + used, WORTH_BYTES - (size_t)used, "%s%.1f of %.0f in %s",
                         i ? ", " : "; by class ", expected_of(row), samples,
                         label_text(row, "class", "name", label));
    }
    return buf;
}

char *worth_held(const cJSON *reply, char buf[WORTH_BYTES])
{
    int64_t held = 0;

    *buf = '\0';
    if (reply_i64(worth_of(reply), "held_out", &held) && held > 0)
        snprintf(
            buf, WORTH_BYTES,
            "not among them: %lld sample%s without scores, as the job holds %s out (validation, "
            "test) or its program reported none",
            (long long)held, held == 1 ? "" : "s", held == 1 ? "it" : "them");
    return buf;
}

const cJSON *worth_warnings(const cJSON *reply)
{
    return cJSON_GetObjectItemCaseSensitive(worth_of(reply), "warnings");
}

void worth_print(const cJSON *reply)
{
    char text[WORTH_BYTES];
    const cJSON *warning;

    if (*worth_known(reply, text))
        print_text("%s", text);
    if (*worth_expected(reply, text))
        print_text("%s", text);
    if (*worth_held(reply, text))
        print_text("%s", text);
    cJSON_ArrayForEach(warning, worth_warnings(reply))
    {
        if (cJSON_IsString(warning))
            print_text("warning: %s", warning->valuestring);
    }
}
