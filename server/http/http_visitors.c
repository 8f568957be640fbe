/* The connections of browsers. Every user of this machine may open some, so that whoever has shown
 * no pass must not be able to take the places of others: HTTP_STRANGERS_MAX are for strangers, the
 * rest for whoever has shown one. Where one kind has too many, a connection of whoever has most of
 * them gives way, the one that has had no answer for longest: a flood displaces itself. Strangers
 * are told apart by their uid, those of other machines by their address, the others by their
 * keys. */
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/clock.h"
#include "common/log.h"
#include "server/http/http_internal.h"
#include "server/net/peer.h"

#define ANSWER_MS 30000   /* from its start, or an answer, to the next answer */
#define STRANGER_MS 10000 /* likewise of a stranger, to the end of a request's head */
#define LOG_MS 10000      /* between two lines about connections that gave way */

/* In `whose`; with neither: a stranger of whom the kernel says nothing. */
#define OF_UID (1ull << 32)
#define OF_ADDRESS (2ull << 32)

static uint64_t whose(int fd)
{
    struct sockaddr_in at = {0};
    socklen_t bytes = sizeof(at);
    uint32_t uid;

    if (fd < 0)
        return 0;
    if (peer_tcp_user(fd, &uid) == 0)
        return OF_UID | uid;
    if (getpeername(fd, (struct sockaddr *)&at, &bytes) == 0 && at.sin_family == AF_INET)
        return OF_ADDRESS | at.sin_addr.s_addr;
    return 0;
}

struct visitor *visitors_add(struct visitors *all, int fd)
{
    struct visitor *v = xcalloc(1, sizeof(*v));

    v->fd = fd;
    v->since_ms = clock_mono_ms();
    v->whose = whose(fd);
    v->next = all->first;
    if (v->next)
        v->next->prev = v;
    all->first = v;
    visitors_make_room(all, v);
    return v;
}

void visitors_remove(struct visitors *all, struct visitor *v)
{
    if (v->prev)
        v->prev->next = v->next;
    else
        all->first = v->next;
    if (v->next)
        v->next->prev = v->prev;
    free(v);
}

/* MHD sees the end of the stream and closes the descriptor, which is its own. */
static void hang_up(struct visitor *v)
{
    v->ended = true;
    if (v->fd >= 0)
        shutdown(v->fd, SHUT_RDWR);
}

static bool is_like(const struct visitor *v, const struct visitor *other)
{
    return !v->ended && v->known == other->known;
}

static int count_of(const struct visitors *all, const struct visitor *one)
{
    int count = 0;

    for (const struct visitor *v = all->first; v; v = v->next)
        count += is_like(v, one) && v->whose == one->whose;
    return count;
}

void visitors_make_room(struct visitors *all, const struct visitor *newest)
{
    const int most = newest->known ? HTTP_CONNECTIONS_MAX - HTTP_STRANGERS_MAX : HTTP_STRANGERS_MAX;
    struct visitor *found = NULL;
    int count = 0, found_of = 0;

    for (struct visitor *v = all->first; v; v = v->next) {
        if (!is_like(v, newest))
            continue;
        count++;
        if (v == newest)
            continue;
        int of = count_of(all, v);
        if (!found || of > found_of || (of == found_of && v->since_ms < found->since_ms)) {
            found = v;
            found_of = of;
        }
    }
    if (count <= most || !found)
        return;
    all->gave_way++;
    hang_up(found);
}

void visitors_know(struct visitors *all, struct visitor *v, uint32_t who)
{
    if (v->known && v->whose == who)
        return;
    v->known = true;
    v->whose = who;
    visitors_make_room(all, v);
}

void visitors_tick(struct visitors *all, int64_t now_ms)
{
    for (struct visitor *v = all->first; v; v = v->next)
        if (!v->ended && now_ms - v->since_ms > (v->known || v->begun ? ANSWER_MS : STRANGER_MS))
            hang_up(v);
    if (all->gave_way && now_ms >= all->logged_ms + LOG_MS) {
        log_warn("http.full", "gave_way=%llu", (unsigned long long)all->gave_way);
        all->gave_way = 0;
        all->logged_ms = now_ms;
    }
}
