/* The dataset file: everything that is checked when it is read.
 *
 * A file that dataset_open accepts needs no further check by anyone: sizes agree, every label is a
 * class, mean and std are usable numbers. */
#include "common/dataset.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/dataset_internal.h"
#include "common/scaling.h"
#include "common/text.h"

bool dataset_printable(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return false;
    return true;
}

int dataset_sizes_check(uint64_t samples, uint64_t test_samples, const uint64_t hwc[3],
                        struct errbuf *why)
{
    if (samples < 1 || samples > SAMPLES_MAX)
        return err_set(why, -EINVAL, "images has %llu samples, allowed is 1 to %u",
                       (unsigned long long)samples, SAMPLES_MAX);
    if (test_samples > SAMPLES_MAX)
        return err_set(why, -EINVAL, "test_images has %llu samples, allowed is 0 to %u",
                       (unsigned long long)test_samples, SAMPLES_MAX);
    for (int i = 0; i < 2; i++)
        if (hwc[i] < 1 || hwc[i] > IMAGE_SIDE_MAX)
            return err_set(why, -EINVAL, "images is %llu pixels %s, allowed is 1 to %d",
                           (unsigned long long)hwc[i], i ? "wide" : "high", IMAGE_SIDE_MAX);
    if (hwc[2] < 1 || hwc[2] > CHANNELS_MAX)
        return err_set(why, -EINVAL, "images has %llu channels, allowed is 1 to %d",
                       (unsigned long long)hwc[2], CHANNELS_MAX);
    uint64_t bytes = (samples + test_samples) * hwc[0] * hwc[1] * hwc[2];
    if (bytes > DATASET_BYTES_MAX)
        return err_set(why, -EFBIG, "the images take %llu bytes, allowed is up to %llu",
                       (unsigned long long)bytes, (unsigned long long)DATASET_BYTES_MAX);
    return 0;
}

int dataset_numbers_check(const char *name, const uint16_t *numbers, uint32_t n, const char *what,
                          uint32_t count, struct errbuf *why)
{
    for (uint32_t i = 0; i < n; i++)
        if (numbers[i] >= count)
            return err_set(why, -EINVAL, "%s[%u] is %u, allowed is 0 to %u (%u %s)", name, i,
                           numbers[i], count - 1, count, what);
    return 0;
}

int dataset_planted_check(const uint8_t *planted, uint32_t n, struct errbuf *why)
{
    for (uint32_t i = 0; i < n; i++)
        if (planted[i] > PLANTED_HARD)
            return err_set(why, -EINVAL, "planted[%u] is %u, allowed is 0 to %d", i, planted[i],
                           PLANTED_HARD);
    return 0;
}

static int images_read(struct dataset *d, struct errbuf *why)
{
    const struct tensor *train, *test;
    int rc = safetensors_need(&d->file, "images", DTYPE_U8, 4, &train, why);

    if (!rc)
        rc = safetensors_need(&d->file, "test_images", DTYPE_U8, 4, &test, why);
    if (!rc)
        rc = dataset_sizes_check(train->shape[0], test->shape[0], &train->shape[1], why);
    if (rc)
        return rc;
    if (memcmp(&train->shape[1], &test->shape[1], 3 * sizeof(train->shape[0])) != 0)
        return err_set(why, -EINVAL,
                       "test_images is %llu x %llu x %llu, but images is %llu x %llu x %llu",
                       (unsigned long long)test->shape[1], (unsigned long long)test->shape[2],
                       (unsigned long long)test->shape[3], (unsigned long long)train->shape[1],
                       (unsigned long long)train->shape[2], (unsigned long long)train->shape[3]);
    d->samples = (uint32_t)train->shape[0];
    d->test_samples = (uint32_t)test->shape[0];
    d->dims = (struct dims){(uint32_t)train->shape[1], (uint32_t)train->shape[2],
                            (uint32_t)train->shape[3]};
    d->image_bytes = (size_t)d->dims.h * d->dims.w * d->dims.c;
    d->images = train->data;
    d->test_images = test->data;
    d->images_at = safetensors_at(&d->file, train);
    return 0;
}

/* A copy of what the tensor holds. */
static int bytes_copy(const struct dataset *d, const struct file_source *from,
                      const struct tensor *t, void *out, struct errbuf *why)
{
    if (t->bytes == 0)
        return 0;
    if (from)
        return from->read(from->arg, safetensors_at(&d->file, t), t->bytes, out, why);
    memcpy(out, t->data, t->bytes);
    return 0;
}

/* A view of the 1-d tensor with n entries. */
static int column_need(const struct dataset *d, const char *name, enum dtype type, uint32_t n,
                       const struct tensor **ret, struct errbuf *why)
{
    const struct tensor *t;
    int rc = safetensors_need(&d->file, name, type, 1, &t, why);

    if (rc)
        return rc;
    if (t->shape[0] != n)
        return err_set(why, -EINVAL, "%s has %llu entries, but there are %u %s", name,
                       (unsigned long long)t->shape[0], n, d->manifest ? "samples" : "images");
    *ret = t;
    return 0;
}

