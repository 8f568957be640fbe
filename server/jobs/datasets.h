/* The datasets of this server: names, and files by SHA-256 under DIR/datasets. The server never
 * opens a path that a peer names.
 *
 * Files are not trusted: everything read is checked piece by piece (data_file.h). A file that is
 * damaged, cut, gone or unreadable is noted with what is wrong, and the jobs that have it say so.
 * They go on when it is whole again, after another import of the same data or because somebody
 * repaired it: it is checked again every few seconds. */
#ifndef STEPPE_SERVER_JOBS_DATASETS_H
#define STEPPE_SERVER_JOBS_DATASETS_H

#include <cjson/cJSON.h>

#include "common/dataset.h"
#include "common/err.h"
#include "common/jobspec.h"
#include "server/store/data_file.h"
#include "server/store/store.h"

struct datasets;
struct request;
struct service;

/* Loads the names from the store; a file without a name becomes an upload again. 0 or -errno. */
int datasets_open(const char *dir, struct store *store, struct datasets **ret, struct errbuf *why);
void datasets_close(struct datasets *d); /* NULL is fine */

/* A named dataset, without its images; lives as long as a job has it or it is held, and at least
 * until control returns to the loop. -ENOENT: the sentence names existing ones; -EUCLEAN: its file
 * is damaged. */
int datasets_find(struct datasets *d, const char *name, const struct dataset **ret,
                  struct dataset_record *ret_record, struct errbuf *why);
/* By hash. -ENOENT, -EUCLEAN. */
int datasets_find_hash(struct datasets *d, const char *sha256, const struct dataset **ret,
                       struct dataset_record *ret_record, struct errbuf *why);

/* Keeps a dataset from being removed although no job in the table has it. */
void datasets_hold(struct datasets *d, const struct dataset *data);
void datasets_release(struct datasets *d, const struct dataset *data);

/* Lends the file to a lane until it is given back, with the result of reading it (as
 * data_file_read). -ENOENT. */
int datasets_lend(struct datasets *d, const char *sha256, struct data_file *ret,
                  struct errbuf *why);
void datasets_give_back(struct datasets *d, const char *sha256, int rc, int64_t bad,
                        struct errbuf *io_why);

/* What is wrong with a file, as a sentence for people; false: nothing known. */
bool datasets_damage(const struct datasets *d, const char *sha256, char *out, size_t bytes);
/* Notes that the file is damaged, as found elsewhere; why says how. */
void datasets_note(struct datasets *d, const char *sha256, const struct errbuf *why);
/* The name under which to show data that had the name `name`: the same if it still stands for this
 * data, else another that does, else `name`. Until control returns to the loop. */
const char *datasets_name(struct datasets *d, const char *sha256, const char *name);
/* A dataset row of PROTOCOL.md. */
cJSON *datasets_row(struct datasets *d, const struct dataset_record *rec);
cJSON *datasets_rows(struct datasets *d);

/* dataset_revisions.c. */

/* A revision was made: it is known from now on. */
void datasets_revised(struct datasets *d, const char *sha256, const struct revision_record *rec);
/* The newest revision of data, or NULL. */
const struct revision_record *datasets_newest(const struct datasets *d, const char *sha256);
/* Rows of its revisions, as in dataset.show. */
cJSON *datasets_revisions(const struct datasets *d, const char *sha256);
/* Gives the revisions that a job names their numbers and SHA-256, for ever. -ENOENT with a sentence
 * that says which there are; -EINVAL: one has another SHA-256 than the job says. *ret_pinned: the
 * newest was asked for. */
int datasets_pin(const struct datasets *d, const char *name, const char *sha256,
                 struct revisions *revisions, bool *ret_pinned, struct errbuf *why);

/* 0 when the data may have the name: it already has it, or the name is free and one more is
 * allowed. Else -EEXIST, -ERANGE. */
int datasets_room(const struct datasets *d, const char *name, const char *sha256,
                  struct errbuf *why);
