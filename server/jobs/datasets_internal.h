/* Shared by datasets.c and dataset_*.c only. */
#ifndef STEPPE_SERVER_JOBS_DATASETS_INTERNAL_H
#define STEPPE_SERVER_JOBS_DATASETS_INTERNAL_H

#include "server/jobs/datasets.h"
#include "server/store/data_file.h"

#define RECHECK_MS 5000 /* between two checks of a damaged file */

/* A file, under any number of names. */
struct stored {
    char sha256[SHA256_HEX];
    struct data_file file;
    uint8_t (*hashes)[BLAKE2B_BYTES]; /* owned; file.hashes */
    struct dataset dataset;           /* read when first asked for */
    bool open;
    unsigned names, held;

    char damage[160]; /* what is wrong with the file; "" : nothing known */
    int64_t bad;      /* where */
    bool told;        /* the jobs have been told */
    bool looked;      /* its hashes were looked for since the start */
    int64_t look_ms;  /* the next check of a damaged one */

    char uris[SHA256_HEX]; /* the file with the names of its samples; "": they have none */
    int64_t uris_bytes;    /* that it has */
    bool uris_shown;       /* readers have them */
    struct naming *naming; /* under way; NULL: none */
    int64_t uris_ms;       /* the next try to show them; INT64_MAX: their file is damaged */
    struct stored *next;
};

struct entry {
    struct dataset_record rec;
    struct stored *stored;
    bool going; /* is being removed: no longer found, but its name is not free yet */
    struct entry *next;
};

/* The revisions of data, whether it has a name now or not. */
struct revised {
    char sha256[SHA256_HEX];    /* of the data */
    struct revision_record *at; /* [count] by number, from 1 */
    int count;
    struct revised *next;
};

struct owner;

struct datasets {
    char dir[STATE_DIR_BYTES];
    struct entry *entries; /* by name */
    struct owner *owners;  /* the keys that have one, in no order */
    struct stored *stored;
    struct revised *revised;
    int count;
    bool looking; /* one file at a time */
};

/* Or NULL. */
struct stored *datasets_stored(const struct datasets *d, const char *sha256);
/* Notes what is wrong with the file: why->text, when rc says that it is damaged. */
void stored_note(struct stored *st, int rc, int64_t bad, const struct errbuf *why);
/* Has it a name that is not being removed? */
bool stored_stays(const struct datasets *d, const struct stored *st);
/* It is whole again. */
void stored_heal(struct stored *st);
/* Takes ownership of the hashes of its pieces; existing ones stay. */
void stored_take_hashes(struct stored *st, uint8_t (*hashes)[BLAKE2B_BYTES]);

/* Shows names that readers do not have yet: of one dataset at a time. dataset_names.c. */
void datasets_names_tick(struct service *s, int64_t now_ms);

/* dataset_revisions.c: for the store, and to free them. */
void revisions_add_one(void *datasets, const char *sha256, const struct revision_record *rec);
void revisions_free(struct datasets *d);
/* A name is about to come, or has gone. dataset_owners.c. */
void owner_gets(struct datasets *d, const struct dataset_record *rec);
void owner_loses(struct datasets *d, const struct dataset_record *rec);
/* Its samples have got names, or others. Likewise. */
void stored_weigh_names(struct datasets *d, struct stored *st);
void datasets_add(struct datasets *d, const struct dataset_record *rec);
bool datasets_named(const struct datasets *d, const char *name);

#endif
