/* safetensors: 8 bytes little-endian header length, a JSON object, then the tensors' bytes. The
 * reader trusts nothing: it accepts exactly the files whose header describes every data byte once,
 * so a file has one reading only. */
#include "common/safetensors.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/field.h"
#include "common/file.h"
#include "common/foreign.h"
#include "common/text.h"

#define LENGTH_BYTES 8
/* Thousands of tensors, or the names of all classes as a string with its quotes escaped; bounds
 * what parsing costs. */
#define HEADER_BYTES_MAX (2u << 20)
#define DATA_ALIGN_BYTES 64
#define META_KEY "__metadata__"
#define WHERE_BYTES (TENSOR_NAME_MAX + 16)

static bool read_whole(const cJSON *item, uint64_t *ret)
{
    double value = item->valuedouble;

    if (!cJSON_IsNumber(item) || !(value >= 0 && value < 0x1p53) || value != floor(value))
        return false;
    *ret = (uint64_t)value;
    return true;
}

/* Whole numbers of the list at name, at most count_max. */
static int read_list(const cJSON *entry, const char *where, const char *name, int count_max,
                     uint64_t *values, int *ret_count, struct errbuf *why)
{
    const cJSON *list;
    int count = 0;

    int rc = field_arr(entry, where, name, true, (size_t)count_max, &list, why);
    if (rc != 0)
        return rc;
    for (const cJSON *item = list->child; item; item = item->next)
        if (!read_whole(item, &values[count++]))
            return err_set(why, -EINVAL, "%s: entry %d of %s is not a whole number from 0 to 2^53",
                           where, count - 1, name);
    *ret_count = count;
    return 0;
}

/* One tensor of the header, and where its data begins. */
static int read_tensor(const cJSON *entry, const char *data, size_t data_bytes, struct tensor *ret,
                       uint64_t *ret_begin, struct errbuf *why)
{
    static const char *const keys[] = {"dtype", "shape", "data_offsets", NULL};
    const char *dtype_names[DTYPE_COUNT + 1] = {NULL};
    struct tensor t = {.name = ""};
    uint64_t offsets[2] = {0};
    char where[WHERE_BYTES];
    int dtype = 0, offset_count = 0;
    size_t count;

    size_t name_bytes = strlen(entry->string);
    if (name_bytes == 0 || name_bytes >= sizeof(t.name))
        return err_set(why, -EINVAL, "a tensor name is %zu bytes long, allowed is 1 to %zu",
                       name_bytes, sizeof(t.name) - 1);
    memcpy(t.name, entry->string, name_bytes + 1);
    snprintf(where, sizeof(where), "tensor \"%s\"", t.name);
    if (!cJSON_IsObject(entry))
        return err_set(why, -EINVAL, "%s is not described by an object", where);
    for (int d = 0; d < DTYPE_COUNT; d++)
        dtype_names[d] = dtype_name((enum dtype)d);
    int rc = field_known(entry, where, keys, why);
    if (rc == 0)
        rc = field_enum(entry, where, "dtype", true, dtype_names, &dtype, why);
    if (rc == 0)
        rc = read_list(entry, where, "shape", TENSOR_DIMS_MAX, t.shape, &t.dims, why);
    if (rc == 0)
        rc = read_list(entry, where, "data_offsets", 2, offsets, &offset_count, why);
    if (rc != 0)
        return rc;
    if (offset_count != 2 || offsets[0] > offsets[1] || offsets[1] > data_bytes)
        return err_set(why, -EINVAL, "%s: data_offsets must be a start and an end within %zu bytes",
                       where, data_bytes);
    if (!tensor_count(t.shape, t.dims, &count))
        return err_set(why, -EINVAL, "%s: the shape is too large", where);
    t.dtype = (enum dtype)dtype;
    t.bytes = count * dtype_bytes(t.dtype);
    if (offsets[1] - offsets[0] != t.bytes)
        return err_set(why, -EINVAL, "%s has %" PRIu64 " bytes, its shape and dtype need %zu",
                       where, offsets[1] - offsets[0], t.bytes);
    t.data = data ? data + offsets[0] : NULL;
    *ret_begin = offsets[0];
    *ret = t;
    return 0;
}

/* Where the data of a tensor lies. */
struct extent {
    uint64_t begin, end;
    const char *name;
};

static int compare_extents(const void *pa, const void *pb)
{
    const struct extent *a = pa, *b = pb;

    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    return (a->end > b->end) - (a->end < b->end);
}

/* The header names tensors in any order; together they are all of the data, each byte once. */
static int check_extents(struct extent *extents, size_t count, size_t data_bytes,
                         struct errbuf *why)
{
    uint64_t end = 0;

