#!/usr/bin/python3
"""What e2e/test_predict asks of other programs. Exit status 77: one of them is not there.

torch MODEL.safetensors PROBABILITIES.npy PICTURE...   PyTorch's probabilities, by deploy/examples/predict.py
onnx MODEL.onnx PROBABILITIES.npy SIDE PICTURE...      OpenCV's, of square pictures
grey FROM.png TO.png | colour TO.png                   a picture twice as high and wide; one in colour
npy OUT.npy PICTURE...                                 the pixels of grey pictures, uint8 [N, h, w]

A line of the first two is the largest difference, and 1 where it is above 1e-5."""
import importlib.util
import os
import sys

try:
    import numpy as np
    from PIL import Image
except ImportError:
    sys.exit(77)
sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def judge(got, npy):
    want = np.load(npy)
    off = float(np.abs(got - want).max())
    print("%d pictures, largest difference %.3g" % (len(want), off))
    return 0 if got.shape == want.shape and want.dtype == np.float32 and off <= 1e-5 else 1


def by_torch(model, npy, *paths):
    try:
        import torch
    except ImportError:
        return 77
    spec = importlib.util.spec_from_file_location("predict", os.path.join(ROOT, "deploy/examples/predict.py"))
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    meta, t = example.load(model)
    dims = [int(v) for v in meta["input"].split(",")]
    with torch.no_grad():
        x = torch.stack([example.picture(path, *dims) for path in paths])
        return judge(example.forward(meta, t, x).double().softmax(1).numpy(), npy)


def by_opencv(model, npy, side, *paths):
    try:
        import cv2
    except ImportError:
        return 77
    size = (int(side), int(side))
    x = np.stack([np.asarray(Image.open(p).resize(size, Image.Resampling.BILINEAR), np.float32) for p in paths])
    net = cv2.dnn.readNetFromONNX(model)
    net.setInput(x[:, None], "pixels")
    return judge(net.forward("probabilities"), npy)


def main(verb, *args):
    if verb == "grey":
        image = Image.open(args[0])
        image.resize((2 * image.width, 2 * image.height), Image.Resampling.NEAREST).save(args[1])
    elif verb == "colour":
        Image.new("RGB", (12, 12), (200, 10, 10)).save(args[0])
    elif verb == "npy":
        np.save(args[0], np.stack([np.asarray(Image.open(p)) for p in args[1:]]))
    else:
        return {"torch": by_torch, "onnx": by_opencv}[verb](*args)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
