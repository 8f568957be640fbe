/* The tables and views of difficulty.db; those of state.db are in store_sql_state.c.
 *
 * People read difficulty.db with any version of SQLite: no STRICT tables, and views without ->>,
 * iif, upsert and RETURNING. Views join the epoch table first and fix the order with CROSS JOIN, so
 * that a score is always reached by its key (job_id, epoch, sample_id), and show only committed
 * epochs. Names in views are those of the protocol. */
#include "server/store/store_internal.h"

/* SQL is laid out as SQL. */
/* clang-format off */

#define JOB_STATES_CHECK "CHECK(state IN ('queued','running','paused','done','failed','cancelled'))"

const char sql_difficulty_1[] =
    "CREATE TABLE meta(\n"
    "  key TEXT PRIMARY KEY,\n"
    "  value TEXT NOT NULL,\n"
    "  unit TEXT,\n"
    "  range TEXT,\n"
    "  direction TEXT\n"
    ") WITHOUT ROWID;\n"
    "CREATE TABLE dataset(\n"
    "  dataset_id INTEGER PRIMARY KEY,\n"
    "  name TEXT NOT NULL,\n"
    "  sha256 TEXT NOT NULL UNIQUE,\n"
    "  n_samples INTEGER NOT NULL,\n"
    "  n_classes INTEGER NOT NULL,\n"
    "  source TEXT\n"
    ");\n"
    "CREATE TABLE class(\n"
    "  dataset_id INTEGER NOT NULL,\n"
    "  class_id INTEGER NOT NULL,\n"
    "  name TEXT NOT NULL,\n"
    "  PRIMARY KEY(dataset_id, class_id)\n"
    ") WITHOUT ROWID;\n"
    "CREATE TABLE sample(\n"
    "  dataset_id INTEGER NOT NULL,\n"
    "  sample_id INTEGER NOT NULL,\n"
    "  class_id INTEGER NOT NULL,\n"
    "  truth INTEGER,\n"
    "  planted INTEGER,\n"
    "  uri TEXT,\n"
    "  PRIMARY KEY(dataset_id, sample_id)\n"
    ") WITHOUT ROWID;\n"
    "CREATE TABLE job(\n"
    "  job_id INTEGER PRIMARY KEY,\n"
    "  uuid TEXT NOT NULL UNIQUE,\n"
    "  name TEXT NOT NULL,\n"
    "  dataset TEXT NOT NULL,\n"
    "  dataset_id INTEGER REFERENCES dataset,\n"
    "  state TEXT NOT NULL " JOB_STATES_CHECK ",\n"
    "  config_json TEXT NOT NULL,\n"
    "  seed INTEGER,\n"
    "  attack TEXT,\n"
    "  epsilon REAL,\n"
    "  normaliser TEXT,\n"
    "  created_unix_ms INTEGER NOT NULL,\n"
    "  finished_unix_ms INTEGER,\n"
    "  model_sha256 TEXT\n"
    ");\n"
    "CREATE TABLE epoch(\n"
    "  job_id INTEGER NOT NULL REFERENCES job,\n"
    "  epoch INTEGER NOT NULL,\n"
    "  state TEXT NOT NULL CHECK(state IN ('open','committed')),\n"
    "  share REAL,\n"
    "  scheduled INTEGER,\n"
    "  lr REAL,\n"
    "  train_loss REAL,\n"
    "  train_accuracy REAL,\n"
    "  sharpness REAL,\n"
    "  test_loss REAL,\n"
    "  test_accuracy REAL,\n"
    "  adv_accuracy REAL,\n"
    "  mean_gap REAL,\n"
    "  seconds REAL,\n"
    "  n_scored INTEGER NOT NULL,\n"
    "  adm_mean REAL,\n"
    "  adm_p10 REAL,\n"
    "  adm_p50 REAL,\n"
    "  adm_p90 REAL,\n"
    "  committed_unix_ms INTEGER,\n"
    "  scores_sha256 TEXT,\n"
    "  PRIMARY KEY(job_id, epoch)\n"
    ") WITHOUT ROWID;\n"
    "CREATE TABLE score(\n"
    "  job_id INTEGER NOT NULL,\n"
    "  epoch INTEGER NOT NULL,\n"
    "  sample_id INTEGER NOT NULL,\n"
    "  adm REAL NOT NULL,\n"
    "  loss REAL NOT NULL,\n"
    "  adv_loss REAL NOT NULL,\n"
    "  grad_norm REAL NOT NULL,\n"
    "  el2n REAL NOT NULL,\n"
    "  predicted INTEGER NOT NULL,\n"
    "  correct INTEGER NOT NULL,\n"
    "  flags INTEGER NOT NULL,\n"
    "  PRIMARY KEY(job_id, epoch, sample_id)\n"
    ") WITHOUT ROWID;\n"
    "CREATE TABLE sample_state(\n"
    "  job_id INTEGER NOT NULL,\n"
    "  sample_id INTEGER NOT NULL,\n"
    "  class_id INTEGER NOT NULL,\n"
    "  adm REAL NOT NULL,\n"
    "  adm_ema REAL NOT NULL,\n"
    "  adm_first REAL NOT NULL,\n"
    "  adm_max REAL NOT NULL,\n"
    "  loss REAL NOT NULL,\n"
    "  correct INTEGER NOT NULL,\n"
    "  n_seen INTEGER NOT NULL,\n"
    "  n_correct INTEGER NOT NULL,\n"
    "  n_forget INTEGER NOT NULL,\n"
    "  n_hard INTEGER NOT NULL,\n"
    "  last_epoch INTEGER NOT NULL,\n"
    "  PRIMARY KEY(job_id, sample_id)\n"
    ") WITHOUT ROWID;\n";

