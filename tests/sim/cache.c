#include "tests/sim/cache.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/hash.h"
#include "tests/sim/damage.h"
#include "tests/sim/journal.h"
#include "tests/sim/world.h"

#define PIECES 2 /* a download has about so many */

/* One that was thrown away stays for those that have it open. */
struct cache_file {
    uint8_t *data;
    size_t bytes;
    int64_t mark; /* another with every change */
};

static struct host {
    struct cache_file *whole, *part; /* NULL: there is none */
    size_t began;                    /* what the part had when this download began */
    int holder;                      /* who fetches; 0: nobody */
} hosts[CACHE_HOSTS];

static struct cache_file *file_new(void)
{
    return xcalloc(1, sizeof(struct cache_file));
}

static bool has_hash(const struct cache_file *f, const struct cache_wish *wish)
{
    char hex[SHA256_HEX];

    if (f->bytes != (size_t)wish->total)
        return false;
    sha256_hex_of(f->data, f->bytes, hex);
    return strcmp(hex, wish->sha256) == 0;
}

static void open_whole(const struct host *h, struct cache_held *ret)
{
    *ret = (struct cache_held){h->whole, h->whole->mark};
}

/* The part is complete. */
static enum cache_answer end_download(struct host *h, const struct cache_wish *wish,
                                      struct cache_held *ret)
{
    if (!has_hash(h->part, wish)) {
        if (h->began == 0) {
            h->part = NULL;
            h->holder = 0;
            return CACHE_BAD;
        }
        h->part->bytes = h->began = 0;
        return CACHE_FETCH;
    }
    h->whole = h->part;
    h->part = NULL;
    h->holder = 0;
    open_whole(h, ret);
    return CACHE_READY;
}

static enum cache_answer go_on(struct host *h, struct cache_wish *io, struct cache_held *ret)
{
    enum cache_answer answer = CACHE_FETCH;

    if (h->part->bytes >= (size_t)io->total)
        answer = end_download(h, io, ret);
    if (answer != CACHE_FETCH)
        return answer;
    int64_t left = io->total - (int64_t)h->part->bytes, piece = io->total / PIECES + 1;
    io->offset = (int64_t)h->part->bytes;
    io->bytes = left < piece ? left : piece;
    return CACHE_FETCH;
}

enum cache_answer cache_look(int host, int worker, struct cache_wish *io, struct cache_held *ret)
{
    struct host *h = &hosts[host];

    if (h->whole && has_hash(h->whole, io)) {
        cache_let_go(host, worker);
        open_whole(h, ret);
        return CACHE_READY;
    }
    if (h->holder && h->holder != worker)
        return CACHE_WAIT;
    if (h->whole)
        note("cache_thrown_away host=%d", host);
    h->whole = NULL;
    h->holder = worker;
    if (!h->part)
        h->part = file_new();
    if (h->part->bytes > (size_t)io->total)
        h->part->bytes = 0;
    h->began = h->part->bytes;
    return go_on(h, io, ret);
}

enum cache_answer cache_take(int host, int worker, struct cache_wish *io, const void *piece,
                             size_t bytes, struct cache_held *ret)
{
    struct host *h = &hosts[host];
    struct cache_file *f = h->part;
    bool right = (int64_t)bytes == io->bytes && damage_is_right((uint64_t)io->offset, piece, bytes);

    note("piece worker=%d host=%d offset=%" PRId64 " bytes=%zu right=%d", worker, host, io->offset,
         bytes, right);
    if (h->holder != worker || !f || f->bytes != (size_t)io->offset) /* it was damaged meanwhile */
        return cache_look(host, worker, io, ret);
    f->data = xrealloc(f->data, f->bytes + bytes);
    memcpy(f->data + f->bytes, piece, bytes);
    f->bytes += bytes;
    f->mark++;
    return go_on(h, io, ret);
}

void cache_let_go(int host, int worker)
{
    if (hosts[host].holder == worker)
        hosts[host].holder = 0;
}

bool cache_held_unchanged(const struct cache_held *held)
{
    return held->file && held->file->mark == held->mark;
}

bool cache_held_is_right(const struct cache_held *held)
{
    return held->file && damage_is_right(0, held->file->data, held->file->bytes);
}

void cache_damage(void)
{
    int host = (int)world_draw(CACHE_HOSTS);
    struct host *h = &hosts[host];
    bool part = world_chance(300);
    struct cache_file *f = part ? h->part : h->whole;

    if (!f || f->bytes == 0)
        return;
    note("cache_damaged host=%d part=%d", host, part);
    f->mark++;
    if (world_chance(500))
        f->data[world_draw(f->bytes)] ^= 0x10;
    else if (world_chance(500))
        f->bytes = (size_t)world_draw(f->bytes);
    else if (part) /* lost; who has it open keeps it as it was */
        h->part = NULL;
    else
        f->mark--, h->whole = NULL;
}
