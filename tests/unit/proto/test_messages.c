#include "proto/messages.h"

#include <stdlib.h>

#include "common/bounds.h"
#include "common/file.h"
#include "tests/harness.h"

#define PROTOCOL "proto/PROTOCOL.md"
#define ROLES_MADE "build/roles.md"

static void assert_names_differ(const char *const *names, int count)
{
    for (int i = 0; i < count; i++) {
        ASSERT(names[i] && names[i][0]);
        for (int j = 0; j < i; j++)
            ASSERT(strcmp(names[i], names[j]) != 0);
    }
    ASSERT(names[count] == NULL);
}

static char *read_protocol(void)
{
    struct errbuf why;
    char *text = NULL;
    size_t bytes;

    if (file_read(PROTOCOL, 1 << 20, &text, &bytes, &why) < 0)
        SKIP("not run from the root of the repository");
    return text;
}

/* Each name stands in backticks. */
static void assert_documented(const char *text, const char *const *names)
{
    for (int i = 0; names[i]; i++) {
        char quoted[80];
        snprintf(quoted, sizeof(quoted), "`%s`", names[i]);
        if (!strstr(text, quoted))
            FAIL("%s lacks %s", PROTOCOL, quoted);
    }
}

TEST(every_message_and_error_has_a_name_of_its_own)
{
    assert_names_differ(message_names, MSG_COUNT);
    assert_names_differ(error_names, ERR_COUNT);
}

TEST(names_stand_at_their_numbers)
{
    ASSERT_STR("ping", message_names[MSG_PING]);
    ASSERT_STR("task.result", message_names[MSG_TASK_RESULT]);
    ASSERT_STR("result.put", message_names[MSG_COUNT - 1]);
    ASSERT_STR("bad_message", error_names[ERR_BAD_MESSAGE]);
    ASSERT_STR("internal", error_names[ERR_INTERNAL]);
}

TEST(only_pieces_and_results_carry_tensors_up)
{
    for (int i = 0; i < MSG_COUNT; i++) {
        bool piece = i == MSG_DATASET_PUT || i == MSG_RESULT_PUT || i == MSG_PREDICT_PUT;
        int want = piece                      ? 1
                   : i == MSG_TASK_RESULT     ? 6
                   : i == MSG_PREDICT_RESULT  ? 2
                   : i == MSG_EXTERNAL_REPORT ? 9
                                              : 0;
        ASSERT_EQ(want, message_tensors_max((enum message_type)i));
        ASSERT(want <= TENSORS_MAX);
    }
}

TEST(the_protocol_describes_every_message_and_error)
{
    char *text = read_protocol();
    char title[64];

    snprintf(title, sizeof(title), "# The Steppe protocol, version %d\n", PROTOCOL_VERSION);
    ASSERT_HAS(title, text);
    assert_documented(text, message_names);
    assert_documented(text, error_names);
    free(text);
}

TEST(the_protocol_states_the_limits_of_the_code)
{
    char *text = read_protocol();

    ASSERT_EQ(8912896, MESSAGE_BYTES_MAX);
    ASSERT_HAS("at most 8 912 896 bytes", text);
    ASSERT_EQ(65536, JSON_REQUEST_BYTES_MAX);
    ASSERT_EQ(4 << 20, JSON_REPLY_BYTES_MAX);
    ASSERT_HAS("over 65 536 bytes in a request or 4 MiB in a reply", text);
    ASSERT_EQ(16, JSON_DEPTH_MAX);
    ASSERT_HAS("nesting above 16", text);
    free(text);
}

/* A row of the table of roles: the messages that one role may send and another (ROLE_NONE: nobody)
 * may not. */
static void print_role(FILE *out, const char *before, enum role role, enum role without)
{
    fprintf(out, "| %s |%s", role_name(role), before);
    for (int i = 0; i < MSG_COUNT; i++) {
        unsigned roles = message_roles((enum message_type)i);
        if ((roles & ROLE_BIT(role)) && !(roles & ROLE_BIT(without)))
            fprintf(out, " `%s`", message_names[i]);
    }
    fputs(" |\n", out);
}

/* The table is made of what the server judges by; where it differs, it is written for you. */
TEST(the_protocol_has_the_table_of_roles)
{
    char *text = read_protocol(), *made = NULL;
    size_t bytes;
    FILE *out = open_memstream(&made, &bytes);

    for (int i = 0; i < MSG_COUNT; i++) {
        unsigned roles = message_roles((enum message_type)i);
        ASSERT(roles & ROLE_BIT(ROLE_ADMIN));
        ASSERT(!(roles & ROLE_BIT(ROLE_READ)) || (roles & ROLE_BIT(ROLE_SUBMIT)));
    }
    fputs("| role | may send |\n|---|---|\n", out);
    print_role(out, "", ROLE_READ, ROLE_NONE);
    print_role(out, " what read may, and", ROLE_SUBMIT, ROLE_READ);
    print_role(out, "", ROLE_WORKER, ROLE_NONE);
    print_role(out, "", ROLE_TRAINER, ROLE_NONE);
    print_role(out, " everything, also", ROLE_ADMIN, ROLE_SUBMIT);
    fputs("\n", out);
    fclose(out);
    if (!strstr(text, made)) {
        out = fopen(ROLES_MADE, "w");
        fputs(made, out);
        fclose(out);
        FAIL("%s does not have the table of roles that is now in %s", PROTOCOL, ROLES_MADE);
    }
    free(made);
    free(text);
}
