#include "proto/cli/import/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/text.h"

/* Where the word is in the order, or belongs. */
static uint32_t place_of(const struct words *w, const char *word)
{
    uint32_t from = 0, to = w->count;

    while (from < to) {
        uint32_t middle = (from + to) / 2;
        if (strcmp(w->at[w->sorted[middle]], word) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static int check(const char *what, const char *word, struct errbuf *why)
{
    char *shown = xstrdup(word);
    int rc = 0;

    text_make_printable(shown);
    if (!word[0])
        rc = err_set(why, -EINVAL, "the %s is empty", what);
    else if (strlen(word) > CLASS_NAME_BYTES_MAX)
        rc = err_set(why, -EINVAL, "the %s is %zu bytes, allowed is up to %d: %.60s...", what,
                     strlen(word), CLASS_NAME_BYTES_MAX, shown);
    else if (strcmp(shown, word) != 0)
        rc = err_set(why, -EINVAL, "the %s has characters that cannot be shown: %s", what, shown);
    free(shown);
    return rc;
}

static void grow(struct words *w)
{
    w->room = w->room ? 2 * w->room : 64;
    w->at = xrealloc(w->at, w->room * sizeof(*w->at));
    w->sorted = xrealloc(w->sorted, w->room * sizeof(*w->sorted));
}

int words_find(struct words *w, const char *what, uint32_t most, const char *word, uint16_t *ret,
               struct errbuf *why)
{
    uint32_t place = place_of(w, word);

    if (place < w->count && strcmp(w->at[w->sorted[place]], word) == 0) {
        *ret = w->sorted[place];
        return 0;
    }
    int rc = check(what, word, why);
    if (rc < 0)
        return rc;
    if (w->count == most)
        return err_set(why, -EINVAL, "the %s \"%s\" is one more than %u, which is all there may be",
                       what, word, most);
    if (w->count == w->room)
        grow(w);
    memmove(&w->sorted[place + 1], &w->sorted[place], (w->count - place) * sizeof(w->sorted[0]));
    w->at[w->count] = xstrdup(word);
    w->sorted[place] = *ret = (uint16_t)w->count++;
    return 0;
}

char **words_sort(struct words *w, uint16_t *numbers, uint32_t count)
{
    char **names = xcalloc(w->count, sizeof(*names));
    uint16_t *rank = xcalloc(w->count, sizeof(*rank));

    for (uint32_t i = 0; i < w->count; i++) {
        rank[w->sorted[i]] = (uint16_t)i;
        names[i] = w->at[w->sorted[i]];
    }
    for (uint32_t i = 0; i < count; i++)
        numbers[i] = rank[numbers[i]];
    free(rank);
    w->count = 0;
    words_done(w);
    return names;
}

void words_done(struct words *w)
{
    for (uint32_t i = 0; i < w->count; i++)
        free(w->at[i]);
    free(w->at);
    free(w->sorted);
    *w = (struct words){0};
}
