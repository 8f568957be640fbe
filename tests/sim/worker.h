/* A simulated worker: it says what the real one says (worker/duty.c, PROTOCOL.md section 5), and
 * computes with compute.h in simulated time. */
#ifndef STEPPE_TESTS_SIM_WORKER_H
#define STEPPE_TESTS_SIM_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#define SIM_CLASSES 2 /* numerics classes there are */

struct worker_traits {
    int threads;
    int host; /* whose cache it has */
    uint32_t class;
    int slowness;             /* 1: as usual */
    unsigned bad_permille;    /* of its results hold NaN or are too short, before the calm */
    unsigned forge_permille;  /* of its results are valid and wrong */
    unsigned refuse_permille; /* of the jobs that are new to it, before the calm */
    bool listens;             /* other workers reach it */
    bool hoards;              /* it takes tasks, says that it is at work, and never brings one */
};

/* Worker `number` (1..) joins after delay_us. */
void worker_add(int number, const struct worker_traits *traits, int64_t delay_us);
/* Dies and starts anew after down_us, as somebody else. */
void worker_kill(int number, int64_t down_us);
/* Stands still, its connection too. */
void worker_stall(int number, int64_t us);
/* Says worker.bye and stays away. */
void worker_leave(int number, int64_t away_us);
int workers_added(void);
bool worker_hoards(int number); /* false: it does not, or there is none of this number */

#endif
