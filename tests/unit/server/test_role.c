#include <errno.h>
#include <string.h>

#include "server/net/gate.h"
#include "tests/harness.h"

TEST(a_request_that_nobody_judged_may_send_nothing)
{
    struct request rq = {0};
    struct errbuf why;

    for (int type = 0; type < MSG_COUNT; type++) {
        rq.type = (enum message_type)type;
        ASSERT_EQ(-EACCES, gate_judge(&rq, &why));
        ASSERT_HAS(message_names[type], why.text);
    }
}

TEST(a_plain_message_is_of_an_administrator_once_it_is_let_in)
{
    struct request rq = {0};
    struct gate *gate;
    struct errbuf why;
    uint8_t text[] = "{}", *body = text;
    size_t bytes = sizeof(text) - 1;

    ASSERT_OK(gate_open(NULL, &gate, &why), why);
    ASSERT(gate_enter(gate, &rq, false, &body, &bytes));
    for (int type = 0; type < MSG_COUNT; type++) {
        rq.type = (enum message_type)type;
        ASSERT_OK(gate_judge(&rq, &why), why);
    }
    gate_close(gate);
}

TEST(every_role_but_none_has_the_number_that_keys_were_made_with)
{
    static const enum role by_number[] = {ROLE_ADMIN, ROLE_SUBMIT, ROLE_READ, ROLE_WORKER,
                                          ROLE_SERVER};

    for (unsigned number = 0; number < 5; number++) {
        ASSERT_EQ(by_number[number], role_of_number(number));
        ASSERT_EQ(number, role_number(by_number[number]));
        ASSERT_STR(role_names[number], role_name(by_number[number]));
    }
    ASSERT_EQ(ROLE_NONE, role_of_number(5));
    ASSERT_EQ(ROLE_NONE, role_of_number(255));
}
