/* Every limit on what comes from outside, each with its reason. A refusal names the limit and what
 * is allowed. What concerns only one source file (the length of a line, the size of a header) is in
 * that file.
 *
 * A connection has one request in the server: nothing more is read from it before the reply has
 * left. So what is held and at work is bounded by CONNECTIONS_MAX, of workers by WORKERS_MAX (one
 * each), what waits for a lane by WAITS_MAX, uploads of gradients by UPLOADS_MAX and --memory,
 * uploads of datasets by --max-uploads, as their pieces are written when they arrive. */
#ifndef STEPPE_COMMON_BOUNDS_H
#define STEPPE_COMMON_BOUNDS_H

#include <assert.h>
#include <stdint.h>

/* --- messages --- */

/* One piece of a dataset, of a parameter vector or of a node's sum: larger messages are slower
 * (page faults beyond 32 MiB) and pin more memory per connection. */
#define PIECE_BYTES_MAX (8u << 20)
/* Whole message: one piece, its JSON header and the small tensors that ride along. */
#define MESSAGE_BYTES_MAX (PIECE_BYTES_MAX + (512u << 10))
/* On the wire: a sealed message has 76 bytes more, and its request id 4. */
#define WIRE_BYTES_MAX (MESSAGE_BYTES_MAX + 256)
/* JSON of a request. 1 MiB of small numbers becomes 40 MiB of heap in the parser. */
#define JSON_REQUEST_BYTES_MAX (64u << 10)
/* JSON of a reply: 1000 table rows of a few hundred bytes, each with the longest uri, whose control
 * characters take six bytes. */
#define JSON_REPLY_BYTES_MAX (4u << 20)
/* Nesting of any JSON document that is read; a job file needs 4. */
#define JSON_DEPTH_MAX 16
#define TENSORS_MAX 16     /* tensors in one message; the fused step's result needs 8 */
#define TENSOR_DIMS_MAX 6  /* NHWC needs 4 */
#define TENSOR_NAME_MAX 64 /* bytes with the closing 0 */
#define NAME_MAX_BYTES 64  /* job, dataset and worker names, with the closing 0 */
#define UUID_BYTES 37      /* of a sender or a job: 36 characters and the closing 0 */
/* With whom what is bounded is shared: "key NAME", or an address. */
#define OWNER_BYTES (NAME_MAX_BYTES + 8)

/* --- connections --- */

#define LISTEN_URLS_MAX 8 /* a host has few networks, and every address is a socket */
/* Connections to one kind of address (sealed, plain): two a worker, and the people. An idle one
 * costs a descriptor and 1 KiB. */
#define CONNECTIONS_MAX 4096
#define CONNECTIONS_OF_ONE_MAX (CONNECTIONS_MAX / 4) /* of one key */
/* Incomplete messages of all connections together: thirty pieces.
 */
#define ARRIVING_BYTES_MAX (256u << 20)
/* Send and receive buffer of a socket, as far as the kernel grants it (net.core.wmem_max): a vector
 * of half a million floats leaves in one call; with 128 KiB sender and receiver wake each other a
 * dozen times on its way. */
#define SOCKET_BUFFER_BYTES (2 << 20)
/* Replies to people that their receivers have not taken: fifteen pieces, each of another
 * connection, as nothing is read from one before its reply has left. */
#define LEAVING_BYTES_MAX (128u << 20)
/* Likewise to workers, of which a thousand get a model at once: this part of the memory that the
 * server may use, and at least so many bytes. One key or address has half of either bound. */
#define LEAVING_WORKERS_SHARE 4
#define LEAVING_WORKERS_MIN (512u << 20)
/* Requests that wait for a lane (server/net/waits.h): in a line, of one key or address, and the
 * memory of a line's, of which a quarter is one's. A connection has one request in the server. */
#define WAITS_MAX 512
#define WAITS_OF_ONE_MAX 64
#define WAITS_BYTES_MAX (32u << 20)
#define SESSIONS_MAX 4096 /* of sealed messages: two a worker and the people; 1 MB in all */
#define SESSIONS_OF_ONE_MAX (SESSIONS_MAX / 4) /* of one key: one that is lost locks nobody out */
#define WORKERS_MAX 1024 /* a reply is held for each: the server walks their list every 100 ms */
#define WORKERS_OF_ONE_MAX (WORKERS_MAX / 2) /* of one key */
#define KEYS_KNOWN_MAX 4096 /* holders of keys, and revoked names: in one list of a reply */
#define KEYRING_MAX 16      /* in a key file: a cluster key in use, one that comes, one that goes */
/* Of browsers: one opens six, and Prometheus one. Half of the places are for whoever has shown a
 * pass. */
