/* A line on the terminal that is drawn again and again, without escapes: any terminal that knows a
 * carriage return can show it. */
#ifndef STEPPE_PROTO_CLI_LIVE_H
#define STEPPE_PROTO_CLI_LIVE_H

#include "proto/cli/command.h"

struct live {
    int width; /* characters of the line on the screen; 0: none */
};

/* Draws text over the previous line, cut to the width of the terminal; characters that may not be
 * shown become '?'. */
void live_draw(const struct cli *cli, struct live *live, const char *text);
/* Leaves an empty line, and the cursor at its beginning. */
void live_erase(struct live *live);

#endif
