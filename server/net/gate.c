#include "server/net/gate.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/secret.h"
#include "common/text.h"
#include "server/net/local.h"
#include "server/net/sessions.h"

#define LOG_MS 10000

/* Of messages without a session: a client that begins one sends two. After a restart a thousand
 * workers of one machine begin two each; to prove a key takes 0.1 ms, so that one address may have
 * a twentieth of the loop, and all together a third. */
static const struct budget of_connection = {.per_s = 5, .burst = 20, .debt_s = 5};
static const struct budget of_address = {.per_s = 500, .burst = 10000, .debt_s = 2};
/* Of the loop's time, by people of one key or address, in ms: a quarter, as the others and the jobs
 * need some too. */
static const struct budget of_owner = {.per_s = 250, .burst = 1000, .debt_s = 2};
static const struct budget of_all = {.per_s = 3000, .burst = 12000, .debt_s = 0.5};

enum reason { PLAIN, USER, BROKEN, WRONG_KEY, STALE, REPLAYED, CHANGED, FULL, PACED, REASON_COUNT };

const char *const gate_reason_names[] = {"plain",    "user",    "broken", "wrong_key", "no_session",
                                         "replayed", "changed", "full",   "paced",     NULL};
_Static_assert(sizeof(gate_reason_names) / sizeof(gate_reason_names[0]) == REASON_COUNT + 1,
               "every reason has a name");
_Static_assert(GATE_REASONS == REASON_COUNT, "gate.h says how many there are");

struct gate {
    const struct locals *locals;
    char *key_path;
    struct sessions *sessions; /* NULL: no key */
    struct holders *holders;
    struct key *signer; /* the newest cluster key, with which keys are renewed; NULL: none */
    uint64_t counts[REASON_COUNT];
    uint64_t logged; /* sum of counts in the last line */
    int64_t logged_ms;
    struct budgets addresses, owners;
    struct bucket all;
    char paced[PEER_BYTES]; /* the address that was slowed down last */
};

/* What the file holds: the keys that the server answers with, and the one that it signs with. */
static int load_keys(struct gate *g, const char *path, struct keyring *ret, struct errbuf *why)
{
    struct keyring file = {.count = 0};
    int rc = keyring_load_server(path, &file, why);

    if (rc < 0)
        return rc;
    const struct key *newest = keyring_newest(&file);
    struct key *signer = newest ? secret_alloc(sizeof(*signer)) : NULL;
    if (newest && !signer) {
        keyring_done(&file);
        return err_set(why, -ENOMEM, "no memory for the keys");
    }
    if (signer)
        *signer = *newest;
    secret_free(g->signer);
    g->signer = signer;
    keyring_server_keys(&file, clock_unix_ms(), ret);
    keyring_done(&file);
    return 0;
}

int gate_open(const char *key_path, const struct locals *locals, struct gate **ret,
              struct errbuf *why)
{
    struct keyring keys = {.count = 0};
    struct gate *g = xcalloc(1, sizeof(*g));
    int rc = key_path ? load_keys(g, key_path, &keys, why) : 0;

    if (rc < 0) {
        free(g);
        return rc;
    }
    g->logged_ms = -LOG_MS;
    g->locals = locals;
    g->holders = holders_open();
    if (key_path) {
        g->key_path = xstrdup(key_path);
        g->sessions = sessions_open(&keys, g->holders);
        keyring_done(&keys);
        if (!g->sessions) {
            gate_close(g);
            return err_set(why, -ENOMEM, "no memory for the keys");
        }
        if (!sessions_locked(g->sessions))
            log_warn("gate.keys",
                     "error=\"the keys may be swapped to the disk: the limit on locked "
                     "memory is too low (ulimit -l, LimitMEMLOCK= of a systemd "
                     "unit)\"");
    }
    *ret = g;
    return 0;
}

void gate_close(struct gate *g)
{
    if (!g)
        return;
    sessions_close(g->sessions);
    holders_close(g->holders);
    secret_free(g->signer);
    free(g->key_path);
    free(g);
}

