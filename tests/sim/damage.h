/* Damage: bytes of the server's files and of the workers' caches become others, or are gone, while
 * the one or the other runs and while it does not. What was right is kept here, so that a person
 * can put it back and every byte that comes to a worker can be judged. */
#ifndef STEPPE_TESTS_SIM_DAMAGE_H
#define STEPPE_TESTS_SIM_DAMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The dataset's file as it is right; borrowed. */
void damage_begin(const void *data, size_t bytes, const char *sha256);
/* Is this what bytes [offset, offset + bytes) of it are? */
bool damage_is_right(uint64_t offset, const void *data, size_t bytes);

/* The dataset's file on the server's disk, when it is there: bytes change, it is cut, or gone. */
void damage_dataset(void);
/* Somebody puts it back as it was. */
void damage_put_back(void);
/* A file that came with some job. */
void damage_attached(void);
/* The newest checkpoint of a job. other: of one that has another. */
void damage_checkpoint(bool other);

#endif
