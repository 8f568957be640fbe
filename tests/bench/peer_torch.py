#!/usr/bin/python3
"""The peer of `make bench`: PyTorch takes the same training steps on the same cores, tuned as well as
we know how. Says what it is, then measures what it is asked on standard input, a line "MODE SECONDS"
at a time, and answers with a line of JSON, as engine.c does with --ask.

It runs itself again in the environment that is best for it: a CPU with AVX-512 uses it (PyTorch 1.13
would not by itself); malloc keeps what it has, in huge pages, so that no page faults in a step; and the
OpenMP build of OpenBLAS is loaded, so that ATen, oneDNN and BLAS share one pool of threads: with the
pthread build two pools spin against each other and an MLP is half as fast. Convolutions run
channels_last. No data is loaded, augmented or normalised in its steps."""
import argparse
import json
import os
import statistics
import sys
import time

MODELS = ("mlp", "cnn", "resnet20", "resnet20_gn", "wrn16_4", "resnet18")
OPENBLAS_OPENMP = "/usr/lib/{}-linux-gnu/openblas-openmp".format(os.uname().machine)
MALLOC = ("glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=17179869184:"
          "glibc.malloc.top_pad=268435456")
BATCHES = 4  # that take turns
WARM_S = 0.1
RHO, EPSILON = 0.05, 8 / 255
ONLINE_SHARE = 0.8  # as in engine.c
SGD = {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4}


def has_avx512():
    with open("/proc/cpuinfo") as file:
        return "avx512f" in file.read().split()


def run_tuned(threads):
    env = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
    env.update(BENCH_PEER_TUNED="1", GLIBC_TUNABLES=MALLOC, OMP_NUM_THREADS=str(threads),
               OPENBLAS_NUM_THREADS=str(threads))
    if has_avx512():
        env.update(ATEN_CPU_CAPABILITY="avx512", OPENBLAS_CORETYPE="SkylakeX")
    if os.path.exists(OPENBLAS_OPENMP):
        env["LD_LIBRARY_PATH"] = OPENBLAS_OPENMP
    if threads > 1:
        env["OMP_PROC_BIND"] = "true"
    os.execve(sys.executable, [sys.executable] + sys.argv, env)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", default="resnet20", choices=MODELS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=128)
    return parser.parse_args()


ARGS = arguments()
if __name__ == "__main__" and os.environ.get("BENCH_PEER_TUNED") != "1":
    run_tuned(ARGS.threads)

import torch  # noqa: E402  after the environment is set
import torch.nn as nn  # noqa: E402
import torch.nn.functional as F  # noqa: E402


# --- models ---


def norm(channels):
    return nn.GroupNorm(8, channels) if ARGS.model.endswith("_gn") else nn.BatchNorm2d(channels)


def conv3(i, o, stride=1):
    return nn.Conv2d(i, o, 3, stride, 1, bias=False)


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.f1, self.f2, self.f3 = nn.Linear(784, 512), nn.Linear(512, 256), nn.Linear(256, 10)

    def forward(self, x):
        return self.f3(F.relu(self.f2(F.relu(self.f1(x.flatten(1))))))


class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(1, 32, 3, padding=1), nn.Conv2d(32, 64, 3, padding=1)
        self.f1, self.f2 = nn.Linear(64 * 14 * 14, 128), nn.Linear(128, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.c2(F.relu(self.c1(x)))), 2)
        return self.f2(F.relu(self.f1(x.flatten(1))))


class Basic(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.c1, self.n1, self.c2, self.n2 = conv3(i, o, stride), norm(o), conv3(o, o), norm(o)
        self.short = (nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), norm(o))
                      if stride != 1 or i != o else None)

    def forward(self, x):
        y = F.relu(self.n1(self.c1(x)), inplace=True)
        y = self.n2(self.c2(y))
        return F.relu(y + (x if self.short is None else self.short(x)), inplace=True)


