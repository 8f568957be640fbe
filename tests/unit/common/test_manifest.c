#include "tests/harness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/dataset.h"

#define SAMPLES 6
#define TEST_SAMPLES 2
#define CLASSES 3
#define SIDE 4
#define THUMBNAIL_BYTES (SIDE * SIDE * 3)

/* A manifest whose parts can be spoilt one by one. */
struct parts {
    uint16_t labels[SAMPLES], test_labels[TEST_SAMPLES];
    uint8_t thumbnails[SAMPLES * 65 * SIDE * 3];
    struct tensor tensors[3];
    struct safetensors_meta meta[5];
};

enum { LABELS, TEST_LABELS, THUMBNAILS, TENSORS };
enum { FORMAT, CLASS_COUNT, CLASS_NAMES, URIS, SOURCE, META };

static void parts_make(struct parts *p)
{
    *p = (struct parts){
        .labels = {0, 1, 2, 0, 1, 2},
        .test_labels = {2, 0},
        .meta = {
            {"format", "steppe-manifest-1"},
            {"classes", "3"},
            {"class_names", "[\"a\",\"b\",\"c\"]"},
            {"uris_sha256", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"},
            {"source", "a test"}}};
    p->tensors[LABELS] = tensor_1d("labels", DTYPE_U16, SAMPLES, p->labels);
    p->tensors[TEST_LABELS] = tensor_1d("test_labels", DTYPE_U16, TEST_SAMPLES, p->test_labels);
    p->tensors[THUMBNAILS] =
        tensor_make("thumbnails", DTYPE_U8, 4, (uint64_t[]){SAMPLES, SIDE, SIDE, 3}, p->thumbnails);
}

static int parts_open(const struct parts *p, int tensors, struct dataset *d, struct errbuf *why)
{
    ASSERT_OK(safetensors_write(test_path("p"), p->tensors, tensors, p->meta, META, why), *why);
    return dataset_open(test_path("p"), d, why);
}

static void parts_refused(const struct parts *p, const char *part)
{
    struct dataset d;
    struct errbuf why;

    ASSERT_EQ(-EINVAL, parts_open(p, TENSORS, &d, &why));
    ASSERT_HAS(part, why.text);
    ASSERT_HAS(test_path("p"), why.text);
}

TEST(a_manifest_of_good_parts_opens)
{
    struct parts p;
    struct dataset d;
    struct errbuf why;

    parts_make(&p);
    ASSERT_OK(parts_open(&p, TENSORS, &d, &why), why);
    ASSERT(d.manifest && d.labelled && d.uris_sha256);
    ASSERT_EQ(SAMPLES, d.samples);
    ASSERT_EQ(TEST_SAMPLES, d.test_samples);
    ASSERT_EQ(CLASSES, d.classes);
    ASSERT_EQ(THUMBNAIL_BYTES, d.image_bytes);
    ASSERT_MEM(p.labels, d.labels, sizeof(p.labels));
    dataset_close(&d);
    ASSERT_OK(parts_open(&p, THUMBNAILS, &d, &why), why);
    ASSERT_EQ(0, d.dims.h);
    ASSERT_EQ(0, d.image_bytes);
    ASSERT(!d.images);
    dataset_close(&d);
}

TEST(bad_metadata_of_a_manifest_is_refused_by_name)
{
    static const struct {
        int index;
        const char *value, *part;
    } cases[] = {
        {FORMAT, "steppe-manifest-2", "tensor \"images\" is missing"},
        {CLASS_COUNT, "0", "classes is \"0\", allowed is 1 to 65535"},
        {CLASS_COUNT, "2", "class_names has 3 names, but there are 2 classes"},
        {CLASS_NAMES, "[\"a\",\"b\",\"a\"]", "class_names has \"a\" twice"},
        {URIS, "17", "uris_sha256 is \"17\", expected a SHA-256"},
        {SOURCE, "a\nb", "source is not a line"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct parts p;
        parts_make(&p);
        p.meta[cases[i].index].value = cases[i].value;
        parts_refused(&p, cases[i].part);
    }
}

TEST(bad_tensors_of_a_manifest_are_refused_by_name)
{
    static const struct {
        int index, dims;
        uint64_t shape[4];
        const char *part;
    } cases[] = {
        {LABELS, 1, {0}, "labels has 0 samples, allowed is 1 to 268435456"},
        {THUMBNAILS, 4, {5, SIDE, SIDE, 3}, "thumbnails has 5 entries, but there are 6 samples"},
        {THUMBNAILS, 4, {6, 65, SIDE, 3}, "thumbnails is 65 pixels high, allowed is 1 to 64"},
        {THUMBNAILS, 4, {6, SIDE, 65, 3}, "thumbnails is 65 pixels wide, allowed is 1 to 64"},
        {THUMBNAILS, 4, {6, 0, SIDE, 3}, "thumbnails is 0 pixels high, allowed is 1 to 64"},
        {THUMBNAILS, 4, {6, SIDE, SIDE, 2}, "thumbnails has 2 channels, allowed is 1 (grey) or 3"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct parts p;
        parts_make(&p);
        struct tensor *t = &p.tensors[cases[i].index];
        *t = tensor_make(t->name, t->dtype, cases[i].dims, cases[i].shape, t->data);
        parts_refused(&p, cases[i].part);
    }
}

TEST(a_label_out_of_range_is_refused_by_its_sample)
{
    struct parts p;

    parts_make(&p);
    p.labels[4] = 3;
    parts_refused(&p, "labels[4] is 3, allowed is 0 to 2 (3 classes)");
    parts_make(&p);
    p.test_labels[1] = 3;
    parts_refused(&p, "test_labels[1] is 3, allowed is 0 to 2 (3 classes)");
}

static struct dataset_draft draft_make(void)
{
    struct dataset_draft d = {.manifest = true, .samples = SAMPLES, .source = "a test"};
    struct errbuf why;
    char path[16];

    d.labels = calloc(SAMPLES, sizeof(*d.labels));
    d.test_labels = calloc(1, sizeof(*d.test_labels));
    for (int i = 0; i < SAMPLES; i++) {
        snprintf(path, sizeof(path), "%d.jpg", i);
        ASSERT_OK(uris_add(&d.uris, path, &why), why);
    }
    return d;
}

/* What the file says is the same again, and the names of its samples are part of it. */
TEST(a_manifest_without_labels_is_one_of_its_names)
{
    struct dataset_draft draft = draft_make();
    uint8_t first[SHA256_BYTES], other[SHA256_BYTES];
    char digest[SHA256_HEX];
    struct dataset d;
    struct errbuf why;

    ASSERT_OK(dataset_write(&draft, test_path("m"), first, &why), why);
    ASSERT_OK(dataset_open(test_path("m"), &d, &why), why);
    ASSERT(d.manifest && !d.labelled && !d.domains && !d.images);
    ASSERT_EQ(SAMPLES, d.samples);
    ASSERT_EQ(1, d.classes);
    ASSERT_STR("[\"unlabelled\"]", d.class_names_json);
    uris_digest(&draft.uris, &draft.test_uris, digest);
    ASSERT_STR(digest, d.uris_sha256);
    dataset_close(&d);
    draft.uris.bytes[0] = '9';
    ASSERT_OK(dataset_write(&draft, test_path("n"), other, &why), why);
    ASSERT(memcmp(first, other, SHA256_BYTES) != 0);
    dataset_draft_done(&draft);
}

TEST(a_draft_of_a_manifest_is_judged_as_its_file)
{
    struct dataset_draft draft = draft_make();
    uint8_t sha256[SHA256_BYTES];
    struct errbuf why;

    draft.labels[2] = 1;
    ASSERT_EQ(-EINVAL, dataset_write(&draft, test_path("m"), sha256, &why));
    ASSERT_HAS("labels[2] is 1, allowed is 0 to 0", why.text);
    draft.labels[2] = 0;
    draft.dims = (struct dims){SIDE, 65, 3};
    ASSERT_EQ(-EINVAL, dataset_write(&draft, test_path("m"), sha256, &why));
    ASSERT_HAS("thumbnails is 65 pixels wide", why.text);
    draft.dims = (struct dims){0};
    draft.uris.count--;
    ASSERT_EQ(-EINVAL, dataset_write(&draft, test_path("m"), sha256, &why));
    ASSERT_HAS("5 + 0 samples have names, but there are 6 + 0", why.text);
    dataset_draft_done(&draft);
}
