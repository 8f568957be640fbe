/* A review: samples one after the other, where one stands, and what was said. Knows no server and
 * no terminal. */
#ifndef STEPPE_PROTO_CLI_REVIEW_H
#define STEPPE_PROTO_CLI_REVIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/verdict.h"

enum review_act {
    REVIEW_RIGHT,     /* the label is right */
    REVIEW_PREDICTED, /* it is what the model predicts */
    REVIEW_WRONG,     /* it is another class */
    REVIEW_EXCLUDE,
    REVIEW_UNSURE,
    REVIEW_SKIP,
    REVIEW_BACK,
    REVIEW_UNDO,
    REVIEW_HELP,
    REVIEW_QUIT,
    REVIEW_ACTS
};

/* Reads an answer: a key or a word; "wrong" may have a class behind it (*ret_class points into
 * text; "": none). -EINVAL with the answers that there are. */
int review_read(const char *text, enum review_act *ret, const char **ret_class, struct errbuf *why);
char review_key(enum review_act act);

/* What counts for a sample. */
struct review_said {
    int64_t number; /* of the verdict in the history; 0: nobody ever said anything */
    struct verdict verdict;
};
struct review_step {
    size_t at;                 /* the item that was judged */
    struct review_said before; /* what counted for it */
    struct verdict verdict;    /* what was said */
    int64_t number;            /* of the verdict; 0: it counted already */
};
struct review {
    size_t count, at; /* items; the one that is shown, count: behind the last */
    bool *judged;     /* [count] */
    struct review_step *steps;
    size_t step_count, step_room;
};

void review_open(struct review *r, size_t count);
void review_close(struct review *r);
/* The item behind `at` that has no verdict. */
void review_forward(struct review *r);
/* The item before, judged or not; false: there is none. */
bool review_back(struct review *r);
/* Keeps what was said of the item that is shown. */
void review_keep(struct review *r, const struct review_step *step);
/* The last thing said, and its item is shown again; NULL: nothing is left. It is borrowed until the
 * next call, and the item has a verdict if it had one before. */
const struct review_step *review_undo(struct review *r);
/* Items without a verdict. */
size_t review_left(const struct review *r);

/* Does a verdict with this kind and label (-1: none) in the server's form say what `said` says? A
 * label beside "right" settles to "wrong" where it is not the dataset's own, `given`. */
bool review_same(const struct verdict *said, enum verdict_kind kind, int64_t label, int64_t given);

#endif
