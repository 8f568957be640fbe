#!/usr/bin/python3
"""What a model that `steppe model export JOB MODEL.safetensors` wrote says of pictures, with PyTorch and Pillow.

predict.py MODEL.safetensors PICTURE...: a line each, tab-separated: path, class, probability, then all probabilities.
Pictures are scaled as `steppe dataset import --size` scales them."""
import json
import struct
import sys

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps


def load(path):
    raw = open(path, "rb").read()
    (n,) = struct.unpack("<Q", raw[:8])
    head = json.loads(raw[8 : 8 + n])
    meta, t = head.pop("__metadata__"), {}
    for name, at in head.items():
        begin, end = (8 + n + v for v in at["data_offsets"])
        kind = {"F32": np.float32, "I64": np.int64}[at["dtype"]]
        t[name] = torch.from_numpy(np.frombuffer(raw[begin:end], kind).copy().reshape(at["shape"]))
    return meta, t


def picture(path, h, w, c):
    image = Image.open(path)
    image = ImageOps.exif_transpose(image) if image.format == "JPEG" else image  # as the import turns it
    image = image.convert("L" if c == 1 else "RGB").resize((w, h), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.asarray(image, np.float32).reshape(h, w, c).copy())


def forward(meta, t, x):
    """x: [N, h, w, c], pixels from 0 to 255 -> logits [N, classes]"""
    mean, std = (torch.tensor([float(v) for v in meta[key].split(",")]) for key in ("mean", "std"))
    x, done = ((x / float(meta["scale"]) - mean) / std).permute(0, 3, 1, 2), {}
    for l in json.loads(meta["layers"]):
        w, b = t.get(l["name"] + ".weight"), t.get(l["name"] + ".bias")
        x = done[l["input"]] if "input" in l else x
        x = {
            "conv2d": lambda: F.conv2d(x, w, b, l["stride"], l["padding"]),
            "dense": lambda: F.linear(x.flatten(1), w, b),
            "batchnorm": lambda: F.batch_norm(x, t[l["name"] + ".running_mean"], t[l["name"] + ".running_var"], w, b),
            "groupnorm": lambda: F.group_norm(x, l["groups"], w, b),
            "maxpool": lambda: F.max_pool2d(x, l["size"], l["stride"]),
            "avgpool": lambda: F.avg_pool2d(x, l["size"], l["stride"]),
            "globalpool": lambda: x.mean((2, 3), keepdim=True),
            "add": lambda: x.reshape(done[l["from"]].shape) + done[l["from"]],
            "flatten": lambda: x.flatten(1),
            "relu": lambda: x.relu(),
            "dropout": lambda: x,
        }[l["type"]]()
        done[l["name"]] = x
    return x


if __name__ == "__main__":
    meta, t = load(sys.argv[1])
    dims = [int(v) for v in meta["input"].split(",")]
    names = json.loads(meta["class_names"]) if "class_names" in meta else range(int(meta["classes"]))
    for path in sys.argv[2:]:
        with torch.no_grad():
            p = forward(meta, t, picture(path, *dims)[None])[0].double().softmax(0)
        print(path, names[int(p.argmax())], "%.6f" % p.max(), *("%.8g" % v for v in p), sep="\t")
