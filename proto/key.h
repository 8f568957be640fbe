/* Keys and their files.
 *
 * A cluster key is 32 random bytes that only the server holds. The key of a role and name is
 * derived from it, so that a lost worker key opens nothing else. A file is text, a key a line:
 *
 *   cluster SECRET                 64 hex digits
 *   worker host7 CLUSTER SECRET    role, name, 16 hex digits that name the cluster key, secret
 *
 * A server accepts every cluster key in its file; a client uses the last key of its file. */
#ifndef STEPPE_PROTO_KEY_H
#define STEPPE_PROTO_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bounds.h"
#include "common/err.h"
#include "proto/role.h"

#define KEY_BYTES 32
#define KEY_CLUSTER_BYTES 8

struct key {
    bool cluster;              /* the cluster key itself: no role and no name */
    enum role role;            /* of a derived key */
    char name[NAME_MAX_BYTES]; /* of its holder */
    uint8_t cluster_id[KEY_CLUSTER_BYTES];
    uint8_t secret[KEY_BYTES];
};

struct keyring {
    struct key keys[KEYRING_MAX];
    int count;
};

/* Reads a key file, and hides this process (process_hide). It must be a regular file that nobody
 * but its owner may read or write. The sentence never holds a secret. 0, -EPERM (mode), -EINVAL
 * (content) or -errno. */
int keyring_load(const char *path, struct keyring *ret, struct errbuf *why);
/* As keyring_load, and there must be a cluster key in it. */
int keyring_load_cluster(const char *path, struct keyring *ret, struct errbuf *why);
/* Overwrites the secrets. */
void keyring_done(struct keyring *ring);
/* The cluster key of this id, or NULL. */
const struct key *keyring_find(const struct keyring *ring,
                               const uint8_t cluster_id[KEY_CLUSTER_BYTES]);
/* The last cluster key; NULL: there is none. */
const struct key *keyring_newest(const struct keyring *ring);
/* The key that a client uses: the last one; from a cluster key it derives an admin's key. */
void keyring_client_key(const struct keyring *ring, struct key *ret);

/* A fresh cluster key from the kernel's generator; hides this process. 0, or -EIO: libsodium does
 * not start. */
int key_new(struct key *ret, struct errbuf *why);
void key_done(struct key *key); /* overwrites the secret */
/* The key of a role, which is not ROLE_NONE, and a name (as a job's name, text_is_name). */
void key_derive(const struct key *cluster, enum role role, const char *name, struct key *ret);

/* Writes keys to a new file of mode 0600, durably. -EEXIST: the file exists and is left alone.
 */
int keyring_create(const char *path, const struct keyring *ring, struct errbuf *why);
/* Appends a key to an existing key file. */
int keyring_append(const char *path, const struct key *key, struct errbuf *why);

#endif
