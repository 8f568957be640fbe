/* What a worker takes for a task. */
#include "worker/task.h"

#include <errno.h>
#include <stdio.h>

#include "common/phase.h"
#include "tests/harness.h"

static int read_task(const char *kind, int phase, struct task *ret, struct errbuf *why)
{
    char text[256];

    snprintf(text, sizeof(text),
             "{\"task\":\"%s\",\"job\":3,\"incarnation\":2,\"step\":41,\"phase\":%d,\"lo\":0,"
             "\"hi\":2,\"shard\":4,\"count\":8}",
             kind, phase);
    const struct message m = {.json = cJSON_Parse(text)};
    int rc = task_read(&m, ret, why);
    cJSON_Delete(m.json);
    return rc;
}

TEST(a_task_is_of_the_kind_that_its_phase_has)
{
    static const char *const kinds[] = {"train", "score", "test", "flatness"};
    static const char *const of_phase[PHASES] = {
        [PHASE_TRAIN] = "train",     [PHASE_ASCENT] = "train",   [PHASE_DESCENT] = "train",
        [PHASE_SWEEP] = "score",     [PHASE_TEST] = "test",      [PHASE_VALIDATION] = "score",
        [PHASE_HELD_TEST] = "score", [PHASE_SLOPE] = "flatness", [PHASE_PRODUCT] = "flatness",
        [PHASE_LOSS] = "flatness",
    };

    for (int phase = 0; phase < PHASES; phase++)
        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
            struct errbuf why = {""};
            struct task task;
            bool fits = strcmp(kinds[i], of_phase[phase]) == 0;

            ASSERT_EQ(fits ? 0 : -EINVAL, read_task(kinds[i], phase, &task, &why));
            if (fits)
                ASSERT_EQ(phase, task.phase);
            else
                ASSERT_HAS("makes no sense", why.text);
        }
}

/* worker/predict.c reads what else it has. */
TEST(a_task_of_a_prediction_has_no_phase)
{
    struct task task = {.kind = TASK_TRAIN};
    struct errbuf why;

    ASSERT_OK(read_task("predict", 99, &task, &why), why);
    ASSERT_EQ(TASK_PREDICT, task.kind);
}

TEST(no_task_has_no_phase)
{
    struct task task = {.kind = TASK_TRAIN};
    struct errbuf why;

    ASSERT_OK(read_task("none", 99, &task, &why), why);
    ASSERT_EQ(TASK_NONE, task.kind);
}
