/* The fixed header of a frame, PROTOCOL.md section 2: where its fields lie, and its little-endian
 * integers. Only frame.c and seal.c include this. */
#ifndef STEPPE_PROTO_FRAME_HEADER_H
#define STEPPE_PROTO_FRAME_HEADER_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

enum {
    AT_MAGIC = 0,
    AT_HEADER_BYTES = 4,
    AT_FLAGS = 6,
    AT_SESSION = 8,
    AT_JSON_BYTES = 16,
    AT_ATTACHMENT_BYTES = 20, /* sealed: all bytes after the header */
    AT_SEQUENCE = 28,
    AT_NONCE = 36,
    HEADER_BYTES = 60,
};

static const uint8_t frame_magic[4] = {0xF5, 'S', 'P', 1};

static inline uint16_t get_u16(const uint8_t *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof(v));
    return le16toh(v);
}

static inline uint32_t get_u32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return le32toh(v);
}

static inline uint64_t get_u64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return le64toh(v);
}

static inline void put_u64(uint8_t *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, sizeof(v));
}

#endif
