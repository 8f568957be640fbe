"""What `make study` compares, and on what: the parts, their data sets, networks and budgets. A part is one study of the server."""
import os
import sys
import tarfile

sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../evidence"))
from data import cifar, images, need, npy, read  # noqa: E402

# --- arms: overrides of the job file, by name; the control is sam ---

NONE = {"curriculum.measure": "none"}
FLATNESS = {
    "sgd": {**NONE, "sam.rho": 0},
    "sam": NONE,
    "asam": {**NONE, "sam.name": "asam"},
    "gsam": {**NONE, "sam.name": "gsam"},
    "f-sam": {**NONE, "sam.name": "fsam"},
}
CURRICULA = {
    "sam random": {"curriculum.measure": "random"},
    "sam spl": {"curriculum.measure": "loss", "curriculum.mode": "spl_linear"},
    "sam loss": {"curriculum.measure": "loss"},
    "sam grad_norm": {"curriculum.measure": "grad_norm"},
    "sam el2n": {"curriculum.measure": "el2n"},
    "sam adm population": {"curriculum.measure": "adm"},
    "sam adm sample": {"curriculum.measure": "adm", "score.normaliser": "sample"},
    "sam adm online": {"curriculum.measure": "adm", "curriculum.scope": "step"},
}
ARMS = {**FLATNESS, **CURRICULA}
CONTROL = "sam"
ADM = ["sam adm population", "sam adm sample", "sam adm online"]
RIVAL_CURRICULA = ["sam random", "sam spl", "sam loss", "sam grad_norm", "sam el2n"]
RIVAL_FLATNESS = ["sgd", "sam", "asam", "gsam", "f-sam"]

# --- networks: GroupNorm, so that the online curriculum is fused ---


def block(name, channels):
    return [{"type": "conv2d", "name": name, "channels": channels, "bias": False},
            {"type": "groupnorm", "name": name + ".gn", "groups": 8}, {"type": "relu", "name": name + ".relu"}]


def network(width):
    """Most of its work lies at half and a quarter of the picture's size."""
    return {"layers": [
        *block("stem", width), {"type": "maxpool", "name": "half"},
        *block("second", 2 * width), {"type": "maxpool", "name": "quarter"},
        *block("third", 2 * width), *block("fourth", 2 * width), {"type": "add", "name": "sum", "from": "quarter"},
        {"type": "globalpool"}, {"type": "dense"}]}


OPTIMIZER = {"name": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4, "schedule": "cosine", "warmup": 0.05}


def job(model, epochs, **more):
    return {"model": model, "epochs": epochs, "batch": 64, "shard": 32, "optimizer": OPTIMIZER, **more}


# --- data sets ---

IDX = {"train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
       "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")}


def folder_of(world, name):
    path = os.path.join(world.folder, name)
    os.makedirs(path, exist_ok=True)
    return path


def fashion(world, data, samples, test, flips):
    """The first `samples` pictures; one data set for each share of flipped labels. Returns their names."""
    path, names = folder_of(world, "fashion"), []
    for split, count in (("train", samples), ("test", test)):
        pixels, labels = (read(data, "fashion-mnist", name) for name in IDX[split])
        npy(f"{path}/{split}_images.npy", (count, 28, 28), pixels[16:16 + 784 * count])
        npy(f"{path}/{split}_labels.npy", (count,), labels[8:8 + count])
    for share in flips:
        name = f"fashion-{samples}" + (f"-flip{share * 100:.0f}" if share else "")
        world.steppe("dataset", "import", name, path, *(("--flip", str(share), "--flip-seed", "1") if share else ()))
        names.append(name)
    return names


def cifar10(world, data, samples, test, noisy):
    """The first pictures of CIFAR-10; noisy: with the labels of CIFAR-10N (random_label1), the old ones as the truth."""
    name = "cifar10n" if noisy else "cifar10"
    path = folder_of(world, name)
    train, rest = cifar(data, samples)
    images(path, "train", *train)
    images(path, "test", rest[0][:test], rest[1][:3072 * test])
    words = ()
    if noisy:
        human = read(data, "cifar-10n", "cifar10n-labels.u8")
        npy(f"{path}.npy", (samples,), human[2:6 * samples:6])
        words = ("--labels", path + ".npy", "--labels-are", "noisy")
    world.steppe("dataset", "import", name, path, *words)
    return [name]


def unpacked(world, data, folder, archive):
    with tarfile.open(need(data, folder, archive)) as tar:
        tar.extractall(world.folder, filter="data")
    return os.path.join(world.folder, archive[:-len(".tar")])


