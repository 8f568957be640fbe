/* The models that a job file may name, written as a job file would write them: what a preset is, a
 * person can write too, and one parser reads both. The last dense layer leaves `units` out and gets
 * as many as the dataset has classes. */
#include "common/model.h"

#include "common/text.h"

enum { PRESET_MLP, PRESET_LENET, PRESET_CNN, PRESET_RESNET20_GN, PRESETS };

const char *const model_presets[] = {
    [PRESET_MLP] = "mlp", [PRESET_LENET] = "lenet",
    [PRESET_CNN] = "cnn", [PRESET_RESNET20_GN] = "resnet20_gn",
    [PRESETS] = NULL,
};

/* Residual networks in the form for CIFAR: names as torchvision's. A block is
 * relu(norm(conv(relu(norm(conv(x))))) + x), called `name`; where the shape changes, x goes through
 * a 1x1 convolution and a norm. */
#define CONV(name, channels, kernel, stride)                                                       \
    "{\"type\": \"conv2d\", \"name\": \"" name "\", \"channels\": " #channels                      \
    ", \"kernel\": " #kernel ", \"stride\": " #stride ", \"bias\": false"
#define NORM(name) "{\"type\": \"groupnorm\", \"name\": \"" name "\", \"groups\": 8},"
#define RELU(name) "{\"type\": \"relu\", \"name\": \"" name "\"},"
#define BRANCH(name, channels, stride)                                                             \
    CONV(name ".conv1", channels, 3, stride)                                                       \
    "}," NORM(name ".gn1") RELU(name ".relu")                                                      \
        CONV(name ".conv2", channels, 3, 1) "}," NORM(name ".gn2")
#define BLOCK(name, x, channels)                                                                   \
    BRANCH(name, channels, 1)                                                                      \
    "{\"type\": \"add\", \"name\": \"" name ".add\", \"from\": \"" x "\"}," RELU(name)
#define BLOCK_DOWN(name, x, channels)                                                              \
    BRANCH(name, channels, 2)                                                                      \
    CONV(name ".downsample.0", channels, 1, 2)                                                     \
    ", \"input\": \"" x "\"}," NORM(name ".downsample.1") "{\"type\": \"add\", \"name\": \"" name  \
                                                          ".add\", \"from\": \"" name              \
                                                          ".gn2\"}," RELU(name)

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
    [PRESET_RESNET20_GN] = "{\"layers\": [" CONV("conv1", 16, 3, 1) "}," NORM("gn1") RELU("relu")
        BLOCK("layer1.0", "relu", 16) BLOCK("layer1.1", "layer1.0", 16)
            BLOCK("layer1.2", "layer1.1", 16) BLOCK_DOWN("layer2.0", "layer1.2", 32)
                BLOCK("layer2.1", "layer2.0", 32) BLOCK("layer2.2", "layer2.1", 32)
                    BLOCK_DOWN("layer3.0", "layer2.2", 64) BLOCK("layer3.1", "layer3.0", 64)
                        BLOCK("layer3.2", "layer3.1",
                              64) "{\"type\": \"globalpool\", \"name\": \"avgpool\"},"
                                  "{\"type\": \"dense\", \"name\": \"fc\"}]}",
};

const char *model_preset_json(const char *name)
{
    int i = text_index(name, model_presets);

    return i < 0 ? NULL : descriptions[i];
}
