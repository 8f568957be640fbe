#include "server/jobs/disk_watch.h"

#include <errno.h>
#include <sys/statvfs.h>

#include "common/log.h"
#include "common/text.h"

#define LOOK_MS 2000
#define LEAST_SHARE 50
#define LEAST_BYTES_MAX (INT64_C(1) << 30)

int64_t disk_watch_least(int64_t all_bytes)
{
    int64_t least = all_bytes / LEAST_SHARE;

    return least < LEAST_BYTES_MAX ? least : LEAST_BYTES_MAX;
}

void disk_watch_note(struct disk_watch *d, int64_t free_bytes, int64_t all_bytes)
{
    char free_text[TEXT_F64_BYTES], least_text[TEXT_F64_BYTES];
    const bool before = d->alarm;

    d->free_bytes = free_bytes;
    d->all_bytes = all_bytes;
    d->least_bytes = disk_watch_least(all_bytes);
    d->alarm = free_bytes < d->least_bytes + (before ? d->least_bytes / 2 : 0);
    if (d->alarm == before)
        return;
    text_of_bytes(free_bytes, free_text);
    text_of_bytes(d->least_bytes, least_text);
    if (d->alarm)
        log_warn("disk.alarm", "free=\"%s\" least=\"%s\" refused=\"new jobs and uploads\"",
                 free_text, least_text);
    else
        log_info("disk.alarm_over", "free=\"%s\"", free_text);
}

void disk_watch_tick(struct disk_watch *d, const char *dir, int64_t now_ms)
{
    struct statvfs st;

    if (now_ms < d->look_ms)
        return;
    d->look_ms = now_ms + LOOK_MS;
    if (statvfs(dir, &st) < 0 || st.f_blocks == 0) /* a disk that says nothing may have room */
        d->free_bytes = -1;
    else
        disk_watch_note(d, (int64_t)(st.f_bavail * st.f_frsize),
                        (int64_t)(st.f_blocks * st.f_frsize));
}

int disk_watch_room(const struct disk_watch *d, const char *what, struct errbuf *why)
{
    char free_text[TEXT_F64_BYTES], least_text[TEXT_F64_BYTES];

    if (!d->alarm)
        return 0;
    return err_set(
        why, -ENOSPC,
        "the server's disk is nearly full: %s are free, and new %s are taken again above "
        "%s; what runs goes on (steppe rm, steppe dataset rm and steppe uploads rm make "
        "room)",
        text_of_bytes(d->free_bytes, free_text), what,
        text_of_bytes(d->least_bytes / 2 * 3, least_text));
}
