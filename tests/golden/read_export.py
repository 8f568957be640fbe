#!/usr/bin/python3
"""An independent reader of exported models: numpy only, PyTorch's layouts, NCHW.

read_export.py MODEL.safetensors IMAGES LOGITS: computes the logits of the u8 images (N, H, W, C) and
compares them with the float32 logits (N, classes). Prints the largest difference; exit 1 above 1e-4
of the largest logit."""
import json
import struct
import sys

import numpy as np


def read(path):
    raw = open(path, "rb").read()
    (n,) = struct.unpack("<Q", raw[:8])
    head = json.loads(raw[8 : 8 + n])
    meta = head.pop("__metadata__")
    tensors = {}
    for name, t in head.items():
        a, b = t["data_offsets"]
        dtype = {"F32": "<f4", "I64": "<i8"}[t["dtype"]]
        tensors[name] = np.frombuffer(raw[8 + n + a : 8 + n + b], dtype).reshape(t["shape"])
    return meta, tensors


def conv2d(x, w, b, stride, pad):
    n, c, h, wd = x.shape
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    k = w.shape[2]
    oh, ow = (h + 2 * pad - k) // stride + 1, (wd + 2 * pad - k) // stride + 1
    y = np.zeros((n, w.shape[0], oh, ow))
    for i in range(k):
        for j in range(k):
            part = x[:, :, i : i + stride * oh : stride, j : j + stride * ow : stride]
            y += np.einsum("ncij,oc->noij", part, w[:, :, i, j])
    return y if b is None else y + b[None, :, None, None]


def windows(x, k, s):
    oh, ow = (x.shape[2] - k) // s + 1, (x.shape[3] - k) // s + 1
    return [x[:, :, i : i + s * oh : s, j : j + s * ow : s] for i in range(k) for j in range(k)]


def groupnorm(x, groups, w, b):
    n, c = x.shape[:2]
    x = x.reshape(n, groups, -1)
    x = (x - x.mean(2, keepdims=True)) / np.sqrt(x.var(2, keepdims=True) + 1e-5)
    return x.reshape(n, c, -1) * w[None, :, None] + b[None, :, None]


def batchnorm(x, mean, var, w, b):
    shape = (1, -1) + (1,) * (x.ndim - 2)
    scale = w / np.sqrt(var + 1e-5)
    return (x - mean.reshape(shape)) * scale.reshape(shape) + b.reshape(shape)


def main(model, images, logits, *_):
    meta, t = read(model)
    h, w, c = (int(v) for v in meta["input"].split(","))
    mean = np.array([float(v) for v in meta["mean"].split(",")])
    std = np.array([float(v) for v in meta["std"].split(",")])
    x = np.fromfile(images, np.uint8).reshape(-1, h, w, c) / 255.0
    x = ((x - mean) / std).transpose(0, 3, 1, 2)
    done = {}
    for layer in json.loads(meta["layers"]):
        kind, name = layer["type"], layer["name"]
        weight, bias = t.get(name + ".weight"), t.get(name + ".bias")
        if "input" in layer:
            x = done[layer["input"]]
        if kind == "conv2d":
            x = conv2d(x, weight, bias, layer["stride"], layer["padding"])
        elif kind == "maxpool":
            x = np.max(windows(x, layer["size"], layer["stride"]), axis=0)
        elif kind == "avgpool":
            x = np.mean(windows(x, layer["size"], layer["stride"]), axis=0)
        elif kind == "globalpool":
            x = x.mean((2, 3), keepdims=True)
        elif kind == "groupnorm":
            x = groupnorm(x, layer["groups"], weight, bias).reshape(x.shape)
        elif kind == "batchnorm":
            x = batchnorm(x, t[name + ".running_mean"], t[name + ".running_var"], weight, bias)
            assert t[name + ".num_batches_tracked"].shape == ()
        elif kind == "dropout":
            pass
        elif kind == "add":
            x = x + done[layer["from"]]
        elif kind == "relu":
            x = np.maximum(x, 0)
        elif kind == "flatten":
            x = x.reshape(x.shape[0], -1)
        elif kind == "dense":
            x = x.reshape(x.shape[0], -1) @ weight.T + (0 if bias is None else bias)
        else:
            sys.exit("a layer of type %s" % kind)
        done[name] = x
    want = np.fromfile(logits, "<f4").reshape(x.shape[0], -1)
    diff, top = np.abs(x - want).max(), np.abs(want).max()
    print("%d images, largest logit %.4g, largest difference %.3g" % (x.shape[0], top, diff))
    return 0 if x.shape == want.shape and top > 0 and diff <= 1e-4 * top else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
