#include "common/verdict.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "common/text.h"

const char *const verdict_names[] = {
    [VERDICT_NONE] = "none",       [VERDICT_RIGHT] = "right",   [VERDICT_WRONG] = "wrong",
    [VERDICT_EXCLUDE] = "exclude", [VERDICT_UNSURE] = "unsure", [VERDICT_KINDS] = NULL,
};

static bool note_is_shown(const char *note)
{
    size_t left = strlen(note);
    uint32_t code;
    bool shown = true;

    while (left > 0 && shown) {
        size_t bytes = text_next(note, left, &code, &shown);
        shown = shown && code != TEXT_NO_CHARACTER;
        note += bytes;
        left -= bytes;
    }
    return shown;
}

int verdict_settle(struct verdict *v, const uint16_t *labels, uint32_t samples, uint32_t classes,
                   struct errbuf *why)
{
    const bool takes = v->kind == VERDICT_WRONG || v->kind == VERDICT_RIGHT;

    if (v->sample >= samples)
        return err_set(why, -EINVAL, "there is no training sample %u; allowed is 0 to %u",
                       v->sample, samples - 1);
    if (v->kind == VERDICT_WRONG && v->label < 0)
        return err_set(why, -EINVAL,
                       "sample %u is said to be wrong without a label; say which one is right, or "
                       "unsure, or exclude",
                       v->sample);
    if (v->label >= 0 && !takes)
        return err_set(why, -EINVAL,
                       "sample %u has a label beside \"%s\"; right and wrong take one", v->sample,
                       verdict_names[v->kind]);
    if (v->label >= (int32_t)classes)
        return err_set(why, -EINVAL, "the label of sample %u is %d, allowed is 0 to %u", v->sample,
                       v->label, classes - 1);
    if (v->kind == VERDICT_WRONG && v->label == labels[v->sample])
        return err_set(why, -EINVAL,
                       "sample %u is said to be wrong, but label %d is the one that it has in the "
                       "dataset; say right",
                       v->sample, v->label);
    if (!note_is_shown(v->note))
        return err_set(why, -EINVAL,
                       "the note on sample %u has characters that cannot be shown in a line",
                       v->sample);
    if (v->kind == VERDICT_RIGHT && v->label >= 0 && v->label != labels[v->sample])
        v->kind = VERDICT_WRONG;
    else if (v->kind != VERDICT_WRONG)
        v->label = -1;
    return 0;
}
