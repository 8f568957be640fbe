/* What only a manifest has: its sizes, its thumbnails, and names that must be told apart. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/dataset_internal.h"
#include "common/text.h"

#define UNLABELLED "[\"unlabelled\"]" /* the class of samples without a label */

int manifest_samples_check(uint64_t samples, uint64_t test_samples, struct errbuf *why)
{
    if (samples < 1 || samples > SAMPLES_MAX)
        return err_set(why, -EINVAL, "labels has %llu samples, allowed is 1 to %u",
                       (unsigned long long)samples, SAMPLES_MAX);
    if (test_samples > SAMPLES_MAX)
        return err_set(why, -EINVAL, "test_labels has %llu samples, allowed is 0 to %u",
                       (unsigned long long)test_samples, SAMPLES_MAX);
    return 0;
}

int manifest_thumbnails_check(const uint64_t hwc[3], uint64_t samples, struct errbuf *why)
{
    if (!hwc[0])
        return 0;
    for (int i = 0; i < 2; i++)
        if (hwc[i] < 1 || hwc[i] > THUMBNAIL_SIDE_MAX)
            return err_set(why, -EINVAL, "thumbnails is %llu pixels %s, allowed is 1 to %d",
                           (unsigned long long)hwc[i], i ? "wide" : "high", THUMBNAIL_SIDE_MAX);
    if (hwc[2] != 1 && hwc[2] != 3)
        return err_set(why, -EINVAL, "thumbnails has %llu channels, allowed is 1 (grey) or 3 (RGB)",
                       (unsigned long long)hwc[2]);
    uint64_t bytes = samples * hwc[0] * hwc[1] * hwc[2];
    if (bytes > DATASET_BYTES_MAX)
        return err_set(why, -EFBIG, "the thumbnails take %llu bytes, allowed is up to %llu",
                       (unsigned long long)bytes, (unsigned long long)DATASET_BYTES_MAX);
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int manifest_names_check(const char *key, const char *json, struct errbuf *why)
{
    cJSON *names = cJSON_Parse(json);
    const int count = cJSON_GetArraySize(names);
    const char **sorted = alloc_bytes((size_t)count, sizeof(*sorted));
    int at = 0, rc = sorted ? 0 : err_set(why, -ENOMEM, "no memory for %d names", count);

    for (const cJSON *name = names ? names->child : NULL; name && !rc; name = name->next)
        sorted[at++] = name->valuestring;
    if (at > 1)
        qsort(sorted, (size_t)at, sizeof(*sorted), compare_names);
    for (int i = 1; i < at && !rc; i++)
        if (strcmp(sorted[i - 1], sorted[i]) == 0)
            rc = err_set(why, -EINVAL, "metadata %s has \"%s\" twice", key, sorted[i]);
    free(sorted);
    cJSON_Delete(names);
    return rc;
}

/* Each sample has a label in the file, be it one that says nothing: a small file cannot make a
 * large dataset. */
static int sizes_read(struct dataset *d, struct errbuf *why)
{
    const struct tensor *train, *test;
    int rc = safetensors_need(&d->file, "labels", DTYPE_U16, 1, &train, why);

    if (!rc)
        rc = safetensors_need(&d->file, "test_labels", DTYPE_U16, 1, &test, why);
    if (!rc)
        rc = manifest_samples_check(train->shape[0], test->shape[0], why);
    if (rc)
        return rc;
    d->samples = (uint32_t)train->shape[0];
    d->test_samples = (uint32_t)test->shape[0];
    return 0;
}

static int thumbnails_read(struct dataset *d, struct errbuf *why)
{
    const struct tensor *t;

    if (!safetensors_find(&d->file, "thumbnails"))
        return 0;
    int rc = safetensors_need(&d->file, "thumbnails", DTYPE_U8, 4, &t, why);
    if (rc)
        return rc;
    if (t->shape[0] != d->samples)
        return err_set(why, -EINVAL, "thumbnails has %llu entries, but there are %u samples",
                       (unsigned long long)t->shape[0], d->samples);
    if (!t->shape[1])
        return err_set(why, -EINVAL, "thumbnails is 0 pixels high, allowed is 1 to %d",
                       THUMBNAIL_SIDE_MAX);
    rc = manifest_thumbnails_check(&t->shape[1], t->shape[0], why);
    if (rc)
        return rc;
    d->dims = (struct dims){(uint32_t)t->shape[1], (uint32_t)t->shape[2], (uint32_t)t->shape[3]};
    d->image_bytes = (size_t)d->dims.h * d->dims.w * d->dims.c;
    d->images = t->data;
    d->images_at = safetensors_at(&d->file, t);
    return 0;
}

int manifest_read(struct dataset *d, struct errbuf *why)
{
    uint8_t digest[SHA256_BYTES];
    int rc = sizes_read(d, why);

    if (!rc)
        rc = thumbnails_read(d, why);
    if (rc)
        return rc;
    d->uris_sha256 = safetensors_meta_get(&d->file, "uris_sha256");
    if (d->uris_sha256 && !text_unhex(d->uris_sha256, digest, sizeof(digest)))
        return err_set(why, -EINVAL, "metadata uris_sha256 is \"%.80s\", expected a SHA-256",
                       d->uris_sha256);
    d->labelled = safetensors_meta_get(&d->file, "classes");
    if (d->labelled)
        return 0;
    if (safetensors_meta_get(&d->file, "class_names"))
        return err_set(why, -EINVAL, "the metadata has class_names, but lacks classes");
    d->classes = 1;
    d->class_names_json = UNLABELLED;
    return 0;
}
