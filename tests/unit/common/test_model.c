#include "common/model.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>

#include "common/field.h"
#include "common/safetensors.h"
#include "tests/harness.h"

#define MNIST ((struct dims){28, 28, 1})

static const float means[CHANNELS_MAX] = {0.25f, 0.5f, 0.75f, 0.5f};
static const float stds[CHANNELS_MAX] = {0.5f, 0.25f, 0.125f, 1};

/* text is a JSON value: "\"lenet\"" or {"layers": ...}. */
static int parse(const char *text, struct dims in, uint32_t classes, struct model *ret,
                 struct errbuf *why)
{
    cJSON *desc = cJSON_Parse(text);

    ASSERT(desc);
    int rc = model_parse(desc, in, classes, means, stds, ret, why);
    cJSON_Delete(desc);
    return rc;
}

static struct model made(const char *text, struct dims in, uint32_t classes)
{
    struct errbuf why = {0};
    struct model m;

    ASSERT_OK(parse(text, in, classes, &m, &why), why);
    return m;
}

static int check(const char *text, struct errbuf *why)
{
    cJSON *desc = cJSON_Parse(text);

    ASSERT(desc);
    int rc = model_check(desc, why);
    cJSON_Delete(desc);
    return rc;
}

static void assert_param(const struct model *m, int i, const char *name, int dims,
                         const uint32_t *shape, uint32_t fan_in, bool decay)
{
    const struct param *p = &m->params[i];
    size_t count = 1;

    ASSERT_STR(name, p->name);
    ASSERT_EQ(dims, p->dims);
    for (int d = 0; d < dims; d++) {
        ASSERT_EQ(shape[d], p->shape[d]);
        count *= shape[d];
    }
    ASSERT_EQ(count, p->count);
    ASSERT_EQ(fan_in, p->fan_in);
    ASSERT_EQ(decay, p->decay);
}

TEST(mlp_has_three_dense_layers)
{
    struct model m = made("\"mlp\"", MNIST, 10);

    ASSERT_STR("mlp", m.name);
    ASSERT_EQ(6, m.layer_count);
    ASSERT_EQ(6, m.param_count);
    assert_param(&m, 0, "fc1.weight", 2, (uint32_t[]){784, 512}, 784, true);
    assert_param(&m, 1, "fc1.bias", 1, (uint32_t[]){512}, 784, false);
    assert_param(&m, 2, "fc2.weight", 2, (uint32_t[]){512, 256}, 512, true);
    assert_param(&m, 4, "fc3.weight", 2, (uint32_t[]){256, 10}, 256, true);
    ASSERT_EQ(535818, m.param_total);
    ASSERT_EQ(784 * 512 + 512 * 256 + 256 * 10, model_macs(&m));
    ASSERT_EQ(28, m.params[0].flattened.h);
    ASSERT_EQ(0, m.params[2].flattened.h);
    model_done(&m);
}

TEST(lenet_has_two_convolutions_and_two_dense_layers)
{
    struct model m = made("\"lenet\"", MNIST, 10);
    static const char *const names[] = {"conv1", "relu1",    "pool1", "conv2", "relu2",
                                        "pool2", "flatten1", "fc1",   "relu3", "fc2"};

    ASSERT_EQ(10, m.layer_count);
    for (int i = 0; i < m.layer_count; i++)
        ASSERT_STR(names[i], m.layers[i].name);
    ASSERT_EQ(8, m.param_count);
    assert_param(&m, 0, "conv1.weight", 4, (uint32_t[]){3, 3, 1, 16}, 9, true);
    assert_param(&m, 1, "conv1.bias", 1, (uint32_t[]){16}, 9, false);
    assert_param(&m, 2, "conv2.weight", 4, (uint32_t[]){3, 3, 16, 32}, 144, true);
    assert_param(&m, 4, "fc1.weight", 2, (uint32_t[]){1568, 128}, 1568, true);
    assert_param(&m, 7, "fc2.bias", 1, (uint32_t[]){10}, 128, false);
    ASSERT_EQ(160 + 4640 + 200832 + 1290, m.param_total);
    ASSERT_EQ(784 * 144 + 196 * 4608 + 200704 + 1280, model_macs(&m));
    ASSERT_EQ(7, m.params[4].flattened.w);
    ASSERT_EQ(32, m.params[4].flattened.c);
    ASSERT_EQ(0, m.params[6].flattened.c);
    model_done(&m);
}

