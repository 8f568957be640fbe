/* What this process may use of the machine: processors by its affinity mask (taskset, cpuset) and
 * the CPU quota of its control groups, memory by their limits (v1 and v2, each group and all above
 * it) and by ulimit -v. Code that sizes anything by the machine asks here. */
#ifndef STEPPE_COMMON_MACHINE_H
#define STEPPE_COMMON_MACHINE_H

#include <stdint.h>

struct machine {
    unsigned online;        /* processors of the machine */
    unsigned allowed;       /* of these, the ones in the affinity mask */
    double quota;           /* processors' worth of time that the groups grant; 0: no limit */
    int64_t physical_bytes; /* memory of the machine; 0: not known */
    int64_t group_bytes;    /* that the groups grant; 0: no limit */
    int64_t address_bytes;  /* ulimit -v; 0: no limit */
};

/* Looks at this process. What cannot be read counts as no limit. */
void machine_here(struct machine *ret);
/* Sets quota and group_bytes from root/proc/self/{cgroup,mountinfo} and the groups that they name
 * below root; root is "" but for tests. */
void machine_groups(const char *root, struct machine *io);

unsigned machine_processors(const struct machine *m); /* at least 1; a part of one is rounded up */
int64_t machine_memory(const struct machine *m);      /* bytes; INT64_MAX when nothing is known */

/* For people, into buf, returned. Why there are so many processors: "affinity of 2 processors",
 * "the cgroup's quota of 1.5 processors", "the machine's 8 processors". Whose memory it is: "the
 * cgroup's 512 MiB", "the machine's 15.6 GiB". */
#define MACHINE_TEXT_BYTES 80
const char *machine_say_processors(const struct machine *m, char buf[MACHINE_TEXT_BYTES]);
const char *machine_say_memory(const struct machine *m, char buf[MACHINE_TEXT_BYTES]);

#endif
