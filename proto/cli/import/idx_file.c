/* IDX: bytes 0 0 8 D (unsigned bytes, D dimensions), D big-endian sizes, then the bytes.
 *
 * The reader believes the sizes of a header only as far as the file can hold them, allocates for
 * them and reads exactly that many bytes, so a small .gz cannot unfold beyond its header. zlib
 * reads plain files through the same calls. A file that is too short, too long or something else is
 * refused, with what it looks like. */
#include "proto/cli/import/idx_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "common/alloc.h"
#include "common/sniff.h"

#define IMAGE_DIMS 3
#define LABEL_DIMS 1
#define MAGIC_BYTES 4
#define READ_BYTES_MAX (1u << 30)
#define UNZIP_BUFFER_BYTES (256u << 10)
#define DEFLATE_RATIO_MAX 1032 /* a deflate stream never unfolds further */

struct input {
    char *path;
    gzFile gz;
    uint64_t bytes; /* on the disk */
};

static void input_close(struct input *in)
{
    if (in->gz)
        gzclose_r(in->gz);
    free(in->path);
    *in = (struct input){0};
}

static int input_open(const char *path, struct input *ret, struct errbuf *why)
{
    struct input in = {.path = xstrdup(path)};
    struct stat st;
    int rc = 0;

    /* Without O_NONBLOCK we would wait for a pipe. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0) {
        rc = err_set(why, -errno, "cannot open %s: %s", path, err_text(-errno));
        goto out;
    }
    if (!S_ISREG(st.st_mode) || st.st_size == 0) {
        rc = err_set(why, -EINVAL, "%s is %s, expected an IDX file", path,
                     S_ISREG(st.st_mode)   ? "empty"
                     : S_ISDIR(st.st_mode) ? "a folder"
                                           : "not a file");
        goto out;
    }
    in.bytes = (uint64_t)st.st_size;
    in.gz = gzdopen(fd, "rb");
    if (!in.gz) {
        rc = err_set(why, -ENOMEM, "no memory to read %s", path);
        goto out;
    }
    fd = -1;
    gzbuffer(in.gz, UNZIP_BUFFER_BYTES);
    *ret = in;
    in = (struct input){0};
out:
    if (fd >= 0)
        close(fd);
    input_close(&in);
    return rc;
}

/* Reads up to bytes; *ret_got is less only where the file ends. */
static int input_read(struct input *in, void *data, uint64_t bytes, uint64_t *ret_got,
                      struct errbuf *why)
{
    uint64_t got = 0;
    int n = 1;

    while (got < bytes && n > 0) {
        uint64_t left = bytes - got;
        n = gzread(in->gz, (uint8_t *)data + got,
                   left < READ_BYTES_MAX ? (unsigned)left : READ_BYTES_MAX);
        if (n > 0)
            got += (uint64_t)n;
    }
    if (n < 0) {
        int code, rc = -errno;
        const char *text = gzerror(in->gz, &code);
        if (code == Z_ERRNO)
            return err_set(why, rc, "cannot read %s: %s", in->path, err_text(rc));
        return err_set(why, -EINVAL, "%s is a damaged gzip file (%s)", in->path, text);
    }
    *ret_got = got;
    return 0;
}

/* Refuses the file, which does not start with `wanted`. */
static int input_refuse(struct input *in, const char *wanted, struct errbuf *why)
{
    uint8_t head[SNIFF_BYTES];
    const char *what, *in_gzip = gzdirect(in->gz) ? "" : "a gzip of ";
    uint64_t got;

    if (gzrewind(in->gz) != 0)
        return err_set(why, -EINVAL, "%s is no %s", in->path, wanted);
    int rc = input_read(in, head, sizeof(head), &got, why);
    if (rc)
        return rc;
    what = sniff_format(head, got);
    if (what)
        return err_set(why, -EINVAL, "%s is %s%s, expected %s", in->path, in_gzip, what, wanted);
    if (got < MAGIC_BYTES)
        return err_set(why, -EINVAL, "%s has %" PRIu64 " bytes only, expected %s", in->path, got,
                       wanted);
    return err_set(why, -EINVAL, "%s starts with bytes %02x %02x %02x %02x, expected %s", in->path,
                   head[0], head[1], head[2], head[3], wanted);
}

static int input_truncated(const struct input *in, uint64_t got, uint64_t needed,
                           struct errbuf *why)
{
    return err_set(why, -EINVAL,
                   "%s is truncated: it ends after %" PRIu64 " bytes, expected %" PRIu64, in->path,
                   got, needed);
}

/* Reads the magic and the sizes. */
static int header_read(struct input *in, int dims, uint32_t sizes[IMAGE_DIMS], struct errbuf *why)
{
    static const char *const wanted[] = {
        [LABEL_DIMS] = "IDX labels (0 0 8 1: unsigned bytes, 1 dimension)",
        [IMAGE_DIMS] = "IDX images (0 0 8 3: unsigned bytes, 3 dimensions)"};
    uint8_t head[MAGIC_BYTES + 4 * IMAGE_DIMS];
    const uint8_t magic[MAGIC_BYTES] = {0, 0, 8, (uint8_t)dims};
    uint64_t got, bytes = MAGIC_BYTES + 4 * (uint64_t)dims;
    int rc = input_read(in, head, bytes, &got, why);

    if (rc)
        return rc;
    if (got < MAGIC_BYTES || memcmp(head, magic, MAGIC_BYTES) != 0)
        return input_refuse(in, wanted[dims], why);
    if (got < bytes)
        return input_truncated(in, got, bytes, why);
    for (int i = 0; i < dims; i++) {
        const uint8_t *size = head + MAGIC_BYTES + 4 * i;
        sizes[i] =
            (uint32_t)size[0] << 24 | (uint32_t)size[1] << 16 | (uint32_t)size[2] << 8 | size[3];
    }
    return 0;
}

/* The rest of the file, which must be exactly `bytes` long, in malloc'd memory. */
static int body_read(struct input *in, int dims, uint64_t bytes, uint8_t **ret, struct errbuf *why)
{
    uint64_t head_bytes = MAGIC_BYTES + 4 * (uint64_t)dims, got, more = 0;
    uint64_t most = gzdirect(in->gz) ? in->bytes : (in->bytes + 1) * DEFLATE_RATIO_MAX;
    uint8_t *data = NULL, next;
    int code, rc;

    if (head_bytes + bytes > most && gzdirect(in->gz))
        return input_truncated(in, most, head_bytes + bytes, why);
    if (head_bytes + bytes > most)
        return err_set(why, -EINVAL,
                       "%s is truncated: its header announces %" PRIu64 " bytes, but the %" PRIu64
                       " bytes of the file unfold to %" PRIu64 " at most",
                       in->path, head_bytes + bytes, in->bytes, most);
    data = malloc(bytes ? bytes : 1);
    if (!data)
        return err_set(why, -ENOMEM, "no memory for the %" PRIu64 " bytes of %s", bytes, in->path);
    rc = input_read(in, data, bytes, &got, why);
    if (!rc && got < bytes)
        rc = input_truncated(in, head_bytes + got, head_bytes + bytes, why);
    if (!rc)
        rc = input_read(in, &next, 1, &more, why);
    if (!rc && more)
        rc = err_set(why, -EINVAL,
                     "%s goes on after the %" PRIu64 " bytes that its header announces", in->path,
                     head_bytes + bytes);
    /* All bytes are there, but the checksum after them is missing. */
    gzerror(in->gz, &code);
    if (!rc && code == Z_BUF_ERROR)
        rc = err_set(why, -EINVAL, "%s is truncated: its gzip checksum is missing", in->path);
    if (rc)
        free(data);
    else
        *ret = data;
    return rc;
}

static int images_check(const struct input *in, const uint32_t sizes[IMAGE_DIMS],
                        struct errbuf *why)
{
    for (int i = 1; i < IMAGE_DIMS; i++)
        if (sizes[i] < 1 || sizes[i] > IMAGE_SIDE_MAX)
            return err_set(why, -EINVAL, "%s has images %" PRIu32 " pixels %s, allowed is 1 to %d",
                           in->path, sizes[i], i == 1 ? "high" : "wide", IMAGE_SIDE_MAX);
    if (sizes[0] > SAMPLES_MAX)
        return err_set(why, -EINVAL, "%s has %" PRIu32 " images, allowed is up to %u", in->path,
                       sizes[0], SAMPLES_MAX);
    uint64_t bytes = (uint64_t)sizes[0] * sizes[1] * sizes[2];
    if (bytes > DATASET_BYTES_MAX)
        return err_set(why, -EFBIG, "%s has %" PRIu64 " bytes of images, allowed is up to %" PRIu64,
                       in->path, bytes, (uint64_t)DATASET_BYTES_MAX);
    return 0;
}

int idx_file_images(const char *path, struct idx_images *ret, struct errbuf *why)
{
    struct input in = {0};
    uint32_t sizes[IMAGE_DIMS];
    uint8_t *data = NULL;
    int rc = input_open(path, &in, why);

    if (!rc)
        rc = header_read(&in, IMAGE_DIMS, sizes, why);
    if (!rc)
        rc = images_check(&in, sizes, why);
    if (!rc)
        rc = body_read(&in, IMAGE_DIMS, (uint64_t)sizes[0] * sizes[1] * sizes[2], &data, why);
    if (!rc)
        *ret = (struct idx_images){sizes[0], {sizes[1], sizes[2], 1}, data};
    input_close(&in);
    return rc;
}

bool idx_file_is(const char *path)
{
    struct input in = {0};
    bool is = input_open(path, &in, NULL) == 0 && gzgetc(in.gz) == 0;

    input_close(&in);
    return is;
}

static int labels_read(struct input *in, const char *images_path, uint32_t samples, uint16_t **ret,
                       struct errbuf *why)
{
    uint32_t sizes[IMAGE_DIMS];
    uint8_t *bytes = NULL;
    uint16_t *labels = NULL;
    int rc = header_read(in, LABEL_DIMS, sizes, why);

    if (!rc && sizes[0] != samples)
        rc = err_set(why, -EINVAL, "%s has %" PRIu32 " labels, but %s has %" PRIu32 " images",
                     in->path, sizes[0], images_path, samples);
    if (!rc)
        rc = body_read(in, LABEL_DIMS, samples, &bytes, why);
    if (!rc && !(labels = malloc((samples ? samples : 1) * sizeof(*labels))))
        rc = err_set(why, -ENOMEM, "no memory for the %" PRIu32 " labels of %s", samples, in->path);
    for (uint32_t i = 0; !rc && i < samples; i++)
        labels[i] = bytes[i];
    free(bytes);
    if (!rc)
        *ret = labels;
    return rc;
}

int idx_file_labels(const char *path, const char *images_path, uint32_t samples, uint16_t **ret,
                    struct errbuf *why)
{
    struct input in = {0};
    int rc = input_open(path, &in, why);

    if (rc)
        return rc;
    rc = labels_read(&in, images_path, samples, ret, why);
    input_close(&in);
    return rc;
}
