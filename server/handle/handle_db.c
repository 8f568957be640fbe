/* db.*: a person asks for upkeep of the databases. */
#include "common/field.h"
#include "server/handle/handlers.h"
#include "server/jobs/service.h"

void handle_db_backup(struct request *rq)
{
    int64_t keep = BACKUPS_KEPT;
    struct errbuf why;
    int rc = field_i64(rq->message.json, "db.backup", "keep", false, 1, BACKUPS_MAX, &keep, &why);

    if (rc < 0)
        request_fail(rq, rc, &why);
    else
        upkeep_ask(rq->service->upkeep, rq, UPKEEP_BACKUP, keep);
}

void handle_db_check(struct request *rq)
{
    upkeep_ask(rq->service->upkeep, rq, UPKEEP_CHECK, 0);
}

void handle_db_compact(struct request *rq)
{
    upkeep_ask(rq->service->upkeep, rq, UPKEEP_COMPACT, 0);
}
