/* What a person says of the label of a training image. A verdict belongs to the data, not to a job:
 * its label is that which the image should have, whatever label a job trained on. */
#ifndef STEPPE_COMMON_VERDICT_H
#define STEPPE_COMMON_VERDICT_H

#include <stdint.h>

#include "common/bounds.h"
#include "common/err.h"

enum verdict_kind {
    VERDICT_NONE,    /* what was said is withdrawn */
    VERDICT_RIGHT,   /* the dataset's own label is right */
    VERDICT_WRONG,   /* another label is */
    VERDICT_EXCLUDE, /* the image should not be trained on */
    VERDICT_UNSURE,
    VERDICT_KINDS
};
extern const char *const verdict_names[]; /* by kind, NULL-terminated */

struct verdict {
    uint32_t sample;
    enum verdict_kind kind;
    int32_t label;                 /* of VERDICT_WRONG, and as said beside VERDICT_RIGHT; else -1 */
    char note[VERDICT_NOTE_BYTES]; /* printable; "": none */
};

/* Judges what was said of a sample of a dataset, and puts it into its one form. The dataset has
 * `samples` training images with these labels, of `classes` classes. "right" may name the label
 * that the person saw, such as that of a revision: where it is not the dataset's own, the own one
 * is wrong. "wrong" needs a label, and another one than the dataset's own. 0 or -EINVAL. */
int verdict_settle(struct verdict *v, const uint16_t *labels, uint32_t samples, uint32_t classes,
                   struct errbuf *why);

#endif
