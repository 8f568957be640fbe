#include "tests/harness.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/dataset.h"
#include "common/file.h"
#include "common/text.h"

#define SAMPLES 12
#define TEST_SAMPLES 5
#define CLASSES 3
#define CHANNELS 2
#define IMAGE_BYTES (4 * 3 * CHANNELS)

static struct dataset_draft draft_make(uint32_t samples, uint32_t test_samples)
{
    struct dataset_draft d = {.samples = samples,
                              .test_samples = test_samples,
                              .classes = CLASSES,
                              .dims = {4, 3, CHANNELS},
                              .source = "made by a test"};

    d.images = malloc((size_t)samples * IMAGE_BYTES);
    d.test_images = malloc((size_t)test_samples * IMAGE_BYTES + 1);
    d.labels = malloc(samples * sizeof(*d.labels));
    d.test_labels = malloc(test_samples * sizeof(*d.test_labels) + 1);
    for (size_t i = 0; i < (size_t)samples * IMAGE_BYTES; i++)
        d.images[i] = (uint8_t)(i * 37);
    for (size_t i = 0; i < (size_t)test_samples * IMAGE_BYTES; i++)
        d.test_images[i] = (uint8_t)(i * 11);
    for (uint32_t i = 0; i < samples; i++)
        d.labels[i] = (uint16_t)(i % CLASSES);
    for (uint32_t i = 0; i < test_samples; i++)
        d.test_labels[i] = (uint16_t)((i + 1) % CLASSES);
    return d;
}

static struct dataset write_and_open(const struct dataset_draft *draft)
{
    uint8_t sha256[SHA256_BYTES];
    struct dataset d;
    struct errbuf why;

    ASSERT_OK(dataset_write(draft, test_path("d"), sha256, &why), why);
    ASSERT_OK(dataset_open(test_path("d"), &d, &why), why);
    return d;
}

TEST(what_is_written_is_read_back)
{
    struct dataset_draft draft = draft_make(SAMPLES, TEST_SAMPLES);
    struct errbuf why;

    ASSERT_OK(dataset_flip(&draft, 0.25, 7, &why), why);
    struct dataset d = write_and_open(&draft);
    ASSERT_EQ(SAMPLES, d.samples);
    ASSERT_EQ(TEST_SAMPLES, d.test_samples);
    ASSERT_EQ(CLASSES, d.classes);
    ASSERT_EQ(4, d.dims.h);
    ASSERT_EQ(3, d.dims.w);
    ASSERT_EQ(CHANNELS, d.dims.c);
    ASSERT_EQ(IMAGE_BYTES, d.image_bytes);
    ASSERT_MEM(draft.images, d.images, SAMPLES * IMAGE_BYTES);
    ASSERT_MEM(draft.test_images, d.test_images, TEST_SAMPLES * IMAGE_BYTES);
    ASSERT_MEM(draft.labels, d.labels, SAMPLES * sizeof(*d.labels));
    ASSERT_MEM(draft.test_labels, d.test_labels, TEST_SAMPLES * sizeof(*d.labels));
    ASSERT_MEM(draft.truth, d.truth, SAMPLES * sizeof(*d.truth));
    ASSERT_MEM(draft.planted, d.planted, SAMPLES);
    ASSERT_STR("made by a test", d.source);
    ASSERT_STR("[\"0\",\"1\",\"2\"]", d.class_names_json);
    dataset_close(&d);
    dataset_draft_done(&draft);
}

TEST(truth_planted_and_test_samples_may_be_absent)
{
    struct dataset_draft draft = draft_make(SAMPLES, 0);
    struct dataset d = write_and_open(&draft);

    ASSERT_EQ(0, d.test_samples);
    ASSERT(!d.truth);
    ASSERT(!d.planted);
    dataset_close(&d);
    dataset_draft_done(&draft);
}

