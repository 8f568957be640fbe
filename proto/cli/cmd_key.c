/* key new, add, issue, show: files only, no server is asked. key list, revoke, renew ask it. */
#include "proto/cli/command.h"

#include <errno.h>
#include <sodium/utils.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/text.h"
#include "proto/cli/cells.h"
#include "proto/cli/connection.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/table.h"
#include "proto/cli/when.h"
#include "proto/key.h"

#define ARG(field) offsetof(struct args, field)
#define SENTENCE_BYTES 4400 /* with the path of a file in it */

const struct option issue_options[] = {
    {"role", OPT_ENUM, ARG(role), .def = "worker", .names = role_names, .arg = "ROLE",
     .help = "what the holder may do; admin: everything; submit: send jobs and data; read: look; "
             "worker: compute; trainer: train jobs of engine external; server: answer them"},
    {"name", OPT_STR, ARG(name), .arg = "NAME",
     .help = "name of the holder, e.g. the worker's host"},
    {"valid", OPT_STR, ARG(valid), .def = "365d", .arg = "SPAN",
     .help = "how long the key holds: 90d, 12h"},
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
    return key->cluster ? "cluster" : role_name(key->cert.role);
}

/* {cluster, role, name?, id?, issued_ms?, expires_ms?} */
static cJSON *key_json(const struct key *key)
{
    char id[2 * KEY_CLUSTER_BYTES + 1];
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "cluster", id_of(key, id));
    cJSON_AddStringToObject(json, "role", role_of(key));
    if (!key->cluster) {
        char number[17];
        snprintf(number, sizeof(number), "%016llx", (unsigned long long)key->cert.id);
        cJSON_AddStringToObject(json, "name", key->cert.name);
        cJSON_AddStringToObject(json, "id", number);
        cJSON_AddNumberToObject(json, "issued_ms", (double)key->cert.issued_ms);
        cJSON_AddNumberToObject(json, "expires_ms", (double)key->cert.expires_ms);
    }
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

static int read_valid(const struct args *args, int64_t *ret_ms, struct errbuf *why)
{
    int rc = when_span(args->valid, "--valid", ret_ms, why);

    if (rc == 0 && (*ret_ms < 1 || *ret_ms > CERT_VALID_MAX_MS))
        rc = err_set(why, EXIT_USAGE, "--valid is \"%s\", allowed is 1s to %lldd", args->valid,
                     (long long)(CERT_VALID_MAX_MS / 86400000));
    return rc;
}

int cmd_key_issue(struct cli *cli, struct errbuf *why)
{
    static const struct {
        const char *name, *whose;
    } taken[] = {{KEY_CLUSTER_NAME, "who uses the cluster key itself"},
                 {KEY_BROWSER_NAME, "who uses the dashboard without a key"}};
    const struct args *args = cli->args;
    char said[SENTENCE_BYTES], at[CERT_TIME_BYTES];
    struct keyring ring = {.count = 0}, one = {.count = 1};
    int64_t valid_ms = 0;

    if (!args->name || !text_is_name(args->name))
        return err_set(why, EXIT_USAGE,
                       "--name is \"%.70s\", allowed are 1 to %d of A-Z a-z 0-9 . _ -",
                       args->name ? args->name : "", NAME_MAX_BYTES - 1);
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
        if (strcmp(args->name, taken[i].name) == 0)
            return err_set(why, EXIT_USAGE, "--name is %s, which is the name of %s", args->name,
                           taken[i].whose);
    if (!args->out)
        return err_set(why, EXIT_USAGE, "--out FILE is missing: where to write the key");
    int rc = read_valid(args, &valid_ms, why);
    if (rc == 0)
        rc = keyring_load_cluster(cli->words[0], &ring, why);
    if (rc == 0) {
        key_issue(keyring_newest(&ring), role_of_number((unsigned)args->role), args->name,
                  clock_unix_ms(), valid_ms, &one.keys[0]);
        rc = keyring_create(args->out, &one, why);
    }
    if (rc == 0) {
        snprintf(said, sizeof(said), "the %s key of %s is in %s; it holds until %s",
                 role_names[args->role], args->name, args->out,
                 cert_time(one.keys[0].cert.expires_ms, at));
        print_key(cli, &one.keys[0], args->out, said);
    }
    keyring_done(&ring);
    keyring_done(&one);
    return rc;
}

