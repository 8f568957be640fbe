/* The dataset caches of the simulated hosts, as worker/cache.c keeps them: a file is believed when
 * its hash is its name, one worker of a host fetches while the others wait, a download goes on
 * where an earlier one ended and is begun anew when that turns out to be damaged. Who computes with
 * a file sees when it was changed since, and what is in it then. */
#ifndef STEPPE_TESTS_SIM_CACHE_H
#define STEPPE_TESTS_SIM_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CACHE_HOSTS 3

/* What a worker has open. */
struct cache_file;
struct cache_held {
    struct cache_file *file; /* NULL: nothing */
    int64_t mark;            /* of the file when it was checked */
};

enum cache_answer {
    CACHE_READY, /* it is open */
    CACHE_WAIT,  /* another worker of the host fetches it: look again later */
    CACHE_FETCH, /* ask for bytes [offset, offset + bytes) */
    CACHE_BAD    /* all of it came, and is not what it should be */
};

struct cache_wish {
    const char *sha256;
    int64_t total;         /* of the dataset's file */
    int64_t offset, bytes; /* to ask for */
};

enum cache_answer cache_look(int host, int worker, struct cache_wish *io, struct cache_held *ret);
/* The piece that was asked for came. */
enum cache_answer cache_take(int host, int worker, struct cache_wish *io, const void *piece,
                             size_t bytes, struct cache_held *ret);
/* The worker has died or given up. */
void cache_let_go(int host, int worker);

/* Is it as it was when it was checked? */
bool cache_held_unchanged(const struct cache_held *held);
/* Is it the dataset? What nobody may ask but the simulation itself. */
bool cache_held_is_right(const struct cache_held *held);

/* Something happens to the cache of some host. */
void cache_damage(void);

#endif
