/* The measures of suspicion over a loaded epoch, for code that ranks by them and code that judges
 * them. */
#ifndef STEPPE_SERVER_QUERY_QUERY_SUSPECT_H
#define STEPPE_SERVER_QUERY_QUERY_SUSPECT_H

#include "server/query/query_epoch.h"

/* by (enum suspect_by) of entry i as it is; h: the histories of x. */
double suspect_value(const struct query_epoch *x, const struct sample_history *h, int by, size_t i);
/* Its key for ordering: higher is more suspicious. */
double suspect_order(const struct query_epoch *x, const struct sample_history *h, int by, size_t i);

#endif
