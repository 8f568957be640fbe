/* Derivation is keyed BLAKE2b, each with its own label, so that no derived value can replace
 * another. */
#define _GNU_SOURCE
#include "proto/key.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/process.h"
#include "common/secret.h"
#include "common/text.h"

#define FILE_BYTES_MAX 16384
#define LINE_BYTES_MAX 256
#define WORDS_MAX 5 /* one more than a line may have */
#define CLUSTER "cluster"
#define ADMIN_NAME "cluster-key"

/* Picks the fast code for this processor; only the first call does any work. */
static int start_sodium(struct errbuf *why)
{
    return sodium_init() < 0 ? err_set(why, -EIO, "libsodium cannot be started") : 0;
}

static void name_cluster(struct key *cluster)
{
    static const char label[] = "steppe cluster 1";
    uint8_t id[crypto_generichash_BYTES_MIN];

    crypto_generichash(id, sizeof(id), (const uint8_t *)label, sizeof(label), cluster->secret,
                       KEY_BYTES);
    memcpy(cluster->cluster_id, id, KEY_CLUSTER_BYTES);
}

int key_new(struct key *ret, struct errbuf *why)
{
    int rc = start_sodium(why);

    if (rc < 0)
        return rc;
    process_hide();
    *ret = (struct key){.cluster = true};
    randombytes_buf(ret->secret, KEY_BYTES);
    name_cluster(ret);
    return 0;
}

void key_derive(const struct key *cluster, enum role role, const char *name, struct key *ret)
{
    static const char label[] = "steppe role 1";
    struct key k = {.role = role};
    crypto_generichash_state h;
    const uint8_t number = (uint8_t)role_number(role);

    snprintf(k.name, sizeof(k.name), "%s", name);
    memcpy(k.cluster_id, cluster->cluster_id, KEY_CLUSTER_BYTES);
    crypto_generichash_init(&h, cluster->secret, KEY_BYTES, KEY_BYTES);
    crypto_generichash_update(&h, (const uint8_t *)label, sizeof(label));
    crypto_generichash_update(&h, &number, 1);
    crypto_generichash_update(&h, (const uint8_t *)k.name, sizeof(k.name));
    crypto_generichash_final(&h, k.secret, KEY_BYTES);
    sodium_memzero(&h, sizeof(h));
    *ret = k;
}

void keyring_done(struct keyring *ring)
{
    sodium_memzero(ring, sizeof(*ring));
}

void key_done(struct key *key)
{
    sodium_memzero(key, sizeof(*key));
}

const struct key *keyring_newest(const struct keyring *ring)
{
    for (int i = ring->count - 1; i >= 0; i--)
        if (ring->keys[i].cluster)
            return &ring->keys[i];
    return NULL;
}

const struct key *keyring_find(const struct keyring *ring,
                               const uint8_t cluster_id[KEY_CLUSTER_BYTES])
{
    for (int i = 0; i < ring->count; i++)
        if (ring->keys[i].cluster &&
            memcmp(ring->keys[i].cluster_id, cluster_id, KEY_CLUSTER_BYTES) == 0)
            return &ring->keys[i];
    return NULL;
}

void keyring_client_key(const struct keyring *ring, struct key *ret)
{
    const struct key *last = &ring->keys[ring->count - 1];

    if (last->cluster)
        key_derive(last, ROLE_ADMIN, ADMIN_NAME, ret);
    else
        *ret = *last;
}

/* Reads the words of one line. False when they are no key. */
static bool read_key(char *const words[], int count, struct key *ret)
{
    struct key k = {.cluster = count == 2 && strcmp(words[0], CLUSTER) == 0};
    int number = k.cluster ? 0 : text_index(words[0], role_names);

    if (!text_unhex(words[count - 1], k.secret, KEY_BYTES))
        return false;
    if (k.cluster) {
        name_cluster(&k);
        *ret = k;
        return true;
    }
    if (count != 4 || number < 0 || !text_is_name(words[1]) ||
        !text_unhex(words[2], k.cluster_id, KEY_CLUSTER_BYTES))
        return false;
    k.role = role_of_number((unsigned)number);
    memcpy(k.name, words[1], strlen(words[1]) + 1);
    *ret = k;
    return true;
}

static int read_line(const char *path, int number, char *line, struct keyring *ring,
                     struct errbuf *why)
{
    char *words[WORDS_MAX], *rest = NULL;
    int count = 0;

    for (char *w = strtok_r(line, " \t\r", &rest); w && count < WORDS_MAX;
         w = strtok_r(NULL, " \t\r", &rest))
        words[count++] = w;
    if (count == 0 || words[0][0] == '#')
        return 0;
    if (ring->count == KEYRING_MAX)
        return err_set(why, -EINVAL, "%s: line %d: more than %d keys", path, number, KEYRING_MAX);
    if (!read_key(words, count, &ring->keys[ring->count]))
        return err_set(why, -EINVAL,
                       "%s: line %d is not a key; allowed are \"cluster SECRET\" and \"ROLE NAME "
                       "CLUSTER SECRET\"",
                       path, number);
    ring->count++;
    return 0;
}

