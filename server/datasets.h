/* The datasets of this server: names, files by SHA-256 under DIR/datasets, uploads in pieces. The
 * server never opens a path that a peer names. */
#ifndef STEPPE_SERVER_DATASETS_H
#define STEPPE_SERVER_DATASETS_H

#include <cjson/cJSON.h>

#include "common/dataset.h"
#include "common/err.h"
#include "server/store.h"

struct datasets;

/* Loads the names from the store. 0 or -errno. */
int datasets_open(const char *dir, struct store *store, struct datasets **ret, struct errbuf *why);
void datasets_close(struct datasets *d); /* NULL is fine */

/* A named dataset, mapped; lives as long as a job has it or it is held, and at least until control
 * returns to the loop. -ENOENT names what there is. */
int datasets_find(struct datasets *d, const char *name, const struct dataset **ret,
                  struct dataset_record *ret_record, struct errbuf *why);
/* By hash. -ENOENT. */
int datasets_find_hash(struct datasets *d, const char *sha256, const struct dataset **ret,
                       struct dataset_record *ret_record, struct errbuf *why);

/* Keeps a mapped dataset from being removed while no job in the table has it. */
void datasets_hold(struct datasets *d, const struct dataset *data);
void datasets_release(struct datasets *d, const struct dataset *data);

/* A dataset row of PROTOCOL.md. */
cJSON *datasets_row(struct datasets *d, const struct dataset_record *rec);
cJSON *datasets_rows(struct datasets *d);

/* 0 when the name is taken or there may be one more; else -ERANGE. */
int datasets_room(const struct datasets *d, const char *name, struct errbuf *why);
/* Bytes of an upload that are there; *ret_complete when the file was committed before. */
int datasets_offer(struct datasets *d, const char *sha256, int64_t bytes, int64_t *ret_have,
                   bool *ret_complete, struct errbuf *why);
/* Appends a piece; pieces that are there already are skipped. */
int datasets_put(struct datasets *d, const char *sha256, int64_t bytes, int64_t offset,
                 const void *piece, size_t piece_bytes, int64_t *ret_have, struct errbuf *why);
/* Makes an upload that is no dataset the file `path`, when it has that hash. On the store's lane.
 * -ENOENT: it was not uploaded. */
int datasets_take_upload(const char *dir, const char *sha256, const char *path, struct errbuf *why);
/* Reads a piece of a committed file. out has room for bytes. */
int datasets_get(struct datasets *d, const char *sha256, int64_t offset, int64_t bytes, void *out,
                 struct errbuf *why);

/* Commit in two halves. The first runs on the store's lane: checks hash and content, renames,
 * writes the store. The second runs on the loop: makes the name known. */
struct dataset_commit {
    struct dataset_record rec; /* name and sha256 set by the caller; bytes by the first half */
    struct dataset dataset;    /* used while the first half works */
};
int datasets_commit_work(const char *dir, struct store *store, struct dataset_commit *c,
                         struct errbuf *why);
void datasets_commit_done(struct datasets *d, struct dataset_commit *c);

/* Removal in three parts; the caller has made sure that no job has the data. The first and the
 * last run on the loop, between them the name is not found; the second runs on the store's lane,
 * forgets the name, and the file when no other name stands for it. -ENOENT; -EAGAIN: it is held,
 * or being removed. */
struct dataset_removal {
    char name[NAME_MAX_BYTES], sha256[SHA256_HEX];
};
int datasets_remove_begin(struct datasets *d, const char *name, struct dataset_removal *ret,
                          struct errbuf *why);
int datasets_remove_work(const char *dir, struct store *store, const struct dataset_removal *r,
                         struct errbuf *why);
void datasets_remove_done(struct datasets *d, const struct dataset_removal *r, int rc);

#endif