/* The scores s of the newest epoch e of job j that is committed and scored. */
#define LATEST_SCORES "FROM job j CROSS JOIN epoch e CROSS JOIN score s"
#define LATEST_WHERE \
    "WHERE e.job_id = j.job_id AND e.epoch = (SELECT max(n.epoch) FROM epoch n\n" \
    "    WHERE n.job_id = j.job_id AND n.state = 'committed' AND n.n_scored > 0)\n" \
    "  AND s.job_id = j.job_id AND s.epoch = e.epoch"
/* When rows are sorted and cut by LIMIT, these are looked up only for the rows shown; but not when
 * an index gives the first term of the order, hence the + before job in ORDER BY. */
#define OF_SAMPLE \
    " FROM sample m\n" \
    "    WHERE m.dataset_id = j.dataset_id AND m.sample_id = s.sample_id)"
#define MEASURES \
    "  s.adm AS adm, s.loss AS loss, s.adv_loss AS adv_loss, s.adv_loss - s.loss AS gap,\n" \
    "  s.grad_norm AS grad_norm, s.el2n AS el2n, s.predicted AS predicted, s.correct AS correct"
#define HIST_BIN "min(cast(s.adm * 20 AS INTEGER), 19)"
#define LAST_EPOCH(column, condition) \
    "  (SELECT l." column " FROM epoch l WHERE l.job_id = j.job_id AND l.state = 'committed'\n" \
    "    AND l." condition " ORDER BY l.epoch DESC LIMIT 1)"

/* Over rows s of score and x of sample_state: from the value of the last sweep to its mean over the
 * epochs, see definition.suspicion. */
#define SUSPICION(last, mean) \
    last " + (" mean " - " last ") * max(0.0, min(1.0, coalesce(50 * e.newly_right - 1, 1.0)))"
/* 1 - exp(-loss), with a loss of 0 as the smallest normal number; and definition.margin. */
#define HALF_TANH "tanh(max(s.loss, 2.2250738585072014e-308) / 2)"
#define REST "(2 * " HALF_TANH " / (1 + " HALF_TANH "))"
#define MARGIN \
    "(-s.loss - ln(" REST ")\n" \
    "    - ln(max(0.001, min(1.0, s.el2n / " REST " * s.el2n / " REST " - 1))) / 2)"
/* `columns`: suspicion and its parts. */
#define VIEW_SUSPECT(columns) \
    "CREATE VIEW v_suspect AS\n" \
    "SELECT j.job_id AS job, e.epoch AS epoch, s.sample_id AS sample, x.class_id AS label,\n" \
    "  (SELECT c.name FROM class c\n" \
    "    WHERE c.dataset_id = j.dataset_id AND c.class_id = x.class_id) AS label_name,\n" \
    "  s.predicted AS predicted, " columns ", s.loss AS loss,\n" \
    "  x.loss_mean AS loss_mean, x.margin_mean AS margin_mean, x.confidence AS confidence,\n" \
    "  x.n_seen AS n_seen, x.n_correct AS n_correct, x.n_forget AS n_forget,\n" \
    "  (SELECT m.truth" OF_SAMPLE " AS truth,\n" \
    "  (SELECT m.planted" OF_SAMPLE " AS planted\n" \
    LATEST_SCORES " CROSS JOIN sample_state x\n" \
    LATEST_WHERE "\n" \
    "  AND x.job_id = j.job_id AND x.sample_id = s.sample_id\n" \
    "ORDER BY +j.job_id DESC, suspicion DESC, s.sample_id;\n"

