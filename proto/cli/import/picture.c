/* From a file to its decoder. */
#include "proto/cli/import/picture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"

#define FILE_BYTES_MAX (256u << 20) /* the largest picture, not compressed at all, and some */

static const struct {
    const char *mark;
    size_t bytes;
    int (*decode)(const char *path, const uint8_t *data, size_t bytes, uint32_t side_max,
                  struct picture *ret, struct errbuf *why);
} decoders[] = {
    {"\x89PNG\r\n\x1a\n", 8, picture_decode_png},
    {"\xff\xd8\xff", 3, picture_decode_jpeg},
};

int picture_size_check(const char *path, uint32_t h, uint32_t w, uint32_t side_max,
                       struct errbuf *why)
{
    if (h >= 1 && h <= side_max && w >= 1 && w <= side_max)
        return 0;
    return err_set(why, -ERANGE, "%s is %u pixels high and %u wide, allowed is 1 to %u", path, h, w,
                   side_max);
}

int picture_decode(const char *path, const uint8_t *data, size_t bytes, uint32_t side_max,
                   struct picture *ret, struct errbuf *why)
{
    for (size_t i = 0; i < sizeof(decoders) / sizeof(decoders[0]); i++)
        if (bytes >= decoders[i].bytes && memcmp(data, decoders[i].mark, decoders[i].bytes) == 0)
            return decoders[i].decode(path, data, bytes, side_max, ret, why);
    return err_set(why, -EINVAL, "%s is %s", path, bytes ? "neither PNG nor JPEG" : "empty");
}

int picture_read(const char *path, uint32_t side_max, struct picture *ret, struct errbuf *why)
{
    char *data;
    size_t bytes;
    int rc = file_read(path, FILE_BYTES_MAX, &data, &bytes, why);

    if (rc)
        return rc;
    rc = picture_decode(path, (const uint8_t *)data, bytes, side_max, ret, why);
    free(data);
    return rc;
}