/* As far as is known, is the whole file there? */
bool datasets_has(const struct datasets *d, const char *sha256, int64_t bytes);

/* Commit of an upload, or of an existing file, in three parts. First, on the data lane, a slice at
 * a time (1: call again): hashes the file with the name; if it is missing or wrong, hashes the
 * upload, which then takes its place. -ENOENT: there is neither; -ENODATA: the file is damaged and
 * there is no upload to replace it. Second, on the store's lane: the store. Last, on the loop, also
 * when one of them failed: makes the name known and notes what was found.
 */
struct dataset_commit {
    struct dataset_record rec; /* name, sha256 and key_name, that of its upload, by the caller */
    struct dataset dataset;
    uint8_t (*hashes)[BLAKE2B_BYTES];
    struct data_hash *hash; /* of the file that is being read */
    bool upload;            /* that file is the upload */
    struct errbuf missing;  /* pieces of the upload, as incoming_whole says; set by the caller */
    bool replaced;          /* the upload has taken its place */
    /* What is wrong with an existing file that has changed; "" : none has. */
    struct errbuf bad;
    uint8_t (*bad_hashes)[BLAKE2B_BYTES]; /* NULL: it could not be read */
    int64_t bad_bytes;
};
int dataset_commit_read(const char *dir, struct dataset_commit *c, struct errbuf *why);
int dataset_commit_store(const char *dir, struct store *store, struct dataset_commit *c,
                         struct errbuf *why);
void dataset_commit_done(struct datasets *d, struct dataset_commit *c, int rc);
void dataset_commit_free(struct dataset_commit *c); /* and c itself */

/* Names the samples of a dataset after an uploaded names file (common/uris.h), which must be of
 * this data and name all samples; replace: in place of names that they may have, which otherwise
 * stay. Answers rq {dataset, kept} once readers have them; should that be cut short, the server
 * goes on by itself. Afterwards the upload is gone. -ENOENT, -EUCLEAN: as datasets_find, or there
 * is no such upload; -EAGAIN: the dataset is being named. dataset_names.c. */
int datasets_name_samples(struct service *s, struct request *rq, const char *name,
                          const char *names_sha256, bool replace, struct errbuf *why);

/* dataset_owners.c: what datasets take on the disk, with the names of their samples. */

/* Each file once; of a key, each file for which it has a name; of every key that has some. */
int64_t datasets_bytes(const struct datasets *d);
int64_t datasets_bytes_of(const struct datasets *d, const char *key);
void datasets_bytes_each(const struct datasets *d,
                         void (*each)(void *arg, const char *key, int64_t bytes), void *arg);
/* Has the key a name for this data? */
bool datasets_owned_by(const struct datasets *d, const char *key, const char *sha256);
/* -1: there is no such data. */
int64_t datasets_size(const struct datasets *d, const char *sha256);

/* Removal in three parts. After the first the caller makes sure that no job has the data of a last
 * name, and whose it is. The first and the last run on the loop; between them the name is not
 * found. The second runs on the store's lane and removes the name, and the file when no other name
 * stands for it. -ENOENT; -EAGAIN: it is being removed, or is the last name of data that is held.
 */
struct dataset_removal {
    char name[NAME_MAX_BYTES], sha256[SHA256_HEX];
    char key_name[NAME_MAX_BYTES]; /* whose name it is; "": of somebody without a key */
    char names[SHA256_HEX];        /* of its samples' file; "" */
    bool last;                     /* no other name stands for the data */
};
int datasets_remove_begin(struct datasets *d, const char *name, struct dataset_removal *ret,
                          struct errbuf *why);
int datasets_remove_work(const char *dir, struct store *store, const struct dataset_removal *r,
                         struct errbuf *why);
void datasets_remove_done(struct datasets *d, const struct dataset_removal *r, int rc);

/* Checks damaged files again, hashes the pieces of files from an older version, tells the jobs
 * about theirs, goes on naming samples; called a few times a second. dataset_health.c. */
void datasets_tick(struct service *s, int64_t now_ms);

#endif
