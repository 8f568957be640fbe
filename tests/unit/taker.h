/* Who takes a node, where its key does not matter. */
#ifndef STEPPE_TESTS_TAKER_H
#define STEPPE_TESTS_TAKER_H

#include "server/core/round.h"

#define BY(number)                                                                                 \
    (&(const struct taker){.worker = (number), .hand = 0, .others_ms = 0, .most_ms = INT64_MAX})

#endif
