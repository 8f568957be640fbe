/* Spans and times as people write them. Pure. */
#ifndef STEPPE_PROTO_CLI_WHEN_H
#define STEPPE_PROTO_CLI_WHEN_H

#include <stdint.h>

#include "common/err.h"

/* "90d", "12h", "30m" or "45s" in ms. option: what a refusal calls it. 0, or EXIT_USAGE. */
int when_span(const char *text, const char *option, int64_t *ret_ms, struct errbuf *why);
/* A span before now_ms, or a time of this machine's clock: "2026-11-30", "2026-11-30 14:05" (or a T
 * between them). In ms since 1970. 0, or EXIT_USAGE. */
int when_time(const char *text, const char *option, int64_t now_ms, int64_t *ret_ms,
              struct errbuf *why);
/* "2026-11-30 14:05:09" of this machine's clock, into buf. */
#define WHEN_BYTES 32
char *when_text(int64_t unix_ms, char buf[WHEN_BYTES]);

#endif
