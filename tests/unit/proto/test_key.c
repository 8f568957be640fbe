#include "proto/key.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/file.h"
#include "common/text.h"
#include "tests/harness.h"

#define NOW_MS INT64_C(1795996800000) /* 2026-11-30 */
#define COUNTING "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static const char *write_file(const char *text, mode_t mode)
{
    const char *path = test_path("k");
    FILE *f = fopen(path, "w");

    ASSERT(f && fputs(text, f) >= 0 && fclose(f) == 0);
    ASSERT_EQ(0, chmod(path, mode));
    return path;
}

static void assert_refused(const char *text, const char *part)
{
    struct keyring ring = {.count = 77};
    struct errbuf why;

    ASSERT_EQ(-EINVAL, keyring_load(write_file(text, 0600), &ring, &why));
    ASSERT_HAS(part, why.text);
    ASSERT(!strstr(why.text, "000102030405"));
    ASSERT_EQ(77, ring.count);
}

static void load_counting(struct keyring *ret)
{
    struct errbuf why;

    ASSERT_OK(keyring_load(write_file("cluster-ed25519 " COUNTING "\n", 0600), ret, &why), why);
    ASSERT_EQ(1, ret->count);
    ASSERT(ret->keys[0].cluster);
}

/* The public key of the seed 00 01 02 .. 1f, and what Ed25519 signs with it. */
TEST(pairs_are_those_of_ed25519)
{
    struct keyring ring;
    uint8_t signature[SIGNATURE_BYTES];
    char hex[2 * SIGNATURE_BYTES + 1];

    load_counting(&ring);
    text_hex(ring.keys[0].trusted, KEY_BYTES, hex);
    ASSERT_STR("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8", hex);
    pair_sign(ring.keys[0].seed, "label", "data", 4, "more", 4, signature);
    ASSERT(pair_verify(ring.keys[0].trusted, "label", "data", 4, "more", 4, signature));
    ASSERT(pair_verify(ring.keys[0].trusted, "label", "datamore", 8, NULL, 0, signature));
    ASSERT(!pair_verify(ring.keys[0].trusted, "labels", "datamore", 8, NULL, 0, signature));
    ASSERT(!pair_verify(ring.keys[0].trusted, "label", "datamorf", 8, NULL, 0, signature));
    signature[0] ^= 1;
    ASSERT(!pair_verify(ring.keys[0].trusted, "label", "datamore", 8, NULL, 0, signature));
}

TEST(a_certificate_says_who_holds_the_key_and_until_when)
{
    struct keyring ring;
    struct errbuf why;
    struct cert back;
    struct key k;

    load_counting(&ring);
    key_issue(&ring.keys[0], ROLE_SUBMIT, "ann", NOW_MS, 1000, &k);
    ASSERT(cert_read(k.cert.bytes, &back));
    ASSERT_EQ(ROLE_SUBMIT, back.role);
    ASSERT_STR("ann", back.name);
    ASSERT_EQ(NOW_MS, back.issued_ms);
    ASSERT_EQ(NOW_MS + 1000, back.expires_ms);
    ASSERT(cert_proven(&back, ring.keys[0].trusted));
    ASSERT_OK(cert_in_time(&back, NOW_MS, &why), why);
    ASSERT_OK(cert_in_time(&back, NOW_MS + 999, &why), why);
    ASSERT_EQ(-EKEYEXPIRED, cert_in_time(&back, NOW_MS + 1000, &why));
    ASSERT_STR("the key of ann expired at 2026-11-30 00:00:01 UTC; it needs a new one", why.text);
    ASSERT_EQ(-EKEYEXPIRED, cert_in_time(&back, NOW_MS - 1, &why));
    ASSERT_HAS("holds from 2026-11-30 00:00:00 UTC on", why.text);
}

TEST(a_certificate_that_was_changed_proves_nothing)
{
    struct keyring ring;
    struct errbuf why;
    struct key k, other;

    load_counting(&ring);
    ASSERT_OK(key_new(&other, &why), why);
    key_issue(&ring.keys[0], ROLE_READ, "ann", NOW_MS, 1000, &k);
    ASSERT(!cert_proven(&k.cert, other.trusted));
    for (size_t i = 0; i < CERT_BYTES; i++) {
        struct cert c;
        k.cert.bytes[i] ^= 2;
        if (cert_read(k.cert.bytes, &c) && cert_proven(&c, ring.keys[0].trusted))
            FAIL("byte %zu was changed", i);
        k.cert.bytes[i] ^= 2;
    }
}

