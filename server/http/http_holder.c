/* Whose key a pass came from: the pass has a number, and the gate knows the names. A key that is
 * revoked takes the passes with it that came from it before. Each name costs a hash, and browsers
 * ask all the time: what was found is kept until a name comes or is revoked. */
#include <stdio.h>
#include <string.h>

#include "server/http/http_internal.h"
#include "server/net/gate.h"
#include "server/net/holders.h"
#include "server/net/net.h"

static void look_up(const struct http_exchange *x, const struct holders *h, struct http_named *ret)
{
    const uint8_t *secret = http_secret(x->http);

    *ret = (struct http_named){.who = x->pass.who, .changes = holders_changes(h)};
    for (size_t i = 0; i < holders_count(h) && !ret->name[0]; i++)
        if (http_pass_who(holders_at(h, i)->name, secret) == ret->who)
            snprintf(ret->name, sizeof(ret->name), "%s", holders_at(h, i)->name);
    for (size_t i = 0; i < holders_revoked_count(h); i++) {
        const struct revoked *r = holders_revoked_at(h, i);

        if (r->unix_ms > ret->revoked_ms && http_pass_who(r->name, secret) == ret->who)
            ret->revoked_ms = r->unix_ms;
    }
}

/* NULL: the pass is of no key. */
static const struct http_named *named(const struct http_exchange *x)
{
    const struct holders *h = x->pass.who ? gate_holders(x->net->gate) : NULL;
    struct http_named *kept = h ? http_named(x->http, x->pass.who) : NULL;

    if (kept && (kept->who != x->pass.who || kept->changes != holders_changes(h)))
        look_up(x, h, kept);
    return kept;
}

const char *http_holder(const struct http_exchange *x)
{
    const struct http_named *n = named(x);

    return n ? n->name : "";
}

bool http_holder_is_revoked(const struct http_exchange *x)
{
    const struct http_named *n = named(x);

    return n && n->revoked_ms && n->revoked_ms / 1000 >= x->pass.begin_s;
}
