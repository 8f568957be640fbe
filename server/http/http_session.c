/* /api/session: what the browser is let in with. */
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "server/http/http_internal.h"

#define END "session.end"

const char *http_cookie(const struct http_exchange *x)
{
    const char *host =
        MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
    char name[HTTP_COOKIE_NAME_BYTES];

    http_cookie_name(host, name);
    return MHD_lookup_connection_value(x->connection, MHD_COOKIE_KIND, name);
}

/* The answer will set the cookie; value "": it is removed. */
static void set_cookie(struct http_exchange *x, const char *value, int64_t age_s)
{
    const char *host =
        MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
    char name[HTTP_COOKIE_NAME_BYTES];

    http_cookie_name(host, name);
    snprintf(x->set_cookie, sizeof(x->set_cookie),
             "%s=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%d", name, value, (int)age_s);
}

void http_session_give(struct http_exchange *x)
{
    const int64_t now_s = clock_unix_ms() / 1000;
    char text[HTTP_PASS_HEX];

    x->pass = http_pass_session(&x->pass, now_s);
    http_pass_print(&x->pass, http_secret(x->http), text);
    set_cookie(x, text, (int64_t)x->pass.end_s - now_s);
}

bool http_session(struct http_exchange *x, bool post)
{
    const char *name = x->path + strlen("/api/");
    const bool end = strcmp(name, END) == 0;
    char text[128];

    if (!end && strcmp(name, "session") != 0)
        return false;
    if (end && !post) {
        http_refuse(x, MHD_HTTP_METHOD_NOT_ALLOWED, ERR_NOT_ALLOWED, END " is a POST");
        return true;
    }
    if (end)
        set_cookie(x, "", 0);
    else if (post)
        http_session_give(x);
    snprintf(text, sizeof(text), "{\"type\":\"%s\",\"ok\":true,\"role\":\"%s\",\"end_s\":%u}", name,
             role_name(x->pass.role), x->pass.end_s);
    http_set(x, MHD_HTTP_OK, "application/json", text, strlen(text), false);
    return true;
}