    qsort(extents, count, sizeof(*extents), compare_extents);
    for (size_t i = 0; i < count; i++) {
        if (extents[i].begin != end)
            return err_set(why, -EINVAL,
                           "tensor \"%s\" begins at byte %" PRIu64
                           " of the data, expected %" PRIu64,
                           extents[i].name, extents[i].begin, end);
        end = extents[i].end;
    }
    if (end != data_bytes)
        return err_set(why, -EINVAL,
                       "the tensors end at byte %" PRIu64 " of the data, the file has %zu", end,
                       data_bytes);
    return 0;
}

static int read_tensors(const cJSON *header, const char *data, size_t data_bytes,
                        struct safetensors *st, struct errbuf *why)
{
    size_t count = 0;
    int rc = 0;

    for (const cJSON *entry = header->child; entry; entry = entry->next)
        count++;
    struct extent *extents = alloc_bytes(count, sizeof(*extents));
    st->tensors = alloc_bytes(count, sizeof(*st->tensors));
    st->begins = alloc_bytes(count, sizeof(*st->begins));
    if (!st->tensors || !st->begins || !extents)
        rc = err_set(why, -ENOMEM, "out of memory for %zu tensors", count);
    for (const cJSON *entry = header->child; entry && rc == 0; entry = entry->next) {
        if (strcmp(entry->string, META_KEY) == 0)
            continue;
        struct tensor *t = &st->tensors[st->tensor_count];
        uint64_t begin = 0;
        rc = read_tensor(entry, data, data_bytes, t, &begin, why);
        if (rc != 0)
            break;
        st->begins[st->tensor_count] = begin;
        extents[st->tensor_count++] = (struct extent){begin, begin + t->bytes, t->name};
    }
    if (rc == 0)
        rc = check_extents(extents, (size_t)st->tensor_count, data_bytes, why);
    free(extents);
    return rc;
}

/* Keys and values are copied behind the array, in the same block. */
static int read_meta(const cJSON *header, struct safetensors *st, struct errbuf *why)
{
    const cJSON *meta = NULL;
    size_t count = 0, text_bytes = 0;

    int rc = field_obj(header, "safetensors header", META_KEY, false, &meta, why);
    if (rc != 0 || !meta)
        return rc;
    for (const cJSON *item = meta->child; item; item = item->next, count++) {
        if (!cJSON_IsString(item))
            return err_set(why, -EINVAL, "safetensors header: %s.%.60s is not a text", META_KEY,
                           item->string);
        text_bytes += strlen(item->string) + strlen(item->valuestring) + 2;
    }
    st->meta = alloc_bytes(count * sizeof(*st->meta) + text_bytes, 1);
    if (!st->meta)
        return err_set(why, -ENOMEM, "out of memory for %zu metadata entries", count);
    char *text = (char *)(st->meta + count);
    for (const cJSON *item = meta->child; item; item = item->next) {
        struct safetensors_meta *m = &st->meta[st->meta_count++];
        m->key = text;
        text = stpcpy(text, item->string) + 1;
        m->value = text;
        text = stpcpy(text, item->valuestring) + 1;
    }
    return 0;
}

/* Judges the header text; data may be NULL when only the header is there. */
static int read_header(const char *text, size_t bytes, const char *data, size_t data_bytes,
                       struct safetensors *ret, struct errbuf *why)
{
    struct safetensors st = {0};
    cJSON *header = NULL;

    int rc = field_parse(text, bytes, HEADER_BYTES_MAX, "safetensors header", &header, why);
    if (rc == 0)
        rc = read_meta(header, &st, why);
    if (rc == 0)
        rc = read_tensors(header, data, data_bytes, &st, why);
    cJSON_Delete(header);
    if (rc == 0)
        *ret = st;
    else
        safetensors_close(&st);
    return rc;
}

static int parse(const void *data, size_t bytes, struct safetensors *ret, struct errbuf *why)
{
    uint64_t length;

    if (bytes < LENGTH_BYTES)
        return err_set(why, -EINVAL, "%zu bytes are too few for a safetensors file", bytes);
    const char *text = (const char *)data + LENGTH_BYTES;
    size_t left = bytes - LENGTH_BYTES;
    memcpy(&length, data, sizeof(length));
    length = le64toh(length);
    if (length > left)
        return err_set(why, -EINVAL,
                       "the safetensors header should have %" PRIu64 " bytes, the file has %zu",
                       length, left);
    int rc = read_header(text, (size_t)length, text + length, left - (size_t)length, ret, why);
    if (rc == 0) {
        ret->bytes = bytes;
        ret->data_at = LENGTH_BYTES + length;
    }
    return rc;
}

