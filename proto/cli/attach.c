#include "proto/cli/attach.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/hash.h"
#include "common/safetensors.h"
#include "common/text.h"
#include "proto/cli/connection.h"
#include "proto/cli/dataset.h"
#include "proto/cli/import/numbers.h"
#include "proto/cli/reply.h"
#include "proto/cli/upload.h"

/* Writes the form of the file `path` that the server takes to `made`, and adds what the job file
 * leaves unsaid to obj, its object that names the file. */
typedef int (*attach_convert)(const char *path, const struct numbers_ask *ask, const char *made,
                              cJSON *obj, struct errbuf *why);

/* Samples without a score lie in the middle: as documented, but perhaps not as meant. */
static void note_missing(const char *path, const struct numbers *n, const struct numbers_ask *ask)
{
    char *file = xstrdup(path);

    text_make_printable(file);
    if (n->count < ask->samples)
        fprintf(stderr,
                "steppe: note: %s has scores of %u of the %u samples of %s; the other%s "
                "in the middle of the order\n",
                file, n->count, ask->samples, ask->dataset,
                ask->samples - n->count == 1 ? " lies" : "s lie");
    free(file);
}

/* Scores in sample order. */
static int convert_order(const char *path, const struct numbers_ask *ask, const char *made,
                         cJSON *obj, struct errbuf *why)
{
    const struct safetensors_meta meta[] = {{"format", "steppe-order-1"}};
    struct numbers n;
    int rc = numbers_read(path, ask, &n, why);

    if (rc != 0)
        return rc;
    const struct tensor tensors[] = {tensor_1d("score", DTYPE_F64, n.count, n.value),
                                     tensor_1d("sample", DTYPE_U32, n.count, n.sample)};
    rc = safetensors_write(made, tensors, 2, meta, 1, why);
    if (rc == 0)
        note_missing(path, &n, ask);
    cJSON_DeleteItemFromObjectCaseSensitive(obj, "count");
    if (rc == 0 && !n.named && !cJSON_AddNumberToObject(obj, "count", n.count))
        rc = err_set(why, -ENOMEM, "no memory for the job file");
    numbers_done(&n);
    return rc;
}

static int convert_exclude(const char *path, const struct numbers_ask *ask, const char *made,
                           cJSON *obj, struct errbuf *why)
{
    const struct safetensors_meta meta[] = {{"format", "steppe-samples-1"}};
    struct numbers n;
    int rc = numbers_read(path, ask, &n, why);

    (void)obj;
    if (rc != 0)
        return rc;
    const struct tensor t = tensor_1d("sample", DTYPE_U32, n.count, n.sample);
    rc = safetensors_write(made, &t, 1, meta, 1, why);
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
    const char *had = reply_text(obj, "sha256");
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

/* Weights are sent as they are; a file that is not safetensors is refused before it is sent. */
static int send_weights(struct cli *cli, const char *name, const char *path, cJSON *obj,
                        struct errbuf *why)
{
    struct safetensors st = {0};
    int rc = safetensors_open_as(path, name, &st, why);

    safetensors_close(&st);
    return rc != 0 ? rc : send_file(cli, name, path, obj, why);
}

static int send_converted(struct cli *cli, const char *name, const char *path, cJSON *obj,
                          attach_convert convert, const struct numbers_ask *ask, struct errbuf *why)
{
    char *dir = upload_folder(why), *made;
    int rc;

    if (!dir)
        return -EIO;
    made = xasprintf("%s/attached.safetensors", dir);
    rc = convert(path, ask, made, obj, why);
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
    const char *dataset = reply_text(spec, "dataset");
    char whose[NAME_MAX_BYTES + 16];
    const struct {
        const char *key;
        cJSON *obj;
        attach_convert convert; /* NULL: of weights */
        enum numbers_kind kind;
    } places[] = {
        {"curriculum.measure", cJSON_GetObjectItemCaseSensitive(curriculum, "measure"),
         convert_order, NUMBERS_SCORES},
        {"exclude", cJSON_GetObjectItemCaseSensitive(spec, "exclude"), convert_exclude,
         NUMBERS_SAMPLES},
        {"weights", cJSON_GetObjectItemCaseSensitive(spec, "weights"), NULL, 0},
    };
    struct numbers_ask ask = {.dataset = whose};
    int rc = 0;

    snprintf(whose, sizeof(whose), "dataset %s", dataset);
    for (size_t i = 0; rc == 0 && i < sizeof(places) / sizeof(places[0]); i++) {
        const char *file = reply_text(places[i].obj, "file");
        if (!cJSON_IsObject(places[i].obj) || !*file)
            continue;
        char *path = path_of(job_path, file);
        ask.kind = places[i].kind;
        if (places[i].convert && !ask.samples)
            rc = dataset_samples(cli, dataset, &ask.samples, why);
        if (rc == 0)
            rc = places[i].convert
                     ? send_converted(cli, file, path, places[i].obj, places[i].convert, &ask, why)
                     : send_weights(cli, file, path, places[i].obj, why);
        if (rc != 0)
            rc = err_prefix(why, rc, "%s", places[i].key);
        free(path);
    }
    return rc;
}