TEST(no_two_keys_are_alike)
{
    struct key a, b, keys[4];
    struct errbuf why;

    ASSERT_OK(key_new(&a, &why), why);
    ASSERT_OK(key_new(&b, &why), why);
    key_issue(&a, ROLE_WORKER, "host7", NOW_MS, 1000, &keys[0]);
    key_issue(&a, ROLE_WORKER, "host7", NOW_MS, 1000, &keys[1]);
    keys[2] = a;
    keys[3] = b;
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++)
            ASSERT(memcmp(keys[i].seed, keys[j].seed, KEY_BYTES) != 0);
    ASSERT(memcmp(a.cluster_id, b.cluster_id, KEY_CLUSTER_BYTES) != 0);
    ASSERT(keys[0].cert.id != keys[1].cert.id);
}

TEST(a_file_of_keys_is_read_as_it_was_written)
{
    struct keyring ring = {.count = 2}, back;
    struct errbuf why;
    struct stat st;
    const char *path = test_path("keys");

    ASSERT_OK(key_new(&ring.keys[0], &why), why);
    key_issue(&ring.keys[0], ROLE_SUBMIT, "ann", NOW_MS, 1000, &ring.keys[1]);
    ASSERT_OK(keyring_create(path, &ring, &why), why);
    ASSERT_EQ(0, stat(path, &st));
    ASSERT_EQ(0600, st.st_mode & 07777);
    ASSERT_OK(keyring_load(path, &back, &why), why);
    ASSERT_EQ(2, back.count);
    ASSERT(back.keys[0].cluster && !back.keys[1].cluster);
    ASSERT_MEM(ring.keys[1].cert.bytes, back.keys[1].cert.bytes, CERT_BYTES);
    for (int i = 0; i < 2; i++) {
        ASSERT_MEM(ring.keys[i].seed, back.keys[i].seed, KEY_BYTES);
        ASSERT_MEM(ring.keys[i].trusted, back.keys[i].trusted, KEY_BYTES);
        ASSERT_MEM(ring.keys[i].cluster_id, back.keys[i].cluster_id, KEY_CLUSTER_BYTES);
    }
    ASSERT_EQ(-EEXIST, keyring_create(path, &ring, &why));
    ASSERT_HAS("already exists", why.text);
    key_issue(&ring.keys[0], ROLE_SUBMIT, "ann", NOW_MS, 2000, &ring.keys[1]);
    ASSERT_OK(keyring_replace(path, &ring, &why), why);
    ASSERT_OK(keyring_load(path, &back, &why), why);
    ASSERT_EQ(NOW_MS + 2000, back.keys[1].cert.expires_ms);
    ASSERT_EQ(0, stat(path, &st));
    ASSERT_EQ(0600, st.st_mode & 07777);
}

TEST(a_newer_key_comes_last_and_is_the_one_that_is_used)
{
    struct keyring ring = {.count = 1};
    struct key second, used;
    struct errbuf why;
    const char *path = write_file("# a comment\n\n  cluster-ed25519\t" COUNTING, 0600);

    ASSERT_OK(key_new(&second, &why), why);
    ASSERT_OK(keyring_append(path, &second, &why), why);
    ASSERT_OK(keyring_load_cluster(path, &ring, &why), why);
    ASSERT_EQ(2, ring.count);
    ASSERT_MEM(second.seed, keyring_newest(&ring)->seed, KEY_BYTES);
    keyring_client_key(&ring, NOW_MS, &used);
    ASSERT(!used.cluster && used.cert.role == ROLE_ADMIN);
    ASSERT_STR("cluster-key", used.cert.name);
    ASSERT(cert_proven(&used.cert, second.trusted));
    ASSERT_OK(cert_in_time(&used.cert, NOW_MS, &why), why);
    while (ring.count < KEYRING_MAX) {
        ASSERT_OK(keyring_append(path, &second, &why), why);
        ring.count++;
    }
    ASSERT_EQ(-ERANGE, keyring_append(path, &second, &why));
    ASSERT_HAS("already holds 16 keys", why.text);
}

/* One for each cluster, whether the server has the cluster key or one that it signed. */
TEST(a_server_answers_with_keys_of_its_role)
{
    struct keyring ring = {.count = 4}, server;
    struct key far;
    struct errbuf why;

    ASSERT_OK(key_new(&ring.keys[0], &why), why);
    ASSERT_OK(key_new(&far, &why), why);
    key_issue(&ring.keys[0], ROLE_WORKER, "host7", NOW_MS, 1000, &ring.keys[1]);
    key_issue(&far, ROLE_SERVER, "main", NOW_MS, 1000, &ring.keys[2]);
    key_issue(&ring.keys[0], ROLE_SERVER, "spare", NOW_MS, 1000, &ring.keys[3]);
    keyring_server_keys(&ring, NOW_MS, &server);
    ASSERT_EQ(2, server.count);
    ASSERT_STR("main", keyring_find(&server, far.cluster_id)->cert.name);
    ASSERT_STR("spare", keyring_find(&server, ring.keys[0].cluster_id)->cert.name);
    ring.count = 2;
    keyring_server_keys(&ring, NOW_MS, &server);
    ASSERT_EQ(1, server.count);
    ASSERT_EQ(ROLE_SERVER, server.keys[0].cert.role);
    ASSERT(cert_proven(&server.keys[0].cert, ring.keys[0].trusted));
    ASSERT(!keyring_find(&server, far.cluster_id));
    /* A worker's key makes no server. */
    ring.keys[0] = ring.keys[1];
    ring.count = 1;
    ASSERT_OK(keyring_create(test_path("w"), &ring, &why), why);
    ASSERT_EQ(-EINVAL, keyring_load_server(test_path("w"), &server, &why));
    ASSERT_HAS("neither a cluster key nor a key of the role server", why.text);
    ASSERT_EQ(-EINVAL, keyring_load_cluster(test_path("w"), &server, &why));
    ASSERT_HAS("holds no cluster key", why.text);
}

