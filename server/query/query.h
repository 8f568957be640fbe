/* Reads for people: a read-only connection to both databases, used on a lane of its own, with a
 * deadline (progress handler) and a row limit. Each function gives the fields of its reply
 * (PROTOCOL.md section 4) as a new cJSON object.
 * Errors: -ENOENT (no such job, epoch, sample: the sentence says which exist), -ETIMEDOUT, -EIO. */
#ifndef STEPPE_SERVER_QUERY_QUERY_H
#define STEPPE_SERVER_QUERY_QUERY_H

#include <cjson/cJSON.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/score.h"
#include "server/core/epoch_record.h"
#include "server/core/study.h"
#include "server/store/store.h"

/* A query may take so long, and so much more for each row that it has to read: some forty times
 * what a row takes on a machine that has nothing else to do. */
#define QUERY_DEADLINE_MS 5000
#define QUERY_ROW_NS 20000
/* Of SQLite, for a person's own statement: sorts and joins are done in memory. */
#define QUERY_MEMORY_MAX (INT64_C(256) << 20)

struct query;

#define QUERY_VALUES 5

int query_open(const char *dir, struct query **ret, struct errbuf *why);
/* For query_sql alone, in a process of its own (server/cell): only difficulty.db, only to read, and
 * no more memory for SQLite in the whole process than a statement may have. */
int query_open_sql(const char *dir, struct query **ret, struct errbuf *why);
/* From any thread: the query that runs is interrupted, later ones fail with -ESHUTDOWN. NULL is
 * fine. */
void query_stop(struct query *q);
void query_close(struct query *q); /* NULL is fine */
/* The queries from now on end with -ETIMEDOUT soon after *gone is set: nobody waits for them any
 * more. Borrowed; NULL: somebody does. */
void query_until(struct query *q, const atomic_bool *gone);

extern const char
    *const query_by_names[]; /* adm loss adv_loss gap grad_norm el2n margin, NULL-terminated */
/* For all but the margin, higher is harder. */
enum query_by { BY_ADM, BY_LOSS, BY_ADV_LOSS, BY_GAP, BY_GRAD_NORM, BY_EL2N, BY_MARGIN };

/* Of classes and domains: the same, and accuracy, whose figures are those of the loss. */
extern const char *const query_group_names[];
#define BY_ACCURACY (BY_MARGIN + 1)

struct top_args {
    int64_t job, epoch; /* epoch -1: the last committed, scored one */
    int by;             /* enum query_by */
    bool easiest, test; /* test: of the test samples, if the job keeps their scores */
    int64_t class_id;   /* -1: all */
    int64_t first, limit;
};
/* `total`: how many there are; `more`: whether some follow these. So do all that take first and
 * limit. */
int query_top(struct query *q, const struct top_args *a, cJSON **ret, struct errbuf *why);

struct histogram_args {
    int64_t job, epoch;
    int by;
    int64_t bins;
    bool log;
};
int query_histogram(struct query *q, const struct histogram_args *a, cJSON **ret,
                    struct errbuf *why);
struct heatmap_args {
    int64_t job, from, limit; /* this many scored epochs, from there on */
    int by;
    int64_t bins;
};
/* Counts of each epoch in bins that depend only on the measure; "more" when it stopped early. */
int query_heatmap(struct query *q, const struct heatmap_args *a, cJSON **ret, struct errbuf *why);
struct flatness_args {
    int64_t job, from, limit; /* this many measured epochs, from there on */
};
/* {rows, more} of job.flatness. */
int query_flatness(struct query *q, const struct flatness_args *a, cJSON **ret, struct errbuf *why);
/* The row of the last committed epoch that measured it, without its lines; NULL: there is none. */
int query_flatness_newest(struct query *q, int64_t job, cJSON **ret, struct errbuf *why);
struct metrics_args {
    int64_t job, from, limit; /* this many committed epochs, from there on */
};
/* {rows, more} of job.metrics. */
int query_metrics(struct query *q, const struct metrics_args *a, cJSON **ret, struct errbuf *why);
/* The job's checkpoints as store_checkpoints_load gives them. */
int query_checkpoints(struct query *q, int64_t job, struct checkpoint_record *ret, int max,
                      int *ret_count, struct errbuf *why);
struct trajectory_args {
    int64_t job, sample;
    int64_t from;  /* epoch; -1: the newest ones */
    int64_t limit; /* rows, 1 to ROWS_MAX */
};
/* Scored epochs of the sample, oldest first: those from `from` on, `more` when there are newer
 * ones; without it the newest, `more` when there are older ones. `total`: of the sample. */