int gate_reload(struct gate *g, struct errbuf *why)
{
    struct keyring keys;

    if (!g->key_path)
        return err_set(why, -EINVAL, "there is no key file to read again");
    int rc = load_keys(g, g->key_path, &keys, why);
    if (rc < 0)
        return rc;
    log_info("gate.keys", "keys=%d sessions_ended=%d", keys.count,
             sessions_set_keys(g->sessions, &keys));
    keyring_done(&keys);
    return 0;
}

struct holders *gate_holders(struct gate *g)
{
    return g->holders;
}

int gate_revoke(struct gate *g, const char *name, int64_t unix_ms, int *ret_ended,
                struct errbuf *why)
{
    int rc = holders_revoke(g->holders, name, unix_ms, why);

    if (rc == 0)
        *ret_ended = g->sessions ? sessions_revoke(g->sessions) : 0;
    return rc;
}

int64_t gate_key_end(const struct gate *g, const struct request *rq)
{
    const struct session *session =
        rq->session ? sessions_find(g->sessions, rq->session, clock_mono_ms()) : NULL;

    /* Of a cluster key it is the certificate of one session. */
    return session && strcmp(session->cert.name, KEY_CLUSTER_NAME) != 0 ? session->cert.expires_ms
                                                                        : 0;
}

int gate_sessions_of(const struct gate *g, const char *name, const char *role, int64_t *ret_used_ms)
{
    *ret_used_ms = -1;
    return g->sessions ? sessions_of(g->sessions, name, role, ret_used_ms) : 0;
}

int gate_renew(struct gate *g, const struct request *rq, const uint8_t key[], int64_t unix_ms,
               struct cert *ret, uint8_t trusted[], struct errbuf *why)
{
    const struct session *session =
        rq->session ? sessions_find(g->sessions, rq->session, clock_mono_ms()) : NULL;

    if (!session)
        return err_set(why, -EPERM,
                       "a key is renewed over a session that it has begun, which needs a tcp "
                       "address of a server with a key");
    if (strcmp(session->cert.name, KEY_CLUSTER_NAME) == 0)
        return err_set(why, -EPERM,
                       "a cluster key does not expire; `steppe key add` makes a newer one");
    if (!g->signer)
        return err_set(why, -EPERM,
                       "this server has no cluster key and can sign nothing; whoever has it makes "
                       "a new key with `steppe key issue`");
    cert_make(g->signer->seed, session->cert.role, session->cert.name, key, unix_ms,
              session->cert.expires_ms - session->cert.issued_ms, ret);
    memcpy(trusted, g->signer->trusted, KEY_BYTES);
    holders_seen(g->holders, ret, rq->peer, unix_ms);
    return 0;
}

void gate_tick(struct gate *g, int64_t now_ms)
{
    uint64_t sum = 0;

    for (int i = 0; i < REASON_COUNT; i++)
        sum += g->counts[i];
    if (sum == g->logged || now_ms < g->logged_ms + LOG_MS)
        return;
    log_warn(
        "gate.refused",
        "new=%llu plain=%llu user=%llu broken=%llu wrong_key=%llu no_session=%llu replayed=%llu "
        "changed=%llu full=%llu paced=%llu%s%s",
        (unsigned long long)(sum - g->logged), (unsigned long long)g->counts[PLAIN],
        (unsigned long long)g->counts[USER], (unsigned long long)g->counts[BROKEN],
        (unsigned long long)g->counts[WRONG_KEY], (unsigned long long)g->counts[STALE],
        (unsigned long long)g->counts[REPLAYED], (unsigned long long)g->counts[CHANGED],
        (unsigned long long)g->counts[FULL], (unsigned long long)g->counts[PACED],
        g->paced[0] ? " paced_last=" : "", g->paced);
    g->paced[0] = 0;
    g->logged = sum;
    g->logged_ms = now_ms;
}

uint64_t gate_count(const struct gate *g, int reason)
{
    return g->counts[reason];
}

/* A message without a session: how long its connection rests. */
static int64_t charge(struct gate *g, const char *peer, struct bucket *own)
{
    const int64_t now_ms = clock_mono_ms();
    int64_t rests[3] = {
        own ? budget_take(&of_connection, own, 1, now_ms) : 0,
        budget_take(&of_address, budgets_of(&g->addresses, peer, now_ms), 1, now_ms),
        budget_take(&of_all, &g->all, 1, now_ms),
    };
    int64_t rest_ms = 0;

    for (int i = 0; i < 3; i++)
        rest_ms = rests[i] > rest_ms ? rests[i] : rest_ms;
    if (rest_ms > 0) {
        g->counts[PACED]++;
        snprintf(g->paced, sizeof(g->paced), "%s", peer);
        gate_tick(g, now_ms);
    }
    return rest_ms;
}

