#include "worker/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/file.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/text.h"

#define PIECE_MS 30000

static int pull_piece(struct client *client, const char *sha256, uint64_t offset, uint64_t bytes,
                      int fd, struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject();
    struct message reply = {0};
    const struct tensor *piece;
    uint64_t shape[1] = {bytes};

    cJSON_AddStringToObject(request, "sha256", sha256);
    cJSON_AddNumberToObject(request, "offset", (double)offset);
    cJSON_AddNumberToObject(request, "bytes", (double)bytes);
    int rc = client_call(client, MSG_DATASET_GET, request, NULL, 0, PIECE_MS, 0, &reply, NULL, why);
    cJSON_Delete(request);
    if (rc < 0)
        return rc;
    rc = message_tensor(&reply, "piece", DTYPE_U8, 1, shape, &piece, why);
    if (rc == 0) {
        rc = file_write_at(fd, piece->data, piece->bytes, offset);
        if (rc < 0)
            err_set(why, rc, "cannot keep a piece of dataset %.16s...: %s", sha256, err_text(rc));
    }
    message_done(&reply);
    return rc;
}

static int pull_rest(struct client *client, const char *sha256, uint64_t bytes, int fd,
                     struct errbuf *why)
{
    struct stat st;
    int rc = 0;

    if (fstat(fd, &st) < 0)
        return err_set(why, -errno, "cannot look at a download: %s", err_text(-errno));
    uint64_t have = (uint64_t)st.st_size <= bytes ? (uint64_t)st.st_size : 0;
    log_info("dataset.pull", "sha256=%s have=%llu bytes=%llu", sha256, (unsigned long long)have,
             (unsigned long long)bytes);
    while (rc == 0 && have < bytes) {
        uint64_t n = bytes - have < PIECE_BYTES_MAX ? bytes - have : PIECE_BYTES_MAX;

        rc = pull_piece(client, sha256, have, n, fd, why);
        have += n;
    }
    if (rc == 0 && fsync(fd) < 0)
        rc = err_set(why, -errno, "cannot keep dataset %.16s...: %s", sha256, err_text(-errno));
    return rc;
}

/* Downloads to part (locked by fd) and renames to path when the hash is right. */
static int download(struct client *client, const char *sha256, uint64_t bytes, int fd,
                    const char *part, const char *path, struct errbuf *why)
{
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX];
    int rc = pull_rest(client, sha256, bytes, fd, why);

    if (rc == 0)
        rc = sha256_file(part, digest, why);
    if (rc < 0)
        return rc;
    text_hex(digest, sizeof(digest), hex);
    if (strcmp(hex, sha256) != 0) {
        unlink(part);
        return err_set(why, -EUCLEAN, "the dataset came with SHA-256 %.16s..., wanted %.16s...",
                       hex, sha256);
    }
    if (rename(part, path) < 0)
        return err_set(why, -errno, "cannot rename %s: %s", part, err_text(-errno));
    return 0;
}

/* Waits for the lock of the part file, so that one worker of a host downloads. */
static int lock_part(int fd, const char *part, const volatile sig_atomic_t *stop,
                     struct errbuf *why)
{
    const struct timespec pause = {.tv_nsec = 200000000};

    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return err_set(why, -errno, "cannot lock %s: %s", part, err_text(-errno));
        if (stop && *stop)
            return -EINTR;
        nanosleep(&pause, NULL);
    }
    return 0;
}

static bool whole(const char *path, uint64_t bytes)
{
    struct stat st;

    return stat(path, &st) == 0 && (uint64_t)st.st_size == bytes;
}

int cache_dataset(const char *dir, struct client *client, const char *sha256, uint64_t bytes,
                  const volatile sig_atomic_t *stop, struct dataset *ret, struct errbuf *why)
{
    char path[700], part[700];
    int fd = -1, rc;

    if (snprintf(path, sizeof(path), "%s/%s.safetensors", dir, sha256) >= (int)sizeof(path))
        return err_set(why, -ENAMETOOLONG, "the cache folder's name is too long: %s", dir);
    snprintf(part, sizeof(part), "%s/%s.part", dir, sha256);
    rc = file_mkdirs(dir, 0700, why);
    if (rc < 0)
        return rc;
    if (!whole(path, bytes)) {
        fd = open(part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return err_set(why, -errno, "cannot write %s: %s", part, err_text(-errno));
        rc = lock_part(fd, part, stop, why);
        if (rc == 0 && whole(path, bytes)) /* another worker was faster */
            unlink(part);
        else if (rc == 0)
            rc = download(client, sha256, bytes, fd, part, path, why);
        close(fd);
    }
    return rc < 0 ? rc : dataset_open(path, ret, why);
}
