/* A key file is read whole and judged line by line; what it says of a key in words must be what
 * the certificate says. */
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

#define FILE_BYTES_MAX 32768
#define LINE_BYTES_MAX 1024
#define WORDS_MAX 6 /* one more than a line may have */
#define CLUSTER "cluster-ed25519"
#define OLD_CLUSTER "cluster" /* a secret that server and client shared */
#define SERVER_NAME "server"
/* Of keys that are signed for one session or server: they hold for clocks that are a day off. */
#define EARLIER_MS INT64_C(86400000)
#define SESSION_VALID_MS (3 * EARLIER_MS)

/* Picks the fast code for this processor; only the first call does any work. */
static int start_sodium(struct errbuf *why)
{
    return sodium_init() < 0 ? err_set(why, -EIO, "libsodium cannot be started") : 0;
}

static void make_cluster(const uint8_t seed[KEY_BYTES], struct key *ret)
{
    *ret = (struct key){.cluster = true};
    memcpy(ret->seed, seed, KEY_BYTES);
    pair_public(seed, ret->trusted);
    cluster_name(ret->trusted, ret->cluster_id);
}

int key_new(struct key *ret, struct errbuf *why)
{
    uint8_t seed[KEY_BYTES];
    int rc = start_sodium(why);

    if (rc < 0)
        return rc;
    process_hide();
    pair_new(seed);
    make_cluster(seed, ret);
    sodium_memzero(seed, sizeof(seed));
    return 0;
}

void key_issue(const struct key *cluster, enum role role, const char *name, int64_t now_ms,
               int64_t valid_ms, struct key *ret)
{
    struct key k = {.cluster = false};
    uint8_t public[KEY_BYTES];

    pair_new(k.seed);
    pair_public(k.seed, public);
    cert_make(cluster->seed, role, name, public, now_ms, valid_ms, &k.cert);
    memcpy(k.trusted, cluster->trusted, KEY_BYTES);
    memcpy(k.cluster_id, cluster->cluster_id, KEY_CLUSTER_BYTES);
    *ret = k;
    sodium_memzero(&k, sizeof(k));
}

bool key_take(const uint8_t seed[KEY_BYTES], const uint8_t cert[CERT_BYTES],
              const uint8_t trusted[KEY_BYTES], struct key *ret)
{
    struct key k = {.cluster = false};
    uint8_t public[KEY_BYTES];

    cluster_name(trusted, k.cluster_id);
    pair_public(seed, public);
    bool good = cert_read(cert, &k.cert) && memcmp(k.cert.key, public, KEY_BYTES) == 0 &&
                memcmp(k.cert.cluster_id, k.cluster_id, KEY_CLUSTER_BYTES) == 0 &&
                cert_proven(&k.cert, trusted);
    if (!good)
        return false;
    memcpy(k.seed, seed, KEY_BYTES);
    memcpy(k.trusted, trusted, KEY_BYTES);
    *ret = k;
    sodium_memzero(&k, sizeof(k));
    return true;
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
        if (memcmp(ring->keys[i].cluster_id, cluster_id, KEY_CLUSTER_BYTES) == 0)
            return &ring->keys[i];
    return NULL;
}

void keyring_client_key(const struct keyring *ring, int64_t now_ms, struct key *ret)
{
    const struct key *last = &ring->keys[ring->count - 1];

    if (last->cluster)
        key_issue(last, ROLE_ADMIN, KEY_CLUSTER_NAME, now_ms - EARLIER_MS, SESSION_VALID_MS, ret);
    else
        *ret = *last;
}

void keyring_server_keys(const struct keyring *ring, int64_t now_ms, struct keyring *ret)
{
    *ret = (struct keyring){.count = 0};
    for (int i = ring->count - 1; i >= 0; i--) {
        const struct key *k = &ring->keys[i];
        if (keyring_find(ret, k->cluster_id))
            continue;
        if (k->cluster)
            key_issue(k, ROLE_SERVER, SERVER_NAME, now_ms - EARLIER_MS, CERT_VALID_MAX_MS,
                      &ret->keys[ret->count++]);
        else if (k->cert.role == ROLE_SERVER)
            ret->keys[ret->count++] = *k;
    }
}

