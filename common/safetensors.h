/* safetensors files: u64 header length, JSON header, tensors. Reader is total; writer is atomic. */
#ifndef STEPPE_COMMON_SAFETENSORS_H
#define STEPPE_COMMON_SAFETENSORS_H

#include "common/err.h"
#include "common/file.h"
#include "common/tensor.h"

struct safetensors_meta {
    const char *key, *value;
};

struct safetensors {
    struct tensor *tensors; /* views into the map */
    int tensor_count;
    struct safetensors_meta *meta; /* owned */
    int meta_count;
    void *map; /* NULL when parsed from the caller's memory */
    size_t bytes;
    uint64_t data_at; /* where the tensors begin in the file */
    uint64_t *begins; /* owned: each of them behind that */
};

/* Reads the header in data (borrowed until close) and checks every offset: in bounds, without gap
 * or overlap, bytes equal to shape times dtype; tensors may be named in any order. The sentence
 * recognises files of other programs. 0, -EINVAL, -EMSGSIZE, -ENOMEM. */
int safetensors_parse(const void *data, size_t bytes, struct safetensors *ret, struct errbuf *why);
/* Maps the file read-only and parses it. Also -errno of open. */
int safetensors_open(const char *path, struct safetensors *ret, struct errbuf *why);
/* The same with an open file (borrowed until return); path: its name for people. */
int safetensors_map(int fd, const char *path, struct safetensors *ret, struct errbuf *why);
/* The same; sentences name the file as `called`. */
int safetensors_open_as(const char *path, const char *called, struct safetensors *ret,
                        struct errbuf *why);
/* Reads nothing but the header: the tensors have no data, safetensors_at says where it lies. */
int safetensors_read(const struct file_source *from, struct safetensors *ret, struct errbuf *why);
/* Offset of a tensor's first byte in the file; t is one of st. */
uint64_t safetensors_at(const struct safetensors *st, const struct tensor *t);
void safetensors_close(struct safetensors *st); /* a zeroed struct is fine */

const struct tensor *safetensors_find(const struct safetensors *st, const char *name);
/* The tensor, which must have this dtype and dims; the sentence names what differs. */
int safetensors_need(const struct safetensors *st, const char *name, enum dtype d, int dims,
                     const struct tensor **ret, struct errbuf *why);
const char *safetensors_meta_get(const struct safetensors *st, const char *key); /* or NULL */

/* Writes path: temporary file beside it, fsync, rename, fsync of the folder. Data starts 64-byte
 * aligned (header padded with spaces). The same input gives the same bytes. Does not write what
 * safetensors_parse would refuse: -EINVAL, -EMSGSIZE. Otherwise 0 or -errno. */
int safetensors_write(const char *path, const struct tensor *tensors, int tensor_count,
                      const struct safetensors_meta *meta, int meta_count, struct errbuf *why);
/* Until *stop is set: then -EINTR, soon, and path is as it was. */
int safetensors_write_until(const char *path, const struct tensor *tensors, int tensor_count,
                            const struct safetensors_meta *meta, int meta_count,
                            const _Atomic bool *stop, struct errbuf *why);

#endif
