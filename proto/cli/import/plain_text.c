#include "proto/cli/import/plain_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "common/bounds.h"
#include "common/sniff.h"

#define FIRST_BYTES (64u << 10)
#define READ_BYTES_MAX (1u << 30)
#define UTF8_MARK "\xef\xbb\xbf"

struct text {
    char *data; /* [room] */
    size_t bytes, room;
};

/* A regular file, unpacked if it is gzip'd. */
static int open_file(const char *path, const char *wanted, gzFile *ret, struct errbuf *why)
{
    struct stat st;
    int rc = 0;

    /* Without O_NONBLOCK we would wait for a pipe. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0) {
        rc = -errno;
        err_set(why, rc, "cannot open %s: %s", path, err_text(rc));
    } else if (!S_ISREG(st.st_mode)) {
        rc = err_set(why, -EINVAL, "%s is %s, expected %s", path,
                     S_ISDIR(st.st_mode) ? "a folder" : "not a file", wanted);
    }
    gzFile gz = rc ? NULL : gzdopen(fd, "rb");
    if (!rc && !gz)
        rc = err_set(why, -ENOMEM, "no memory to read %s", path);
    if (rc && fd >= 0)
        close(fd);
    if (!rc)
        *ret = gz;
    return rc;
}

static int grow(const char *path, struct text *t, struct errbuf *why)
{
    if (t->room > NUMBERS_TEXT_BYTES_MAX)
        return err_set(why, -EFBIG, "%s has more than %llu bytes of text", path,
                       NUMBERS_TEXT_BYTES_MAX);
    size_t room = t->room ? 2 * t->room : FIRST_BYTES;
    char *data = realloc(t->data, room);
    if (!data)
        return err_set(why, -ENOMEM, "no memory for the text of %s", path);
    t->data = data;
    t->room = room;
    return 0;
}

static int read_all(gzFile gz, const char *path, struct text *t, struct errbuf *why)
{
    int rc = 0, code, n = 1;

    while (rc == 0 && n > 0) {
        if (t->bytes + 1 >= t->room)
            rc = grow(path, t, why);
        size_t room = t->room - t->bytes - 1;
        if (rc == 0)
            n = gzread(gz, t->data + t->bytes,
                       room < READ_BYTES_MAX ? (unsigned)room : READ_BYTES_MAX);
        bool zero = rc == 0 && n > 0 && memchr(t->data + t->bytes, 0, (size_t)n);
        if (rc == 0 && n > 0)
            t->bytes += (size_t)n;
        if (zero) /* not text, however much of it there is */
            break;
    }
    if (rc)
        return rc;
    const char *text = gzerror(gz, &code);
    if (code == Z_ERRNO)
        return err_set(why, -EIO, "cannot read %s: %s", path, err_text(-EIO));
    if (code != Z_OK && code != Z_STREAM_END)
        return err_set(why, -EINVAL, "%s is damaged or truncated (%s)", path, text);
    t->data[t->bytes] = '\0';
    return 0;
}

static bool begins(const struct text *t, const char *mark, size_t bytes)
{
    return t->bytes >= bytes && memcmp(t->data, mark, bytes) == 0;
}

static int judge(const char *path, const char *wanted, const struct text *t, bool zipped,
                 struct errbuf *why)
{
    const char *what = sniff_format((const uint8_t *)t->data, t->bytes);
    size_t line = 1;

    if (what)
        return err_set(why, -EINVAL, "%s is %s%s, expected %s", path, zipped ? "a gzip of " : "",
                       what, wanted);
    if (begins(t, "\xff\xfe", 2) || begins(t, "\xfe\xff", 2))
        return err_set(why, -EINVAL,
                       "%s is text in UTF-16, expected UTF-8: iconv -f UTF-16 -t UTF-8", path);
    size_t text = strlen(t->data);
    if (text == t->bytes)
        return 0;
    for (size_t i = 0; i < text; i++)
        line += t->data[i] == '\n';
    return err_set(why, -EINVAL,
                   "%s: line %zu has a zero byte, so it is not UTF-8 text; expected %s", path, line,
                   wanted);
}

int plain_text_read(const char *path, const char *wanted, char **ret, struct errbuf *why)
{
    struct text t = {0};
    gzFile gz;
    int rc = open_file(path, wanted, &gz, why);

    if (rc)
        return rc;
    rc = read_all(gz, path, &t, why);
    if (rc == 0)
        rc = judge(path, wanted, &t, !gzdirect(gz), why);
    gzclose_r(gz);
    if (rc) {
        free(t.data);
        return rc;
    }
    if (begins(&t, UTF8_MARK, 3))
        memmove(t.data, t.data + 3, t.bytes - 2);
    *ret = t.data;
    return 0;
}
