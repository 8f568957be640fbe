/* The figures of the server as they are now. On the loop. */
#ifndef STEPPE_SERVER_JOBS_FIGURES_H
#define STEPPE_SERVER_JOBS_FIGURES_H

#include "server/net/figures.h"

struct service;

void figures_take(struct service *s, struct figures *ret);

#endif