TEST(cnn_has_two_convolutions_before_its_pool)
{
    struct model m = made("\"cnn\"", MNIST, 10);

    ASSERT_EQ(9, m.layer_count);
    assert_param(&m, 0, "conv1.weight", 4, (uint32_t[]){3, 3, 1, 32}, 9, true);
    assert_param(&m, 2, "conv2.weight", 4, (uint32_t[]){3, 3, 32, 64}, 288, true);
    assert_param(&m, 4, "fc1.weight", 2, (uint32_t[]){12544, 128}, 12544, true);
    ASSERT_EQ(320 + 18496 + 1605760 + 1290, m.param_total);
    ASSERT_EQ(14, m.layers[4].out.h);
    ASSERT_EQ(64, m.layers[4].out.c);
    model_done(&m);
}

TEST(presets_take_their_input_from_the_dataset)
{
    struct model m = made("\"lenet\"", (struct dims){32, 24, 3}, 7);

    ASSERT_EQ(3, m.params[0].shape[2]);
    ASSERT_EQ(8 * 6 * 32, m.params[4].shape[0]);
    ASSERT_EQ(7, m.layers[m.layer_count - 1].out.c);
    ASSERT_EQ(7, m.params[m.param_count - 1].count);
    ASSERT(m.mean[2] == 0.75f && m.std[2] == 0.125f);
    model_done(&m);
}

TEST(every_preset_is_known_to_check_and_to_json)
{
    struct errbuf why = {0};

    for (int i = 0; model_presets[i]; i++) {
        cJSON *desc = cJSON_CreateString(model_presets[i]);
        ASSERT_OK(model_check(desc, &why), why);
        cJSON_Delete(desc);
        ASSERT_OK(check(model_preset_json(model_presets[i]), &why), why);
    }
    ASSERT(!model_preset_json("alexnet"));
}

TEST(parameters_start_on_64_bytes_and_do_not_overlap)
{
    struct model m = made("\"lenet\"", MNIST, 10);
    size_t end = 0;

    for (int i = 0; i < m.param_count; i++) {
        ASSERT_EQ(0, m.params[i].offset % 16);
        ASSERT_EQ((end + 15) / 16 * 16, m.params[i].offset);
        end = m.params[i].offset + m.params[i].count;
    }
    ASSERT_EQ((end + 15) / 16 * 16, m.floats);
    model_done(&m);
}

TEST(layers_get_the_dims_that_torch_gives_them)
{
    struct model m = made("{\"layers\": ["
                          "{\"type\": \"conv2d\", \"channels\": 4, \"kernel\": 5, \"stride\": 2},"
                          "{\"type\": \"maxpool\", \"size\": 3, \"stride\": 2},"
                          "{\"type\": \"conv2d\", \"channels\": 2, \"kernel\": 2, \"padding\": 0,"
                          " \"bias\": false},"
                          "{\"type\": \"flatten\"}, {\"type\": \"dense\"}]}",
                          (struct dims){20, 11, 3}, 5);
    static const struct dims out[] = {{10, 6, 4}, {4, 2, 4}, {3, 1, 2}, {1, 1, 6}, {1, 1, 5}};

    ASSERT_STR("custom", m.name);
    for (int i = 0; i < m.layer_count; i++) {
        ASSERT_EQ(out[i].h, m.layers[i].out.h);
        ASSERT_EQ(out[i].w, m.layers[i].out.w);
        ASSERT_EQ(out[i].c, m.layers[i].out.c);
        ASSERT_MEM(i ? &out[i - 1] : &m.in, &m.layers[i].in, sizeof(struct dims));
    }
    ASSERT_EQ(2, m.layers[0].padding); /* kernel / 2 */
    ASSERT_EQ(-1, m.layers[2].bias_param);
    ASSERT_EQ(-1, m.layers[1].weight);
    ASSERT_EQ(4, m.layers[4].bias_param);
    model_done(&m);
}

TEST(names_count_within_their_kind_and_may_be_written)
{
    struct model m = made("{\"layers\": ["
                          "{\"type\": \"conv2d\", \"channels\": 2, \"name\": \"stem.conv\"},"
                          "{\"type\": \"conv2d\", \"channels\": 2}, {\"type\": \"flatten\"},"
                          "{\"type\": \"dense\", \"units\": 4}, {\"type\": \"dense\"}]}",
                          (struct dims){4, 4, 1}, 2);

    ASSERT_STR("stem.conv", m.layers[0].name);
    ASSERT_STR("stem.conv.weight", m.params[0].name);
    ASSERT_STR("conv2", m.layers[1].name);
    ASSERT_STR("fc2.bias", m.params[m.param_count - 1].name);
    model_done(&m);
}

