/* The models that a job file may name, written as a job file would write them: what a preset is, a
 * person can write too, and one parser reads both. The last dense layer leaves `units` out and gets
 * as many as the dataset has classes. */
#include "common/model.h"

#include "common/text.h"

enum {
    PRESET_MLP,
    PRESET_LENET,
    PRESET_CNN,
    PRESET_RESNET20,
    PRESET_RESNET20_GN,
    PRESET_WRN16_4,
    PRESET_RESNET18,
    PRESETS
};

const char *const model_presets[] = {
    [PRESET_MLP] = "mlp",
    [PRESET_LENET] = "lenet",
    [PRESET_CNN] = "cnn",
    [PRESET_RESNET20] = "resnet20",
    [PRESET_RESNET20_GN] = "resnet20_gn",
    [PRESET_WRN16_4] = "wrn16_4",
    [PRESET_RESNET18] = "resnet18",
    [PRESETS] = NULL,
};

/* Residual networks in the form for CIFAR: names as torchvision's. N is the norm, BN or GN. */
#define CONV(name, channels, kernel, stride, more)                                                 \
    "{\"type\": \"conv2d\", \"name\": \"" name "\", \"channels\": " #channels                      \
    ", \"kernel\": " #kernel ", \"stride\": " #stride more ", \"bias\": false},"
#define INPUT(x) ", \"input\": \"" x "\""
#define BN(name) "{\"type\": \"batchnorm\", \"name\": \"" name "\"},"
#define BN_NAME "bn"
#define GN(name) "{\"type\": \"groupnorm\", \"name\": \"" name "\", \"groups\": 8},"
#define GN_NAME "gn"
#define RELU(name) "{\"type\": \"relu\", \"name\": \"" name "\"},"
#define ADD(name, from) "{\"type\": \"add\", \"name\": \"" name ".add\", \"from\": \"" from "\"},"
#define HEAD                                                                                       \
    "{\"type\": \"globalpool\", \"name\": \"avgpool\"}, {\"type\": \"dense\", \"name\": \"fc\"}]}"

/* relu(norm(conv(relu(norm(conv(x))))) + x), called `name`; where the shape changes, x goes through
 * a 1x1 convolution and a norm. */