#define HTTP_CONNECTIONS_MAX 64
#define HTTP_STRANGERS_MAX (HTTP_CONNECTIONS_MAX / 2)
#define HTTP_HEADER_BYTES_MAX (16u << 10) /* request line and headers; browsers send 1 KiB */

/* --- open files: a process that may open fewer says so when it starts --- */

/* Both databases with their logs, to write and to read: 16; loop, lanes, signals and addresses: 16;
 * the least of connections: 16; writing a dataset, a checkpoint and a backup: 12; queries in SQL,
 * and a picture that is decoded: 12. */
#define SERVER_FILES_MIN 72
#define WORKER_FILES_MIN 24 /* two connections of nanomsg: 16; the cache, a key, a pipe */
#define CLI_FILES_MIN 12    /* a connection: 7; a folder of pictures, three deep */

/* --- models --- */

#define LAYERS_MAX 128
#define CHANNELS_MAX 16 /* of an image: mean and deviation of each are in every model */
/* For pixels in [0, 1]; values meant for 0 to 255 are refused with a hint. The smallest deviation
 * is below any that pixels of 1/255 can have over DATASET_BYTES_MAX of them. */
#define INPUT_MEAN_MAX 10
#define INPUT_STD_MIN 1e-10
#define INPUT_STD_MAX 10
#define CONV_CHANNELS_MAX 4096 /* wider than any known network; products stay below 2^63 */
#define WINDOW_MAX 64          /* side of a kernel, a window or a stride; likewise */
/* Entries of one layer's output for one image: a shard of 64 such images is 4 GiB. */
#define ACTIVATION_MAX (1u << 24)
/* Measurements of flatness in a reply, of some 4 KiB each. */
#define FLATNESS_ROWS_MAX 100
/* Numbers that score.probabilities keeps, samples times classes: 128 MiB in memory, once in the run
 * and once for each epoch that is being written, and as much on the disk. */
#define PROBABILITIES_MAX (1u << 25)
#define METRIC_NAME_BYTES 65 /* 64 characters and the closing 0 */
#define METRICS_MAX 256 /* names of a job: each is a chart; a row of 100 bytes for each epoch */
#define INLINE_FLOATS_MAX (PIECE_BYTES_MAX / 4) /* a longer vector travels in pieces */
/* 256 MiB, 32 pieces. The server sums and updates between two messages: a longer vector would keep
 * the others waiting for seconds. */
#define PARAM_FLOATS_MAX (1u << 26)
#define PIECES_MAX (PARAM_FLOATS_MAX / INLINE_FLOATS_MAX)
/* Shorter vectors always travel in messages: to copy one takes less time than to wake its worker.
 */
#define SHARED_FLOATS_MIN (1u << 17)
/* Gradients of workers on this machine, in memory that both have: this part of --memory. */
#define SHARED_MEMORY_PART 4
#define UPLOADS_MAX 4 /* gradients that arrive in pieces at the same time: a buffer each */

/* --- datasets --- */

/* Of a list of scores, labels or samples as text: 26 bytes a line for each of SAMPLES_MAX, and
 * room. */
#define NUMBERS_TEXT_BYTES_MAX (7ull << 30)
/* What the server holds of a sample at most, for a job of very many that measures them by sweeps:
 * its score, rank and use, the order of an epoch, room to sort in, copies of the ranks, its history
 * while an epoch is folded (server/jobs/job_memory.c). Scores from the steps themselves, measure
 * forgetting and probabilities come on top. */
#define SAMPLE_BYTES_MAX 200
/* 50 GiB by that. A job that --memory does not allow is refused when it is submitted, with the
 * bytes. */
#define SAMPLES_MAX (1u << 28)
/* A label has 16 bits, of which one value says that there is none: iNaturalist has 5 089 classes,
 * ImageNet-21k 21 841. What grows with their square has bounds of its own. */
#define CLASSES_MAX 65535
#define DOMAINS_MAX 1000 /* each may be a split of its own, by name in a job file */
/* Classes times domains of a dataset of which a job holds a share out: a count for each, of 12
 * bytes. */
#define SPLIT_GROUPS_MAX (1u << 22)
/* Of a table of what samples of each class are taken for: 4 MB, as wide as no screen is. */
#define CONFUSION_CLASSES_MAX 1000
/* Classes in one list of a reply that says more about each: within JSON_REPLY_BYTES_MAX. */
#define CLASS_ROWS_MAX 1000
/* Folds of a dataset: each is a training run, and beyond ten the rest hardly grows. */
#define FOLDS_MAX 20
#define CLASS_NAME_BYTES_MAX 128 /* of a domain as well */
/* Names of all classes as a JSON list: those of ImageNet-21k are 0.8 MB. The parser takes forty
 * times that in memory. */
