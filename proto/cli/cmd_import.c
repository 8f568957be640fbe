/* dataset import: reads or draws the images here, writes the dataset file into a fresh folder under
 * $TMPDIR, and sends it. The server opens no path that a peer names. */
#include "proto/cli/command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/dataset.h"
#include "common/glyphs.h"
#include "common/text.h"
#include "proto/cli/dataset.h"
#include "proto/cli/files.h"
#include "proto/cli/print.h"
#include "proto/cli/upload.h"

#define GLYPHS "glyphs"
#define SEED_MAX (INT64_C(1) << 53)

#define ARG(field) offsetof(struct args, field)
const struct option import_options[] = {
    {"labels", OPT_STR, ARG(labels), .arg = "FILE",
     .help = "train on the labels in FILE: IDX, .npy, a JSON list, or text with one label a line"},
    {"labels-are", OPT_ENUM, ARG(labels_are), .names = labels_are_names,
     .help = "which labels are the truth; noisy: the old ones; true: those of --labels, which "
             "corrects the dataset"},
    {"manifest", OPT_FLAG, ARG(manifest),
     .help =
         "no pictures, only which samples there are: PATH is a folder of pictures or a CSV file"},
    {"thumbnails", OPT_INT, ARG(thumbnails), .arg = "N", .min = 1, .max = THUMBNAIL_SIDE_MAX,
     .help = "--manifest: keep each picture, scaled to N x N, to be looked at"},
    {"size", OPT_INT, ARG(size), .arg = "N", .min = 1, .max = IMAGE_SIDE_MAX,
     .help = "pictures: scale all of them to N x N"},
    {"no-exif", OPT_FLAG, ARG(no_exif),
     .help = "pictures: take JPEGs as they are stored, not turned as EXIF says"},
    {"skip-bad", OPT_FLAG, ARG(skip_bad), .help = "pictures: leave out those that cannot be read"},
    {"train", OPT_STR, ARG(train), .arg = "NAME",
     .help = "the folder, or the word in file names, of the training set; . is everything"},
    {"test", OPT_STR, ARG(test), .arg = "NAME",
     .help = "the folder, or the word in file names, of the test set; none leaves it out"},
    {"layout", OPT_ENUM, ARG(layout), .names = npy_layout_names, .arg = "ORDER",
     .help = "numpy: where the channels stand in the shape"},
    {"flip", OPT_F64, ARG(flip), .arg = "SHARE", .fmax = 1,
     .help = "share of labels to flip, the truth is kept (default for glyphs: 0.05)"},
    {"flip-seed", OPT_INT, ARG(flip_seed), .arg = "S", .max = SEED_MAX,
     .help = "seed that chooses what --flip flips (default 1)"},
    {"samples", OPT_INT, ARG(samples), .arg = "N", .min = 10, .max = SAMPLES_MAX,
     .help = "glyphs: training images (default 12000)"},
    {"test-samples", OPT_INT, ARG(test_samples), .arg = "N", .min = 10, .max = SAMPLES_MAX,
     .help = "glyphs: test images (default 2000)"},
    {"seed", OPT_INT, ARG(seed), .arg = "S", .max = SEED_MAX,
     .help = "glyphs: seed that chooses the drawings (default 1)"},
    {"hard", OPT_F64, ARG(hard), .arg = "SHARE", .fmax = 1,
     .help = "glyphs: share of planted hard images (default 0.02)"},
    {NULL},
};

