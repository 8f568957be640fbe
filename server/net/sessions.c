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
    const struct holders *holders;
    uint8_t secret[crypto_generichash_KEYBYTES]; /* of challenges */
    int count;
    struct session slots[SESSIONS_MAX];
};

struct sessions *sessions_open(const struct keyring *keys, const struct holders *holders)
{
    struct sessions *s = secret_alloc(sizeof(*s));

    if (!s)
        return NULL;
    s->keys = *keys;
    s->holders = holders;
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

int sessions_count_of(const struct sessions *s, const char *name)
{
    int count = 0;

    for (size_t i = 0; i < SESSIONS_MAX; i++)
        count += s->slots[i].seal.session && strcmp(s->slots[i].cert.name, name) == 0;
    return count;
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
        if (s->slots[i].seal.session && !keyring_find(keys, s->slots[i].cert.cluster_id)) {
            end(s, &s->slots[i]);
            ended++;
        }
    return ended;
}

/* Were the keys of its name revoked since it was issued? */
static bool is_revoked(const struct sessions *s, const struct cert *cert)
{
    return holders_shut_out(s->holders, cert->name, cert->issued_ms);
}

int sessions_revoke(struct sessions *s)
{
    int ended = 0;

    for (size_t i = 0; i < SESSIONS_MAX; i++)
        if (s->slots[i].seal.session && is_revoked(s, &s->slots[i].cert)) {
            end(s, &s->slots[i]);
            ended++;
        }
    return ended;
}

int sessions_of(const struct sessions *s, const char *name, const char *role, int64_t *ret_used_ms)
{
    int count = 0;

    *ret_used_ms = -1;
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        const struct session *one = &s->slots[i];
        if (!one->seal.session || strcmp(one->cert.name, name) != 0 ||
            strcmp(role_name(one->cert.role), role) != 0)
            continue;
        count++;
        if (one->used_ms > *ret_used_ms)
            *ret_used_ms = one->used_ms;
    }
    return count;
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
    return now_ms > session->used_ms + SESSION_IDLE_MS || now_ms > session->end_ms;
}

/* A slot that is free or whose session may end; NULL: none. -ESTALE in *ret_rc: the point was used.
 * A replay must come within CHALLENGE_MS, before the first session of its point can have ended. */
static struct session *find_slot(struct sessions *s, const struct hello *hello, int64_t now_ms,
                                 int *ret_rc)
{
    struct session *best = NULL, *own = NULL; /* of all; of this key's */
    int own_count = 0;

    *ret_rc = 0;
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        struct session *session = &s->slots[i];
        if (session->seal.session && memcmp(session->point, hello->point, POINT_BYTES) == 0) {
            *ret_rc = -ESTALE;
            return NULL;
        }
        if (session->seal.session && is_over(session, now_ms))
            end(s, session);
        if (!best || session->used_ms < best->used_ms)
            best = session; /* a free slot was used at 0 */
        if (session->seal.session && strcmp(session->cert.name, hello->cert.name) == 0) {
            own_count++;
            if (!own || session->used_ms < own->used_ms)
                own = session;
        }
    }
    if (own_count >= SESSIONS_OF_ONE_MAX) { /* a key that has many gives way to itself */
        if (now_ms <= own->used_ms + SESSION_YIELD_MS) {
            *ret_rc = -EDQUOT;
            return NULL;
        }
        best = own;
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

/* Whose hello is it, and may they begin a session? */
static int judge(const struct sessions *s, const struct hello *hello, const struct key *server,
                 int64_t unix_ms, struct errbuf *why)
{
    char at[CERT_TIME_BYTES];
    const struct cert *cert = &hello->cert;

    if (!server || !handshake_proves(hello, server->trusted))
        return err_set(why, -EACCES, "this server does not accept this key");
    if (cert->role == ROLE_SERVER)
        return err_set(why, -EACCES, "the key of %s is a server's, which makes no requests",
                       cert->name);
    if (cert_in_time(cert, unix_ms, why) < 0)
        return -EACCES;
    if (is_revoked(s, cert))
        return err_set(why, -EACCES, "the key of %s was revoked at %s", cert->name,
                       cert_time(holders_revoked(s->holders, cert->name), at));
    return 0;
}

int sessions_hello(struct sessions *s, const struct hello *hello, int64_t now_ms, int64_t unix_ms,
                   uint8_t frame[WELCOME_FRAME_BYTES], struct errbuf *why)
{
    const struct key *server = keyring_find(&s->keys, hello->cert.cluster_id);
    const int64_t left_ms = hello->cert.expires_ms - unix_ms;
    struct session session = {.cert = hello->cert, .used_ms = now_ms};

    /* A challenge costs one hash to check, a key two signatures. */
    if (!is_fresh(s, hello->challenge, now_ms))
        return -ESTALE;
    int rc = judge(s, hello, server, unix_ms, why);
    if (rc < 0)
        return rc;
    struct session *slot = find_slot(s, hello, now_ms, &rc);
    if (!slot)
        return rc;
    session.end_ms = now_ms + (left_ms < SESSION_LIFE_MS ? left_ms : SESSION_LIFE_MS);
    memcpy(session.point, hello->point, sizeof(session.point));
    rc = handshake_welcome(hello, server, new_number((size_t)(slot - s->slots)), seal_ciphers(),
                           &session.seal, frame);
    if (rc < 0)
        return err_set(why, -EACCES, "the hello gives no secret");
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