/* Both domains and their names are there, or neither: then a file has the bytes it always had. */
TEST(domains_are_read_back)
{
    static const char *const names[] = {"photo", "sk\"etch"};
    struct dataset_draft draft = draft_make(SAMPLES, 0);
    struct dataset d = write_and_open(&draft);

    ASSERT(!d.domains && !d.domain_names_json);
    dataset_close(&d);
    draft.domain_count = 2;
    draft.domains = malloc(SAMPLES * sizeof(*draft.domains));
    draft.domain_names = malloc(2 * sizeof(*draft.domain_names));
    for (int i = 0; i < 2; i++)
        draft.domain_names[i] = strdup(names[i]);
    for (int i = 0; i < SAMPLES; i++)
        draft.domains[i] = (uint16_t)(i / 7);
    d = write_and_open(&draft);
    ASSERT_EQ(2, d.domain_count);
    ASSERT_MEM(draft.domains, d.domains, SAMPLES * sizeof(*d.domains));
    ASSERT_STR("[\"photo\",\"sk\\\"etch\"]", d.domain_names_json);
    dataset_close(&d);
    dataset_draft_done(&draft);
}

TEST(domains_beyond_their_names_are_refused)
{
    struct dataset_draft draft = draft_make(SAMPLES, 0);
    uint8_t sha256[SHA256_BYTES];
    struct errbuf why;

    draft.domain_count = 1;
    draft.domains = calloc(SAMPLES, sizeof(*draft.domains));
    draft.domain_names = calloc(1, sizeof(*draft.domain_names));
    draft.domain_names[0] = strdup("photo");
    draft.domains[3] = 1;
    ASSERT_EQ(-EINVAL, dataset_write(&draft, test_path("d"), sha256, &why));
    ASSERT_HAS("domains[3] is 1, allowed is 0 to 0 (1 domains)", why.text);
    draft.domains[3] = 0;
    draft.domain_names[0][0] = '\n';
    ASSERT_EQ(-EINVAL, dataset_write(&draft, test_path("d"), sha256, &why));
    ASSERT_HAS("metadata domain_names has an entry that is not a string", why.text);
    dataset_draft_done(&draft);
}

TEST(class_names_are_kept_as_json)
{
    static const char *const names[] = {"T-shirt/top", "say \"no\"", "caf\xc3\xa9"};
    struct dataset_draft draft = draft_make(SAMPLES, 0);

    draft.class_names = malloc(CLASSES * sizeof(*draft.class_names));
    for (int i = 0; i < CLASSES; i++)
        draft.class_names[i] = strdup(names[i]);
    struct dataset d = write_and_open(&draft);
    ASSERT_STR("[\"T-shirt/top\",\"say \\\"no\\\"\",\"caf\xc3\xa9\"]", d.class_names_json);
    dataset_close(&d);
    dataset_draft_done(&draft);
}

TEST(same_draft_gives_same_bytes_and_the_hash_of_the_file)
{
    struct dataset_draft draft = draft_make(SAMPLES, TEST_SAMPLES);
    uint8_t one[SHA256_BYTES], two[SHA256_BYTES], file[SHA256_BYTES];
    struct errbuf why;

    ASSERT_OK(dataset_write(&draft, test_path("one"), one, &why), why);
    ASSERT_OK(dataset_write(&draft, test_path("two"), two, &why), why);
    ASSERT_OK(sha256_file(test_path("one"), file, &why), why);
    ASSERT_MEM(one, two, SHA256_BYTES);
    ASSERT_MEM(one, file, SHA256_BYTES);
    dataset_draft_done(&draft);
}

TEST(mean_and_std_are_of_the_training_images_by_channel)
{
    struct dataset_draft draft = draft_make(SAMPLES, TEST_SAMPLES);

    /* Channel 0: half 0, half 255. Channel 1: one in four is 51, else 0. */
    for (int i = 0; i < SAMPLES * IMAGE_BYTES / CHANNELS; i++) {
        draft.images[2 * i] = i % 2 ? 255 : 0;
        draft.images[2 * i + 1] = i % 4 ? 0 : 51;
    }
    struct dataset d = write_and_open(&draft);
    ASSERT_NEAR(0.5, d.mean[0], 0);
    ASSERT_NEAR(0.5, d.std[0], 0);
    ASSERT_NEAR(0.05, d.mean[1], 1e-8);
    ASSERT_NEAR(0.2 * sqrt(3) / 4, d.std[1], 1e-8);
    dataset_close(&d);
    dataset_draft_done(&draft);
}

