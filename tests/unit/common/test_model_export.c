#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "common/safetensors.h"
#include "tests/unit/common/models.h"

/* conv1 [3,2 -> kernel 2], flatten of 2x3x3, dense. Entries are their own place in theta. */
static struct model small_model(float **ret_theta)
{
    struct model m = made(LAYERS("{\"type\": \"conv2d\", \"channels\": 3, \"kernel\": 2,"
                                 " \"padding\": 0}," FLAT ",{\"type\": \"dense\", \"units\": 4},"
                                 "{\"type\": \"relu\"},{\"type\": \"dense\", \"bias\": false}"),
                          (struct dims){3, 4, 2}, 2);
    float *theta = malloc(m.floats * sizeof(*theta));

    for (size_t i = 0; i < m.floats; i++)
        theta[i] = (float)i;
    *ret_theta = theta;
    return m;
}

static float exported(const struct safetensors *st, const char *name, size_t index)
{
    const struct tensor *t = safetensors_find(st, name);
    float v;

    ASSERT(t);
    ASSERT_EQ(DTYPE_F32, t->dtype);
    ASSERT((index + 1) * sizeof(v) <= t->bytes);
    memcpy(&v, (const char *)t->data + index * sizeof(v), sizeof(v));
    return v;
}

static void assert_shape(const struct safetensors *st, const char *name, int dims,
                         const uint64_t *shape)
{
    const struct tensor *t = safetensors_find(st, name);

    ASSERT(t);
    ASSERT_EQ(dims, t->dims);
    for (int i = 0; i < dims; i++)
        ASSERT_EQ(shape[i], t->shape[i]);
}

TEST(export_has_the_layouts_of_pytorch)
{
    struct errbuf why = {0};
    struct safetensors st;
    float *theta;
    struct model m = small_model(&theta);
    const char *path = test_path("model.safetensors");

    ASSERT_OK(model_export(&m, theta, 0, NULL, 0, path, &why), why);
    ASSERT_OK(safetensors_open(path, &st, &why), why);
    ASSERT_EQ(m.param_count, st.tensor_count);

    assert_shape(&st, "conv1.weight", 4, (uint64_t[]){3, 2, 2, 2});
    for (size_t o = 0; o < 3; o++)
        for (size_t i = 0; i < 2; i++)
            for (size_t y = 0; y < 2; y++)
                for (size_t x = 0; x < 2; x++)
                    ASSERT_EQ(m.params[0].offset + ((y * 2 + x) * 2 + i) * 3 + o,
                              exported(&st, "conv1.weight", ((o * 2 + i) * 2 + y) * 2 + x));
    assert_shape(&st, "conv1.bias", 1, (uint64_t[]){3});
    ASSERT_EQ(m.params[1].offset + 2, exported(&st, "conv1.bias", 2));

    assert_shape(&st, "fc1.weight", 2, (uint64_t[]){4, 18});
    for (size_t o = 0; o < 4; o++)
        for (size_t c = 0; c < 3; c++)
            for (size_t y = 0; y < 2; y++)
                for (size_t x = 0; x < 3; x++)
                    ASSERT_EQ(m.params[2].offset + ((y * 3 + x) * 3 + c) * 4 + o,
                              exported(&st, "fc1.weight", o * 18 + (c * 2 + y) * 3 + x));

    assert_shape(&st, "fc2.weight", 2, (uint64_t[]){2, 4});
    ASSERT_EQ(m.params[4].offset + 3 * 2 + 1, exported(&st, "fc2.weight", 1 * 4 + 3));
    ASSERT(!safetensors_find(&st, "fc2.bias"));
    safetensors_close(&st);
    free(theta);
    model_done(&m);
}

