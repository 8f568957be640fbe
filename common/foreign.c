#define _GNU_SOURCE /* memmem */
#include "common/foreign.h"

#include <stdbool.h>
#include <string.h>

#include "common/sniff.h"

#define SAVE "safetensors.torch.save_file(..., \"model.safetensors\")"
#define PYTORCH                                                                                    \
    "a PyTorch file; in Python, " SAVE " makes a safetensors file of the state dict that "         \
    "torch.load(FILE, map_location=\"cpu\", weights_only=True) gives"
#define NPZ                                                                                        \
    "a numpy .npz archive; in Python, safetensors.numpy.save_file(dict(numpy.load(FILE)), ...)"
#define HDF5 "an HDF5 file (Keras, .h5); save its weights as safetensors, with PyTorch's names"
#define ONNX "an ONNX file; save the state dict of the PyTorch model itself with " SAVE
#define LFS "a Git LFS pointer to a file, not the file; git lfs pull fetches it"

/* Where a zip archive may have the name of its first member, and those of all. */
#define ZIP_HEAD_BYTES 4096
#define ZIP_TAIL_BYTES 65536

static const struct magic {
    const char *bytes;
    size_t count;
    const char *name;
} magics[] = {
    /* The magic number of torch.save before the zip archive, then any pickle. */
    {"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 14, PYTORCH},
    {"\x89HDF\r\n\x1a\n", 8, HDF5},
    {"version https://git-lfs", 23, LFS},
    {"GGUF", 4, "a GGUF file"},
};

static bool holds(const unsigned char *p, size_t bytes, const char *text)
{
    return memmem(p, bytes, text, strlen(text)) != NULL;
}

static const char *zip_name(const unsigned char *p, size_t bytes)
{
    size_t head = bytes < ZIP_HEAD_BYTES ? bytes : ZIP_HEAD_BYTES;
    size_t tail = bytes < ZIP_TAIL_BYTES ? bytes : ZIP_TAIL_BYTES;
    static const struct {
        const char *member, *name;
    } members[] = {{"data.pkl", PYTORCH}, {".npy", NPZ}, {".h5", HDF5}};

    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        if (holds(p, head, members[i].member) || holds(p + bytes - tail, tail, members[i].member))
            return members[i].name;
    return "a zip archive";
}

/* A protobuf message whose first field is a small version and whose second is one of the texts and
 * messages that follow it in ONNX. */
static bool is_onnx(const unsigned char *p, size_t bytes)
{
    return bytes > 3 && p[0] == 0x08 && p[1] >= 1 && p[1] < 0x20 &&
           memchr("\x12\x1a\x22\x32\x3a\x42", p[2], 6);
}

const char *foreign_name(const void *data, size_t bytes)
{
    const unsigned char *p = data;

    /* A damaged safetensors file: the bytes before are the length of its header, which may look
     * like anything. */
    if (bytes > 8 && p[8] == '{')
        return NULL;
    for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++)
        if (bytes >= magics[i].count && memcmp(p, magics[i].bytes, magics[i].count) == 0)
            return magics[i].name;
    if (bytes >= 4 && memcmp(p, "PK\x03\x04", 4) == 0)
        return zip_name(p, bytes);
    if (bytes > 2 && p[0] == 0x80 && p[1] >= 2 && p[1] <= 5)
        return "a Python pickle; if PyTorch saved it: " SAVE
               " makes a safetensors file of its state dict";
    if (is_onnx(p, bytes))
        return ONNX;
    if (bytes >= 8 && memcmp(p + 4, "TFL3", 4) == 0)
        return "a TensorFlow Lite file";
    return sniff_format(data, bytes);
}
