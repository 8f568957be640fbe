/* Whose turn it is: things that wait for one of a few places, in order for each asker, and the
 * askers one after the other, however much each of them asks. */
#ifndef STEPPE_SERVER_CORE_TURNS_H
#define STEPPE_SERVER_CORE_TURNS_H

/* The name of an asker, with the closing 0. */
#define TURNS_ASKER_BYTES 96

struct turns_limits {
    int at_once, at_once_each; /* places: in all, and of one asker */
    int waiting, waiting_each;
};

struct turns;

struct turns *turns_create(const struct turns_limits *limits);
void turns_free(struct turns *t); /* nothing waits or has a place; NULL is fine */

/* item waits, for an asker whose name is shorter than TURNS_ASKER_BYTES. 0, -EDQUOT: as many of
 * this asker wait as may, -ENOBUFS: as many of all. */
int turns_add(struct turns *t, const char *asker, void *item);
/* The next item gets a place, until turns_done; NULL: there is no place, or none waits that may
 * have one. Of each asker the oldest is considered, and of these that whose asker has had fewest
 * turns since it began to ask. */
void *turns_next(struct turns *t);
void turns_done(struct turns *t, const void *item);
/* Takes out the oldest that waits; NULL: none. */
void *turns_drop(struct turns *t);
int turns_waiting(const struct turns *t);

#endif
