/* Between the two passes of model_parse, and between export and import: nobody else includes this.
 */
#ifndef STEPPE_COMMON_MODEL_INTERNAL_H
#define STEPPE_COMMON_MODEL_INTERNAL_H

#include "common/model.h"
#include "common/tensor.h"

/* Pass 1, needs no dataset: reads either form of a description. *ret (freed with free) has kinds,
 * names, inputs and what the keys say; dims that depend on the dataset stay 0. *ret_name is
 * borrowed: a preset's name or "custom". 0 or -EINVAL. */
int model_read(const struct cJSON *desc, struct layer **ret, int *ret_count, const char **ret_name,
               struct errbuf *why);
/* What pixels are divided by before mean and std. */
#define MODEL_SCALE "255"

#endif