TEST(std_of_a_constant_channel_is_one)
{
    struct dataset_draft draft = draft_make(SAMPLES, 0);

    for (int i = 0; i < SAMPLES * IMAGE_BYTES / CHANNELS; i++)
        draft.images[2 * i + 1] = 51;
    struct dataset d = write_and_open(&draft);
    ASSERT_NEAR(0.2, d.mean[1], 1e-8);
    ASSERT_NEAR(1, d.std[1], 0);
    dataset_close(&d);
    dataset_draft_done(&draft);
}

static void refused_draft(struct dataset_draft *draft, const char *part)
{
    uint8_t sha256[SHA256_BYTES];
    struct errbuf why;

    ASSERT_EQ(-EINVAL, dataset_write(draft, test_path("d"), sha256, &why));
    ASSERT_HAS(part, why.text);
    ASSERT_HAS(test_path("d"), why.text);
    ASSERT(access(test_path("d"), F_OK) != 0);
}

TEST(drafts_that_could_not_be_read_are_not_written)
{
    struct dataset_draft draft = draft_make(SAMPLES, TEST_SAMPLES);
    struct dataset_draft bad = draft;

    bad.classes = 1;
    refused_draft(&bad, "classes is 1, allowed is 2 to 65535");
    bad = draft;
    bad.samples = 0;
    refused_draft(&bad, "images has 0 samples, allowed is 1 to");
    bad = draft;
    bad.dims.w = 513;
    refused_draft(&bad, "images is 513 pixels wide, allowed is 1 to 512");
    draft.labels[4] = 3;
    refused_draft(&draft, "labels[4] is 3, allowed is 0 to 2");
    draft.labels[4] = 2;
    draft.test_labels[1] = 9;
    refused_draft(&draft, "test_labels[1] is 9, allowed is 0 to 2");
    dataset_draft_done(&draft);
}

TEST(a_folder_that_is_missing_is_named)
{
    struct dataset_draft draft = draft_make(SAMPLES, 0);
    uint8_t sha256[SHA256_BYTES];
    struct errbuf why;

    ASSERT_EQ(-ENOENT, dataset_write(&draft, test_path("no/d"), sha256, &why));
    ASSERT_HAS("no/d", why.text);
    dataset_draft_done(&draft);
}

/* A dataset file whose parts can be spoilt one by one. */
struct parts {
    uint8_t images[SAMPLES * IMAGE_BYTES], test_images[TEST_SAMPLES * IMAGE_BYTES];
    uint16_t labels[SAMPLES], test_labels[TEST_SAMPLES], truth[SAMPLES];
    uint8_t planted[SAMPLES];
    struct tensor tensors[6];
    struct safetensors_meta meta[6];
};

enum { IMAGES, TEST_IMAGES, LABELS, TEST_LABELS, TRUTH, PLANTED };
enum { FORMAT, CLASS_COUNT, CLASS_NAMES, MEAN, STD, SOURCE };

static void parts_make(struct parts *p)
{
    *p = (struct parts){.meta = {{"format", "steppe-dataset-1"},
                                 {"classes", "3"},
                                 {"class_names", "[\"a\",\"b\",\"c\"]"},
                                 {"mean", "0.5,0.25"},
                                 {"std", "0.5,1"},
                                 {"source", "a test"}}};
    p->tensors[IMAGES] =
        tensor_make("images", DTYPE_U8, 4, (uint64_t[]){SAMPLES, 4, 3, CHANNELS}, p->images);
    p->tensors[TEST_IMAGES] = tensor_make(
        "test_images", DTYPE_U8, 4, (uint64_t[]){TEST_SAMPLES, 4, 3, CHANNELS}, p->test_images);
    p->tensors[LABELS] = tensor_1d("labels", DTYPE_U16, SAMPLES, p->labels);
    p->tensors[TEST_LABELS] = tensor_1d("test_labels", DTYPE_U16, TEST_SAMPLES, p->test_labels);
    p->tensors[TRUTH] = tensor_1d("truth", DTYPE_U16, SAMPLES, p->truth);
    p->tensors[PLANTED] = tensor_1d("planted", DTYPE_U8, SAMPLES, p->planted);
}

