/* Shared by dataset.c and dataset_*.c only: what is checked of a file and of a draft alike. */
#ifndef STEPPE_COMMON_DATASET_INTERNAL_H
#define STEPPE_COMMON_DATASET_INTERNAL_H

#include "common/dataset.h"

#define DATASET_FORMAT "steppe-dataset-1"
#define MANIFEST_FORMAT "steppe-manifest-1"
#define SOURCE_BYTES_MAX 256

/* Does the text hold nothing but characters that may be printed? */
bool dataset_printable(const char *s);
int dataset_sizes_check(uint64_t samples, uint64_t test_samples, const uint64_t hwc[3],
                        struct errbuf *why);
/* what: classes or domains, of which there are `count`. */
int dataset_numbers_check(const char *name, const uint16_t *numbers, uint32_t n, const char *what,
                          uint32_t count, struct errbuf *why);
int dataset_planted_check(const uint8_t *planted, uint32_t n, struct errbuf *why);
/* NULL, and the sentence, when the file lacks the key. */
const char *dataset_meta_need(const struct dataset *d, const char *key, struct errbuf *why);

/* dataset_manifest.c. What the header of a manifest says, but for the classes of one with labels.
 */
int manifest_read(struct dataset *d, struct errbuf *why);
/* Are the names of classes or domains, checked before, different from each other? */
int manifest_names_check(const char *key, const char *json, struct errbuf *why);
/* h 0: there are none. */
int manifest_thumbnails_check(const uint64_t hwc[3], uint64_t samples, struct errbuf *why);
int manifest_samples_check(uint64_t samples, uint64_t test_samples, struct errbuf *why);

#endif
