#include "proto/cli/import/npy.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/file.h"

/* Magic, version and length (10 bytes), the dictionary, blanks and a newline. A multiple of 64 lets
 * readers map the data aligned. */
#define HEADER_BYTES 128
#define TABLE_HEADER_BYTES 1024
#define PREFIX_BYTES 10
#define SHAPE_BYTES 48

/* numpy's names of the types. */
static const char *const descrs[DTYPE_WIRE] = {
    [DTYPE_U8] = "|u1",  [DTYPE_U16] = "<u2", [DTYPE_I32] = "<i4", [DTYPE_U32] = "<u4",
    [DTYPE_I64] = "<i8", [DTYPE_U64] = "<u8", [DTYPE_F32] = "<f4", [DTYPE_F64] = "<f8",
};

/* Completes a header of `bytes` whose dictionary begins after the prefix and ends at `used`. */
static void close_header(char *header, size_t bytes, size_t used)
{
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = (char)((bytes - PREFIX_BYTES) & 0xff);
    header[9] = (char)((bytes - PREFIX_BYTES) >> 8);
    memset(header + used, ' ', bytes - used);
    header[bytes - 1] = '\n';
}

/* shape: as Python prints a tuple. */
static int write_array(const char *path, enum dtype dtype, const void *data, size_t count,
                       const char *shape, struct errbuf *why)
{
    char header[HEADER_BYTES];
    int n =
        snprintf(header + PREFIX_BYTES, sizeof(header) - PREFIX_BYTES,
                 "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descrs[dtype], shape);

    close_header(header, sizeof(header), PREFIX_BYTES + (size_t)n);
    struct file_part parts[] = {
        {header, sizeof(header)},
        {data, count * dtype_bytes(dtype)},
    };
    return file_write_atomic(path, 0644, parts, 2, why);
}

int npy_write(const char *path, enum dtype dtype, const void *data, size_t count,
              struct errbuf *why)
{
    char shape[SHAPE_BYTES];

    snprintf(shape, sizeof(shape), "(%zu,)", count);
    return write_array(path, dtype, data, count, shape, why);
}

int npy_write_rows(const char *path, enum dtype dtype, const void *data, size_t rows,
                   size_t columns, struct errbuf *why)
{
    char shape[SHAPE_BYTES];

    snprintf(shape, sizeof(shape), "(%zu, %zu)", rows, columns);
    return write_array(path, dtype, data, rows * columns, shape, why);
}

/* The columns row by row, packed. */
static void interleave(const struct tensor *columns, int column_count, size_t count,
                       size_t row_bytes, unsigned char *rows)
{
    for (int c = 0; c < column_count; c++) {
        size_t bytes = dtype_bytes(columns[c].dtype);
        const unsigned char *from = columns[c].data;
        unsigned char *to = rows;
        for (size_t i = 0; i < count; i++, to += row_bytes, from += bytes)
            memcpy(to, from, bytes);
        rows += bytes;
    }
}

int npy_write_table(const char *path, const struct tensor *columns, int column_count, size_t count,
                    struct errbuf *why)
{
    char header[TABLE_HEADER_BYTES];
    size_t used = PREFIX_BYTES, row_bytes = 0;

    used += (size_t)snprintf(header + used, sizeof(header) - used, "{'descr': [");
    for (int c = 0; c < column_count && used < sizeof(header); c++) {
        used += (size_t)snprintf(header + used, sizeof(header) - used, "('%s', '%s'), ",
                                 columns[c].name, descrs[columns[c].dtype]);
        row_bytes += dtype_bytes(columns[c].dtype);
    }
    if (used < sizeof(header))
        used += (size_t)snprintf(header + used, sizeof(header) - used,
                                 "], 'fortran_order': False, 'shape': (%zu,), }", count);
    if (used >= sizeof(header))
        return err_set(why, -EMSGSIZE, "%s: %d columns are too many", path, column_count);
    close_header(header, sizeof(header), used);
    unsigned char *rows = alloc_bytes(count + 1, row_bytes);
    if (!rows)
        return err_set(why, -ENOMEM, "out of memory for %zu rows", count);
    interleave(columns, column_count, count, row_bytes, rows);
    struct file_part parts[] = {
        {header, sizeof(header)},
        {rows, count * row_bytes},
    };
    int rc = file_write_atomic(path, 0644, parts, 2, why);
    free(rows);
    return rc;
}