/* Sums over the last sweep by column <table>_id of sample, whose names are in table <table>; more:
 * of that column. Without GROUP BY: a condition on the job goes through windows partitioned by it,
 * but not through a sum behind them, and then all jobs would be sorted for one. */
#define VIEW_GROUP(view, word, table, more) \
    "CREATE VIEW " view " AS\n" \
    "SELECT job, epoch, " word ",\n" \
    "  (SELECT c.name FROM " table " c\n" \
    "    WHERE c.dataset_id = r.dataset_id AND c." table "_id = r." word ") AS " word "_name,\n" \
    "  n AS samples, adm_mean, adm_p50, adm_p90, loss_mean, accuracy\n" \
    "FROM (SELECT job, epoch, dataset_id, " word ", place, n,\n" \
    "    avg(adm) OVER w AS adm_mean,\n" \
    "    max(CASE WHEN 2 * place <= n + 1 THEN adm END) OVER w AS adm_p50,\n" \
    "    max(CASE WHEN 10 * place <= 9 * n + 9 THEN adm END) OVER w AS adm_p90,\n" \
    "    avg(loss) OVER w AS loss_mean, avg(correct) OVER w AS accuracy\n" \
    "  FROM (SELECT j.job_id AS job, j.dataset_id AS dataset_id, e.epoch AS epoch,\n" \
    "      m." table "_id AS " word ", s.adm AS adm, s.loss AS loss, s.correct AS correct,\n" \
    "      row_number() OVER (PARTITION BY j.job_id, m." table "_id ORDER BY s.adm) AS place,\n" \
    "      count(*) OVER (PARTITION BY j.job_id, m." table "_id) AS n\n" \
    "    " LATEST_SCORES " CROSS JOIN sample m\n" \
    "    " LATEST_WHERE "\n" \
    "      AND m.dataset_id = j.dataset_id AND m.sample_id = s.sample_id" more ")\n" \
    "  WINDOW w AS (PARTITION BY job, " word ")) r\n" \
    "WHERE place = 1;\n"

/* `more`: columns that a later version of job has. */
#define JOB_COMPARE(more) \
    "CREATE VIEW v_job_compare AS\n" \
    "SELECT j.job_id AS job, j.name AS name, j.dataset AS dataset, j.state AS state,\n" \
    "  j.seed AS seed, j.attack AS attack, j.epsilon AS epsilon, " \
    more "j.normaliser AS normaliser,\n" \
    "  count(e.epoch) AS epochs, sum(e.seconds) AS seconds, sum(e.n_scored) AS scores,\n" \
    LAST_EPOCH("train_loss", "train_loss IS NOT NULL") " AS train_loss,\n" \
    LAST_EPOCH("sharpness", "sharpness IS NOT NULL") " AS sharpness,\n" \
    LAST_EPOCH("test_accuracy", "test_accuracy IS NOT NULL") " AS test_accuracy,\n" \
    "  max(e.test_accuracy) AS best_test_accuracy,\n" \
    LAST_EPOCH("adv_accuracy", "adv_accuracy IS NOT NULL") " AS adv_accuracy,\n" \
    LAST_EPOCH("mean_gap", "n_scored > 0") " AS mean_gap,\n" \
    LAST_EPOCH("adm_mean", "n_scored > 0") " AS adm_mean\n" \
    "FROM job j LEFT JOIN epoch e ON e.job_id = j.job_id AND e.state = 'committed'\n" \
    "GROUP BY j.job_id;\n"

