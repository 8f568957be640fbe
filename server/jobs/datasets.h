/* The datasets of this server: names, and files by SHA-256 under DIR/datasets. The server never
 * opens a path that a peer names.
 *
 * A file is not trusted because it lies there: what is read of it is checked piece by piece
 * (data_file.h), and one that is damaged, cut, gone or not to be read is noted with what is wrong;
 * the jobs that have it say so and go on when it is whole again, be it by another import of the
 * same data or because somebody put it right: it is looked at again every few seconds. */
#ifndef STEPPE_SERVER_JOBS_DATASETS_H
#define STEPPE_SERVER_JOBS_DATASETS_H

#include <cjson/cJSON.h>

#include "common/dataset.h"
#include "common/err.h"
#include "server/store/data_file.h"
#include "server/store/store.h"

struct datasets;
struct service;

/* Loads the names from the store; a file that has none becomes an upload again. 0 or -errno. */
int datasets_open(const char *dir, struct store *store, struct datasets **ret, struct errbuf *why);
void datasets_close(struct datasets *d); /* NULL is fine */

/* A named dataset, without its images; lives as long as a job has it or it is held, and at least
 * until control returns to the loop. -ENOENT names what there is; -EUCLEAN: its file is damaged. */
int datasets_find(struct datasets *d, const char *name, const struct dataset **ret,
                  struct dataset_record *ret_record, struct errbuf *why);
/* By hash. -ENOENT, -EUCLEAN. */
int datasets_find_hash(struct datasets *d, const char *sha256, const struct dataset **ret,
                       struct dataset_record *ret_record, struct errbuf *why);

/* Keeps a dataset from being removed while no job in the table has it. */
void datasets_hold(struct datasets *d, const struct dataset *data);
void datasets_release(struct datasets *d, const struct dataset *data);

/* Lends the file to a lane until it is given back, with what came of reading it (as
 * data_file_read). -ENOENT. */
int datasets_lend(struct datasets *d, const char *sha256, struct data_file *ret,
                  struct errbuf *why);
void datasets_give_back(struct datasets *d, const char *sha256, int rc, int64_t bad,
                        struct errbuf *io_why);

/* What is wrong with a file, as a sentence for people; false: nothing is known to be. */
bool datasets_damage(const struct datasets *d, const char *sha256, char *out, size_t bytes);
/* Notes that the file is damaged, as somebody else found out; why says how. */
void datasets_note(struct datasets *d, const char *sha256, const struct errbuf *why);
/* The name by which to show data that was once called `name`: that one as long as it stands for
 * this data, or another that does; `name` when none does. Until control returns to the loop. */
const char *datasets_name(struct datasets *d, const char *sha256, const char *name);
/* A dataset row of PROTOCOL.md. */
cJSON *datasets_row(struct datasets *d, const struct dataset_record *rec);
cJSON *datasets_rows(struct datasets *d);

/* 0 when the data may have the name: it has it, or the name is free and there may be one more. Else
 * -EEXIST, -ERANGE. */
int datasets_room(const struct datasets *d, const char *name, const char *sha256,
                  struct errbuf *why);
/* Is the whole file there, as far as is known? */
bool datasets_has(const struct datasets *d, const char *sha256, int64_t bytes);

/* Commit of an upload, or of a file that is there already. First, on the data lane, a slice at a
 * time (1: call again): the file that has the name is hashed; when there is none, or it is not what
 * its name says, the upload, which then takes its place. -ENOENT: there is neither; -ENODATA: the
 * file is damaged and no upload is there to take its place. Then on the store's lane: the store.
 * Then, on the loop, also when one of them failed: makes the name known and notes what was found.
 */
struct dataset_commit {
    struct dataset_record rec; /* name and sha256 set by the caller */
    struct dataset dataset;
    uint8_t (*hashes)[BLAKE2B_BYTES];
    struct data_hash *hash; /* of the file that is being read */
    bool upload;            /* it is the upload */
    struct errbuf missing;  /* pieces of the upload, as incoming_whole says; set by the caller */
    bool replaced;          /* the upload has taken its place */
    /* Of a file that was there and is not what it was; "" : there was none such. */
    struct errbuf bad;
    uint8_t (*bad_hashes)[BLAKE2B_BYTES]; /* NULL: it could not be read */
    int64_t bad_bytes;
};
int dataset_commit_read(const char *dir, struct dataset_commit *c, struct errbuf *why);
int dataset_commit_store(const char *dir, struct store *store, struct dataset_commit *c,
                         struct errbuf *why);
void dataset_commit_done(struct datasets *d, struct dataset_commit *c, int rc);
void dataset_commit_free(struct dataset_commit *c); /* and c itself */

/* Removal in three parts; behind the first the caller makes sure that no job has the data of a last
 * name. The first and the last run on the loop, between them the name is not found; the second runs
 * on the store's lane, forgets the name, and the file when no other name stands for it. -ENOENT;
 * -EAGAIN: it is being removed, or is the last name of data that is held. */
struct dataset_removal {
    char name[NAME_MAX_BYTES], sha256[SHA256_HEX];
    bool last; /* no other name stands for the data */
};
int datasets_remove_begin(struct datasets *d, const char *name, struct dataset_removal *ret,
                          struct errbuf *why);
int datasets_remove_work(const char *dir, struct store *store, const struct dataset_removal *r,
                         struct errbuf *why);
void datasets_remove_done(struct datasets *d, const struct dataset_removal *r, int rc);

/* Looks again at damaged files, hashes the pieces of those that an older version kept, tells the
 * jobs what became of theirs; called a few times a second. dataset_health.c. */
void datasets_tick(struct service *s, int64_t now_ms);

#endif
