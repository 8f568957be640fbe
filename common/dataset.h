/* The dataset file: one safetensors file, identified by its SHA-256, samples numbered 0..N-1.
 *
 * Tensors: images U8 [N,H,W,C]; labels U16 [N]; test_images U8 [M,H,W,C] and test_labels U16 [M]
 * (M may be 0, the tensors are always there); optional truth U16 [N] (the label before planted
 * flips or noisy labels of an import), optional planted U8 [N] (enum planted), optional domains U16
 * [N] (where each training image comes from, an index of domain_names). Metadata: format =
 * "steppe-dataset-1", classes (number), class_names (JSON array), with domains domain_names (JSON
 * array), mean and std (comma separated, per channel, of the training images in [0,1]), source (a
 * sentence on the origin), but not its name: the same data under two names is one file.
 *
 * A manifest has no pictures: it says which samples there are, for a program that trains by itself.
 * Its format is "steppe-manifest-1", and it has no images, mean and std. Where the samples have no
 * labels, classes and class_names are not there, and all labels are 0. Optional are thumbnails U8
 * [N,h,w,c] of up to THUMBNAIL_SIDE_MAX pixels a side, grey or RGB, and uris_sha256 (metadata,
 * uris_digest): then the samples have names, with this hash and no other. Names of classes and of
 * domains differ from each other. */
#ifndef STEPPE_COMMON_DATASET_H
#define STEPPE_COMMON_DATASET_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bounds.h"
#include "common/err.h"
#include "common/hash.h"
#include "common/model.h"
#include "common/safetensors.h"
#include "common/uris.h"

enum planted { PLANTED_NONE, PLANTED_FLIP, PLANTED_HARD };

struct dataset {
    struct safetensors file;
    bool manifest; /* images are thumbnails, which are only looked at; dims.h 0: there are none */
    bool labelled; /* false: it has no labels; all are 0, of the only class */
    uint32_t samples, test_samples, classes;
    struct dims dims;
    size_t image_bytes;                  /* h*w*c */
    const uint8_t *images, *test_images; /* views into the map; NULL: it was not mapped */
    uint64_t images_at;                  /* where those of the training set begin in the file */
    uint16_t *labels, *test_labels;      /* owned copies */
    uint16_t *truth;                     /* owned or NULL */
    uint8_t *planted;                    /* owned or NULL */
    uint16_t *domains;                   /* owned or NULL: there are none */
    uint32_t domain_count;
    float mean[CHANNELS_MAX], std[CHANNELS_MAX];
    /* Borrowed from the file's metadata; domain_names_json is NULL without domains. */
    const char *class_names_json, *domain_names_json, *source;
    const char *uris_sha256; /* likewise, of a manifest whose samples have names; else NULL */
};

/* Maps and checks a dataset file: tensors, dtypes, equal dims, labels < classes, 1 <= samples.
 * 0, -EINVAL or -errno; the sentence names file and tensor. */
int dataset_open(const char *path, struct dataset *ret, struct errbuf *why);
/* The same with an open file (borrowed until return); path: its name for people. */
int dataset_map(int fd, const char *path, struct dataset *ret, struct errbuf *why);
/* The same for a file that somebody else reads: checks all but the images. */
int dataset_read(const struct file_source *from, struct dataset *ret, struct errbuf *why);
void dataset_close(struct dataset *d); /* a zeroed struct is fine */

/* Is json an array of *io_count names, printable and of up to CLASS_NAME_BYTES_MAX bytes? 0 for the
 * count: of 1 to DOMAINS_MAX, which it becomes. The sentence calls it metadata `key`. 0 or -EINVAL.
 */
int dataset_names_check(const char *key, const char *json, uint32_t *io_count, struct errbuf *why);

/* A dataset in the making; arrays are owned (malloc). Of a manifest `images` are thumbnails (dims.h
 * 0: there are none), there are no test_images, and where classes is 0 the samples have no labels:
 * all are 0. */
struct dataset_draft {
    bool manifest;
    uint32_t samples, test_samples, classes;
    struct dims dims;
    uint8_t *images, *test_images;
    uint16_t *labels, *test_labels;
    uint16_t *truth;     /* NULL when labels are the only truth known */
    uint8_t *planted;    /* NULL when nothing was planted */
    uint32_t relabelled; /* labels that differ from those the images came with; for people */
    char source[256];
    char **class_names; /* NULL: "0", "1", ... */
    uint16_t *domains;  /* NULL: there are none */
    uint32_t domain_count;
    char **domain_names; /* [domain_count] */
    /* Of each sample, or none at all. Not part of the file: the same pixels and labels are the same
     * data, whatever their files are called. See uris.h. */
    struct uris uris, test_uris;
};
void dataset_draft_done(struct dataset_draft *d);
/* Computes mean and std (std of a constant channel is 1) and writes the file; its SHA-256 goes to
 * ret_sha256. The same draft gives the same bytes. A draft that dataset_open would refuse is not
 * written. 0, -EINVAL or -errno. */
int dataset_write(const struct dataset_draft *d, const char *path, uint8_t ret_sha256[SHA256_BYTES],
                  struct errbuf *why);

/* Flips the labels of exactly floor(share*samples+0.5) samples, chosen by Philox (flip_seed,
 * RNG_FLIP), each to another class chosen uniformly; keeps the old labels in truth and marks
 * planted. An existing truth stays, and only labels that agree with it are flipped: flipping a
 * wrong one could make it right. A share of less than half a sample changes nothing.
 * share in [0, 1]. 0, -EINVAL (fewer than two classes, or right labels) or -ENOMEM. */
int dataset_flip(struct dataset_draft *d, double share, uint64_t flip_seed, struct errbuf *why);

#endif
