/* Memory that is out while a message is made: the process says so and ends, and no message goes out
 * with keys missing. */
#include <cjson/cJSON.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/field.h"
#include "tests/harness.h"

#ifndef __SANITIZE_ADDRESS__
static int calls_left = -1; /* of malloc, until one fails; below 0: none does */

void *__libc_malloc(size_t bytes); /* NOLINT: the C library's own */

void *malloc(size_t bytes)
{
    if (calls_left >= 0 && calls_left-- == 0)
        return NULL;
    return __libc_malloc(bytes);
}

enum { WHOLE = 0, CUT = 3 };

/* A reply of each kind of value; the call of malloc with this number fails. */
static int make_reply(int failing)
{
    calls_left = failing;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "type", "job.show");
    cJSON_AddTrueToObject(json, "ok");
    cJSON *row = cJSON_AddObjectToObject(json, "job"), *list = cJSON_AddArrayToObject(row, "rows");
    cJSON_AddNumberToObject(row, "job", 7);
    cJSON_AddItemToArray(list, cJSON_CreateNumber(1));
    cJSON_AddItemToObject(json, "copy", cJSON_Duplicate(row, true));
    char *text = cJSON_PrintUnformatted(json);
    calls_left = -1;
    const char *whole = "{\"type\":\"job.show\",\"ok\":true,\"job\":{\"rows\":[1],\"job\":7},"
                        "\"copy\":{\"rows\":[1],\"job\":7}}";
    int end = text && strcmp(text, whole) == 0 ? WHOLE : CUT;
    free(text);
    cJSON_Delete(json);
    return end;
}

/* What a child came to, with what it said. */
static int outcome_of(int failing, char *said, size_t bytes)
{
    int fds[2], status = 0;
    ssize_t n;

    ASSERT_EQ(0, pipe(fds));
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDERR_FILENO);
        field_own_memory();
        _exit(make_reply(failing));
    }
    close(fds[1]);
    n = read(fds[0], said, bytes - 1);
    said[n > 0 ? n : 0] = 0;
    close(fds[0]);
    ASSERT_EQ(pid, waitpid(pid, &status, 0));
    return status;
}
#endif

TEST(no_reply_goes_out_with_keys_missing)
{
#ifdef __SANITIZE_ADDRESS__
    SKIP("the sanitizer has its own malloc");
#else
    char said[200];

    for (int failing = 0; failing < 1000; failing++) {
        int status = outcome_of(failing, said, sizeof(said));
        if (WIFEXITED(status) && WEXITSTATUS(status) == WHOLE) {
            ASSERT(failing > 10); /* as many calls as the reply needs */
            return;
        }
        ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
        ASSERT_HAS("out of memory: 1 x ", said);
    }
    FAIL("the reply never ends");
#endif
}
