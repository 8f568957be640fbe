/* The names of classes or of domains, numbered as they come and at last in their order. */
#ifndef STEPPE_PROTO_CLI_IMPORT_WORDS_H
#define STEPPE_PROTO_CLI_IMPORT_WORDS_H

#include <stdint.h>

#include "common/bounds.h"
#include "common/err.h"

/* A zeroed one is empty. */
struct words {
    uint32_t count, room;
    char **at;        /* [count], each owned, as they came */
    uint16_t *sorted; /* [count], their numbers, bytewise */
};

/* The number of a word, which is added if it is new. -EINVAL: it is empty, too long or cannot be
 * shown, or there are more than `most` (CLASSES_MAX or DOMAINS_MAX); the sentence calls it `what`.
 */
int words_find(struct words *w, const char *what, uint32_t most, const char *word, uint16_t *ret,
               struct errbuf *why);
/* Numbers the words bytewise, and the `count` numbers that words_find gave likewise. The array and
 * its words are to be freed; w is empty. */
char **words_sort(struct words *w, uint16_t *numbers, uint32_t count);
void words_done(struct words *w); /* a zeroed struct is fine */

#endif
