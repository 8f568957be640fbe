/* .npy: the magic, a version, the length of a header, the header (a Python dictionary with the
 * keys descr, fortran_order and shape), then the entries.
 *
 * The header is parsed strictly and believed only as far as the file's size agrees with it: a file
 * that is shorter or longer than what it announces is refused before anything is allocated. */
#include "proto/cli/npy_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bounds.h"
#include "common/text.h"

#define MAGIC "\x93NUMPY"
#define MAGIC_BYTES 6
#define PREFIX_BYTES 12              /* with version 2 and its length of four bytes */
#define HEADER_BYTES_MAX (64u << 10) /* a shape and a type need 120 */
#define WORD_BYTES 32
#define SHAPE_TEXT_BYTES 160

struct input {
    const char *path;
    FILE *file;
    uint64_t bytes;
    /* from the header */
    char descr[WORD_BYTES];
    bool fortran;
    int dims;
    uint64_t shape[TENSOR_DIMS_MAX];
    uint64_t data_at;
};

static int input_open(const char *path, struct input *ret, struct errbuf *why)
{
    struct stat st;
    int rc = 0;

    /* Without O_NONBLOCK a pipe would be waited for. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0)
        rc = err_set(why, -errno, "cannot open %s: %s", path, err_text(-errno));
    else if (!S_ISREG(st.st_mode))
        rc = err_set(why, -EINVAL, "%s is %s, needed is a .npy file", path,
                     S_ISDIR(st.st_mode) ? "a folder" : "not a file");
    FILE *file = rc ? NULL : fdopen(fd, "rb");
    if (!rc && !file)
        rc = err_set(why, -ENOMEM, "no memory to read %s", path);
    if (rc) {
        if (fd >= 0)
            close(fd);
        return rc;
    }
    *ret = (struct input){.path = path, .file = file, .bytes = (uint64_t)st.st_size};
    return 0;
}

static int input_read(struct input *in, void *data, size_t bytes, struct errbuf *why)
{
    if (fread(data, 1, bytes, in->file) == bytes)
        return 0;
    if (ferror(in->file))
        return err_set(why, -EIO, "cannot read %s: %s", in->path, err_text(-EIO));
    return err_set(why, -EINVAL, "%s is truncated: it ends after %" PRIu64 " bytes", in->path,
                   in->bytes);
}

static void blanks(const char **at)
{
    *at += strspn(*at, " \t\r\n");
}

static bool take(const char **at, char c)
{
    blanks(at);
    if (**at != c)
        return false;
    ++*at;
    return true;
}

/* The bytes up to one of the ends, which must be there. */
static bool take_until(const char **at, const char *ends, char word[WORD_BYTES])
{
    size_t bytes = strcspn(*at, ends);

    if (bytes >= WORD_BYTES || !(*at)[bytes])
        return false;
    memcpy(word, *at, bytes);
    word[bytes] = 0;
    *at += bytes;
    return true;
}

static bool take_string(const char **at, char word[WORD_BYTES])
{
    if (take(at, '\''))
        return take_until(at, "'", word) && take(at, '\'');
    return take(at, '"') && take_until(at, "\"", word) && take(at, '"');
}

static bool take_bool(const char **at, bool *ret)
{
    char word[WORD_BYTES];

    blanks(at);
    if (!take_until(at, " ,}", word))
        return false;
    *ret = strcmp(word, "True") == 0;
    return *ret || strcmp(word, "False") == 0;
}

/* "(60000, 28, 28)", "(5,)", "()". */
static bool take_shape(const char **at, struct input *in)
{
    char word[WORD_BYTES];
    int64_t size;

    if (!take(at, '('))
        return false;
    in->dims = 0;
    while (!take(at, ')')) {
        if (in->dims == TENSOR_DIMS_MAX || !take_until(at, " ,)", word) ||
            !text_i64(word, 0, INT64_MAX, &size))
            return false;
        in->shape[in->dims++] = (uint64_t)size;
        if (!take(at, ',')) {
            blanks(at);
            if (**at != ')')
                return false;
        }
    }
    return true;
}

static bool take_entry(const char **at, struct input *in, unsigned *seen)
{
    static const char *const keys[] = {"descr", "fortran_order", "shape", NULL};
    char key[WORD_BYTES];

    if (!take_string(at, key) || !take(at, ':'))
        return false;
    int which = text_index(key, keys);
    if (which < 0 || *seen & 1u << which)
        return false;
    *seen |= 1u << which;
    return which == 0   ? take_string(at, in->descr)
           : which == 1 ? take_bool(at, &in->fortran)
                        : take_shape(at, in);
}

static bool header_parse(const char *text, struct input *in)
{
    const char *at = text;
    unsigned seen = 0;

    if (!take(&at, '{'))
        return false;
    while (!take(&at, '}'))
        if (!take_entry(&at, in, &seen) || (!take(&at, ',') && *at != '}'))
            return false;
    blanks(&at);
    return *at == 0 && seen == 7;
}

static int header_read(struct input *in, struct errbuf *why)
{
    uint8_t prefix[PREFIX_BYTES];
    char *text = NULL;

    if (in->bytes < MAGIC_BYTES)
        return err_set(why, -EINVAL, "%s has %" PRIu64 " bytes only, needed is a .npy file",
                       in->path, in->bytes);
    int rc = input_read(in, prefix, MAGIC_BYTES, why);
    if (rc)
        return rc;
    if (memcmp(prefix, MAGIC, MAGIC_BYTES) != 0)
        return err_set(why, -EINVAL,
                       "%s starts with bytes %02x %02x %02x %02x, needed is a .npy file (93 4e 55 "
                       "4d)",
                       in->path, prefix[0], prefix[1], prefix[2], prefix[3]);
    rc = input_read(in, prefix, 4, why);
    if (rc)
        return rc;
    uint8_t version = prefix[0];
    if (version < 1 || version > 3)
        return err_set(why, -EINVAL, "%s has .npy version %u, allowed is 1 to 3", in->path,
                       version);
    if (version > 1)
        rc = input_read(in, prefix + 4, 2, why);
    if (rc)
        return rc;
    uint32_t bytes = prefix[2] | (uint32_t)prefix[3] << 8;
    if (version > 1)
        bytes |= (uint32_t)prefix[4] << 16 | (uint32_t)prefix[5] << 24;
    if (bytes > HEADER_BYTES_MAX)
        return err_set(why, -EINVAL, "%s has a header of %" PRIu32 " bytes, allowed is up to %u",
                       in->path, bytes, HEADER_BYTES_MAX);
    text = malloc(bytes + 1u);
    if (!text)
        return err_set(why, -ENOMEM, "no memory for the header of %s", in->path);
    rc = input_read(in, text, bytes, why);
    if (!rc) {
        text[bytes] = 0;
        in->data_at = MAGIC_BYTES + (version > 1 ? 6u : 4u) + bytes;
        if (strlen(text) != bytes || !header_parse(text, in))
            rc = err_set(why, -EINVAL,
                         "%s has a header that is not {'descr': 'TYPE', 'fortran_order': False, "
                         "'shape': (N, ...)}",
                         in->path);
    }
    free(text);
    if (!rc && in->fortran)
        rc = err_set(why, -EINVAL,
                     "%s has fortran_order True, allowed is False (numpy.ascontiguousarray)",
                     in->path);
    return rc;
}

static const char *shape_text(const struct input *in, char buf[SHAPE_TEXT_BYTES])
{
    size_t used = 1;

    strcpy(buf, "[");
    for (int i = 0; i < in->dims; i++)
        used += (size_t)snprintf(buf + used, SHAPE_TEXT_BYTES - used, "%s%" PRIu64, i ? "," : "",
                                 in->shape[i]);
    snprintf(buf + used, SHAPE_TEXT_BYTES - used, "]");
    return buf;
}

/* All entries, of entry_bytes each, in malloc'd memory; the file must end behind them. */
static int body_read(struct input *in, uint32_t entry_bytes, uint8_t **ret, struct errbuf *why)
{
    /* A file that grows while it is read may have had its header behind the old end. */
    uint64_t bytes = entry_bytes, there = in->bytes > in->data_at ? in->bytes - in->data_at : 0;
    bool fits = true;

    for (int i = 0; i < in->dims && fits; i++)
        fits = !__builtin_mul_overflow(bytes, in->shape[i], &bytes);
    if (!fits || bytes > there)
        return err_set(why, -EINVAL,
                       "%s is truncated: %" PRIu64 " bytes follow its header, needed are %" PRIu64,
                       in->path, there, fits ? bytes : UINT64_MAX);
    if (bytes < there)
        return err_set(why, -EINVAL,
                       "%s goes on after the %" PRIu64 " bytes that its header announces", in->path,
                       bytes);
    uint8_t *data = malloc(bytes ? bytes : 1);
    if (!data)
        return err_set(why, -ENOMEM, "no memory for the %" PRIu64 " bytes of %s", bytes, in->path);
    int rc = input_read(in, data, bytes, why);
    if (rc)
        free(data);
    else
        *ret = data;
    return rc;
}

static int images_check(const struct input *in, struct errbuf *why)
{
    static const struct {
        const char *what;
        uint32_t max;
    } sizes[] = {{"images", SAMPLES_MAX},
                 {"pixels from top to bottom", IMAGE_SIDE_MAX},
                 {"pixels from left to right", IMAGE_SIDE_MAX},
                 {"channels", CHANNELS_MAX}};
    char shape[SHAPE_TEXT_BYTES];
    uint64_t bytes = 1;

    if (in->descr[0] == 0 || strcmp(in->descr + 1, "u1") != 0)
        return err_set(why, -EINVAL, "%s has entries of type %s, allowed for images is |u1 (uint8)",
                       in->path, in->descr);
    if (in->dims != 3 && in->dims != 4)
        return err_set(why, -EINVAL, "%s has shape %s, needed for images is [N,H,W] or [N,H,W,C]",
                       in->path, shape_text(in, shape));
    for (int i = 0; i < in->dims; i++) {
        if (in->shape[i] < 1 || in->shape[i] > sizes[i].max)
            return err_set(why, -EINVAL,
                           "%s has %" PRIu64
                           " %s (shape %s as [N,H,W%s]), allowed is 1 to %" PRIu32,
                           in->path, in->shape[i], sizes[i].what, shape_text(in, shape),
                           in->dims == 4 ? ",C" : "", sizes[i].max);
        bytes *= in->shape[i];
    }
    if (bytes > DATASET_BYTES_MAX)
        return err_set(why, -EFBIG, "%s has %" PRIu64 " bytes of images, allowed is up to %" PRIu64,
                       in->path, bytes, (uint64_t)DATASET_BYTES_MAX);
    return 0;
}

bool npy_file_is(const char *path)
{
    struct input in;
    char magic[MAGIC_BYTES];

    if (input_open(path, &in, NULL) != 0)
        return false;
    bool is = fread(magic, 1, MAGIC_BYTES, in.file) == MAGIC_BYTES &&
              memcmp(magic, MAGIC, MAGIC_BYTES) == 0;
    fclose(in.file);
    return is;
}

int npy_file_images(const char *path, struct npy_images *ret, struct errbuf *why)
{
    struct input in;
    uint8_t *data;
    int rc = input_open(path, &in, why);

    if (rc)
        return rc;
    rc = header_read(&in, why);
    if (!rc)
        rc = images_check(&in, why);
    if (!rc)
        rc = body_read(&in, 1, &data, why);
    fclose(in.file);
    if (!rc)
        *ret = (struct npy_images){(uint32_t)in.shape[0],
                                   {(uint32_t)in.shape[1], (uint32_t)in.shape[2],
                                    in.dims == 4 ? (uint32_t)in.shape[3] : 1},
                                   data};
    return rc;
}

/* Bytes of one little-endian integer; *ret_signed. 0: the type is another. */
static uint32_t label_bytes(const char *descr, bool *ret_signed)
{
    static const char *const types[] = {"i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", NULL};
    int which = descr[0] ? text_index(descr + 1, types) : -1;
    uint32_t bytes = which < 0 ? 0 : 1u << which % 4;

    if (bytes > 1 && descr[0] != '<')
        return 0;
    *ret_signed = which < 4;
    return bytes;
}

static int64_t label_at(const uint8_t *at, uint32_t bytes, bool is_signed)
{
    uint64_t value = 0;

    for (uint32_t i = bytes; i-- > 0;)
        value = value << 8 | at[i];
    if (is_signed && bytes < 8 && value >> (8 * bytes - 1))
        value -= UINT64_C(1) << 8 * bytes;
    if (!is_signed && value > INT64_MAX)
        value = INT64_MAX;
    return (int64_t)value;
}

static int labels_convert(const struct input *in, const uint8_t *data, uint32_t samples,
                          uint16_t *labels, struct errbuf *why)
{
    bool is_signed = false;
    uint32_t bytes = label_bytes(in->descr, &is_signed);

    for (uint32_t i = 0; i < samples; i++) {
        int64_t label = label_at(data + (size_t)i * bytes, bytes, is_signed);
        if (label < 0 || label >= CLASSES_MAX)
            return err_set(why, -EINVAL,
                           "label %" PRIu32 " of %s is %" PRId64 ", allowed is 0 to %d", i,
                           in->path, label, CLASSES_MAX - 1);
        labels[i] = (uint16_t)label;
    }
    return 0;
}

static int labels_check(const struct input *in, const char *images_path, uint32_t samples,
                        struct errbuf *why)
{
    char shape[SHAPE_TEXT_BYTES];
    bool is_signed;

    if (!label_bytes(in->descr, &is_signed))
        return err_set(why, -EINVAL,
                       "%s has entries of type %s, allowed for labels are little-endian integers "
                       "(|u1, <i4, <i8 ...)",
                       in->path, in->descr);
    if (in->dims != 1 && !(in->dims == 2 && in->shape[1] == 1))
        return err_set(why, -EINVAL, "%s has shape %s, needed for labels is [N] or [N,1]", in->path,
                       shape_text(in, shape));
    if (in->shape[0] != samples)
        return err_set(why, -EINVAL, "%s has %" PRIu64 " labels, but %s has %" PRIu32 " images",
                       in->path, in->shape[0], images_path, samples);
    return 0;
}

int npy_file_labels(const char *path, const char *images_path, uint32_t samples, uint16_t **ret,
                    struct errbuf *why)
{
    struct input in;
    uint8_t *data = NULL;
    uint16_t *labels = NULL;
    bool is_signed;
    int rc = input_open(path, &in, why);

    if (rc)
        return rc;
    rc = header_read(&in, why);
    if (!rc)
        rc = labels_check(&in, images_path, samples, why);
    if (!rc)
        rc = body_read(&in, label_bytes(in.descr, &is_signed), &data, why);
    if (!rc && !(labels = malloc((samples ? samples : 1) * sizeof(*labels))))
        rc = err_set(why, -ENOMEM, "no memory for the %" PRIu32 " labels of %s", samples, path);
    if (!rc)
        rc = labels_convert(&in, data, samples, labels, why);
    fclose(in.file);
    free(data);
    if (rc)
        free(labels);
    else
        *ret = labels;
    return rc;
}

/* Bytes of one little-endian float: 4 or 8; 0: the type is another. */
static uint32_t float_bytes(const char *descr)
{
    return strcmp(descr, "<f4") == 0 ? 4 : strcmp(descr, "<f8") == 0 ? 8 : 0;
}

static double number_at(const struct input *in, const uint8_t *data, uint32_t i)
{
    bool is_signed = false;
    uint32_t bytes = label_bytes(in->descr, &is_signed);
    double f64;
    float f32;

    if (bytes)
        return (double)label_at(data + (size_t)i * bytes, bytes, is_signed);
    if (float_bytes(in->descr) == 8) {
        memcpy(&f64, data + 8 * (size_t)i, sizeof(f64));
        return f64;
    }
    memcpy(&f32, data + 4 * (size_t)i, sizeof(f32));
    return f32;
}

static int numbers_check(const struct input *in, struct errbuf *why)
{
    char shape[SHAPE_TEXT_BYTES];
    bool is_signed;

    if (!label_bytes(in->descr, &is_signed) && !float_bytes(in->descr))
        return err_set(why, -EINVAL,
                       "%s has entries of type %s, allowed are <f4, <f8 and little-endian integers",
                       in->path, in->descr);
    if (in->dims != 1 && !(in->dims == 2 && in->shape[1] == 1))
        return err_set(why, -EINVAL, "%s has shape %s, needed is [N] or [N,1]", in->path,
                       shape_text(in, shape));
    if (in->shape[0] < 1 || in->shape[0] > SAMPLES_MAX)
        return err_set(why, -EINVAL, "%s has %" PRIu64 " entries, allowed is 1 to %u", in->path,
                       in->shape[0], SAMPLES_MAX);
    return 0;
}

int npy_file_numbers(const char *path, double **ret, uint32_t *ret_count, struct errbuf *why)
{
    struct input in;
    uint8_t *data = NULL;
    double *numbers = NULL;
    bool is_signed;
    int rc = input_open(path, &in, why);

    if (rc)
        return rc;
    rc = header_read(&in, why);
    if (!rc)
        rc = numbers_check(&in, why);
    if (!rc) {
        uint32_t bytes = label_bytes(in.descr, &is_signed);
        rc = body_read(&in, bytes ? bytes : float_bytes(in.descr), &data, why);
    }
    if (!rc && !(numbers = malloc(in.shape[0] * sizeof(*numbers))))
        rc =
            err_set(why, -ENOMEM, "no memory for the %" PRIu64 " entries of %s", in.shape[0], path);
    for (uint32_t i = 0; !rc && i < in.shape[0]; i++)
        numbers[i] = number_at(&in, data, i);
    fclose(in.file);
    free(data);
    if (rc)
        return rc;
    *ret = numbers;
    *ret_count = (uint32_t)in.shape[0];
    return 0;
}
