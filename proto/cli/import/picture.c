/* From a file to its decoder. */
#include "proto/cli/import/picture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"

#define FILE_BYTES_MAX (256u << 20) /* the largest picture, not compressed at all, and some */

/* A WebP is a RIFF file; what it holds stands behind its length. */
#define RIFF_KIND_AT 8

static const struct {
    const char *mark;
    size_t bytes;
    const char *kind; /* at RIFF_KIND_AT; NULL: any */
    int (*decode)(const char *path, const uint8_t *data, size_t bytes, uint32_t side_max,
                  struct picture *ret, struct errbuf *why);
} decoders[] = {
    {"\x89PNG\r\n\x1a\n", 8, NULL, picture_decode_png},
    {"\xff\xd8\xff", 3, NULL, picture_decode_jpeg},
    {"RIFF", 4, "WEBP", picture_decode_webp},
};

static bool is_marked(size_t decoder, const uint8_t *data, size_t bytes)
{
    const char *kind = decoders[decoder].kind;

    return bytes >= decoders[decoder].bytes &&
           memcmp(data, decoders[decoder].mark, decoders[decoder].bytes) == 0 &&
           (!kind || (bytes >= RIFF_KIND_AT + strlen(kind) &&
                      memcmp(data + RIFF_KIND_AT, kind, strlen(kind)) == 0));
}

int picture_size_check(const char *path, uint32_t h, uint32_t w, uint32_t side_max,
                       struct errbuf *why)
{
    if (h >= 1 && h <= side_max && w >= 1 && w <= side_max)
        return 0;
    return err_set(why, -ERANGE, "%s is %u pixels high and %u wide, allowed is 1 to %u", path, h, w,
                   side_max);
}

int picture_decode(const char *path, const uint8_t *data, size_t bytes, uint32_t side_max,
                   bool stored, struct picture *ret, struct errbuf *why)
{
    size_t count = sizeof(decoders) / sizeof(decoders[0]), i = 0;

    while (i < count && !is_marked(i, data, bytes))
        i++;
    if (i == count)
        return err_set(why, -EINVAL, "%s is %s", path,
                       bytes ? "neither PNG nor JPEG nor WebP" : "empty");
    struct picture p;
    int rc = decoders[i].decode(path, data, bytes, side_max, &p, why);
    if (rc)
        return rc;
    if (!stored && picture_turn(&p, picture_orientation(data, bytes)) < 0) {
        free(p.pixels);
        return err_set(why, -ENOMEM, "no memory to turn %s", path);
    }
    *ret = p;
    return 0;
}

int picture_read(const char *path, uint32_t side_max, bool stored, struct picture *ret,
                 struct errbuf *why)
{
    char *data;
    size_t bytes;
    int rc = file_read(path, FILE_BYTES_MAX, &data, &bytes, why);

    if (rc)
        return rc;
    rc = picture_decode(path, (const uint8_t *)data, bytes, side_max, stored, ret, why);
    free(data);
    return rc;
}