#define CLASS_NAMES_BYTES_MAX (1u << 20)
/* Of a sample's uri, in the form in which it is kept: a path of a dozen folders. */
#define URI_BYTES_MAX 512
#define IMAGE_SIDE_MAX 512    /* a batch of larger ones does not fit a worker's memory */
#define THUMBNAIL_SIDE_MAX 64 /* of a manifest: what a list of samples shows */
#define PICTURE_SIDE_MAX 8192 /* before it is scaled down: 192 MiB of pixels, 67 megapixels */
/* A worker maps all of it, which leaves memory again where there is less; the server keeps 128 MiB
 * of hashes of it. Offsets travel as numbers, which are exact up to 2^53. */
#define DATASET_BYTES_MAX (1ull << 40)
#define DATASETS_MAX 1000 /* in one list of a reply */
/* Verdicts on the labels of a dataset. A row takes 100 bytes of state.db and a note: 100 MiB. */
#define VERDICTS_MAX (1 << 20)
#define VERDICT_NOTE_BYTES 200 /* a sentence, with the closing 0 */
#define VERDICTS_PUT_MAX                                                                           \
    500 /* in one request: within JSON_REQUEST_BYTES_MAX, if notes are short                       \
         */
#define VERDICT_REQUESTS                                                                           \
    10000                   /* whose answers are remembered: a request comes again within minutes */
#define REVISIONS_MAX 10000 /* of a dataset: one a day for thirty years */
#define JOB_REVISIONS_MAX 64 /* of a job: each is an event of its log and a line of its file */
/* How long an interrupted upload is kept: its owner may continue it on Monday. */
#define LEFTOVER_DAYS 3
/* How long a complete upload is kept while nothing uses it: after a refusal a person may change a
 * word and try again. */
#define UPLOAD_IDLE_MS (10 * 60 * 1000)
/* Of --max-uploads: a quarter is one sender's, and a dataset of the largest size fits that. */
#define UPLOADS_BYTES_DEFAULT (4 * (int64_t)DATASET_BYTES_MAX)
#define UPLOADS_BYTES_WORD "4T" /* the same */
#define UPLOADS_BYTES_MIN (1 << 20)
/* What one key may have of the state folder's disk, with its datasets and uploads: one part of so
 * many. */
#define DISK_PARTS_OF_ONE 2
#define UPLOADS_KEPT_MAX 1000 /* in one list of a reply; the server walks it every second */

/* --- jobs --- */

#define JOBS_OPEN_MAX 1000 /* queued, running and paused together */
/* Of those, one key's: two studies of the usual size, and room for others. */
#define JOBS_OF_ONE_MAX (JOBS_OPEN_MAX / 4 * 3)
#define RUNNING_MAX 64              /* jobs at once (--max-running): a lease is looked up in each */
#define REFUSAL_BYTES_MAX 256       /* of a worker's sentence: one line in a job's log */
#define BATCH_MAX 65536             /* all ids of a batch go into one message, 8 bytes each */
#define SHARD_MAX 4096              /* a thread holds the activations of a shard */
#define EPOCHS_MAX 100000           /* each has a row and a line of the dashboard */
#define MILESTONES_MAX 16           /* of a learning rate that falls in steps */
#define THREADS_MAX 256             /* of a process: a shard of a step each */
#define GROUP_THREADS_MAX BATCH_MAX /* of a worker, which may have many processes */
#define NOTE_BYTES_MAX 512          /* of a worker's note on a job: a sentence */
#define NOTES_MAX 100               /* of a job until the server restarts: each is kept */
#define MEMORY_PARTS_OF_ONE 2       /* of --memory, for the external jobs of one key */
#define MEMORY_BYTES_MIN (16 << 20) /* of --memory: a small model with a small dataset */

/* --- predictions: new pictures through a trained model --- */

/* Open at a time, a quarter of them of one key: each holds a model, and a batch of pictures with
 * what was computed of it, 8 MiB each. */
#define PREDICTIONS_MAX 16
#define PREDICT_PICTURES_MAX 4096 /* of a batch, however small they are */
/* Pictures of a task, and of a shard where that is smaller: beside the largest picture (4 MiB). */
#define PREDICT_TASK_BYTES (4u << 20)
/* A picture's file from a browser (a phone's 50 megapixels take 20 MiB), and how many of them are
 * held at a time. */
#define DROPPED_BYTES_MAX (32u << 20)
#define DROPPED_MAX 2

/* --- studies --- */

