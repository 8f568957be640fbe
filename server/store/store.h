/* The databases. state.db (private, 0600, STRICT, synchronous FULL) is the truth about jobs,
 * events, checkpoints and dataset names; difficulty.db (WAL, NORMAL, plain rows) is for people to
 * query. Only the server writes them, through this module, from one thread: every function here
 * runs on the store's lane (or before the loop starts). A function that returns 0 has made its
 * change durable.
 *
 * Folds are idempotent (the rows are written again, with the same bits): a crash in one is repaired
 * by folding again.
 *
 * Errors: -ENOSPC (disk full), -EROFS, -EACCES, -EUCLEAN (damaged or not ours: named, never
 * overwritten), -ENOTSUP (written by a newer version), -EBUSY (locked by another process for longer
 * than DB_WRITE_WAIT_MS), -ESTALE (removed or replaced), -EEXIST, -ENOENT, -EINVAL (a score that is
 * not finite), -ENOMEM, -EIO; the sentence names the file. After any of them the store goes on
 * working. A change of both files takes both locks before it changes either. */
#ifndef STEPPE_SERVER_STORE_STORE_H
#define STEPPE_SERVER_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bounds.h"
#include "common/dataset.h"
#include "common/err.h"
#include "common/holder.h"
#include "common/score.h"
#include "common/verdict.h"
#include "server/core/epoch_record.h"
#include "server/core/flatness_record.h"
#include "server/core/job.h"
#include "server/core/metric.h"
#include "server/core/overlay.h"
#include "server/core/study.h"
#include "server/store/failpoint.h"

struct db;
struct db_ends;
struct store;

/* Creates dir (0700) when missing, takes its lock (flock on dir/lock, which holds the pid: "another
 * server (pid 71) runs on DIR"), opens or creates and migrates both databases (application_id,
 * user_version; quick_check of state.db). */
int store_open(const char *dir, struct store **ret, struct errbuf *why);
void store_close(struct store *s); /* NULL is fine */
/* From now on its work ends as db_end_with says. */
void store_end_with(struct store *s, struct db_ends *e);
/* From now on pass(arg) is called between the slices of what takes long, where no transaction is
 * open: other work of the store may be done there. */
void store_pass_with(struct store *s, void (*pass)(void *arg), void *arg);
/* Calls it. */
void store_pass(struct store *s);
struct failpoint *store_failpoint(struct store *s);
/* Can both files be written now? */
int store_probe(struct store *s, struct errbuf *why);

struct job_record {
    int64_t job; /* 0 until inserted */
    char uuid[UUID_BYTES], name[NAME_MAX_BYTES], dataset[NAME_MAX_BYTES];
    char dataset_sha256[SHA256_HEX];
    char key_name[NAME_MAX_BYTES]; /* of the key that sent it; "": none */
    char *spec_json;               /* owned by whoever holds the record (free) */
    enum job_state state;
    char reason[400];        /* "" : none; of a worker's with its name */
    enum job_wait wait;      /* of a paused job; the reason is for people only */
    int64_t incarnation;     /* grows at every start, recovery and resume */
    char numerics_class[80]; /* "" until the first result */
    bool relaxed;            /* a person has allowed workers of every class */
    char broken[160];        /* why the promise of the same bits no longer holds; "": it holds */
    char model_sha256[SHA256_HEX];                              /* "" until done */
    int64_t created_unix_ms, started_unix_ms, finished_unix_ms; /* 0: not yet */
};

/* What people should know about a job from the start; a line each. */
#define JOB_NOTES_MAX 8
struct job_notes {
    int count;
    char *text[JOB_NOTES_MAX]; /* owned */
};

/* Inserts the job, its first event and an event of kind "note" for each of notes (NULL: none); sets
 * rec->job. The same uuid again: -EEXIST and rec->job is the job that has it. */
int store_job_insert(struct store *s, struct job_record *rec, const struct job_notes *notes,
                     struct errbuf *why);
/* Writes every changeable field of rec and, when kind is not NULL, an event, in one transaction. */
int store_job_update(struct store *s, const struct job_record *rec, const char *kind,
                     const char *text, struct errbuf *why);
/* Removes the job's rows from both databases; its scores, which nobody sees any more, go in slices,
 * or at the next opening should that fail. The caller removes checkpoint files. */
