/* Pieces of SQL from which migrations put views together. What a released migration takes from here
 * stays as it is. */
#ifndef STEPPE_SERVER_STORE_STORE_SQL_PARTS_H
#define STEPPE_SERVER_STORE_STORE_SQL_PARTS_H

/* SQL is laid out as SQL. */
/* clang-format off */

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
/* `columns`: suspicion and its parts; more: columns at the end. */
#define VIEW_SUSPECT(columns, more) \
    VIEW_SUSPECT_WITH(columns, "  (SELECT m.truth" OF_SAMPLE " AS truth,\n" \
                               "  (SELECT m.planted" OF_SAMPLE " AS planted", more)
/* known: columns truth and planted. */
#define VIEW_SUSPECT_WITH(columns, known, more) VIEW_SUSPECT_OF(columns, known, more, "j.job_id")
/* key: where sample_state has the rows of job j. */
#define VIEW_SUSPECT_OF(columns, known, more, key) \
    "CREATE VIEW v_suspect AS\n" \
    "SELECT j.job_id AS job, e.epoch AS epoch, s.sample_id AS sample, x.class_id AS label,\n" \
    "  (SELECT c.name FROM class c\n" \
    "    WHERE c.dataset_id = j.dataset_id AND c.class_id = x.class_id) AS label_name,\n" \
    "  s.predicted AS predicted, " columns ", s.loss AS loss,\n" \
    "  x.loss_mean AS loss_mean, x.margin_mean AS margin_mean, x.confidence AS confidence,\n" \
    "  x.n_seen AS n_seen, x.n_correct AS n_correct, x.n_forget AS n_forget,\n" \
    known more "\n" \
    LATEST_SCORES " CROSS JOIN sample_state x\n" \
    LATEST_WHERE "\n" \
    "  AND x.job_id = " key " AND x.sample_id = s.sample_id\n" \
    "ORDER BY +j.job_id DESC, suspicion DESC, s.sample_id;\n"

/* key: likewise. */
#define VIEW_DATA_MAP(key) \
    "CREATE VIEW v_data_map AS\n" \
    "SELECT j.job_id AS job, x.sample_id AS sample, x.class_id AS label,\n" \
    "  x.confidence AS confidence, sqrt(x.confidence_m2 / x.n_seen) AS variability,\n" \
    "  x.n_correct * 1.0 / x.n_seen AS correctness, x.n_seen AS n_seen,\n" \
    "  (SELECT m.uri FROM sample m\n" \
    "    WHERE m.dataset_id = j.dataset_id AND m.sample_id = x.sample_id) AS uri\n" \
    "FROM job j CROSS JOIN sample_state x WHERE x.job_id = " key ";\n"

/* Sums over the last sweep by column <table>_id of sample, whose names are in table <table>; more:
 * of that column. Without GROUP BY: a condition on the job goes through windows partitioned by it,
 * but not through a sum behind them, and then all jobs would be sorted for one. */
#define VIEW_GROUP(view, word, table, more) \
    VIEW_GROUP_BY(view, word, table, "m." table "_id", "", more)
/* of: what a row is grouped by; join: the tables that it needs behind sample m. */
#define VIEW_GROUP_BY(view, word, table, of, join, more) \
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
    "      " of " AS " word ", s.adm AS adm, s.loss AS loss, s.correct AS correct,\n" \
    "      row_number() OVER (PARTITION BY j.job_id, " of " ORDER BY s.adm) AS place,\n" \
    "      count(*) OVER (PARTITION BY j.job_id, " of ") AS n\n" \
    "    " LATEST_SCORES " CROSS JOIN sample m" join "\n" \
    "    " LATEST_WHERE "\n" \
    "      AND m.dataset_id = j.dataset_id AND m.sample_id = s.sample_id" more ")\n" \
    "  WINDOW w AS (PARTITION BY job, " word ")) r\n" \
    "WHERE place = 1;\n"

/* `more`: columns that a later version of job has. */
#define JOB_COMPARE(more) JOB_COMPARE_ON("j.dataset", more)
/* dataset: on which the job trains. */
#define JOB_COMPARE_ON(dataset, more) \
    "CREATE VIEW v_job_compare AS\n" \
    "SELECT j.job_id AS job, j.name AS name, " dataset " AS dataset, j.state AS state,\n" \
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

#define VIEW_TEST_GROUP(adv_accuracy) \
    "CREATE VIEW v_test_group AS\n" \
    "SELECT e.job_id AS job, e.epoch AS epoch, g.kind AS kind, g.group_id AS id,\n" \
    "  CASE g.kind WHEN 'class'\n" \
    "    THEN (SELECT c.name FROM job j CROSS JOIN class c WHERE j.job_id = e.job_id\n" \
    "      AND c.dataset_id = j.dataset_id AND c.class_id = g.group_id)\n" \
    "    ELSE (SELECT d.name FROM job j CROSS JOIN domain d WHERE j.job_id = e.job_id\n" \
    "      AND d.dataset_id = j.dataset_id AND d.domain_id = g.group_id) END AS name,\n" \
    "  g.samples AS samples, g.correct * 1.0 / g.samples AS accuracy,\n" \
    "  " adv_accuracy " AS adv_accuracy\n" \
    "FROM epoch e CROSS JOIN test_group g\n" \
    "WHERE e.state = 'committed' AND g.job_id = e.job_id AND g.epoch = e.epoch;\n"

#endif
