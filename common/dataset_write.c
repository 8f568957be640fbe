/* Drafts, and the files that are written of them. Mean and std come from exact integer sums, so the
 * file of a draft has the same bytes on every machine. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/dataset_internal.h"

#define FILE_TENSORS_MAX 7
#define META_MAX 7

void dataset_draft_done(struct dataset_draft *d)
{
    free(d->images);
    free(d->test_images);
    free(d->labels);
    free(d->test_labels);
    free(d->truth);
    free(d->planted);
    free(d->domains);
    for (uint32_t i = 0; d->class_names && i < d->classes; i++)
        free(d->class_names[i]);
    free(d->class_names);
    for (uint32_t i = 0; d->domain_names && i < d->domain_count; i++)
        free(d->domain_names[i]);
    free(d->domain_names);
    uris_done(&d->uris);
    uris_done(&d->test_uris);
    *d = (struct dataset_draft){0};
}

/* What the header of the file will say of its size. */
static int draft_sizes_check(const struct dataset_draft *d, struct errbuf *why)
{
    const uint64_t hwc[3] = {d->dims.h, d->dims.w, d->dims.c};

    if (!d->manifest)
        return dataset_sizes_check(d->samples, d->test_samples, hwc, why);
    int rc = manifest_samples_check(d->samples, d->test_samples, why);
    return rc ? rc : manifest_thumbnails_check(hwc, d->samples, why);
}

static int draft_labels_check(const struct dataset_draft *d, struct errbuf *why)
{
    const uint32_t least = d->manifest ? 0 : 2, classes = d->classes ? d->classes : 1;

    if (d->classes < least || d->classes > CLASSES_MAX)
        return err_set(why, -EINVAL, "classes is %u, allowed is %u to %d", d->classes, least,
                       CLASSES_MAX);
    int rc = dataset_numbers_check("labels", d->labels, d->samples, "classes", classes, why);
    if (!rc)
        rc = dataset_numbers_check("test_labels", d->test_labels, d->test_samples, "classes",
                                   classes, why);
    if (!rc && d->truth)
        rc = dataset_numbers_check("truth", d->truth, d->samples, "classes", classes, why);
    if (!rc && d->planted)
        rc = dataset_planted_check(d->planted, d->samples, why);
    return rc;
}

static int draft_check(const struct dataset_draft *d, struct errbuf *why)
{
    int rc = draft_sizes_check(d, why);

    if (!rc)
        rc = draft_labels_check(d, why);
    if (!rc && d->domains)
        rc = dataset_numbers_check("domains", d->domains, d->samples, "domains", d->domain_count,
                                   why);
    if (!rc && !dataset_printable(d->source))
        rc = err_set(why, -EINVAL, "source has bytes that are not printable");
    return rc;
}

/* Mean and standard deviation of every channel of the training images, in [0, 1], as text. Sums of
 * bytes are exact: 2^36 bytes of at most 255 squared stay below 2^53. */
static void channels_measure(const struct dataset_draft *d, char mean[CHANNELS_MAX * 24],
                             char std[CHANNELS_MAX * 24])
{
    uint64_t sum[CHANNELS_MAX] = {0}, squares[CHANNELS_MAX] = {0};
    size_t pixels = (size_t)d->samples * d->dims.h * d->dims.w, channels = d->dims.c;
    const uint8_t *at = d->images;
    int mean_used = 0, std_used = 0;

    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < channels; c++, at++) {
            sum[c] += *at;
            squares[c] += (uint64_t)*at * *at;
        }
    for (size_t c = 0; c < channels; c++) {
        unsigned __int128 spread = (unsigned __int128)squares[c] * pixels;
        spread -= (unsigned __int128)sum[c] * sum[c];
        double n = (double)pixels;
        double deviation = spread ? sqrt((double)spread) / n / 255 : 1;
        const char *comma = c ? "," : "";
        mean_used += sprintf(mean + mean_used, "%s%.9g", comma, (double)sum[c] / n / 255);
        std_used += sprintf(std + std_used, "%s%.9g", comma, deviation);
    }
}

/* The JSON array of names (NULL: numbers), to be freed; checked as key. */
static int names_json(const char *key, char *const *names, uint32_t count, char **ret,
                      struct errbuf *why)
{
    cJSON *array = cJSON_CreateArray();
    char number[12];

    for (uint32_t i = 0; i < count; i++) {
        snprintf(number, sizeof(number), "%u", i);
        cJSON_AddItemToArray(array, cJSON_CreateString(names ? names[i] : number));
    }
    *ret = cJSON_PrintUnformatted(array);
    cJSON_Delete(array);
    return *ret ? dataset_names_check(key, *ret, &count, why)
                : err_set(why, -ENOMEM, "no memory for %u %s", count, key);
}

