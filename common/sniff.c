#include "common/sniff.h"

#include <string.h>

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
    {0, 2, "\x80\2", "a Python pickle"},
    {0, 2, "\x80\3", "a Python pickle"},
    {0, 2, "\x80\4", "a Python pickle"},
    {0, 2, "\x80\5", "a Python pickle"},
    {8, 2, "{\"", "a safetensors file"},
    {0, 4, "\0\0\x08\1", "IDX labels"},
    {0, 4, "\0\0\x08\3", "IDX images"},
};

const char *sniff_format(const uint8_t *head, size_t bytes)
{
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (formats[i].at + formats[i].bytes <= bytes &&
            memcmp(head + formats[i].at, formats[i].mark, formats[i].bytes) == 0)
            return formats[i].what;
    return NULL;
}