int query_trajectory(struct query *q, const struct trajectory_args *a, cJSON **ret,
                     struct errbuf *why);

/* The question for the functions below; each names the fields that it reads. Start from ASK. */
struct ask {
    int64_t job;
    int64_t epoch; /* -1: the last committed, scored one */
    int64_t from;  /* the earlier epoch; -1: the first committed, scored one */
    int64_t other, other_epoch;
    int64_t class_id; /* -1: all */
    int64_t first;    /* rows before this one are left out */
    int64_t limit;    /* rows, 1 to ROWS_MAX */
    int by;           /* an enum of the function's own */
    bool reverse;
    bool test;      /* of the test samples; classes, domains, confusion */
    int fold_count; /* suspects: jobs that leave out one fold each; 0: of the job itself */
    int64_t folds[FOLDS_MAX];
    /* suspects: [excluded_count] ascending, samples that the job itself excludes; of the caller */
    const uint32_t *excluded;
    uint32_t excluded_count;
};
#define ASK ((struct ask){.epoch = -1, .from = -1, .other_epoch = -1, .class_id = -1, .limit = 20})

/* job, epoch, class_id, by (query_group_names), limit: a row a class, the hardest first by its
 * mean, or the lowest accuracy first: {class, name?, samples, accuracy, mean, p50, p90 (all of
 * `by`), loss_mean, adm_mean, mistaken_for?, mistaken_name?, mistaken}: the class that is predicted
 * most often for its samples when wrong. Of the test samples also adv_accuracy; where the job keeps
 * no scores of them, only {class, name?, samples, accuracy, adv_accuracy?}, the lowest accuracy
 * first. */
int query_classes(struct query *q, const struct ask *a, cJSON **ret, struct errbuf *why);

/* The same, a row a domain: {domain, name?, samples, accuracy, mean, p50, p90, loss_mean,
 * adm_mean}. -ENOENT when the dataset has none. */
int query_domains(struct query *q, const struct ask *a, cJSON **ret, struct errbuf *why);

/* job, epoch, test: {epoch, classes, class_names, samples}; counts[label * classes + predicted] of
 * the scored samples whose label and prediction are classes, owned by the caller (free), also on
 * failure. Of test samples only where the job keeps their scores. */
int query_confusion(struct query *q, const struct ask *a, uint32_t **ret_counts, cJSON **ret,
                    struct errbuf *why);

/* job, from, epoch, class_id, by (enum query_by), limit, reverse: the samples whose measure rose
 * most in hardness between two epochs; reverse: fell most. {from, epoch, by, samples, rows:
 * [{sample.., before, after, rise, predicted_before, predicted, correct}]}. A margin that falls
 * rises in hardness. */
int query_risers(struct query *q, const struct ask *a, cJSON **ret, struct errbuf *why);

/* job, epoch, class_id, by (enum suspect_by), limit, folds, excluded: the samples whose label is
 * most likely wrong. {epoch, by, samples, newly_right? (of the epoch), worth? (query_trust.h),
 * rows:
 * [{sample.., predicted, predicted_name?, value, loss, loss_mean, margin_mean, confidence, seen,
 * right, forgotten}]}; value: of `by`, as it is. With folds, each sample has the scores of the job
 * that left it out, of the last epoch of each; epoch is the latest of them. */
extern const char *const suspect_by_names[]; /* NULL-terminated */
enum suspect_by {
    SUSPECT_DEFAULT,
    SUSPECT_LOSS,
    SUSPECT_LOSS_MEAN,
    SUSPECT_EL2N,
    SUSPECT_MARGIN,
    SUSPECT_MARGIN_MEAN,
    SUSPECT_CONFIDENCE,
    SUSPECT_FORGETTING,
    SUSPECT_ADM,
    SUSPECT_ADM_SAMPLE,
    SUSPECT_GRAD_NORM,
    SUSPECT_COUNT
};
int query_suspects(struct query *q, const struct ask *a, cJSON **ret, struct errbuf *why);

/* job, other, epoch, other_epoch, class_id, by (enum query_by), limit: two jobs on the same
 * dataset. {epoch, other_epoch, by, samples (that both scored), spearman?, mean, other_mean, agree
 * (share of samples predicted alike), rows: [{sample.., value, other_value, rank, other_rank,
 * predicted, other_predicted}]}, largest difference of percentile ranks in hardness first. */
