/* One connection to the server and the reading of its replies, for every command. */
#ifndef STEPPE_PROTO_CLI_SESSION_H
#define STEPPE_PROTO_CLI_SESSION_H

#include "proto/cli/command.h"
#include "proto/cli/table.h"

/* Sends a request and waits for its reply (message_done by the caller). Takes ownership of request;
 * NULL is a request without keys. The first call makes sure that a server answers. Errors as
 * client_call. */
int cli_call(struct cli *cli, enum message_type type, cJSON *request, struct message *ret,
             struct errbuf *why);
/* As cli_call, with tensors, a deadline of its own and the code of a refusal (may be NULL). */
int cli_call_tensors(struct cli *cli, enum message_type type, cJSON *request,
                     const struct tensor *tensors, int tensor_count, int64_t deadline_ms,
                     struct message *ret, enum error_code *ret_code, struct errbuf *why);
void cli_close(struct cli *cli);

/* 0, or -EINTR when Ctrl-C was pressed; waits up to ms. */
int cli_sleep(const struct cli *cli, int64_t ms);

/* The job number in words[0]: 0 or EXIT_USAGE. */
int cli_job(const struct cli *cli, int64_t *ret, struct errbuf *why);
/* A request {"job": words[0]}: 0 or EXIT_USAGE. */
int cli_job_request(const struct cli *cli, cJSON **ret, struct errbuf *why);

/* Prints the reply without its envelope as JSON: of the key `only`, or of all when that is NULL. */
void cli_print_json(const struct message *reply, const char *only);
void cli_print_value(const cJSON *value);
void cli_print_line(const cJSON *value); /* in one line */
/* Prints a line of text; what came from a peer cannot move the cursor nor turn the line: what may
 * not be shown becomes '?'. */
__attribute__((format(printf, 1, 2))) void cli_print_text(const char *fmt, ...);
/* The same on stderr: a notice about the course of things. */
__attribute__((format(printf, 1, 2))) void cli_note(const char *fmt, ...);

/* The array or object `name` of a reply (borrowed); -EBADMSG with a sentence when it is not there.
 */
int reply_array(const cJSON *json, const char *name, const cJSON **ret, struct errbuf *why);
int reply_object(const cJSON *json, const char *name, const cJSON **ret, struct errbuf *why);
/* False when the key is not there or of another type. */
bool value_f64(const cJSON *obj, const char *name, double *ret);
bool value_i64(const cJSON *obj, const char *name, int64_t *ret); /* whole, within 2^53 */
/* The text, or "" when there is none. */
const char *value_text(const cJSON *obj, const char *name);

/* Cells from keys of obj; an absent key is TABLE_NONE. */
void cell_text(struct table *t, const cJSON *obj, const char *name);
void cell_i64(struct table *t, const cJSON *obj, const char *name);
void cell_f64(struct table *t, const cJSON *obj, const char *name);   /* %.4g */
void cell_share(struct table *t, const cJSON *obj, const char *name); /* 91.32% */
void cell_age(struct table *t, const cJSON *obj, const char *name);   /* of a time: "3 s ago" */
/* The state of a job or worker, in its colour. */
void cell_state(struct table *t, const cJSON *obj, const char *name);
enum paint state_paint(const char *state);

#endif
