/* The exported model, read by an independent program, gives the engine's logits. */
#include <stdio.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/glyphs.h"
#include "tests/unit/nn/support.h"
#include "worker/nn/net.h"

#define IMAGES 100u

static void write_file(const char *path, const void *data, size_t bytes)
{
    FILE *f = fopen(path, "wb");

    ASSERT(f && fwrite(data, 1, bytes, f) == bytes && fclose(f) == 0);
}

static void check_model(const char *desc)
{
    struct glyphs_spec spec = glyphs_defaults();
    struct dataset_draft d;
    struct errbuf why;
    struct safetensors_meta meta = {"job", "1"};
    char command[1200];

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
    snprintf(command, sizeof(command), "/usr/bin/python3 tests/golden/read_export.py %s %s %s",
             test_path("m.safetensors"), test_path("images"), test_path("logits"));
    ASSERT_EQ(0, system(command));

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