TEST(export_says_how_to_build_the_network_again)
{
    struct errbuf why = {0};
    struct safetensors st;
    struct model again;
    float *theta;
    struct model m = small_model(&theta);
    const struct safetensors_meta extra[] = {{"job", "fashion"}, {"epoch", "9"}};
    const char *path = test_path("model.safetensors");

    ASSERT_OK(model_export(&m, theta, 0, extra, 2, path, &why), why);
    ASSERT_OK(safetensors_open(path, &st, &why), why);
    ASSERT_STR("pt", safetensors_meta_get(&st, "format"));
    ASSERT_STR("custom", safetensors_meta_get(&st, "model"));
    ASSERT_STR("3,4,2", safetensors_meta_get(&st, "input"));
    ASSERT_STR("2", safetensors_meta_get(&st, "classes"));
    ASSERT_STR("0.25,0.5", safetensors_meta_get(&st, "mean"));
    ASSERT_STR("0.5,0.25", safetensors_meta_get(&st, "std"));
    ASSERT_STR("fashion", safetensors_meta_get(&st, "job"));
    ASSERT_STR("9", safetensors_meta_get(&st, "epoch"));

    char desc[16384];
    snprintf(desc, sizeof(desc), "{\"layers\": %s}", safetensors_meta_get(&st, "layers"));
    again = made(desc, m.in, m.classes);
    ASSERT_EQ(m.layer_count, again.layer_count);
    for (int i = 0; i < m.layer_count; i++) {
        const struct layer *want = &m.layers[i], *got = &again.layers[i];
        ASSERT_EQ(want->kind, got->kind);
        ASSERT_STR(want->name, got->name);
        ASSERT_MEM(&want->out, &got->out, sizeof(want->out));
        ASSERT_EQ(want->kernel, got->kernel);
        ASSERT_EQ(want->stride, got->stride);
        ASSERT_EQ(want->padding, got->padding);
        ASSERT_EQ(want->bias_param, got->bias_param);
    }
    ASSERT_EQ(m.floats, again.floats);
    model_done(&again);
    safetensors_close(&st);
    free(theta);
    model_done(&m);
}

TEST(export_keeps_branches_norms_and_pools)
{
    struct errbuf why = {0};
    struct safetensors st;
    struct model again, m = made("\"resnet20_gn\"", (struct dims){32, 32, 3}, 10);
    float *theta = calloc(m.floats, sizeof(*theta));
    const char *path = test_path("model.safetensors");
    char desc[16384];

    ASSERT_OK(model_export(&m, theta, 0, NULL, 0, path, &why), why);
    ASSERT_OK(safetensors_open(path, &st, &why), why);
    ASSERT_EQ(m.param_count, st.tensor_count);
    assert_shape(&st, "layer3.0.downsample.0.weight", 4, (uint64_t[]){64, 32, 1, 1});
    assert_shape(&st, "layer1.0.gn1.weight", 1, (uint64_t[]){16});
    snprintf(desc, sizeof(desc), "{\"layers\": %s}", safetensors_meta_get(&st, "layers"));
    again = made(desc, m.in, m.classes);
    ASSERT_EQ(m.layer_count, again.layer_count);
    ASSERT_MEM(m.layers, again.layers, (size_t)m.layer_count * sizeof(*m.layers));
    model_done(&again);
    safetensors_close(&st);
    free(theta);
    model_done(&m);
}

TEST(export_gives_batchnorms_what_torch_wants_of_them)
{
    struct errbuf why = {0};
    struct safetensors st;
    struct model again, m = made("\"resnet20\"", (struct dims){32, 32, 3}, 10);
    float *theta = calloc(m.floats, sizeof(*theta));
    const char *path = test_path("model.safetensors");
    const struct tensor *t;
    char desc[16384];
    int64_t steps;

    for (size_t i = 0; i < m.floats; i++)
        theta[i] = (float)i;
    ASSERT_OK(model_export(&m, theta, 1234, NULL, 0, path, &why), why);
    ASSERT_OK(safetensors_open(path, &st, &why), why);
    ASSERT_EQ(m.param_count + 21, st.tensor_count);
    assert_shape(&st, "layer3.2.bn2.running_var", 1, (uint64_t[]){64});
    ASSERT_OK(safetensors_need(&st, "bn1.running_mean", DTYPE_F32, 1, &t, &why), why);
    ASSERT_MEM(theta + m.trained, t->data, t->bytes);
    ASSERT_OK(safetensors_need(&st, "layer2.0.bn1.num_batches_tracked", DTYPE_I64, 0, &t, &why),
              why);
    memcpy(&steps, t->data, sizeof(steps));
    ASSERT_EQ(1234, steps);
    snprintf(desc, sizeof(desc), "{\"layers\": %s}", safetensors_meta_get(&st, "layers"));
    again = made(desc, m.in, m.classes);
    ASSERT_MEM(m.layers, again.layers, (size_t)m.layer_count * sizeof(*m.layers));
    model_done(&again);
    safetensors_close(&st);
    free(theta);
    model_done(&m);
}

TEST(export_to_a_missing_folder_is_an_error)
{
    struct errbuf why = {0};
    float *theta;
    struct model m = small_model(&theta);

    ASSERT(model_export(&m, theta, 0, NULL, 0, test_path("no/model.safetensors"), &why) < 0);
    ASSERT_HAS("no/model.safetensors", why.text);
    free(theta);
    model_done(&m);
}