def flowers(world, data, size):
    world.steppe("dataset", "import", "flowers17", unpacked(world, data, "flowers17", "flowers17-96.tar"), "--size", str(size))
    return ["flowers17"]


def pacs(world, data, size):
    world.steppe("dataset", "import", "pacs", unpacked(world, data, "pacs", "pacs-64.tar"), "--size", str(size))
    return ["pacs"]


# At the first and the last epoch; the samples are drawn by the seed, so those of arms that are compared are the same.
FLATNESS_MEASURED = {"flatness": {"every": 1000, "samples": 256, "probes": 4, "iterations": 12}}

DOMAINS = ["art_painting", "cartoon", "photo", "sketch"]

# --- parts ---


class Part:
    """family: which claims it counts for. make: (world, data) -> a study file without name and seeds. short: the same,
    for a quick look. told: which of its data sets the informative figures are taken on, if any."""

    def __init__(self, family, title, make, short, told=None, seeds=3):
        self.family, self.title, self.make, self.short, self.told = family, title, make, short, told
        self.seeds = list(range(1, seeds + 1))


def study(spec, grid, arms=None):
    arms = arms or ARMS
    return {**spec, "arms": arms, "control": CONTROL, "grid": grid}


def of_fashion(samples, test, epochs, flips, arms=None, **more):
    return lambda world, data: study(job("lenet", epochs, **more), {"dataset": fashion(world, data, samples, test, flips)}, arms)


def of_cifar(samples, test, epochs, noisy, **more):
    return lambda world, data: study(job(network(16), epochs, augment={"crop": 4, "flip": True}, **more),
                                     {"dataset": cifar10(world, data, samples, test, noisy)})


def of_flowers(size, epochs, arms=None):
    return lambda world, data: study(job(network(16), epochs, augment={"crop": 4, "flip": True}), {"dataset": flowers(world, data, size)}, arms)


def of_pacs(size, epochs, domains, arms=None):
    return lambda world, data: study(
        {**job(network(16), epochs, dataset=pacs(world, data, size)[0], augment={"crop": 4, "flip": True}, validation={"share": 0.1}, keep="best"),
         "batch": 32, "shard": 16, "optimizer": {**OPTIMIZER, "lr": 0.1}},  # with fewer steps it learns too little to compare
        {"test_domains": [[name] for name in domains]}, arms)


FEW = {name: ARMS[name] for name in ("sgd", "sam", "sam random", "sam loss", "sam adm population", "sam adm online")}
FINALS = {"sam": NONE, **{f"sam {measure} final {final}": {"curriculum.measure": measure, "curriculum.final": final}
                          for measure in ("random", "loss", "adm") for final in (0.7, 0.85)}}

PARTS = {
    "fashion": Part("classification", "Fashion-MNIST, 5 000 pictures: clean, 20 % and 40 % flipped labels",
                    of_fashion(5000, 10000, 15, (0, 0.2, 0.4), **FLATNESS_MEASURED),
                    of_fashion(1000, 1000, 3, (0, 0.2), FEW, **FLATNESS_MEASURED), "fashion-5000-flip20"),
    "fashion60": Part("classification", "Fashion-MNIST, all 60 000 pictures",
                      of_fashion(60000, 10000, 4, (0,)), None, "fashion-60000"),
    "finals": Part("final", "How much of the training set to end with: Fashion-MNIST, 5 000 pictures",
                   of_fashion(5000, 10000, 15, (0, 0.2, 0.4), FINALS), None),
    "cifar10": Part("classification", "CIFAR-10, 10 000 pictures", of_cifar(10000, 5000, 12, False, **FLATNESS_MEASURED), None, "cifar10"),
    "cifar10n": Part("classification", "CIFAR-10N (random_label1), 10 000 pictures", of_cifar(10000, 5000, 12, True), None, "cifar10n"),
    "flowers": Part("fine-grained", "17 flowers, 48 x 48", of_flowers(48, 40), of_flowers(24, 3, FEW), "flowers17", seeds=5),
    "pacs-1": Part("domains", "PACS, 32 x 32: art_painting or cartoon left out", of_pacs(32, 12, DOMAINS[:2]),
                   of_pacs(16, 1, DOMAINS[:2], FEW)),
    "pacs-2": Part("domains", "PACS, 32 x 32: photo or sketch left out", of_pacs(32, 12, DOMAINS[2:]), None),
}
