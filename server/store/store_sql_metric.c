/* Metrics by name in difficulty.db: a table of those that training programs send, and one view of
 * them and of what the epochs' own rows have; and probabilities of classes. */
#include "server/store/store_internal.h"

/* SQL is laid out as SQL. */
/* clang-format off */

#define OWN(column, name, more) \
    "SELECT job_id AS job, epoch, '" name "' AS name, cast(" column " AS REAL) AS value FROM epoch\n" \
    "  WHERE state = 'committed' AND " column " " more "\n" \
    "UNION ALL "
#define FIGURE(column) OWN(column, column, "IS NOT NULL")

const char sql_difficulty_16[] =
    "CREATE TABLE metric(\n"
    "  job_id INTEGER NOT NULL,\n"
    "  epoch INTEGER NOT NULL,\n"
    "  name TEXT NOT NULL,\n"
    "  value REAL NOT NULL,\n"
    "  PRIMARY KEY(job_id, epoch, name)\n"
    ") WITHOUT ROWID;\n"
    "CREATE INDEX metric_name ON metric(job_id, name);\n"

    "CREATE VIEW v_metric AS\n"
    FIGURE("share") FIGURE("scheduled") FIGURE("lr") FIGURE("train_loss") FIGURE("train_accuracy")
    FIGURE("sharpness") FIGURE("test_loss") FIGURE("test_accuracy") FIGURE("adv_accuracy")
    FIGURE("validation_loss") FIGURE("validation_accuracy") FIGURE("validation_adv_accuracy")
    OWN("n_scored", "scored", "> 0") FIGURE("mean_gap") FIGURE("adm_mean") FIGURE("adm_p10")
    FIGURE("adm_p50") FIGURE("adm_p90") FIGURE("newly_right") FIGURE("seconds")
    "SELECT e.job_id AS job, e.epoch AS epoch, m.name AS name, m.value AS value\n"
    "  FROM epoch e CROSS JOIN metric m\n"
    "  WHERE e.state = 'committed' AND m.job_id = e.job_id AND m.epoch = e.epoch;\n";

/* A row holds the classes of a sample: columns of its own for a thousand of them are too many, and
 * rows cost ten times as much. */
const char sql_difficulty_18[] =
    "CREATE TABLE probability(\n"
    "  job_id INTEGER NOT NULL,\n"
    "  epoch INTEGER NOT NULL,\n"
    "  sample_id INTEGER NOT NULL,\n"
    "  p BLOB NOT NULL,\n"
    "  PRIMARY KEY(job_id, epoch, sample_id)\n"
    ") WITHOUT ROWID;\n";
