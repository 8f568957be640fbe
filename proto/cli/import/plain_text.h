/* Reads a whole file that should be text, plain or gzip'd. */
#ifndef STEPPE_PROTO_CLI_IMPORT_PLAIN_TEXT_H
#define STEPPE_PROTO_CLI_IMPORT_PLAIN_TEXT_H

#include "common/err.h"

/* The text without a byte order mark of UTF-8, 0-terminated and without another 0, to be freed.
 * Anything else is refused by its name (UTF-16, a picture, an archive ..), with `wanted` as what is
 * expected. 0, -EINVAL, -EFBIG, -ENOMEM or -errno. */
int plain_text_read(const char *path, const char *wanted, char **ret, struct errbuf *why);

#endif
