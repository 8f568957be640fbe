#include "server/jobs/disk_share.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/text.h"
#include "server/jobs/service.h"

int64_t disk_share_used(const struct service *s, const char *key)
{
    return jobs_bytes_of(s->jobs, key) +
           (key ? datasets_bytes_of(s->datasets, key) + incoming_bytes_of(s->incoming, key)
                : datasets_bytes(s->datasets) + incoming_bytes(s->incoming));
}

/* What one thing takes, and of which key it is. */
struct part {
    const char *key; /* borrowed */
    int64_t bytes;
};

struct parts {
    struct part *at;
    size_t count, room;
};

static void add_part(void *arg, const char *key, int64_t bytes)
{
    struct parts *p = arg;

    if (!key[0] || bytes == 0)
        return;
    if (p->count == p->room) {
        p->room = p->room ? 2 * p->room : 64;
        p->at = xrealloc(p->at, p->room * sizeof(*p->at));
    }
    p->at[p->count++] = (struct part){key, bytes};
}

static int compare_parts(const void *a, const void *b)
{
    return strcmp(((const struct part *)a)->key, ((const struct part *)b)->key);
}

int64_t disk_share_largest(const struct service *s)
{
    struct parts p = {.count = 0};
    int64_t largest = 0, used = 0;

    jobs_bytes_each(s->jobs, add_part, &p);
    datasets_bytes_each(s->datasets, add_part, &p);
    incoming_bytes_each(s->incoming, add_part, &p);
    if (p.count > 0)
        qsort(p.at, p.count, sizeof(*p.at), compare_parts);
    for (size_t i = 0; i < p.count; i++) {
        used = i > 0 && compare_parts(&p.at[i - 1], &p.at[i]) == 0 ? used + p.at[i].bytes
                                                                   : p.at[i].bytes;
        largest = used > largest ? used : largest;
    }
    free(p.at);
    return largest;
}

int64_t disk_share_most(const struct service *s)
{
    return s->disk.all_bytes > 0 ? s->disk.all_bytes / DISK_PARTS_OF_ONE : -1;
}

static int judge(const struct service *s, const char *key, int64_t used, int64_t bytes,
                 struct errbuf *why)
{
    char used_text[TEXT_F64_BYTES], need_text[TEXT_F64_BYTES], most_text[TEXT_F64_BYTES];
    const int64_t most = disk_share_most(s);

    if (bytes <= most - used)
        return 0;
    return err_set(
        why, -ERANGE,
        "the datasets, uploads and jobs of the key %s take %s of the server's disk, this takes "
        "%s more, and one key may take %s, half of the disk (steppe limits); steppe dataset rm and "
        "steppe uploads rm make room, and so does steppe rm, which is an administrator's",
        key, text_of_bytes(used, used_text), text_of_bytes(bytes, need_text),
        text_of_bytes(most, most_text));
}

int disk_share_room(const struct service *s, const char *key, const char *sha256, int64_t bytes,
                    struct errbuf *why)
{
    if (disk_share_most(s) < 0 || !key[0] || datasets_owned_by(s->datasets, key, sha256))
        return 0;
    /* The upload becomes the dataset: it is not there twice. */
    const int64_t used = disk_share_used(s, key) - incoming_have(s->incoming, key, sha256);
    return judge(s, key, used, bytes, why);
}

int disk_share_jobs(const struct service *s, const char *key, int64_t bytes, struct errbuf *why)
{
    if (disk_share_most(s) < 0 || !key[0])
        return 0;
    return judge(s, key, disk_share_used(s, key), bytes, why);
}