int query_compare(struct query *q, const struct ask *a, cJSON **ret, struct errbuf *why);

/* job, epoch, class_id, by (enum map_by), limit: dataset cartography over the scored epochs up to
 * `epoch`. {epoch, epochs, samples, confidence_bins, variability_bins, variability_max, counts:
 * [confidence_bins x variability_bins numbers, row by row from confidence 0 and variability 0 up],
 * correctness: [the same, mean share of epochs that were right; 0 where there is no sample], rows:
 * [{sample.., confidence, variability, correctness, forgotten, seen}]}. by: ambiguous (largest
 * variability first), hard (smallest confidence), easy (largest confidence), forgotten. */
extern const char *const map_by_names[]; /* NULL-terminated */
enum map_by { MAP_AMBIGUOUS, MAP_HARD, MAP_EASY, MAP_FORGOTTEN };
#define MAP_CONFIDENCE_BINS 20
#define MAP_VARIABILITY_BINS 20
int query_map(struct query *q, const struct ask *a, cJSON **ret, struct errbuf *why);

/* The names of samples (common/uris.h) of a job's dataset, or (job 0) of the dataset with this name
 * and SHA-256; test: of the samples that the job tests on, or of the test samples. */
struct uri_of {
    int64_t job;
    const char *dataset, *sha256;
    bool test;
};
/* {samples: [the number of each]}. -ENOENT: the samples have no names, or none is called so: the
 * sentence has the nearest name; -EINVAL: several are. */
int query_uri_find(struct query *q, const struct uri_of *of, const char *const *uris, int count,
                   cJSON **ret, struct errbuf *why);
/* The names of up to `limit` samples from number `first` on, fewer if they are long: name i ends at
 * ends[i] of bytes; one without a name has none. Released with uri_rows_done. */
#define URI_ROWS_BYTES (4u << 20)
struct uri_rows {
    int64_t total; /* samples with a row */
    bool named;    /* one of them has a name */
    uint32_t count;
    uint32_t *ends;
    char *bytes;
};
int query_uris(struct query *q, const struct uri_of *of, int64_t first, int64_t limit,
               struct uri_rows *ret, struct errbuf *why);
void uri_rows_done(struct uri_rows *r);

/* A person's own statement, which may only read, and calls only the functions that are listed; the
 * server runs it in a cell, since a single function may take any time. Its parameter :job is the
 * job. {columns: [names], rows: [[cells]], more: there are more rows than were given}. Cells:
 * number, text (longer than 4 KiB: cut, ends with "..."), blob as hex, null; an infinity is the
 * text "inf" or "-inf". -EINVAL: SQLite's sentence about the statement, -EPERM: it does more than
 * read, -ERANGE: it needs too much memory or has too many columns. */
struct sql_args {
    int64_t job; /* 0: none, then :job has no value */
    int64_t limit;
    const char *sql;
};
int query_sql(struct query *q, const struct sql_args *a, cJSON **ret, struct errbuf *why);

/* Score rows of an epoch as arrays, in sample order; the arrays are the caller's (rows_done). label
 * and truth are -1 where unknown. */
struct score_rows {
    int64_t epoch, total; /* rows of the whole epoch */
    bool more;            /* there are some behind these */
    uint32_t count;
    uint32_t *sample, *flags;
    int32_t *label, *truth, *predicted;
    double *values[QUERY_VALUES]; /* query_value_names */
};
extern const char *const query_value_names[]; /* adm loss adv_loss grad_norm el2n */
struct rows_args {
    int64_t job, epoch;
    int64_t sample; /* rows of this one and those behind it; */
    int64_t first;  /* so many of these are skipped, one by one, which takes longer */
    int64_t limit;
};
int query_rows(struct query *q, const struct rows_args *a, struct score_rows *ret,
               struct errbuf *why);
void score_rows_done(struct score_rows *r);

/* Probabilities of classes of the newest committed epoch that has them (score.probabilities), in
 * sample order from sample number `from` on, at most `limit` and no more than fit a message. The
 * arrays are the caller's (free). -ENOENT: the job has none. */
struct probability_rows {
    int64_t epoch, samples; /* of the dataset; 0: it is not known any more */
    uint32_t count, classes;
    uint32_t *sample;
    float *p; /* [count, classes] */
    bool more;
};
int query_probabilities(struct query *q, int64_t job, int64_t from, int64_t limit,
                        struct probability_rows *ret, struct errbuf *why);