TEST(a_relu_between_flatten_and_dense_keeps_the_order_of_the_inputs)
{
    struct model m = made("{\"layers\": [{\"type\": \"flatten\"}, {\"type\": \"relu\"},"
                          "{\"type\": \"flatten\"}, {\"type\": \"dense\"}]}",
                          (struct dims){2, 3, 4}, 2);

    ASSERT_EQ(2, m.params[0].flattened.h);
    ASSERT_EQ(3, m.params[0].flattened.w);
    ASSERT_EQ(4, m.params[0].flattened.c);
    model_done(&m);
}

#define CONV "{\"type\": \"conv2d\", \"channels\": 4}"
#define FLAT "{\"type\": \"flatten\"}"
#define LAST "{\"type\": \"dense\"}"
#define LAYERS(list) "{\"layers\": [" list "]}"

/* What can be judged without a dataset: model_check and model_parse both refuse it. */
static const struct {
    const char *desc, *part;
} wrong[] = {
    {"3", "model is a number, allowed is mlp, lenet or cnn or an object with layers"},
    {"null", "model is null"},
    {"[]", "model is a list"},
    {"\"lennet\"", "model is \"lennet\", allowed is mlp, lenet or cnn or an object with layers; "
                   "did you mean \"lenet\"?"},
    {"\"transformer\"", "model is \"transformer\", allowed is mlp"},
    {"{}", "model.layers is missing"},
    {"{\"layer\": []}", "did you mean \"layers\"?"},
    {"{\"layers\": 3}", "model.layers is 3"},
    {"{\"layers\": []}", "model.layers is empty, allowed are 1 to 128 layers"},
    {LAYERS("7"), "model.layers[0] is a number, allowed is an object"},
    {LAYERS("{}"), "model.layers[0].type is missing"},
    {LAYERS("{\"type\": 1}"), "model.layers[0].type is 1, allowed is dense, conv2d"},
    {LAYERS("{\"type\": \"conv\", \"channels\": 4}," LAST), "did you mean \"conv2d\"?"},
    {LAYERS(CONV "," CONV ",{\"type\": \"conv2d\", \"chanels\": 4}"),
     "model.layers[2] has no key \"chanels\"; did you mean \"channels\"?"},
    {LAYERS(FLAT ",{\"type\": \"relu\", \"units\": 4}," LAST), "model.layers[1] has no key"},
    {LAYERS("{\"type\": \"conv2d\"}"), "model.layers[0].channels is missing"},
    {LAYERS("{\"type\": \"conv2d\", \"channels\": 0}"), "channels is 0, allowed is 1 to 4096"},
    {LAYERS("{\"type\": \"conv2d\", \"channels\": 4097}"), "channels is 4097, allowed is 1 to"},
    {LAYERS("{\"type\": \"conv2d\", \"channels\": \"4\"}"), "channels is \"4\", allowed is"},
    {LAYERS("{\"type\": \"conv2d\", \"channels\": 4, \"kernel\": 0}"), "kernel is 0, allowed is"},
    {LAYERS("{\"type\": \"conv2d\", \"channels\": 4, \"kernel\": 65}"), "allowed is 1 to 64"},
    {LAYERS("{\"type\": \"conv2d\", \"channels\": 4, \"stride\": 0}"), "stride is 0, allowed is"},
    {LAYERS("{\"type\": \"conv2d\", \"channels\": 4, \"padding\": 3}"),
     "padding is 3, allowed is 0 to 2"},
    {LAYERS("{\"type\": \"conv2d\", \"channels\": 4, \"bias\": 1}"), "bias is 1, allowed is true"},
    {LAYERS("{\"type\": \"maxpool\", \"size\": 0}"), "size is 0, allowed is 1 to 64"},
    {LAYERS("{\"type\": \"maxpool\", \"stride\": -1}"), "stride is -1, allowed is 1 to 64"},
    {LAYERS("{\"type\": \"dense\", \"units\": 0}"), "units is 0, allowed is 1 to 2097152"},
    {LAYERS(FLAT "," LAST "," LAST), "model.layers[1].units is missing; only the last layer"},
    {LAYERS(CONV "," FLAT), "model.layers[1] (flatten): the last layer must be dense"},
    {LAYERS(FLAT "," CONV "," LAST), "model.layers[1] (conv2d): it needs rows and columns"},
    {LAYERS(FLAT ",{\"type\": \"maxpool\"}," LAST), "model.layers[1] (maxpool): it needs rows"},
    {LAYERS(FLAT ",{\"type\": \"relu\", \"name\": \"flatten1\"}," LAST),
     "model.layers[1].name is \"flatten1\", which is the name of layers[0] too"},
    {LAYERS("{\"type\": \"relu\", \"name\": \"relu2\"},{\"type\": \"relu\"}," LAST),
     "model.layers[1].name is \"relu2\", which is the name of layers[0] too"},
    {LAYERS("{\"type\": \"relu\", \"name\": \"a b\"}," LAST),
     "name is \"a b\", allowed are 1 to 31"},
    {LAYERS("{\"type\": \"relu\", \"name\": \"\"}," LAST), "name is \"\", allowed are 1 to 31"},
    {LAYERS("{\"type\": \"relu\", \"name\": \"a123456789b123456789c123456789d1\"}," LAST),
     "model.layers[0].name is 32 bytes long, allowed is at most 31"},
};

