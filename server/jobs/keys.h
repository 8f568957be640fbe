/* What the database knows of keys: who has been here with one, and which names are revoked. The
 * gate judges by it; this brings it there and back. On the loop. */
#ifndef STEPPE_SERVER_JOBS_KEYS_H
#define STEPPE_SERVER_JOBS_KEYS_H

#include <stdint.h>

#include "common/err.h"

struct keys;
struct service;

/* Tells the gate what state.db has. */
int keys_open(struct service *service, struct keys **ret, struct errbuf *why);
void keys_close(struct keys *k); /* NULL is fine */
/* Writes who was here: a new holder at once, and when each was last seen every minute. */
void keys_tick(struct keys *k, int64_t now_ms);

#endif
