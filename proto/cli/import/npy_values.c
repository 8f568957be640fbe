/* .npy files of one value a sample, of shape [N] or [N,1]: labels, scores, numbers of samples,
 * masks. Every width and byte order of numpy's integers and floats up to 64 bits is read; a value
 * that a double cannot hold exactly is refused, not rounded. */
#include "proto/cli/import/npy_file.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/bounds.h"
#include "proto/cli/import/npy_internal.h"

#define EXACT_MAX (INT64_C(1) << 53) /* of the integers that a double holds */

struct type {
    enum npy_kind kind;
    bool is_signed, big;
    uint32_t bytes;
};

/* "<f4", "|u1", ">i8"; false: another. */
static bool type_read(const char *descr, struct type *ret)
{
    static const struct {
        const char *name;
        struct type type;
    } types[] = {
        {"b1", {NPY_BOOLS, false, false, 1}},    {"u1", {NPY_INTEGERS, false, false, 1}},
        {"u2", {NPY_INTEGERS, false, false, 2}}, {"u4", {NPY_INTEGERS, false, false, 4}},
        {"u8", {NPY_INTEGERS, false, false, 8}}, {"i1", {NPY_INTEGERS, true, false, 1}},
        {"i2", {NPY_INTEGERS, true, false, 2}},  {"i4", {NPY_INTEGERS, true, false, 4}},
        {"i8", {NPY_INTEGERS, true, false, 8}},  {"f2", {NPY_FLOATS, true, false, 2}},
        {"f4", {NPY_FLOATS, true, false, 4}},    {"f8", {NPY_FLOATS, true, false, 8}},
    };

    for (size_t i = 0; descr[0] && i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(descr + 1, types[i].name) == 0 &&
            strchr(types[i].type.bytes > 1 ? "<>" : "|<>", descr[0])) {
            *ret = types[i].type;
            ret->big = descr[0] == '>';
            return true;
        }
    return false;
}

static uint64_t bits_at(const uint8_t *at, const struct type *t)
{
    uint64_t bits = 0;

    for (uint32_t i = 0; i < t->bytes; i++)
        bits = bits << 8 | at[t->big ? i : t->bytes - 1 - i];
    return bits;
}

/* One above INT64_MAX becomes that. */
static int64_t integer_at(const uint8_t *at, const struct type *t)
{
    uint64_t value = bits_at(at, t);

    if (t->is_signed && t->bytes < 8 && value >> (8 * t->bytes - 1))
        value -= UINT64_C(1) << 8 * t->bytes;
    if (!t->is_signed && value > INT64_MAX)
        value = INT64_MAX;
    return (int64_t)value;
}

/* 1 sign, 5 exponent and 10 fraction bits. */
static double half(uint64_t bits)
{
    int exponent = bits >> 10 & 31;
    double fraction = (double)(bits & 1023), value;

    if (exponent == 31)
        value = fraction > 0 ? NAN : INFINITY;
    else if (exponent)
        value = ldexp(1024 + fraction, exponent - 25);
    else
        value = ldexp(fraction, -24);
    return bits >> 15 ? -value : value;
}

static double float_at(const uint8_t *at, const struct type *t)
{
    uint64_t bits = bits_at(at, t);
    uint32_t low = (uint32_t)bits;
    double f64;
    float f32;

    if (t->bytes == 2)
        return half(bits);
    memcpy(&f64, &bits, sizeof(f64));
    memcpy(&f32, &low, sizeof(f32));
    return t->bytes == 4 ? f32 : f64;
}

/* Opens the file and judges its header; in->file is NULL or to be closed. */
static int values_open(const char *path, unsigned kinds, const char *what, struct npy_input *in,
                       struct type *type, struct errbuf *why)
{
    char shape[NPY_SHAPE_BYTES];
    int rc = npy_open(path, in, why);

    if (!rc)
        rc = npy_header(in, why);
    if (rc)
        return rc;
    if (!type_read(in->descr, type) || !(type->kind & kinds))
        return err_set(why, -EINVAL, "%s has entries of type %s, allowed for %s are %s%s", path,
                       in->descr, what, kinds & NPY_FLOATS ? "floats and integers" : "integers",
                       kinds & NPY_BOOLS ? ", or a mask of bools" : "");
    if (in->dims != 1 && !(in->dims == 2 && in->shape[1] == 1))
        return err_set(why, -EINVAL, "%s has shape %s, but %s need [N] or [N,1]", path,
                       npy_shape(in, shape), what);
    return 0;
}

