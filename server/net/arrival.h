/* A message on its way in: which of a connection's next bytes belong where. Knows the wire format
 * of nanomsg's REP, no socket and no clock.
 *
 * Never more is asked for than the rest of one part, so that what a peer sends behind a message
 * stays with the kernel until the message was answered. */
#ifndef STEPPE_SERVER_NET_ARRIVAL_H
#define STEPPE_SERVER_NET_ARRIVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GREETING_BYTES 8
#define LENGTH_BYTES 8
#define ID_BYTES 4
/* The mark of ipc, the length and the id. */
#define HEAD_BYTES_MAX (1 + LENGTH_BYTES + ID_BYTES)

/* Zeroed, but for ipc: nothing has come, and the first bytes are the greeting. */
struct arrival {
    bool ipc;
    bool greeted;
    bool judged; /* the length in the head was allowed */
    uint8_t head[HEAD_BYTES_MAX];
    size_t head_have;
    uint32_t id; /* of the request, as it is on the wire */
    void *body;  /* from transport_alloc, once the head is complete */
    size_t body_bytes, body_have;
};

/* Where the next bytes go, and how many at most: never 0. */
uint8_t *arrival_place(struct arrival *a, size_t *ret_bytes);

enum arrived {
    ARRIVED_PART,     /* more is to come */
    ARRIVED_GREETING, /* of a peer that speaks the protocol */
    ARRIVED_MESSAGE,  /* body is complete */
    ARRIVED_NONSENSE, /* another protocol, a message too long, or no memory for it */
};
/* So many bytes came to the place. */
enum arrived arrival_took(struct arrival *a, size_t bytes);
/* Takes the complete body away; the next message begins. */
void *arrival_pick(struct arrival *a);
/* Drops what has come of a message. */
void arrival_forget(struct arrival *a);

/* Writes the head in front of a body (from transport_alloc); returns where the head begins. */
uint8_t *arrival_put_head(bool ipc, uint32_t id, uint8_t *body);
/* Of a body from transport_alloc. */
size_t arrival_body_bytes(const void *body);

#endif
