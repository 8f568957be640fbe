/* Bringing a file to the server in pieces. */
#ifndef STEPPE_PROTO_CLI_UPLOAD_H
#define STEPPE_PROTO_CLI_UPLOAD_H

#include "common/hash.h"
#include "proto/cli/command.h"

struct dataset_draft;

/* Sends the dataset file at path, whose SHA-256 is known, from where the server's copy ends, and
 * gives it a name. *ret_row is the server's row of it, to be deleted. 0 or -errno. */
int upload_dataset(struct cli *cli, const char *name, const char *path,
                   const uint8_t sha256[SHA256_BYTES], cJSON **ret_row, struct errbuf *why);

/* Gives the samples of the named dataset, whose SHA-256 is known, the names that they have in the
 * draft: a file (common/uris.h), written into the folder dir and sent if the server lacks it;
 * replace: in place of names that they have. Names that stay are noted. *io_row (NULL or a row)
 * becomes the server's row of the dataset, to be deleted. 0 or -errno. */
int upload_names(struct cli *cli, const char *name, const char *dir, const char *sha256,
                 const struct dataset_draft *draft, bool replace, cJSON **io_row,
                 struct errbuf *why);

/* Sends any file that a job names, for job.submit to take over; `name` is shown to people
 * meanwhile. 0 or -errno. */
int upload_file(struct cli *cli, const char *name, const char *path,
                const uint8_t sha256[SHA256_BYTES], struct errbuf *why);

/* A fresh folder in which to make a file that is sent; the caller removes and frees it. NULL with a
 * sentence. */
char *upload_folder(struct errbuf *why);

#endif
