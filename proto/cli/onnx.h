/* A model as an ONNX file: the network and its parameters, for programs that run networks
 * (onnxruntime, OpenCV, phones). Opset 13, IR version 7.
 *
 * Input `pixels`, float32 [N, C, H, W] with values from 0 to 255 and N free: (x / 255 - mean) / std
 * is the beginning of the graph. Outputs `logits` and `probabilities` (their softmax), float32
 * [N, classes]. Parameters have the names and layouts of model_export. BatchNorms use their running
 * statistics, dropout is nothing, and GroupNorm is an InstanceNormalization over its groups. */
#ifndef STEPPE_PROTO_CLI_ONNX_H
#define STEPPE_PROTO_CLI_ONNX_H

#include "common/model.h"
#include "common/safetensors.h"

/* theta: [m->floats]. Metadata: model_meta, with `meta`. 0 or -errno with a sentence. */
int onnx_write(const struct model *m, const float *theta, const struct safetensors_meta *meta,
               int meta_count, const char *path, struct errbuf *why);

#endif
