/* What a list of suspects is worth: how well the model knows the labels, how many of them are
 * expected to be wrong (confident learning, arXiv 1911.00068), and sentences of warning. */
#ifndef STEPPE_SERVER_QUERY_QUERY_TRUST_H
#define STEPPE_SERVER_QUERY_QUERY_TRUST_H

#include "server/query/query_epoch.h"

/* The estimate of one class. */
struct label_noise {
    uint32_t samples;  /* that have the label */
    uint32_t counted;  /* of these, in the confident joint */
    uint32_t agree;    /* of these, on its diagonal */
    double confidence; /* mean probability of the label: the threshold of the class */
    double expected;   /* wrong labels: samples * (1 - agree / counted); 0 when none is counted */
};

/* Counts C(y, j), over scores with label and prediction below CLASSES_MAX, of samples with label y
 * whose largest probability among those that reach the threshold of their class is that of j. Known
 * are the probability of the label, exp(-loss), and that of the predicted class (score_rival when
 * it is another); of the classes that are neither, none is counted. ret[CLASSES_MAX]. */
void label_noise(const struct query_epoch *x, struct label_noise *ret);

/* The predictions of which the models are surest: the eighth with the largest probability, with all
 * that are as sure as its last. What a model has not learnt shows least in them. */
struct surest {
    uint32_t of;             /* scores with label and prediction below CLASSES_MAX, */
    uint32_t samples, other; /* of these, the surest; of them, with another label than predicted */
    uint32_t first;          /* of these, in the surer half */
    bool fewer; /* fewer than in the other half, by more than two standard errors of the difference
                 */
    double wrong; /* of * other / samples */
    double least,
        most; /* the same with two standard errors less, 0 at least, and more, at most `of` */
};

/* 0 or -ENOMEM. */
int query_surest(const struct query_epoch *x, struct surest *ret, struct errbuf *why);

/* Accuracy on samples that the model has not trained on, up to an epoch; NAN: not measured. */
struct unseen_accuracy {
    double validation, test;
    bool external; /* measured by a program of somebody's own: Steppe has no other models to ask */
};

/* Of the epoch of x. 0 or negative errno. */
int query_unseen_accuracy(struct query *q, const struct query_epoch *x, struct unseen_accuracy *ret,
                          struct errbuf *why);

/* Adds `worth` of score.suspects (PROTOCOL.md) for x, which has the scores of all classes. other is
 * NULL: the scores are of models that have not trained on these samples. Nothing is added for a
 * dataset that is not in the file. 0 or -ENOMEM. */
int query_add_worth(struct query *q, const struct query_epoch *x,
                    const struct unseen_accuracy *other, cJSON *out, struct errbuf *why);

#endif
