/* Who holds a key, as the server has seen it, and which keys were revoked. */
#ifndef STEPPE_COMMON_HOLDER_H
#define STEPPE_COMMON_HOLDER_H

#include <stdint.h>

#include "common/bounds.h"

#define ROLE_NAME_BYTES 8

struct holder {
    char name[NAME_MAX_BYTES], role[ROLE_NAME_BYTES];
    uint64_t id;                                      /* of the newest key that was seen */
    int64_t issued_ms, expires_ms, first_ms, last_ms; /* unix time; first and last seen */
    char address[PEER_BYTES];                         /* then */
};

/* Keys of this name that were issued up to then are not accepted. */
struct revoked {
    char name[NAME_MAX_BYTES];
    int64_t unix_ms;
};

#endif
