#include <errno.h>
#include <stdlib.h>

#include "tests/unit/common/models.h"

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

TEST(resnet20_gn_is_the_network_for_cifar)
{
    struct model m = made("\"resnet20_gn\"", (struct dims){32, 32, 3}, 10);
    const struct layer *last = &m.layers[m.layer_count - 1];
    int adds = 0, norms = 0;

    /* 3x3 and 1x1 convolutions, 21 norms and the dense layer of the peer. */
    ASSERT_EQ(432 + 6 * 2304 + 4608 + 5 * 9216 + 18432 + 5 * 36864 + 512 + 2048 +
                  2 * (7 * 16 + 7 * 32 + 7 * 64) + 650,
              m.param_total);
    for (int i = 0; i < m.layer_count; i++) {
        const struct layer *l = &m.layers[i];
        adds += l->kind == LAYER_ADD;
        norms += l->kind == LAYER_GROUPNORM && l->groups == 8;
        if (l->kind == LAYER_CONV2D)
            ASSERT(!l->bias && l->bias_param == -1);
    }
    ASSERT_EQ(9, adds);
    ASSERT_EQ(21, norms);
    ASSERT_EQ(64, last->in.c);
    assert_param(&m, 0, "conv1.weight", 4, (uint32_t[]){3, 3, 3, 16}, 27, true);
    assert_param(&m, 1, "gn1.weight", 1, (uint32_t[]){16}, 0, false);
    assert_param(&m, 2, "gn1.bias", 1, (uint32_t[]){16}, 0, false);
    assert_param(&m, 3, "layer1.0.conv1.weight", 4, (uint32_t[]){3, 3, 16, 16}, 144, true);
    assert_param(&m, 27, "layer2.0.downsample.0.weight", 4, (uint32_t[]){1, 1, 16, 32}, 16, true);
    assert_param(&m, 28, "layer2.0.downsample.1.weight", 1, (uint32_t[]){32}, 0, false);
    assert_param(&m, m.param_count - 2, "fc.weight", 2, (uint32_t[]){64, 10}, 64, true);
    model_done(&m);
}

TEST(a_layer_reads_the_one_before_it_or_the_one_it_names)
{
    struct model m = made("{\"layers\": ["
                          "{\"type\": \"conv2d\", \"channels\": 4, \"name\": \"a\"},"
                          "{\"type\": \"groupnorm\", \"groups\": 2},{\"type\": \"avgpool\"},"
                          "{\"type\": \"conv2d\", \"input\": \"a\", \"channels\": 4, \"kernel\": 1,"
                          " \"stride\": 2},"
                          "{\"type\": \"add\", \"from\": \"avgpool1\"},"
                          "{\"type\": \"globalpool\"},{\"type\": \"dense\"}]}",
                          (struct dims){8, 6, 1}, 2);
    static const int inputs[] = {-1, 0, 1, 0, 3, 4, 5};
    static const char *const names[] = {"a",    "gn1",         "avgpool1", "conv2",
                                        "add1", "globalpool1", "fc1"};

    for (int i = 0; i < m.layer_count; i++) {
        ASSERT_EQ(inputs[i], m.layers[i].input);
        ASSERT_EQ(i == 4 ? 2 : -1, m.layers[i].from);
        ASSERT_STR(names[i], m.layers[i].name);
    }
    ASSERT_EQ(4, m.layers[4].out.h);
    ASSERT_EQ(3, m.layers[4].out.w);
    ASSERT_EQ(1, m.layers[5].out.h);
    ASSERT_EQ(4, m.layers[5].out.c);
    ASSERT_EQ(0, m.params[m.param_count - 2].flattened.c);
    model_done(&m);
}

