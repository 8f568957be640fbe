/* The event log of a seed: a line an event, `<microseconds> <event> key=value ...`. It lies in
 * memory that the process of the seed shares with the one that judges it, so that it is there
 * whatever became of the former. The reader (reader.h) knows nothing else of a run. */
#ifndef STEPPE_TESTS_SIM_JOURNAL_H
#define STEPPE_TESTS_SIM_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>

#define JOURNAL_BYTES (32u << 20)

struct journal {
    size_t bytes;
    bool full; /* lines are missing */
    char text[JOURNAL_BYTES];
};

/* Maps one, empty. */
struct journal *journal_create(void);
void journal_free(struct journal *j);
/* Where note() writes in this process; echo: to stderr as well. */
void journal_use(struct journal *j, bool echo);
__attribute__((format(printf, 1, 2))) void note(const char *fmt, ...);

/* That of this process. */
const struct journal *journal_here(void);

/* That of this process. */
const struct journal *journal_here(void);

#define JOURNAL_HASH_BYTES 17
struct cJSON;
/* 16 digits that stand for all that json says; "" where it is NULL. */
void journal_hash(const struct cJSON *json, char ret[JOURNAL_HASH_BYTES]);

#endif
