/* Which side of an array of images is which: channels last (NHWC, numpy's and Keras's custom) or
 * channels first (NCHW, PyTorch's). */
#ifndef STEPPE_PROTO_CLI_IMPORT_NPY_LAYOUT_H
#define STEPPE_PROTO_CLI_IMPORT_NPY_LAYOUT_H

#include <stdint.h>

#include "common/err.h"
#include "common/model.h"

/* The numbers after NPY_LAYOUT_JUDGE are those of the names, plus one. */
enum npy_layout { NPY_LAYOUT_JUDGE, NPY_LAYOUT_NHWC, NPY_LAYOUT_NCHW };
extern const char *const npy_layout_names[]; /* "nhwc", "nchw", NULL */

/* "[20,3,8,9]" into buf; returns buf. */
#define NPY_SHAPE_BYTES 160
const char *npy_shape_text(const uint64_t *shape, int dims, char buf[NPY_SHAPE_BYTES]);

/* The layout of an array of 3 or 4 sides, the count of images first: `asked`, or for
 * NPY_LAYOUT_JUDGE the layout whose channels are plausible while the other's are not. Three sides
 * are [N,H,W], or as NCHW [N,C,L]: images of one row. 0, or -EINVAL when both or neither are
 * plausible; the sentence names path, both readings and --layout. */
int npy_layout_judge(const char *path, const uint64_t *shape, int dims, enum npy_layout asked,
                     enum npy_layout *ret, struct errbuf *why);

/* The height, width and channels that the shape has in this layout; their bounds are not judged. */
void npy_layout_sides(const uint64_t *shape, int dims, enum npy_layout layout, uint64_t ret[3]);

/* Moves the channels of `count` images behind their pixels: [c, h, w] becomes dims [h, w, c], in
 * place. 0 or -ENOMEM. */
int npy_layout_channels_last(uint8_t *images, uint32_t count, struct dims dims);

#endif
