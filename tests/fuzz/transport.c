/* The server's transport without a socket, for a target: what it answers must be a message. */
#include "server/net/transport.h"

#include <stdlib.h>

#include "proto/frame.h"
#include "proto/seal.h"
#include "tests/fuzz/fuzz.h"

struct transport {
    int unused;
};

int transport_open(uv_loop_t *loop, const char *const *urls, int url_count, struct locals *locals,
                   transport_message on_message, void *arg, struct transport **ret,
                   struct errbuf *why)
{
    static struct transport any;

    (void)loop, (void)urls, (void)url_count, (void)locals, (void)on_message, (void)arg, (void)why;
    *ret = &any;
    return 0;
}

void transport_close(struct transport *t)
{
    (void)t;
}

/* The bytes of a body lie before it. */
void *transport_alloc(size_t bytes)
{
    size_t *block = malloc(16 + bytes);

    FUZZ_ASSERT(block);
    block[0] = bytes;
    return (uint8_t *)block + 16;
}

void transport_release(void *body)
{
    if (body)
        free((uint8_t *)body - 16);
}

void transport_reply(struct transport *t, const struct token *to, void *body)
{
    size_t bytes = *(size_t *)((uint8_t *)body - 16);
    struct errbuf why;
    struct message m;

    (void)t, (void)to;
    if (seal_flags(body, bytes) <= 0) {
        FUZZ_ASSERT(message_decode(body, bytes, JSON_REPLY_BYTES_MAX, &m, &why) == 0);
        FUZZ_ASSERT(cJSON_GetObjectItemCaseSensitive(m.json, "type"));
        message_done(&m);
    }
    transport_release(body);
}

void transport_peer(const struct transport *t, const struct token *from, char ret[PEER_BYTES])
{
    (void)t, (void)from;
    ret[0] = 0;
}
