/* Writes messages in Google's protocol buffers, as far as ONNX and event files need them. A message
 * grows in memory; one inside another is opened and closed around its fields. A failed allocation
 * is remembered, so that only the end has to ask (pb_done). */
#ifndef STEPPE_PROTO_CLI_PROTOBUF_H
#define STEPPE_PROTO_CLI_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct protobuf {
    uint8_t *data; /* owned: free it */
    size_t bytes, room;
    bool failed; /* memory is out; the rest is dropped */
};

/* Fields by their number, each with its wire type. */
void pb_int(struct protobuf *p, uint32_t field, int64_t value);
void pb_float(struct protobuf *p, uint32_t field, float value);
void pb_double(struct protobuf *p, uint32_t field, double value);
/* "packed": one field with all of them. */
void pb_doubles(struct protobuf *p, uint32_t field, const double *values, size_t count);
void pb_bytes(struct protobuf *p, uint32_t field, const void *data, size_t bytes);
void pb_text(struct protobuf *p, uint32_t field, const char *text);
/* All that is written until pb_end(p, the returned place) is the message in this field. */
size_t pb_begin(struct protobuf *p, uint32_t field);
void pb_end(struct protobuf *p, size_t begun);

#endif
