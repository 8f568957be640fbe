#include "server/net/arrival.h"

#include <arpa/inet.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "common/bounds.h"
#include "server/net/transport.h"

#define MARK 1 /* the byte before every message over ipc */
#define ID_BIT 0x80000000u

/* A body lies behind its size and the room for what precedes it on the wire, 4 bytes after a
 * multiple of 16 as in PROTOCOL.md, so that tensors are aligned. */
#define BLOCK_HEAD_BYTES 36

static const uint8_t greeting_req[GREETING_BYTES] = {0, 'S', 'P', 0, 0, 0x30, 0, 0};

void *transport_alloc(size_t bytes)
{
    uint8_t *block = malloc(BLOCK_HEAD_BYTES + bytes);

    if (!block)
        return NULL;
    memcpy(block, &bytes, sizeof(bytes));
    return block + BLOCK_HEAD_BYTES;
}

size_t arrival_body_bytes(const void *body)
{
    size_t bytes;

    memcpy(&bytes, (const uint8_t *)body - BLOCK_HEAD_BYTES, sizeof(bytes));
    return bytes;
}

void transport_release(void *body)
{
    if (body)
        free((uint8_t *)body - BLOCK_HEAD_BYTES);
}

static size_t head_bytes(const struct arrival *a)
{
    return a->greeted ? (size_t)a->ipc + LENGTH_BYTES + ID_BYTES : GREETING_BYTES;
}

uint8_t *arrival_place(struct arrival *a, size_t *ret_bytes)
{
    if (a->body) {
        *ret_bytes = a->body_bytes - a->body_have;
        return (uint8_t *)a->body + a->body_have;
    }
    *ret_bytes = head_bytes(a) - a->head_have;
    return a->head + a->head_have;
}

/* The length is complete. */
static bool judge_length(struct arrival *a)
{
    uint64_t length;

    memcpy(&length, a->head + a->ipc, LENGTH_BYTES);
    length = be64toh(length);
    a->judged = true;
    a->body_bytes = (size_t)length - ID_BYTES;
    return (!a->ipc || a->head[0] == MARK) && length >= ID_BYTES && length <= WIRE_BYTES_MAX;
}

/* The head is complete. */
static bool judge_id(struct arrival *a)
{
    memcpy(&a->id, a->head + a->ipc + LENGTH_BYTES, ID_BYTES);
    a->id = ntohl(a->id);
    a->body = transport_alloc(a->body_bytes);
    /* An id without its top bit came through a device, and others follow it. */
    return a->body && (a->id & ID_BIT);
}

static enum arrived took_head(struct arrival *a, size_t bytes)
{
    a->head_have += bytes;
    if (a->greeted && !a->judged && a->head_have >= (size_t)a->ipc + LENGTH_BYTES &&
        !judge_length(a))
        return ARRIVED_NONSENSE;
    if (a->head_have < head_bytes(a))
        return ARRIVED_PART;
    a->head_have = 0;
    if (a->greeted) {
        if (!judge_id(a))
            return ARRIVED_NONSENSE;
        return a->body_bytes == 0 ? ARRIVED_MESSAGE : ARRIVED_PART;
    }
    a->greeted = true;
    return memcmp(a->head, greeting_req, GREETING_BYTES) == 0 ? ARRIVED_GREETING : ARRIVED_NONSENSE;
}

enum arrived arrival_took(struct arrival *a, size_t bytes)
{
    if (!a->body)
        return took_head(a, bytes);
    a->body_have += bytes;
    return a->body_have == a->body_bytes ? ARRIVED_MESSAGE : ARRIVED_PART;
}

void *arrival_pick(struct arrival *a)
{
    void *body = a->body;

    a->body = NULL;
    a->judged = false;
    a->body_have = a->head_have = 0;
    return body;
}

void arrival_forget(struct arrival *a)
{
    transport_release(arrival_pick(a));
}

uint8_t *arrival_put_head(bool ipc, uint32_t id, uint8_t *body)
{
    const size_t bytes = (size_t)ipc + LENGTH_BYTES + ID_BYTES;
    uint64_t length = htobe64(arrival_body_bytes(body) + ID_BYTES);
    uint8_t *head = body - bytes, *p = head;

    id = htonl(id);
    if (ipc)
        *p++ = MARK;
    memcpy(p, &length, LENGTH_BYTES);
    memcpy(p + LENGTH_BYTES, &id, ID_BYTES);
    return head;
}
