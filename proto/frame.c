/* The frame codec. All checks of lengths and offsets that a peer chose live here: 64-bit,
 * subtracted and never added, before the bytes they speak of are touched. */
#define _GNU_SOURCE
#include "proto/frame.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/field.h"
#include "proto/frame_header.h"

#define TENSOR_ALIGN 64
#define INTEGER_MAX 9007199254740992.0 /* 2^53: every integer up to here is a double */
#define WHERE "message"

static bool all_zero(const uint8_t *p, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (p[i])
            return false;
    return true;
}

/* The smallest offset >= 60 + json_bytes that is 12 mod 16. */
static uint64_t attachment_offset(uint64_t json_bytes)
{
    uint64_t end = HEADER_BYTES + json_bytes;

    return end + ((12 - end) & 15);
}

static uint64_t tensor_align(uint64_t offset)
{
    return (offset + TENSOR_ALIGN - 1) & ~(uint64_t)(TENSOR_ALIGN - 1);
}

static int check_fixed(const uint8_t *p, size_t bytes, struct errbuf *why)
{
    if (memcmp(p, frame_magic, bytes < 3 ? bytes : 3) != 0)
        return err_set(why, -EINVAL, "it begins neither with '{' nor with F5 53 50");
    if (bytes < HEADER_BYTES)
        return err_set(why, -EINVAL, "it ends in its header, after %zu of %d bytes", bytes,
                       HEADER_BYTES);
    if (p[3] != frame_magic[3])
        return err_set(why, -EINVAL, "its frame version is %u, expected %u", p[3], frame_magic[3]);
    if (get_u16(p + AT_HEADER_BYTES) != HEADER_BYTES)
        return err_set(why, -EINVAL, "its header size is %u, allowed is %d",
                       get_u16(p + AT_HEADER_BYTES), HEADER_BYTES);
    if (get_u16(p + AT_FLAGS) != 0)
        return err_set(why, -EINVAL, "its flags are 0x%x, allowed are none", get_u16(p + AT_FLAGS));
    if (!all_zero(p + AT_SESSION, AT_JSON_BYTES - AT_SESSION) ||
        !all_zero(p + AT_SEQUENCE, HEADER_BYTES - AT_SEQUENCE))
        return err_set(why, -EINVAL, "session, sequence number and nonce must be 0");
    return 0;
}

static int check_lengths(const uint8_t *p, size_t bytes, size_t json_max, struct errbuf *why)
{
    uint64_t json_bytes = get_u32(p + AT_JSON_BYTES);
    uint64_t attachment_bytes = get_u64(p + AT_ATTACHMENT_BYTES);

    if (json_bytes > json_max)
        return err_set(why, -EMSGSIZE, "its JSON is %llu bytes, allowed are %zu",
                       (unsigned long long)json_bytes, json_max);
    uint64_t start = attachment_offset(json_bytes);
    if (start > bytes || attachment_bytes != bytes - start)
        return err_set(why, -EINVAL,
                       "its lengths do not add up: %zu bytes, JSON %llu, attachment %llu", bytes,
                       (unsigned long long)json_bytes, (unsigned long long)attachment_bytes);
    if (!all_zero(p + HEADER_BYTES + json_bytes, start - HEADER_BYTES - json_bytes))
        return err_set(why, -EINVAL, "the bytes between JSON and attachment must be 0");
    return 0;
}

static int read_dtype(const cJSON *obj, const char *where, enum dtype *ret, struct errbuf *why)
{
    const char *names[DTYPE_WIRE + 1] = {NULL};
    int d;

    for (d = 0; d < DTYPE_WIRE; d++)
        names[d] = dtype_name((enum dtype)d);
    int rc = field_enum(obj, where, "dtype", true, names, &d, why);
    if (rc == 0)
        *ret = (enum dtype)d;
    return rc;
}

static int read_shape(const cJSON *obj, const char *where, struct tensor *t, struct errbuf *why)
{
    const cJSON *shape = NULL, *side;
    size_t count;
    int rc = field_arr(obj, where, "shape", true, TENSOR_DIMS_MAX, &shape, why);

    if (rc < 0)
        return rc;
    cJSON_ArrayForEach(side, shape)
    {
        double v = side->valuedouble;
        if (!cJSON_IsNumber(side) || !(v >= 0 && v <= INTEGER_MAX) || v != floor(v))
            return err_set(why, -EINVAL, "%s.shape[%d] is not an integer from 0 to 2^53", where,
                           t->dims);
        t->shape[t->dims++] = (uint64_t)v;
    }
    if (!tensor_count(t->shape, t->dims, &count))
        return err_set(why, -EINVAL, "%s.shape is more than memory can hold", where);
    t->bytes = count * dtype_bytes(t->dtype);
    return 0;
}

