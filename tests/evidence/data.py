"""The public data sets of ../shared/data (or --data FOLDER) as files that `steppe dataset import` reads. Standard library only."""
import gzip
import os
import struct
import tarfile


class Missing(Exception):
    """A file of the data is not there."""


def need(*parts):
    path = os.path.join(*parts)
    if not os.path.exists(path):
        raise Missing(f"{path} is not there")
    return path


def read(*parts):
    path = need(*parts)
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
        return file.read()


def npy(path, shape, data):
    head = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {tuple(shape)}, }}".encode()
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data)


TRAIN = [f"data_batch_{i}.bin" for i in range(1, 6)]
RECORD = 3073  # label, 1024 red, 1024 green, 1024 blue


def cifar(data, samples):
    """(labels, pixels NHWC) of the first `samples` (all) of the train set, and of the test set."""
    with tarfile.open(need(data, "cifar-10", "cifar-10-binary.tar.xz")) as tar:
        files = {os.path.basename(m.name): tar.extractfile(m).read() for m in tar if m.isfile()}
    return [interleaved(raw) for raw in (b"".join(files[name] for name in TRAIN)[:samples and RECORD * samples],
                                         files["test_batch.bin"])]


def interleaved(raw):
    labels, pixels = raw[::RECORD], bytearray(len(raw) // RECORD * 3072)
    for i in range(len(labels)):
        for c in range(3):
            at = i * RECORD + 1 + c * 1024
            pixels[i * 3072 + c:(i + 1) * 3072:3] = raw[at:at + 1024]
    return labels, bytes(pixels)


def images(folder, name, labels, pixels):
    npy(f"{folder}/{name}_images.npy", (len(labels), 32, 32, 3), pixels)
    npy(f"{folder}/{name}_labels.npy", (len(labels),), labels)


IDX = ("-images-idx3-ubyte.gz", "-labels-idx1-ubyte.gz")


def grey(folder, name, pixels, labels, n):
    """The first n images of a pair of IDX files, 28 x 28."""
    npy(f"{folder}/{name}_images.npy", (n, 28, 28), pixels[16:16 + 784 * n])
    npy(f"{folder}/{name}_labels.npy", (n,), labels[8:8 + n])