/* Options that mean nothing for this source are refused, not ignored. */
static int check_args(const struct args *a, bool glyphs, struct errbuf *why)
{
    const struct {
        const char *name;
        bool given, for_glyphs;
        const char *hint;
    } special[] = {
        {"--labels", a->labels != NULL, false, ""},
        {"--labels-are", a->labels_are != NOT_GIVEN, false, ""},
        {"--manifest", a->manifest, false, ""},
        {"--thumbnails", a->thumbnails != NOT_GIVEN, false, ""},
        {"--size", a->size != NOT_GIVEN, false, ""},
        {"--no-exif", a->no_exif, false, ""},
        {"--skip-bad", a->skip_bad, false, ""},
        {"--train", a->train != NULL, false, ""},
        {"--test", a->test != NULL, false, ""},
        {"--layout", a->layout != NOT_GIVEN, false, ""},
        {"--flip-seed", a->flip_seed != NOT_GIVEN, false, "; there --seed chooses everything"},
        {"--samples", a->samples != NOT_GIVEN, true, ""},
        {"--test-samples", a->test_samples != NOT_GIVEN, true, ""},
        {"--seed", a->seed != NOT_GIVEN, true, "; see --flip-seed"},
        {"--hard", a->hard >= 0, true, ""},
    };

    for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
        if (special[i].given && special[i].for_glyphs != glyphs)
            return err_set(why, EXIT_USAGE, "%s is for %s, not for %s%s", special[i].name,
                           glyphs ? "files" : GLYPHS, glyphs ? GLYPHS : "files", special[i].hint);
    if (!a->manifest && a->thumbnails != NOT_GIVEN)
        return err_set(why, EXIT_USAGE, "--thumbnails needs --manifest");
    if (a->manifest && a->size != NOT_GIVEN)
        return err_set(why, EXIT_USAGE,
                       "--manifest leaves pictures as they are; --thumbnails N keeps small ones");
    if (a->manifest && a->thumbnails == NOT_GIVEN && (a->no_exif || a->skip_bad))
        return err_set(why, EXIT_USAGE, "%s needs --thumbnails N: without it no picture is opened",
                       a->no_exif ? "--no-exif" : "--skip-bad");
    if (!glyphs && a->labels && a->labels_are == NOT_GIVEN)
        return err_set(why, EXIT_USAGE,
                       "--labels needs --labels-are noisy (%s is trained on, the labels that the "
                       "images came with are the truth) or --labels-are true (%s corrects them)",
                       a->labels, a->labels);
    if (!glyphs && a->labels_are != NOT_GIVEN && !a->labels)
        return err_set(why, EXIT_USAGE, "--labels-are needs --labels FILE");
    if (!glyphs && a->flip_seed != NOT_GIVEN && a->flip < 0)
        return err_set(why, EXIT_USAGE, "--flip-seed needs --flip SHARE");
    return 0;
}

static int draw_glyphs(const struct args *a, struct dataset_draft *ret, struct errbuf *why)
{
    struct glyphs_spec spec = glyphs_defaults();

    if (a->seed != NOT_GIVEN)
        spec.seed = (uint64_t)a->seed;
    if (a->samples != NOT_GIVEN)
        spec.samples = (uint32_t)a->samples;
    if (a->test_samples != NOT_GIVEN)
        spec.test_samples = (uint32_t)a->test_samples;
    if (a->flip >= 0)
        spec.flip = a->flip;
    if (a->hard >= 0)
        spec.hard = a->hard;
    return glyphs_draw(&spec, ret, why);
}

/* A stray label makes every number below it a class: allowed, but rarely meant. */
static void note_empty_classes(const struct dataset_draft *d)
{
    bool *seen = xcalloc(d->classes, sizeof(*seen));
    uint32_t empty = 0, first = 0;

    for (uint32_t i = 0; i < d->samples; i++)
        seen[d->labels[i]] = true;
    for (uint32_t i = d->classes; i-- > 0;)
        if (!seen[i]) {
            empty++;
            first = i;
        }
    if (empty)
        fprintf(stderr, "steppe: note: %u of %u classes %s no training image, the first is %u\n",
                empty, d->classes, empty == 1 ? "has" : "have", first);
    free(seen);
}

