#!/usr/bin/python3
"""A reader of ONNX files that is not ours: OpenCV's.

read_onnx.py MODEL.onnx IMAGES LOGITS H W C [plain]: the logits and probabilities of the u8 images (N, H, W, C) against the
float32 logits (N, classes). Prints the largest differences; exit 1 above 1e-4 of the largest logit, 1e-5 of a
probability or where N images give something else than N times one; 77 without OpenCV.
plain: OpenCV fuses no layers; 4.6 fuses an add of flat values with the norm behind it, and wrongly."""
import sys

try:
    import cv2
    import numpy as np
except ImportError:
    sys.exit(77)


def forward(model, x, fused, names):
    net = cv2.dnn.readNetFromONNX(model)  # anew: it keeps the shapes of the last input
    net.enableFusion(fused)
    net.setInput(np.ascontiguousarray(x), "pixels")
    return net.forward(names)


def main(model, images, logits, h, w, c, *plain):
    h, w, c = int(h), int(w), int(c)
    x = np.fromfile(images, np.uint8).reshape(-1, h, w, c).astype(np.float32).transpose(0, 3, 1, 2)
    want = np.fromfile(logits, "<f4").reshape(len(x), -1)
    got, shares = forward(model, x, not plain, ["logits", "probabilities"])
    e = np.exp(want.astype(float) - want.max(1, keepdims=True))
    diff, top = np.abs(got - want).max(), np.abs(want).max()
    off = np.abs(shares - e / e.sum(1, keepdims=True)).max()
    one = np.abs(forward(model, x[3:4], not plain, ["logits"])[0] - want[3]).max()
    print("%d images, largest logit %.4g, largest differences %.3g (alone %.3g), of a probability %.3g"
          % (len(x), top, diff, one, off))
    good = got.shape == want.shape and top > 0 and max(diff, one) <= 1e-4 * top and off <= 1e-5
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
