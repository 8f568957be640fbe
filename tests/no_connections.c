/* The server's transport where there are no connections, for the fuzz targets and the simulation:
 * nobody goes, nobody is a stranger, and none has a limit. */
#include "server/net/transport.h"

#include "server/net/local.h"

void transport_drop(struct transport *t, const struct token *to)
{
    (void)t;
    (void)to;
}

/* Descriptors have nowhere to go. */
void transport_reply_files(struct transport *t, const struct token *to, void *body,
                           const int *files, int count)
{
    (void)files;
    (void)count;
    transport_reply(t, to, body);
}

void transport_tie(struct transport *t, const struct token *of, void *what)
{
    (void)t;
    (void)of;
    (void)what;
}

void transport_on_gone(struct transport *t, transport_gone on_gone)
{
    (void)t;
    (void)on_gone;
}

void transport_of_people(struct transport *t, const struct token *of, bool people)
{
    (void)t;
    (void)of;
    (void)people;
}

void transport_rest(struct transport *t, const struct token *of, int64_t ms)
{
    (void)t;
    (void)of;
    (void)ms;
}

/* The server's own user. */
const struct local *transport_local(const struct transport *t, const struct token *of)
{
    static const struct local owner = {.role = ROLE_ADMIN, .owner = true, .user = "owner"};

    (void)t;
    (void)of;
    return &owner;
}

const char *transport_address(const struct transport *t, const struct token *of)
{
    (void)t;
    (void)of;
    return "127.0.0.1";
}

struct bucket *transport_bucket(struct transport *t, const struct token *of)
{
    (void)t;
    (void)of;
    return NULL;
}

bool transport_known(struct transport *t, const struct token *of, const char *owner, uint32_t most)
{
    (void)t;
    (void)of;
    (void)owner;
    (void)most;
    return true;
}

uint32_t transport_count(const struct transport *t, const char *owner)
{
    (void)t;
    (void)owner;
    return 0;
}

void transport_of_strangers(struct transport *t, transport_new on_new)
{
    (void)t;
    (void)on_new;
}