int store_job_remove(struct store *s, int64_t job, struct errbuf *why);
/* All jobs in order of number; each() owns rec->spec_json. */
int store_jobs_load(struct store *s, void (*each)(void *arg, struct job_record *rec), void *arg,
                    struct errbuf *why);
/* Writes the job's description anew, and an event, in one transaction. */
int store_job_describe(struct store *s, int64_t job, const char *spec_json, const char *kind,
                       const char *text, struct errbuf *why);
int store_event_add(struct store *s, int64_t job, const char *kind, const char *text,
                    struct errbuf *why);

/* Keeps a study as it is now: its name, arms, columns and the jobs of its cells, and inserts those
 * that are new; all of that or nothing. recs[i] is the record of jobs[i] where its number is 0
 * (else not looked at) and gets its number, as do jobs[i] and, for a new study, study->study. notes
 * as in store_job_insert, [job_count] of pointers, or NULL. */
int store_study_put(struct store *s, struct study *study, struct job_record *const *recs,
                    const struct job_notes *const *notes, struct errbuf *why);
/* Removes the study and all its jobs, as store_job_remove does; none of them is left in state.db,
 * or all are. */
int store_study_remove(struct store *s, const struct study *study, struct errbuf *why);
/* All studies by number; each() owns the study. -EUCLEAN: a row does not fit the others. */
int store_studies_load(struct store *s, void (*each)(void *arg, struct study *study), void *arg,
                       struct errbuf *why);

struct dataset_record {
    char name[NAME_MAX_BYTES], sha256[SHA256_HEX];
    char key_name[NAME_MAX_BYTES]; /* of the key that gave the name; "": none */
    int64_t bytes;
};
/* Names a dataset, and writes its dataset, class and sample rows for readers in sample order.
 * Idempotent: a name stays that of the key that gave it first; -EEXIST when it stands for other
 * data. */
int store_dataset_add(struct store *s, const struct dataset_record *rec, const struct dataset *d,
                      struct errbuf *why);
/* Sets the sentence for data that cannot have a name because other data has it, and returns
 * -EEXIST. */
int store_dataset_other(const char *name, const char *there, const char *sha256,
                        struct errbuf *why);
/* Forgets a name; *ret_last: it was the last one of its data, whose rows for readers are then also
 * removed (at the next opening, should that fail). -ENOENT. */
int store_dataset_remove(struct store *s, const char *name, bool *ret_last, struct errbuf *why);
/* How many names the data has. */
int store_dataset_names(struct store *s, const char *sha256, int64_t *ret, struct errbuf *why);
int store_datasets_load(struct store *s, void (*each)(void *arg, const struct dataset_record *rec),
                        void *arg, struct errbuf *why);

/* Keeps the hashes (BLAKE2b) of the pieces of a dataset's file, of piece_bytes each, the last one
 * shorter; they are removed with the last name of the data. */
int store_pieces_put(struct store *s, const char *sha256, uint32_t piece_bytes,
                     const uint8_t (*hashes)[BLAKE2B_BYTES], size_t count, struct errbuf *why);
/* Those of all data with pieces of this size; hashes are borrowed. */
int store_pieces_load(struct store *s, uint32_t piece_bytes,
                      void (*each)(void *arg, const char *sha256, const void *hashes, size_t count),
                      void *arg, struct errbuf *why);

/* Notes which file has the names of the data's samples (common/uris.h), until the last name of the
 * data goes; ret_old: which had them, "": none. The rows for readers follow with
 * store_names_show. */
int store_names_put(struct store *s, const char *sha256, const char *names_sha256,
                    char ret_old[SHA256_HEX], struct errbuf *why);
/* What was noted; shown: the rows have these names. */
int store_names_load(struct store *s,
                     void (*each)(void *arg, const char *sha256, const char *names_sha256,
                                  bool shown),
                     void *arg, struct errbuf *why);
/* Gives the rows of the data the names of a file, a slice a call: 1: call again. *io begins zeroed.
 * Rows with other names lose those first, so that nobody reads some of each. -EINVAL: the file
 * names another number of samples, or is damaged; -ENOENT: the data has no rows. */