/* An owned, aligned copy, all entries below count. */
static int numbers_read(const struct dataset *d, const struct file_source *from, const char *name,
                        uint32_t n, const char *what, uint32_t count, uint16_t **ret,
                        struct errbuf *why)
{
    const struct tensor *t;
    int rc = column_need(d, name, DTYPE_U16, n, &t, why);

    if (rc)
        return rc;
    uint16_t *labels = alloc_bytes(n ? n : 1, sizeof(*labels));
    if (!labels)
        return err_set(why, -ENOMEM, "no memory for %u %s", n, name);
    rc = bytes_copy(d, from, t, labels, why);
    if (!rc)
        rc = dataset_numbers_check(name, labels, n, what, count, why);
    if (rc) {
        free(labels);
        return rc;
    }
    *ret = labels;
    return 0;
}

static int labels_read(const struct dataset *d, const struct file_source *from, const char *name,
                       uint32_t n, uint16_t **ret, struct errbuf *why)
{
    return numbers_read(d, from, name, n, "classes", d->classes, ret, why);
}

const char *dataset_meta_need(const struct dataset *d, const char *key, struct errbuf *why)
{
    const char *value = safetensors_meta_get(&d->file, key);

    if (!value)
        err_set(why, -EINVAL, "the metadata lacks %s", key);
    return value;
}

int dataset_names_check(const char *key, const char *json, uint32_t *io_count, struct errbuf *why)
{
    size_t bytes = strlen(json);
    const cJSON *name;
    cJSON *names;
    int rc = 0, found;

    if (bytes > CLASS_NAMES_BYTES_MAX)
        return err_set(why, -EINVAL, "metadata %s is %zu bytes, allowed is up to %u", key, bytes,
                       CLASS_NAMES_BYTES_MAX);
    names = cJSON_ParseWithLengthOpts(json, bytes + 1, NULL, true);
    found = cJSON_GetArraySize(names);
    if (!cJSON_IsArray(names)) {
        rc = err_set(why, -EINVAL, "metadata %s is not a JSON array", key);
        goto out;
    }
    if (*io_count && found != (int)*io_count) {
        rc = err_set(why, -EINVAL, "metadata %s has %d names, but there are %u classes", key, found,
                     *io_count);
        goto out;
    }
    if (!*io_count && (found < 1 || found > DOMAINS_MAX)) {
        rc = err_set(why, -EINVAL, "metadata %s has %d names, allowed is 1 to %d", key, found,
                     DOMAINS_MAX);
        goto out;
    }
    cJSON_ArrayForEach(name, names)
    {
        if (!cJSON_IsString(name) || !dataset_printable(name->valuestring) ||
            strlen(name->valuestring) > CLASS_NAME_BYTES_MAX) {
            rc =
                err_set(why, -EINVAL,
                        "metadata %s has an entry that is not a string of up to %d printable bytes",
                        key, CLASS_NAME_BYTES_MAX);
            goto out;
        }
    }
    *io_count = (uint32_t)found;
out:
    cJSON_Delete(names);
    return rc;
}

static int channels_read(const struct dataset *d, const char *key, double min, float *ret,
                         struct errbuf *why)
{
    const char *text = dataset_meta_need(d, key, why);

    return text ? scaling_read_list(text, key, d->dims.c, min, 1, ret, why) : -EINVAL;
}

static int classes_read(struct dataset *d, struct errbuf *why)
{
    const char *text = dataset_meta_need(d, "classes", why),
               *names = dataset_meta_need(d, "class_names", why);
    const int64_t least = d->manifest ? 1 : 2;
    int64_t count;

    if (!text || !names)
        return -EINVAL;
    if (!text_i64(text, least, CLASSES_MAX, &count))
        return err_set(why, -EINVAL, "metadata classes is \"%.40s\", allowed is %lld to %d", text,
                       (long long)least, CLASSES_MAX);
    d->classes = (uint32_t)count;
    d->class_names_json = names;
    int rc = dataset_names_check("class_names", names, &d->classes, why);
    return rc || !d->manifest ? rc : manifest_names_check("class_names", names, why);
}

static int source_read(struct dataset *d, struct errbuf *why)
{
    d->source = dataset_meta_need(d, "source", why);
    if (!d->source)
        return -EINVAL;
    if (strlen(d->source) < SOURCE_BYTES_MAX && dataset_printable(d->source))
        return 0;
    return err_set(why, -EINVAL, "metadata source is not a line of up to %d printable bytes",
                   SOURCE_BYTES_MAX - 1);
}

