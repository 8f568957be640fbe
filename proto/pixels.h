/* What `steppe decode` writes on its standard output, for the server that runs it: this header,
 * then the pixels [h, w, c] that it was asked for. */
#ifndef STEPPE_PROTO_PIXELS_H
#define STEPPE_PROTO_PIXELS_H

#include <stdint.h>

#define PIXELS_MAGIC "stpix1\n" /* another layout gets another number */

struct pixels_header {
    char magic[8];
    uint32_t h, w; /* of the picture before it was scaled; in the machine's order of bytes */
};

#endif