static void note_labels(const struct args *a, const struct dataset_draft *d)
{
    char *file = xstrdup(a->labels);

    text_make_printable(file);
    fprintf(stderr, "steppe: note: %s %s %u of %u labels; %s\n", file,
            a->labels_are == LABELS_TRUE ? "corrects" : "changes", d->relabelled, d->samples,
            a->labels_are == LABELS_TRUE ? "they are now the truth"
                                         : "the old labels are kept as the truth");
    free(file);
}

static int flip_files(struct dataset_draft *d, double share, uint64_t seed, struct errbuf *why)
{
    size_t used = strlen(d->source);

    snprintf(d->source + used, sizeof(d->source) - used, ", %g flipped with seed %" PRIu64, share,
             seed);
    return dataset_flip(d, share, seed, why);
}

static int read_files(const struct cli *cli, struct dataset_draft *ret, struct errbuf *why)
{
    const struct args *a = cli->args;
    uint64_t flip_seed = a->flip_seed != NOT_GIVEN ? (uint64_t)a->flip_seed : 1;
    struct dataset_draft draft;

    int rc = files_read(cli, LABELS_NOISY, 0, &draft, why);
    if (rc != 0)
        return rc;
    if (a->flip > 0)
        rc = flip_files(&draft, a->flip, flip_seed, why);
    if (rc == 0) {
        if (a->labels)
            note_labels(a, &draft);
        note_empty_classes(&draft);
        *ret = draft;
    } else {
        dataset_draft_done(&draft);
    }
    return rc;
}

/* Sends what the samples are called, if their format has names. */
static int send_names(struct cli *cli, const char *dir, const struct dataset_draft *draft,
                      const uint8_t sha256[SHA256_BYTES], cJSON **io_row, struct errbuf *why)
{
    char hex[SHA256_HEX];

    if (!draft->uris.count)
        return 0;
    text_hex(sha256, SHA256_BYTES, hex);
    int rc = upload_names(cli, cli->words[0], dir, hex, draft, false, io_row, why);
    if (rc < 0)
        err_prefix(why, rc, "the dataset is imported, but its samples have no names yet");
    return rc;
}

/* Writes the draft into dir and sends it. */
static int send_draft(struct cli *cli, const char *dir, const struct dataset_draft *draft,
                      struct errbuf *why)
{
    char *path = xasprintf("%s/dataset.safetensors", dir);
    uint8_t sha256[SHA256_BYTES];
    cJSON *row = NULL;

    int rc = dataset_write(draft, path, sha256, why);
    if (rc == 0 && *cli->stop)
        rc = err_set(why, -EINTR, "stopped; nothing was sent");
    if (rc == 0)
        rc = upload_dataset(cli, cli->words[0], path, sha256, &row, why);
    if (rc == 0)
        rc = send_names(cli, dir, draft, sha256, &row, why);
    if (rc == 0 && cli->args->json)
        print_json(row);
    else if (row)
        dataset_print_row(row);
    cJSON_Delete(row);
    unlink(path);
    free(path);
    return rc;
}

int cmd_dataset_import(struct cli *cli, struct errbuf *why)
{
    const char *name = cli->words[0];
    bool glyphs = strcmp(cli->words[1], GLYPHS) == 0;
    struct dataset_draft draft;

    if (!text_is_name(name))
        return err_set(why, EXIT_USAGE,
                       "NAME is \"%.80s\", allowed are 1 to %d of letters, digits, '.', '_' and "
                       "'-', not beginning with '.' or '-'",
                       name, NAME_MAX_BYTES - 1);
    int rc = check_args(cli->args, glyphs, why);
    if (rc == 0)
        rc = glyphs ? draw_glyphs(cli->args, &draft, why) : read_files(cli, &draft, why);
    if (rc != 0)
        return rc;
    char *dir = upload_folder(why);
    rc = dir ? send_draft(cli, dir, &draft, why) : -EIO;
    if (dir)
        rmdir(dir);
    free(dir);
    dataset_draft_done(&draft);
    return rc;
}
