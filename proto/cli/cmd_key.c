/* key new, add, derive, show: files only, no server is asked. */
#include "proto/cli/command.h"

#include <errno.h>

#include "common/text.h"
#include "proto/cli/print.h"
#include "proto/cli/table.h"
#include "proto/key.h"

#define ARG(field) offsetof(struct args, field)
#define SENTENCE_BYTES 4300 /* with the path of a file in it */

const struct option derive_options[] = {
    {"role", OPT_ENUM, ARG(role), .def = "worker", .names = role_names, .arg = "ROLE",
     .help = "what the holder may do; admin: everything; submit: send jobs and data; read: look; "
             "worker: compute"},
    {"name", OPT_STR, ARG(name), .arg = "NAME",
     .help = "name of the holder, e.g. the worker's host"},
    {"out", OPT_STR, ARG(out), .arg = "FILE",
     .help = "file to write the key to; it must not exist"},
    {NULL},
};

static const char *id_of(const struct key *key, char text[2 * KEY_CLUSTER_BYTES + 1])
{
    text_hex(key->cluster_id, KEY_CLUSTER_BYTES, text);
    return text;
}

static const char *role_of(const struct key *key)
{
    return key->cluster ? "cluster" : role_name(key->role);
}

/* {cluster, role, name?} */
static cJSON *key_json(const struct key *key)
{
    char id[2 * KEY_CLUSTER_BYTES + 1];
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "cluster", id_of(key, id));
    cJSON_AddStringToObject(json, "role", role_of(key));
    if (!key->cluster)
        cJSON_AddStringToObject(json, "name", key->name);
    return json;
}

/* Says which key was written to which file: in this sentence, or as JSON. */
static void print_key(const struct cli *cli, const struct key *key, const char *file,
                      const char *sentence)
{
    if (!cli->args->json) {
        print_text("%s", sentence);
        return;
    }
    cJSON *json = key_json(key);
    cJSON_AddStringToObject(json, "file", file);
    print_json(json);
    cJSON_Delete(json);
}

int cmd_key_new(struct cli *cli, struct errbuf *why)
{
    char id[2 * KEY_CLUSTER_BYTES + 1], said[SENTENCE_BYTES];
    struct keyring ring = {.count = 1};
    int rc = key_new(&ring.keys[0], why);

    if (rc == 0)
        rc = keyring_create(cli->words[0], &ring, why);
    if (rc == 0) {
        snprintf(said, sizeof(said), "cluster key %s is in %s; keep it on the server's machine",
                 id_of(&ring.keys[0], id), cli->words[0]);
        print_key(cli, &ring.keys[0], cli->words[0], said);
    }
    keyring_done(&ring);
    return rc;
}

int cmd_key_add(struct cli *cli, struct errbuf *why)
{
    char id[2 * KEY_CLUSTER_BYTES + 1], said[SENTENCE_BYTES];
    struct keyring ring = {.count = 0};
    struct key key;
    int rc = keyring_load_cluster(cli->words[0], &ring, why);

    keyring_done(&ring);
    if (rc == 0)
        rc = key_new(&key, why);
    if (rc < 0)
        return rc;
    rc = keyring_append(cli->words[0], &key, why);
    if (rc == 0) {
        snprintf(said, sizeof(said),
                 "cluster key %s is added to %s; send SIGHUP to a running server to load it",
                 id_of(&key, id), cli->words[0]);
        print_key(cli, &key, cli->words[0], said);
    }
    key_done(&key);
    return rc;
}

int cmd_key_derive(struct cli *cli, struct errbuf *why)
{
    const struct args *args = cli->args;
    char said[SENTENCE_BYTES];
    struct keyring ring = {.count = 0}, one = {.count = 1};

    if (!args->name || !text_is_name(args->name))
        return err_set(why, EXIT_USAGE,
                       "--name is \"%.70s\", allowed are 1 to %d of A-Z a-z 0-9 . _ -",
                       args->name ? args->name : "", NAME_MAX_BYTES - 1);
    if (!args->out)
        return err_set(why, EXIT_USAGE, "--out FILE is missing: where to write the key");
    int rc = keyring_load_cluster(cli->words[0], &ring, why);
    if (rc == 0) {
        key_derive(keyring_newest(&ring), role_of_number((unsigned)args->role), args->name,
                   &one.keys[0]);
        rc = keyring_create(args->out, &one, why);
    }
    if (rc == 0) {
        snprintf(said, sizeof(said), "the %s key of %s is in %s", role_names[args->role],
                 args->name, args->out);
        print_key(cli, &one.keys[0], args->out, said);
    }
    keyring_done(&ring);
    keyring_done(&one);
    return rc;
}

static void print_ring(const struct cli *cli, const struct keyring *ring)
{
    static const struct column columns[] = {
        {.title = "cluster key"}, {.title = "role"}, {.title = "name"}, {NULL}};
    char id[2 * KEY_CLUSTER_BYTES + 1];
    struct table *t = table_create(columns);

    for (int i = 0; i < ring->count; i++) {
        const struct key *key = &ring->keys[i];
        table_add(t, "%s", id_of(key, id));
        table_add(t, "%s", role_of(key));
        table_add(t, "%s", key->cluster ? TABLE_NONE : key->name);
    }
    table_print(t, cli->colour, stdout);
    table_free(t);
}

int cmd_key_show(struct cli *cli, struct errbuf *why)
{
    struct keyring ring = {.count = 0};
    int rc = keyring_load(cli->words[0], &ring, why);

    if (rc < 0)
        return rc;
    if (cli->args->json) {
        cJSON *list = cJSON_CreateArray();
        for (int i = 0; i < ring.count; i++)
            cJSON_AddItemToArray(list, key_json(&ring.keys[i]));
        print_json(list);
        cJSON_Delete(list);
    } else {
        print_ring(cli, &ring);
    }
    keyring_done(&ring);
    return 0;
}
