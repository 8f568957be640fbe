"""Small datasets of every format for tests of names, and what their samples are called."""
import os
import random
import struct

from wire import png_file

SIDE = 8


def pixels(noise, count=1):
    return bytes(noise.randrange(256) for _ in range(count * SIDE * SIDE))


def pictures(folder, names, seed=1):
    """A random picture at each path (of any bytes) below the folder."""
    noise = random.Random(seed)
    folder = os.fsencode(folder)
    for name in names:
        path = os.path.join(folder, os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(png_file(SIDE, SIDE, pixels(noise)))


def idx(path, count, labels):
    noise = random.Random(count)
    with open(path + "-images-idx3-ubyte", "wb") as f:
        f.write(struct.pack(">IIII", 0x803, count, SIDE, SIDE) + pixels(noise, count))
    with open(path + "-labels-idx1-ubyte", "wb") as f:
        f.write(struct.pack(">II", 0x801, count) + bytes(labels))


def npy(path, shape, data, descr="|u1"):
    header = "{'descr': '%s', 'fortran_order': False, 'shape': (%s,), }" % (descr, ",".join(map(str, shape)))
    header += " " * (-(len(header) + 11) % 64) + "\n"
    with open(path, "wb") as f:
        f.write(b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header.encode() + data)


def cifar(folder, records):
    """Batches of so many records each, and as many in the test set as in the first."""
    noise = random.Random(5)
    os.makedirs(folder)
    with open(os.path.join(folder, "batches.meta.txt"), "w") as f:
        f.write("cat\ndog\n")
    for name, count in [("data_batch_%d.bin" % (i + 1), n) for i, n in enumerate(records)] + [("test_batch.bin", records[0])]:
        with open(os.path.join(folder, name), "wb") as f:
            for i in range(count):
                f.write(bytes([i % 2]) + bytes(noise.randrange(256) for _ in range(3072)))


ODD = [b"train/dog/a b.png", b"train/dog/it's \"q\" $(x) `y`.png", b"train/dog/line\nline\t.png", b"train/dog/caf\xe9.png",
       "train/dog/\u72ac.png".encode(), b"train/dog/-rf *.png", b"train/dog/back\\slash.png"]
TREE = [b"train/%s/%02d.png" % (word, i) for word in (b"a cat", b"dog") for i in range(20)] + ODD + \
       [b"test/dog/t%d.png" % i for i in range(6)]