static int parts_open(const struct parts *p, struct dataset *d, struct errbuf *why)
{
    ASSERT_OK(safetensors_write(test_path("p"), p->tensors, 6, p->meta, 6, why), *why);
    return dataset_open(test_path("p"), d, why);
}

static void parts_refused(const struct parts *p, const char *part)
{
    struct dataset d;
    struct errbuf why;

    ASSERT_EQ(-EINVAL, parts_open(p, &d, &why));
    ASSERT_HAS(part, why.text);
    ASSERT_HAS(test_path("p"), why.text);
}

TEST(a_file_of_good_parts_opens)
{
    struct parts p;
    struct dataset d;
    struct errbuf why;

    parts_make(&p);
    ASSERT_OK(parts_open(&p, &d, &why), why);
    ASSERT_NEAR(0.25, d.mean[1], 0);
    ASSERT_NEAR(0.5, d.std[0], 0);
    dataset_close(&d);
}

TEST(bad_metadata_is_refused_by_name)
{
    static const struct {
        int index;
        const char *value, *part;
    } cases[] = {
        {FORMAT, "steppe-dataset-2", "format is \"steppe-dataset-2\", allowed is"},
        {CLASS_COUNT, "1", "classes is \"1\", allowed is 2 to 65535"},
        {CLASS_COUNT, "65536", "classes is \"65536\", allowed is 2 to 65535"},
        {CLASS_COUNT, "3x", "classes is \"3x\""},
        {CLASS_COUNT, "4", "class_names has 3 names, but there are 4 classes"},
        {CLASS_NAMES, "{\"a\":1}", "class_names is not a JSON array"},
        {CLASS_NAMES, "[\"a\",\"b\",\"c\"", "class_names is not a JSON array"},
        {CLASS_NAMES, "[\"a\",\"b\",\"c\"] x", "class_names is not a JSON array"},
        {CLASS_NAMES, "[\"a\",\"b\",3]", "class_names has an entry"},
        {CLASS_NAMES, "[\"a\",\"b\",\"\\u001b[2J\"]", "class_names has an entry"},
        {MEAN, "0.5", "mean must be 2 numbers"},
        {MEAN, "0.5,0.5,0.5", "mean must be 2 numbers"},
        {MEAN, "0.5,1.5", "mean of channel 1 is \"1.5\", allowed is 0 to 1"},
        {MEAN, "nan,0.5", "mean of channel 0 is \"nan\""},
        {MEAN, "0.5,", "mean of channel 1 is \"\""},
        {STD, "0.5,0", "std of channel 1 is \"0\""},
        {STD, "0.5,-1", "std of channel 1 is \"-1\""},
        {STD, "inf,1", "std of channel 0 is \"inf\""},
        {SOURCE, "a\nb", "source is not a line"},
    };
    struct parts p;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        parts_make(&p);
        p.meta[cases[i].index].value = cases[i].value;
        parts_refused(&p, cases[i].part);
    }
}

TEST(missing_metadata_is_named)
{
    static const char *const keys[] = {"format", "classes", "class_names", "mean", "std", "source"};
    char part[64];
    struct parts p;

    for (int i = 0; i < 6; i++) {
        parts_make(&p);
        p.meta[i].key = "other";
        snprintf(part, sizeof(part), "the metadata lacks %s", keys[i]);
        parts_refused(&p, part);
    }
}

TEST(missing_tensors_are_named)
{
    struct parts p;

    for (int i = IMAGES; i <= TEST_LABELS; i++) {
        parts_make(&p);
        char part[TENSOR_NAME_MAX + 2];
        snprintf(part, sizeof(part), "\"%s\"", p.tensors[i].name);
        strcpy(p.tensors[i].name, "other");
        parts_refused(&p, part);
    }
}

