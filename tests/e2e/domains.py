"""Draws pictures of ten classes in two domains: domains.py FOLDER [A CLASS IN A DOMAIN, 10] makes
FOLDER/train/DOMAIN/CLASS/NN.png, and test/ with half as many of one domain. The bar of a class stands where its
number says; of the domain dark it is black on white."""
import os
import random
import sys

from wire import png_file

SIDE = 12


def draw(number, dark, noise):
    pixels = [255 * ((y if number > 4 else x) // 2 == number % 5) // 2 + noise.randrange(60)
              for y in range(SIDE) for x in range(SIDE)]
    return bytes(255 - v if dark else v for v in pixels)


def main(folder, count):
    noise = random.Random(7)
    for split, domains, many in (("train", ("bright", "dark"), count), ("test", ("bright",), count // 2)):
        for domain in domains:
            for number in range(10):
                at = os.path.join(folder, split, domain, "bar%d" % number)
                os.makedirs(at)
                for i in range(many):
                    with open(os.path.join(at, "%02d.png" % i), "wb") as f:
                        f.write(png_file(SIDE, SIDE, draw(number, domain == "dark", noise)))


main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 10)
