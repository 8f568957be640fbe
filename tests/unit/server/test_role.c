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

TEST(a_plain_message_on_insecure_loopback_is_of_an_administrator)
{
    struct request rq = {0};
    struct gate *gate;
    struct errbuf why;
    uint8_t text[] = "{}", *body = text;
    size_t bytes = sizeof(text) - 1;

    ASSERT_OK(gate_open(NULL, NULL, &gate, &why), why);
    ASSERT(gate_enter(gate, &rq, &(struct caller){.plain = ROLE_ADMIN, .peer = "here"}, &body,
                      &bytes));
    for (int type = 0; type < MSG_COUNT; type++) {
        rq.type = (enum message_type)type;
        ASSERT_OK(gate_judge(&rq, &why), why);
    }
    gate_close(gate);
}

TEST(every_role_but_none_has_the_number_that_keys_were_made_with)
{
    static const enum role by_number[] = {ROLE_ADMIN,  ROLE_SUBMIT, ROLE_READ,
                                          ROLE_WORKER, ROLE_SERVER, ROLE_TRAINER};

    for (unsigned number = 0; number < 6; number++) {
        ASSERT_EQ(by_number[number], role_of_number(number));
        ASSERT_EQ(number, role_number(by_number[number]));
        ASSERT_STR(role_names[number], role_name(by_number[number]));
    }
    ASSERT_EQ(ROLE_NONE, role_of_number(6));
    ASSERT_EQ(ROLE_NONE, role_of_number(255));
}

/* --- who may ask for what --- */

/* The messages that a role may send, besides ping and dataset.get; an admin may send all. Written
 * down here once more: what somebody may do is changed in two places, or not at all. */
static const char *const of_workers[] = {
    "worker.hello", "worker.bye",     "worker.note",  "task.next",  "task.result",  "task.fail",
    "task.refuse",  "task.job",       "task.share",   "params.get", "result.offer", "result.put",
    "predict.load", "predict.result", "predict.fail", NULL};
static const char *const of_submitters[] = {
    "job.submit",     "job.pause",    "job.resume",     "job.cancel",    "dataset.offer",
    "dataset.put",    "dataset.name", "dataset.revise", "job.apply",     "verdict.put",
    "predict.open",   "predict.put",  "predict.get",    "predict.close", "upload.rm",
    "dataset.commit", "dataset.rm",   "study.submit",   "study.pause",   "study.resume",
    "study.cancel",   NULL,
};
static const char *const of_trainers[] = {
    "external.open", "external.join", "external.order", "external.report", "external.close", NULL,
};
static const char *const of_admins[] = {"job.unpin",  "job.rm",       "study.rm",   "db.backup",
                                        "db.check",   "db.compact",   "audit.list", "key.list",
                                        "key.revoke", "worker.trust", NULL};
static const char *const of_all[] = {"ping", "key.renew", NULL};
static const char *const of_readers_and_workers[] = {"dataset.get", NULL};

static bool lists(const char *const names[], const char *name)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static bool may(enum role role, const char *name)
{
    const bool trains = lists(of_trainers, name);
    const bool submits = lists(of_submitters, name) || trains;
    const bool works = lists(of_workers, name), rules = lists(of_admins, name);

    if (role == ROLE_ADMIN || lists(of_all, name))
        return true;
    if (role == ROLE_TRAINER)
        return trains;
    if (lists(of_readers_and_workers, name))
        return true;
    if (role == ROLE_WORKER)
        return works;
    return !works && !rules && (role == ROLE_SUBMIT || !submits);
}

TEST(every_message_is_for_the_roles_that_it_is_for)
{
    static const enum role roles[] = {ROLE_ADMIN, ROLE_SUBMIT, ROLE_READ, ROLE_WORKER,
                                      ROLE_TRAINER};
    struct request rq = {0};
    struct errbuf why;

    for (int type = 0; type < MSG_COUNT; type++)
        for (int i = 0; i < 5; i++) {
            rq.type = (enum message_type)type;
            rq.role = roles[i];
            const int want = may(roles[i], message_names[type]) ? 0 : -EACCES;
            if (gate_judge(&rq, &why) != want)
                FAIL("%s may%s send %s", role_name(roles[i]), want ? " not" : "",
                     message_names[type]);
        }
    for (int i = 0; of_workers[i]; i++)
        ASSERT(may(ROLE_WORKER, of_workers[i]) && !may(ROLE_SUBMIT, of_workers[i]));
}

TEST(who_may_not_is_told_which_role_may)
{
    struct request rq = {.type = MSG_JOB_SUBMIT, .role = ROLE_WORKER};
    struct errbuf why;

    ASSERT_EQ(-EACCES, gate_judge(&rq, &why));
    ASSERT_STR("the role worker may not send job.submit; the role must be admin or submit",
               why.text);
    rq.session = 1;
    ASSERT_EQ(-EACCES, gate_judge(&rq, &why));
    ASSERT_STR("a key of the role worker may not send job.submit; the role must be admin or submit",
               why.text);
    rq.role = ROLE_NONE;
    ASSERT_EQ(-EACCES, gate_judge(&rq, &why));
}

TEST(a_worker_is_whose_role_says_so_and_an_administrator_without_a_key_by_what_it_asks)
{
    struct request rq = {.type = MSG_DATASET_GET, .role = ROLE_SUBMIT};

    ASSERT(request_is_of_people(&rq)); /* of a group of this machine */
    rq.role = ROLE_READ;
    ASSERT(request_is_of_people(&rq));
    rq.role = ROLE_WORKER;
    ASSERT(!request_is_of_people(&rq));
    rq.role = ROLE_ADMIN;
    ASSERT(!request_is_of_people(&rq));
    rq.type = MSG_JOB_LIST;
    ASSERT(request_is_of_people(&rq));
    rq.role = ROLE_WORKER;
    ASSERT(!request_is_of_people(&rq));
}
