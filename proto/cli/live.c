#include "proto/cli/live.h"

#include <stdlib.h>

#include "common/alloc.h"
#include "common/text.h"

void live_erase(struct live *live)
{
    if (live->width > 0)
        printf("\r%*s\r", live->width, "");
    live->width = 0;
}

void live_draw(const struct cli *cli, struct live *live, const char *text)
{
    char *line = xstrdup(text), *end = line;
    int width = 0;

    text_make_printable(line);
    for (; *end; end++) {
        width += ((unsigned char)*end & 0xc0) != 0x80;
        if (width == cli->columns) /* the last cell of a line may end it */
            break;
    }
    *end = '\0';
    live_erase(live);
    fputs(line, stdout);
    fflush(stdout);
    live->width = width < cli->columns ? width : cli->columns - 1;
    free(line);
}
