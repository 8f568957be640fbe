/* TensorBoard's event files: records of TFRecord (length, CRC of it, data, CRC of them), each an
 * Event in protocol buffers. Values of one epoch are gathered in an event, which is then written.
 * Written from the published formats (tensorflow/core/lib/io/record_writer.cc, util/event.proto,
 * framework/summary.proto); the bytes depend on the arguments alone. */
#ifndef STEPPE_PROTO_CLI_TFEVENTS_H
#define STEPPE_PROTO_CLI_TFEVENTS_H

#include <stdio.h>

#include "proto/cli/protobuf.h"

/* CRC-32C (Castagnoli), as of RFC 3720, and what stands in a record: it is rotated, and a constant
 * added, so that the CRC of data with CRCs in it is no special value. */
uint32_t tfevents_crc32c(const void *data, size_t bytes);
uint32_t tfevents_masked(uint32_t crc);

struct tfevent {
    struct protobuf message;
    size_t summary; /* where it begins; 0: the event has none */
};

/* How a file begins: the version of its format. */
void tfevent_open_version(struct tfevent *e, double unix_s);
/* Values of one step. */
void tfevent_open(struct tfevent *e, double unix_s, int64_t step);
void tfevent_add_scalar(struct tfevent *e, const char *tag, double value);
/* Counts them in TensorBoard's default buckets, whose limits grow by a tenth from 1e-12 on, both
 * ways from 0; values that are not finite are left out. No values: no histogram. */
void tfevent_add_histogram(struct tfevent *e, const char *tag, const double *values, size_t count);
/* Writes the event as a record and frees it. False: memory is out, and nothing was written. A
 * failure of `out` is seen there. */
bool tfevent_close(struct tfevent *e, FILE *out);

#endif