int safetensors_read(const struct file_source *from, struct safetensors *ret, struct errbuf *why)
{
    uint64_t length = 0;
    int rc = from->bytes < LENGTH_BYTES
                 ? err_set(why, -EINVAL, "%" PRIu64 " bytes are too few for a safetensors file",
                           from->bytes)
                 : from->read(from->arg, 0, LENGTH_BYTES, &length, why);

    if (rc != 0)
        return rc;
    length = le64toh(length);
    uint64_t left = from->bytes - LENGTH_BYTES;
    if (length > left || length > HEADER_BYTES_MAX)
        return err_set(why, -EINVAL,
                       "the safetensors header should have %" PRIu64 " bytes, the file has %" PRIu64
                       ", allowed is at most %u",
                       length, left, HEADER_BYTES_MAX);
    char *text = alloc_bytes((size_t)length + 1, 1);
    if (!text)
        return err_set(why, -ENOMEM, "out of memory for a safetensors header");
    rc = from->read(from->arg, LENGTH_BYTES, (size_t)length, text, why);
    if (rc == 0)
        rc = read_header(text, (size_t)length, NULL, (size_t)(left - length), ret, why);
    free(text);
    if (rc == 0) {
        ret->bytes = (size_t)from->bytes;
        ret->data_at = LENGTH_BYTES + length;
    }
    return rc;
}

uint64_t safetensors_at(const struct safetensors *st, const struct tensor *t)
{
    return st->data_at + st->begins[t - st->tensors];
}

int safetensors_parse(const void *data, size_t bytes, struct safetensors *ret, struct errbuf *why)
{
    int rc = parse(data, bytes, ret, why);
    const char *foreign = rc < 0 && rc != -ENOMEM ? foreign_name(data, bytes) : NULL;

    return foreign ? err_set(why, -EINVAL, "it is not a safetensors file, it is %s", foreign) : rc;
}

/* Maps the regular file read-only; *ret_bytes is at least 1. */
static int map_file(int fd, const char *path, void **ret, size_t *ret_bytes, struct errbuf *why)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return err_set(why, -errno, "cannot open %s: %s", path, err_text(-errno));
    if (!S_ISREG(st.st_mode) || st.st_size == 0)
        return err_set(why, -EINVAL, "%s is %s, expected a safetensors file", path,
                       S_ISREG(st.st_mode)   ? "empty"
                       : S_ISDIR(st.st_mode) ? "a folder"
                                             : "not a file");
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return err_set(why, -errno, "cannot map %s: %s", path, err_text(-errno));
    *ret = map;
    *ret_bytes = (size_t)st.st_size;
    return 0;
}

int safetensors_map(int fd, const char *path, struct safetensors *ret, struct errbuf *why)
{
    size_t bytes = 0;
    void *map = NULL;

    int rc = map_file(fd, path, &map, &bytes, why);
    if (rc != 0)
        return rc;
    rc = safetensors_parse(map, bytes, ret, why);
    if (rc != 0) {
        munmap(map, bytes);
        return err_prefix(why, rc, "%s", path);
    }
    ret->map = map;
    return 0;
}

int safetensors_open_as(const char *path, const char *called, struct safetensors *ret,
                        struct errbuf *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return err_set(why, -errno, "cannot open %s: %s", called, err_text(-errno));
    int rc = safetensors_map(fd, called, ret, why);
    close(fd);
    return rc;
}

int safetensors_open(const char *path, struct safetensors *ret, struct errbuf *why)
{
    return safetensors_open_as(path, path, ret, why);
}

void safetensors_close(struct safetensors *st)
{
    free(st->tensors);
    free(st->begins);
    free(st->meta);
    if (st->map)
        munmap(st->map, st->bytes);
    *st = (struct safetensors){0};
}

const struct tensor *safetensors_find(const struct safetensors *st, const char *name)
{
    return tensor_find(st->tensors, st->tensor_count, name);
}

int safetensors_need(const struct safetensors *st, const char *name, enum dtype d, int dims,
                     const struct tensor **ret, struct errbuf *why)
{
    const struct tensor *t = safetensors_find(st, name);

    if (!t)
        return err_set(why, -EINVAL, "tensor \"%s\" is missing", name);
    if (t->dtype != d)
        return err_set(why, -EINVAL, "tensor \"%s\" is %s, expected %s", name, dtype_name(t->dtype),
                       dtype_name(d));
    if (t->dims != dims)
        return err_set(why, -EINVAL, "tensor \"%s\" has %d dimensions, expected %d", name, t->dims,
                       dims);
    *ret = t;
    return 0;
}

