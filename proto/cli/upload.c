/* offer, put, put .., and for a dataset commit. After each the server says how much it has; the
 * next piece begins there, so an interrupted upload continues where it stopped. */
#include "proto/cli/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/dataset.h"
#include "common/text.h"
#include "proto/cli/connection.h"
#include "proto/cli/dataset.h"
#include "proto/cli/draw.h"
#include "proto/cli/live.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"

#define BAR_CELLS 30
#define LINE_BYTES 512
/* The server hashes and checks the whole file. */
/* The server reads the whole file and checks it: as a slow disk does, and some. */
#define COMMIT_MS 600000
#define COMMIT_BYTES_MS 50000

struct upload {
    struct cli *cli;
    const char *name, *path;
    bool dataset;              /* its name on the server */
    struct live line;          /* of progress */
    char what[NAME_MAX_BYTES]; /* as steppe uploads lists it */
    char sha256[SHA256_HEX];
    int fd;
    uint64_t bytes, have;
    uint8_t *piece; /* [PIECE_BYTES_MAX] */
};

static cJSON *make_request(const struct upload *u)
{
    cJSON *request = cJSON_CreateObject();

    cJSON_AddStringToObject(request, "sha256", u->sha256);
    cJSON_AddNumberToObject(request, "bytes", (double)u->bytes);
    cJSON_AddStringToObject(request, "what", u->what);
    return request;
}

/* Takes the reply's `have`; it must lie in [least, bytes]. */
static int take_have(struct upload *u, const struct message *reply, uint64_t least,
                     struct errbuf *why)
{
    int64_t have;

    if (!reply_i64(reply->json, "have", &have) || have < 0 || (uint64_t)have < least ||
        (uint64_t)have > u->bytes)
        return err_set(why, -EBADMSG, "the server does not say how much of the file it has");
    u->have = (uint64_t)have;
    return 0;
}

static int offer(struct upload *u, struct errbuf *why)
{
    cJSON *request = make_request(u);
    struct message reply;

    if (u->dataset)
        cJSON_AddStringToObject(request, "name", u->name);
    int rc = connection_call(u->cli, MSG_DATASET_OFFER, request, &reply, why);

    if (rc != 0)
        return rc;
    rc = take_have(u, &reply, 0, why);
    message_done(&reply);
    return rc;
}

