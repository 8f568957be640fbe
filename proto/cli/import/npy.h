/* numpy's .npy files, version 1.0: one-dimensional, little-endian. */
#ifndef STEPPE_PROTO_CLI_IMPORT_NPY_H
#define STEPPE_PROTO_CLI_IMPORT_NPY_H

#include <stddef.h>

#include "common/err.h"
#include "common/tensor.h"

/* Writes count entries of dtype to path, atomically. 0 or -errno with a sentence. */
int npy_write(const char *path, enum dtype dtype, const void *data, size_t count,
              struct errbuf *why);

/* The same as [rows, columns]. */
int npy_write_rows(const char *path, enum dtype dtype, const void *data, size_t rows,
                   size_t columns, struct errbuf *why);

/* Writes columns of equal length as one structured array, whose fields have their names. */
int npy_write_table(const char *path, const struct tensor *columns, int column_count, size_t count,
                    struct errbuf *why);

#endif
