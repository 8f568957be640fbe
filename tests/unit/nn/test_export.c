/* The exported model, read by independent programs, gives the engine's logits. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "common/alloc.h"
#include "common/field.h"
#include "common/glyphs.h"
#include "proto/cli/onnx.h"
#include "tests/unit/nn/support.h"
#include "worker/nn/net.h"

#define IMAGES 100u
#define ONNX_IMAGES 7u

static void write_file(const char *path, const void *data, size_t bytes)
{
    FILE *f = fopen(path, "wb");

    ASSERT(f && fwrite(data, 1, bytes, f) == bytes && fclose(f) == 0);
}

static int run_python(const char *script, const char *model, struct dims dims, const char *more)
{
    char command[1200];

    snprintf(command, sizeof(command), "/usr/bin/python3 tests/golden/%s %s %s %s %u %u %u %s",
             script, test_path(model), test_path("images"), test_path("logits"), dims.h, dims.w,
             dims.c, more);
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Some images that are no noise, and the engine's logits of them. */
static void write_logits(const struct model *m, const float *theta)
{
    const size_t pixels = (size_t)ONNX_IMAGES * m->in.h * m->in.w * m->in.c;
    uint8_t *images = xcalloc(pixels, 1);
    float *x = reals(pixels);

    for (size_t i = 0; i < pixels; i++) {
        images[i] = (uint8_t)(i * 7 + i / m->in.c % m->in.w * 5 + (i * i) % 97);
        x[i] = (float)images[i] / 255.0f;
    }
    struct net *net = net_create(m, kernels_best(), ONNX_IMAGES);
    const float *logits = net_forward(net, &evaluation, theta, x, ONNX_IMAGES);
    write_file(test_path("images"), images, pixels);
    write_file(test_path("logits"), logits, (size_t)ONNX_IMAGES * m->classes * sizeof(float));
    net_free(net);
    free(x);
    free(images);
}

static void check_onnx(struct model m, const char *more)
{
    const struct safetensors_meta meta = {"job", "1"};
    float *theta = start_of(&m, 7);
    struct errbuf why;

    write_logits(&m, theta);
    ASSERT_OK(onnx_write(&m, theta, &meta, 1, test_path("m.onnx"), &why), why);
    int rc = run_python("read_onnx.py", "m.onnx", m.in, more);
    free(theta);
    model_done(&m);
    if (rc == 77)
        SKIP("python3-opencv is not installed");
    ASSERT_EQ(0, rc);
}

TEST(opencv_gets_the_same_logits_from_every_preset_as_onnx)
{
    for (int i = 0; model_presets[i]; i++)
        check_onnx(model_of(model_presets[i], (struct dims){32, 32, 3}, 10), "");
}

TEST(opencv_gets_the_same_logits_from_the_example_models_as_onnx)
{
    static const char *const examples[] = {"custom-layers", "residual-layers"};
    struct errbuf why = {0};
    cJSON *job;

    for (size_t i = 0; i < COUNT(examples); i++) {
        char path[64];
        snprintf(path, sizeof(path), "deploy/examples/%s.json", examples[i]);
        ASSERT_OK(field_parse_file(path, JSON_REQUEST_BYTES_MAX, &job, &why), why);
        const cJSON *model = cJSON_GetObjectItem(job, "model");
        char *layers = cJSON_PrintUnformatted(cJSON_GetObjectItem(model, "layers"));
        check_onnx(model_of(layers, (struct dims){28, 28, 1}, 10), "");
        cJSON_free(layers);
        cJSON_Delete(job);
    }
}

