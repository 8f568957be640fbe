/* What is known of an epoch when it closes: a run measures it, the store keeps it as a row of
 * difficulty.db, and a query gives it back. What was not measured is NAN (NULL in the row). */
#ifndef STEPPE_SERVER_CORE_EPOCH_RECORD_H
#define STEPPE_SERVER_CORE_EPOCH_RECORD_H

#include <stdint.h>

struct epoch_record {
    int64_t job, epoch;
    int64_t revision;      /* of the dataset that the epoch has; 0: as imported */
    double share;          /* of the training set that is scheduled, by the pacing */
    int64_t scheduled;     /* samples */
    double lr;             /* of the last update */
    double train_loss;     /* nats, at theta, mean by weight over the steps */
    double train_accuracy; /* at theta, in the steps */
    double sharpness;      /* mean rise of the loss up to theta hat, over the ascents */
    double test_loss;      /* nats, mean */
    double test_accuracy;
    double adv_accuracy; /* of the twins of the test samples */
    /* The same of the validation samples. */
    double validation_loss, validation_accuracy, validation_adv_accuracy;
    double mean_gap; /* nats, of the scored samples; the divisor of their ADM */
    double seconds;  /* that the epoch took, across restarts */
};

/* What the test of an epoch says of one class or domain. */
struct test_group {
    uint32_t samples, right, adv_right; /* adv: under attack */
};

#endif
