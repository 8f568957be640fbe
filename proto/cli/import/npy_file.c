/* .npy: the magic, a version, the length of a header, the header (a Python dictionary with the
 * keys descr, fortran_order and shape), then the entries.
 *
 * The header is parsed strictly, and the file's size must agree with it: a file that is shorter or
 * longer than announced is refused before anything is allocated. */
#include "proto/cli/import/npy_file.h"

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
#include "proto/cli/import/npy_internal.h"

#define MAGIC "\x93NUMPY"
#define MAGIC_BYTES 6
#define PREFIX_BYTES 12              /* with version 2 and its length of four bytes */
#define HEADER_BYTES_MAX (64u << 10) /* a shape and a type need 120 */

int npy_open(const char *path, struct npy_input *ret, struct errbuf *why)
{
    struct stat st;
    int rc = 0;

    /* Without O_NONBLOCK we would wait for a pipe. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0)
        rc = err_set(why, -errno, "cannot open %s: %s", path, err_text(-errno));
    else if (!S_ISREG(st.st_mode))
        rc = err_set(why, -EINVAL, "%s is %s, expected a .npy file", path,
                     S_ISDIR(st.st_mode) ? "a folder" : "not a file");
    FILE *file = rc ? NULL : fdopen(fd, "rb");
    if (!rc && !file)
        rc = err_set(why, -ENOMEM, "no memory to read %s", path);
    if (rc) {
        if (fd >= 0)
            close(fd);
        return rc;
    }
    *ret = (struct npy_input){.path = path, .file = file, .bytes = (uint64_t)st.st_size};
    return 0;
}

static int input_read(struct npy_input *in, void *data, size_t bytes, struct errbuf *why)
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

/* The bytes up to one of the end characters, of which one must come. */
static bool take_until(const char **at, const char *ends, char word[NPY_WORD_BYTES])
{
    size_t bytes = strcspn(*at, ends);

    if (bytes >= NPY_WORD_BYTES || !(*at)[bytes])
        return false;
    memcpy(word, *at, bytes);
    word[bytes] = 0;
    *at += bytes;
    return true;
}

static bool take_string(const char **at, char word[NPY_WORD_BYTES])
{
    if (take(at, '\''))
        return take_until(at, "'", word) && take(at, '\'');
    return take(at, '"') && take_until(at, "\"", word) && take(at, '"');
}

static bool take_bool(const char **at, bool *ret)
{
    char word[NPY_WORD_BYTES];

    blanks(at);
    if (!take_until(at, " ,}", word))
        return false;
    *ret = strcmp(word, "True") == 0;
    return *ret || strcmp(word, "False") == 0;
}

/* "(60000, 28, 28)", "(5,)", "()". */
static bool take_shape(const char **at, struct npy_input *in)
{
    char word[NPY_WORD_BYTES];
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

static bool take_entry(const char **at, struct npy_input *in, unsigned *seen)
{
    static const char *const keys[] = {"descr", "fortran_order", "shape", NULL};
    char key[NPY_WORD_BYTES];

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

static bool header_parse(const char *text, struct npy_input *in)
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

/* With only one size above 1 there is only one order. */
static bool one_order(const struct npy_input *in)
{
    int long_sides = 0;

    for (int i = 0; i < in->dims; i++)
        long_sides += in->shape[i] > 1;
    return long_sides < 2;
}

int npy_header(struct npy_input *in, struct errbuf *why)
{
    uint8_t prefix[PREFIX_BYTES];
    char *text = NULL;

    if (in->bytes < MAGIC_BYTES)
        return err_set(why, -EINVAL, "%s has %" PRIu64 " bytes only, expected a .npy file",
                       in->path, in->bytes);
    int rc = input_read(in, prefix, MAGIC_BYTES, why);
    if (rc)
        return rc;
    if (memcmp(prefix, MAGIC, MAGIC_BYTES) != 0)
        return err_set(why, -EINVAL,
                       "%s starts with bytes %02x %02x %02x %02x, expected a .npy file (93 4e 55 "
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
    if (!rc && in->fortran && !one_order(in))
        rc = err_set(why, -EINVAL,
                     "%s has fortran_order True, allowed is False (numpy.ascontiguousarray)",
                     in->path);
    return rc;
}

const char *npy_shape(const struct npy_input *in, char buf[NPY_SHAPE_BYTES])
{
    return npy_shape_text(in->shape, in->dims, buf);
}

int npy_body(struct npy_input *in, uint32_t entry_bytes, uint8_t **ret, struct errbuf *why)
{
    /* In a file that grows while it is read, the header may end beyond the old end. */
    uint64_t bytes = entry_bytes, there = in->bytes > in->data_at ? in->bytes - in->data_at : 0;
    bool fits = true;

    for (int i = 0; i < in->dims && fits; i++)
        fits = !__builtin_mul_overflow(bytes, in->shape[i], &bytes);
    if (!fits || bytes > there)
        return err_set(why, -EINVAL,
                       "%s is truncated: %" PRIu64 " bytes follow its header, expected %" PRIu64,
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

/* The sizes that the shape has in the layout are within bounds; *ret_dims. */
static int sizes_check(const struct npy_input *in, enum npy_layout layout, struct dims *ret_dims,
                       struct errbuf *why)
{
    static const struct {
        const char *what;
        uint32_t max;
    } sizes[] = {{"pixels from top to bottom", IMAGE_SIDE_MAX},
                 {"pixels from left to right", IMAGE_SIDE_MAX},
                 {"channels", CHANNELS_MAX},
                 {"images", SAMPLES_MAX}};
    const char *as = layout == NPY_LAYOUT_NCHW ? in->dims == 3 ? "[N,C,L]" : "[N,C,H,W]"
                     : in->dims == 3           ? "[N,H,W]"
                                               : "[N,H,W,C]";
    char shape[NPY_SHAPE_BYTES];
    uint64_t side[4], bytes = 1;

    npy_layout_sides(in->shape, in->dims, layout, side);
    side[3] = in->shape[0];
    for (int i = 0; i < 4; i++) {
        if (side[i] < 1 || side[i] > sizes[i].max)
            return err_set(
                why, -EINVAL, "%s has %" PRIu64 " %s (shape %s as %s), allowed is 1 to %" PRIu32,
                in->path, side[i], sizes[i].what, npy_shape(in, shape), as, sizes[i].max);
        bytes *= side[i];
    }
    if (bytes > DATASET_BYTES_MAX)
        return err_set(why, -EFBIG, "%s has %" PRIu64 " bytes of images, allowed is up to %" PRIu64,
                       in->path, bytes, (uint64_t)DATASET_BYTES_MAX);
    *ret_dims = (struct dims){(uint32_t)side[0], (uint32_t)side[1], (uint32_t)side[2]};
    return 0;
}

static int images_check(const struct npy_input *in, enum npy_layout *io_layout,
                        struct dims *ret_dims, struct errbuf *why)
{
    char shape[NPY_SHAPE_BYTES];

    if (in->descr[0] == 0 || strcmp(in->descr + 1, "u1") != 0)
        return err_set(why, -EINVAL, "%s has entries of type %s, allowed for images is |u1 (uint8)",
                       in->path, in->descr);
    if (in->dims != 3 && in->dims != 4)
        return err_set(why, -EINVAL, "%s has shape %s, images need [N,H,W], [N,H,W,C] or [N,C,H,W]",
                       in->path, npy_shape(in, shape));
    int rc = npy_layout_judge(in->path, in->shape, in->dims, *io_layout, io_layout, why);
    return rc ? rc : sizes_check(in, *io_layout, ret_dims, why);
}

bool npy_file_is(const char *path)
{
    struct npy_input in;
    char magic[MAGIC_BYTES];

    if (npy_open(path, &in, NULL) != 0)
        return false;
    bool is = fread(magic, 1, MAGIC_BYTES, in.file) == MAGIC_BYTES &&
              memcmp(magic, MAGIC, MAGIC_BYTES) == 0;
    fclose(in.file);
    return is;
}

int npy_file_images(const char *path, enum npy_layout layout, struct npy_images *ret,
                    struct errbuf *why)
{
    struct npy_images images = {.layout = layout};
    struct npy_input in;
    int rc = npy_open(path, &in, why);

    if (rc)
        return rc;
    rc = npy_header(&in, why);
    if (!rc)
        rc = images_check(&in, &images.layout, &images.dims, why);
    if (!rc)
        rc = npy_body(&in, 1, &images.data, why);
    fclose(in.file);
    if (rc)
        return rc;
    images.samples = (uint32_t)in.shape[0];
    if (images.layout == NPY_LAYOUT_NCHW &&
        npy_layout_channels_last(images.data, images.samples, images.dims) != 0) {
        free(images.data);
        return err_set(why, -ENOMEM, "no memory for the images of %s", path);
    }
    *ret = images;
    return 0;
}
