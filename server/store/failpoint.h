/* Named places where a test kills the server with SIGKILL, to prove what survives. Off unless the
 * environment says STEPPE_FAILPOINT=name or name:n (the n-th time, from 1). */
#ifndef STEPPE_SERVER_STORE_FAILPOINT_H
#define STEPPE_SERVER_STORE_FAILPOINT_H

struct failpoint {
    char name[64]; /* "" : off */
    long left;     /* hits until it strikes */
};

void failpoint_init(struct failpoint *f); /* reads the environment */
void failpoint_hit(struct failpoint *f, const char *name);

#endif
