#define _GNU_SOURCE
#include "tests/sim/journal.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/hash.h"
#include "tests/sim/world.h"

#define LINE_BYTES 512

static struct {
    struct journal *journal;
    bool echo;
} out;

struct journal *journal_create(void)
{
    void *map = mmap(NULL, sizeof(struct journal), PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (map == MAP_FAILED) {
        perror("no memory for an event log");
        exit(1);
    }
    return map;
}

void journal_free(struct journal *j)
{
    munmap(j, sizeof(*j));
}

void journal_use(struct journal *j, bool echo)
{
    out.journal = j;
    out.echo = echo;
}

const struct journal *journal_here(void)
{
    return out.journal;
}

void note(const char *fmt, ...)
{
    struct journal *j = out.journal;
    va_list ap;

    if (j->full || sizeof(j->text) - j->bytes < 2 * LINE_BYTES) {
        j->full = true;
        return;
    }
    char *line = j->text + j->bytes;
    int n = snprintf(line, LINE_BYTES, "%" PRId64 " ", world_now_us());
    va_start(ap, fmt);
    n += vsnprintf(line + n, LINE_BYTES, fmt, ap);
    va_end(ap);
    line[n++] = '\n';
    line[n] = 0;
    j->bytes += (size_t)n;
    if (out.echo)
        fputs(line, stderr);
}

void journal_hash(const struct cJSON *json, char ret[JOURNAL_HASH_BYTES])
{
    char *text = json ? cJSON_PrintUnformatted(json) : NULL, all[SHA256_HEX] = "";

    if (text)
        sha256_hex_of(text, strlen(text), all);
    memcpy(ret, all, JOURNAL_HASH_BYTES - 1);
    ret[JOURNAL_HASH_BYTES - 1] = 0;
    cJSON_free(text);
}
