/* Shared only by the readers of .npy files: an open file, and what its header says. */
#ifndef STEPPE_PROTO_CLI_IMPORT_NPY_INTERNAL_H
#define STEPPE_PROTO_CLI_IMPORT_NPY_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/bounds.h"
#include "common/err.h"
#include "common/safetensors.h"
#include "proto/cli/import/npy_layout.h"

#define NPY_WORD_BYTES 32

struct npy_input {
    const char *path;
    FILE *file; /* closed by the caller */
    uint64_t bytes;
    /* from the header */
    char descr[NPY_WORD_BYTES];
    bool fortran; /* the entries are not in C's order */
    int dims;
    uint64_t shape[TENSOR_DIMS_MAX];
    uint64_t data_at;
};

int npy_open(const char *path, struct npy_input *ret, struct errbuf *why);
/* Refuses entries in Fortran's order where it differs from C's. */
int npy_header(struct npy_input *in, struct errbuf *why);
/* "[60000,28,28]" into buf, returned. */
const char *npy_shape(const struct npy_input *in, char buf[NPY_SHAPE_BYTES]);
/* All entries, of entry_bytes each, in malloc'd memory; the file must end behind them. */
int npy_body(struct npy_input *in, uint32_t entry_bytes, uint8_t **ret, struct errbuf *why);

#endif