int64_t gate_spend(struct gate *g, const char *owner, double ms)
{
    const double least_ms = 0.1; /* what nobody measures: the sockets, the envelope */
    const int64_t now_ms = clock_mono_ms();

    return budget_take(&of_owner, budgets_of(&g->owners, owner, now_ms), ms + least_ms, now_ms);
}

double gate_spent(struct gate *g, const char *owner)
{
    const int64_t now_ms = clock_mono_ms();

    return budget_taken(&of_owner, budgets_of(&g->owners, owner, now_ms), now_ms) / of_owner.burst;
}

int gate_sessions(const struct gate *g, const char *name)
{
    if (!g->sessions)
        return 0;
    return name ? sessions_count_of(g->sessions, name) : sessions_count(g->sessions);
}

int64_t gate_newcomer(struct gate *g, const char *peer)
{
    return charge(g, peer, NULL);
}

/* Refuses rq; fmt NULL: without an answer. Always false. */
__attribute__((format(printf, 5, 6))) static bool turn_away(struct gate *g, struct request *rq,
                                                            enum reason reason,
                                                            enum error_code code, const char *fmt,
                                                            ...)
{
    struct errbuf why;
    va_list ap;

    g->counts[reason]++;
    gate_tick(g, clock_mono_ms());
    if (!fmt) {
        request_drop(rq);
        return false;
    }
    va_start(ap, fmt);
    err_vset(&why, fmt, ap);
    va_end(ap);
    request_error(rq, code, "%s", why.text);
    return false;
}

static bool no_session(struct gate *g, struct request *rq)
{
    return turn_away(g, rq, STALE, ERR_NO_SESSION, "there is no such session; say hello again");
}

/* Answers with a frame; ends rq. Always false. */
static bool answer(struct request *rq, const uint8_t *frame, size_t bytes)
{
    void *body = transport_alloc(bytes);

    if (body) {
        memcpy(body, frame, bytes);
        transport_reply(rq->transport, &rq->token, body);
    }
    request_drop(rq);
    return false;
}

static bool greet(struct gate *g, struct request *rq, const void *body, size_t bytes)
{
    uint8_t challenge[CHALLENGE_BYTES], frame[HELLO_FRAME_BYTES];
    int64_t now_ms = clock_mono_ms(), unix_ms = clock_unix_ms();
    char peer[PEER_BYTES] = "";
    struct errbuf why = {""};
    struct hello hello;
    int step = handshake_read(body, bytes, &hello);

    if (step < 0 && handshake_is_old(body, bytes))
        return turn_away(g, rq, WRONG_KEY, ERR_WRONG_KEY,
                         "this server takes no keys of earlier versions; it needs a new key, and "
                         "a program of this version");
    if (step < 0)
        return turn_away(g, rq, BROKEN, ERR_BAD_MESSAGE, "the hello is malformed");
    if (step == STEP_ASK) {
        sessions_challenge(g->sessions, now_ms, challenge);
        handshake_challenge(challenge, frame);
        return answer(rq, frame, CHALLENGE_FRAME_BYTES);
    }
    int rc = sessions_hello(g->sessions, &hello, now_ms, unix_ms, frame, &why);
    if (rc == -ESTALE)
        return no_session(g, rq);
    if (rc == -ERANGE)
        return turn_away(g, rq, FULL, ERR_LIMIT, "%d sessions are open, the most that are allowed",
                         SESSIONS_MAX);
    if (rc == -EDQUOT)
        return turn_away(g, rq, FULL, ERR_LIMIT,
                         "%d sessions of this key are open, the most that one key may have",
                         SESSIONS_OF_ONE_MAX);
    if (rc < 0)
        return turn_away(g, rq, WRONG_KEY, ERR_WRONG_KEY, "%s", why.text);
    if (rq->carrier->peer)
        rq->carrier->peer(rq, peer);
    holders_seen(g->holders, &hello.cert, peer, unix_ms);
    log_debug("gate.hello", "role=%s name=%s sessions=%d", role_name(hello.cert.role),
              hello.cert.name, sessions_count(g->sessions));
    return answer(rq, frame, WELCOME_FRAME_BYTES);
}

