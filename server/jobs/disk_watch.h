/* The disk of the state folder. When it is nearly full there is an alarm: new uploads and jobs are
 * refused, so that what is left is for what runs (scores, checkpoints, the logs of the databases).
 * The alarm ends by itself when there is room again. */
#ifndef STEPPE_SERVER_JOBS_DISK_WATCH_H
#define STEPPE_SERVER_JOBS_DISK_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct disk_watch {
    bool alarm;
    int64_t free_bytes, least_bytes; /* to be free; free -1: not known */
    int64_t all_bytes;               /* of the disk; 0: never known */
    int64_t look_ms;                 /* when it is looked at again */
};

/* How much is to be free of a disk of so many bytes: 2 %, at most 1 GiB. */
int64_t disk_watch_least(int64_t all_bytes);
/* Takes what was found. An alarm ends at one and a half times the least. */
void disk_watch_note(struct disk_watch *d, int64_t free_bytes, int64_t all_bytes);
/* Looks at the disk of dir, every two seconds. */
void disk_watch_tick(struct disk_watch *d, const char *dir, int64_t now_ms);
/* -ENOSPC during an alarm. what: "jobs", "uploads". */
int disk_watch_room(const struct disk_watch *d, const char *what, struct errbuf *why);

#endif