/* Bottom up as the peer builds them: convolutions without bias, a scale and a shift a norm. */
static size_t basic_params(const uint32_t *widths, int stages, int blocks)
{
    size_t total = 27 * widths[0] + 2 * widths[0], in = widths[0];

    for (int s = 0; s < stages; s++) {
        const size_t w = widths[s];
        for (int b = 0; b < blocks; b++, in = w)
            total += 9 * in * w + 9 * w * w + 4 * w + (in == w ? 0 : in * w + 2 * w);
    }
    return total + 10 * in + 10;
}

TEST(resnet20_is_resnet20_gn_with_other_norms)
{
    struct model m = made("\"resnet20\"", (struct dims){32, 32, 3}, 10);
    struct model gn = made("\"resnet20_gn\"", (struct dims){32, 32, 3}, 10);

    ASSERT_EQ(basic_params((uint32_t[]){16, 32, 64}, 3, 3), m.param_total);
    ASSERT_EQ(gn.param_total, m.param_total);
    ASSERT_EQ(gn.trained, m.trained);
    ASSERT_EQ(gn.floats, gn.trained);
    ASSERT_EQ(gn.layer_count, m.layer_count);
    for (int i = 0; i < m.layer_count; i++)
        ASSERT_EQ(gn.layers[i].kind == LAYER_GROUPNORM, m.layers[i].kind == LAYER_BATCHNORM);
    assert_param(&m, 1, "bn1.weight", 1, (uint32_t[]){16}, 0, false);
    model_done(&m);
    model_done(&gn);
}

TEST(running_statistics_lie_behind_all_that_is_trained)
{
    struct model m = made("\"resnet20\"", (struct dims){32, 32, 3}, 10);
    int running = 0;

    ASSERT_EQ(m.trained_count + 2 * 21, m.param_count);
    ASSERT_EQ(m.trained, m.params[m.trained_count].offset);
    ASSERT_EQ(m.trained + 2 * (7 * 16 + 7 * 32 + 7 * 64), m.floats);
    assert_param(&m, m.trained_count, "bn1.running_mean", 1, (uint32_t[]){16}, 0, false);
    assert_param(&m, m.param_count - 1, "layer3.2.bn2.running_var", 1, (uint32_t[]){64}, 0, false);
    for (int i = 0; i < m.layer_count; i++) {
        const struct layer *l = &m.layers[i];
        ASSERT_EQ(l->kind == LAYER_BATCHNORM, l->running_mean >= m.trained_count);
        ASSERT_EQ(l->running_mean >= 0 ? l->running_mean + 1 : -1, l->running_var);
        running += l->running_mean >= 0;
    }
    ASSERT_EQ(21, running);
    model_done(&m);
}

TEST(wrn16_4_and_resnet18_are_the_networks_for_cifar)
{
    struct model m;
    struct errbuf why = {0};
    /* Convolutions of the blocks, shortcuts, norms and the dense layer. */
    const size_t wide =
        432 + 9 * (16 * 64 + 3 * 64 * 64 + 64 * 128 + 3 * 128 * 128 + 128 * 256 + 3 * 256 * 256) +
        16 * 64 + 64 * 128 + 128 * 256 + 2 * (16 + 3 * 64 + 64 + 3 * 128 + 128 + 3 * 256 + 256) +
        2570;

    if (parse("\"resnet18\"", (struct dims){32, 32, 3}, 10, &m, &why) != 0)
        SKIP("models above 8 MiB do not travel yet");
    ASSERT_EQ(basic_params((uint32_t[]){64, 128, 256, 512}, 4, 2), m.param_total);
    ASSERT_EQ(4, m.layers[m.layer_count - 3].out.h);
    model_done(&m);
    m = made("\"wrn16_4\"", (struct dims){32, 32, 3}, 10);
    ASSERT_EQ(wide, m.param_total);
    ASSERT_EQ(8, m.layers[m.layer_count - 3].out.h);
    model_done(&m);
}