const char *safetensors_meta_get(const struct safetensors *st, const char *key)
{
    for (int i = 0; i < st->meta_count; i++)
        if (strcmp(st->meta[i].key, key) == 0)
            return st->meta[i].value;
    return NULL;
}

/* The header is printed here and not by cJSON, which prints 1e+15 where readers want
 * digits only. */
static void put_string(FILE *out, const char *s)
{
    fputc('"', out);
    for (; *s; s++) {
        if ((unsigned char)*s < 0x20)
            fprintf(out, "\\u%04x", (unsigned)*s);
        else if (*s == '"' || *s == '\\')
            fprintf(out, "\\%c", *s);
        else
            fputc(*s, out);
    }
    fputc('"', out);
}

static void put_meta(FILE *out, const struct safetensors_meta *meta, int count)
{
    put_string(out, META_KEY);
    fputs(":{", out);
    for (int i = 0; i < count; i++) {
        if (i > 0)
            fputc(',', out);
        put_string(out, meta[i].key);
        fputc(':', out);
        put_string(out, meta[i].value);
    }
    fputc('}', out);
}

static void put_tensor(FILE *out, const struct tensor *t, uint64_t begin)
{
    put_string(out, t->name);
    fprintf(out, ":{\"dtype\":\"%s\",\"shape\":[", dtype_name(t->dtype));
    for (int i = 0; i < t->dims; i++)
        fprintf(out, "%s%" PRIu64, i > 0 ? "," : "", t->shape[i]);
    fprintf(out, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", begin, begin + t->bytes);
}

/* The header with its length before it and spaces behind it, in malloc'd memory. */
static int make_header(const struct tensor *tensors, int tensor_count,
                       const struct safetensors_meta *meta, int meta_count, char **ret,
                       size_t *ret_bytes, struct errbuf *why)
{
    char *text = NULL;
    size_t bytes = 0;
    uint64_t begin = 0;

    FILE *out = open_memstream(&text, &bytes);
    if (!out)
        return err_set(why, -ENOMEM, "out of memory for a safetensors header");
    fwrite("\0\0\0\0\0\0\0", 1, LENGTH_BYTES, out);
    fputc('{', out);
    if (meta_count > 0)
        put_meta(out, meta, meta_count);
    for (int i = 0; i < tensor_count; i++) {
        if (i > 0 || meta_count > 0)
            fputc(',', out);
        put_tensor(out, &tensors[i], begin);
        begin += tensors[i].bytes;
    }
    fputc('}', out);
    fflush(out);
    for (size_t i = bytes; i % DATA_ALIGN_BYTES != 0; i++)
        fputc(' ', out);
    int failed = ferror(out);
    if (fclose(out) != 0 || failed) {
        free(text);
        return err_set(why, -ENOMEM, "out of memory for a safetensors header");
    }
    uint64_t length = htole64(bytes - LENGTH_BYTES);
    memcpy(text, &length, sizeof(length));
    *ret = text;
    *ret_bytes = bytes;
    return 0;
}

int safetensors_write(const char *path, const struct tensor *tensors, int tensor_count,
                      const struct safetensors_meta *meta, int meta_count, struct errbuf *why)
{
    return safetensors_write_until(path, tensors, tensor_count, meta, meta_count, NULL, why);
}

int safetensors_write_until(const char *path, const struct tensor *tensors, int tensor_count,
                            const struct safetensors_meta *meta, int meta_count,
                            const _Atomic bool *stop, struct errbuf *why)
{
    struct safetensors readable = {0};
    struct file_part *parts = NULL;
    size_t header_bytes = 0, data_bytes = 0;
    char *header = NULL;

    int rc = make_header(tensors, tensor_count, meta, meta_count, &header, &header_bytes, why);
    if (rc != 0)
        return rc;
    parts = xcalloc((size_t)tensor_count + 1, sizeof(*parts));
    parts[0] = (struct file_part){header, header_bytes};
    for (int i = 0; i < tensor_count; i++) {
        parts[i + 1] = (struct file_part){tensors[i].data, tensors[i].bytes};
        data_bytes += tensors[i].bytes;
    }
    /* Refuses what our own reader would refuse (a name twice, text that is not UTF-8). */
    rc = read_header(header + LENGTH_BYTES, header_bytes - LENGTH_BYTES, NULL, data_bytes,
                     &readable, why);
    if (rc == 0)
        rc = file_write_atomic_until(path, 0644, parts, tensor_count + 1, stop, why);
    else
        err_prefix(why, rc, "cannot write %s", path);
    safetensors_close(&readable);
    free(parts);
    free(header);
    return rc;
}
