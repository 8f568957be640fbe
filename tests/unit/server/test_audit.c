#include "server/handle/dispatch.h"
#include "tests/unit/server/service_fixture.h"

#include <sqlite3.h>

#define ME "11111111-1111-4111-8111-111111111111"

/* Those of clients that change nothing, or whose change another one of them is recorded for. */
static const char *const only_look[] = {
    "predict.open",    "predict.put",    "predict.get", "predict.close", "dataset.put",
    "db.check",        "audit.list",     "key.list",    "external.join", "external.order",
    "external.report", "external.close", NULL};

/* Those that readers and workers may send, too. */
static const char *const of_all[] = {"key.renew", "server.dashboard", NULL};

static bool lists(const char *const names[], const char *name)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

TEST(every_message_that_changes_something_is_recorded)
{
    for (int i = 0; i < MSG_COUNT; i++) {
        unsigned roles = message_roles((enum message_type)i);
        bool changes = lists(of_all, message_names[i]) ||
                       (!(roles & (ROLE_BIT(ROLE_READ) | ROLE_BIT(ROLE_WORKER))) &&
                        !lists(only_look, message_names[i]));
        if (changes != (dispatch_changes((enum message_type)i) != NULL))
            FAIL("%s is%s recorded", message_names[i], changes ? " not" : "");
    }
}

static void name_peer(const struct request *rq, char ret[PEER_BYTES])
{
    (void)rq;
    snprintf(ret, PEER_BYTES, "tcp 10.0.0.1:5");
}

static struct request *command(enum message_type type, const char *json, struct told **ret)
{
    static const struct carrier keeper = {
        .reply = keep_answer, .drop = keep_drop, .peer = name_peer};
    struct request *rq = request_of(&net, type, ME, json, ret);

    rq->carrier = &keeper;
    rq->role = ROLE_SUBMIT;
    snprintf(rq->key_name, sizeof(rq->key_name), "ann");
    request_record(rq, dispatch_changes(type));
    return rq;
}

static void open_all(void)
{
    service_make(1, PLENTY);
    service.audit = audit_open(&service);
    net.record = audit_answer;
}

static void close_all(void)
{
    lane_close(net.store_lane);
    audit_end(service.audit);
    lane_open(&net.loop, "store", NULL, &net.store_lane);
    service_close();
    audit_close(service.audit);
    told_forget();
}

/* The first column of all rows, a line each. */
static void run_sql(const char *sql, char *ret, size_t bytes)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    size_t at = 0;

    ret[0] = 0;
    ASSERT_EQ(SQLITE_OK, sqlite3_open(test_path("state/state.db"), &db));
    ASSERT_EQ(SQLITE_OK, sqlite3_prepare_v2(db, sql, -1, &stmt, NULL));
    while (sqlite3_step(stmt) == SQLITE_ROW && at < bytes)
        at += (size_t)snprintf(ret + at, bytes - at, "%s\n", sqlite3_column_text(stmt, 0));
    sqlite3_finalize(stmt);
    sqlite3_close(db);
}

#define ASSERT_ROWS(want, sql)                                                                     \
    do {                                                                                           \
        char got[2000];                                                                            \
        run_sql(sql, got, sizeof(got));                                                            \
        ASSERT_STR(want, got);                                                                     \
    } while (0)

TEST(an_answer_leaves_when_its_command_is_on_record)
{
    struct told *done, *refused;
    open_all();

    request_reply(command(MSG_JOB_CANCEL, "{\"job\": 3}", &done), NULL, NULL, 0);
    request_error(command(MSG_DATASET_RM, "{\"name\": \"d\"}", &refused), ERR_NOT_ALLOWED,
                  "job 1 has it");
    ASSERT_EQ(0, done->answers);
    settle();
    ASSERT_EQ(1, done->answers);
    ASSERT_REFUSED("not_allowed", refused);
    ASSERT_ROWS("ann submit tcp 10.0.0.1:5 job.cancel (job 3) ok \n"
                "ann submit tcp 10.0.0.1:5 dataset.rm (dataset d) not_allowed job 1 has it\n",
                "SELECT key || ' ' || role || ' ' || address || ' ' || command || ' (' || about ||"
                " ') ' || result || ' ' || text FROM audit ORDER BY number");
    close_all();
}