static int tensors_list(const struct dataset_draft *d, struct tensor tensors[FILE_TENSORS_MAX])
{
    uint64_t train[4] = {d->samples, d->dims.h, d->dims.w, d->dims.c};
    uint64_t test[4] = {d->test_samples, d->dims.h, d->dims.w, d->dims.c};
    int count = 0;

    if (!d->manifest) {
        tensors[count++] = tensor_make("images", DTYPE_U8, 4, train, d->images);
        tensors[count++] = tensor_make("test_images", DTYPE_U8, 4, test, d->test_images);
    }
    tensors[count++] = tensor_1d("labels", DTYPE_U16, d->samples, d->labels);
    tensors[count++] = tensor_1d("test_labels", DTYPE_U16, d->test_samples, d->test_labels);
    if (d->truth)
        tensors[count++] = tensor_1d("truth", DTYPE_U16, d->samples, d->truth);
    if (d->planted)
        tensors[count++] = tensor_1d("planted", DTYPE_U8, d->samples, d->planted);
    if (d->domains)
        tensors[count++] = tensor_1d("domains", DTYPE_U16, d->samples, d->domains);
    if (d->manifest && d->dims.h)
        tensors[count++] = tensor_make("thumbnails", DTYPE_U8, 4, train, d->images);
    return count;
}

/* The metadata of a file, and the texts that it borrows. */
struct draft_meta {
    char classes[12], uris[SHA256_HEX];
    char mean[CHANNELS_MAX * 24], std[CHANNELS_MAX * 24];
    char *names, *domains; /* JSON; NULL: there are none */
    struct safetensors_meta at[META_MAX];
    int count;
};

/* value NULL: the file does not have it. */
static void meta_add(struct draft_meta *m, const char *key, const char *value)
{
    if (value)
        m->at[m->count++] = (struct safetensors_meta){key, value};
}

static void meta_dataset(const struct dataset_draft *d, struct draft_meta *m)
{
    channels_measure(d, m->mean, m->std);
    meta_add(m, "format", DATASET_FORMAT);
    meta_add(m, "classes", m->classes);
    meta_add(m, "class_names", m->names);
    meta_add(m, "mean", m->mean);
    meta_add(m, "std", m->std);
    meta_add(m, "source", d->source);
    meta_add(m, "domain_names", m->domains);
}

static int meta_manifest(const struct dataset_draft *d, struct draft_meta *m, struct errbuf *why)
{
    int rc = m->names ? manifest_names_check("class_names", m->names, why) : 0;

    if (!rc && m->domains)
        rc = manifest_names_check("domain_names", m->domains, why);
    if (!rc && d->uris.count &&
        (d->uris.count != d->samples || d->test_uris.count != d->test_samples))
        rc = err_set(why, -EINVAL, "%u + %u samples have names, but there are %u + %u",
                     d->uris.count, d->test_uris.count, d->samples, d->test_samples);
    if (d->uris.count)
        uris_digest(&d->uris, &d->test_uris, m->uris);
    meta_add(m, "format", MANIFEST_FORMAT);
    meta_add(m, "classes", m->names ? m->classes : NULL);
    meta_add(m, "class_names", m->names);
    meta_add(m, "domain_names", m->domains);
    meta_add(m, "uris_sha256", d->uris.count ? m->uris : NULL);
    meta_add(m, "source", d->source);
    return rc;
}

static int meta_make(const struct dataset_draft *d, struct draft_meta *m, struct errbuf *why)
{
    int rc = d->classes ? names_json("class_names", d->class_names, d->classes, &m->names, why) : 0;

    if (!rc && d->domains)
        rc = names_json("domain_names", d->domain_names, d->domain_count, &m->domains, why);
    if (rc)
        return rc;
    snprintf(m->classes, sizeof(m->classes), "%u", d->classes);
    if (d->manifest)
        return meta_manifest(d, m, why);
    meta_dataset(d, m);
    return 0;
}

int dataset_write(const struct dataset_draft *d, const char *path, uint8_t ret_sha256[SHA256_BYTES],
                  struct errbuf *why)
{
    struct draft_meta meta = {.count = 0};
    struct tensor tensors[FILE_TENSORS_MAX];
    uint8_t sha256[SHA256_BYTES];
    int rc = draft_check(d, why);

    if (!rc)
        rc = meta_make(d, &meta, why);
    if (rc) {
        rc = err_prefix(why, rc, "%s", path);
        goto out;
    }
    rc = safetensors_write(path, tensors, tensors_list(d, tensors), meta.at, meta.count, why);
    if (!rc)
        rc = sha256_file(path, sha256, why);
    if (!rc)
        memcpy(ret_sha256, sha256, SHA256_BYTES);
out:
    cJSON_free(meta.names);
    cJSON_free(meta.domains);
    return rc;
}
