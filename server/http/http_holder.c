/* Whose key a pass came from: the pass has a number, and the gate knows the names. A key that is
 * revoked takes the passes with it that came from it before. */
#include "server/http/http_internal.h"
#include "server/net/gate.h"
#include "server/net/holders.h"
#include "server/net/net.h"

static bool is_of(const struct http_exchange *x, const char *name)
{
    return http_pass_who(name, http_secret(x->http)) == x->pass.who;
}

/* NULL: the pass is of no key. */
static const struct holders *holders_for(const struct http_exchange *x)
{
    return x->pass.who ? gate_holders(x->net->gate) : NULL;
}

const char *http_holder(const struct http_exchange *x)
{
    const struct holders *h = holders_for(x);

    for (size_t i = 0; h && i < holders_count(h); i++)
        if (is_of(x, holders_at(h, i)->name))
            return holders_at(h, i)->name;
    return "";
}

bool http_holder_is_revoked(const struct http_exchange *x)
{
    const struct holders *h = holders_for(x);

    for (size_t i = 0; h && i < holders_revoked_count(h); i++) {
        const struct revoked *r = holders_revoked_at(h, i);

        if (r->unix_ms / 1000 >= x->pass.begin_s && is_of(x, r->name))
            return true;
    }
    return false;
}