static int labels_convert(const struct npy_input *in, const struct type *type, const uint8_t *data,
                          uint32_t samples, uint16_t *labels, struct errbuf *why)
{
    for (uint32_t i = 0; i < samples; i++) {
        int64_t label = integer_at(data + (size_t)i * type->bytes, type);
        if (label < 0 || label >= CLASSES_MAX)
            return err_set(why, -EINVAL,
                           "label %" PRIu32 " of %s is %" PRId64 ", allowed is 0 to %d", i,
                           in->path, label, CLASSES_MAX - 1);
        labels[i] = (uint16_t)label;
    }
    return 0;
}

int npy_file_labels(const char *path, const char *images_path, uint32_t samples, uint16_t **ret,
                    struct errbuf *why)
{
    struct npy_input in = {0};
    struct type type;
    uint8_t *data = NULL;
    uint16_t *labels = NULL;
    int rc = values_open(path, NPY_INTEGERS, "labels", &in, &type, why);

    if (!rc && in.shape[0] != samples)
        rc = err_set(why, -EINVAL, "%s has %" PRIu64 " labels, but %s has %" PRIu32 " images", path,
                     in.shape[0], images_path, samples);
    if (!rc)
        rc = npy_body(&in, type.bytes, &data, why);
    if (!rc && !(labels = malloc((samples ? samples : 1) * sizeof(*labels))))
        rc = err_set(why, -ENOMEM, "no memory for the %" PRIu32 " labels of %s", samples, path);
    if (!rc)
        rc = labels_convert(&in, &type, data, samples, labels, why);
    if (in.file)
        fclose(in.file);
    free(data);
    if (rc)
        free(labels);
    else
        *ret = labels;
    return rc;
}

static int values_convert(const struct npy_input *in, const struct type *type, const uint8_t *data,
                          double *values, struct errbuf *why)
{
    for (uint32_t i = 0; i < in->shape[0]; i++) {
        const uint8_t *at = data + (size_t)i * type->bytes;
        int64_t integer = type->kind == NPY_FLOATS ? 0 : integer_at(at, type);
        if (type->kind == NPY_BOOLS)
            integer = integer != 0;
        values[i] = type->kind == NPY_FLOATS ? float_at(at, type) : (double)integer;
        if (!isfinite(values[i]))
            return err_set(why, -EINVAL, "%s: entry %u is %s, expected a finite number", in->path,
                           i, isnan(values[i]) ? "NaN" : "infinite");
        if (integer > EXACT_MAX || integer < -EXACT_MAX)
            return err_set(why, -EINVAL,
                           "%s: entry %u is %" PRId64 "%s, allowed are integers up to 2^53",
                           in->path, i, integer, integer == INT64_MAX ? " or more" : "");
    }
    return 0;
}

int npy_file_values(const char *path, unsigned kinds, const char *what, struct npy_values *ret,
                    struct errbuf *why)
{
    struct npy_input in = {0};
    struct type type;
    uint8_t *data = NULL;
    double *values = NULL;
    int rc = values_open(path, kinds, what, &in, &type, why);

    if (!rc && (in.shape[0] < 1 || in.shape[0] > SAMPLES_MAX))
        rc = err_set(why, -EINVAL, "%s has %" PRIu64 " entries, allowed is 1 to %u", path,
                     in.shape[0], SAMPLES_MAX);
    if (!rc)
        rc = npy_body(&in, type.bytes, &data, why);
    if (!rc && !(values = malloc(in.shape[0] * sizeof(*values))))
        rc =
            err_set(why, -ENOMEM, "no memory for the %" PRIu64 " entries of %s", in.shape[0], path);
    if (!rc)
        rc = values_convert(&in, &type, data, values, why);
    if (in.file)
        fclose(in.file);
    free(data);
    if (rc)
        free(values);
    else
        *ret = (struct npy_values){(uint32_t)in.shape[0], type.kind, values};
    return rc;
}
