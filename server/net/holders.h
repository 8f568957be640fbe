/* The holders of keys that have been here, and the names that were revoked. In memory; whoever owns
 * a database is told what changed. */
#ifndef STEPPE_SERVER_NET_HOLDERS_H
#define STEPPE_SERVER_NET_HOLDERS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/holder.h"
#include "proto/cert.h"

struct holders;

struct holders *holders_open(void);
void holders_close(struct holders *h); /* NULL is fine */

/* A key began a session. Of KEYS_KNOWN_MAX holders the one that was away longest makes room. */
void holders_seen(struct holders *h, const struct cert *cert, const char *address, int64_t now_ms);
/* As it was read from the database. */
void holders_restore(struct holders *h, const struct holder *one);
/* Up to `most` holders that changed since they were last taken; returns how many. New ones only,
 * unless all. */
size_t holders_take(struct holders *h, bool all, struct holder *ret, size_t most);
size_t holders_count(const struct holders *h);
const struct holder *holders_at(const struct holders *h, size_t i);
/* How many of them were here within a week and want another key: the last quarter of its span has
 * begun. A revoked one counts no more, nor does one that has expired. */
size_t holders_to_renew(const struct holders *h, int64_t now_ms);

/* Grows when a name comes or goes, or is revoked: what was looked up by names holds until then. */
uint64_t holders_changes(const struct holders *h);

/* Revokes the keys of a name that were issued up to now_ms. -ERANGE: KEYS_KNOWN_MAX names are. */
int holders_revoke(struct holders *h, const char *name, int64_t now_ms, struct errbuf *why);
/* May holders_revoke take the name? As it would say. */
int holders_may_revoke(const struct holders *h, const char *name, struct errbuf *why);
/* When the keys of the name were last revoked; 0: never. */
int64_t holders_revoked(const struct holders *h, const char *name);
/* Was that since a key of the name was issued? */
bool holders_shut_out(const struct holders *h, const char *name, int64_t issued_ms);
size_t holders_revoked_count(const struct holders *h);
const struct revoked *holders_revoked_at(const struct holders *h, size_t i);

#endif