static bool open_sealed(struct gate *g, struct request *rq, uint8_t **io_body, size_t *io_bytes)
{
    int64_t now_ms = clock_mono_ms();
    struct session *session = sessions_find(g->sessions, seal_session(*io_body), now_ms);
    int rc;

    if (!session)
        return no_session(g, rq);
    rc = seal_open(&session->seal, *io_body, *io_bytes, &rq->sequence, NULL);
    if (rc < 0) /* the sender does not hold the session: no answer */
        return turn_away(g, rq,
                         rc == -EALREADY  ? REPLAYED
                         : rc == -EBADMSG ? CHANGED
                                          : BROKEN,
                         ERR_BAD_MESSAGE, NULL);
    session->used_ms = now_ms;
    rq->session = session->seal.session;
    rq->role = session->cert.role;
    memcpy(rq->key_name, session->cert.name, sizeof(rq->key_name));
    *io_body += SEAL_HEAD_BYTES;
    *io_bytes -= SEAL_BYTES;
    return true;
}

/* A plain message at an address that takes some. */
static bool let_in(struct gate *g, struct request *rq, const struct caller *caller)
{
    const struct local *who = caller->local;
    struct errbuf why = {""};

    rq->role = who ? who->role : caller->plain;
    if (rq->role == ROLE_NONE && who) {
        local_refusal(g->locals, who, &why);
        return turn_away(g, rq, USER, ERR_FORBIDDEN, "%s", why.text);
    }
    if (rq->role == ROLE_NONE)
        return turn_away(g, rq, PLAIN, ERR_KEY_NEEDED, "this address takes no plain messages");
    if (who && !who->owner)
        snprintf(rq->key_name, sizeof(rq->key_name), LOCAL_KEY_PREFIX "%s", who->user);
    return true;
}

bool gate_enter(struct gate *g, struct request *rq, struct caller *caller, uint8_t **io_body,
                size_t *io_bytes)
{
    int flags = seal_flags(*io_body, *io_bytes);
    bool hello = flags > 0 && (flags & FRAME_HELLO), sealed = flags > 0 && (flags & FRAME_SEALED);

    bool in = false;

    caller->rest_ms = 0;
    if (!hello && !sealed && !caller->sealed_only)
        in = let_in(g, rq, caller);
    else if ((hello || sealed) && !g->sessions)
        turn_away(g, rq, WRONG_KEY, ERR_WRONG_KEY, "this server runs without a key; omit --key");
    else if (hello)
        greet(g, rq, *io_body, *io_bytes);
    else if (sealed)
        in = open_sealed(g, rq, io_body, io_bytes);
    else
        turn_away(g, rq, PLAIN, ERR_KEY_NEEDED,
                  "this address takes only sealed messages; give a key file with --key");
    if (!in)
        caller->rest_ms = charge(g, caller->peer, caller->bucket);
    return in;
}

int gate_judge(const struct request *rq, struct errbuf *why)
{
    unsigned allowed = message_roles(rq->type);
    const char *names[ROLE_END];
    char list[64];
    int n = 0;

    if (allowed & ROLE_BIT(rq->role))
        return 0;
    if (rq->role == ROLE_NONE)
        return err_set(why, -EACCES, "the sender of this %s is not known", message_names[rq->type]);
    for (enum role role = ROLE_NONE + 1; role < ROLE_END; role++)
        if (allowed & ROLE_BIT(role))
            names[n++] = role_name(role);
    names[n] = NULL;
    return err_set(why, -EACCES, "%sthe role %s may not send %s; the role must be %s",
                   rq->session ? "a key of " : "", role_name(rq->role), message_names[rq->type],
                   text_list(names, list, sizeof(list)));
}

bool gate_seal(struct gate *g, const struct request *rq, uint8_t *frame, size_t bytes)
{
    struct session *session = sessions_find(g->sessions, rq->session, clock_mono_ms());

    if (!session)
        return false;
    seal_message(&session->seal, rq->sequence, frame, bytes);
    return true;
}
