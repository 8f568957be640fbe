/* The models that a job file may name, written as a job file would write them: what a preset is, a
 * person can write too, and one parser reads both. The last dense layer leaves `units` out and gets
 * as many as the dataset has classes. */
#include "common/model.h"

#include "common/text.h"

enum { PRESET_MLP, PRESET_LENET, PRESET_CNN, PRESETS };

const char *const model_presets[] = {
    [PRESET_MLP] = "mlp",
    [PRESET_LENET] = "lenet",
    [PRESET_CNN] = "cnn",
    [PRESETS] = NULL,
};

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
};

const char *model_preset_json(const char *name)
{
    int i = text_index(name, model_presets);

    return i < 0 ? NULL : descriptions[i];
}
