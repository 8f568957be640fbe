/* Names are looked up once for a user: the library may ask a network for them, and the loop waits
 * meanwhile. */
#define _GNU_SOURCE
#include "server/net/local.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/text.h"

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif
#define GROUPS_MAX 16     /* of the option */
#define USERS_MAX 64      /* whose names are kept */
#define ENTRY_BYTES 16384 /* of a user or group; a group may have many members */

struct admitted {
    gid_t gid;
    enum role role;
    char *name; /* as the option has it */
};

struct locals {
    uid_t own;
    struct admitted groups[GROUPS_MAX];
    int count;
    struct known {
        uid_t uid;
        char name[LOCAL_USER_BYTES];
    } users[USERS_MAX];
    size_t user_count; /* that were ever looked up; the oldest makes room */
};

/* The group of this name, or of this number where there is no such name. */
static int find_group(const char *name, gid_t *ret, struct errbuf *why)
{
    char *entry = xmalloc(ENTRY_BYTES);
    struct group group, *found = NULL;
    int64_t number = -1;
    int rc = getgrnam_r(name, &group, entry, ENTRY_BYTES, &found);

    if (found)
        *ret = group.gr_gid;
    free(entry);
    if (found)
        return 0;
    if (text_i64(name, 0, UINT32_MAX - 1, &number)) {
        *ret = (gid_t)number;
        return 0;
    }
    if (rc == ERANGE || rc == 0 || rc == ENOENT)
        return err_set(why, -ENOENT, "there is no group \"%s\" on this machine", name);
    return err_set(why, -rc, "cannot look up the group \"%s\": %s", name, err_text(rc));
}

/* One GROUP=ROLE, whose text it changes. */
static int read_group(struct locals *l, char *text, struct errbuf *why)
{
    static const char form[] =
        "write GROUP=ROLE, with the role admin, submit, read, worker or trainer";
    char *equals = strchr(text, '=');
    struct admitted *g = &l->groups[l->count];

    if (!equals || equals == text)
        return err_set(why, -EINVAL, "\"%.60s\" is no group with a role; %s", text, form);
    *equals = 0;
    int role = text_index(equals + 1, role_names);
    g->role = role < 0 ? ROLE_NONE : role_of_number((unsigned)role);
    if (g->role == ROLE_NONE || g->role == ROLE_SERVER)
        return err_set(why, -EINVAL, "the role of the group %.60s is \"%.60s\"; %s", text,
                       equals + 1, form);
    int rc = find_group(text, &g->gid, why);
    if (rc == 0) {
        g->name = xstrdup(text);
        l->count++;
    }
    return rc;
}

int locals_open(const char *groups, struct locals **ret, struct errbuf *why)
{
    struct locals *l = xcalloc(1, sizeof(*l));
    char *text = groups ? xstrdup(groups) : NULL, *rest = text;
    int rc = 0;

    l->own = geteuid();
    for (char *one; rc == 0 && (one = strsep(&rest, ",")) != NULL;)
        rc = l->count < GROUPS_MAX
                 ? read_group(l, one, why)
                 : err_set(why, -EINVAL, "more than %d groups are named", GROUPS_MAX);
    free(text);
    if (rc < 0)
        locals_close(l);
    else
        *ret = l;
    return rc < 0 ? err_prefix(why, rc, "--groups") : 0;
}

void locals_close(struct locals *l)
{
    for (int i = 0; l && i < l->count; i++)
        free(l->groups[i].name);
    free(l);
}

bool locals_have_groups(const struct locals *l)
{
    return l->count > 0;
}

/* A name that does not fit could be that of somebody else, cut. */
static void look_up(uid_t uid, char ret[LOCAL_USER_BYTES])
{
    char *entry = xmalloc(ENTRY_BYTES);
    struct passwd user, *found = NULL;

    getpwuid_r(uid, &user, entry, ENTRY_BYTES, &found);
    if (found && user.pw_name[0] && strlen(user.pw_name) < LOCAL_USER_BYTES)
        snprintf(ret, LOCAL_USER_BYTES, "%s", user.pw_name);
    else
        snprintf(ret, LOCAL_USER_BYTES, "%u", uid);
    free(entry);
}

static const char *name_of(struct locals *l, uid_t uid)
{
    for (size_t i = 0; i < l->user_count && i < USERS_MAX; i++)
        if (l->users[i].uid == uid)
            return l->users[i].name;
    struct known *k = &l->users[l->user_count++ % USERS_MAX];
    k->uid = uid;
    look_up(uid, k->name);
    return k->name;
}

/* The role of the first group that one of gids[n] is. */
static enum role role_in(const struct locals *l, const gid_t *gids, size_t n)
{
    for (int i = 0; i < l->count; i++)
        for (size_t j = 0; j < n; j++)
            if (gids[j] == l->groups[i].gid)
                return l->groups[i].role;
    return ROLE_NONE;
}

/* The peer's groups, his own first; malloc. */
static gid_t *groups_of(int fd, gid_t own, size_t *ret_count)
{
    socklen_t bytes = 0;
    gid_t *gids;

    /* Without room, the kernel says how much it takes. */
    getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &bytes);
    gids = xcalloc(bytes / sizeof(*gids) + 1, sizeof(*gids));
    gids[0] = own;
    if (bytes == 0 || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, gids + 1, &bytes) < 0)
        bytes = 0;
    *ret_count = bytes / sizeof(*gids) + 1;
    return gids;
}

void local_judge(struct locals *l, int fd, struct local *ret)
{
    struct ucred who = {.uid = (uid_t)-1};
    socklen_t bytes = sizeof(who);

    *ret = (struct local){.uid = UINT32_MAX, .user = "?"};
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &bytes) < 0)
        return;
    ret->uid = who.uid;
    ret->owner = who.uid == 0 || who.uid == l->own;
    snprintf(ret->user, sizeof(ret->user), "%s", name_of(l, who.uid));
    if (ret->owner) {
        ret->role = ROLE_ADMIN;
    } else if (l->count > 0) {
        size_t n;
        gid_t *gids = groups_of(fd, who.gid, &n);
        ret->role = role_in(l, gids, n);
        free(gids);
    }
}

void local_refusal(const struct locals *l, const struct local *who, struct errbuf *why)
{
    char groups[160] = "", own[LOCAL_USER_BYTES];

    look_up(l->own, own);
    for (int i = 0; i < l->count; i++)
        snprintf(groups + strlen(groups), sizeof(groups) - strlen(groups), "%s%s",
                 i == 0 ? "" : ", ", l->groups[i].name);
    err_set(
        why, -EACCES,
        "the user %s may not use this server over ipc: it lets in %s%s%s%s; whoever runs it can "
        "let others in with --groups GROUP=ROLE, or give them a key for tcp",
        who->user, own, l->own == 0 ? "" : " and root", l->count == 0 ? "" : ", and members of ",
        groups);
}
