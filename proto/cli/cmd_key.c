/* key new, add, derive, show: files only, no server is asked. */
#include "proto/cli/command.h"

#include <errno.h>

#include "common/text.h"
#include "proto/cli/session.h"
#include "proto/key.h"

#define ARG(field) offsetof(struct args, field)

const struct option derive_options[] = {
    {"role", OPT_ENUM, ARG(role), .def = "worker", .names = role_names, .arg = "ROLE",
     .help = "what its holder may do: admin everything, submit jobs and data, read, or work"},
    {"name", OPT_STR, ARG(name), .arg = "NAME", .help = "of its holder, e.g. the worker's host"},
    {"out", OPT_STR, ARG(out), .arg = "FILE", .help = "new file for the key"},
    {NULL},
};

static const char *id_of(const struct key *key, char text[2 * KEY_CLUSTER_BYTES + 1])
{
    text_hex(key->cluster_id, KEY_CLUSTER_BYTES, text);
    return text;
}

int cmd_key_new(struct cli *cli, struct errbuf *why)
{
    char id[2 * KEY_CLUSTER_BYTES + 1];
    struct keyring ring = {.count = 1};
    int rc = key_new(&ring.keys[0], why);

    if (rc == 0)
        rc = keyring_create(cli->words[0], &ring, why);
    if (rc == 0)
        cli_print_text("cluster key %s is in %s; keep it on the server's machine",
                       id_of(&ring.keys[0], id), cli->words[0]);
    keyring_done(&ring);
    return rc;
}

int cmd_key_add(struct cli *cli, struct errbuf *why)
{
    char id[2 * KEY_CLUSTER_BYTES + 1];
    struct keyring ring = {.count = 0};
    struct key key;
    int rc = keyring_load_cluster(cli->words[0], &ring, why);

    keyring_done(&ring);
    if (rc == 0)
        rc = key_new(&key, why);
    if (rc < 0)
        return rc;
    rc = keyring_append(cli->words[0], &key, why);
    if (rc == 0)
        cli_print_text("cluster key %s is added to %s; a server that runs takes it after a SIGHUP",
                       id_of(&key, id), cli->words[0]);
    key_done(&key);
    return rc;
}

int cmd_key_derive(struct cli *cli, struct errbuf *why)
{
    const struct args *args = cli->args;
    struct keyring ring = {.count = 0}, one = {.count = 1};

    if (!args->name || !text_is_name(args->name))
        return err_set(why, EXIT_USAGE,
                       "--name is \"%.70s\", allowed are 1 to %d of A-Z a-z 0-9 . _ -",
                       args->name ? args->name : "", NAME_MAX_BYTES - 1);
    if (!args->out)
        return err_set(why, EXIT_USAGE, "--out FILE is missing: where to write the key");
    int rc = keyring_load_cluster(cli->words[0], &ring, why);
    if (rc == 0) {
        key_derive(keyring_newest(&ring), (enum role)args->role, args->name, &one.keys[0]);
        rc = keyring_create(args->out, &one, why);
    }
    if (rc == 0)
        cli_print_text("the %s key of %s is in %s", role_names[args->role], args->name, args->out);
    keyring_done(&ring);
    keyring_done(&one);
    return rc;
}

int cmd_key_show(struct cli *cli, struct errbuf *why)
{
    static const struct column columns[] = {
        {.title = "cluster key"}, {.title = "role"}, {.title = "name"}, {NULL}};
    char id[2 * KEY_CLUSTER_BYTES + 1];
    struct keyring ring = {.count = 0};
    int rc = keyring_load(cli->words[0], &ring, why);

    if (rc < 0)
        return rc;
    struct table *t = table_create(columns);
    for (int i = 0; i < ring.count; i++) {
        const struct key *key = &ring.keys[i];
        table_add(t, "%s", id_of(key, id));
        table_add(t, "%s", key->cluster ? "cluster" : role_names[key->role]);
        table_add(t, "%s", key->cluster ? TABLE_NONE : key->name);
    }
    table_print(t, cli->colour, stdout);
    table_free(t);
    keyring_done(&ring);
    return 0;
}
