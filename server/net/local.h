/* Local users: who is at the other end of an ipc connection, by what the kernel says of it, and
 * what he may do. */
#ifndef STEPPE_SERVER_NET_LOCAL_H
#define STEPPE_SERVER_NET_LOCAL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bounds.h"
#include "common/err.h"
#include "proto/role.h"

/* The server's own user, the groups that it lets in, and the names of users that came by. */
struct locals;

/* groups: "research=submit,ops=admin", names or numbers of groups; NULL: none. -EINVAL, or -ENOENT:
 * there is no such group here. */
int locals_open(const char *groups, struct locals **ret, struct errbuf *why);
void locals_close(struct locals *l); /* NULL is fine */
/* Do members of a group get in? Then others must be able to open the socket's file. */
bool locals_have_groups(const struct locals *l);

/* Whoever comes in by a group has a name in the place of a key's, which no key can have. */
#define LOCAL_KEY_PREFIX "user "
#define LOCAL_USER_BYTES (NAME_MAX_BYTES - 5) /* so that it fits there */

struct local {
    uint32_t uid;
    enum role role;              /* ROLE_NONE: he is not let in */
    bool owner;                  /* the server's own user, or root */
    char user[LOCAL_USER_BYTES]; /* "anna", or "1000" where the uid has no name */
};
/* Who has connected this ipc socket: as he was when he did, whoever holds the other end now. */
void local_judge(struct locals *l, int fd, struct local *ret);
/* Says that he is not let in, and who is. */
void local_refusal(const struct locals *l, const struct local *who, struct errbuf *why);

#endif
