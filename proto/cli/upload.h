/* Bringing a file to the server in pieces. */
#ifndef STEPPE_PROTO_CLI_UPLOAD_H
#define STEPPE_PROTO_CLI_UPLOAD_H

#include "common/hash.h"
#include "proto/cli/command.h"

/* Sends the dataset file at path, whose SHA-256 is known, from where the server has it already, and
 * gives it a name. Prints what the server then says of it. 0 or -errno. */
int upload_dataset(struct cli *cli, const char *name, const char *path,
                   const uint8_t sha256[SHA256_BYTES], struct errbuf *why);

/* Sends any file that a job names, for job.submit to take over; `name` is what people see while it
 * goes. 0 or -errno. */
int upload_file(struct cli *cli, const char *name, const char *path,
                const uint8_t sha256[SHA256_BYTES], struct errbuf *why);

/* A fresh folder for a file to be made in and sent from, which the caller removes and frees; NULL
 * with a sentence. */
char *upload_folder(struct errbuf *why);

#endif