const char sql_difficulty_1_views[] =
    "CREATE VIEW v_latest AS\n"
    "SELECT j.job_id AS job, e.epoch AS epoch, s.sample_id AS sample,\n"
    "  (SELECT m.class_id" OF_SAMPLE " AS label,\n"
    "  (SELECT c.name FROM sample m JOIN class c\n"
    "    ON c.dataset_id = m.dataset_id AND c.class_id = m.class_id\n"
    "    WHERE m.dataset_id = j.dataset_id AND m.sample_id = s.sample_id) AS label_name,\n"
    MEASURES ",\n"
    "  (SELECT m.truth" OF_SAMPLE " AS truth,\n"
    "  (SELECT m.planted" OF_SAMPLE " AS planted\n"
    LATEST_SCORES "\n"
    LATEST_WHERE ";\n"

    "CREATE VIEW v_hardest AS\n"
    "SELECT * FROM v_latest ORDER BY +job DESC, adm DESC, gap DESC, sample;\n"

    "CREATE VIEW v_class AS\n"
    "SELECT job, epoch, label,\n"
    "  (SELECT c.name FROM class c\n"
    "    WHERE c.dataset_id = r.dataset_id AND c.class_id = r.label) AS label_name,\n"
    "  count(*) AS samples, avg(adm) AS adm_mean,\n"
    "  max(CASE WHEN 2 * place <= n + 1 THEN adm END) AS adm_p50,\n"
    "  max(CASE WHEN 10 * place <= 9 * n + 9 THEN adm END) AS adm_p90,\n"
    "  avg(loss) AS loss_mean, avg(correct) AS accuracy\n"
    "FROM (SELECT j.job_id AS job, j.dataset_id AS dataset_id, e.epoch AS epoch,\n"
    "    m.class_id AS label, s.adm AS adm, s.loss AS loss, s.correct AS correct,\n"
    "    row_number() OVER (PARTITION BY j.job_id, m.class_id ORDER BY s.adm) AS place,\n"
    "    count(*) OVER (PARTITION BY j.job_id, m.class_id) AS n\n"
    "  " LATEST_SCORES " CROSS JOIN sample m\n"
    "  " LATEST_WHERE "\n"
    "    AND m.dataset_id = j.dataset_id AND m.sample_id = s.sample_id) r\n"
    "GROUP BY job, epoch, dataset_id, label;\n"

    "CREATE VIEW v_hist AS\n"
    "SELECT j.job_id AS job, e.epoch AS epoch, " HIST_BIN " AS bin,\n"
    "  " HIST_BIN " / 20.0 AS lo, (" HIST_BIN " + 1) / 20.0 AS hi, count(*) AS samples\n"
    LATEST_SCORES "\n"
    LATEST_WHERE "\n"
    "GROUP BY j.job_id, e.epoch, " HIST_BIN ";\n"

    "CREATE VIEW v_label_suspect AS\n"
    "SELECT j.job_id AS job, s.sample_id AS sample, s.class_id AS label,\n"
    "  (SELECT c.name FROM class c\n"
    "    WHERE c.dataset_id = j.dataset_id AND c.class_id = s.class_id) AS label_name,\n"
    "  s.adm_ema AS adm_ema, s.adm AS adm, s.loss AS loss, s.n_seen AS n_seen,\n"
    "  s.n_correct AS n_correct, s.n_hard AS n_hard, s.last_epoch AS last_epoch,\n"
    "  (SELECT m.truth" OF_SAMPLE " AS truth,\n"
    "  (SELECT m.planted" OF_SAMPLE " AS planted\n"
    "FROM job j CROSS JOIN sample_state s\n"
    "WHERE s.job_id = j.job_id AND s.n_seen >= 5 AND s.n_correct * 5 <= s.n_seen\n"
    "ORDER BY +j.job_id DESC, s.adm_ema DESC, s.sample_id;\n"

    "CREATE VIEW v_trajectory AS\n"
    "SELECT e.job_id AS job, s.sample_id AS sample, e.epoch AS epoch,\n"
    MEASURES "\n"
    "FROM epoch e CROSS JOIN score s\n"
    "WHERE e.state = 'committed' AND s.job_id = e.job_id AND s.epoch = e.epoch;\n"

    JOB_COMPARE("");

/* Attacks of more than one move. */
const char sql_difficulty_2[] =
    "ALTER TABLE job ADD COLUMN alpha REAL;\n"
    "ALTER TABLE job ADD COLUMN attack_steps INTEGER;\n"
    "DROP VIEW v_job_compare;\n"
    JOB_COMPARE("j.alpha AS alpha,\n  j.attack_steps AS attack_steps, ");

/* The history of a sample with means over the epochs, and the views that use it. history_mend
 * writes sample_state again from the scores. */