/* Reads one entry of `tensors`; *io_end is the end of the previous one and becomes the end of this
 * one. */
static int read_tensor(const cJSON *obj, const char *where, const uint8_t *attachment,
                       size_t attachment_bytes, uint64_t *io_end, struct tensor *t,
                       struct errbuf *why)
{
    static const char *const keys[] = {"name", "dtype", "shape", "offset", NULL};
    const char *name;
    int64_t offset;
    int rc;

    if (!cJSON_IsObject(obj))
        return err_set(why, -EINVAL, "%s is not an object", where);
    if ((rc = field_known(obj, where, keys, why)) < 0 ||
        (rc = field_str(obj, where, "name", true, TENSOR_NAME_MAX, &name, why)) < 0 ||
        (rc = read_dtype(obj, where, &t->dtype, why)) < 0 ||
        (rc = read_shape(obj, where, t, why)) < 0 ||
        (rc = field_i64(obj, where, "offset", true, 0, MESSAGE_BYTES_MAX, &offset, why)) < 0)
        return rc;
    snprintf(t->name, sizeof(t->name), "%s", name);
    if (offset % TENSOR_ALIGN)
        return err_set(why, -EINVAL, "%s.offset is %lld, allowed are multiples of %d", where,
                       (long long)offset, TENSOR_ALIGN);
    if ((uint64_t)offset < *io_end)
        return err_set(why, -EINVAL, "%s.offset is %lld, but the tensor before it ends at %llu",
                       where, (long long)offset, (unsigned long long)*io_end);
    if ((uint64_t)offset > attachment_bytes || t->bytes > attachment_bytes - (uint64_t)offset)
        return err_set(why, -EINVAL,
                       "%s has %zu bytes from offset %lld, the attachment has only %zu", where,
                       t->bytes, (long long)offset, attachment_bytes);
    t->data = attachment + offset;
    *io_end = (uint64_t)offset + t->bytes;
    return 0;
}

static int read_tensors(const cJSON *list, const uint8_t *attachment, size_t attachment_bytes,
                        struct message *m, struct errbuf *why)
{
    const cJSON *entry;
    uint64_t end = 0;

    cJSON_ArrayForEach(entry, list)
    {
        struct tensor t = {.dims = 0};
        char where[24];
        snprintf(where, sizeof(where), "tensors[%d]", m->tensor_count);
        int rc = read_tensor(entry, where, attachment, attachment_bytes, &end, &t, why);
        if (rc < 0)
            return rc;
        if (tensor_find(m->tensors, m->tensor_count, t.name))
            return err_set(why, -EINVAL, "there are two tensors \"%s\"", t.name);
        m->tensors[m->tensor_count++] = t;
    }
    return 0;
}

static int decode_frame(const uint8_t *p, size_t bytes, size_t json_max, struct message *m,
                        struct errbuf *why)
{
    const cJSON *list = NULL;
    int rc = check_fixed(p, bytes, why);

    if (rc == 0)
        rc = check_lengths(p, bytes, json_max, why);
    if (rc < 0)
        return rc;
    size_t json_bytes = get_u32(p + AT_JSON_BYTES);
    size_t start = attachment_offset(json_bytes);
    rc = field_parse((const char *)p + HEADER_BYTES, json_bytes, json_max, WHERE, &m->json, why);
    if (rc == 0)
        rc = field_arr(m->json, WHERE, "tensors", true, TENSORS_MAX, &list, why);
    if (rc == 0)
        rc = read_tensors(list, p + start, bytes - start, m, why);
    if (rc == 0)
        cJSON_DeleteItemFromObjectCaseSensitive(m->json, "tensors");
    return rc;
}

int message_decode(const void *body, size_t bytes, size_t json_max, struct message *ret,
                   struct errbuf *why)
{
    struct message m = {.body = (void *)body};
    const uint8_t *p = body;
    int rc;

