/* A fault: of the calls that a test counts, the n-th fails, once or from then on. Of memory it
 * counts malloc and its kin as our own code calls them (the linker hands them over, --wrap), and
 * what SQLite and cJSON ask for, and libuv where the test gives it these; of the disk, whatever
 * asks fault_disk. */
#ifndef STEPPE_TESTS_INJECT_FAULT_H
#define STEPPE_TESTS_INJECT_FAULT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum fault_kind { FAULT_MEMORY, FAULT_DISK };

#define FAULT_SHORT (-1) /* for an errno: half of what is to be written is, and no error */
#define FAULT_NEVER UINT64_MAX

struct fault {
    enum fault_kind kind;
    uint64_t nth; /* from 1; FAULT_NEVER: the calls are counted */
    bool lasting; /* so do all that come after it */
    int error;    /* of the disk: errno or FAULT_SHORT */
};

/* What a run writes down of its calls, in memory that it has in common with who started it. */
#define FAULT_CALLS_MAX (UINT64_C(1) << 21)
#define FAULT_OWN 0
/* Numbers that stand for the callers of an allocation that SQLite makes for itself; FAULT_OWN where
 * our own code asks. */
struct fault_place {
    uint64_t way;     /* through SQLite, and our function that called it */
    uint64_t context; /* our function, and all that called it up to whoever armed the fault */
};
struct fault_record {
    atomic_uint_fast64_t calls;
    struct fault_place places[FAULT_CALLS_MAX]; /* of call n at n - 1 */
};
struct fault_record *fault_record_create(void);
void fault_record_free(struct fault_record *r);

/* Routes the memory of the libraries through here. Before their first use. */
void fault_begin(void);
/* Writes down the calls of what fault_arm begins; NULL: no longer. Finding out who calls takes
 * its time. */
void fault_write_down(struct fault_record *r);
/* Counts from now on. inside says whether a call is one to count, hit is told of the first that
 * fails; NULL: all are, nobody is. */
void fault_arm(const struct fault *f, bool (*inside)(void), void (*hit)(void));
void fault_disarm(void);
uint64_t fault_calls(void); /* since fault_arm */
bool fault_struck(void);
struct fault_place fault_struck_place(void); /* as it would be written down */
bool fault_is_armed(void);
/* What this call of the disk fails with: 0 (it does not), an errno, FAULT_SHORT. */
int fault_disk(void);
/* The same for a call that hands memory out: true, it has none. */
bool fault_memory(void);
/* Counts a block that our code frees; NULL is fine. Returns it. */
void *fault_hold(void *p);
/* One that our code had from malloc, and that a library frees. */
void fault_let_go(void);
/* Blocks that our code holds; SQLite's bytes count as well. */
int64_t fault_held(void);

#endif