/* Reads the words of one line. False when they are no key. */
static bool read_key(char *const words[], int count, struct key *ret)
{
    uint8_t seed[KEY_BYTES], cert[CERT_BYTES], trusted[KEY_BYTES];
    int number = text_index(words[0], role_names);
    bool good;

    if (!text_unhex(words[count - 1], seed, KEY_BYTES))
        return false;
    if (count == 2 && strcmp(words[0], CLUSTER) == 0) {
        make_cluster(seed, ret);
        good = true;
    } else {
        good = count == 5 && number >= 0 && text_unhex(words[2], cert, CERT_BYTES) &&
               text_unhex(words[3], trusted, KEY_BYTES) && key_take(seed, cert, trusted, ret) &&
               ret->cert.role == role_of_number((unsigned)number) &&
               strcmp(ret->cert.name, words[1]) == 0;
    }
    sodium_memzero(seed, sizeof(seed));
    return good;
}

/* Is it a key of a version whose keys were secrets that both sides had? */
static bool is_old(char *const words[], int count)
{
    return (count == 2 && strcmp(words[0], OLD_CLUSTER) == 0) ||
           (count == 4 && text_index(words[0], role_names) >= 0);
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
    if (is_old(words, count))
        return err_set(why, -EINVAL,
                       "%s: line %d is a key of an earlier version, a secret that server and "
                       "client shared; those are not used any more: make a cluster key with "
                       "`steppe key new` and new keys with `steppe key issue`",
                       path, number);
    if (!read_key(words, count, &ring->keys[ring->count]))
        return err_set(why, -EINVAL,
                       "%s: line %d is not a key; allowed are \"" CLUSTER " SEED\" and \"ROLE "
                       "NAME CERTIFICATE CLUSTER SEED\", as `steppe key` writes them",
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
    /* Secrets of containers belong to root, and are shown to the program's user by his group. */
    const bool given = st.st_uid == 0 && geteuid() != 0;
    if (st.st_mode & (given ? 037 : 077))
        return err_set(why, -EPERM,
                       "others may read or change the key file %s (mode %04o): chmod %s it, and "
                       "make new keys if others could read it",
                       path, (unsigned)st.st_mode & 07777, given ? "640" : "600");
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
    if (rc != 0)
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

int keyring_load_server(const char *path, struct keyring *ret, struct errbuf *why)
{
    int rc = keyring_load(path, ret, why);

    if (rc < 0)
        return rc;
    for (int i = 0; i < ret->count; i++)
        if (ret->keys[i].cluster || ret->keys[i].cert.role == ROLE_SERVER)
            return 0;
    keyring_done(ret);
    return err_set(why, -EINVAL,
                   "%s holds neither a cluster key nor a key of the role server; make one with "
                   "`steppe key new FILE`",
                   path);
}

static void print_key(const struct key *k, char line[LINE_BYTES_MAX])
{
    char cert[2 * CERT_BYTES + 1], trusted[2 * KEY_BYTES + 1], seed[2 * KEY_BYTES + 1];

    text_hex(k->cert.bytes, CERT_BYTES, cert);
    text_hex(k->trusted, KEY_BYTES, trusted);
    text_hex(k->seed, KEY_BYTES, seed);
    if (k->cluster)
        snprintf(line, LINE_BYTES_MAX, CLUSTER " %s\n", seed);
    else
        snprintf(line, LINE_BYTES_MAX, "%s %s %s %s %s\n", role_name(k->cert.role), k->cert.name,
                 cert, trusted, seed);
    sodium_memzero(seed, sizeof(seed));
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

int keyring_replace(const char *path, const struct keyring *ring, struct errbuf *why)
{
    char *text = secret_alloc((size_t)KEYRING_MAX * LINE_BYTES_MAX);
    size_t bytes = 0;

    if (!text)
        return err_set(why, -ENOMEM, "cannot write %s: out of memory", path);
    for (int i = 0; i < ring->count; i++) {
        print_key(&ring->keys[i], text + bytes);
        bytes += strlen(text + bytes);
    }
    const struct file_part part = {text, bytes};
    int rc = file_write_atomic(path, 0600, &part, 1, why);
    secret_free(text);
    return rc;
}
