#!/usr/bin/env python3
"""LeNet on Fashion-MNIST with PyTorch: model and loop are here; order, weights and scores are Steppe's.

    steppe dataset import fashion-mnist FOLDER     # FOLDER: the four IDX files, plain or .gz
    train.py FOLDER [EPOCHS]                       # the same files

The server is $STEPPE_SERVER, a key file $STEPPE_KEY. Without a server: natural order, nothing is reported."""
import gzip
import os
import sys

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import steppe
import steppe.torch

NORMALISE = ([0.2860], [0.3530])  # mean and standard deviation of its pixels


def read(folder, name):
    """The numbers of an IDX file."""
    path = os.path.join(folder, name)
    with open(path, "rb") if os.path.exists(path) else gzip.open(path + ".gz") as file:
        data = bytearray(file.read())
    sides = [int.from_bytes(data[4 + 4 * i:8 + 4 * i], "big") for i in range(data[3])]
    return torch.frombuffer(data, dtype=torch.uint8, offset=4 + 4 * len(sides)).reshape(sides)


def dataset(folder, part):
    pixels = read(folder, part + "-images-idx3-ubyte").unsqueeze(1) / 255
    return TensorDataset(pixels, read(folder, part + "-labels-idx1-ubyte").long())


def lenet(side):
    return nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Flatten(), nn.Linear(32 * (side // 4) ** 2, 128), nn.ReLU(), nn.Linear(128, 10))


@torch.no_grad()
def accuracy(model, data, device):
    mean, std = NORMALISE[0][0], NORMALISE[1][0]
    right = sum((model((x.to(device) - mean) / std).argmax(1) == y.to(device)).sum().item() for x, y in DataLoader(data, 1000))
    return right / len(data)


def main(folder, epochs=10):
    torch.manual_seed(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train, test = dataset(folder, "train"), dataset(folder, "t10k")
    job = {"name": "fashion-torch", "dataset": "fashion-mnist", "epochs": int(epochs), "batch": 128,
           "curriculum": {"measure": "adm", "order": "easy_first"}, "config": {"model": "lenet", "lr": 0.05, "rho": 0.05}}
    with steppe.open(os.environ.get("STEPPE_SERVER"), job=job, key=os.environ.get("STEPPE_KEY"), samples=len(train)) as run:
        model = lenet(train[0][0].shape[-1]).to(device)
        sam = steppe.torch.SAM(torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4), rho=0.05)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(sam, int(epochs) * run.steps)
        sampler = steppe.torch.Sampler(run)
        loader = DataLoader(steppe.torch.Indexed(train), batch_size=sampler.batch_size, sampler=sampler)
        for epoch in run.epochs():
            sampler.set_epoch(epoch)
            total = torch.zeros((), device=device)
            for x, y, ids in loader:
                scores = sam.step(model, x.to(device), y.to(device), weights=sampler.weights(ids), adm="8/255", normalise=NORMALISE)
                run.report(ids, scores)
                schedule.step()
                total += scores.loss.mean()
            loss, right = total.item() / run.steps, accuracy(model, test, device)
            run.close(train_loss=loss, test_accuracy=right)
            print(f"epoch {epoch + 1}  loss {loss:.4f}  accuracy {right:.4f}", flush=True)


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