/* What it is about may be known from the answer only; a text is cut between two characters. */
TEST(what_a_command_changes_is_named)
{
    char json[600] = "{\"name\": \"", *end = json + strlen(json);
    struct told *told;
    open_all();

    cJSON *out = cJSON_CreateObject(), *row = cJSON_AddObjectToObject(out, "job");
    cJSON_AddNumberToObject(row, "job", 12);
    request_reply(command(MSG_JOB_SUBMIT, "{}", &told), out, NULL, 0);
    request_reply(command(MSG_DB_COMPACT, "{}", &told), NULL, NULL, 0);
    request_reply(command(MSG_JOB_PAUSE, "{\"job\": [1]}", &told), NULL, NULL, 0);
    request_reply(command(MSG_VERDICT_PUT, "{\"dataset\": \"d\"}", &told), NULL, NULL, 0);
    for (int i = 0; i < 200; i++)
        end = strcpy(end, "é") + 2;
    strcpy(end, "\"}");
    request_error(command(MSG_DATASET_REVISE, json, &told), ERR_BAD_FIELD, "no");
    settle();
    ASSERT_ROWS("job 12\n\n\ndataset d\n", "SELECT about FROM audit WHERE number < 5");
    ASSERT_ROWS("238 é\n",
                "SELECT length(CAST(about AS BLOB)) || ' ' || substr(about, -1) FROM audit WHERE"
                " number = 5");
    close_all();
}

/* Work goes on while nothing can be written; the rows follow. */
TEST(a_log_that_cannot_be_written_keeps_nobody_waiting)
{
    struct told *first, *second, *third;
    char none[8];
    open_all();

    run_sql("ALTER TABLE audit RENAME TO away", none, sizeof(none));
    request_reply(command(MSG_JOB_PAUSE, "{\"job\": 1}", &first), NULL, NULL, 0);
    request_reply(command(MSG_JOB_RESUME, "{\"job\": 1}", &second), NULL, NULL, 0);
    settle();
    ASSERT_EQ(1, first->answers);
    ASSERT_EQ(1, second->answers);
    request_reply(command(MSG_JOB_CANCEL, "{\"job\": 1}", &third), NULL, NULL, 0);
    ASSERT_EQ(1, third->answers);
    audit_tick(service.audit, now_ms); /* too early */
    settle();
    run_sql("ALTER TABLE away RENAME TO audit", none, sizeof(none));
    ASSERT_ROWS("", "SELECT command FROM audit");
    now_ms += 10000;
    audit_tick(service.audit, now_ms);
    settle();
    ASSERT_ROWS("job.pause\njob.resume\njob.cancel\n", "SELECT command FROM audit");
    close_all();
}

TEST(rows_that_have_no_room_are_dropped_and_the_rest_is_written)
{
    struct told *told;
    char none[8];
    open_all();

    run_sql("ALTER TABLE audit RENAME TO away", none, sizeof(none));
    for (int i = 0; i < AUDIT_WAITING_MAX + 5; i++) {
        request_reply(command(MSG_JOB_PAUSE, "{\"job\": 1}", &told), NULL, NULL, 0);
        if (i == 0)
            settle();
        ASSERT_EQ(1, told->answers);
        told_forget();
    }
    run_sql("ALTER TABLE away RENAME TO audit", none, sizeof(none));
    now_ms += 10000;
    audit_tick(service.audit, now_ms);
    settle();
    ASSERT_ROWS("1000\n", "SELECT count(*) FROM audit");
    close_all();
}

TEST(when_the_server_stops_nobody_waits_for_the_log)
{
    struct told *told;
    open_all();

    lane_close(net.store_lane);
    audit_end(service.audit);
    request_reply(command(MSG_JOB_PAUSE, "{\"job\": 1}", &told), NULL, NULL, 0);
    ASSERT_EQ(1, told->answers);
    ASSERT_EQ(0, lane_open(&net.loop, "store", NULL, &net.store_lane));
    service_close();
    audit_close(service.audit);
    told_forget();
}