/* What comes back must be what went out, to the bit; and it is read from names, not from places. */
TEST(import_is_the_way_back)
{
    static const char *const presets[] = {"\"lenet\"", "\"mlp\"", "\"resnet20\"",
                                          "\"resnet20_gn\""};
    const char *path = test_path("model.safetensors");
    struct errbuf why = {0};

    for (size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++) {
        struct model m = made(presets[i], (struct dims){28, 28, 1}, 10);
        float *theta = malloc(m.floats * sizeof(*theta));
        float *back = malloc(m.floats * sizeof(*back));
        struct weights_said said = {.class_names = NULL};

        model_init(&m, 3, theta);
        for (size_t k = 0; k < m.floats; k++)
            back[k] = 7;
        ASSERT_OK(model_export(&m, theta, 5, NULL, 0, path, &why), why);
        ASSERT_OK(model_import(&m, path, "m.pt", back, &said, &why), why);
        ASSERT_MEM(theta, back, m.floats * sizeof(*theta));
        weights_said_done(&said);
        free(theta);
        free(back);
        model_done(&m);
    }
}

static void import_refused(const struct model *m, const struct tensor *tensors, int count,
                           const char *part)
{
    const char *path = test_path("other.safetensors");
    float *theta = malloc(m->floats * sizeof(*theta));
    struct weights_said said = {.class_names = NULL};
    struct errbuf why = {0};

    ASSERT_OK(safetensors_write(path, tensors, count, NULL, 0, &why), why);
    ASSERT_EQ(-EINVAL, model_import(m, path, "m.pt", theta, &said, &why));
    ASSERT_HAS(part, why.text);
    free(theta);
}

TEST(import_names_the_tensor_that_does_not_fit)
{
    struct model m = made(LAYERS(FLAT ",{\"type\": \"dense\"}"), (struct dims){2, 2, 1}, 3);
    float weight[12] = {0}, bias[4] = {0}, bad[12] = {[5] = NAN};
    const uint64_t w[] = {3, 4}, turned[] = {4, 3}, b[] = {3}, more[] = {4};
    const struct tensor good_w = tensor_make("fc1.weight", DTYPE_F32, 2, w, weight);
    const struct tensor good_b = tensor_make("fc1.bias", DTYPE_F32, 1, b, bias);

    import_refused(&m, (struct tensor[]){good_w}, 1, "\"fc1.bias\" is missing");
    import_refused(
        &m, (struct tensor[]){good_w, good_b, tensor_make("fc2.bias", DTYPE_F32, 1, b, bias)}, 3,
        "tensor fc2.bias does not exist in model custom");
    import_refused(
        &m, (struct tensor[]){tensor_make("fc1.weight", DTYPE_F32, 2, turned, weight), good_b}, 2,
        "tensor fc1.weight has 4 entries in dimension 0, the model has 3");
    import_refused(&m, (struct tensor[]){good_w, tensor_make("fc1.bias", DTYPE_F32, 1, more, bias)},
                   2, "tensor fc1.bias has 4 entries");
    import_refused(&m, (struct tensor[]){tensor_make("fc1.weight", DTYPE_F32, 2, w, bad), good_b},
                   2, "tensor fc1.weight holds NaN");
    import_refused(&m,
                   (struct tensor[]){tensor_make("fc1.weight", DTYPE_I32, 2, w, weight), good_b}, 2,
                   "\"fc1.weight\" is I32, expected F32");
    model_done(&m);
}

/* What is behind a metadata of these entries, of a model of three classes and two channels. */
static int import_said(const struct safetensors_meta *meta, int count, struct weights_said *ret,
                       struct errbuf *why)
{
    struct model m = made(LAYERS(FLAT ",{\"type\": \"dense\"}"), (struct dims){1, 2, 2}, 3);
    const char *path = test_path("said.safetensors");
    float weight[12] = {0}, bias[3] = {0}, *theta = malloc(m.floats * sizeof(*theta));
    const struct tensor tensors[] = {
        tensor_make("fc1.weight", DTYPE_F32, 2, (uint64_t[]){3, 4}, weight),
        tensor_make("fc1.bias", DTYPE_F32, 1, (uint64_t[]){3}, bias)};

    ASSERT_OK(safetensors_write(path, tensors, 2, meta, count, why), *why);
    int rc = model_import(&m, path, "my.safetensors", theta, ret, why);
    free(theta);
    model_done(&m);
    return rc;
}

