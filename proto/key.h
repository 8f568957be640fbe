/* Keys and their files.
 *
 * A cluster key signs the keys of people and machines (proto/cert.h); who has it can make any key,
 * so it stays where keys are made. Everybody else has a pair of their own with a certificate, and
 * the public half of the cluster key. A file is text, a key a line:
 *
 *   cluster-ed25519 SEED
 *   worker host7 CERTIFICATE CLUSTER SEED     role, name, 400 hex digits, 64 of the cluster's
 *                                             public key, 64 of the seed of the pair
 *
 * A server accepts what any cluster key in its file has signed, or (with keys of the role server
 * instead) the clusters that signed those. A client uses the last key of its file. */
#ifndef STEPPE_PROTO_KEY_H
#define STEPPE_PROTO_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/cert.h"

/* Names that no key is issued with: of who uses a cluster key itself, and of who uses the dashboard
 * by a link that was got without a key. */
#define KEY_CLUSTER_NAME "cluster-key"
#define KEY_BROWSER_NAME "browser"
#define KEY_VALID_MS (INT64_C(365) * 86400000) /* of a key when nothing else is said */

struct key {
    bool cluster;               /* a cluster key: no certificate */
    struct cert cert;           /* of a pair */
    uint8_t seed[KEY_BYTES];    /* secret */
    uint8_t trusted[KEY_BYTES]; /* the cluster key's public half */
    uint8_t cluster_id[KEY_CLUSTER_BYTES];
};

struct keyring {
    struct key keys[KEYRING_MAX];
    int count;
};

/* Reads a key file, and hides this process (process_hide). It must be a regular file that nobody
 * but its owner may read or write; one of root's, where this user is not root, may also be read by
 * its group. The sentence never holds a secret. 0, -EPERM (mode), -EINVAL (content) or -errno. */
int keyring_load(const char *path, struct keyring *ret, struct errbuf *why);
/* As keyring_load, and there must be a cluster key in it. */
int keyring_load_cluster(const char *path, struct keyring *ret, struct errbuf *why);
/* As keyring_load, and there must be a key in it that a server can answer with: a cluster key, or a
 * key of the role server. */
int keyring_load_server(const char *path, struct keyring *ret, struct errbuf *why);
/* Overwrites the secrets. */
void keyring_done(struct keyring *ring);
/* The last cluster key; NULL: there is none. */
const struct key *keyring_newest(const struct keyring *ring);
/* The key that a client uses: the last one; a cluster key signs an admin's for this session. */
void keyring_client_key(const struct keyring *ring, int64_t now_ms, struct key *ret);
/* The keys that a server answers with, one of each cluster: those of the role server, and for each
 * cluster key a fresh one that it signs. */
void keyring_server_keys(const struct keyring *ring, int64_t now_ms, struct keyring *ret);
/* The key of this cluster, or NULL. */
const struct key *keyring_find(const struct keyring *ring,
                               const uint8_t cluster_id[KEY_CLUSTER_BYTES]);

/* A fresh cluster key from the kernel's generator; hides this process. 0, or -EIO: libsodium does
 * not start. */
int key_new(struct key *ret, struct errbuf *why);
void key_done(struct key *key); /* overwrites the secret */
/* A new pair that the cluster key signs; role is not ROLE_NONE, name as a job's (text_is_name). */
void key_issue(const struct key *cluster, enum role role, const char *name, int64_t now_ms,
               int64_t valid_ms, struct key *ret);
/* The key of a pair with a certificate that somebody else has signed. False: it is not one of this
 * pair and cluster. */
bool key_take(const uint8_t seed[KEY_BYTES], const uint8_t cert[CERT_BYTES],
              const uint8_t trusted[KEY_BYTES], struct key *ret);

/* Writes keys to a new file of mode 0600, durably. -EEXIST: the file exists and is left alone.
 */
int keyring_create(const char *path, const struct keyring *ring, struct errbuf *why);
/* Appends a key to an existing key file. */
int keyring_append(const char *path, const struct key *key, struct errbuf *why);
/* Replaces the content of a key file by these keys, all or nothing. Comments go. */
int keyring_replace(const char *path, const struct keyring *ring, struct errbuf *why);

#endif
