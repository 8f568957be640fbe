/* Revisions of datasets in difficulty.db: what they change, and the views that show labels. */
#include "server/store/store_internal.h"
#include "server/store/store_sql_parts.h"

/* SQL is laid out as SQL. */
/* clang-format off */

/* Revisions of datasets, and which one an epoch had. A sample's label and truth are then those of
 * the revision, and what it relabels is no planted flip any more. */
#define REVISED(column) \
    "(SELECT v." column " FROM revision_sample v WHERE v.dataset_id = j.dataset_id\n" \
    "    AND v.revision = e.revision AND v.sample_id = s.sample_id)"
#define SAMPLE(column) \
    "(SELECT m." column " FROM sample m\n" \
    "    WHERE m.dataset_id = j.dataset_id AND m.sample_id = s.sample_id)"
#define REVISED_LABEL "coalesce(" REVISED("class_id") ", " SAMPLE("class_id") ")"
#define REVISED_TRUTH \
    "  coalesce(" REVISED("class_id") ", " SAMPLE("truth") ") AS truth,\n" \
    "  (SELECT CASE WHEN m.planted = 1 AND " REVISED("class_id") " IS NOT NULL\n" \
    "    THEN 0 ELSE m.planted END" OF_SAMPLE " AS planted"
#define URI ",\n  (SELECT m.uri" OF_SAMPLE " AS uri"

const char sql_difficulty_14[] =
    "CREATE TABLE revision(\n"
    "  dataset_id INTEGER NOT NULL,\n"
    "  revision INTEGER NOT NULL,\n"
    "  sha256 TEXT NOT NULL,\n"
    "  n_relabelled INTEGER NOT NULL,\n"
    "  n_excluded INTEGER NOT NULL,\n"
    "  created_unix_ms INTEGER NOT NULL,\n"
    "  PRIMARY KEY(dataset_id, revision)\n"
    ") WITHOUT ROWID;\n"
    "CREATE TABLE revision_sample(\n"
    "  dataset_id INTEGER NOT NULL,\n"
    "  revision INTEGER NOT NULL,\n"
    "  sample_id INTEGER NOT NULL,\n"
    "  class_id INTEGER,\n"
    "  PRIMARY KEY(dataset_id, revision, sample_id)\n"
    ") WITHOUT ROWID;\n"
    "ALTER TABLE epoch ADD COLUMN revision INTEGER;\n"

    "DROP VIEW v_hardest;\n"
    "DROP VIEW v_latest;\n"
    "CREATE VIEW v_latest AS\n"
    "SELECT j.job_id AS job, e.epoch AS epoch, s.sample_id AS sample,\n"
    "  " REVISED_LABEL " AS label,\n"
    "  (SELECT c.name FROM class c WHERE c.dataset_id = j.dataset_id\n"
    "    AND c.class_id = " REVISED_LABEL ") AS label_name,\n"
    MEASURES ",\n"
    REVISED_TRUTH URI "\n"
    LATEST_SCORES "\n"
    LATEST_WHERE ";\n"
    "CREATE VIEW v_hardest AS\n"
    "SELECT * FROM v_latest ORDER BY +job DESC, adm DESC, gap DESC, sample;\n"

    "DROP VIEW v_suspect;\n"
    VIEW_SUSPECT_WITH("-(" SUSPICION(MARGIN, "x.margin_mean") ") AS suspicion,\n"
                      "  " MARGIN " AS margin", REVISED_TRUTH, URI)

    "DROP VIEW v_class;\n"
    /* Joined, not looked up: a condition on the job would not go through windows over a lookup. */
    VIEW_GROUP_BY("v_class", "label", "class", "coalesce(v.class_id, m.class_id)",
                  " LEFT JOIN revision_sample v\n"
                  "      ON v.dataset_id = j.dataset_id AND v.revision = e.revision\n"
                  "      AND v.sample_id = s.sample_id", "");

/* What a job trains on by its name, "photos@2": the revision of its last epoch. */
const char sql_difficulty_15[] =
    "DROP VIEW v_job_compare;\n"
    JOB_COMPARE_ON("j.dataset || coalesce('@' || nullif(\n"
                   LAST_EPOCH("revision", "epoch IS NOT NULL") ", 0), '')",
                   "j.alpha AS alpha,\n  j.attack_steps AS attack_steps,\n"
                   LAST_EPOCH("validation_accuracy", "validation_accuracy IS NOT NULL")
                   " AS validation_accuracy,\n"
                   "  max(e.validation_accuracy) AS best_validation_accuracy, ");

/* A program that trains by itself reports what it has: of a row only the key is always there. To
 * take a NOT NULL out of a large table, its text is changed and no row (sqlite.org,
 * lang_altertable); the table that comes and goes lets other connections see it. */
const char sql_difficulty_17[] =
    "PRAGMA writable_schema=ON;\n"
    "UPDATE sqlite_master SET sql = replace(replace(replace(sql, ' REAL NOT NULL', ' REAL'),\n"
    "    'predicted INTEGER NOT NULL', 'predicted INTEGER'),\n"
    "    'correct INTEGER NOT NULL', 'correct INTEGER')\n"
    "  WHERE type = 'table' AND name IN ('score', 'test_score');\n"
    "UPDATE sqlite_master SET sql = replace(sql, ' REAL NOT NULL', ' REAL')\n"
    "  WHERE type = 'table' AND name = 'sample_state';\n"
    "CREATE TABLE passing(a INTEGER);\n"
    "DROP TABLE passing;\n"
    "PRAGMA writable_schema=RESET;\n";

/* A large job has its histories under its number and under minus that in turn, so that new rows are
 * there, slice by slice, before they are seen. */
#define HISTORY "coalesce(j.history, j.job_id)"
const char sql_difficulty_19[] =
    "ALTER TABLE job ADD COLUMN history INTEGER;\n"
    "DROP VIEW v_suspect;\n"
    VIEW_SUSPECT_OF("-(" SUSPICION(MARGIN, "x.margin_mean") ") AS suspicion,\n"
                    "  " MARGIN " AS margin", REVISED_TRUTH, URI, HISTORY)

    "DROP VIEW v_data_map;\n"
    VIEW_DATA_MAP(HISTORY)

    "DROP VIEW v_forgetting;\n"
    "CREATE VIEW v_forgetting AS\n"
    "SELECT j.job_id AS job, s.n_forget AS n_forget, count(*) AS samples,\n"
    "  sum(s.n_correct = 0) AS never_right, sum(s.correct) AS right_now,\n"
    "  avg(s.adm_ema) AS adm_ema_mean, avg(s.confidence) AS confidence_mean\n"
    "FROM job j CROSS JOIN sample_state s WHERE s.job_id = " HISTORY "\n"
    "GROUP BY j.job_id, s.n_forget;\n";

/* A program that trains by itself may report its test without an attack. */
const char sql_difficulty_20[] =
    "DROP VIEW v_test_group;\n"
    VIEW_TEST_GROUP("CASE WHEN e.adv_accuracy IS NOT NULL THEN\n"
                    "    g.adv_correct * 1.0 / g.samples END");
