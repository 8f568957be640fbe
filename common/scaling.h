/* How pixels reach a model: (x / 255 - mean) / std, a mean and a std for each channel. It belongs
 * to the parameters: the same parameters with another scaling are another model. */
#ifndef STEPPE_COMMON_SCALING_H
#define STEPPE_COMMON_SCALING_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bounds.h"
#include "common/err.h"

struct dataset;
struct input_spec;
struct jobspec;
struct model;

struct scaling {
    uint32_t channels; /* 0: not known */
    float mean[CHANNELS_MAX], std[CHANNELS_MAX];
};

/* The scaling of a job on this dataset: from the job file (input), else from the weights that it
 * starts from, else from the dataset. -EINVAL: not one for each channel. */
int scaling_of_job(const struct jobspec *spec, const struct dataset *data, struct scaling *ret,
                   struct errbuf *why);
/* The training images' own. */
struct scaling scaling_of_dataset(const struct dataset *data);
struct scaling scaling_of_model(const struct model *m);
bool scaling_same(const struct scaling *a, const struct scaling *b);

/* "0.5,0.25", perhaps with blanks behind the commas and in brackets: a number from min to max for
 * each channel. The sentence calls it metadata `key`. 0 or -EINVAL. */
int scaling_read_list(const char *text, const char *key, uint32_t channels, double min, double max,
                      float *ret, struct errbuf *why);
/* Such a list of n numbers, each read back as the same float; returns buf. */
#define SCALING_LIST_BYTES (CHANNELS_MAX * 18) /* "-1.23456789e-38," and room */
const char *scaling_list(const float *v, uint32_t n, char buf[SCALING_LIST_BYTES]);

/* As a job file has it: the text from which the floats are read again. */
struct input_spec scaling_spec(const struct scaling *s);
/* "mean 0.49 0.48 0.45, std 0.2 0.2 0.2", rounded, for people; returns buf. */
#define SCALING_TEXT_BYTES (2 * CHANNELS_MAX * 14 + 16)
const char *scaling_text(const struct scaling *s, char buf[SCALING_TEXT_BYTES]);

#endif