const char sql_difficulty_3[] =
    "ALTER TABLE epoch ADD COLUMN newly_right REAL;\n"
    "DROP VIEW v_label_suspect;\n"
    "DROP VIEW v_class;\n"
    "DROP TABLE sample_state;\n"
    "CREATE TABLE sample_state(\n"
    "  job_id INTEGER NOT NULL,\n"
    "  sample_id INTEGER NOT NULL,\n"
    "  class_id INTEGER NOT NULL,\n"
    "  adm_ema REAL NOT NULL,\n"
    "  loss_mean REAL NOT NULL,\n"
    "  margin_mean REAL NOT NULL,\n"
    "  confidence REAL NOT NULL,\n"
    "  confidence_m2 REAL NOT NULL,\n"
    "  correct INTEGER NOT NULL,\n"
    "  n_seen INTEGER NOT NULL,\n"
    "  n_correct INTEGER NOT NULL,\n"
    "  n_forget INTEGER NOT NULL,\n"
    "  n_hard INTEGER NOT NULL,\n"
    "  last_epoch INTEGER NOT NULL,\n"
    "  PRIMARY KEY(job_id, sample_id)\n"
    ") WITHOUT ROWID;\n"

    VIEW_GROUP("v_class", "label", "class", "")

    "CREATE VIEW v_riser AS\n"
    "SELECT a.job_id AS job, a.epoch AS epoch_from, b.epoch AS epoch_to, s.sample_id AS sample,\n"
    "  s.adm AS adm_from, t.adm AS adm_to, t.adm - s.adm AS rise,\n"
    "  s.loss AS loss_from, t.loss AS loss_to, t.loss - s.loss AS loss_rise,\n"
    "  s.correct AS correct_from, t.correct AS correct_to\n"
    "FROM epoch a CROSS JOIN epoch b CROSS JOIN score s CROSS JOIN score t\n"
    "WHERE a.state = 'committed' AND b.state = 'committed' AND b.job_id = a.job_id\n"
    "  AND b.epoch > a.epoch AND s.job_id = a.job_id AND s.epoch = a.epoch\n"
    "  AND t.job_id = a.job_id AND t.epoch = b.epoch AND t.sample_id = s.sample_id;\n"

    VIEW_SUSPECT(SUSPICION("s.loss", "x.loss_mean") " AS suspicion")

    "CREATE VIEW v_data_map AS\n"
    "SELECT j.job_id AS job, x.sample_id AS sample, x.class_id AS label,\n"
    "  x.confidence AS confidence, sqrt(x.confidence_m2 / x.n_seen) AS variability,\n"
    "  x.n_correct * 1.0 / x.n_seen AS correctness, x.n_seen AS n_seen\n"
    "FROM job j CROSS JOIN sample_state x WHERE x.job_id = j.job_id;\n"

    "CREATE VIEW v_forgetting AS\n"
    "SELECT j.job_id AS job, s.n_forget AS n_forget, count(*) AS samples,\n"
    "  sum(s.n_correct = 0) AS never_right, sum(s.correct) AS right_now,\n"
    "  avg(s.adm_ema) AS adm_ema_mean, avg(s.confidence) AS confidence_mean\n"
    "FROM job j CROSS JOIN sample_state s WHERE s.job_id = j.job_id\n"
    "GROUP BY j.job_id, s.n_forget;\n"

    /* Joined first, then ranked: the other way round SQLite compares every pair. Equal values share
     * the mean of their first and last place. */
    "CREATE VIEW v_rank_correlation AS\n"
    "SELECT job, other, samples,\n"
    "  (xy - mx * my) / sqrt((xx - mx * mx) * (yy - my * my)) AS spearman\n"
    "FROM (SELECT job, other, count(*) OVER w AS samples, avg(x) OVER w AS mx,\n"
    "    avg(y) OVER w AS my, avg(x * x) OVER w AS xx, avg(y * y) OVER w AS yy,\n"
    "    avg(x * y) OVER w AS xy, row_number() OVER w AS place\n"
    "  FROM (SELECT job, other, (rank() OVER a + count(*) OVER a) / 2.0 AS x,\n"
    "      (rank() OVER b + count(*) OVER b) / 2.0 AS y\n"
    "  FROM (SELECT j.job_id AS job, k.job_id AS other, s.adm AS a, t.adm AS b\n"
    "    FROM job j CROSS JOIN job k CROSS JOIN epoch e CROSS JOIN epoch f CROSS JOIN score s\n"
    "    CROSS JOIN score t\n"
    "    " LATEST_WHERE "\n"
    "      AND k.dataset_id = j.dataset_id AND f.job_id = k.job_id\n"
    "      AND f.epoch = (SELECT max(n.epoch) FROM epoch n WHERE n.job_id = k.job_id\n"
    "        AND n.state = 'committed' AND n.n_scored > 0)\n"
    "      AND t.job_id = k.job_id AND t.epoch = f.epoch AND t.sample_id = s.sample_id)\n"
    "    WINDOW a AS (PARTITION BY job, other ORDER BY a),\n"
    "      b AS (PARTITION BY job, other ORDER BY b))\n"
    "  WINDOW w AS (PARTITION BY job, other))\n"
    "WHERE place = 1;\n";