static void print_ring(const struct cli *cli, const struct keyring *ring)
{
    static const struct column columns[] = {{.title = "cluster key"},
                                            {.title = "role"},
                                            {.title = "name"},
                                            {.title = "holds until"},
                                            {NULL}};
    char id[2 * KEY_CLUSTER_BYTES + 1], at[CERT_TIME_BYTES];
    struct table *t = table_create(columns);

    for (int i = 0; i < ring->count; i++) {
        const struct key *key = &ring->keys[i];
        table_add(t, "%s", id_of(key, id));
        table_add(t, "%s", role_of(key));
        table_add(t, "%s", key->cluster ? TABLE_NONE : key->cert.name);
        table_add(t, "%s", key->cluster ? TABLE_NONE : cert_time(key->cert.expires_ms, at));
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

/* --- what the server knows --- */

static void print_holders(const struct cli *cli, const cJSON *rows)
{
    static const struct column columns[] = {
        {.title = "name"},           {.title = "role"},
        {.title = "state"},          {.title = "holds until"},
        {"sessions", .right = true}, {"last seen", .right = true},
        {.title = "from"},           {NULL},
    };
    const int64_t now_ms = clock_unix_ms();
    struct table *t = table_create(columns);
    char at[CERT_TIME_BYTES];
    const cJSON *row;

    cJSON_ArrayForEach(row, rows)
    {
        int64_t expires_ms = 0, revoked_ms = 0;
        bool known = reply_i64(row, "expires_ms", &expires_ms);
        bool revoked = reply_i64(row, "revoked_ms", &revoked_ms);
        cell_text(t, row, "name");
        cell_text(t, row, "role");
        table_add(t, "%s",
                  revoked                         ? "revoked"
                  : known && expires_ms <= now_ms ? "expired"
                                                  : "holds");
        table_add(t, "%s", known ? cert_time(expires_ms, at) : TABLE_NONE);
        cell_i64(t, row, "sessions");
        cell_age(t, row, "last_ms");
        cell_text(t, row, "address");
    }
    table_print(t, cli->colour, stdout);
    table_free(t);
}

int cmd_key_list(struct cli *cli, struct errbuf *why)
{
    struct message reply;
    const cJSON *rows;
    int rc = connection_call(cli, MSG_KEY_LIST, NULL, &reply, why);

    if (rc != 0)
        return rc;
    rc = reply_array(reply.json, "keys", &rows, why);
    if (rc == 0 && cli->args->json)
        print_json(rows);
    else if (rc == 0 && rows->child)
        print_holders(cli, rows);
    else if (rc == 0)
        printf("nobody has been here with a key\n");
    message_done(&reply);
    return rc;
}

/* Nobody has come with a key of this name. It may have been mistyped, or its key never been used:
 * it is revoked all the same. */
static int say_unseen(struct cli *cli, struct errbuf *why)
{
    struct message reply = {.json = NULL};
    const char **names = NULL, *near = NULL;
    const cJSON *rows = NULL, *row;
    struct errbuf unused;
    int count = 0;

    if (connection_call(cli, MSG_KEY_LIST, NULL, &reply, &unused) == 0 &&
        reply_array(reply.json, "keys", &rows, &unused) == 0) {
        names = xcalloc((size_t)cJSON_GetArraySize(rows) + 1, sizeof(*names));
        cJSON_ArrayForEach(row, rows) if (strcmp(reply_text(row, "name"), cli->words[0]) != 0)
            names[count++] = reply_text(row, "name");
        near = text_nearest(cli->words[0], names);
    }
    int rc =
        err_set(why, -ENOENT,
                "no key of the name %s has been here%s%s%s; the name is revoked all the same, "
                "should one come that was made until now (steppe key list shows who has been "
                "here)",
                cli->words[0], near ? ": did you mean " : "", near ? near : "", near ? "?" : "");
    free(names);
    message_done(&reply);
    return rc;
}

int cmd_key_revoke(struct cli *cli, struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject();
    struct message reply;
    int64_t sessions = 0;

    cJSON_AddStringToObject(request, "name", cli->words[0]);
    int rc = connection_call(cli, MSG_KEY_REVOKE, request, &reply, why);
    if (rc != 0)
        return rc;
    reply_i64(reply.json, "sessions", &sessions);
    bool known = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(reply.json, "known"));
    if (cli->args->json)
        print_reply(&reply, NULL);
    else if (known)
        print_text("every key of %s that was made until now is revoked; %lld session%s ended",
                   cli->words[0], (long long)sessions, sessions == 1 ? "" : "s");
    if (!known)
        rc = say_unseen(cli, why);
    message_done(&reply);
    return rc;
}

/* Asks for a certificate of a new pair with the last key of the ring, and puts it in its place. */
static int renew(struct cli *cli, struct key *key, struct errbuf *why)
{
    uint8_t seed[KEY_BYTES], public[KEY_BYTES], cert[CERT_BYTES], trusted[KEY_BYTES];
    char hex[2 * KEY_BYTES + 1];
    struct message reply;

    pair_new(seed);
    pair_public(seed, public);
    text_hex(public, KEY_BYTES, hex);
    cJSON *request = cJSON_CreateObject();
    cJSON_AddStringToObject(request, "key", hex);
    int rc = connection_call(cli, MSG_KEY_RENEW, request, &reply, why);
    if (rc == 0) {
        if (!text_unhex(reply_text(reply.json, "certificate"), cert, CERT_BYTES) ||
            !text_unhex(reply_text(reply.json, "cluster"), trusted, KEY_BYTES) ||
            !key_take(seed, cert, trusted, key))
            rc = err_set(why, -EBADMSG, "the server's answer is no certificate of the new key");
        message_done(&reply);
    }
    sodium_memzero(seed, sizeof(seed));
    return rc;
}

int cmd_key_renew(struct cli *cli, struct errbuf *why)
{
    const struct args *given = cli->args;
    struct args args = *given;
    char said[SENTENCE_BYTES], at[CERT_TIME_BYTES];
    struct keyring ring = {.count = 0};
    int rc = keyring_load(cli->words[0], &ring, why);

    if (rc < 0)
        return rc;
    struct key *key = &ring.keys[ring.count - 1];
    args.key = cli->words[0];
    cli->args = &args;
    rc = renew(cli, key, why);
    cli->args = given;
    if (rc == 0)
        rc = keyring_replace(cli->words[0], &ring, why);
    if (rc == 0) {
        snprintf(said, sizeof(said), "the %s key of %s in %s is renewed; it holds until %s",
                 role_of(key), key->cert.name, cli->words[0], cert_time(key->cert.expires_ms, at));
        print_key(cli, key, cli->words[0], said);
    }
    keyring_done(&ring);
    return rc;
}