class PreActivation(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.n1, self.c1, self.n2, self.c2 = norm(i), conv3(i, o, stride), norm(o), conv3(o, o)
        self.short = nn.Conv2d(i, o, 1, stride, bias=False) if stride != 1 or i != o else None

    def forward(self, x):
        t = F.relu(self.n1(x))
        rest = x if self.short is None else self.short(t)
        return self.c2(F.relu(self.n2(self.c1(t)), inplace=True)) + rest


class ResNet(nn.Module):
    def __init__(self, block, blocks, widths, stem):
        super().__init__()
        self.pre = block is PreActivation
        self.c, self.n = nn.Conv2d(3, stem, 3, 1, 1, bias=False), norm(widths[-1] if self.pre else stem)
        layers, i = [], stem
        for k, width in enumerate(widths):
            for j in range(blocks):
                layers.append(block(i, width, 2 if k > 0 and j == 0 else 1))
                i = width
        self.layers, self.fc = nn.Sequential(*layers), nn.Linear(i, 10)

    def forward(self, x):
        x = self.c(x)
        if not self.pre:
            x = F.relu(self.n(x), inplace=True)
        x = self.layers(x)
        if self.pre:
            x = F.relu(self.n(x), inplace=True)
        return self.fc(x.mean((2, 3)))


def make_model():
    if ARGS.model == "mlp":
        return MLP()
    if ARGS.model == "cnn":
        return CNN()
    if ARGS.model == "wrn16_4":
        return ResNet(PreActivation, 2, [64, 128, 256], 16)
    if ARGS.model == "resnet18":
        return ResNet(Basic, 2, [64, 128, 256, 512], 64)
    return ResNet(Basic, 3, [16, 32, 64], 16)


# --- steps ---


class SAM:
    """The two halves of a step, as github.com/davda54/sam takes them."""

    def __init__(self, parameters):
        self.parameters = list(parameters)
        self.base = torch.optim.SGD(self.parameters, **SGD)
        self.old = {}

    @torch.no_grad()
    def ascend(self):
        gradient = torch.norm(torch.stack([p.grad.norm(p=2) for p in self.parameters]), p=2)
        scale = RHO / (gradient + 1e-12)
        for p in self.parameters:
            self.old[p] = p.data.clone()
            p.add_(p.grad * scale)
        self.base.zero_grad(set_to_none=False)

    @torch.no_grad()
    def descend(self):
        for p in self.parameters:
            p.data = self.old[p]
        self.base.step()
        self.base.zero_grad(set_to_none=False)


class Steps:
    """A step of each mode on a batch (x, y)."""

    def __init__(self):
        self.net = make_model()
        form = torch.channels_last
        shape = (1, 28, 28) if ARGS.model in ("mlp", "cnn") else (3, 32, 32)
        if ARGS.model != "mlp":
            self.net = self.net.to(memory_format=form)
        self.data = [(torch.randn(ARGS.batch, 784) if ARGS.model == "mlp"
                      else torch.randn(ARGS.batch, *shape).contiguous(memory_format=form),
                      torch.randint(0, 10, (ARGS.batch,))) for _ in range(BATCHES)]
        self.optimizer = torch.optim.SGD(self.net.parameters(), **SGD)
        self.two_steps = SAM(self.net.parameters())
        self.norms = [m for m in self.net.modules() if isinstance(m, nn.BatchNorm2d)]
        self.net.train()

    def keep_statistics(self, keep):
        for m in self.norms:
            m.momentum = 0 if keep else 0.1

    def adversarial_loss(self, x, gradient, y):
        self.net.eval()
        with torch.no_grad():
            loss = F.cross_entropy(self.net(x + EPSILON * gradient.sign()), y, reduction="none")
        self.net.train()
        return loss

    def sgd(self, x, y):
        self.optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(self.net(x), y).backward()
        self.optimizer.step()

    def sam(self, x, y, fused=False):
        at = x.detach().requires_grad_(True) if fused else x
        self.keep_statistics(False)
        F.cross_entropy(self.net(at), y).backward()
        if fused:
            self.adversarial_loss(x, at.grad, y)
        self.two_steps.ascend()
        self.keep_statistics(True)
        F.cross_entropy(self.net(x), y).backward()
        self.two_steps.descend()

    def fused(self, x, y):
        self.sam(x, y, fused=True)

    def online(self, x, y):
        """The ascent of all samples; the descent of the share with the smallest gaps."""
        at = x.detach().requires_grad_(True)
        loss = F.cross_entropy(self.net(at), y, reduction="none")
        loss.mean().backward()
        gaps = self.adversarial_loss(x, at.grad, y) - loss.detach()
        kept = gaps.argsort()[:round(ONLINE_SHARE * len(y))]
        self.two_steps.ascend()
        F.cross_entropy(self.net(x[kept]), y[kept]).backward()
        self.two_steps.descend()

    def sweep(self, x, y):
        """The scores of a batch: evaluation mode, the gradient of x alone, one more forward."""
        self.net.eval()
        at = x.detach().requires_grad_(True)
        loss = F.cross_entropy(self.net(at), y, reduction="none")
        gradient, = torch.autograd.grad(loss.sum(), at)
        self.adversarial_loss(x, gradient, y)

    def measure(self, mode, seconds):
        """Images a second by the median step of about that many seconds, and by the fastest."""
        step, times = getattr(self, mode), []
        start = last = time.perf_counter()
        while not times or last - start < seconds:
            step(*self.data[len(times) % BATCHES])
            now = time.perf_counter()
            times.append(now - last)
            last = now
        return {"rate": ARGS.batch / statistics.median(times), "best": ARGS.batch / min(times)}


def say(**line):
    print(json.dumps(line), flush=True)


def main():
    torch.set_num_threads(ARGS.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(1)
    capability = [line.split(":")[1].strip() for line in torch.__config__.show().split("\n")
                  if "CPU capability" in line]
    steps, warm = Steps(), set()
    say(model=ARGS.model, threads=ARGS.threads, batch=ARGS.batch, torch=torch.__version__,
        parameters=sum(p.numel() for p in steps.net.parameters()),
        core=os.environ.get("OPENBLAS_CORETYPE", "chosen by OpenBLAS"),
        openblas="openmp" if "LD_LIBRARY_PATH" in os.environ else "as installed",
        capability=capability[0] if capability else "unknown")
    for line in sys.stdin:
        mode, seconds = line.split()
        if mode not in warm:
            steps.measure(mode, WARM_S)
            warm.add(mode)
        say(mode=mode, **steps.measure(mode, float(seconds)))


if __name__ == "__main__":
    main()