void probability_rows_done(struct probability_rows *r);

/* {epoch, flipped, hard, auroc_flipped?, precision_flipped?, auroc_hard?, precision_hard?}: how
 * well each measure of enum suspect_by finds the samples whose label is not the truth, and those
 * with a planted hard image, among all others. AUROC by rank sums with ties counted half; precision
 * among as many as there are to find. */
int query_planted(struct query *q, int64_t job, int64_t epoch, cJSON **ret, struct errbuf *why);
/* {metrics, confidence, rows, means?} of study.show: a row for each arm and column, and for each
 * arm and all columns that leave out one domain after the other, see PROTOCOL.md. The study has the
 * states of its jobs. */
int query_study(struct query *q, const struct study *s, cJSON **ret, struct errbuf *why);
/* The validation accuracy of one committed epoch of each job into ret[job_count]; NAN: there is
 * none. No deadline. */
int query_study_validation(struct query *q, const struct study *s, int64_t epoch, double *ret,
                           struct errbuf *why);
/* {by, curves} of study.curves: mean and deviation over the seeds, epoch by epoch, thinned to
 * CURVE_EPOCHS_MAX points each and CURVE_POINTS_MAX in all; by: index of query_curve_names; data:
 * of one column only (NULL: all). */
extern const char *const query_curve_names[]; /* NULL-terminated */
int query_study_curves(struct query *q, const struct study *s, int by, const char *data,
                       cJSON **ret, struct errbuf *why);

/* {epochs, more} of job.show: from epoch `from` on, at most 1000. */
int query_epochs(struct query *q, int64_t job, int64_t from, cJSON **ret, struct errbuf *why);
/* Adds to notes that the job knows more of the labels that it was trained on than of others, by the
 * figures of its last committed epoch; nothing where they do not say so. */
int query_note_by_heart(struct query *q, int64_t job, cJSON *notes, struct errbuf *why);
/* The test by class and by domain, of the last committed epoch that has one, or with `best` of the
 * one that was validated best: {epoch, classes, domains}; an empty object: there is none. */
int query_test(struct query *q, int64_t job, bool best, cJSON **ret, struct errbuf *why);
/* The figures of the last committed epoch; -ENOENT when there is none. */
int query_last_epoch(struct query *q, int64_t job, struct epoch_record *ret, struct errbuf *why);
/* {rows, more} of audit.list: the newest rows with a number below `before`, of the times [since,
 * until); texts NULL: any. result "refused": all but "ok". */
struct audit_ask {
    int64_t before, since, until, limit;
    const char *key, *command, *about, *result;
};
int query_audit(struct query *q, const struct audit_ask *a, cJSON **ret, struct errbuf *why);
/* {events, more} of job.log. */
int query_events(struct query *q, int64_t job, int64_t after, int64_t limit, cJSON **ret,
                 struct errbuf *why);
/* The `notes` array of job.show: the texts of its events of kind "note", in order. */
int query_notes(struct query *q, int64_t job, cJSON **ret, struct errbuf *why);

/* {counts, total, rows, more} of verdict.list. The newest verdict of each sample behind `after`, by
 * sample, without those that were withdrawn; with history all of them behind number `after`. */
struct verdicts_ask {
    char sha256[SHA256_HEX];      /* of the data */
    int64_t after, limit, sample; /* sample -1: of all */
    bool history;
};
int query_verdicts(struct query *q, const struct verdicts_ask *a, cJSON **ret, struct errbuf *why);

/* The scores of one epoch (-1: the last committed, scored one; the epoch goes to *io_epoch) into
 * ret[samples], as query_replay gives them. */
int query_scores(struct query *q, int64_t job, int64_t *io_epoch, uint32_t samples,
                 struct score *ret, struct errbuf *why);
/* What a revision of the job's dataset changes (0: nothing); overlay_done by the caller. */
int query_overlay(struct query *q, int64_t job, int64_t number, struct overlay *ret,
                  struct errbuf *why);
/* Replays the committed scores of a job in order of epochs < before: each(arg, epoch, scores) with
 * scores[samples] (SCORE_MEASURED where there is a row; adv_predicted is not stored and 0). It
 * may take long: used to recompute a schedule, on a connection of its own. */
int query_replay(struct query *q, int64_t job, int64_t before, uint32_t samples,
                 int (*each)(void *arg, int64_t epoch, const struct score *scores), void *arg,
                 struct errbuf *why);

#endif
