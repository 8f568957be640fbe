#include "proto/cli/npy.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/file.h"

/* Magic, version and length (10 bytes), the dictionary, blanks and a newline. A multiple of 64 lets
 * readers map the data aligned. */
#define HEADER_BYTES 128
#define PREFIX_BYTES 10

/* numpy's names of the types. */
static const char *const descrs[DTYPE_COUNT] = {
    [DTYPE_U8] = "|u1",  [DTYPE_U16] = "<u2", [DTYPE_I32] = "<i4", [DTYPE_U32] = "<u4",
    [DTYPE_I64] = "<i8", [DTYPE_U64] = "<u8", [DTYPE_F32] = "<f4", [DTYPE_F64] = "<f8",
};

int npy_write(const char *path, enum dtype dtype, const void *data, size_t count,
              struct errbuf *why)
{
    char header[HEADER_BYTES];

    memset(header, ' ', sizeof(header));
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = HEADER_BYTES - PREFIX_BYTES;
    header[9] = 0;
    int n = snprintf(header + PREFIX_BYTES, sizeof(header) - PREFIX_BYTES,
                     "{'descr': '%s', 'fortran_order': False, 'shape': (%zu,), }", descrs[dtype],
                     count);
    header[PREFIX_BYTES + n] = ' '; /* the closing 0 of snprintf */
    header[HEADER_BYTES - 1] = '\n';

    struct file_part parts[] = {
        {header, sizeof(header)},
        {data, count * dtype_bytes(dtype)},
    };
    return file_write_atomic(path, 0644, parts, 2, why);
}
