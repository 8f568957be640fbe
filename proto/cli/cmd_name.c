/* dataset name: reads the files that a dataset came from again, checks that every sample is what
 * the server has, and names the samples after them. Nothing of the pictures is sent. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/dataset.h"
#include "common/text.h"
#include "proto/cli/command.h"
#include "proto/cli/connection.h"
#include "proto/cli/dataset.h"
#include "proto/cli/files.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/upload.h"

#define ARG(field) offsetof(struct args, field)
const struct option dataset_name_options[] = {
    {"labels", OPT_STR, ARG(labels), .arg = "FILE", .help = "other labels, as at the import"},
    {"labels-are", OPT_ENUM, ARG(labels_are), .names = labels_are_names,
     .help = "which labels are the truth, as at the import"},
    {"size", OPT_INT, ARG(size), .arg = "N", .min = 1, .max = IMAGE_SIDE_MAX,
     .help = "pictures: as at the import (default: that of the dataset's images)"},
    {"no-exif", OPT_FLAG, ARG(no_exif), .help = "pictures: as at the import"},
    {"skip-bad", OPT_FLAG, ARG(skip_bad), .help = "pictures: as at the import"},
    {"train", OPT_STR, ARG(train), .arg = "NAME", .help = "the training set, as at the import"},
    {"test", OPT_STR, ARG(test), .arg = "NAME", .help = "the test set, as at the import"},
    {"layout", OPT_ENUM, ARG(layout), .names = npy_layout_names, .arg = "ORDER",
     .help = "numpy: as at the import"},
    {NULL},
};

/* The dataset's file on the server, as a file that is read piece by piece. */
struct remote {
    struct cli *cli;
    char sha256[SHA256_HEX];
};

static int remote_piece(struct remote *r, uint64_t offset, size_t count, void *out,
                        struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject();
    const struct tensor *piece;
    struct message reply;

    cJSON_AddStringToObject(request, "sha256", r->sha256);
    cJSON_AddNumberToObject(request, "offset", (double)offset);
    cJSON_AddNumberToObject(request, "bytes", (double)count);
    int rc = connection_call(r->cli, MSG_DATASET_GET, request, &reply, why);
    if (rc != 0)
        return rc;
    rc = message_tensor(&reply, "piece", DTYPE_U8, 1, NULL, &piece, why);
    if (rc == 0 && piece->bytes != count)
        rc = err_set(why, -EBADMSG, "the server sent %zu of %zu bytes", piece->bytes, count);
    if (rc == 0)
        memcpy(out, piece->data, count);
    message_done(&reply);
    return rc;
}

static int remote_read(void *arg, uint64_t offset, size_t count, void *out, struct errbuf *why)
{
    int rc = 0;

    for (size_t done = 0, n; rc == 0 && done < count; done += n) {
        n = count - done < PIECE_BYTES_MAX ? count - done : PIECE_BYTES_MAX;
        rc = remote_piece(arg, offset + done, n, (char *)out + done, why);
    }
    return rc;
}

struct naming {
    struct cli *cli;
    struct remote remote;
    struct file_source from;
    struct dataset there;      /* on the server */
    struct dataset_draft here; /* what the files make */
};

static int ask_dataset(struct naming *n, struct errbuf *why)
{
    const char *name = n->cli->words[0];
    struct message reply;
    const cJSON *row;
    int64_t bytes;
    int rc = dataset_ask(n->cli, name, &reply, &row, why);

    if (rc != 0)
        return rc;
    if (!reply_i64(row, "bytes", &bytes) || bytes < 1)
        rc = err_set(why, -EBADMSG, "the server does not say how large dataset %s is", name);
    if (rc == 0) {
        n->remote.cli = n->cli;
        snprintf(n->remote.sha256, sizeof(n->remote.sha256), "%s", reply_text(row, "sha256"));
        n->from = (struct file_source){(uint64_t)bytes, remote_read, &n->remote};
        rc = dataset_read(&n->from, &n->there, why);
    }
    if (rc == 0 && n->there.manifest)
        rc = err_set(why, -EINVAL,
                     "dataset %s is a manifest, and the names of its samples are part of it: "
                     "importing it again sends them again",
                     name);
    message_done(&reply);
    return rc;
}

static int differ(const struct naming *n, bool test, uint32_t i, const char *how,
                  struct errbuf *why)
{
    const struct uris *uris = test ? &n->here.test_uris : &n->here.uris;
    char name[URI_BYTES_MAX + 1];
    size_t bytes;
    const char *uri = uris_at(uris, i, &bytes);

    snprintf(name, sizeof(name), "%.*s", (int)bytes, uri);
    text_make_printable(name);
    return err_set(why, -EINVAL, "%ssample %u of dataset %s is not %.200s: %s; nothing was named",
                   test ? "test " : "", i, n->cli->words[0], name, how);
}

