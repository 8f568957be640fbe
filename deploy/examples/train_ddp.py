#!/usr/bin/env python3
"""A folder of pictures, a subfolder for each class, trained by several processes with PyTorch's DistributedDataParallel.

    steppe dataset import photos FOLDER --manifest
    torchrun --nproc_per_node 4 train_ddp.py FOLDER --dataset photos --checkpoint photos.pt

Start it again, also with another number of processes, and it goes on behind its checkpoint, in the same order. The server is
$STEPPE_SERVER, a key file $STEPPE_KEY. Needs Pillow."""
import argparse
import os

import torch
import torch.distributed as dist
from PIL import Image
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset

import steppe
import steppe.torch

SIDE = 32
NORMALISE = ([0.5] * 3, [0.25] * 3)  # of the pixels of each channel


class Pictures(Dataset):
    """(pixels [3, SIDE, SIDE] in [0, 1], class). Sorted by name, as `steppe dataset import` has them."""

    def __init__(self, folder):
        self.classes = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
        self.files = [(os.path.join(folder, name, file), y) for y, name in enumerate(self.classes)
                      for file in sorted(os.listdir(os.path.join(folder, name)))]

    def __len__(self):
        return len(self.files)

    def __getitem__(self, i):
        path, y = self.files[i]
        with Image.open(path) as image:
            pixels = bytearray(image.convert("RGB").resize((SIDE, SIDE)).tobytes())
        return torch.frombuffer(pixels, dtype=torch.uint8).reshape(SIDE, SIDE, 3).permute(2, 0, 1) / 255, y


def network(classes):
    def block(before, after):
        return nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)
    return nn.Sequential(*block(3, 32), *block(32, 64), *block(64, 128), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, classes))


def save(path, run, sampler, model, sam):
    """All ranks call it, since it has what each of them has reported."""
    state = {"run": run.state_dict(), "sampler": sampler.state_dict(), "model": model.module.state_dict(), "sam": sam.state_dict()}
    if run.rank == 0:
        torch.save(state, path + ".new")
        os.replace(path + ".new", path)


def train(words, run, state, device):
    data = Pictures(words.folder)
    model = network(len(data.classes)).to(device)
    sampler = steppe.torch.Sampler(run)
    if state:
        model.load_state_dict(state["model"])
        sampler.load_state_dict(state["sampler"])
    model = DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)
    sam = steppe.torch.SAM(torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4), rho=0.05)
    if state:
        sam.load_state_dict(state["sam"])
    loader = DataLoader(steppe.torch.Indexed(data), batch_size=sampler.batch_size, sampler=sampler, num_workers=words.workers,
                        pin_memory=device.type == "cuda")
    for epoch in run.epochs():
        sampler.set_epoch(epoch)
        model.train()
        total = torch.zeros(2, device=device)
        for step, (x, y, ids) in enumerate(loader, 1):
            scores = sam.step(model, x.to(device), y.to(device), weights=sampler.weights(ids), normalise=NORMALISE)
            total += torch.stack((scores.loss.sum().float(), torch.tensor(float(len(ids)), device=device)))
            if step % words.every == 0:
                save(words.checkpoint, run, sampler, model, sam)
        run.sweep(model, loader, epsilon="8/255", normalise=NORMALISE)  # every sample's scores, of the model as it is now
        dist.all_reduce(total)
        loss = (total[0] / total[1].clamp(min=1)).item()
        closed = run.close(train_loss=loss)
        save(words.checkpoint, run, sampler, model, sam)
        if run.rank == 0:
            print(f"epoch {epoch + 1}  loss {loss:.4f}  missing {closed.missing}  scores {closed.scores_sha256[:12]}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--dataset", required=True, help="what Steppe calls it")
    parser.add_argument("--checkpoint", required=True, help="file to go on from, where it is there, and to write")
    parser.add_argument("--every", type=int, default=100, help="steps between two checkpoints")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=240, help="of all processes together")
    parser.add_argument("--workers", type=int, default=4, help="that read pictures, of each process")
    words = parser.parse_args()
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if torch.cuda.is_available() else torch.device("cpu")
    torch.manual_seed(1)
    state = torch.load(words.checkpoint, map_location="cpu") if os.path.exists(words.checkpoint) else None
    job = {"name": "photos-ddp", "dataset": words.dataset, "epochs": words.epochs, "batch": words.batch, "config": vars(words)}
    with steppe.open(os.environ.get("STEPPE_SERVER"), job=job, key=os.environ.get("STEPPE_KEY"), samples=len(Pictures(words.folder)),
                     state=state and state["run"]) as run:
        train(words, run, state, device)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