TEST(tensors_of_other_types_and_sizes_are_refused)
{
    struct parts p;

    parts_make(&p);
    p.tensors[LABELS] = tensor_1d("labels", DTYPE_U8, SAMPLES, p.labels);
    parts_refused(&p, "\"labels\" is U8");
    parts_make(&p);
    p.tensors[IMAGES].dims = 3;
    p.tensors[IMAGES].shape[2] *= CHANNELS;
    parts_refused(&p, "\"images\" has 3 dimensions");
    parts_make(&p);
    p.tensors[LABELS] = tensor_1d("labels", DTYPE_U16, SAMPLES - 1, p.labels);
    parts_refused(&p, "labels has 11 entries, but there are 12 images");
    parts_make(&p);
    p.tensors[PLANTED] = tensor_1d("planted", DTYPE_U8, SAMPLES - 2, p.planted);
    parts_refused(&p, "planted has 10 entries, but there are 12 images");
    parts_make(&p);
    p.tensors[TEST_IMAGES].shape[1] = 3;
    p.tensors[TEST_IMAGES].shape[2] = 4;
    parts_refused(&p, "test_images is 3 x 4 x 2, but images is 4 x 3 x 2");
    parts_make(&p);
    p.tensors[IMAGES] = tensor_make("images", DTYPE_U8, 4, (uint64_t[]){0, 4, 3, CHANNELS}, NULL);
    parts_refused(&p, "images has 0 samples");
    parts_make(&p);
    p.tensors[IMAGES] = tensor_make("images", DTYPE_U8, 4, (uint64_t[]){6, 2, 1, 17}, p.images);
    parts_refused(&p, "images has 17 channels, allowed is 1 to 16");
    parts_make(&p);
    p.tensors[IMAGES] = tensor_make("images", DTYPE_U8, 4, (uint64_t[]){12, 0, 3, 2}, NULL);
    parts_refused(&p, "images is 0 pixels high, allowed is 1 to 512");
}

TEST(labels_beyond_the_classes_are_refused)
{
    struct parts p;

    parts_make(&p);
    p.labels[SAMPLES - 1] = CLASSES;
    parts_refused(&p, "labels[11] is 3, allowed is 0 to 2 (3 classes)");
    parts_make(&p);
    p.test_labels[2] = UINT16_MAX;
    parts_refused(&p, "test_labels[2] is 65535, allowed is 0 to 2");
    parts_make(&p);
    p.truth[0] = CLASSES;
    parts_refused(&p, "truth[0] is 3, allowed is 0 to 2");
    parts_make(&p);
    p.planted[3] = PLANTED_HARD + 1;
    parts_refused(&p, "planted[3] is 3, allowed is 0 to 2");
}

TEST(every_truncation_is_refused)
{
    struct dataset_draft draft = draft_make(2, 1);
    uint8_t sha256[SHA256_BYTES];
    struct dataset d;
    struct errbuf why;
    size_t bytes;
    char *data;

    ASSERT_OK(dataset_write(&draft, test_path("d"), sha256, &why), why);
    ASSERT_OK(file_read(test_path("d"), 1 << 20, &data, &bytes, &why), why);
    for (size_t cut = 0; cut < bytes; cut++) {
        FILE *f = fopen(test_path("cut"), "wb");
        ASSERT(f && fwrite(data, 1, cut, f) == cut && fclose(f) == 0);
        ASSERT_EQ(-EINVAL, dataset_open(test_path("cut"), &d, &why));
        ASSERT_HAS("cut", why.text);
    }
    free(data);
    dataset_draft_done(&draft);
}

TEST(a_missing_file_is_named)
{
    struct dataset d;
    struct errbuf why;

    ASSERT_EQ(-ENOENT, dataset_open(test_path("none"), &d, &why));
    ASSERT_HAS("none", why.text);
}

static uint32_t count_flips(const struct dataset_draft *d)
{
    uint32_t flips = 0;

    for (uint32_t i = 0; i < d->samples; i++) {
        bool differs = d->labels[i] != d->truth[i];
        ASSERT_EQ(differs ? PLANTED_FLIP : PLANTED_NONE, d->planted[i]);
        ASSERT(d->labels[i] < d->classes);
        flips += differs;
    }
    return flips;
}

TEST(flips_exactly_the_share_and_keeps_the_truth)
{
    static const struct {
        double share;
        uint32_t flips;
    } cases[] = {{0.1, 100}, {0.0014, 1}, {0.0015, 2}, {0.5, 501}, {1, 1001}};
    struct errbuf why;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dataset_draft d = draft_make(1001, 0);
        ASSERT_OK(dataset_flip(&d, cases[i].share, 3, &why), why);
        ASSERT_EQ(cases[i].flips, count_flips(&d));
        for (uint32_t s = 0; s < d.samples; s++)
            ASSERT_EQ(s % CLASSES, d.truth[s]);
        dataset_draft_done(&d);
    }
}