/* Scores of the test samples, and the committed ones. */
const char sql_difficulty_4[] =
    "CREATE TABLE test_score(\n"
    "  job_id INTEGER NOT NULL,\n"
    "  epoch INTEGER NOT NULL,\n"
    "  sample_id INTEGER NOT NULL,\n"
    "  label INTEGER NOT NULL,\n"
    "  adm REAL NOT NULL,\n"
    "  loss REAL NOT NULL,\n"
    "  adv_loss REAL NOT NULL,\n"
    "  grad_norm REAL NOT NULL,\n"
    "  el2n REAL NOT NULL,\n"
    "  predicted INTEGER NOT NULL,\n"
    "  correct INTEGER NOT NULL,\n"
    "  flags INTEGER NOT NULL,\n"
    "  PRIMARY KEY(job_id, epoch, sample_id)\n"
    ") WITHOUT ROWID;\n"

    "CREATE VIEW v_test AS\n"
    "SELECT e.job_id AS job, e.epoch AS epoch, s.sample_id AS sample, s.label AS label,\n"
    "  (SELECT c.name FROM job j CROSS JOIN class c WHERE j.job_id = e.job_id\n"
    "    AND c.dataset_id = j.dataset_id AND c.class_id = s.label) AS label_name,\n"
    MEASURES "\n"
    "FROM epoch e CROSS JOIN test_score s\n"
    "WHERE e.state = 'committed' AND s.job_id = e.job_id AND s.epoch = e.epoch;\n"

    "CREATE VIEW v_test_hardest AS\n"
    "SELECT * FROM v_test v WHERE epoch = (SELECT max(n.epoch) FROM epoch n\n"
    "    WHERE n.job_id = v.job AND n.state = 'committed' AND EXISTS (SELECT 1 FROM test_score t\n"
    "      WHERE t.job_id = n.job_id AND t.epoch = n.epoch))\n"
    "ORDER BY +job DESC, adm DESC, gap DESC, sample;\n";

/* For scores that are not kept. */
const char sql_difficulty_5[] =
    "ALTER TABLE epoch ADD COLUMN n_dropped INTEGER NOT NULL DEFAULT 0;\n";

/* Suspicion by margin instead of loss. */
const char sql_difficulty_6[] =
    "DROP VIEW v_suspect;\n"
    VIEW_SUSPECT("-(" SUSPICION(MARGIN, "x.margin_mean") ") AS suspicion,\n"
    "  " MARGIN " AS margin");

/* Where the pictures of a dataset come from. */
const char sql_difficulty_7[] =
    "CREATE TABLE domain(\n"
    "  dataset_id INTEGER NOT NULL,\n"
    "  domain_id INTEGER NOT NULL,\n"
    "  name TEXT NOT NULL,\n"
    "  PRIMARY KEY(dataset_id, domain_id)\n"
    ") WITHOUT ROWID;\n"
    "ALTER TABLE sample ADD COLUMN domain_id INTEGER;\n"
    VIEW_GROUP("v_domain", "domain", "domain", " AND m.domain_id IS NOT NULL");

/* What is measured on training images that a job keeps out of training. */
const char sql_difficulty_8[] =
    "ALTER TABLE epoch ADD COLUMN validation_loss REAL;\n"
    "ALTER TABLE epoch ADD COLUMN validation_accuracy REAL;\n"
    "ALTER TABLE epoch ADD COLUMN validation_adv_accuracy REAL;\n";