#define STUDIES_MAX 1000    /* in one list of a reply */
#define STUDY_JOBS_MAX 500  /* half of the jobs that may be open: two studies fit */
#define STUDY_ARMS_MAX 64   /* named ones; a grid multiplies them */
#define STUDY_SEEDS_MAX 100 /* of an arm: an interval hardly shrinks behind that */
#define STUDY_AXES_MAX 16   /* keys of a grid */
#define STUDY_ARM_BYTES 128 /* "sam rho=0.05", with the closing 0: a column of a table */
/* Queued, running and paused jobs of all studies together: the others are for people's own jobs. */
#define STUDY_JOBS_OPEN_MAX (JOBS_OPEN_MAX / 4 * 3)
/* Points of all curves of a reply, three numbers each: within JSON_REPLY_BYTES_MAX. */
#define CURVE_POINTS_MAX 10000
#define CURVE_EPOCHS_MAX 200 /* points of one curve: more do not fit a screen */

/* --- the state folder --- */

/* Its absolute name, with the closing 0; the socket in it has to fit 108 bytes, or is not served.
 */
#define STATE_DIR_BYTES 448
/* Of whatever lies in it: behind its name that of a folder, and the longest that a file system has
 * for a file (255). */
#define STATE_PATH_BYTES (STATE_DIR_BYTES + 16 + 256)

/* --- the audit log --- */

/* Commands of the last months: a row takes some 200 bytes of state.db, 40 MB in all. */
#define AUDIT_ROWS_MAX 200000
/* Rows that go at a time when there are more, of whoever has the most. */
#define AUDIT_ROWS_CUT 2000
/* Rows that wait in memory while state.db cannot be written. */
#define AUDIT_WAITING_MAX 1000
#define AUDIT_TEXT_BYTES 240 /* of what a command is about, and of why it was refused */
/* Who is at the other end of a connection, as text: "tcp 192.168.100.100:65535". */
#define PEER_BYTES 64

/* --- databases --- */

/* Of a write-ahead log: a fold's slices stay below it. A larger log is being kept from moving into
 * its file, which is then reported, or it is cut once it has moved. */
#define DB_LOG_BYTES_MAX (64 << 20)

/* --- questions --- */

/* Queries in SQL that wait for their turn, in all and of one asker: each holds a message, and the
 * last of them waits for minutes. */
#define QUESTIONS_MAX 128
#define QUESTIONS_EACH_MAX 32
#define ROWS_MAX 1000               /* rows of one query reply: within JSON_REPLY_BYTES_MAX */
#define ROWS_PIECE_MAX 100000       /* rows of score.rows, 64 bytes each: within a message */
#define SCHEDULE_ENTRIES_MAX 500000 /* of job.schedule, 8 bytes each: within a message */
#define HISTOGRAM_BINS_MAX 200      /* more do not fit a screen */
#define HEATMAP_BINS_MAX 100        /* likewise, and there is a column an epoch */

static_assert(MESSAGE_BYTES_MAX < (1u << 31), "nanomsg message sizes are int");
static_assert(PIECES_MAX <= 64, "a word has a bit for each piece that has arrived");
static_assert(8ull * BATCH_MAX < PIECE_BYTES_MAX && 8ull * SCHEDULE_ENTRIES_MAX < PIECE_BYTES_MAX &&
                  64ull * ROWS_PIECE_MAX < PIECE_BYTES_MAX,
              "lists of samples go into one message");
static_assert((6u * URI_BYTES_MAX + 1000u) * ROWS_MAX < JSON_REPLY_BYTES_MAX,
              "a page of samples fits a reply, whatever they are called");
static_assert(CLASSES_MAX <= UINT16_MAX, "labels have 16 bits, and one value is none");
static_assert(4ull * CONFUSION_CLASSES_MAX * CONFUSION_CLASSES_MAX <= PIECE_BYTES_MAX &&
                  (6u * CLASS_NAME_BYTES_MAX + 500u) * CLASS_ROWS_MAX < JSON_REPLY_BYTES_MAX &&
                  2ull * CLASS_NAMES_BYTES_MAX + 16ull * CLASSES_MAX < JSON_REPLY_BYTES_MAX,
              "what a reply says of classes fits it");
static_assert(SESSIONS_OF_ONE_MAX >= 2 * WORKERS_OF_ONE_MAX, "a worker has two sessions");
static_assert(STUDY_JOBS_MAX <= STUDY_JOBS_OPEN_MAX && STUDY_JOBS_OPEN_MAX < JOBS_OPEN_MAX,
              "a study of any size fits the queue and leaves room");
static_assert(4ull * PREDICT_PICTURES_MAX <= PIECE_BYTES_MAX &&
                  (uint64_t)IMAGE_SIDE_MAX * IMAGE_SIDE_MAX * CHANNELS_MAX <= PREDICT_TASK_BYTES,
              "a batch and a task have room for a picture");
static_assert(CONNECTIONS_MAX >= 2 * WORKERS_MAX, "a worker has two connections at its end");

#endif