    if (bytes == 0)
        return err_set(why, -EINVAL, "the message is empty");
    if (bytes > MESSAGE_BYTES_MAX)
        return err_set(why, -EMSGSIZE, "the message is %zu bytes, allowed are %u", bytes,
                       MESSAGE_BYTES_MAX);
    if (p[0] == '{') {
        rc = field_parse(body, bytes, json_max, WHERE, &m.json, why);
    } else {
        rc = decode_frame(p, bytes, json_max, &m, why);
        if (rc < 0)
            err_prefix(why, rc, "the message is broken");
    }
    if (rc < 0) {
        cJSON_Delete(m.json);
        return rc;
    }
    *ret = m;
    return 0;
}

void message_done(struct message *m)
{
    cJSON_Delete(m->json);
    if (m->release)
        m->release(m->body);
    *m = (struct message){.json = NULL};
}

/* The text of the key `tensors`; sets each tensor's offset and the attachment's bytes. */
static int print_tensors(const struct tensor *tensors, int count, uint64_t offsets[TENSORS_MAX],
                         char **ret, uint64_t *ret_bytes, struct errbuf *why)
{
    cJSON *list = cJSON_CreateArray();
    uint64_t end = 0;
    int rc = 0;

    for (int i = 0; i < count && rc == 0; i++) {
        const struct tensor *t = &tensors[i];
        cJSON *entry = cJSON_CreateObject();
        cJSON *shape = cJSON_CreateArray();
        offsets[i] = tensor_align(end);
        if (t->bytes > MESSAGE_BYTES_MAX - end)
            rc = err_set(why, -EMSGSIZE,
                         "the message is too large: its tensors need more than %u "
                         "bytes",
                         MESSAGE_BYTES_MAX);
        end = offsets[i] + t->bytes;
        for (int d = 0; d < t->dims; d++)
            cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)t->shape[d]));
        cJSON_AddStringToObject(entry, "name", t->name);
        cJSON_AddStringToObject(entry, "dtype", dtype_name(t->dtype));
        cJSON_AddItemToObject(entry, "shape", shape);
        cJSON_AddNumberToObject(entry, "offset", (double)offsets[i]);
        cJSON_AddItemToArray(list, entry);
    }
    char *text = rc == 0 ? cJSON_PrintUnformatted(list) : NULL;
    cJSON_Delete(list);
    if (!text)
        return rc < 0 ? rc : err_set(why, -ENOMEM, "out of memory for a message");
    *ret = text;
    *ret_bytes = end;
    return 0;
}

size_t message_json_bytes(const void *body, size_t bytes)
{
    uint32_t json_bytes;

    if (bytes < HEADER_BYTES || *(const uint8_t *)body == '{')
        return bytes;
    memcpy(&json_bytes, (const uint8_t *)body + AT_JSON_BYTES, sizeof(json_bytes));
    json_bytes = le32toh(json_bytes);
    return json_bytes < bytes ? json_bytes : bytes;
}

static void write_header(uint8_t *p, uint32_t json_bytes, uint64_t attachment_bytes)
{
    uint16_t header_bytes = htole16(HEADER_BYTES);

    json_bytes = htole32(json_bytes);
    attachment_bytes = htole64(attachment_bytes);
    memset(p, 0, HEADER_BYTES);
    memcpy(p + AT_MAGIC, frame_magic, sizeof(frame_magic));
    memcpy(p + AT_HEADER_BYTES, &header_bytes, sizeof(header_bytes));
    memcpy(p + AT_JSON_BYTES, &json_bytes, sizeof(json_bytes));
    memcpy(p + AT_ATTACHMENT_BYTES, &attachment_bytes, sizeof(attachment_bytes));
}

static void write_tensors(uint8_t *p, const struct tensor *tensors, int count, struct halves *h,
                          const uint64_t offsets[TENSORS_MAX])
{
    uint64_t end = 0;

    for (int i = 0; i < count; i++) {
        memset(p + end, 0, offsets[i] - end);
        if (tensors[i].bytes > 0)
            halves_copy(h, p + offsets[i], tensors[i].data, tensors[i].bytes);
        end = offsets[i] + tensors[i].bytes;
    }
}

static int check_sizes(size_t json_bytes, uint64_t total, struct errbuf *why)
{
    if (json_bytes > JSON_REPLY_BYTES_MAX)
        return err_set(why, -EMSGSIZE, "the message's JSON is %zu bytes, allowed are %u",
                       json_bytes, JSON_REPLY_BYTES_MAX);
    if (total > MESSAGE_BYTES_MAX)
        return err_set(why, -EMSGSIZE, "the message is %llu bytes, allowed are %u",
                       (unsigned long long)total, MESSAGE_BYTES_MAX);
    return 0;
}