#define BRANCH(N, name, channels, stride)                                                          \
    CONV(name ".conv1", channels, 3, stride, "")                                                   \
    N(name "." N##_NAME "1")                                                                       \
    RELU(name ".relu") CONV(name ".conv2", channels, 3, 1, "") N(name "." N##_NAME "2")
#define BLOCK(N, name, x, channels) BRANCH(N, name, channels, 1) ADD(name, x) RELU(name)
#define BLOCK_DOWN(N, name, x, channels)                                                           \
    BRANCH(N, name, channels, 2)                                                                   \
    CONV(name ".downsample.0", channels, 1, 2, INPUT(x))                                           \
    N(name ".downsample.1") ADD(name, name "." N##_NAME "2") RELU(name)

#define RESNET20(N)                                                                                \
    "{\"layers\": [" CONV("conv1", 16, 3, 1, "") N(N##_NAME "1") RELU("relu")                      \
        BLOCK(N, "layer1.0", "relu", 16) BLOCK(N, "layer1.1", "layer1.0", 16)                      \
            BLOCK(N, "layer1.2", "layer1.1", 16) BLOCK_DOWN(N, "layer2.0", "layer1.2", 32)         \
                BLOCK(N, "layer2.1", "layer2.0", 32) BLOCK(N, "layer2.2", "layer2.1", 32)          \
                    BLOCK_DOWN(N, "layer3.0", "layer2.2", 64) BLOCK(N, "layer3.1", "layer3.0", 64) \
                        BLOCK(N, "layer3.2", "layer3.1", 64) HEAD

#define RESNET18                                                                                   \
    "{\"layers\": [" CONV("conv1", 64, 3, 1, "") BN("bn1") RELU("relu")                            \
        BLOCK(BN, "layer1.0", "relu", 64) BLOCK(BN, "layer1.1", "layer1.0", 64)                    \
            BLOCK_DOWN(BN, "layer2.0", "layer1.1", 128) BLOCK(BN, "layer2.1", "layer2.0", 128)     \
                BLOCK_DOWN(BN, "layer3.0", "layer2.1", 256) BLOCK(BN, "layer3.1", "layer3.0", 256) \
                    BLOCK_DOWN(BN, "layer4.0", "layer3.1", 512)                                    \
                        BLOCK(BN, "layer4.1", "layer4.0", 512) HEAD

/* The block of wide residual networks, norms first: conv(relu(norm(conv(t)))) + x with t =
 * relu(norm(x)), called `name`; where the shape changes, the summand is a 1x1 convolution of t. */
#define PRE_BRANCH(name, channels, stride)                                                         \
    BN(name ".bn1")                                                                                \
    RELU(name ".relu1")                                                                            \
    CONV(name ".conv1", channels, 3, stride, "")                                                   \
    BN(name ".bn2") RELU(name ".relu2") CONV(name ".conv2", channels, 3, 1, "")
#define PRE_BLOCK(name, x, channels)                                                               \
    PRE_BRANCH(name, channels, 1)                                                                  \
    "{\"type\": \"add\", \"name\": \"" name "\", \"from\": \"" x "\"},"
#define PRE_BLOCK_WIDER(name, channels, stride)                                                    \
    PRE_BRANCH(name, channels, stride)                                                             \
    CONV(name ".shortcut", channels, 1, stride, INPUT(name ".relu1"))                              \
    "{\"type\": \"add\", \"name\": \"" name "\", \"from\": \"" name ".conv2\"},"

#define WRN16_4                                                                                    \
    "{\"layers\": [" CONV("conv1", 16, 3, 1, "") PRE_BLOCK_WIDER("layer1.0", 64, 1)                \
        PRE_BLOCK("layer1.1", "layer1.0", 64) PRE_BLOCK_WIDER("layer2.0", 128, 2)                  \
            PRE_BLOCK("layer2.1", "layer2.0", 128) PRE_BLOCK_WIDER("layer3.0", 256, 2)             \
                PRE_BLOCK("layer3.1", "layer3.0", 256) BN("bn1") RELU("relu") HEAD

static const char *const descriptions[PRESETS] = {
    [PRESET_MLP] = "{\"layers\": ["
                   "{\"type\": \"flatten\"},"
                   "{\"type\": \"dense\", \"units\": 512}, {\"type\": \"relu\"},"
                   "{\"type\": \"dense\", \"units\": 256}, {\"type\": \"relu\"},"
                   "{\"type\": \"dense\"}]}",
    [PRESET_LENET] = "{\"layers\": ["
                     "{\"type\": \"conv2d\", \"channels\": 16, \"kernel\": 3, \"padding\": 1},"
                     "{\"type\": \"relu\"}, {\"type\": \"maxpool\", \"size\": 2},"
                     "{\"type\": \"conv2d\", \"channels\": 32, \"kernel\": 3, \"padding\": 1},"
                     "{\"type\": \"relu\"}, {\"type\": \"maxpool\", \"size\": 2},"
                     "{\"type\": \"flatten\"},"
                     "{\"type\": \"dense\", \"units\": 128}, {\"type\": \"relu\"},"
                     "{\"type\": \"dense\"}]}",
    [PRESET_CNN] = "{\"layers\": ["
                   "{\"type\": \"conv2d\", \"channels\": 32, \"kernel\": 3, \"padding\": 1},"
                   "{\"type\": \"relu\"},"
                   "{\"type\": \"conv2d\", \"channels\": 64, \"kernel\": 3, \"padding\": 1},"
                   "{\"type\": \"relu\"}, {\"type\": \"maxpool\", \"size\": 2},"
                   "{\"type\": \"flatten\"},"
                   "{\"type\": \"dense\", \"units\": 128}, {\"type\": \"relu\"},"
                   "{\"type\": \"dense\"}]}",
    [PRESET_RESNET20] = RESNET20(BN),
    [PRESET_RESNET20_GN] = RESNET20(GN),
    [PRESET_WRN16_4] = WRN16_4,
    [PRESET_RESNET18] = RESNET18,
};

const char *model_preset_json(const char *name)
{
    int i = text_index(name, model_presets);

    return i < 0 ? NULL : descriptions[i];
}
