/* Folders of pictures for tests. */
#ifndef STEPPE_TESTS_UNIT_CLI_FOLDERS_H
#define STEPPE_TESTS_UNIT_CLI_FOLDERS_H

#include "tests/unit/cli/files.h"
#include "tests/unit/cli/pictures.h"

#define SIDE 4
#define PIXELS (SIDE * SIDE)

/* A PNG of h x w x c whose pixels are all `value` (RGB: value, value+1, value+2). */
static inline void write_png(const char *name, uint32_t h, uint32_t w, uint32_t c, int value)
{
    uint8_t *pixels = malloc((size_t)h * w * c);

    for (size_t i = 0; i < (size_t)h * w * c; i++)
        pixels[i] = (uint8_t)(value + (int)(i % c));
    struct encoded e = png_plain(h, w, c, pixels);
    file_put(name, e.data, e.bytes);
    free(e.data);
    free(pixels);
}

/* Two classes with two and one grey pictures below `at`. */
static inline void write_classes(const char *at, int value)
{
    char name[128];

    snprintf(name, sizeof(name), "%sdog", at);
    folder_put(name);
    snprintf(name, sizeof(name), "%scat", at);
    folder_put(name);
    snprintf(name, sizeof(name), "%sdog/b.png", at);
    write_png(name, SIDE, SIDE, 1, value);
    snprintf(name, sizeof(name), "%scat/10.png", at);
    write_png(name, SIDE, SIDE, 1, value + 10);
    snprintf(name, sizeof(name), "%scat/9.PNG", at);
    write_png(name, SIDE, SIDE, 1, value + 20);
}

/* Folder `name` with a grey picture of the value in dog and in cat. */
static inline void write_set(const char *name, int value)
{
    char at[64];

    folder_put(name);
    snprintf(at, sizeof(at), "%s/", name);
    write_classes(at, value);
}

#endif
