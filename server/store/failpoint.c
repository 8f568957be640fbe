#include "server/store/failpoint.h"

#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/text.h"

void failpoint_init(struct failpoint *f)
{
    const char *text = getenv("STEPPE_FAILPOINT");

    *f = (struct failpoint){.left = 1};
    if (!text || !text[0])
        return;
    size_t bytes = strcspn(text, ":");
    int64_t nth = 1;
    if (bytes == 0 || bytes >= sizeof(f->name) ||
        (text[bytes] && !text_i64(text + bytes + 1, 1, LONG_MAX, &nth))) {
        /* A test that misspells the name must see that nothing will strike. */
        log_error("failpoint.bad", "value=\"%s\" allowed=\"name or name:n, n from 1\"", text);
        return;
    }
    memcpy(f->name, text, bytes);
    f->left = (long)nth;
}

void failpoint_hit(struct failpoint *f, const char *name)
{
    if (!f->name[0] || strcmp(f->name, name) != 0 || --f->left > 0)
        return;
    kill(getpid(), SIGKILL);
}
