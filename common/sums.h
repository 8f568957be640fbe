/* What is summed beside the gradient of a training phase: over the samples of a shard, then along
 * the reduction tree, then over the steps of an epoch. Workers fill it, messages and checkpoints
 * carry it in this order, the server divides it. */
#ifndef STEPPE_COMMON_SUMS_H
#define STEPPE_COMMON_SUMS_H

enum sum {
    SUM_WEIGHT,   /* V = sum v_i, the weights of the samples; above 0 */
    SUM_LOSS,     /* sum v_i loss_i(theta), nats, smoothed as the gradient is */
    SUM_LOSS_HAT, /* sum v_i loss_i(theta hat); equals SUM_LOSS in a step without ascent */
    SUM_SAMPLES,  /* how many */
    SUM_CORRECT,  /* how many of them have predicted == label at theta */
    SUM_COUNT
};

#endif