/* Of a dataset that has its pictures. */
static int meta_read(struct dataset *d, struct errbuf *why)
{
    const char *format = dataset_meta_need(d, "format", why);

    if (!format)
        return -EINVAL;
    if (strcmp(format, DATASET_FORMAT) != 0)
        return err_set(why, -EINVAL,
                       "metadata format is \"%.40s\", allowed is \"" DATASET_FORMAT
                       "\" or \"" MANIFEST_FORMAT "\"",
                       format);
    int rc = classes_read(d, why);
    if (!rc)
        rc = source_read(d, why);
    if (!rc)
        rc = channels_read(d, "mean", 0, d->mean, why);
    return rc ? rc : channels_read(d, "std", INPUT_STD_MIN, d->std, why);
}

static int planted_read(struct dataset *d, const struct file_source *from, struct errbuf *why)
{
    const struct tensor *t;
    int rc;

    if (!safetensors_find(&d->file, "planted"))
        return 0;
    rc = column_need(d, "planted", DTYPE_U8, d->samples, &t, why);
    if (rc)
        return rc;
    d->planted = alloc_bytes(d->samples, 1);
    if (!d->planted)
        return err_set(why, -ENOMEM, "no memory for %u planted", d->samples);
    rc = bytes_copy(d, from, t, d->planted, why);
    return rc ? rc : dataset_planted_check(d->planted, d->samples, why);
}

/* Domains and their names: both or neither. */
static int domains_read(struct dataset *d, const struct file_source *from, struct errbuf *why)
{
    const char *names = safetensors_meta_get(&d->file, "domain_names");
    bool there = safetensors_find(&d->file, "domains");
    int rc;

    if (!there && !names)
        return 0;
    if (!there || !names)
        return err_set(why, -EINVAL,
                       there ? "there are domains, but the metadata lacks domain_names"
                             : "the metadata has domain_names, but domains are missing");
    rc = dataset_names_check("domain_names", names, &d->domain_count, why);
    if (!rc)
        rc = numbers_read(d, from, "domains", d->samples, "domains", d->domain_count, &d->domains,
                          why);
    if (!rc)
        d->domain_names_json = names;
    return rc;
}

/* Labels, what is known of them, and domains: of a dataset of either kind. */
static int columns_read(struct dataset *d, const struct file_source *from, struct errbuf *why)
{
    int rc = labels_read(d, from, "labels", d->samples, &d->labels, why);

    if (!rc)
        rc = labels_read(d, from, "test_labels", d->test_samples, &d->test_labels, why);
    if (!rc && safetensors_find(&d->file, "truth"))
        rc = labels_read(d, from, "truth", d->samples, &d->truth, why);
    return rc ? rc : planted_read(d, from, why);
}

static int manifest_parts_read(struct dataset *d, const struct file_source *from,
                               struct errbuf *why)
{
    int rc = manifest_read(d, why);

    if (!rc)
        rc = source_read(d, why);
    if (!rc && d->labelled)
        rc = classes_read(d, why);
    if (!rc)
        rc = columns_read(d, from, why);
    if (!rc)
        rc = domains_read(d, from, why);
    return rc || !d->domains ? rc : manifest_names_check("domain_names", d->domain_names_json, why);
}

/* Everything after the header. from NULL: the file is mapped. */
static int parts_read(struct dataset *d, const struct file_source *from, struct errbuf *why)
{
    const char *format = safetensors_meta_get(&d->file, "format");

    d->manifest = format && strcmp(format, MANIFEST_FORMAT) == 0;
    if (d->manifest)
        return manifest_parts_read(d, from, why);
    d->labelled = true;
    int rc = images_read(d, why);
    if (!rc)
        rc = meta_read(d, why);
    if (!rc)
        rc = columns_read(d, from, why);
    return rc ? rc : domains_read(d, from, why);
}

/* Takes over the mapped file; closes it on failure. */
static int mapped_read(const struct safetensors *file, const char *path, struct dataset *ret,
                       struct errbuf *why)
{
    struct dataset d = {.file = *file};
    int rc = parts_read(&d, NULL, why);

    if (rc) {
        dataset_close(&d);
        return err_prefix(why, rc, "%s", path);
    }
    *ret = d;
    return 0;
}

int dataset_open(const char *path, struct dataset *ret, struct errbuf *why)
{
    struct safetensors file = {0};
    int rc = safetensors_open(path, &file, why);

    return rc ? rc : mapped_read(&file, path, ret, why);
}

int dataset_map(int fd, const char *path, struct dataset *ret, struct errbuf *why)
{
    struct safetensors file = {0};
    int rc = safetensors_map(fd, path, &file, why);

    return rc ? rc : mapped_read(&file, path, ret, why);
}

int dataset_read(const struct file_source *from, struct dataset *ret, struct errbuf *why)
{
    struct dataset d = {0};
    int rc = safetensors_read(from, &d.file, why);

    if (!rc)
        rc = parts_read(&d, from, why);
    if (rc)
        dataset_close(&d);
    else
        *ret = d;
    return rc;
}

void dataset_close(struct dataset *d)
{
    free(d->labels);
    free(d->test_labels);
    free(d->truth);
    free(d->planted);
    free(d->domains);
    safetensors_close(&d->file);
    *d = (struct dataset){0};
}