struct names_show {
    int64_t dataset_id;
    int step;
    uint32_t at, samples;
};
int store_names_show(struct store *s, const char *sha256, const char *names_sha256,
                     const struct uris_file *names, struct names_show *io, struct errbuf *why);

/* Keeps what a person (who: the name of the key, "" where there is none) says of samples of the
 * data; the rows are settled (common/verdict.h). All of it or nothing, after what was kept before:
 * the newest row of a sample counts. A row that repeats the newest one of its sample, by the same
 * person, is counted as `same` and not added. The same uuid again changes nothing and has the same
 * answer (of the last VERDICT_REQUESTS). -ERANGE: more than VERDICTS_MAX. Failpoints:
 * verdict.commit, verdict.kept. */
struct verdicts_put {
    const char *sha256, *uuid, *who;
    const struct verdict *rows;
    size_t count;
    int64_t unix_ms;
    int64_t added, same; /* set on success */
};
int store_verdicts_put(struct store *s, struct verdicts_put *put, struct errbuf *why);

/* A revision of data: what verdicts up to one of them change. It is never changed or removed. */
struct revision_record {
    int64_t number; /* from 1 */
    char sha256[SHA256_HEX], who[NAME_MAX_BYTES];
    int64_t relabelled, excluded; /* samples */
    int64_t created_unix_ms;
};
/* Makes one of the verdicts that count now, unless the newest revision (or, without one, the data
 * as imported) is the same: then *ret_made is false and *ret that one (number 0: as imported). who,
 * unix_ms: as of store_verdicts_put. -ERANGE: there are REVISIONS_MAX. Failpoint: revision.commit.
 */
int store_revision_make(struct store *s, const char *sha256, const char *who, int64_t unix_ms,
                        struct revision_record *ret, bool *ret_made, struct errbuf *why);
/* Reads one, for data of so many samples and classes. want: the SHA-256 that it should have ("":
 * any). -ENOENT: there is none of that number; -EINVAL: it has another SHA-256; -EUCLEAN. */
int store_revision_load(struct store *s, const char *sha256, int64_t number, const char *want,
                        uint32_t samples, uint32_t classes, struct overlay *ret,
                        struct errbuf *why);
/* All revisions, by data and number. */
int store_revisions_load(struct store *s,
                         void (*each)(void *arg, const char *sha256,
                                      const struct revision_record *rec),
                         void *arg, struct errbuf *why);

/* Keeps holders of keys as they are now; of more than KEYS_KNOWN_MAX those that were away longest
 * go. */
int store_holders_put(struct store *s, const struct holder *rows, size_t count, struct errbuf *why);
/* Keys of this name that were issued up to unix_ms are revoked. */
int store_key_revoke(struct store *s, const char *name, int64_t unix_ms, struct errbuf *why);
/* All of both. */
int store_keys_load(struct store *s, void (*holder)(void *arg, const struct holder *h),
                    void (*revoked)(void *arg, const struct revoked *r), void *arg,
                    struct errbuf *why);

/* A row of the audit log. Texts that are pointers are borrowed. */
struct audit_record {
    int64_t unix_ms;
    char key[NAME_MAX_BYTES]; /* name of the key; "": the message was plain, or a browser's */
    const char *role;
    char address[PEER_BYTES];
    const char *command, *result; /* a message's name; "ok" or an error code */
    char about[AUDIT_TEXT_BYTES], text[AUDIT_TEXT_BYTES]; /* what it changes; why it was refused */
};
/* Adds rows to the audit log, all or none, and drops old ones above AUDIT_ROWS_MAX. Nothing else
 * can remove or change a row. */
int store_audit_add(struct store *s, const struct audit_record *rows, size_t count,
                    struct errbuf *why);

