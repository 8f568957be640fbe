/* The sessions of sealed messages: which peer proved which key, and the numbers of its messages.
 *
 * Nothing is kept for a peer before it has proved a key: a challenge is a time and its keyed hash.
 * A hello counts within CHALLENGE_MS of its challenge and once. Time is passed in. */
#ifndef STEPPE_SERVER_NET_SESSIONS_H
#define STEPPE_SERVER_NET_SESSIONS_H

#include "proto/handshake.h"
#include "server/net/holders.h"

#define CHALLENGE_MS 10000
#define SESSION_IDLE_MS 600000 /* a session without a message for so long ends */
#define SESSION_LIFE_MS                                                                            \
    86400000 /* every session ends after a day, or with its key; its client makes another */
#define SESSION_YIELD_MS 60000 /* in a full table a session idle for so long gives way */

struct session {
    struct seal seal;
    struct cert cert;           /* of its key */
    uint8_t point[POINT_BYTES]; /* the client's: a second hello with it is a replay */
    int64_t used_ms, end_ms;
};

struct sessions;

/* The keys that the server answers with, one a cluster (keyring_server_keys; copied). holders knows
 * which names are revoked; borrowed. NULL: memory is out. */
struct sessions *sessions_open(const struct keyring *keys, const struct holders *holders);
void sessions_close(struct sessions *s); /* NULL is fine */
/* Are the keys in memory that is never swapped out? */
bool sessions_locked(struct sessions *s);
/* Replaces the keys; ends the sessions of removed clusters and returns how many. */
int sessions_set_keys(struct sessions *s, const struct keyring *keys);
/* Ends the sessions whose keys are revoked and returns how many. */
int sessions_revoke(struct sessions *s);

/* Times: now_ms monotonic, unix_ms of the wall, by which keys expire. */
void sessions_challenge(const struct sessions *s, int64_t now_ms, uint8_t out[CHALLENGE_BYTES]);
/* Judges a hello and answers it. -ESTALE: its challenge is too old, not ours, or used before;
 * -EACCES: its key is not accepted, and the sentence says why; -ERANGE: too many sessions;
 * -EDQUOT: too many of this key. */
int sessions_hello(struct sessions *s, const struct hello *hello, int64_t now_ms, int64_t unix_ms,
                   uint8_t frame[WELCOME_FRAME_BYTES], struct errbuf *why);
/* The session of this number, borrowed until the next call; NULL: it does not exist or has
 * ended. */
struct session *sessions_find(struct sessions *s, uint64_t number, int64_t now_ms);
int sessions_count(const struct sessions *s);
/* Those of the keys of this name and role, and when one of them was last used (monotonic; -1: there
 * is none). */
int sessions_of(const struct sessions *s, const char *name, const char *role, int64_t *ret_used_ms);
/* Of the key of this name. */
int sessions_count_of(const struct sessions *s, const char *name);

#endif