TEST(flips_nothing_for_a_share_of_nothing)
{
    struct dataset_draft d = draft_make(SAMPLES, 0);
    struct errbuf why;

    ASSERT_OK(dataset_flip(&d, 0, 3, &why), why);
    ASSERT(!d.truth);
    ASSERT(!d.planted);
    dataset_draft_done(&d);
}

TEST(flips_to_every_other_class_alike)
{
    struct dataset_draft d = draft_make(9000, 0);
    uint32_t to[CLASSES][CLASSES] = {0};
    struct errbuf why;

    ASSERT_OK(dataset_flip(&d, 1, 3, &why), why);
    for (uint32_t i = 0; i < d.samples; i++)
        to[d.truth[i]][d.labels[i]]++;
    /* 3000 of each class go to two others: 1500 each, standard deviation 27. */
    for (int a = 0; a < CLASSES; a++)
        for (int b = 0; b < CLASSES; b++)
            ASSERT_NEAR(a == b ? 0 : 1500, to[a][b], a == b ? 0 : 140);
    dataset_draft_done(&d);
}

TEST(flips_depend_on_the_seed_only)
{
    struct dataset_draft a = draft_make(1000, 0), b = draft_make(1000, 0), c = draft_make(1000, 0);
    struct errbuf why;
    uint32_t common = 0;

    ASSERT_OK(dataset_flip(&a, 0.1, 3, &why), why);
    ASSERT_OK(dataset_flip(&b, 0.1, 3, &why), why);
    ASSERT_OK(dataset_flip(&c, 0.1, 4, &why), why);
    ASSERT_MEM(a.labels, b.labels, 1000 * sizeof(*a.labels));
    for (int i = 0; i < 1000; i++)
        common += a.planted[i] && c.planted[i];
    /* By chance 10 of 100, standard deviation below 3. */
    ASSERT(common < 30);
    dataset_draft_done(&a);
    dataset_draft_done(&b);
    dataset_draft_done(&c);
}

/* A wrong label that is flipped could become right, and would be called flipped all the same. */
TEST(flipping_keeps_a_truth_that_is_there_and_what_is_wrong_already)
{
    struct dataset_draft d = draft_make(SAMPLES, 0);
    uint32_t wrong = SAMPLES / 4;
    struct errbuf why;

    d.truth = malloc(SAMPLES * sizeof(*d.truth));
    for (uint32_t i = 0; i < SAMPLES; i++)
        d.truth[i] = (uint16_t)((d.labels[i] + (i < wrong)) % CLASSES);
    ASSERT_EQ(-EINVAL, dataset_flip(&d, 0.8, 3, &why));
    ASSERT_HAS("labels are right", why.text);
    ASSERT(!d.planted);
    ASSERT_OK(dataset_flip(&d, 0.75, 3, &why), why);
    for (uint32_t i = 0; i < SAMPLES; i++) {
        ASSERT(d.labels[i] != d.truth[i]);
        ASSERT_EQ(i < wrong ? PLANTED_NONE : PLANTED_FLIP, d.planted[i]);
        ASSERT(i >= wrong || d.labels[i] == i % CLASSES);
    }
    dataset_draft_done(&d);
}

TEST(flips_that_cannot_be_are_refused)
{
    struct dataset_draft d = draft_make(SAMPLES, 0);
    struct errbuf why;

    ASSERT_EQ(-EINVAL, dataset_flip(&d, 1.5, 3, &why));
    ASSERT_HAS("flip is 1.5, allowed is 0 to 1", why.text);
    ASSERT_EQ(-EINVAL, dataset_flip(&d, -0.1, 3, &why));
    ASSERT_EQ(-EINVAL, dataset_flip(&d, NAN, 3, &why));
    d.classes = 1;
    ASSERT_EQ(-EINVAL, dataset_flip(&d, 0.5, 3, &why));
    ASSERT_HAS("1 class", why.text);
    ASSERT(!d.truth);
    d.classes = CLASSES;
    dataset_draft_done(&d);
}