static int read_piece(struct upload *u, size_t bytes, struct errbuf *why)
{
    size_t done = 0;

    while (done < bytes) {
        ssize_t n = pread(u->fd, u->piece + done, bytes - done, (off_t)(u->have + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_set(why, n < 0 ? -errno : -EIO, "%s cannot be read: %s", u->path,
                           n < 0 ? err_text(errno) : "it became shorter");
        done += (size_t)n;
    }
    return 0;
}

static int put(struct upload *u, struct errbuf *why)
{
    uint64_t left = u->bytes - u->have;
    size_t n = left < PIECE_BYTES_MAX ? (size_t)left : PIECE_BYTES_MAX;
    struct message reply;

    int rc = read_piece(u, n, why);
    if (rc != 0)
        return rc;
    cJSON *request = make_request(u);
    cJSON_AddNumberToObject(request, "offset", (double)u->have);
    struct tensor piece = tensor_1d("piece", DTYPE_U8, n, u->piece);
    rc = connection_call_tensors(u->cli, MSG_DATASET_PUT, request, &piece, 1, CALL_DEADLINE_MS,
                                 &reply, NULL, why);
    if (rc != 0)
        return rc;
    rc = take_have(u, &reply, u->have + 1, why);
    message_done(&reply);
    return rc;
}

/* Shown while it goes, on a terminal. */
__attribute__((format(printf, 2, 3))) static void draw_line(struct upload *u, const char *fmt, ...)
{
    char text[LINE_BYTES];
    va_list ap;

    if (!u->cli->terminal || u->cli->args->json)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    live_draw(u->cli, &u->line, text);
}

static void draw_sent(struct upload *u)
{
    char bar[DRAW_LINE_BYTES], have[DRAW_TEXT_BYTES], all[DRAW_TEXT_BYTES];

    draw_line(u, "sending %.80s  %s  %s of %s", u->name,
              draw_progress((double)u->have / (double)u->bytes, BAR_CELLS, bar),
              draw_bytes(u->have, have), draw_bytes(u->bytes, all));
}

/* -ESTALE: the server's own file is damaged, and it wants the pieces again. */
static int commit(struct upload *u, cJSON **ret_row, struct errbuf *why)
{
    enum error_code code = ERR_INTERNAL;
    struct message reply;
    const cJSON *row;
    cJSON *request = cJSON_CreateObject();

    cJSON_AddStringToObject(request, "name", u->name);
    cJSON_AddStringToObject(request, "sha256", u->sha256);
    draw_line(u, "the server checks %.80s", u->name);
    int rc =
        connection_call_tensors(u->cli, MSG_DATASET_COMMIT, request, NULL, 0,
                                COMMIT_MS + (int)(u->bytes / COMMIT_BYTES_MS), &reply, &code, why);
    live_erase(&u->line);
    if (rc == -EREMOTEIO && code == ERR_GONE)
        return -ESTALE;
    if (rc != 0)
        return rc;
    rc = reply_object(reply.json, "dataset", &row, why);
    if (rc == 0)
        *ret_row = cJSON_DetachItemFromObjectCaseSensitive(reply.json, "dataset");
    message_done(&reply);
    return rc;
}

static int open_file(struct upload *u, struct errbuf *why)
{
    struct stat st;

    u->fd = open(u->path, O_RDONLY | O_CLOEXEC);
    if (u->fd < 0 || fstat(u->fd, &st) != 0)
        return err_set(why, -errno, "%s cannot be opened: %s", u->path, err_text(errno));
    u->bytes = (uint64_t)st.st_size;
    return 0;
}

/* The rest of the file, from where the server's copy ends. */
static int send_file(struct upload *u, const uint8_t sha256[SHA256_BYTES], struct errbuf *why)
{
    text_hex(sha256, SHA256_BYTES, u->sha256);
    u->piece = xmalloc(PIECE_BYTES_MAX);
    int rc = open_file(u, why);
    if (rc == 0)
        rc = offer(u, why);
    while (rc == 0 && u->have < u->bytes) {
        draw_sent(u);
        rc = put(u, why);
    }
    if (u->fd >= 0)
        close(u->fd);
    free(u->piece);
    return rc;
}

int upload_dataset(struct cli *cli, const char *name, const char *path,
                   const uint8_t sha256[SHA256_BYTES], cJSON **ret_row, struct errbuf *why)
{
    struct upload u = {.cli = cli, .name = name, .path = path, .dataset = true, .fd = -1};
    int rc = -ESTALE;

    snprintf(u.what, sizeof(u.what), "dataset %.50s", name);
    for (int i = 0; rc == -ESTALE && i < 2; i++) {
        rc = send_file(&u, sha256, why);
        if (rc == 0)
            rc = commit(&u, ret_row, why);
    }
    live_erase(&u.line);
    if (rc == -EINTR)
        err_set(why, rc, "stopped; repeat the import to continue where this one ended");
    return rc;
}

int upload_file(struct cli *cli, const char *name, const char *path,
                const uint8_t sha256[SHA256_BYTES], struct errbuf *why)
{
    struct upload u = {.cli = cli, .name = name, .path = path, .fd = -1};
    snprintf(u.what, sizeof(u.what), "%.60s", name);
    u.what[text_utf8_bytes(u.what, strlen(u.what))] = 0; /* no part of a character */
    int rc = send_file(&u, sha256, why);

    live_erase(&u.line);
    return rc;
}

static int name_samples(struct cli *cli, const char *name, const char *sha256, bool replace,
                        cJSON **io_row, enum error_code *ret_code, struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject();
    struct message reply;

    *ret_code = ERR_INTERNAL;
    cJSON_AddStringToObject(request, "name", name);
    cJSON_AddStringToObject(request, "sha256", sha256);
    cJSON_AddBoolToObject(request, "replace", replace);
    int rc = connection_call_tensors(cli, MSG_DATASET_NAME, request, NULL, 0, COMMIT_MS, &reply,
                                     ret_code, why);
    if (rc != 0)
        return rc;
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(reply.json, "kept")))
        print_note("the samples of dataset %s have other names already, which stay; steppe dataset "
                   "name gives them those of this import",
                   name);
    cJSON_Delete(*io_row);
    *io_row = cJSON_DetachItemFromObjectCaseSensitive(reply.json, "dataset");
    message_done(&reply);
    return 0;
}

static int send_names(struct cli *cli, const char *name, const char *path, const char *sha256,
                      bool replace, cJSON **io_row, struct errbuf *why)
{
    uint8_t digest[SHA256_BYTES];
    char what[NAME_MAX_BYTES];
    enum error_code code;

    if (!text_unhex(sha256, digest, sizeof(digest)))
        return err_set(why, -EINVAL, "%s is no SHA-256", sha256);
    int rc = name_samples(cli, name, sha256, replace, io_row, &code, why);
    if (rc == -EREMOTEIO && code == ERR_NOT_FOUND) {
        snprintf(what, sizeof(what), "names of %.50s", name);
        rc = upload_file(cli, what, path, digest, why);
        if (rc == 0)
            rc = name_samples(cli, name, sha256, replace, io_row, &code, why);
    }
    if (rc == -EREMOTEIO && code == ERR_UNKNOWN_TYPE) {
        print_note("the server is of a version that does not keep the names of samples");
        rc = 0;
    }
    return rc;
}

int upload_names(struct cli *cli, const char *name, const char *dir, const char *sha256,
                 const struct dataset_draft *draft, bool replace, cJSON **io_row,
                 struct errbuf *why)
{
    char *path = xasprintf("%s/names.safetensors", dir), names[SHA256_HEX];
    int rc = uris_write(path, sha256, &draft->uris, &draft->test_uris, names, why);

    if (rc == 0)
        rc = send_names(cli, name, path, names, replace, io_row, why);
    unlink(path);
    free(path);
    return rc;
}

char *upload_folder(struct errbuf *why)
{
    const char *tmp = getenv("TMPDIR");
    char *dir = xasprintf("%s/steppe-XXXXXX", tmp && *tmp ? tmp : "/tmp");

    if (mkdtemp(dir))
        return dir;
    err_set(why, -errno, "cannot make a folder in %s: %s", tmp && *tmp ? tmp : "/tmp",
            err_text(errno));
    free(dir);
    return NULL;
}
