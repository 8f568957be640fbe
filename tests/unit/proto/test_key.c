#include "proto/key.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/file.h"
#include "common/text.h"
#include "tests/harness.h"

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

/* Values of an implementation of PROTOCOL.md section 6 in another language. */
TEST(derived_keys_are_those_of_the_protocol)
{
    static const struct {
        enum role role;
        const char *secret;
    } derived[] = {
        {ROLE_ADMIN, "5a3273fce45b15dc147bdd1d020884368bf3f47c2a86984df969572bfc7e6445"},
        {ROLE_SUBMIT, "d035960fdc912a48ad779842fcbde3a07958ab928373f472d0b484954ef5949c"},
        {ROLE_READ, "1b2e5b80a97de69c99b39729657911c03b61c5debea28cfacead039adf4f54b6"},
        {ROLE_WORKER, "a98ad12b5f6a5ca9339b49d5551881bd115334edb9f2e61ab56bacabe05cc062"},
    };
    struct keyring ring;
    struct errbuf why;
    struct key key;
    char hex[2 * KEY_BYTES + 1];

    ASSERT_OK(keyring_load(write_file("cluster " COUNTING "\n", 0600), &ring, &why), why);
    ASSERT_EQ(1, ring.count);
    text_hex(ring.keys[0].cluster_id, KEY_CLUSTER_BYTES, hex);
    ASSERT_STR("0bee073117c637d2", hex);
    for (size_t i = 0; i < sizeof(derived) / sizeof(derived[0]); i++) {
        key_derive(&ring.keys[0], derived[i].role, "host7", &key);
        text_hex(key.secret, KEY_BYTES, hex);
        ASSERT_STR(derived[i].secret, hex);
    }
    ASSERT_MEM(ring.keys[0].cluster_id, key.cluster_id, KEY_CLUSTER_BYTES);
    ASSERT_EQ(0, keyring_find(&ring, key.cluster_id) - &ring.keys[0]);
}

TEST(roles_names_and_cluster_keys_give_keys_of_their_own)
{
    struct key a, b, keys[5];
    struct errbuf why;

    ASSERT_OK(key_new(&a, &why), why);
    ASSERT_OK(key_new(&b, &why), why);
    key_derive(&a, ROLE_WORKER, "host7", &keys[0]);
    key_derive(&a, ROLE_WORKER, "host8", &keys[1]);
    key_derive(&a, ROLE_READ, "host7", &keys[2]);
    key_derive(&b, ROLE_WORKER, "host7", &keys[3]);
    keys[4] = a;
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < i; j++)
            ASSERT(memcmp(keys[i].secret, keys[j].secret, KEY_BYTES) != 0);
    ASSERT(memcmp(a.cluster_id, b.cluster_id, KEY_CLUSTER_BYTES) != 0);
}

TEST(a_file_of_keys_is_read_as_it_was_written)
{
    struct keyring ring = {.count = 2}, back;
    struct errbuf why;
    struct stat st;
    const char *path = test_path("keys");

    ASSERT_OK(key_new(&ring.keys[0], &why), why);
    key_derive(&ring.keys[0], ROLE_SUBMIT, "ann", &ring.keys[1]);
    ASSERT_OK(keyring_create(path, &ring, &why), why);
    ASSERT_EQ(0, stat(path, &st));
    ASSERT_EQ(0600, st.st_mode & 07777);
    ASSERT_OK(keyring_load(path, &back, &why), why);
    ASSERT_EQ(2, back.count);
    ASSERT(back.keys[0].cluster && !back.keys[1].cluster);
    ASSERT_EQ(ROLE_SUBMIT, back.keys[1].role);
    ASSERT_STR("ann", back.keys[1].name);
    for (int i = 0; i < 2; i++) {
        ASSERT_MEM(ring.keys[i].secret, back.keys[i].secret, KEY_BYTES);
        ASSERT_MEM(ring.keys[i].cluster_id, back.keys[i].cluster_id, KEY_CLUSTER_BYTES);
    }
    ASSERT_EQ(-EEXIST, keyring_create(path, &ring, &why));
    ASSERT_HAS("already exists", why.text);
}

TEST(a_newer_key_comes_last_and_is_the_one_that_is_used)
{
    struct keyring ring = {.count = 1};
    struct key second, used, want;
    struct errbuf why;
    const char *path = write_file("# a comment\n\n  cluster\t" COUNTING, 0600);

    ASSERT_OK(key_new(&second, &why), why);
    ASSERT_OK(keyring_append(path, &second, &why), why);
    ASSERT_OK(keyring_load_cluster(path, &ring, &why), why);
    ASSERT_EQ(2, ring.count);
    ASSERT_MEM(second.secret, keyring_newest(&ring)->secret, KEY_BYTES);
    keyring_client_key(&ring, &used);
    key_derive(&second, ROLE_ADMIN, used.name, &want);
    ASSERT(!used.cluster && used.role == ROLE_ADMIN);
    ASSERT_MEM(want.secret, used.secret, KEY_BYTES);
    while (ring.count < KEYRING_MAX) {
        ASSERT_OK(keyring_append(path, &second, &why), why);
        ring.count++;
    }
    ASSERT_EQ(-ERANGE, keyring_append(path, &second, &why));
    ASSERT_HAS("already holds 16 keys", why.text);
}

TEST(a_file_that_others_may_use_is_refused)
{
    static const mode_t modes[] = {0640, 0604, 0620, 0602, 0644, 0666};
    struct keyring ring;
    struct errbuf why;

    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        const char *path = write_file("cluster " COUNTING "\n", modes[i]);
        ASSERT_EQ(-EPERM, keyring_load(path, &ring, &why));
        ASSERT_HAS("others may read or change the key file", why.text);
        ASSERT_EQ(-EPERM, keyring_append(path, &ring.keys[0], &why));
    }
    ASSERT_OK(keyring_load(write_file("cluster " COUNTING "\n", 0400), &ring, &why), why);
}

TEST(what_is_no_key_file_is_refused)
{
    struct keyring ring;
    struct errbuf why;
    char many[KEYRING_MAX * 80 + 200] = "";

    assert_refused("", "holds no key");
    assert_refused("# nothing\n", "holds no key");
    assert_refused("cluster " COUNTING "0\n", "line 1 is not a key");
    assert_refused("\ncluster 00010203\n", "line 2 is not a key");
    assert_refused("cluster " COUNTING " more\n", "line 1 is not a key");
    assert_refused(COUNTING "\n", "line 1 is not a key");
    assert_refused("cluster\n", "line 1 is not a key");
    assert_refused("boss host7 0011223344556677 " COUNTING "\n", "line 1 is not a key");
    assert_refused("worker ../x 0011223344556677 " COUNTING "\n", "line 1 is not a key");
    assert_refused("worker host7 00112233445566 " COUNTING "\n", "line 1 is not a key");
    assert_refused("worker host7 " COUNTING "\n", "line 1 is not a key");
    for (int i = 0; i <= KEYRING_MAX; i++)
        strcat(many, "cluster " COUNTING "\n");
    assert_refused(many, "line 17: more than 16 keys");
    ASSERT_EQ(-EINVAL, keyring_load(test_dir(), &ring, &why));
    ASSERT_HAS("not a regular file", why.text);
    ASSERT_EQ(-ENOENT, keyring_load(test_path("none"), &ring, &why));
    ASSERT_EQ(-EINVAL,
              keyring_load_cluster(write_file("worker host7 0011223344556677 " COUNTING "\n", 0600),
                                   &ring, &why));
    ASSERT_HAS("holds no cluster key", why.text);
}
