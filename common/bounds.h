/* Every limit on what comes from outside, each with its reason. */
#ifndef STEPPE_COMMON_BOUNDS_H
#define STEPPE_COMMON_BOUNDS_H

#include <assert.h>
#include <stdint.h>

/* One piece of a dataset, of a parameter vector or of a node's sum: larger messages are slower
 * (page faults beyond 32 MiB) and pin more memory per connection. */
#define PIECE_BYTES_MAX (8u << 20)
/* Whole message: one piece, its JSON header and the small tensors that ride along. */
#define MESSAGE_BYTES_MAX (PIECE_BYTES_MAX + (512u << 10))
/* On the wire: a sealed message has 76 bytes more, and nanomsg counts its own header. */
#define WIRE_BYTES_MAX (MESSAGE_BYTES_MAX + 256)
/* Send and receive buffer of a socket, as far as the kernel grants it (net.core.wmem_max): a vector
 * of half a million floats leaves in one call; with nanomsg's 128 KiB sender and receiver wake each
 * other a dozen times on its way. */
#define SOCKET_BUFFER_BYTES (2 << 20)
/* JSON of a request. 1 MiB of small numbers becomes 40 MiB of heap in the parser. */
#define JSON_REQUEST_BYTES_MAX (64u << 10)
/* JSON of a reply: 1000 table rows of a few hundred bytes. */
#define JSON_REPLY_BYTES_MAX (1u << 20)
/* Nesting of any JSON document that is read; a job file needs 4. */
#define JSON_DEPTH_MAX 16
#define TENSORS_MAX 16     /* tensors in one message; the fused step's result needs 8 */
#define TENSOR_DIMS_MAX 6  /* NHWC needs 4 */
#define TENSOR_NAME_MAX 64 /* bytes with the closing 0 */
#define NAME_MAX_BYTES 64  /* job, dataset and worker names, with the closing 0 */
#define INLINE_FLOATS_MAX (PIECE_BYTES_MAX / 4) /* a longer vector travels in pieces */
/* 256 MiB, 32 pieces. The server sums and updates between two messages: a longer vector would keep
 * the others waiting for seconds. */
#define PARAM_FLOATS_MAX (1u << 26)
#define PIECES_MAX (PARAM_FLOATS_MAX / INLINE_FLOATS_MAX)
#define UPLOADS_MAX 4 /* gradients that arrive in pieces at the same time: a buffer each */
#define MEMORY_BYTES_MIN (16 << 20) /* of --memory: a small model with a small dataset */
#define SAMPLES_MAX (1u << 26)
#define CLASSES_MAX 1000
#define IMAGE_SIDE_MAX 512
#define CHANNELS_MAX 16
#define LAYERS_MAX 128
#define BATCH_MAX 65536
#define SHARD_MAX 4096
#define EPOCHS_MAX 100000
#define THREADS_MAX 256
#define WORKERS_MAX 1024   /* a reply is held for each: the server walks their list every 100 ms */
#define JOBS_OPEN_MAX 1000 /* queued, running and paused together */
#define DATASETS_MAX 1000  /* in one list of a reply */
#define KEYRING_MAX 16     /* in a key file: a cluster key in use, one that comes, one that goes */
#define SESSIONS_MAX 4096  /* of sealed messages: two a worker and the people; 1 MB in all */
#define DATASET_BYTES_MAX (64ull << 30)
#define ROWS_MAX 1000 /* rows of one query reply */

static_assert(MESSAGE_BYTES_MAX < (1u << 31), "nanomsg message sizes are int");
static_assert(PIECES_MAX <= 64, "the pieces that are there are the bits of a word");

#endif
