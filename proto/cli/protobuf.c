#include "proto/cli/protobuf.h"

#include <stdlib.h>
#include <string.h>

enum wire { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };
#define VARINT_BYTES_MAX 10

/* Room for `bytes` more, which are not yet counted; NULL: memory is out. */
static uint8_t *reserve(struct protobuf *p, size_t bytes)
{
    if (p->failed)
        return NULL;
    if (p->room - p->bytes < bytes) {
        size_t room = p->bytes + bytes < 4096 ? 4096 : (p->bytes + bytes) / 2 * 3;
        uint8_t *data = realloc(p->data, room);
        if (!data) {
            p->failed = true;
            return NULL;
        }
        p->data = data;
        p->room = room;
    }
    return p->data + p->bytes;
}

static size_t varint(uint8_t out[VARINT_BYTES_MAX], uint64_t value)
{
    size_t n = 0;

    for (; value >= 0x80; value >>= 7)
        out[n++] = (uint8_t)(value | 0x80);
    out[n++] = (uint8_t)value;
    return n;
}

static void put(struct protobuf *p, const void *data, size_t bytes)
{
    uint8_t *to = reserve(p, bytes);

    if (!to)
        return;
    if (bytes > 0)
        memcpy(to, data, bytes);
    p->bytes += bytes;
}

static void put_varint(struct protobuf *p, uint64_t value)
{
    uint8_t text[VARINT_BYTES_MAX];

    put(p, text, varint(text, value));
}

static void put_key(struct protobuf *p, uint32_t field, enum wire wire)
{
    put_varint(p, (uint64_t)field << 3 | wire);
}

void pb_int(struct protobuf *p, uint32_t field, int64_t value)
{
    put_key(p, field, WIRE_VARINT);
    put_varint(p, (uint64_t)value);
}

void pb_float(struct protobuf *p, uint32_t field, float value)
{
    put_key(p, field, WIRE_FIXED32);
    put(p, &value, sizeof(value));
}

void pb_double(struct protobuf *p, uint32_t field, double value)
{
    put_key(p, field, WIRE_FIXED64);
    put(p, &value, sizeof(value));
}

void pb_doubles(struct protobuf *p, uint32_t field, const double *values, size_t count)
{
    pb_bytes(p, field, values, count * sizeof(*values));
}

void pb_bytes(struct protobuf *p, uint32_t field, const void *data, size_t bytes)
{
    put_key(p, field, WIRE_BYTES);
    put_varint(p, bytes);
    put(p, data, bytes);
}

void pb_text(struct protobuf *p, uint32_t field, const char *text)
{
    pb_bytes(p, field, text, strlen(text));
}

size_t pb_begin(struct protobuf *p, uint32_t field)
{
    put_key(p, field, WIRE_BYTES);
    return p->bytes;
}

/* The length comes before the content, whose bytes are counted only now: they move on. */
void pb_end(struct protobuf *p, size_t begun)
{
    uint8_t length[VARINT_BYTES_MAX];
    const size_t n = varint(length, p->bytes - begun);

    if (!reserve(p, n))
        return;
    memmove(p->data + begun + n, p->data + begun, p->bytes - begun);
    memcpy(p->data + begun, length, n);
    p->bytes += n;
}
