#include "proto/cli/attach.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/hash.h"
#include "common/safetensors.h"
#include "common/text.h"
#include "proto/cli/numbers.h"
#include "proto/cli/session.h"
#include "proto/cli/upload.h"

/* Writes what the server takes for the file `path` to `made`. */
typedef int (*attach_convert)(const char *path, const char *made, struct errbuf *why);

/* Scores in sample order. */
static int convert_order(const char *path, const char *made, struct errbuf *why)
{
    const struct safetensors_meta meta[] = {{"format", "steppe-order-1"}};
    struct numbers n;
    int rc = numbers_read(path, &n, why);

    if (rc != 0)
        return rc;
    uint32_t *sample = alloc_bytes(n.count, sizeof(*sample));
    if (!sample)
        rc = err_set(why, -ENOMEM, "no memory for %u scores", n.count);
    for (uint32_t i = 0; rc == 0 && i < n.count; i++)
        sample[i] = n.sample ? n.sample[i] : i;
    if (rc == 0) {
        const struct tensor tensors[] = {tensor_1d("score", DTYPE_F64, n.count, n.value),
                                         tensor_1d("sample", DTYPE_U32, n.count, sample)};
        rc = safetensors_write(made, tensors, 2, meta, 1, why);
    }
    free(sample);
    numbers_done(&n);
    return rc;
}

static int compare_ids(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static int read_ids(const char *path, const struct numbers *n, uint32_t *ids, struct errbuf *why)
{
    if (n->sample)
        return err_set(why, -EINVAL, "%s has two columns, needed is one number of a sample a line",
                       path);
    for (uint32_t i = 0; i < n->count; i++) {
        double v = n->value[i];
        if (v < 0 || v >= SAMPLES_MAX || v != floor(v))
            return err_set(why, -EINVAL, "%s: entry %u is %g, needed is the number of a sample",
                           path, i, v);
        ids[i] = (uint32_t)v;
    }
    qsort(ids, n->count, sizeof(*ids), compare_ids);
    for (uint32_t i = 1; i < n->count; i++)
        if (ids[i] == ids[i - 1])
            return err_set(why, -EINVAL, "%s has sample %u twice", path, ids[i]);
    return 0;
}

static int convert_exclude(const char *path, const char *made, struct errbuf *why)
{
    const struct safetensors_meta meta[] = {{"format", "steppe-samples-1"}};
    struct numbers n;
    int rc = numbers_read(path, &n, why);

    if (rc != 0)
        return rc;
    uint32_t *ids = alloc_bytes(n.count, sizeof(*ids));
    rc = ids ? read_ids(path, &n, ids, why)
             : err_set(why, -ENOMEM, "no memory for %u samples", n.count);
    if (rc == 0) {
        const struct tensor t = tensor_1d("sample", DTYPE_U32, n.count, ids);
        rc = safetensors_write(made, &t, 1, meta, 1, why);
    }
    free(ids);
    numbers_done(&n);
    return rc;
}

/* --- sending --- */

static char *path_of(const char *job_path, const char *file)
{
    const char *slash = strrchr(job_path, '/');

    if (file[0] == '/' || strcmp(job_path, "-") == 0 || !slash)
        return xstrdup(file);
    return xasprintf("%.*s/%s", (int)(slash - job_path), job_path, file);
}

/* Sends the file at path and notes its hash in obj. */
static int send_file(struct cli *cli, const char *name, const char *path, cJSON *obj,
                     struct errbuf *why)
{
    const char *had = value_text(obj, "sha256");
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX];
    int rc = sha256_file(path, digest, why);

    if (rc != 0)
        return rc;
    text_hex(digest, sizeof(digest), hex);
    if (*had && strcmp(had, hex) != 0)
        return err_set(why, -EINVAL,
                       "the content of %s has sha256 %.16s..., the job file says %.16s...", name,
                       hex, had);
    rc = upload_file(cli, name, path, digest, why);
    if (rc == 0 && !*had)
        cJSON_AddStringToObject(obj, "sha256", hex);
    return rc;
}

static int send_converted(struct cli *cli, const char *name, const char *path, cJSON *obj,
                          attach_convert convert, struct errbuf *why)
{
    char *dir = upload_folder(why), *made;
    int rc;

    if (!dir)
        return -EIO;
    made = xasprintf("%s/attached.safetensors", dir);
    rc = convert(path, made, why);
    if (rc == 0)
        rc = send_file(cli, name, made, obj, why);
    unlink(made);
    rmdir(dir);
    free(made);
    free(dir);
    return rc;
}

int attach_files(struct cli *cli, const char *job_path, cJSON *spec, struct errbuf *why)
{
    const cJSON *curriculum = cJSON_GetObjectItemCaseSensitive(spec, "curriculum");
    const struct {
        const char *key;
        cJSON *obj;
        attach_convert convert; /* NULL: goes as it is */
    } places[] = {
        {"curriculum.measure", cJSON_GetObjectItemCaseSensitive(curriculum, "measure"),
         convert_order},
        {"exclude", cJSON_GetObjectItemCaseSensitive(spec, "exclude"), convert_exclude},
        {"weights", cJSON_GetObjectItemCaseSensitive(spec, "weights"), NULL},
    };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(places) / sizeof(places[0]); i++) {
        const char *file = value_text(places[i].obj, "file");
        if (!cJSON_IsObject(places[i].obj) || !*file)
            continue;
        char *path = path_of(job_path, file);
        rc = places[i].convert
                 ? send_converted(cli, file, path, places[i].obj, places[i].convert, why)
                 : send_file(cli, file, path, places[i].obj, why);
        if (rc != 0)
            rc = err_prefix(why, rc, "%s", places[i].key);
        free(path);
    }
    return rc;
}