TEST(what_no_dataset_could_make_right_is_refused_with_its_place)
{
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct errbuf why = {0};
        struct model m = {.layer_count = 77};
        ASSERT_EQ(-EINVAL, check(wrong[i].desc, &why));
        ASSERT_HAS(wrong[i].part, why.text);
        ASSERT_EQ(-EINVAL, parse(wrong[i].desc, MNIST, 10, &m, &why));
        ASSERT_HAS(wrong[i].part, why.text);
        ASSERT_EQ(77, m.layer_count);
    }
}

TEST(a_missing_description_is_refused)
{
    struct errbuf why = {0};

    ASSERT_EQ(-EINVAL, model_check(NULL, &why));
    ASSERT_HAS("model is missing", why.text);
}

TEST(layers_that_do_not_fit_the_input_are_refused_with_their_place)
{
    static const struct {
        const char *desc;
        struct dims in;
        const char *part;
    } misfits[] = {
        {LAYERS(CONV ",{\"type\": \"dense\"}"),
         {5, 6, 1},
         "model.layers[1] (dense): the input is 5x6x4; add a flatten before it"},
        {LAYERS("{\"type\": \"conv2d\", \"channels\": 2, \"kernel\": 6, \"padding\": 1}," FLAT
                "," LAST),
         {9, 3, 1},
         "model.layers[0] (conv2d): kernel is 6, the input with its padding is only 11x5"},
        {LAYERS(CONV ",{\"type\": \"maxpool\", \"size\": 3}," FLAT "," LAST),
         {2, 9, 1},
         "model.layers[1] (maxpool): size is 3, the input is only 2x9"},
        {"\"lenet\"",
         {2, 3, 1},
         "model lenet: model.layers[5] (maxpool): size is 2, the input is only 1x1"},
        {LAYERS(FLAT ",{\"type\": \"dense\", \"units\": 11}"),
         {4, 4, 1},
         "model.layers[1] (dense): units is 11, the dataset has 10 classes"},
        {LAYERS("{\"type\": \"conv2d\", \"channels\": 4096}," FLAT "," LAST),
         {512, 512, 1},
         "model.layers[0] (conv2d): the output is 512x512x4096, allowed are 16777216 entries"},
        {"\"mlp\"",
         {64, 64, 1},
         "model mlp: the model has 2231562 parameters (8.5 MiB); models above 8 MiB are not "
         "supported yet"},
    };

    for (size_t i = 0; i < sizeof(misfits) / sizeof(misfits[0]); i++) {
        struct errbuf why = {0};
        struct model m = {.layer_count = 77};
        ASSERT_EQ(-EINVAL, parse(misfits[i].desc, misfits[i].in, 10, &m, &why));
        ASSERT_HAS(misfits[i].part, why.text);
        ASSERT_EQ(77, m.layer_count);
        ASSERT_OK(check(misfits[i].desc, &why), why); /* some other input would do */
    }
}

