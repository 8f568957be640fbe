#include "proto/cli/review.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

static const struct act {
    char key;
    const char *word;
} acts[REVIEW_ACTS] = {
    [REVIEW_RIGHT] = {'r', "right"},   [REVIEW_PREDICTED] = {'p', "predicted"},
    [REVIEW_WRONG] = {'w', "wrong"},   [REVIEW_EXCLUDE] = {'x', "exclude"},
    [REVIEW_UNSURE] = {'u', "unsure"}, [REVIEW_SKIP] = {'s', "skip"},
    [REVIEW_BACK] = {'b', "back"},     [REVIEW_UNDO] = {'z', "undo"},
    [REVIEW_HELP] = {'?', "help"},     [REVIEW_QUIT] = {'q', "quit"},
};

char review_key(enum review_act act)
{
    return acts[act].key;
}

int review_read(const char *text, enum review_act *ret, const char **ret_class, struct errbuf *why)
{
    const size_t bytes = strcspn(text, " \t");
    const char *rest = text + bytes + strspn(text + bytes, " \t");
    int found = strcmp(text, "<") == 0   ? REVIEW_BACK
                : strcmp(text, ">") == 0 ? REVIEW_SKIP
                                         : REVIEW_ACTS;

    for (int i = 0; i < REVIEW_ACTS && found == REVIEW_ACTS; i++)
        if ((bytes == 1 && text[0] == acts[i].key) ||
            (bytes == strlen(acts[i].word) && strncmp(text, acts[i].word, bytes) == 0))
            found = i;
    if (found == REVIEW_ACTS || (*rest && found != REVIEW_WRONG))
        return err_set(why, -EINVAL,
                       "\"%.40s\" is no answer; allowed are r right, p predicted, w wrong and a "
                       "class, x exclude, u unsure, s skip, b back, z undo, q quit",
                       text);
    *ret = (enum review_act)found;
    *ret_class = rest;
    return 0;
}

void review_open(struct review *r, size_t count)
{
    *r = (struct review){.count = count, .judged = xcalloc(count + 1, sizeof(*r->judged))};
}

void review_close(struct review *r)
{
    free(r->judged);
    free(r->steps);
    *r = (struct review){0};
}

void review_forward(struct review *r)
{
    do
        r->at += r->at < r->count;
    while (r->at < r->count && r->judged[r->at]);
}

bool review_back(struct review *r)
{
    if (r->at == 0)
        return false;
    r->at--;
    return true;
}

void review_keep(struct review *r, const struct review_step *step)
{
    if (r->step_count == r->step_room) {
        r->step_room = 2 * r->step_room + 16;
        r->steps = xrealloc(r->steps, r->step_room * sizeof(*r->steps));
    }
    r->steps[r->step_count++] = *step;
    r->judged[step->at] = true;
}

const struct review_step *review_undo(struct review *r)
{
    if (r->step_count == 0)
        return NULL;
    const struct review_step *step = &r->steps[--r->step_count];
    r->at = step->at;
    r->judged[r->at] = step->before.number > 0 && step->before.verdict.kind != VERDICT_NONE;
    return step;
}

size_t review_left(const struct review *r)
{
    size_t left = 0;

    for (size_t i = 0; i < r->count; i++)
        left += !r->judged[i];
    return left;
}

bool review_same(const struct verdict *said, enum verdict_kind kind, int64_t label, int64_t given)
{
    if (said->kind == VERDICT_RIGHT && said->label >= 0)
        return (kind == VERDICT_WRONG && label == said->label) ||
               (kind == VERDICT_RIGHT && given == said->label);
    return said->kind == kind && (kind != VERDICT_WRONG || said->label == label);
}