TEST(a_batchnorm_needs_two_values_a_channel)
{
    struct errbuf why = {0};
    struct model m = made(LAYERS("{\"type\": \"globalpool\"},{\"type\": \"batchnorm\"}," LAST),
                          (struct dims){8, 6, 3}, 2);

    ASSERT_OK(model_check_shard(&m, 2, &why), why);
    ASSERT_EQ(-EINVAL, model_check_shard(&m, 1, &why));
    ASSERT_HAS("shard is 1 and model.layers[1] (batchnorm) has an input of 1x1x3", why.text);
    model_done(&m);
    m = made("\"resnet20\"", (struct dims){32, 32, 3}, 10);
    ASSERT_OK(model_check_shard(&m, 1, &why), why);
    model_done(&m);
}

TEST(norms_start_at_one_and_zero)
{
    struct model m = made("\"resnet20\"", (struct dims){32, 32, 3}, 10);
    float *theta = malloc(m.floats * sizeof(*theta));

    model_init(&m, 7, theta);
    for (int i = 0; i < m.param_count; i++) {
        const char *name = m.params[i].name;
        const bool one = strstr(name, "weight") || strstr(name, "running_var");
        for (size_t j = 0; j < m.params[i].count && m.params[i].fan_in == 0; j++)
            ASSERT(theta[m.params[i].offset + j] == (one ? 1 : 0));
    }
    free(theta);
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

#define RELU "{\"type\": \"relu\"}"

/* What can be judged without a dataset: model_check and model_parse both refuse it. */
static const struct {
    const char *desc, *part;
} wrong[] = {
    {"3", "model is a number, allowed is mlp, lenet, cnn, resnet20, resnet20_gn, wrn16_4 or "
          "resnet18 or an object with layers"},
    {"null", "model is null"},
    {"[]", "model is a list"},
    {"\"lennet\"", "model is \"lennet\", allowed is mlp, lenet, cnn, resnet20, resnet20_gn, "
                   "wrn16_4 or resnet18 or an object with layers; "
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
    {LAYERS("{\"type\": \"avgpool\", \"size\": 65}"), "size is 65, allowed is 1 to 64"},
    {LAYERS("{\"type\": \"groupnorm\"}"), "model.layers[0].groups is missing"},
    {LAYERS("{\"type\": \"groupnorm\", \"groups\": 0}"), "groups is 0, allowed is 1 to 4096"},
    {LAYERS("{\"type\": \"groupnorm\", \"group\": 2}"), "did you mean \"groups\"?"},
    {LAYERS("{\"type\": \"dropout\", \"rate\": 1}"), "rate is 1, allowed is 0 to 0.99"},
    {LAYERS("{\"type\": \"batchnorm\", \"groups\": 2}"), "model.layers[0] has no key \"groups\""},
    {LAYERS("{\"type\": \"globalpool\", \"size\": 2}"), "model.layers[0] has no key \"size\""},
    {LAYERS("{\"type\": \"add\"}," LAST), "model.layers[0].from is missing"},
    {LAYERS("{\"type\": \"add\", \"from\": \"relu1\"}," LAST),
     "model.layers[0].from is \"relu1\", but no earlier layer has this name"},
    {LAYERS(CONV "," RELU ",{\"type\": \"add\", \"from\": \"comv1\"}"),
     "model.layers[2].from is \"comv1\", but no earlier layer has this name; did you mean "
     "\"conv1\"?"},
    {LAYERS(CONV "," RELU ",{\"type\": \"add\", \"from\": \"relu1\"}"),
     "model.layers[2].from is \"relu1\", which is already its input"},
    {LAYERS(CONV "," RELU ",{\"type\": \"conv2d\", \"channels\": 4, \"input\": \"conv2\"}"),
     "model.layers[2].input is \"conv2\", but no earlier layer has this name; did you mean "
     "\"conv1\"?"},
    {LAYERS(RELU ",{\"type\": \"relu\", \"input\": 1}"), "model.layers[1].input is 1, allowed"},
    {LAYERS(RELU "," CONV ",{\"type\": \"flatten\", \"input\": \"relu1\"}," LAST),
     "model.layers[1] (conv2d): no layer reads its output, \"conv1\""},
    {LAYERS(FLAT ",{\"type\": \"dense\", \"units\": 4}," FLAT
                 ",{\"type\": \"add\", \"from\": \"fc1\"},"
                 "{\"type\": \"avgpool\"}"),
     "model.layers[4] (avgpool): it needs rows and columns"},
    {LAYERS("{\"type\": \"dense\", \"units\": 0}"), "units is 0, allowed is 1 to 67108864"},
    {LAYERS(FLAT "," LAST "," LAST), "model.layers[1].units is missing; only the last layer"},
    {LAYERS(CONV "," FLAT), "model.layers[1] (flatten): the last layer must be dense"},
    {LAYERS(FLAT "," CONV "," LAST), "model.layers[1] (conv2d): it needs rows and columns"},
    {LAYERS(FLAT ",{\"type\": \"maxpool\"}," LAST), "model.layers[1] (maxpool): it needs rows"},
    {LAYERS(FLAT ",{\"type\": \"relu\", \"name\": \"flatten1\"}," LAST),
     "model.layers[1].name is \"flatten1\", which is also the name of layers[0]"},
    {LAYERS("{\"type\": \"relu\", \"name\": \"relu2\"},{\"type\": \"relu\"}," LAST),
     "model.layers[1].name is \"relu2\", which is also the name of layers[0]"},
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
        {LAYERS(CONV ",{\"type\": \"groupnorm\", \"groups\": 3}," FLAT "," LAST),
         {4, 4, 1},
         "model.layers[1] (groupnorm): groups is 3, which does not divide the 4 channels of the "
         "input"},
        {LAYERS(CONV ",{\"type\": \"groupnorm\", \"groups\": 4}," FLAT "," LAST),
         {1, 1, 1},
         "model.layers[1] (groupnorm): groups is 4 and the input 1x1x4: every group would be one"},
        {LAYERS(FLAT ",{\"type\": \"groupnorm\", \"groups\": 4}," LAST),
         {4, 4, 1},
         "model.layers[1] (groupnorm): its input was flattened; put it before the flatten"},
        {LAYERS(CONV ",{\"type\": \"maxpool\"},{\"type\": \"add\", \"from\": \"conv1\"}," FLAT
                     "," LAST),
         {8, 6, 1},
         "model.layers[2] (add): it adds conv1, 8x6x4, to pool1, 4x3x4; both must have the same "
         "shape"},
        {LAYERS(FLAT ",{\"type\": \"dense\", \"units\": 16},"
                     "{\"type\": \"add\", \"from\": \"flatten1\"}," LAST),
         {4, 4, 1},
         "model.layers[2] (add): it adds flatten1 to fc1, of which one is a flattened image"},
        {"\"mlp\"",
         {512, 512, 1},
         "model mlp: the model has 134352138 parameters (512.5 MiB), allowed are 256 MiB"},
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

TEST(a_model_of_exactly_256_mib_is_taken_and_one_more_class_is_not)
{
    struct errbuf why = {0};
    struct model m;
    const char *desc = LAYERS(FLAT ",{\"type\": \"dense\", \"bias\": false}");

    m = made(desc, (struct dims){512, 512, 1}, 256);
    ASSERT_EQ(PARAM_FLOATS_MAX, m.floats);
    model_done(&m);
    ASSERT_EQ(-EINVAL, parse(desc, (struct dims){512, 512, 1}, 257, &m, &why));
    ASSERT_HAS("67371008 parameters (257.0 MiB), allowed are 256 MiB", why.text);
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
    ASSERT_EQ(-EINVAL, parse("\"lenet\"", MNIST, 65536, &m, &why));
    ASSERT_HAS("65536 classes", why.text);
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
