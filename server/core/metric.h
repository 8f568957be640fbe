/* Scalar metrics of an epoch by name: what a training program measures and Steppe cannot know of.
 *
 * Each fact has one owner. What the row of an epoch has a place for, by the name that job.show
 * gives it, goes there, in the unit that it has there; what Steppe finds out of every job itself is
 * refused; everything else is a row of table metric. View v_metric shows all of it alike.
 *
 * How a program's metrics come to an epoch: metric_add for each, into the fold's record and a set
 * that begins zeroed, then store_fold with both, which writes them in the transaction that commits
 * the epoch. store_epochs_drop and store_job_remove take them back with it. */
#ifndef STEPPE_SERVER_CORE_METRIC_H
#define STEPPE_SERVER_CORE_METRIC_H

#include "common/bounds.h"
#include "common/err.h"
#include "server/core/epoch_record.h"

struct metric {
    char name[METRIC_NAME_BYTES];
    double value; /* finite */
};

struct metric_set {
    struct metric *items; /* by name, each name once; owned */
    uint32_t count;
};

/* Puts one value into e or into the set; of a name that is there already it takes the place of the
 * old one. -EINVAL, with a sentence: the name is not 1 to 64 printable characters of ASCII without
 * a space, or one that only Steppe gives; the value is not finite, or outside of what the epoch's
 * row means by this name; there would be more than METRICS_MAX. After an error nothing changed. */
int metric_add(struct metric_set *set, struct epoch_record *e, const char *name, double value,
               struct errbuf *why);
void metric_set_done(struct metric_set *set); /* a zeroed struct is fine */

#endif