static int check_mode(int fd, const char *path, struct errbuf *why)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_set(why, -errno, "cannot read the key file %s: %s", path, err_text(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(why, -EINVAL, "%s is not a regular file, so it cannot be a key file", path);
    if (st.st_mode & 077)
        return err_set(why, -EPERM,
                       "others may read or change the key file %s (mode %04o): chmod 600 it, and "
                       "make new keys if others could read it",
                       path, (unsigned)st.st_mode & 07777);
    return 0;
}

/* The text of a key file; what is judged is what is read. secret_free by the caller. */
static int read_private(const char *path, char **ret, size_t *ret_bytes, struct errbuf *why)
{
    /* O_NONBLOCK: opening a pipe must not wait for its writer. */
    int rc, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return err_set(why, -errno, "cannot read the key file %s: %s", path, err_text(errno));
    char *text = NULL;
    ssize_t bytes = 0;
    rc = check_mode(fd, path, why);
    if (rc == 0 && !(text = secret_alloc(FILE_BYTES_MAX + 1)))
        rc = err_set(why, -ENOMEM, "cannot read the key file %s: out of memory", path);
    if (rc == 0 && (bytes = file_read_into(fd, path, text, FILE_BYTES_MAX, why)) < 0)
        rc = (int)bytes;
    close(fd);
    if (rc < 0) {
        secret_free(text);
        return rc;
    }
    *ret = text;
    *ret_bytes = (size_t)bytes;
    return 0;
}

int keyring_load(const char *path, struct keyring *ret, struct errbuf *why)
{
    struct keyring ring = {.count = 0};
    char *text = NULL, *rest;
    size_t bytes = 0;
    int number = 0, rc = start_sodium(why);

    process_hide();
    if (rc == 0)
        rc = read_private(path, &text, &bytes, why);
    if (rc < 0)
        return rc;
    if (strlen(text) != bytes)
        rc = err_set(why, -EINVAL, "%s is not a key file: it holds a zero byte", path);
    rest = text;
    for (char *line; rc == 0 && (line = strsep(&rest, "\n"));)
        rc = read_line(path, ++number, line, &ring, why);
    if (rc == 0 && ring.count == 0)
        rc = err_set(why, -EINVAL, "%s holds no key; make one with `steppe key new FILE`", path);
    if (rc == 0)
        *ret = ring;
    secret_free(text);
    keyring_done(&ring);
    return rc;
}

int keyring_load_cluster(const char *path, struct keyring *ret, struct errbuf *why)
{
    int rc = keyring_load(path, ret, why);

    if (rc < 0)
        return rc;
    if (keyring_newest(ret))
        return 0;
    keyring_done(ret);
    return err_set(why, -EINVAL, "%s holds no cluster key; make one with `steppe key new FILE`",
                   path);
}

static void print_key(const struct key *k, char line[LINE_BYTES_MAX])
{
    char id[2 * KEY_CLUSTER_BYTES + 1], secret[2 * KEY_BYTES + 1];

    text_hex(k->cluster_id, KEY_CLUSTER_BYTES, id);
    text_hex(k->secret, KEY_BYTES, secret);
    if (k->cluster)
        snprintf(line, LINE_BYTES_MAX, CLUSTER " %s\n", secret);
    else
        snprintf(line, LINE_BYTES_MAX, "%s %s %s %s\n", role_name(k->role), k->name, id, secret);
    sodium_memzero(secret, sizeof(secret));
}

int keyring_create(const char *path, const struct keyring *ring, struct errbuf *why)
{
    char line[LINE_BYTES_MAX];
    uint64_t at = 0;
    int rc = 0, fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0 && errno == EEXIST)
        return err_set(why, -EEXIST, "%s already exists; it was not changed", path);
    if (fd < 0)
        return err_set(why, -errno, "cannot create %s: %s", path, err_text(errno));
    for (int i = 0; rc == 0 && i < ring->count; i++) {
        print_key(&ring->keys[i], line);
        rc = file_write_at(fd, line, strlen(line), at);
        at += strlen(line);
    }
    sodium_memzero(line, sizeof(line));
    if (rc == 0 && fsync(fd) < 0)
        rc = -errno;
    close(fd);
    if (rc == 0)
        return file_sync_parent(path, why);
    unlink(path);
    return err_set(why, rc, "cannot write %s: %s", path, err_text(rc));
}

int keyring_append(const char *path, const struct key *key, struct errbuf *why)
{
    struct keyring ring = {.count = 0};
    char *text = NULL, line[LINE_BYTES_MAX];
    size_t bytes = 0;
    int rc = keyring_load(path, &ring, why);

    if (rc == 0 && ring.count == KEYRING_MAX)
        rc = err_set(why, -ERANGE, "%s already holds %d keys, the most that are allowed", path,
                     KEYRING_MAX);
    keyring_done(&ring);
    if (rc == 0)
        rc = read_private(path, &text, &bytes, why);
    if (rc < 0)
        return rc;
    bool open_line = bytes > 0 && text[bytes - 1] != '\n';
    print_key(key, line);
    const struct file_part parts[] = {{text, bytes}, {"\n", open_line}, {line, strlen(line)}};
    rc = file_write_atomic(path, 0600, parts, 3, why);
    secret_free(text);
    sodium_memzero(line, sizeof(line));
    return rc;
}
