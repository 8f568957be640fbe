/* A fault: of the calls that a test counts, the n-th fails, once or from then on. Of memory it
 * counts malloc and its kin as our own code calls them (the linker hands them over, --wrap), and
 * what SQLite, cJSON and libuv ask for; of the disk, whatever asks fault_disk. */
#ifndef STEPPE_TESTS_INJECT_FAULT_H
#define STEPPE_TESTS_INJECT_FAULT_H

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

/* Routes the memory of the libraries through here. Before their first use. */
void fault_begin(void);
/* Counts from now on. inside says whether a call is one to count, hit is told of the first that
 * fails; NULL: all are, nobody is. */
void fault_arm(const struct fault *f, bool (*inside)(void), void (*hit)(void));
void fault_disarm(void);
uint64_t fault_calls(void); /* since fault_arm */
bool fault_struck(void);
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