TEST(a_model_of_exactly_8_mib_is_taken_and_one_more_row_is_not)
{
    struct errbuf why = {0};
    struct model m;
    const char *desc = LAYERS(FLAT ",{\"type\": \"dense\", \"units\": 16, \"bias\": false}");

    m = made(desc, (struct dims){512, 256, 1}, 16);
    ASSERT_EQ(PARAM_FLOATS_MAX, m.floats);
    model_done(&m);
    ASSERT_EQ(-EINVAL, parse(desc, (struct dims){512, 257, 1}, 16, &m, &why));
    ASSERT_HAS("2105344 parameters", why.text);
}

TEST(inputs_out_of_bounds_are_refused)
{
    struct errbuf why = {0};
    struct model m;
    cJSON *lenet = cJSON_CreateString("lenet");
    float zero = 0;

    ASSERT_EQ(-EINVAL, parse("\"lenet\"", (struct dims){513, 28, 1}, 10, &m, &why));
    ASSERT_HAS("images of 513x28x1", why.text);
    ASSERT_EQ(-EINVAL, parse("\"lenet\"", (struct dims){28, 0, 1}, 10, &m, &why));
    ASSERT_EQ(-EINVAL, parse("\"lenet\"", (struct dims){28, 28, 17}, 10, &m, &why));
    ASSERT_EQ(-EINVAL, parse("\"lenet\"", MNIST, 0, &m, &why));
    ASSERT_EQ(-EINVAL, parse("\"lenet\"", MNIST, 1001, &m, &why));
    ASSERT_HAS("1001 classes", why.text);
    ASSERT_EQ(-EINVAL, model_parse(lenet, MNIST, 10, means, &zero, &m, &why));
    ASSERT_HAS("std of channel 0 is 0", why.text);
    cJSON_Delete(lenet);
}

TEST(init_is_uniform_within_the_fan_in_and_keyed_by_seed_and_parameter)
{
    struct model m = made("\"lenet\"", MNIST, 10);
    float *theta = malloc(m.floats * sizeof(*theta));
    float *again = malloc(m.floats * sizeof(*again));

    memset(theta, 0xff, m.floats * sizeof(*theta));
    model_init(&m, 7, theta);
    model_init(&m, 7, again);
    ASSERT_MEM(theta, again, m.floats * sizeof(*theta));
    for (int i = 0; i < m.param_count; i++) {
        const struct param *p = &m.params[i];
        double bound = 1 / sqrt(p->fan_in), sum = 0, square = 0;
        for (size_t j = 0; j < p->count; j++) {
            double v = theta[p->offset + j];
            ASSERT(fabs(v) <= bound * (1 + 1e-7));
            sum += v;
            square += v * v;
        }
        double spread = bound / sqrt(3); /* standard deviation of the uniform distribution */
        double n = (double)p->count;
        ASSERT_NEAR(0, sum / n, 5 * spread / sqrt(n));
        if (n > 1000)
            ASSERT_NEAR(1, sqrt(square / n) / spread, 0.05);
        for (size_t j = p->offset + p->count; j % 16 != 0; j++)
            ASSERT(theta[j] == 0);
    }
    ASSERT(theta[m.params[1].offset] != theta[m.params[7].offset]);
    model_init(&m, 8, again);
    ASSERT(memcmp(theta, again, m.params[0].count * sizeof(*theta)) != 0);
    free(again);
    free(theta);
    model_done(&m);
}

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

    ASSERT_OK(model_export(&m, theta, NULL, 0, path, &why), why);
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

    ASSERT_OK(model_export(&m, theta, extra, 2, path, &why), why);
    ASSERT_OK(safetensors_open(path, &st, &why), why);
    ASSERT_STR("pt", safetensors_meta_get(&st, "format"));
    ASSERT_STR("custom", safetensors_meta_get(&st, "model"));
    ASSERT_STR("3,4,2", safetensors_meta_get(&st, "input"));
    ASSERT_STR("2", safetensors_meta_get(&st, "classes"));
    ASSERT_STR("0.25,0.5", safetensors_meta_get(&st, "mean"));
    ASSERT_STR("0.5,0.25", safetensors_meta_get(&st, "std"));
    ASSERT_STR("fashion", safetensors_meta_get(&st, "job"));
    ASSERT_STR("9", safetensors_meta_get(&st, "epoch"));

    char desc[2048];
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

TEST(export_to_a_missing_folder_is_an_error)
{
    struct errbuf why = {0};
    float *theta;
    struct model m = small_model(&theta);

    ASSERT(model_export(&m, theta, NULL, 0, test_path("no/model.safetensors"), &why) < 0);
    ASSERT_HAS("no/model.safetensors", why.text);
    free(theta);
    model_done(&m);
}
