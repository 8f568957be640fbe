#!/usr/bin/python3
"""What e2e/test_weights asks of Python, without a library but for `accuracy`.

colour STATE FOLDER      the first dataset of STATE in three channels, as numpy files
darker STATE FOLDER      the first dataset of STATE, every pixel v / 4 + 100, as an IDX folder
meta FILE KEY            one entry of a safetensors file's metadata
remake FILE OUT KEY=VALUE ...   FILE with other metadata (KEY= removes one, `none` all of it); order=reversed turns the
                         header round, dtype=F16, BF16 or F64 changes the tensors
accuracy FILE STATE MEAN STD  PyTorch's accuracy of the weights on the test images of the second dataset of STATE,
                         scaled so; needs torch, exit status 77 when it is not there
"""
import glob
import json
import os
import struct
import sys


def read(path):
    raw = open(path, "rb").read()
    (n,) = struct.unpack("<Q", raw[:8])
    head = json.loads(raw[8 : 8 + n])
    return head.pop("__metadata__", {}), head, raw[8 + n :]


def part(head, data, name):
    a, b = head[name]["data_offsets"]
    return data[a:b]


def write(path, meta, head, data):
    text = json.dumps({**({"__metadata__": meta} if meta else {}), **head}).encode()
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + data)


def idx(path, shape, data):
    with open(path, "wb") as out:
        out.write(struct.pack(">BBBB", 0, 0, 8, len(shape)) + struct.pack(">%dI" % len(shape), *shape) + data)


def datasets(state):
    return sorted(glob.glob(os.path.join(state, "datasets", "*.safetensors")), key=os.path.getmtime)


def darker(state, folder):
    _, head, data = read(datasets(state)[0])
    table = bytes(v // 4 + 100 for v in range(256))
    os.makedirs(folder)
    for split, to in (("", "train"), ("test_", "t10k")):
        shape = head[split + "images"]["shape"][:3]
        labels = part(head, data, split + "labels")
        idx(f"{folder}/{to}-images-idx3-ubyte", shape, part(head, data, split + "images").translate(table))
        idx(f"{folder}/{to}-labels-idx1-ubyte", shape[:1], bytes(labels[::2]))


def npy(path, shape, kind, data):
    text = "{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (kind, tuple(shape))
    text += " " * (-(len(text) + 11) % 64) + "\n"
    with open(path, "wb") as out:
        out.write(b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode("latin1") + data)


def colour(state, folder):
    _, head, data = read(datasets(state)[0])
    os.makedirs(folder)
    shape = head["images"]["shape"][:3]
    npy(f"{folder}/train_images.npy", shape + [3], "|u1", bytes(v for v in part(head, data, "images") for _ in range(3)))
    npy(f"{folder}/train_labels.npy", shape[:1], "<u2", part(head, data, "labels"))


def converted(raw, dtype):
    values = struct.unpack("<%df" % (len(raw) // 4), raw)
    if dtype == "BF16":
        return b"".join(raw[i + 2 : i + 4] for i in range(0, len(raw), 4))
    return struct.pack("<%d%s" % (len(values), {"F16": "e", "F64": "d"}[dtype]), *values)


def remake(path, out, *changes):
    meta, head, data = read(path)
    names, dtype = list(head), None
    for change in changes:
        key, _, value = change.partition("=")
        if change == "none":
            meta = {}
        elif change == "order=reversed":
            names.reverse()
        elif key == "dtype":
            dtype = value
        elif value:
            meta[key] = value
        else:
            meta.pop(key, None)
    new, end, made = {}, 0, b""
    for name in head:  # the data stays in its order
        raw, entry = part(head, data, name), dict(head[name])
        if dtype and entry["dtype"] == "F32":
            raw, entry["dtype"] = converted(raw, dtype), dtype
        entry["data_offsets"] = [end, end + len(raw)]
        new[name], end, made = entry, end + len(raw), made + raw
    write(out, meta, {name: new[name] for name in names}, made)


def accuracy(path, state, mean, std):
    try:
        import torch
    except ImportError:
        sys.exit(77)
    meta, head, data = read(path)
    kinds = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64}
    t = {n: torch.frombuffer(bytearray(part(head, data, n)), dtype=kinds[head[n]["dtype"]])
         .float().reshape(head[n]["shape"]) for n in head if head[n]["shape"]}
    _, dhead, ddata = read(datasets(state)[1])
    shape = dhead["test_images"]["shape"]
    x = torch.frombuffer(bytearray(part(dhead, ddata, "test_images")), dtype=torch.uint8).reshape(shape)
    y = torch.frombuffer(bytearray(part(dhead, ddata, "test_labels")), dtype=torch.int16).long()
    mean, std = (torch.tensor([float(v) for v in text.split(",")]) for text in (mean, std))
    x = ((x.float() / 255 - mean) / std).permute(0, 3, 1, 2)
    for layer in json.loads(meta["layers"]):
        name = layer["name"]
        if layer["type"] == "flatten":
            x = x.flatten(1)
        elif layer["type"] == "relu":
            x = x.relu()
        elif layer["type"] == "maxpool":
            x = torch.nn.functional.max_pool2d(x, layer["size"], layer["stride"])
        elif layer["type"] == "conv2d":
            x = torch.nn.functional.conv2d(x, t[name + ".weight"], t[name + ".bias"], layer["stride"], layer["padding"])
        else:
            x = torch.nn.functional.linear(x, t[name + ".weight"], t[name + ".bias"])
    print("%.4f" % (x.argmax(1) == y).double().mean())


def main(verb, *args):
    if verb == "meta":
        print(read(args[0])[0].get(args[1], "-"))
    else:
        {"darker": darker, "colour": colour, "remake": remake, "accuracy": accuracy}[verb](*args)


main(*sys.argv[1:])
