/* Who a request is of, as it is kept. */
#include "server/net/request.h"
#include "tests/harness.h"

TEST(a_key_is_told_from_the_dashboard)
{
    static struct transport *const some = (struct transport *)&some;
    const struct {
        struct request rq;
        const char *who;
    } cases[] = {
        {{.transport = some, .key_name = "ann"}, "ann"},
        {{.transport = some, .key_name = "user ann"}, "user ann"},
        {{.transport = some}, ""},
        {{.transport = NULL}, "browser"},
        {{.key_name = "ann"}, "ann"},
        {{.transport = some, .key_name = "browser"}, "key browser"},
        {{.key_name = "browser"}, "key browser"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ASSERT_STR(cases[i].who, request_who(&cases[i].rq));
}