/* Studies: who is compared with whom. */
const char sql_difficulty_9[] =
    "CREATE TABLE study(\n"
    "  study_id INTEGER PRIMARY KEY,\n"
    "  name TEXT NOT NULL,\n"
    "  control TEXT NOT NULL,\n"
    "  created_unix_ms INTEGER NOT NULL\n"
    ");\n"
    "CREATE TABLE study_job(\n"
    "  study_id INTEGER NOT NULL,\n"
    "  arm INTEGER NOT NULL,\n"
    "  data INTEGER NOT NULL,\n"
    "  seed INTEGER NOT NULL,\n"
    "  arm_name TEXT NOT NULL,\n"
    "  data_name TEXT NOT NULL,\n"
    "  job_id INTEGER NOT NULL,\n"
    "  PRIMARY KEY(study_id, arm, data, seed)\n"
    ") WITHOUT ROWID;\n"

    "CREATE VIEW v_study AS\n"
    "SELECT s.name AS study, m.arm_name AS arm, m.arm_name = s.control AS control,\n"
    "  m.data_name AS dataset, m.seed AS seed, m.job_id AS job, j.state AS state,\n"
    "  e.epoch AS epoch,\n"
    "  e.epoch = (SELECT max(l.epoch) FROM epoch l\n"
    "    WHERE l.job_id = m.job_id AND l.state = 'committed') AS last,\n"
    "  e.train_loss AS train_loss, e.sharpness AS sharpness, e.test_loss AS test_loss,\n"
    "  e.test_accuracy AS test_accuracy, e.adv_accuracy AS adv_accuracy,\n"
    "  e.validation_accuracy AS validation_accuracy,\n"
    "  e.mean_gap AS mean_gap, e.adm_mean AS adm_mean, e.seconds AS seconds\n"
    "FROM study s CROSS JOIN study_job m CROSS JOIN job j\n"
    "LEFT JOIN epoch e ON e.job_id = m.job_id AND e.state = 'committed'\n"
    "WHERE m.study_id = s.study_id AND j.job_id = m.job_id\n"
    "ORDER BY s.study_id, m.arm, m.data, m.seed, e.epoch;\n";

/* How flat the training loss is. */
const char sql_difficulty_10[] =
    "CREATE TABLE flatness(\n"
    "  job_id INTEGER NOT NULL,\n"
    "  epoch INTEGER NOT NULL,\n"
    "  n_samples INTEGER NOT NULL,\n"
    "  loss REAL NOT NULL,\n"
    "  gradient_norm REAL NOT NULL,\n"
    "  lambda1 REAL,\n"
    "  lambda2 REAL,\n"
    "  lambda3 REAL,\n"
    "  lambda4 REAL,\n"
    "  lambda5 REAL,\n"
    "  residual1 REAL,\n"
    "  residual2 REAL,\n"
    "  residual3 REAL,\n"
    "  residual4 REAL,\n"
    "  residual5 REAL,\n"
    "  n_products INTEGER NOT NULL,\n"
    "  trace REAL NOT NULL,\n"
    "  trace_error REAL,\n"
    "  n_probes INTEGER NOT NULL,\n"
    "  sharpness REAL NOT NULL,\n"
    "  rho REAL NOT NULL,\n"
    "  PRIMARY KEY(job_id, epoch)\n"
    ") WITHOUT ROWID;\n"
    "CREATE TABLE flatness_line(\n"
    "  job_id INTEGER NOT NULL,\n"
    "  epoch INTEGER NOT NULL,\n"
    "  direction INTEGER NOT NULL,\n"
    "  point INTEGER NOT NULL,\n"
    "  t REAL NOT NULL,\n"
    "  distance REAL NOT NULL,\n"
    "  loss REAL NOT NULL,\n"
    "  PRIMARY KEY(job_id, epoch, direction, point)\n"
    ") WITHOUT ROWID;\n"

    "CREATE VIEW v_flatness AS\n"
    "SELECT e.job_id AS job, e.epoch AS epoch, f.n_samples AS n_samples, f.loss AS loss,\n"
    "  f.gradient_norm AS gradient_norm, f.lambda1 AS lambda1, f.lambda2 AS lambda2,\n"
    "  f.lambda3 AS lambda3, f.lambda4 AS lambda4, f.lambda5 AS lambda5,\n"
    "  f.residual1 AS residual1, f.residual2 AS residual2, f.residual3 AS residual3,\n"
    "  f.residual4 AS residual4, f.residual5 AS residual5, f.n_products AS n_products,\n"
    "  f.trace AS trace, f.trace_error AS trace_error, f.n_probes AS n_probes,\n"
    "  f.sharpness AS sharpness, f.rho AS rho\n"
    "FROM epoch e CROSS JOIN flatness f\n"
    "WHERE e.state = 'committed' AND f.job_id = e.job_id AND f.epoch = e.epoch;\n"

    "CREATE VIEW v_flatness_line AS\n"
    "SELECT e.job_id AS job, e.epoch AS epoch, f.direction AS direction,\n"
    "  CASE f.direction WHEN 0 THEN 'eigenvector' ELSE 'random ' || f.direction END AS name,\n"
    "  f.point AS point, f.t AS t, f.distance AS distance, f.loss AS loss\n"
    "FROM epoch e CROSS JOIN flatness_line f\n"
    "WHERE e.state = 'committed' AND f.job_id = e.job_id AND f.epoch = e.epoch;\n";