/* Every kind of layer, in the places where its form in ONNX could differ. */
TEST(opencv_gets_the_same_logits_from_every_kind_of_layer_as_onnx)
{
    const struct dims image = {12, 14, 2};

    check_onnx(
        model_of(
            "[{\"type\":\"conv2d\",\"name\":\"stem\",\"channels\":12,\"bias\":false,\"kernel\":5,"
            "\"padding\":1},{\"type\":\"groupnorm\",\"groups\":3},{\"type\":\"relu\"},"
            "{\"type\":\"avgpool\",\"size\":3,\"stride\":2},{\"type\":\"dropout\"},"
            "{\"type\":\"conv2d\",\"input\":\"stem\",\"channels\":12,\"kernel\":1,\"stride\":2,"
            "\"name\":\"side\",\"padding\":0},{\"type\":\"maxpool\",\"stride\":1,\"name\":\"top\"},"
            "{\"type\":\"add\",\"from\":\"dropout1\"},{\"type\":\"batchnorm\",\"name\":\"pixels\"},"
            "{\"type\":\"flatten\"},{\"type\":\"dense\",\"units\":5,\"bias\":false}]",
            image, 5),
        "");
    /* A pool's [N, C, 1, 1] meets a dense layer's [N, C]; norms of flat inputs. */
    check_onnx(
        model_of("[{\"type\":\"conv2d\",\"channels\":8,\"stride\":2},"
                 "{\"type\":\"globalpool\",\"name\":\"mean\"},{\"type\":\"dense\",\"units\":8},"
                 "{\"type\":\"add\",\"from\":\"mean\"},{\"type\":\"batchnorm\"},"
                 "{\"type\":\"groupnorm\",\"groups\":2},{\"type\":\"relu\"},"
                 "{\"type\":\"dense\",\"name\":\"logits\"}]",
                 image, 4),
        "plain");
}

static void check_model(const char *desc)
{
    struct glyphs_spec spec = glyphs_defaults();
    struct dataset_draft d;
    struct errbuf why;
    struct safetensors_meta meta = {"job", "1"};

    if (system("/usr/bin/python3 -c 'import numpy' 2>/dev/null") != 0)
        SKIP("python3-numpy is not installed");
    spec.samples = IMAGES;
    spec.test_samples = 10;
    ASSERT_OK(glyphs_draw(&spec, &d, &why), why);
    struct model m = model_of(desc, d.dims, d.classes);
    float *theta = start_of(&m, 7);
    size_t pixels = (size_t)IMAGES * d.dims.h * d.dims.w * d.dims.c;
    float *x = reals(pixels);
    for (size_t i = 0; i < pixels; i++)
        x[i] = (float)d.images[i] / 255.0f;

    struct net *net = net_create(&m, kernels_best(), IMAGES);
    const float *logits = net_forward(net, &evaluation, theta, x, IMAGES);
    ASSERT_OK(model_export(&m, theta, 0, &meta, 1, test_path("m.safetensors"), &why), why);
    write_file(test_path("images"), d.images, pixels);
    write_file(test_path("logits"), logits, (size_t)IMAGES * d.classes * sizeof(float));
    ASSERT_EQ(0, run_python("read_export.py", "m.safetensors", d.dims, ""));

    net_free(net);
    free(x);
    free(theta);
    model_done(&m);
    dataset_draft_done(&d);
}

TEST(an_exported_lenet_gives_the_same_logits_in_numpy)
{
    check_model("lenet");
}

TEST(an_exported_mlp_gives_the_same_logits_in_numpy)
{
    check_model("mlp");
}

TEST(an_exported_residual_network_gives_the_same_logits_in_numpy)
{
    check_model("resnet20_gn");
}

TEST(exported_branches_norms_and_pools_give_the_same_logits_in_numpy)
{
    check_model("[{\"type\":\"conv2d\",\"name\":\"stem\",\"channels\":12,\"bias\":false},"
                "{\"type\":\"groupnorm\",\"groups\":3},"
                "{\"type\":\"avgpool\",\"size\":3,\"stride\":2},"
                "{\"type\":\"conv2d\",\"input\":\"stem\",\"channels\":12,\"kernel\":1,\"stride\":2,"
                "\"name\":\"side\"},"
                "{\"type\":\"maxpool\",\"stride\":1},"
                "{\"type\":\"add\",\"from\":\"avgpool1\"},{\"type\":\"flatten\"},"
                "{\"type\":\"dense\",\"units\":10,\"bias\":false}]");
}

TEST(an_exported_network_with_running_statistics_gives_the_same_logits_in_numpy)
{
    check_model("resnet20");
    check_model(
        "[{\"type\":\"flatten\"},{\"type\":\"dense\",\"units\":12},{\"type\":\"batchnorm\"},"
        "{\"type\":\"relu\"},{\"type\":\"dropout\"},{\"type\":\"dense\"}]");
}

TEST(an_exported_list_of_layers_gives_the_same_logits_in_numpy)
{
    check_model("[{\"type\":\"conv2d\",\"channels\":6,\"kernel\":5,\"stride\":2,\"padding\":1},"
                "{\"type\":\"relu\"},{\"type\":\"maxpool\",\"size\":3,\"stride\":2},"
                "{\"type\":\"flatten\"},{\"type\":\"dense\",\"units\":10}]");
}