TEST(a_file_that_others_may_use_is_refused)
{
    static const mode_t modes[] = {0640, 0604, 0620, 0602, 0644, 0666};
    struct keyring ring;
    struct errbuf why;

    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        const char *path = write_file("cluster-ed25519 " COUNTING "\n", modes[i]);
        ASSERT_EQ(-EPERM, keyring_load(path, &ring, &why));
        ASSERT_HAS("others may read or change the key file", why.text);
        ASSERT_EQ(-EPERM, keyring_append(path, &ring.keys[0], &why));
    }
    ASSERT_OK(keyring_load(write_file("cluster-ed25519 " COUNTING "\n", 0400), &ring, &why), why);
}

/* A line whose words and certificate differ, or whose parts belong to several keys, is none. */
TEST(the_words_of_a_line_are_those_of_its_certificate)
{
    struct keyring ring;
    struct key a, b;
    char cert[2 * CERT_BYTES + 1], cluster[2 * KEY_BYTES + 1], seed[2 * KEY_BYTES + 1];
    char other[2 * KEY_BYTES + 1], line[1024];
    struct errbuf why;

    load_counting(&ring);
    key_issue(&ring.keys[0], ROLE_WORKER, "host7", NOW_MS, 1000, &a);
    ASSERT_OK(key_new(&b, &why), why);
    text_hex(a.cert.bytes, CERT_BYTES, cert);
    text_hex(a.trusted, KEY_BYTES, cluster);
    text_hex(a.seed, KEY_BYTES, seed);
    const char *const good[] = {"worker", "host7", cert, cluster, seed};
    for (int i = -1; i < 5; i++) {
        const char *words[5];
        memcpy(words, good, sizeof(words));
        text_hex(i == 3 ? b.trusted : b.seed, KEY_BYTES, other);
        if (i >= 0)
            words[i] = i == 0 ? "admin" : i == 1 ? "host8" : other;
        snprintf(line, sizeof(line), "%s %s %s %s %s\n", words[0], words[1], words[2], words[3],
                 words[4]);
        if (i >= 0)
            assert_refused(line, "line 1 is not a key");
        else
            ASSERT_OK(keyring_load(write_file(line, 0600), &ring, &why), why);
    }
}

TEST(keys_of_earlier_versions_are_named_as_such)
{
    assert_refused("cluster " COUNTING "\n", "line 1 is a key of an earlier version");
    assert_refused("# a\nworker host7 0011223344556677 " COUNTING "\n",
                   "line 2 is a key of an earlier version");
    assert_refused("cluster " COUNTING "\n", "`steppe key issue`");
}

TEST(what_is_no_key_file_is_refused)
{
    struct keyring ring;
    struct errbuf why;
    char many[KEYRING_MAX * 90 + 200] = "";

    assert_refused("", "holds no key");
    assert_refused("# nothing\n", "holds no key");
    assert_refused("cluster-ed25519 " COUNTING "0\n", "line 1 is not a key");
    assert_refused("\ncluster-ed25519 00010203\n", "line 2 is not a key");
    assert_refused("cluster-ed25519 " COUNTING " more\n", "line 1 is not a key");
    assert_refused(COUNTING "\n", "line 1 is not a key");
    assert_refused("cluster-ed25519\n", "line 1 is not a key");
    assert_refused("worker host7 " COUNTING "\n", "line 1 is not a key");
    for (int i = 0; i <= KEYRING_MAX; i++)
        strcat(many, "cluster-ed25519 " COUNTING "\n");
    assert_refused(many, "line 17: more than 16 keys");
    ASSERT_EQ(-EINVAL, keyring_load(test_dir(), &ring, &why));
    ASSERT_HAS("not a regular file", why.text);
    ASSERT_EQ(-ENOENT, keyring_load(test_path("none"), &ring, &why));
}
