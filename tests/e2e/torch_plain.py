"""Shared by the end-to-end tests of steppe.torch: small networks, batches, comparisons. Where PyTorch is missing, whoever imports this
says so and ends."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../proto/python"))
from wire import finish, has, ok, skip  # noqa: E402

try:
    import torch
except ImportError:
    skip("steppe.torch", "python3-torch is not installed")
    finish()
from torch import nn  # noqa: E402

torch.set_num_threads(1)
PIXELS = (1, 4, 4)


def batch(n=12, classes=4, dtype=torch.float64, seed=1):
    g = torch.Generator().manual_seed(seed)
    return torch.rand((n, *PIXELS), generator=g, dtype=dtype), torch.randint(classes, (n,), generator=g), \
        torch.rand(n, generator=g, dtype=torch.float64) + 0.1


def network(*between, dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 12), *between, nn.Tanh(), nn.Linear(12, 4)).to(dtype)


def equal(name, want, got):
    return ok(name, torch.equal(want, got), "differs by %s" % (want - got).abs().max() if want.shape == got.shape else got.shape)


def near(name, want, got, off=1e-10):
    """Largest difference, in parts of the largest value."""
    want, got = want.double(), got.double()
    most = float((want - got).abs().max() / want.abs().max().clamp(min=1e-300))
    return ok(name, most <= off, "off by %.3g" % most)


def refused(name, part, what, *words, kind=ValueError, **more):
    try:
        what(*words, **more)
    except kind as error:
        return has(name, part, str(error))
    return ok(name, False, "nothing was refused")


def cast():
    return torch.autocast("cpu", dtype=torch.bfloat16)


class Standard(nn.Module):
    def forward(self, x):
        return (x - 0.5) / 0.25
