/* Checks the databases and the files that they name. Reads through its own connections, an epoch at
 * a time, so that nothing waits for it. */
#ifndef STEPPE_SERVER_STORE_DB_CHECK_H
#define STEPPE_SERVER_STORE_DB_CHECK_H

#include "common/err.h"
#include "common/hash.h"
#include <cjson/cJSON.h>

/* Files that were found damaged, for the code that serves them. */
struct db_check_found {
    char sha256[SHA256_HEX];
    struct errbuf why;
    struct db_check_found *next;
};
void db_check_found_free(struct db_check_found *list); /* NULL is fine */

struct db_ends;

/* Fills {whole, problems: [sentences, at most 100], epochs, rows, checkpoints, datasets, attached:
 * how many were checked}: the pages of both files and their keys; that each committed epoch has the
 * scores whose SHA-256 it names; that each checkpoint, each dataset's file and each file that came
 * with a job has its recorded SHA-256. -ESHUTDOWN once *ends->now is set; else 0, or -errno when it
 * cannot look. Damaged datasets go to ret_found, owned by the caller. */
int db_check(const char *dir, struct db_ends *ends, cJSON *out, struct db_check_found **ret_found,
             struct errbuf *why);
/* Checks the pages of one file that nobody writes; -EUCLEAN names what is wrong. ends: as above, or
 * NULL. */
int db_check_file(const char *dir, const char *name, struct db_ends *ends, struct errbuf *why);

#endif
