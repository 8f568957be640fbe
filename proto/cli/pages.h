/* Lists that the server gives page by page, as one reply. */
#ifndef STEPPE_PROTO_CLI_PAGES_H
#define STEPPE_PROTO_CLI_PAGES_H

#include "proto/cli/connection.h"

struct pages {
    enum message_type type;
    const char *list;   /* key of the rows in a reply, beside `more` */
    const char *next;   /* key of a request that says where its page begins */
    const char *number; /* key in a row from which the next page follows */
    int64_t step;       /* added to the last row's number: where the next page begins */
    int64_t most;       /* rows wanted; 0: all, and no request has a limit */
};

extern const struct pages epoch_pages; /* of job.show, all */

/* As connection_call (request is owned, too), again and again while there is more and it is wanted:
 * *ret is the first reply with the rows of all, and `more` says whether there are others. */
int pages_call(struct cli *cli, const struct pages *p, cJSON *request, struct message *ret,
               struct errbuf *why);

#endif
