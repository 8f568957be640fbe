/* Bytes <-> JSON + tensors, as PROTOCOL.md section 2 lays them out. Every decoder is total. */
#ifndef STEPPE_PROTO_FRAME_H
#define STEPPE_PROTO_FRAME_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "common/err.h"
#include "common/halves.h"
#include "common/tensor.h"

/* A decoded message. tensors are views into the body, which may be unaligned: copy, do not cast. */
struct message {
    cJSON *json;
    struct tensor tensors[TENSORS_MAX];
    int tensor_count;
    void *body; /* owned when release is set */
    void (*release)(void *body);
};

/* Decodes body (borrowed for the life of ret). json_max: JSON_REQUEST_BYTES_MAX or
 * JSON_REPLY_BYTES_MAX. The key "tensors" of a frame is taken out of ret->json. 0, -EINVAL,
 * -EMSGSIZE or -ENOMEM with a sentence; nothing to release on failure. */
int message_decode(const void *body, size_t bytes, size_t json_max, struct message *ret,
                   struct errbuf *why);
/* How many bytes of a message are JSON, as it says itself; no more than bytes. */
size_t message_json_bytes(const void *body, size_t bytes);
/* Frees the JSON and, when release is set, the body. A zeroed struct is fine. */
void message_done(struct message *m);

/* Encodes json (not changed; must not have a key "tensors") and tensors into memory from alloc.
 * Without tensors the message is plain JSON. h: copies long tensors; NULL is fine. 0, -EMSGSIZE
 * above MESSAGE_BYTES_MAX, -ENOMEM. */
int message_encode(const cJSON *json, const struct tensor *tensors, int tensor_count,
                   struct halves *h, void *(*alloc)(size_t), void **ret, size_t *ret_bytes,
                   struct errbuf *why);

/* The tensor `name`, which must have this dtype and this many entries per dim (shape NULL: any
 * one-dimensional). The sentence names what differs. *ret is borrowed from m. 0 or -EINVAL. */
int message_tensor(const struct message *m, const char *name, enum dtype d, int dims,
                   const uint64_t *shape, const struct tensor **ret, struct errbuf *why);

#endif