/* One epoch's scores; arrays borrowed. */
struct fold {
    struct epoch_record record;
    const struct score *scores; /* [samples], only SCORE_MEASURED entries become rows; NULL: none */
    bool partial;               /* measures may be NAN, classes -1: not known */
    const double *adm;          /* [samples] or NULL with scores */
    const uint16_t *labels;     /* [samples] */
    /* [samples, classes], of those measured, or, where partial, those that are not NAN; each row is
     * kept until an epoch with newer ones is committed. NULL: none came with this epoch. */
    const float *probabilities;
    uint32_t samples;
    const struct score *test_scores; /* [test_samples], as scores; NULL: none are kept */
    const double *test_adm;
    /* NULL: of the test images, in order, whose labels are test_labels; else of these training
     * images, ascending. */
    const uint32_t *test_ids;
    const uint16_t *test_labels;
    uint32_t test_samples;
    const struct flatness_record *flatness;        /* NULL: not measured */
    const struct metric_set *metrics;              /* of a training program; NULL: none */
    const struct test_group *by_class, *by_domain; /* [classes], [domains]; NULL: not known */
    uint32_t classes, domains;
};
/* Writes the rows in sample order, 16384 a transaction, then in one last transaction (synchronous
 * FULL) sample_state, flatness, the metrics and the epoch row as committed with scores_sha256
 * (SHA-256 over the measured rows in sample order: u32 sample, f64 loss, adv_loss, adm, grad_norm,
 * el2n, i32 predicted, u32 flags, all little-endian; of no bytes when there are none). -EINVAL, and
 * nothing was written: a score is not finite, or the job would have more than METRICS_MAX names of
 * metrics, counting those of its other epochs. Failpoints: fold.begin, fold.slice (each slice,
 * before it commits), fold.commit (before the last), fold.history (of a large job: each slice of
 * its histories, before it commits). */
int store_fold(struct store *s, const struct fold *f, char ret_sha256[SHA256_HEX],
               struct errbuf *why);
/* The hash of a committed epoch; -ENOENT when it is not committed. */
int store_epoch_hash(struct store *s, int64_t job, int64_t epoch, char ret_sha256[SHA256_HEX],
                     struct errbuf *why);
/* How many epochs of the job are committed. */
int store_epochs_committed(struct store *s, int64_t job, int64_t *ret, struct errbuf *why);
/* Drops the rows of epochs >= first from difficulty.db (before they are computed again) and
 * rebuilds sample_state from the remaining epochs. */
int store_epochs_drop(struct store *s, int64_t job, int64_t first, struct errbuf *why);

struct checkpoint_record {
    int64_t job, step, epoch;       /* epochs committed when it was taken */
    char file[64];                  /* name inside dir/jobs/<job>/ */
    char sha256[SHA256_HEX];        /* of the file */
    char scores_sha256[SHA256_HEX]; /* of epoch - 1; "" for epoch 0 */
};
int store_checkpoint_add(struct store *s, const struct checkpoint_record *rec, struct errbuf *why);
/* Newest first; at most max. *ret_count is how many. */
int store_checkpoints_load(struct store *s, int64_t job, struct checkpoint_record *ret, int max,
                           int *ret_count, struct errbuf *why);
/* The same by another connection to state.db. */
int store_checkpoints_read(struct db *state, int64_t job, struct checkpoint_record *ret, int max,
                           int *ret_count, struct errbuf *why);
int store_checkpoint_remove(struct store *s, int64_t job, int64_t step, struct errbuf *why);

/* Results that are computed twice (core/check.h): the secret by which they are drawn, made with the
 * database. */
#define STORE_SECRET_BYTES 32
int store_verify_secret(struct store *s, uint8_t ret[STORE_SECRET_BYTES], struct errbuf *why);
/* Notes that the holder of the key ("": of none) has lied; text: about what. Idempotent. */
int store_liar_put(struct store *s, const char *key, const char *text, struct errbuf *why);
/* It is trusted again. */
int store_liar_remove(struct store *s, const char *key, struct errbuf *why);
int store_liars_load(struct store *s,
                     void (*each)(void *arg, const char *key, int64_t unix_ms, const char *text),
                     void *arg, struct errbuf *why);
/* A place in a job: `step` updates and `epoch` epochs are done. */
struct job_place {
    int64_t step, epoch;
};
/* Notes that workers of this key have work of the job from here on; an earlier place stays. */
int store_hand_put(struct store *s, int64_t job, const char *key, struct job_place at,
                   struct errbuf *why);
/* Nothing of keys that have lied is left in the job. */
int store_hands_forget(struct store *s, int64_t job, struct errbuf *why);
/* Where the keys of a job began, the latest first: at most max. *ret_liar: the first place of one
 * that has lied; step -1: none has. */
int store_hands_load(struct store *s, int64_t job, struct job_place *ret, int max, int *ret_count,
                     struct job_place *ret_liar, struct errbuf *why);

#endif
