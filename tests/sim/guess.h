/* Predictions in the simulation: what a worker does for one, and the guest who asks for them. */
#ifndef STEPPE_TESTS_SIM_GUESS_H
#define STEPPE_TESTS_SIM_GUESS_H

#include <stdbool.h>

#include "tests/sim/net.h"

/* The prediction that a worker has loaded, and its task. Zeroed: none. */
struct guess {
    int64_t loaded; /* number of the prediction whose theta is here; 0: none */
    float *theta;
    size_t floats;
    uint32_t classes;
    bool adversarial;
    bool busy; /* the worker's task is of a prediction */
    int64_t prediction, batch, lo, hi, count;
    uint8_t *images;
    size_t bytes;
};

/* Takes a task, which has images. True: its prediction is loaded; else it is asked for. */
bool guess_take(struct guess *g, const struct message *m, struct client *c);
void guess_load(struct guess *g, const struct message *m);
/* Computes and sends the result: a function of theta and of each picture. */
void guess_send(struct guess *g, struct client *c);
void guess_forget(struct guess *g); /* its process has ended */

/* A guest asks for predictions of job 1, now and then, until the world ends. The same model has the
 * same logits, whoever computed them and whatever died meanwhile; each picture has its own. */
void guest_begin(void);

#endif