/* Puts the list of tensors before the closing brace of the object `text`. */
static int encode_frame(const char *text, const struct tensor *tensors, int count, struct halves *h,
                        void *(*alloc)(size_t), void **ret, size_t *ret_bytes, struct errbuf *why)
{
    static const char key[] = "\"tensors\":";
    uint64_t offsets[TENSORS_MAX], attachment_bytes = 0;
    size_t text_bytes = strlen(text) - 1; /* without its brace */
    bool comma = text_bytes > 1;
    char *list = NULL;
    uint8_t *p;
    int rc = print_tensors(tensors, count, offsets, &list, &attachment_bytes, why);

    if (rc < 0)
        return rc;
    size_t list_bytes = strlen(list);
    size_t json_bytes = text_bytes + comma + sizeof(key) - 1 + list_bytes + 1;
    uint64_t start = attachment_offset(json_bytes), total = start + attachment_bytes;
    rc = check_sizes(json_bytes, total, why);
    if (rc < 0)
        goto out;
    p = alloc(total);
    if (!p) {
        rc = err_set(why, -ENOMEM, "out of memory for a message of %llu bytes",
                     (unsigned long long)total);
        goto out;
    }
    *ret = p;
    *ret_bytes = total;
    write_header(p, (uint32_t)json_bytes, attachment_bytes);
    p = mempcpy(p + HEADER_BYTES, text, text_bytes);
    if (comma)
        *p++ = ',';
    p = mempcpy(p, key, sizeof(key) - 1);
    p = mempcpy(p, list, list_bytes);
    *p++ = '}';
    memset(p, 0, start - HEADER_BYTES - json_bytes);
    write_tensors((uint8_t *)*ret + start, tensors, count, h, offsets);
out:
    cJSON_free(list);
    return rc;
}

static int encode_plain(const char *text, void *(*alloc)(size_t), void **ret, size_t *ret_bytes,
                        struct errbuf *why)
{
    size_t bytes = strlen(text);
    int rc = check_sizes(bytes, bytes, why);

    if (rc < 0)
        return rc;
    void *p = alloc(bytes);
    if (!p)
        return err_set(why, -ENOMEM, "out of memory for a message of %zu bytes", bytes);
    *ret = memcpy(p, text, bytes);
    *ret_bytes = bytes;
    return 0;
}

int message_encode(const cJSON *json, const struct tensor *tensors, int tensor_count,
                   struct halves *h, void *(*alloc)(size_t), void **ret, size_t *ret_bytes,
                   struct errbuf *why)
{
    assert(cJSON_IsObject(json));
    assert(tensor_count >= 0 && tensor_count <= TENSORS_MAX);
    char *text = cJSON_PrintUnformatted(json);
    if (!text)
        return err_set(why, -ENOMEM, "out of memory for a message");
    int rc = tensor_count > 0
                 ? encode_frame(text, tensors, tensor_count, h, alloc, ret, ret_bytes, why)
                 : encode_plain(text, alloc, ret, ret_bytes, why);
    cJSON_free(text);
    return rc;
}

/* "F32 [3, 4]"; the shape NULL: "F32 [any]". */
static const char *describe(enum dtype d, int dims, const uint64_t *shape, char *buf, size_t bytes)
{
    size_t n = (size_t)snprintf(buf, bytes, "%s [%s", dtype_name(d), shape ? "" : "any");

    for (int i = 0; shape && i < dims && n < bytes; i++)
        n += (size_t)snprintf(buf + n, bytes - n, "%s%llu", i ? ", " : "",
                              (unsigned long long)shape[i]);
    if (n < bytes)
        snprintf(buf + n, bytes - n, "]");
    return buf;
}

int message_tensor(const struct message *m, const char *name, enum dtype d, int dims,
                   const uint64_t *shape, const struct tensor **ret, struct errbuf *why)
{
    const struct tensor *t = tensor_find(m->tensors, m->tensor_count, name);
    char want[160], got[160];

    assert(dims >= 0 && dims <= TENSOR_DIMS_MAX);
    if (!t)
        return err_set(why, -EINVAL, "tensor %s is missing", name);
    bool same = t->dtype == d && t->dims == (shape ? dims : 1);
    for (int i = 0; same && shape && i < dims; i++)
        same = t->shape[i] == shape[i];
    if (!same)
        return err_set(why, -EINVAL, "tensor %s is %s, allowed is %s", name,
                       describe(t->dtype, t->dims, t->shape, got, sizeof(got)),
                       describe(d, dims, shape, want, sizeof(want)));
    *ret = t;
    return 0;
}
