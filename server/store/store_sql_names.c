/* The names of samples in difficulty.db: a table of those of the test images, and a column of every
 * view that shows a sample. Columns of views come at their end, for those who count them. */
#include "server/store/store_internal.h"
#include "server/store/store_sql_parts.h"

/* SQL is laid out as SQL. */
/* clang-format off */

#define URI ",\n  (SELECT m.uri" OF_SAMPLE " AS uri"

const char sql_difficulty_12[] =
    "ALTER TABLE dataset ADD COLUMN names_sha256 TEXT;\n"
    "CREATE INDEX sample_uri ON sample(dataset_id, uri) WHERE uri IS NOT NULL;\n"
    "CREATE TABLE test_sample(\n"
    "  dataset_id INTEGER NOT NULL,\n"
    "  sample_id INTEGER NOT NULL,\n"
    "  uri TEXT NOT NULL,\n"
    "  PRIMARY KEY(dataset_id, sample_id)\n"
    ") WITHOUT ROWID;\n"
    "CREATE INDEX test_sample_uri ON test_sample(dataset_id, uri);\n"

    "DROP VIEW v_hardest;\n"
    "DROP VIEW v_latest;\n"
    "CREATE VIEW v_latest AS\n"
    "SELECT j.job_id AS job, e.epoch AS epoch, s.sample_id AS sample,\n"
    "  (SELECT m.class_id" OF_SAMPLE " AS label,\n"
    "  (SELECT c.name FROM sample m JOIN class c\n"
    "    ON c.dataset_id = m.dataset_id AND c.class_id = m.class_id\n"
    "    WHERE m.dataset_id = j.dataset_id AND m.sample_id = s.sample_id) AS label_name,\n"
    MEASURES ",\n"
    "  (SELECT m.truth" OF_SAMPLE " AS truth,\n"
    "  (SELECT m.planted" OF_SAMPLE " AS planted" URI "\n"
    LATEST_SCORES "\n"
    LATEST_WHERE ";\n"
    "CREATE VIEW v_hardest AS\n"
    "SELECT * FROM v_latest ORDER BY +job DESC, adm DESC, gap DESC, sample;\n"

    "DROP VIEW v_suspect;\n"
    VIEW_SUSPECT("-(" SUSPICION(MARGIN, "x.margin_mean") ") AS suspicion,\n"
    "  " MARGIN " AS margin", URI)

    "DROP VIEW v_riser;\n"
    "CREATE VIEW v_riser AS\n"
    "SELECT a.job_id AS job, a.epoch AS epoch_from, b.epoch AS epoch_to, s.sample_id AS sample,\n"
    "  s.adm AS adm_from, t.adm AS adm_to, t.adm - s.adm AS rise,\n"
    "  s.loss AS loss_from, t.loss AS loss_to, t.loss - s.loss AS loss_rise,\n"
    "  s.correct AS correct_from, t.correct AS correct_to,\n"
    "  (SELECT m.uri FROM job j CROSS JOIN sample m WHERE j.job_id = a.job_id\n"
    "    AND m.dataset_id = j.dataset_id AND m.sample_id = s.sample_id) AS uri\n"
    "FROM epoch a CROSS JOIN epoch b CROSS JOIN score s CROSS JOIN score t\n"
    "WHERE a.state = 'committed' AND b.state = 'committed' AND b.job_id = a.job_id\n"
    "  AND b.epoch > a.epoch AND s.job_id = a.job_id AND s.epoch = a.epoch\n"
    "  AND t.job_id = a.job_id AND t.epoch = b.epoch AND t.sample_id = s.sample_id;\n"

    "DROP VIEW v_data_map;\n"
    VIEW_DATA_MAP("j.job_id")

    /* A job with test_domains is tested on training images. */
    "DROP VIEW v_test_hardest;\n"
    "DROP VIEW v_test;\n"
    "CREATE VIEW v_test AS\n"
    "SELECT e.job_id AS job, e.epoch AS epoch, s.sample_id AS sample, s.label AS label,\n"
    "  (SELECT c.name FROM job j CROSS JOIN class c WHERE j.job_id = e.job_id\n"
    "    AND c.dataset_id = j.dataset_id AND c.class_id = s.label) AS label_name,\n"
    MEASURES ", s.adv_predicted AS adv_predicted, s.adv_predicted = s.label AS adv_correct,\n"
    "  (SELECT CASE WHEN instr(j.config_json, '\"test_domains\":')\n"
    "    THEN (SELECT m.uri FROM sample m\n"
    "      WHERE m.dataset_id = j.dataset_id AND m.sample_id = s.sample_id)\n"
    "    ELSE (SELECT m.uri FROM test_sample m\n"
    "      WHERE m.dataset_id = j.dataset_id AND m.sample_id = s.sample_id) END\n"
    "    FROM job j WHERE j.job_id = e.job_id) AS uri\n"
    "FROM epoch e CROSS JOIN test_score s\n"
    "WHERE e.state = 'committed' AND s.job_id = e.job_id AND s.epoch = e.epoch;\n"
    "CREATE VIEW v_test_hardest AS\n"
    "SELECT * FROM v_test v WHERE epoch = (SELECT max(n.epoch) FROM epoch n\n"
    "    WHERE n.job_id = v.job AND n.state = 'committed' AND EXISTS (SELECT 1 FROM test_score t\n"
    "      WHERE t.job_id = n.job_id AND t.epoch = n.epoch))\n"
    "ORDER BY +job DESC, adm DESC, gap DESC, sample;\n";