static int check_sizes(const struct naming *n, struct errbuf *why)
{
    const struct dataset *t = &n->there;
    const struct dataset_draft *h = &n->here;

    if (h->uris.count == 0)
        return err_set(why, -EINVAL, "the files in %s have no names", n->cli->words[1]);
    if (h->samples != t->samples || h->test_samples != t->test_samples)
        return err_set(why, -EINVAL,
                       "dataset %s has %u + %u images, %s has %u + %u; nothing was named",
                       n->cli->words[0], t->samples, t->test_samples, n->cli->words[1], h->samples,
                       h->test_samples);
    if (memcmp(&h->dims, &t->dims, sizeof(h->dims)) != 0)
        return err_set(why, -EINVAL,
                       "the images of dataset %s are %ux%ux%u, those of %s %ux%ux%u; nothing was "
                       "named",
                       n->cli->words[0], t->dims.h, t->dims.w, t->dims.c, n->cli->words[1],
                       h->dims.h, h->dims.w, h->dims.c);
    return 0;
}

/* Flipped and noisy labels are not in the files: their truth is. */
static int check_labels(const struct naming *n, bool test, struct errbuf *why)
{
    const struct dataset *t = &n->there;
    const uint16_t *there = test ? t->test_labels : t->truth ? t->truth : t->labels;
    const uint16_t *here = test            ? n->here.test_labels
                           : n->here.truth ? n->here.truth
                                           : n->here.labels;
    uint32_t count = test ? t->test_samples : t->samples;
    char how[80];

    for (uint32_t i = 0; i < count; i++) {
        if (there[i] == here[i])
            continue;
        snprintf(how, sizeof(how), "its label is %u, that of the file %u", there[i], here[i]);
        return differ(n, test, i, how, why);
    }
    return 0;
}

static int check_pixels(const struct naming *n, bool test, struct errbuf *why)
{
    const struct dataset *t = &n->there;
    const uint8_t *here = test ? n->here.test_images : n->here.images;
    uint32_t count = test ? t->test_samples : t->samples, step, at = 0;
    uint64_t begin =
        safetensors_at(&t->file, safetensors_find(&t->file, test ? "test_images" : "images"));
    size_t bytes = t->image_bytes;
    int rc = 0;

    step = (uint32_t)(PIECE_BYTES_MAX / bytes);
    uint8_t *piece = xmalloc(step * bytes);
    for (; rc == 0 && at < count; at += step) {
        if (step > count - at)
            step = count - at;
        rc = *n->cli->stop ? err_set(why, -EINTR, "stopped; nothing was named") : 0;
        if (rc == 0)
            rc = remote_read(&((struct naming *)n)->remote, begin + at * bytes, step * bytes, piece,
                             why);
        if (rc != 0 || memcmp(piece, here + at * bytes, step * bytes) == 0)
            continue;
        for (uint32_t i = 0; rc == 0; i++)
            if (memcmp(piece + i * bytes, here + (at + i) * bytes, bytes) != 0)
                rc = differ(n, test, at + i,
                            n->cli->args->no_exif
                                ? "their pixels differ"
                                : "their pixels differ; --no-exif takes JPEGs as they are stored",
                            why);
    }
    free(piece);
    return rc;
}

static int check(const struct naming *n, struct errbuf *why)
{
    int rc = check_sizes(n, why);

    for (int test = 0; rc == 0 && test < 2; test++)
        rc = check_labels(n, test, why);
    for (int test = 0; rc == 0 && test < 2; test++)
        rc = check_pixels(n, test, why);
    return rc;
}

static int send(const struct naming *n, cJSON **ret_row, struct errbuf *why)
{
    char *dir = upload_folder(why);

    if (!dir)
        return -EIO;
    int rc =
        upload_names(n->cli, n->cli->words[0], dir, n->remote.sha256, &n->here, true, ret_row, why);
    rmdir(dir);
    free(dir);
    return rc;
}

int cmd_dataset_name(struct cli *cli, struct errbuf *why)
{
    struct naming n = {.cli = cli};
    cJSON *row = NULL;
    int rc = ask_dataset(&n, why);

    if (rc == 0)
        rc = files_read(n.cli, LABELS_TRUE, n.there.dims.h == n.there.dims.w ? n.there.dims.h : 0,
                        &n.here, why);
    if (rc == 0)
        rc = check(&n, why);
    if (rc == 0)
        rc = send(&n, &row, why);
    if (rc == 0 && cli->args->json && row)
        print_json(row);
    else if (rc == 0)
        print_text("%s: %u + %u sample%s named after the files in %s", cli->words[0],
                   n.here.samples, n.here.test_samples,
                   n.here.samples + n.here.test_samples == 1 ? " is" : "s are", cli->words[1]);
    cJSON_Delete(row);
    dataset_draft_done(&n.here);
    dataset_close(&n.there);
    return rc;
}
