"""Softmax cross-entropy that keeps what a confident sample has.

From logits z of C classes and the label y, in float64, with k = argmax z (the lowest index on ties) and e_j = exp(z_j - z_k):

    S = sum of e_j,  R = sum of e_j over j != y        summed without y, never S - e_y
    loss    = (z_k - z_y) + log1p(sum of e_j over j != k)
    delta_j = e_j / S for j != y,  delta_y = -R / S    d loss / d z, never p_y - 1
    el2n    = sqrt(sum of delta_j^2)
    margin  = z_y - ln sqrt(sum of exp(2 z_j) over j != y)

A confident sample has a loss of 1e-20 and a gradient to match, not 0. With log_softmax and p - 1 in float32 a sample whose
loss is below 1e-12 loses nearly all of its gap to the twin. The same formulas as the engine's own (deploy/docs/MATH.md, "The
head"; el2n: Paul et al. 2021, arXiv 2107.07075; margin: Pleiss et al. 2020, arXiv 2001.10528)."""
from typing import Any, List, NamedTuple, Optional

import torch
from torch import Tensor

_EXPONENT_MAX = 1000  # what a float64 has room for, twice


class Head(NamedTuple):
    """Of n samples; all float64 but `predicted` (int64 [n])."""
    loss: Tensor       # [n] nats
    delta: Tensor      # [n, C] d loss / d logits
    wrong: Tensor      # [n] R / S = 1 - p_y
    el2n: Tensor       # [n]
    margin: Tensor     # [n]
    predicted: Tensor  # [n]


def _without(e: Tensor, column: Tensor, fill: float = 0.0) -> Tensor:
    return e.scatter(1, column, fill)


def head(logits: Tensor, y: Tensor) -> Head:
    """logits [n, C] of any float type, y integers [n], classes from 0 to C - 1. Gives no gradient."""
    z = logits.detach().double()
    y = y.long()[:, None]
    top = z.argmax(1, keepdim=True)
    z_y = z.gather(1, y)
    e = (z - z.gather(1, top)).exp()
    rest = _without(e, top).sum(1, keepdim=True)
    others = _without(e, y)
    r = others.sum(1, keepdim=True)
    wrong = r / (1 + rest)
    shares = others / r.clamp(min=torch.finfo(torch.float64).tiny)  # of delta in R / S, whose squares do not underflow
    rivals = _without(z, y, -torch.inf)
    margin = z_y - (2 * rivals).logsumexp(1, keepdim=True) / 2
    return Head(loss=((z.gather(1, top) - z_y) + rest.log1p())[:, 0],
                delta=(others / (1 + rest)).scatter(1, y, -wrong),
                wrong=wrong[:, 0],
                el2n=(wrong * (1 + shares.square().sum(1, keepdim=True)).sqrt())[:, 0],
                margin=margin[:, 0],
                predicted=top[:, 0])


def softmax_of(of: Head, y: Tensor) -> Tensor:
    """The probabilities of all classes, float32 [n, C]. That of the label is exp(-loss): 1 - R / S would be 0 where it is small."""
    return of.delta.scatter(1, y.long()[:, None], (-of.loss).exp()[:, None]).float()


def exponent(wrong: Tensor) -> Tensor:
    """floor(log2(R / S)), int64 [n]: what is taken out of delta before it goes through float32 layers. 0 where R is 0."""
    e = torch.frexp(wrong)[1].long() - 1
    return torch.where(wrong > 0, e, torch.zeros_like(e)).clamp(-_EXPONENT_MAX, _EXPONENT_MAX)


def power_of_two(e: Tensor) -> Tensor:
    """2^e as float64, exact; |e| at most 1000."""
    return ((e + 1023) << 52).view(torch.float64)


class _CrossEntropy(torch.autograd.Function):
    """`seen` receives the Head: whoever trains and scores computes it once."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, y: Tensor, seen: List[Head]) -> Tensor:  # type: ignore[override]
        of = head(logits, y)
        seen.append(of)
        ctx.save_for_backward(of.delta)
        ctx.dtype = logits.dtype
        return of.loss.clone()  # what was seen has no gradient

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:  # type: ignore[override]
        (delta,) = ctx.saved_tensors
        return (delta * grad[:, None]).to(ctx.dtype), None, None


def cross_entropy(logits: Tensor, y: Tensor, seen: Optional[List[Head]] = None) -> Tensor:
    """The loss of each sample, float64 [n], with the exact delta as its gradient: what SAM trains on by default. As
    torch.nn.functional.cross_entropy(logits, y, reduction="none"), rounded once instead of at each operation."""
    return _CrossEntropy.apply(logits, y, [] if seen is None else seen)