/* What the test says of each class and domain, and the class that a twin is taken for. */
const char sql_difficulty_11[] =
    "CREATE TABLE test_group(\n"
    "  job_id INTEGER NOT NULL,\n"
    "  epoch INTEGER NOT NULL,\n"
    "  kind TEXT NOT NULL CHECK(kind IN ('class','domain')),\n"
    "  group_id INTEGER NOT NULL,\n"
    "  samples INTEGER NOT NULL,\n"
    "  correct INTEGER NOT NULL,\n"
    "  adv_correct INTEGER NOT NULL,\n"
    "  PRIMARY KEY(job_id, epoch, kind, group_id)\n"
    ") WITHOUT ROWID;\n"
    "ALTER TABLE score ADD COLUMN adv_predicted INTEGER;\n"
    "ALTER TABLE test_score ADD COLUMN adv_predicted INTEGER;\n"

    "CREATE VIEW v_test_group AS\n"
    "SELECT e.job_id AS job, e.epoch AS epoch, g.kind AS kind, g.group_id AS id,\n"
    "  CASE g.kind WHEN 'class'\n"
    "    THEN (SELECT c.name FROM job j CROSS JOIN class c WHERE j.job_id = e.job_id\n"
    "      AND c.dataset_id = j.dataset_id AND c.class_id = g.group_id)\n"
    "    ELSE (SELECT d.name FROM job j CROSS JOIN domain d WHERE j.job_id = e.job_id\n"
    "      AND d.dataset_id = j.dataset_id AND d.domain_id = g.group_id) END AS name,\n"
    "  g.samples AS samples, g.correct * 1.0 / g.samples AS accuracy,\n"
    "  g.adv_correct * 1.0 / g.samples AS adv_accuracy\n"
    "FROM epoch e CROSS JOIN test_group g\n"
    "WHERE e.state = 'committed' AND g.job_id = e.job_id AND g.epoch = e.epoch;\n"

    "DROP VIEW v_test_hardest;\n"
    "DROP VIEW v_test;\n"
    "CREATE VIEW v_test AS\n"
    "SELECT e.job_id AS job, e.epoch AS epoch, s.sample_id AS sample, s.label AS label,\n"
    "  (SELECT c.name FROM job j CROSS JOIN class c WHERE j.job_id = e.job_id\n"
    "    AND c.dataset_id = j.dataset_id AND c.class_id = s.label) AS label_name,\n"
    MEASURES ", s.adv_predicted AS adv_predicted, s.adv_predicted = s.label AS adv_correct\n"
    "FROM epoch e CROSS JOIN test_score s\n"
    "WHERE e.state = 'committed' AND s.job_id = e.job_id AND s.epoch = e.epoch;\n"
    "CREATE VIEW v_test_hardest AS\n"
    "SELECT * FROM v_test v WHERE epoch = (SELECT max(n.epoch) FROM epoch n\n"
    "    WHERE n.job_id = v.job AND n.state = 'committed' AND EXISTS (SELECT 1 FROM test_score t\n"
    "      WHERE t.job_id = n.job_id AND t.epoch = n.epoch))\n"
    "ORDER BY +job DESC, adm DESC, gap DESC, sample;\n"

    "DROP VIEW v_job_compare;\n"
    JOB_COMPARE("j.alpha AS alpha,\n  j.attack_steps AS attack_steps,\n"
    LAST_EPOCH("validation_accuracy", "validation_accuracy IS NOT NULL")
    " AS validation_accuracy,\n  max(e.validation_accuracy) AS best_validation_accuracy, ");