TEST(weights_say_how_their_pixels_were_scaled)
{
    const struct safetensors_meta good[] = {{"std", "[0.5, 0.25]"},
                                            {"mean", "0.130660474,-1"},
                                            {"scale", "255"},
                                            {"class_names", "[\"a\",\"b\",\"c\"]"},
                                            {"layers", "[]"}};
    struct weights_said said = {.class_names = NULL};
    struct errbuf why = {0};

    ASSERT_OK(import_said(NULL, 0, &said, &why), why);
    ASSERT_EQ(0, said.scaling.channels);
    ASSERT(!said.class_names && !said.layers);
    ASSERT_OK(import_said(good, 5, &said, &why), why);
    ASSERT_EQ(2, said.scaling.channels);
    ASSERT(said.scaling.mean[0] == 0.130660474f && said.scaling.mean[1] == -1);
    ASSERT(said.scaling.std[0] == 0.5f && said.scaling.std[1] == 0.25f);
    ASSERT_STR("[\"a\",\"b\",\"c\"]", said.class_names);
    ASSERT_STR("[]", said.layers);
    weights_said_done(&said);
}

TEST(metadata_that_cannot_be_read_is_refused_by_name)
{
    static const struct {
        struct safetensors_meta meta[3];
        int count;
        const char *part;
    } cases[] = {
        {{{"mean", "0.5,0.5"}}, 1, "my.safetensors: its metadata has mean and no std"},
        {{{"std", "0.5,0.5"}}, 1, "has std and no mean"},
        {{{"mean", "grey"}, {"std", "1,1"}}, 2, "metadata mean must be 2 numbers"},
        {{{"mean", "0.5,grey"}, {"std", "1,1"}}, 2, "metadata mean of channel 1 is \"grey\""},
        {{{"mean", "0.5"}, {"std", "1"}}, 2, "metadata mean must be 2 numbers with commas between"},
        {{{"mean", "1,2,3"}, {"std", "1,2,3"}}, 2, "of the images; it is \"1,2,3\""},
        {{{"mean", "0.5,0.5"}, {"std", "1,0"}}, 2, "metadata std of channel 1 is \"0\""},
        {{{"mean", "123,117"}, {"std", "58,57"}}, 2, "metadata mean of channel 0 is \"123\""},
        {{{"mean", "0,0"}, {"std", "1,1"}, {"scale", "1"}},
         3,
         "metadata scale is \"1\", allowed is 255"},
        {{{"scale", "1"}}, 1, "metadata scale is \"1\", allowed is 255"},
        {{{"classes", "5"}}, 1, "it is a model for 5 classes, the dataset has 3"},
        {{{"class_names", "[\"a\"]"}}, 1, "metadata class_names has 1 names"},
        {{{"class_names", "a, b, c"}}, 1, "metadata class_names is not a JSON array"},
    };
    struct weights_said said = {.class_names = NULL};
    struct errbuf why = {0};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ASSERT_EQ(-EINVAL, import_said(cases[i].meta, cases[i].count, &said, &why));
        ASSERT_HAS(cases[i].part, why.text);
        ASSERT(!strstr(why.text, test_dir()));
    }
}

TEST(half_and_double_weights_are_read)
{
    struct model m = made(LAYERS(FLAT ",{\"type\": \"dense\"}"), (struct dims){1, 1, 2}, 2);
    const char *path = test_path("half.safetensors");
    const uint16_t f16[] = {0x3c00, 0xc000, 0x0001, 0x7bff}, bf16[] = {0x3f81, 0xbf80};
    const double f64[] = {1.0 / 3, -2}, far[] = {1, 1e39};
    const uint64_t w[] = {2, 2}, b[] = {2};
    const struct tensor weight = tensor_make("fc1.weight", DTYPE_F16, 2, w, f16);
    struct weights_said said = {.class_names = NULL};
    struct errbuf why = {0};
    float *theta = malloc(m.floats * sizeof(*theta));
    const float *bias = theta + m.params[1].offset;

    for (int i = 0; i < 2; i++) {
        const struct tensor tensors[] = {weight, tensor_make("fc1.bias", i ? DTYPE_F64 : DTYPE_BF16,
                                                             1, b, i ? (const void *)f64 : bf16)};
        ASSERT_OK(safetensors_write(path, tensors, 2, NULL, 0, &why), why);
        ASSERT_OK(model_import(&m, path, "half", theta, &said, &why), why);
        ASSERT(theta[0] == 1 && theta[1] == 0x1p-24f && theta[2] == -2 && theta[3] == 65504);
        ASSERT(bias[0] == (i ? 0x1.555556p-2f : 1.0078125f) && bias[1] == (i ? -2 : -1));
    }
    import_refused(&m, (struct tensor[]){weight, tensor_make("fc1.bias", DTYPE_F64, 1, b, far)}, 2,
                   "m.pt: tensor fc1.bias holds NaN or infinity, or a number that is beyond F32");
    free(theta);
    model_done(&m);
}
