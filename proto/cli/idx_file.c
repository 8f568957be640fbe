/* IDX: bytes 0 0 8 D (unsigned bytes, D dimensions), D big-endian sizes, then the bytes.
 *
 * The reader believes the sizes of a header only as far as the file can hold them, allocates what
 * they say and reads exactly that many bytes, so a small .gz cannot unfold beyond its header. zlib
 * reads plain files through the same calls. A file that ends too early, goes on too long or is
 * something else is refused with what it looks like. */
#include "proto/cli/idx_file.h"

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
#include "common/text.h"

#define IMAGE_DIMS 3
#define LABEL_DIMS 1
#define MAGIC_BYTES 4
#define SNIFF_BYTES 512 /* the mark of a tar is at 257 */
#define READ_BYTES_MAX (1u << 30)
#define UNZIP_BUFFER_BYTES (256u << 10)
#define DEFLATE_RATIO_MAX 1032 /* a deflate stream never unfolds further */
#define LINE_BYTES_MAX 32

struct input {
    char *path;
    gzFile gz;
    uint64_t bytes; /* on the disk */
};

static const struct {
    size_t at, bytes;
    const char *mark, *what;
} formats[] = {
    {0, 4, "\x89PNG", "a PNG image"},
    {0, 3, "\xff\xd8\xff", "a JPEG image"},
    {0, 4, "GIF8", "a GIF image"},
    {0, 4, "PK\3\4", "a zip archive"},
    {0, 6, "\3757zXZ\0", "an xz file"},
    {0, 3, "BZh", "a bzip2 file"},
    {0, 4, "\x28\xb5\x2f\xfd", "a zstd file"},
    {0, 2, "\x1f\x8b", "a gzip file"},
    {257, 5, "ustar", "a tar archive"},
    {0, 6, "\x93NUMPY", "a numpy array"},
    {0, 8, "\x89HDF\r\n\x1a\n", "an HDF5 file"},
    {0, 4, "PAR1", "a Parquet file"},
    {0, 5, "<?xml", "an XML page"},
    {0, 5, "<html", "an HTML page"},
    {0, 5, "<!DOC", "an HTML page"},
    {0, 5, "<!doc", "an HTML page"},
    {0, 4, "%PDF", "a PDF"},
    {0, 4, "\0\0\x08\1", "IDX labels"},
    {0, 4, "\0\0\x08\3", "IDX images"},
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

    /* Without O_NONBLOCK a pipe would be waited for. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0) {
        rc = err_set(why, -errno, "cannot open %s: %s", path, err_text(-errno));
        goto out;
    }
    if (!S_ISREG(st.st_mode) || st.st_size == 0) {
        rc = err_set(why, -EINVAL, "%s is %s, needed is an IDX file", path,
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

/* Refuses the file, which starts with something else than `wanted`. */
static int input_refuse(struct input *in, const char *wanted, struct errbuf *why)
{
    uint8_t head[SNIFF_BYTES];
    const char *what = NULL, *in_gzip = gzdirect(in->gz) ? "" : "a gzip of ";
    uint64_t got;

    if (gzrewind(in->gz) != 0)
        return err_set(why, -EINVAL, "%s is no %s", in->path, wanted);
    int rc = input_read(in, head, sizeof(head), &got, why);
    if (rc)
        return rc;
    for (size_t i = 0; !what && i < sizeof(formats) / sizeof(formats[0]); i++)
        if (formats[i].at + formats[i].bytes <= got &&
            memcmp(head + formats[i].at, formats[i].mark, formats[i].bytes) == 0)
            what = formats[i].what;
    if (what)
        return err_set(why, -EINVAL, "%s is %s%s, needed is %s", in->path, in_gzip, what, wanted);
    if (got < MAGIC_BYTES)
        return err_set(why, -EINVAL, "%s has %" PRIu64 " bytes only, needed is %s", in->path, got,
                       wanted);
    return err_set(why, -EINVAL, "%s starts with bytes %02x %02x %02x %02x, needed is %s", in->path,
                   head[0], head[1], head[2], head[3], wanted);
}

static int input_truncated(const struct input *in, uint64_t got, uint64_t needed,
                           struct errbuf *why)
{
    return err_set(why, -EINVAL,
                   "%s is truncated: it ends after %" PRIu64 " bytes, needed are %" PRIu64,
                   in->path, got, needed);
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
    /* All bytes are there, but the checksum behind them is not. */
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

static int labels_alloc(const char *path, uint32_t samples, uint16_t **ret, struct errbuf *why)
{
    *ret = malloc((samples ? samples : 1) * sizeof(**ret));
    return *ret
               ? 0
               : err_set(why, -ENOMEM, "no memory for the %" PRIu32 " labels of %s", samples, path);
}

/* Both numbers and both files. */
static int counts_differ(const char *labels_path, uint64_t labels, const char *images_path,
                         uint32_t images, struct errbuf *why)
{
    return err_set(why, -EINVAL, "%s has %" PRIu64 " labels, but %s has %" PRIu32 " images",
                   labels_path, labels, images_path, images);
}

static int labels_read_idx(struct input *in, const char *images_path, uint32_t samples,
                           uint16_t **ret, struct errbuf *why)
{
    uint32_t sizes[IMAGE_DIMS];
    uint8_t *bytes = NULL;
    uint16_t *labels = NULL;
    int rc = header_read(in, LABEL_DIMS, sizes, why);

    if (!rc && sizes[0] != samples)
        rc = counts_differ(in->path, sizes[0], images_path, samples, why);
    if (!rc)
        rc = body_read(in, LABEL_DIMS, samples, &bytes, why);
    if (!rc)
        rc = labels_alloc(in->path, samples, &labels, why);
    for (uint32_t i = 0; !rc && i < samples; i++)
        labels[i] = bytes[i];
    free(bytes);
    if (!rc)
        *ret = labels;
    return rc;
}

/* The next line without its end and the blanks around it; *ret_more is false behind the last. */
static int line_read(struct input *in, uint64_t number, char line[LINE_BYTES_MAX], bool *ret_more,
                     struct errbuf *why)
{
    int used = 0, c, code;

    while ((c = gzgetc(in->gz)) != -1 && c != '\n') {
        if (used == 0 && (c == ' ' || c == '\t'))
            continue;
        if (used == LINE_BYTES_MAX - 1 || c == 0)
            return err_set(why, -EINVAL, "line %" PRIu64 " of %s is no number from 0 to %d", number,
                           in->path, CLASSES_MAX - 1);
        line[used++] = (char)c;
    }
    const char *text = gzerror(in->gz, &code);
    if (c == -1 && code != Z_OK && code != Z_STREAM_END)
        return err_set(why, -EINVAL, "%s is damaged or truncated (%s)", in->path, text);
    *ret_more = c != -1 || used > 0;
    while (used > 0 && strchr(" \t\r", line[used - 1]))
        used--;
    line[used] = 0;
    return 0;
}

/* One number a line; empty lines only at the end. */
static int labels_read_text(struct input *in, const char *images_path, uint32_t samples,
                            uint16_t **ret, struct errbuf *why)
{
    uint64_t number = 0, count = 0;
    uint16_t *labels;
    char line[LINE_BYTES_MAX];
    bool more = true;
    int rc = labels_alloc(in->path, samples, &labels, why);

    while (!rc) {
        int64_t label;
        rc = line_read(in, ++number, line, &more, why);
        if (rc || !more)
            break;
        if (!line[0])
            continue;
        if (count + 1 != number)
            rc = err_set(why, -EINVAL, "line %" PRIu64 " of %s is empty, needed is a label",
                         count + 1, in->path);
        else if (!text_i64(line, 0, CLASSES_MAX - 1, &label))
            rc = err_set(why, -EINVAL, "line %" PRIu64 " of %s is \"%s\", allowed is 0 to %d",
                         number, in->path, line, CLASSES_MAX - 1);
        else if (count < samples)
            labels[count++] = (uint16_t)label;
        else
            rc = err_set(why, -EINVAL,
                         "%s has more than %" PRIu32 " labels, but %s has %" PRIu32 " images",
                         in->path, samples, images_path, samples);
    }
    if (!rc && count != samples)
        rc = counts_differ(in->path, count, images_path, samples, why);
    if (rc)
        free(labels);
    else
        *ret = labels;
    return rc;
}

int idx_file_labels(const char *path, const char *images_path, uint32_t samples, bool allow_text,
                    uint16_t **ret, struct errbuf *why)
{
    struct input in = {0};
    int rc = input_open(path, &in, why);

    if (rc)
        return rc;
    int first = allow_text ? gzgetc(in.gz) : 0;
    if (first > 0 && !strchr("+-0123456789 \t\r\n", first))
        rc = input_refuse(&in, "IDX labels or text with one number a line", why);
    else if (allow_text && first != -1 && gzrewind(in.gz) != 0)
        rc = err_set(why, -EINVAL, "%s cannot be read from its beginning again", path);
    else if (first > 0)
        rc = labels_read_text(&in, images_path, samples, ret, why);
    else
        rc = labels_read_idx(&in, images_path, samples, ret, why);
    input_close(&in);
    return rc;
}
