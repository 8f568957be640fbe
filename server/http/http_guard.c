/* Which requests are allowed. Every page of the internet can make a browser send requests to a
 * loopback port, and so can every other user of this machine. Three checks keep them out: the name
 * that the browser was given (Host), the page that asks (Origin, Sec-Fetch-Site), and a pass that
 * only whoever was given a link has (http_pass.c). */
#include <string.h>

#include "common/text.h"
#include "server/http/http_internal.h"

#define SCHEME "http://"

/* 127.x.y.z of digits and dots. */
static bool is_loopback(const char *host, size_t bytes)
{
    int dots = 0;

    if (bytes < 7 || bytes > 15 || memcmp(host, "127.", 4) != 0)
        return false;
    for (size_t i = 0; i < bytes; i++) {
        if (host[i] == '.')
            dots++;
        else if (host[i] < '0' || host[i] > '9')
            return false;
    }
    return dots == 3;
}

bool http_host_ok(const char *host)
{
    int64_t port;

    if (!host)
        return false;
    size_t bytes = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
    if (bytes > strlen(host))
        return false;
    if (host[bytes] && (host[bytes] != ':' || !text_i64(host + bytes + 1, 1, 65535, &port)))
        return false;
    return (bytes == 9 && strncmp(host, "localhost", 9) == 0) ||
           (bytes == 5 && strncmp(host, "[::1]", 5) == 0) || is_loopback(host, bytes);
}

bool http_origin_ok(const char *origin, const char *host)
{
    if (!origin)
        return true;
    return host && strncmp(origin, SCHEME, strlen(SCHEME)) == 0 &&
           strcmp(origin + strlen(SCHEME), host) == 0;
}

bool http_site_ok(const char *site)
{
    return !site || strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0;
}
