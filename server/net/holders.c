#include "server/net/holders.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

#define IN_USE_MS (INT64_C(7) * 86400000) /* since a key's last session began */

enum change { KEPT, AGAIN, NEW };

struct entry {
    struct holder holder;
    enum change change; /* since it was last taken */
};

struct holders {
    struct entry entries[KEYS_KNOWN_MAX];
    size_t count;
    bool fresh; /* an entry may be NEW */
    uint64_t changes;
    struct revoked revoked[KEYS_KNOWN_MAX];
    size_t revoked_count;
};

struct holders *holders_open(void)
{
    return xcalloc(1, sizeof(struct holders));
}

void holders_close(struct holders *h)
{
    free(h);
}

static struct entry *find(struct holders *h, const char *name, const char *role)
{
    for (size_t i = 0; i < h->count; i++)
        if (strcmp(h->entries[i].holder.name, name) == 0 &&
            strcmp(h->entries[i].holder.role, role) == 0)
            return &h->entries[i];
    return NULL;
}

static struct entry *make_room(struct holders *h)
{
    struct entry *oldest = h->entries;

    h->changes++;
    if (h->count < KEYS_KNOWN_MAX)
        return &h->entries[h->count++];
    for (size_t i = 1; i < h->count; i++)
        if (h->entries[i].holder.last_ms < oldest->holder.last_ms)
            oldest = &h->entries[i];
    return oldest;
}

void holders_seen(struct holders *h, const struct cert *cert, const char *address, int64_t now_ms)
{
    struct entry *e = find(h, cert->name, role_name(cert->role));
    int64_t first_ms = e ? e->holder.first_ms : now_ms;
    enum change change = e && e->change != NEW && e->holder.id == cert->id ? AGAIN : NEW;

    if (!e)
        e = make_room(h);
    h->fresh = h->fresh || change == NEW;
    *e = (struct entry){.change = change,
                        .holder = {.id = cert->id,
                                   .issued_ms = cert->issued_ms,
                                   .expires_ms = cert->expires_ms,
                                   .first_ms = first_ms,
                                   .last_ms = now_ms}};
    snprintf(e->holder.name, sizeof(e->holder.name), "%s", cert->name);
    snprintf(e->holder.role, sizeof(e->holder.role), "%s", role_name(cert->role));
    snprintf(e->holder.address, sizeof(e->holder.address), "%s", address);
}

void holders_restore(struct holders *h, const struct holder *one)
{
    struct entry *e = find(h, one->name, one->role);

    *(e ? e : make_room(h)) = (struct entry){.holder = *one};
}

size_t holders_take(struct holders *h, bool all, struct holder *ret, size_t most)
{
    size_t n = 0;

    if (!all && !h->fresh)
        return 0;
    for (size_t i = 0; i < h->count && n < most; i++)
        if (h->entries[i].change >= (all ? AGAIN : NEW)) {
            h->entries[i].change = KEPT;
            ret[n++] = h->entries[i].holder;
        }
    h->fresh = n == most;
    return n;
}

size_t holders_count(const struct holders *h)
{
    return h->count;
}

uint64_t holders_changes(const struct holders *h)
{
    return h->changes;
}

const struct holder *holders_at(const struct holders *h, size_t i)
{
    return &h->entries[i].holder;
}

static bool wants_renewal(const struct holders *h, const struct holder *one, int64_t now_ms)
{
    const int64_t span_ms = one->expires_ms - one->issued_ms;

    return one->last_ms > now_ms - IN_USE_MS && one->expires_ms > now_ms &&
           one->expires_ms - now_ms < span_ms / 4 &&
           !holders_shut_out(h, one->name, one->issued_ms);
}

size_t holders_to_renew(const struct holders *h, int64_t now_ms)
{
    size_t n = 0;

    for (size_t i = 0; i < h->count; i++)
        n += wants_renewal(h, &h->entries[i].holder, now_ms);
    return n;
}

/* -1: it is not there. */
static int find_revoked(const struct holders *h, const char *name)
{
    for (size_t i = 0; i < h->revoked_count; i++)
        if (strcmp(h->revoked[i].name, name) == 0)
            return (int)i;
    return -1;
}

int holders_may_revoke(const struct holders *h, const char *name, struct errbuf *why)
{
    if (find_revoked(h, name) >= 0 || h->revoked_count < KEYS_KNOWN_MAX)
        return 0;
    return err_set(why, -ERANGE,
                   "%d names are revoked, the most that are kept: make a new cluster key, and the "
                   "keys that are still wanted with it",
                   KEYS_KNOWN_MAX);
}

int holders_revoke(struct holders *h, const char *name, int64_t now_ms, struct errbuf *why)
{
    int i = find_revoked(h, name), rc = holders_may_revoke(h, name, why);

    if (rc < 0)
        return rc;
    if (i < 0)
        i = (int)h->revoked_count++;
    snprintf(h->revoked[i].name, sizeof(h->revoked[i].name), "%s", name);
    h->revoked[i].unix_ms = now_ms;
    h->changes++;
    return 0;
}

int64_t holders_revoked(const struct holders *h, const char *name)
{
    int i = find_revoked(h, name);

    return i < 0 ? 0 : h->revoked[i].unix_ms;
}

bool holders_shut_out(const struct holders *h, const char *name, int64_t issued_ms)
{
    return issued_ms <= holders_revoked(h, name);
}

size_t holders_revoked_count(const struct holders *h)
{
    return h->revoked_count;
}

const struct revoked *holders_revoked_at(const struct holders *h, size_t i)
{
    return &h->revoked[i];
}
