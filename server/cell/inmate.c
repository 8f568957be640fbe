#define _GNU_SOURCE
#include "server/cell/inmate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#include "common/confine.h"
#include "common/field.h"
#include "server/cell/record.h"
#include "server/query/query.h"

/* Beside what SQLite may take: the answer as a tree and as text, and the pages of the log. */
#define ROOM_BYTES (INT64_C(128) << 20)
/* The processor's time is a second bound, where a process that is stopped or waits does not end
 * the first. */
#define CPU_S (QUERY_DEADLINE_MS / 1000 + 2)
/* The index of the log is mapped to be read only: one that is being written is met again. */
#define TRIES 10

/* What SQLite needs to read files that are open, to take memory and to answer on a socket. Nothing
 * here opens, connects, starts or signals anything. A call that is not here fails: a library that
 * tries one for convenience goes on, as on a kernel without it. */
static const int calls[] = {
    __NR_read,
    __NR_pread64,
    __NR_sendto,
    __NR_recvmsg,
    __NR_close,
    __NR_lseek,
    __NR_fcntl,
    __NR_fstat,
    __NR_mmap,
    __NR_mprotect,
    __NR_munmap,
    __NR_mremap,
    __NR_madvise,
    __NR_brk,
    __NR_futex,
    __NR_clock_gettime,
    __NR_clock_nanosleep,
    __NR_nanosleep,
    __NR_gettimeofday,
    __NR_rt_sigreturn,
    __NR_rt_sigaction,
    __NR_rt_sigprocmask,
    __NR_sigaltstack,
    __NR_getpid,
    __NR_gettid,
    __NR_getrandom,
    __NR_sched_yield,
    __NR_restart_syscall,
    __NR_exit,
    __NR_exit_group,
#ifdef __NR_newfstatat
    __NR_newfstatat,
#endif
#ifdef __NR_time
    __NR_time,
#endif
};

/* No further descriptor, and of the system calls only these. What needs a file is open. 0, or
 * -errno when the calls are not filtered. */
static int close_cell(void)
{
    const struct rlimit none = {0, 0};

    setrlimit(RLIMIT_NOFILE, &none);
    return confine_calls(calls, sizeof(calls) / sizeof(calls[0]), false);
}

static int answer(int fd, const cJSON *out)
{
    char *columns = cJSON_PrintUnformatted(cJSON_GetObjectItem(out, "columns"));
    char *rows = cJSON_PrintUnformatted(cJSON_GetObjectItem(out, "rows"));
    const int32_t more = cJSON_IsTrue(cJSON_GetObjectItem(out, "more"));
    int rc = record_send_text(fd, RECORD_COLUMNS, columns, strlen(columns));

    if (rc == 0)
        rc = record_send_text(fd, RECORD_ROWS, rows, strlen(rows));
    if (rc == 0)
        rc = record_send(fd, RECORD_END, &more, sizeof(more), NULL, 0, 0);
    free(columns);
    free(rows);
    return rc;
}

static int ask(struct query *q, const struct record *r, cJSON **ret, struct errbuf *why)
{
    char sql[RECORD_BYTES_MAX + 1];
    struct record_question asked;

    if (r->kind != RECORD_QUESTION || r->bytes < sizeof(asked))
        return err_set(why, -EPROTO, "this is no question");
    memcpy(&asked, r->data, sizeof(asked));
    memcpy(sql, r->data + sizeof(asked), r->bytes - sizeof(asked));
    sql[r->bytes - sizeof(asked)] = '\0';
    const struct sql_args args = {.job = asked.job, .limit = asked.limit, .sql = sql};
    int rc = -EROFS;
    for (int i = 0; rc == -EROFS && i < TRIES; i++)
        rc = query_sql(q, &args, ret, why);
    return rc;
}

void inmate_run(int fd, const char *dir)
{
    static struct record r;
    struct query *q = NULL;
    struct errbuf why = {""};
    cJSON *out = NULL;

    field_own_memory();
    tzset();
    int32_t rc = confine_limits(QUERY_MEMORY_MAX + ROOM_BYTES, CPU_S);
    if (rc < 0)
        err_set(&why, rc, "cannot limit a process for SQL: %s", err_text(rc));
    else
        rc = query_open_sql(dir, &q, &why);
    const int32_t filter = close_cell();
    record_send(fd, RECORD_FILTER, &filter, sizeof(filter), NULL, 0, 0);
    if (record_receive(fd, &r) <= 0)
        return;
    if (rc == 0)
        rc = ask(q, &r, &out, &why);
    if (rc == 0)
        answer(fd, out);
    else
        record_send(fd, RECORD_ERROR, &rc, sizeof(rc), why.text, strlen(why.text), 0);
    cJSON_Delete(out);
    query_close(q);
}
