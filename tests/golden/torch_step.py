#!/usr/bin/python3
"""One training step by PyTorch, from weights that our own export wrote.

torch_step.py DIR: reads in DIR `step.json` {model, rho, alpha, mixed, partner, lr, momentum, weight_decay, loss, loss_hat, allowed},
`images` (u8, N H W C), `labels` (u16), `before.safetensors`, `gradient.safetensors` (the gradient laid out
as the parameters are) and `after.safetensors`; loads the first with load_state_dict(strict), takes the step
with SGD (SAM when rho > 0; GSAM when alpha > 0 too; mixup by the share `mixed` of an image and its partners) and compares: losses to 1e-5, gradients and updates to `allowed` of the largest,
running statistics to 1e-5. In double: in float32 PyTorch itself is 1e-3 off, where a ReLU's input is so near
0 that rounding decides."""
import json
import os
import sys

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from read_export import read


def conv(i, o, k, stride):
    return nn.Conv2d(i, o, k, stride, k // 2, bias=False)


class Basic(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.conv1, self.bn1 = conv(i, o, 3, stride), nn.BatchNorm2d(o)
        self.conv2, self.bn2 = conv(o, o, 3, 1), nn.BatchNorm2d(o)
        same = stride == 1 and i == o
        self.downsample = None if same else nn.Sequential(conv(i, o, 1, stride), nn.BatchNorm2d(o))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class PreAct(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(i), conv(i, o, 3, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(o), conv(o, o, 3, 1)
        self.shortcut = None if stride == 1 and i == o else conv(i, o, 1, stride)

    def forward(self, x):
        t = F.relu(self.bn1(x))
        y = self.conv2(F.relu(self.bn2(self.conv1(t))))
        return y + (x if self.shortcut is None else self.shortcut(t))


class ResNet(nn.Module):
    def __init__(self, block, blocks, widths, stem):
        super().__init__()
        self.first = block is Basic
        self.conv1 = conv(3, stem, 3, 1)
        self.bn1 = nn.BatchNorm2d(stem if self.first else widths[-1])
        i, self.layers = stem, []
        for s, o in enumerate(widths):
            row = []
            for b in range(blocks):
                row.append(block(i, o, 2 if s > 0 and b == 0 else 1))
                i = o
            self.layers.append(nn.Sequential(*row))
            self.add_module("layer%d" % (s + 1), self.layers[-1])
        self.fc = nn.Linear(i, 10)

    def forward(self, x):
        x = self.conv1(x)
        if self.first:
            x = F.relu(self.bn1(x))
        for layer in self.layers:
            x = layer(x)
        if not self.first:
            x = F.relu(self.bn1(x))
        return self.fc(x.mean((2, 3)))


MODELS = {
    "resnet20": lambda: ResNet(Basic, 3, [16, 32, 64], 16),
    "wrn16_4": lambda: ResNet(PreAct, 2, [64, 128, 256], 16),
    "resnet18": lambda: ResNet(Basic, 2, [64, 128, 256, 512], 64),
}


def gradients(net, x, y, mixed=1, partner=None):
    """mixup: lam * x + (1 - lam) * x[partner], and the same of the two losses."""
    net.zero_grad()
    if mixed < 1:
        z = net(mixed * x + (1 - mixed) * x[partner])
        loss = mixed * F.cross_entropy(z, y) + (1 - mixed) * F.cross_entropy(z, y[partner])
    else:
        loss = F.cross_entropy(net(x), y)
    loss.backward()
    return float(loss)


def ascend(net, rho):
    norm = torch.sqrt(sum((p.grad**2).sum() for p in net.parameters()))
    with torch.no_grad():
        for p in net.parameters():
            p.add_(p.grad, alpha=float(rho / (norm + 1e-12)))


def split(net, at_theta, alpha):
    """GSAM: p - alpha (g - its part along p), with all parameters in one vector."""
    g = torch.cat([a.flatten() for a in at_theta])
    p = torch.cat([q.grad.flatten() for q in net.parameters()])
    p = p - alpha * (g - torch.dot(g, p) / torch.dot(p, p) * p)
    at = 0
    for q in net.parameters():
        q.grad.copy_(p[at : at + q.numel()].reshape(q.shape))
        at += q.numel()


def compare(what, got, want, allowed):
    off, top = max(np.abs(got[n] - want[n]).max() for n in want), max(np.abs(want[n]).max() for n in want)
    print("%s: largest %.4g, largest difference %.3g of it" % (what, top, off / top))
    return top > 0 and off <= allowed * top


def arrays(named):
    return {n: p.detach().numpy().copy() for n, p in named}


def main(where):
    job = json.load(open(os.path.join(where, "step.json")))
    meta, before = read(os.path.join(where, "before.safetensors"))
    _, gradient = read(os.path.join(where, "gradient.safetensors"))
    _, after = read(os.path.join(where, "after.safetensors"))
    h, w, c = (int(v) for v in meta["input"].split(","))
    mean, std = (np.array([float(v) for v in meta[k].split(",")], "f4") for k in ("mean", "std"))
    x = np.fromfile(os.path.join(where, "images"), np.uint8).reshape(-1, h, w, c).astype("f4") / 255
    x = torch.from_numpy(((x - mean) / std).transpose(0, 3, 1, 2).copy())
    y = torch.from_numpy(np.fromfile(os.path.join(where, "labels"), "<u2").astype(np.int64))

    net = MODELS[job["model"]]()
    net.load_state_dict({n: torch.from_numpy(a.copy()) for n, a in before.items()}, strict=True)
    net, x = net.double(), x.double()
    start = arrays(net.named_parameters())
    options = {k: job[k] for k in ("lr", "momentum", "weight_decay")}
    optimizer = torch.optim.SGD(net.parameters(), **options)
    mix = job["mixed"], torch.tensor(job["partner"])
    loss = loss_hat = gradients(net, x, y, *mix)
    running = arrays((n, b) for n, b in net.named_buffers())
    if job["rho"] > 0:
        at_theta = [p.grad.clone() for p in net.parameters()]
        ascend(net, job["rho"])
        loss_hat = gradients(net, x, y, *mix)
        if job["alpha"] > 0:
            split(net, at_theta, job["alpha"])
        with torch.no_grad():
            for n, p in net.named_parameters():
                p.copy_(torch.from_numpy(start[n]))
    grads = {n: p.grad.numpy().copy() for n, p in net.named_parameters()}
    optimizer.step()
    moved = {n: a - start[n] for n, a in arrays(net.named_parameters()).items()}

    good = True
    for name, want in (("loss", loss), ("loss_hat", loss_hat)):
        print("%s: %.9g, torch %.9g" % (name, job[name], want))
        good &= abs(job[name] - want) <= 1e-5 * want
    good &= compare("gradient", gradient, grads, job["allowed"])
    good &= compare("update", {n: after[n] - start[n] for n in start}, moved, job["allowed"])
    for kind in ("running_mean", "running_var"):
        good &= compare(kind, after, {n: b for n, b in running.items() if n.endswith(kind)}, 1e-5)
    tracked = [int(b) for n, b in running.items() if n.endswith("num_batches_tracked")]
    good &= all(int(after[n]) == t for n, t in zip((n for n in running if n.endswith("tracked")), tracked))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
