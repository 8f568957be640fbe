/* What the person writes down of a job that has ended; the reader judges. */
#include <inttypes.h>
#include <string.h>

#include "tests/sim/fields.h"
#include "tests/sim/journal.h"
#include "tests/sim/person.h"
#include "tests/sim/person_fields.h"
#include "tests/sim/scenario.h"

static double real(const cJSON *obj, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(obj, name);

    return cJSON_IsNumber(item) ? item->valuedouble : -1;
}

/* What is said of its input; the reader judges. */
static void note_input(int64_t job, int like, const struct message *m)
{
    const char *spec = scenario_spec(like);
    const bool written = strstr(spec, SCENARIO_INPUT), averages = strstr(spec, "\"average\"");
    const cJSON *mean = cJSON_GetObjectItemCaseSensitive(m->json, "mean");
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(m->json, "notes");
    int notes = cJSON_GetArraySize(list);

    /* Every other job is told that there is a revision which it has not; why it ended early, and
     * that it knows labels by heart, are no words on its input. */
    for (const cJSON *item = list ? list->child : NULL; item; item = item->next)
        notes -= cJSON_IsString(item) && (strstr(item->valuestring, "as imported; d@1 has") ||
                                          strstr(item->valuestring, "early_stopping.patience") ||
                                          strstr(item->valuestring, "by heart"));
    note("input job=%" PRId64 " written=%d averages=%d notes=%d mean=%s", job, written, averages,
         notes, mean && mean->child ? mean->child->valuestring : "");
}

/* From which epoch on a job has the revision says with whose result it ends. */
static void note_revision(int64_t job, int like, int64_t acknowledged, const struct message *m)
{
    const cJSON *spec = cJSON_GetObjectItemCaseSensitive(m->json, "spec");
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(spec, "revisions");
    const cJSON *epoch = cJSON_GetArrayItem(cJSON_GetArrayItem(list, 0), 0);
    const int64_t from = cJSON_IsNumber(epoch) ? (int64_t)epoch->valuedouble : -1;

    if (like != SCENARIO_SPEC_TAKES)
        return;
    if (acknowledged >= 0 && from != acknowledged)
        note("violation what=\"a revision that was acknowledged is lost\"");
    note("submitted job=%" PRId64 " spec=%d", job,
         from < 0 ? SCENARIO_SPEC_TAKES : SCENARIO_SPEC_FROM(from));
}

void person_show(int64_t job, int like, int64_t from, const struct message *m)
{
    const cJSON *row = cJSON_GetObjectItemCaseSensitive(m->json, "job"), *epoch;
    const cJSON *epochs = cJSON_GetObjectItemCaseSensitive(m->json, "epochs");
    const char *model = text(m->json, "model_sha256"), *class = text(m->json, "numerics_class");
    char flat[JOURNAL_HASH_BYTES];

    note_input(job, like, m);
    note_revision(job, like, from, m);
    journal_hash(cJSON_GetObjectItemCaseSensitive(m->json, "flatness"), flat);
    note("final job=%" PRId64 " state=%s model=%s class=%s flat=%s reason=\"%s\"", job,
         text(row, "state"), model, class, flat, text(row, "reason"));
    for (epoch = epochs ? epochs->child : NULL; epoch; epoch = epoch->next)
        note("final_epoch job=%" PRId64 " epoch=%" PRId64
             " scores=%s measured=%.17g,%.17g valid=%.17g",
             job, number(epoch, "epoch"), text(epoch, "scores_sha256"), real(epoch, "test_loss"),
             real(epoch, "validation_loss"), real(epoch, "validation_accuracy"));
}
