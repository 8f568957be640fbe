/* A session's number is random, except for its lowest bits, which are its slot. */
#include "server/net/sessions.h"

#include <endian.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "common/secret.h"

#define SLOT_MASK ((uint64_t)SESSIONS_MAX - 1)
_Static_assert((SESSIONS_MAX & (SESSIONS_MAX - 1)) == 0, "slots are the low bits of a number");

/* In memory for secrets. */
struct sessions {
    struct keyring keys;
    uint8_t secret[crypto_generichash_KEYBYTES]; /* of challenges */
    int count;
    struct session slots[SESSIONS_MAX];
};

struct sessions *sessions_open(const struct keyring *keys)
{
    struct sessions *s = secret_alloc(sizeof(*s));

    if (!s)
        return NULL;
    s->keys = *keys;
    randombytes_buf(s->secret, sizeof(s->secret));
    return s;
}

void sessions_close(struct sessions *s)
{
    secret_free(s);
}

bool sessions_locked(struct sessions *s)
{
    return secret_locked(s, sizeof(*s));
}

int sessions_count(const struct sessions *s)
{
    return s->count;
}

static void end(struct sessions *s, struct session *session)
{
    sodium_memzero(session, sizeof(*session));
    s->count--;
}

int sessions_set_keys(struct sessions *s, const struct keyring *keys)
{
    int ended = 0;

    s->keys = *keys;
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        if (s->slots[i].seal.session && !keyring_find(keys, s->slots[i].cluster_id)) {
            end(s, &s->slots[i]);
            ended++;
        }
    return ended;
}

static void sign_time(const struct sessions *s, uint64_t time, uint8_t out[CHALLENGE_BYTES])
{
    memcpy(out, &time, sizeof(time));
    crypto_generichash(out + sizeof(time), CHALLENGE_BYTES - sizeof(time), (uint8_t *)&time,
                       sizeof(time), s->secret, sizeof(s->secret));
}

void sessions_challenge(const struct sessions *s, int64_t now_ms, uint8_t out[CHALLENGE_BYTES])
{
    sign_time(s, (uint64_t)now_ms, out);
}

static bool is_fresh(const struct sessions *s, const uint8_t challenge[CHALLENGE_BYTES],
                     int64_t now_ms)
{
    uint8_t want[CHALLENGE_BYTES];
    uint64_t time;

    memcpy(&time, challenge, sizeof(time));
    sign_time(s, time, want);
    return sodium_memcmp(want, challenge, CHALLENGE_BYTES) == 0 && time <= (uint64_t)now_ms &&
           (uint64_t)now_ms - time <= CHALLENGE_MS;
}

static bool is_over(const struct session *session, int64_t now_ms)
{
    return now_ms > session->used_ms + SESSION_IDLE_MS ||
           now_ms > session->start_ms + SESSION_LIFE_MS;
}

/* A slot that is free or whose session may end; NULL: none. -ESTALE in *ret_rc: the point was used.
 * A replay must come within CHALLENGE_MS, before the first session of its point can have ended. */
static struct session *find_slot(struct sessions *s, const uint8_t point[POINT_BYTES],
                                 int64_t now_ms, int *ret_rc)
{
    struct session *best = NULL;

    *ret_rc = 0;
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        struct session *session = &s->slots[i];
        if (session->seal.session && memcmp(session->point, point, POINT_BYTES) == 0) {
            *ret_rc = -ESTALE;
            return NULL;
        }
        if (session->seal.session && is_over(session, now_ms))
            end(s, session);
        if (!best || session->used_ms < best->used_ms)
            best = session; /* a free slot was used at 0 */
    }
    if (best->seal.session && now_ms <= best->used_ms + SESSION_YIELD_MS) {
        *ret_rc = -ERANGE;
        return NULL;
    }
    if (best->seal.session)
        end(s, best);
    return best;
}

static uint64_t new_number(size_t slot)
{
    uint64_t number;

    do {
        randombytes_buf(&number, sizeof(number));
        number &= ~SLOT_MASK;
    } while (number == 0);
    return number | slot;
}

int sessions_hello(struct sessions *s, const struct hello *hello, int64_t now_ms,
                   uint8_t frame[WELCOME_FRAME_BYTES])
{
    const struct key *cluster = keyring_find(&s->keys, hello->cluster_id);
    struct session session = {.role = hello->role, .start_ms = now_ms, .used_ms = now_ms};
    int rc;

    if (!cluster || !handshake_proves(hello, cluster))
        return -EACCES;
    if (!is_fresh(s, hello->challenge, now_ms))
        return -ESTALE;
    struct session *slot = find_slot(s, hello->point, now_ms, &rc);
    if (!slot)
        return rc;
    memcpy(session.name, hello->name, sizeof(session.name));
    memcpy(session.cluster_id, hello->cluster_id, sizeof(session.cluster_id));
    memcpy(session.point, hello->point, sizeof(session.point));
    rc = handshake_welcome(hello, cluster, new_number((size_t)(slot - s->slots)), seal_ciphers(),
                           &session.seal, frame);
    if (rc < 0)
        return -EACCES;
    *slot = session;
    s->count++;
    return 0;
}

struct session *sessions_find(struct sessions *s, uint64_t number, int64_t now_ms)
{
    struct session *session = &s->slots[number & SLOT_MASK];

    if (number == 0 || session->seal.session != number)
        return NULL;
    if (is_over(session, now_ms)) {
        end(s, session);
        return NULL;
    }
    return session;
}
