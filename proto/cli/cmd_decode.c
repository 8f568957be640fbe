/* decode: a picture on standard input as the pixels that a model takes, on standard output. The
 * server runs it for the dashboard: the file comes from a browser, so it is read in a process that
 * can do nothing but this, and the server holds no decoder. What it decodes and scales with is what
 * import and predict use. */
#define _GNU_SOURCE
#include "proto/cli/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/confine.h"
#include "common/text.h"
#include "proto/cli/import/picture.h"
#include "proto/pixels.h"

/* The largest picture with the coefficients of a progressive JPEG, a copy that is turned, the file
 * and the program itself. */
#define MEMORY_BYTES (INT64_C(1280) << 20)
#define PROCESSOR_S 10

#define FILE_WORD "the file" /* the browser knows how it is called */

#define ARG(field) offsetof(struct args, field)
const struct option decode_options[] = {
    {"no-exif", OPT_FLAG, ARG(no_exif),
     .help = "take JPEGs as they are stored, not turned as EXIF says"},
    {NULL},
};

static int read_side(const char *what, const char *word, uint32_t most, uint32_t *ret,
                     struct errbuf *why)
{
    int64_t value;

    if (!text_i64(word, 1, most, &value))
        return err_set(why, EXIT_USAGE, "%s is \"%.40s\", allowed is 1 to %u", what, word, most);
    *ret = (uint32_t)value;
    return 0;
}

static int read_all(uint8_t *to, size_t *ret_bytes, struct errbuf *why)
{
    size_t bytes = 0;

    for (;;) {
        ssize_t n = read(STDIN_FILENO, to + bytes, DROPPED_BYTES_MAX + 1 - bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(why, -errno, "cannot read standard input: %s", err_text(-errno));
        bytes += (size_t)n;
        if (bytes > DROPPED_BYTES_MAX)
            return err_set(why, -EFBIG, FILE_WORD " has more than %u bytes", DROPPED_BYTES_MAX);
        if (n == 0)
            break;
    }
    *ret_bytes = bytes;
    return 0;
}

/* False: nobody reads it. */
static bool write_all(int fd, const void *data, size_t bytes)
{
    const char *at = data;

    while (bytes > 0) {
        ssize_t n = write(fd, at, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        bytes -= (size_t)n;
    }
    return true;
}

#ifdef STEPPE_SANITIZED

/* A sanitizer makes calls of its own; what it finds here is worth more than the filter. */
static int confine_to_descriptors(void)
{
    return 0;
}

#else

static int confine_to_descriptors(void)
{
    static const int calls[] = {__NR_read,   __NR_write,      __NR_brk,         __NR_mmap,
                                __NR_munmap, __NR_mremap,     __NR_madvise,     __NR_futex,
                                __NR_exit,   __NR_exit_group, __NR_rt_sigreturn};

    return confine_calls(calls, sizeof(calls) / sizeof(calls[0]), true);
}

#endif

/* From here on this process can read and write the descriptors 0 to 2, get memory that no code runs
 * in, and end. */
static int confine(struct errbuf *why)
{
    confine_die_first();
    closefrom(STDERR_FILENO + 1);
    int rc = confine_limits(MEMORY_BYTES, PROCESSOR_S);
    if (rc == 0)
        rc = confine_to_descriptors();
    if (rc < 0)
        return err_set(why, rc,
                       "this machine's kernel cannot confine a process (%s); pictures of strangers "
                       "are decoded in such a one only",
                       err_text(rc));
    return 0;
}

/* All that happens confined; pixels has room for what `to` says. */
static int decode(const struct dims *to, bool stored, uint8_t *file, uint8_t *pixels,
                  struct errbuf *why)
{
    struct pixels_header header = {PIXELS_MAGIC, 0, 0};
    struct picture p;
    size_t bytes = 0;
    int rc = read_all(file, &bytes, why);

    if (rc == 0)
        rc = picture_decode(FILE_WORD, file, bytes, PICTURE_SIDE_MAX, stored, &p, why);
    if (rc != 0)
        return rc;
    header.h = p.dims.h;
    header.w = p.dims.w;
    rc = picture_fit(FILE_WORD, &p, to, pixels, why);
    if (rc == 0 && (!write_all(STDOUT_FILENO, &header, sizeof(header)) ||
                    !write_all(STDOUT_FILENO, pixels, (size_t)to->h * to->w * to->c)))
        rc = err_set(why, -EPIPE, "cannot write the pixels");
    return rc;
}

int cmd_decode(struct cli *cli, struct errbuf *why)
{
    char text[sizeof(why->text) + 16];
    struct dims to;
    int rc = read_side("HEIGHT", cli->words[0], IMAGE_SIDE_MAX, &to.h, why);

    if (rc == 0)
        rc = read_side("WIDTH", cli->words[1], IMAGE_SIDE_MAX, &to.w, why);
    if (rc == 0)
        rc = read_side("CHANNELS", cli->words[2], CHANNELS_MAX, &to.c, why);
    if (rc == 0 && isatty(STDOUT_FILENO))
        rc = err_set(why, EXIT_USAGE, "decode writes pixels, not for a terminal");
    if (rc != 0)
        return rc;
    uint8_t *file = alloc_bytes(DROPPED_BYTES_MAX + 1, 1);
    uint8_t *pixels = alloc_bytes((size_t)to.h * to.w * to.c, 1);
    if (!file || !pixels)
        rc = err_set(why, -ENOMEM, "no memory for a picture");
    if (rc == 0)
        rc = confine(why);
    if (rc < 0) {
        free(file);
        free(pixels);
        return rc;
    }
    rc = decode(&to, cli->args->no_exif, file, pixels, why);
    /* What the C library does at an ordinary end is no longer allowed. */
    if (rc < 0)
        write_all(STDERR_FILENO, text,
                  (size_t)snprintf(text, sizeof(text), "steppe: %s\n", why->text));
    _exit(rc < 0 ? EXIT_FAILED : EXIT_DONE);
}
