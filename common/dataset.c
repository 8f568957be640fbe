/* The dataset file: what is written, and everything that is checked when it is read.
 *
 * A file that dataset_open accepts needs no further check by anyone: sizes agree, every label is a
 * class, mean and std are usable numbers. Mean and std come from exact integer sums, so the file
 * of a draft has the same bytes on every machine. */
#include "common/dataset.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/rng.h"
#include "common/scaling.h"
#include "common/text.h"

#define FORMAT "steppe-dataset-1"
#define SOURCE_BYTES_MAX 256
#define FILE_TENSORS_MAX 7

static bool printable(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return false;
    return true;
}

static int sizes_check(uint64_t samples, uint64_t test_samples, const uint64_t hwc[3],
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

/* what: classes or domains, of which there are `count`. */
static int numbers_check(const char *name, const uint16_t *numbers, uint32_t n, const char *what,
                         uint32_t count, struct errbuf *why)
{
    for (uint32_t i = 0; i < n; i++)
        if (numbers[i] >= count)
            return err_set(why, -EINVAL, "%s[%u] is %u, allowed is 0 to %u (%u %s)", name, i,
                           numbers[i], count - 1, count, what);
    return 0;
}

static int planted_check(const uint8_t *planted, uint32_t n, struct errbuf *why)
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
        rc = sizes_check(train->shape[0], test->shape[0], &train->shape[1], why);
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
        return err_set(why, -EINVAL, "%s has %llu entries, but there are %u images", name,
                       (unsigned long long)t->shape[0], n);
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
        rc = numbers_check(name, labels, n, what, count, why);
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

/* NULL, and the sentence, when the key is absent. */
static const char *meta_need(const struct dataset *d, const char *key, struct errbuf *why)
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
    if (found < 1 || found > DOMAINS_MAX) {
        rc = err_set(why, -EINVAL, "metadata %s has %d names, allowed is 1 to %d", key, found,
                     DOMAINS_MAX);
        goto out;
    }
    cJSON_ArrayForEach(name, names)
    {
        if (!cJSON_IsString(name) || !printable(name->valuestring) ||
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
    const char *text = meta_need(d, key, why);

    return text ? scaling_read_list(text, key, d->dims.c, min, 1, ret, why) : -EINVAL;
}

static int classes_read(struct dataset *d, struct errbuf *why)
{
    const char *text = meta_need(d, "classes", why), *names = meta_need(d, "class_names", why);
    int64_t count;

    if (!text || !names)
        return -EINVAL;
    if (!text_i64(text, 2, CLASSES_MAX, &count))
        return err_set(why, -EINVAL, "metadata classes is \"%.40s\", allowed is 2 to %d", text,
                       CLASSES_MAX);
    d->classes = (uint32_t)count;
    d->class_names_json = names;
    return dataset_names_check("class_names", names, &d->classes, why);
}

static int meta_read(struct dataset *d, struct errbuf *why)
{
    const char *format = meta_need(d, "format", why);

    if (!format)
        return -EINVAL;
    if (strcmp(format, FORMAT) != 0)
        return err_set(why, -EINVAL, "metadata format is \"%.40s\", allowed is \"" FORMAT "\"",
                       format);
    int rc = classes_read(d, why);
    if (rc)
        return rc;
    d->source = meta_need(d, "source", why);
    if (!d->source)
        return -EINVAL;
    if (strlen(d->source) >= SOURCE_BYTES_MAX || !printable(d->source))
        return err_set(why, -EINVAL, "metadata source is not a line of up to %d printable bytes",
                       SOURCE_BYTES_MAX - 1);
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
    return rc ? rc : planted_check(d->planted, d->samples, why);
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

/* Everything after the header. from NULL: the file is mapped. */
static int parts_read(struct dataset *d, const struct file_source *from, struct errbuf *why)
{
    int rc = images_read(d, why);

    if (!rc)
        rc = meta_read(d, why);
    if (!rc)
        rc = labels_read(d, from, "labels", d->samples, &d->labels, why);
    if (!rc)
        rc = labels_read(d, from, "test_labels", d->test_samples, &d->test_labels, why);
    if (!rc && safetensors_find(&d->file, "truth"))
        rc = labels_read(d, from, "truth", d->samples, &d->truth, why);
    if (!rc)
        rc = planted_read(d, from, why);
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

static int draft_check(const struct dataset_draft *d, struct errbuf *why)
{
    int rc = sizes_check(d->samples, d->test_samples,
                         (uint64_t[3]){d->dims.h, d->dims.w, d->dims.c}, why);

    if (!rc && (d->classes < 2 || d->classes > CLASSES_MAX))
        rc = err_set(why, -EINVAL, "classes is %u, allowed is 2 to %d", d->classes, CLASSES_MAX);
    if (!rc)
        rc = numbers_check("labels", d->labels, d->samples, "classes", d->classes, why);
    if (!rc)
        rc = numbers_check("test_labels", d->test_labels, d->test_samples, "classes", d->classes,
                           why);
    if (!rc && d->truth)
        rc = numbers_check("truth", d->truth, d->samples, "classes", d->classes, why);
    if (!rc && d->domains)
        rc = numbers_check("domains", d->domains, d->samples, "domains", d->domain_count, why);
    if (!rc && d->planted)
        rc = planted_check(d->planted, d->samples, why);
    if (!rc && !printable(d->source))
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

    tensors[count++] = tensor_make("images", DTYPE_U8, 4, train, d->images);
    tensors[count++] = tensor_make("test_images", DTYPE_U8, 4, test, d->test_images);
    tensors[count++] = tensor_1d("labels", DTYPE_U16, d->samples, d->labels);
    tensors[count++] = tensor_1d("test_labels", DTYPE_U16, d->test_samples, d->test_labels);
    if (d->truth)
        tensors[count++] = tensor_1d("truth", DTYPE_U16, d->samples, d->truth);
    if (d->planted)
        tensors[count++] = tensor_1d("planted", DTYPE_U8, d->samples, d->planted);
    if (d->domains)
        tensors[count++] = tensor_1d("domains", DTYPE_U16, d->samples, d->domains);
    return count;
}

int dataset_write(const struct dataset_draft *d, const char *path, uint8_t ret_sha256[SHA256_BYTES],
                  struct errbuf *why)
{
    char classes[12], mean[CHANNELS_MAX * 24], std[CHANNELS_MAX * 24];
    char *names = NULL, *domains = NULL;
    struct tensor tensors[FILE_TENSORS_MAX];
    uint8_t sha256[SHA256_BYTES];

    int rc = draft_check(d, why);
    if (!rc)
        rc = names_json("class_names", d->class_names, d->classes, &names, why);
    if (!rc && d->domains)
        rc = names_json("domain_names", d->domain_names, d->domain_count, &domains, why);
    if (rc) {
        rc = err_prefix(why, rc, "%s", path);
        goto out;
    }
    snprintf(classes, sizeof(classes), "%u", d->classes);
    channels_measure(d, mean, std);
    struct safetensors_meta meta[] = {
        {"format", FORMAT}, {"classes", classes},  {"class_names", names},   {"mean", mean},
        {"std", std},       {"source", d->source}, {"domain_names", domains}};
    rc = safetensors_write(path, tensors, tensors_list(d, tensors), meta,
                           (int)(sizeof(meta) / sizeof(meta[0])) - !domains, why);
    if (!rc)
        rc = sha256_file(path, sha256, why);
    if (!rc)
        memcpy(ret_sha256, sha256, SHA256_BYTES);
out:
    cJSON_free(names);
    cJSON_free(domains);
    return rc;
}

struct lot {
    uint64_t key;
    uint32_t sample;
};

static int lot_compare(const void *a, const void *b)
{
    const struct lot *x = a, *y = b;

    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->sample > y->sample) - (x->sample < y->sample);
}

/* Draws a lot for every sample whose label is right; the `count` smallest are flipped. */
static void labels_flip(struct dataset_draft *d, struct lot *lots, uint32_t count, uint64_t seed)
{
    uint32_t right = 0;

    for (uint32_t i = 0; i < d->samples; i++) {
        struct rng r = rng_at(seed, RNG_FLIP, i, 0);
        if (d->labels[i] == d->truth[i])
            lots[right++] = (struct lot){rng_u64(&r), i};
    }
    qsort(lots, right, sizeof(*lots), lot_compare);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t sample = lots[i].sample;
        struct rng r = rng_at(seed, RNG_FLIP, sample, 1);
        uint16_t other = (uint16_t)rng_below(&r, d->classes - 1);
        d->labels[sample] = (uint16_t)(other + (other >= d->labels[sample]));
        d->planted[sample] = PLANTED_FLIP;
    }
}

int dataset_flip(struct dataset_draft *d, double share, uint64_t flip_seed, struct errbuf *why)
{
    if (!(share >= 0 && share <= 1))
        return err_set(why, -EINVAL, "flip is %g, allowed is 0 to 1", share);
    if (d->classes < 2)
        return err_set(why, -EINVAL, "flip: with %u class there is no other label to flip to",
                       d->classes);
    uint32_t count = (uint32_t)(share * d->samples + 0.5), right = d->samples;
    for (uint32_t i = 0; d->truth && i < d->samples; i++)
        right -= d->labels[i] != d->truth[i];
    if (count > right)
        return err_set(why, -EINVAL, "flip is %g, %u labels, but only %u of %u labels are right",
                       share, count, right, d->samples);
    if (!count)
        return 0;
    uint16_t *truth = d->truth ? d->truth : malloc(d->samples * sizeof(*truth));
    uint8_t *planted = d->planted ? d->planted : calloc(d->samples, 1);
    struct lot *lots = alloc_bytes(d->samples, sizeof(*lots));
    if (!truth || !planted || !lots) {
        if (!d->truth)
            free(truth);
        if (!d->planted)
            free(planted);
        free(lots);
        return err_set(why, -ENOMEM, "flip: no memory for %u samples", d->samples);
    }
    if (!d->truth)
        memcpy(truth, d->labels, d->samples * sizeof(*truth));
    d->truth = truth;
    d->planted = planted;
    labels_flip(d, lots, count, flip_seed);
    free(lots);
    return 0;
}
