"""The passes of a SAM step over a batch: its pieces forward and back, at theta and at theta^, on one process or on many."""
import contextlib
from typing import Any, Callable, ContextManager, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..scores import Scores
from .head import Head, cross_entropy, head
from .score import autocast_off, check_labels, forward_of, input_norms, one_move

Loss = Callable[[Any, Any], Tensor]
Batch = Union[Tensor, Sequence[Any]]


class Random:
    """The state of the generators that dropout draws from."""

    def __init__(self, devices: Iterable[torch.device]) -> None:
        self._devices = [d for d in devices if d.type == "cuda"]
        self._cpu = torch.get_rng_state()
        self._cuda = [torch.cuda.get_rng_state(d) for d in self._devices]

    def put_back(self) -> None:
        torch.set_rng_state(self._cpu)
        for device, state in zip(self._devices, self._cuda):
            torch.cuda.set_rng_state(state, device)

    @contextlib.contextmanager
    def again(self) -> Iterator[None]:
        """What is drawn inside is what was drawn since; what is drawn afterwards is not."""
        after = Random(self._devices)
        self.put_back()
        try:
            yield
        finally:
            after.put_back()


class Buffers:
    """The buffers of a model, such as BatchNorm's running statistics, with what is in them now."""

    def __init__(self, model: Any) -> None:
        modules = model.modules() if isinstance(model, nn.Module) else ()
        self._kept = [(m, name, b, b.detach().clone()) for m in modules for name, b in m._buffers.items() if b is not None]

    def put_back(self) -> None:
        with torch.no_grad():
            for module, name, buffer, value in self._kept:
                buffer.copy_(value)
                module._buffers[name] = buffer  # some are replaced and not written: num_batches_tracked of torch 1.13


class Piece(NamedTuple):
    """What goes through the model at a time."""
    x: Any
    y: Any
    weights: Tensor  # float64 [n] v_i


class Seen(NamedTuple):
    """What the pass at theta says of a piece; all [n]."""
    losses: Tensor  # as trained
    head: Optional[Head]  # None: there are no logits
    adv: Optional[Head] = None
    grad_norm: Optional[Tensor] = None


def _parts(t: Any, size: Optional[int]) -> List[Any]:
    return [t] if size is None else list(t.split(size))


def _weights_of(weights: Any, n: int, device: torch.device) -> Tensor:
    if weights is None:
        return torch.ones(n, dtype=torch.float64, device=device)
    v = torch.as_tensor(weights, dtype=torch.float64)
    if v.shape != (n,):
        raise ValueError("weights have the shape %s; wanted is one for each of %d samples" % (list(v.shape), n))
    if v.device.type == "cpu":
        wrong = (~((v > 0) & torch.isfinite(v))).nonzero()
        if len(wrong):
            raise ValueError("weights[%d] is %g; a weight is above 0, and what weighs nothing is not in the batch" %
                             (wrong[0], v[wrong[0]]))
    return v.to(device)


def cut(x: Batch, y: Batch, weights: Any, accumulate: Optional[int], m: Optional[int], device: torch.device) -> List[Piece]:
    """The pieces of a batch: micro-batches as they are given, a tensor in `accumulate` parts, either in parts of m."""
    several = isinstance(x, (list, tuple))
    if several != isinstance(y, (list, tuple)) or several and (not x or len(x) != len(y)):  # type: ignore[arg-type]
        raise ValueError("x and y are of unlike kinds or lengths; wanted are two tensors, or two lists of as many micro-batches")
    if accumulate is not None and (accumulate < 1 or several or m is not None):
        raise ValueError("accumulate is %r; it is a number of pieces from 1 on, and neither lists nor m go with it" % (accumulate,))
    xs, ys = (x, y) if several else ([x], [y])
    n = sum(len(part) for part in ys)
    if n == 0:
        raise ValueError("the batch has no sample")
    size = m if accumulate is None else -(-n // accumulate)
    parts = [pair for a, b in zip(xs, ys) for pair in zip(_parts(a, size), _parts(b, size))]
    lengths = [len(part) for _, part in parts]
    return [Piece(a, b, v) for (a, b), v in zip(parts, _weights_of(weights, n, device).split(lengths))]


def ddp_of(model: Any) -> Optional[DistributedDataParallel]:
    modules = model.modules() if isinstance(model, nn.Module) else ()
    return next((m for m in modules if isinstance(m, DistributedDataParallel)), None)


def check_fused(model: Any, loss: Optional[Loss], adm: Any, attack: str) -> None:
    """Refuses where the first pass does not hold each sample's own gradient."""
    if attack not in ("fgsm", "l2"):
        raise ValueError("attack is %r; in a step it is fgsm or l2, and a sweep has the others" % (attack,))
    smoothing = getattr(loss, "label_smoothing", 0)
    if smoothing:
        raise ValueError("label_smoothing is %g and adm is %s; scores are not smoothed: use run.sweep, or label_smoothing 0" %
                         (smoothing, adm))
    if loss is not None:
        raise ValueError("adm is %s and loss is given; scores are of cross-entropy: use run.sweep, or loss=None" % (adm,))
    model = model.module if isinstance(model, DistributedDataParallel) else model
    modules = model.modules() if isinstance(model, nn.Module) else ()
    if any(isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training for m in modules):
        raise ValueError("adm is %s, but model %s uses BatchNorm; use run.sweep or GroupNorm" % (adm, type(model).__name__))


class Passes:
    """The pieces of a batch and the ways through them. epsilon None: the twin is not measured."""

    def __init__(self, model: Any, pieces: List[Piece], devices: List[torch.device], loss: Optional[Loss], scaler: Any,
                 normalise: Any, epsilon: Optional[float], attack: str) -> None:
        self.pieces = pieces
        self.model = model
        self._devices = devices
        self._loss = loss
        self._scaler = scaler
        self._epsilon = epsilon
        self._attack = attack
        self._ddp = ddp_of(model)
        self._forward = forward_of(model, normalise, logits=loss is None)
        self._before: List[Random] = []  # of each piece that was seen

    def scale(self) -> float:
        return scale_of(self._scaler)

    def shares(self) -> List[Tensor]:
        """What each loss counts in the gradient: v_i / sum of v over the batch of all ranks, times the number of ranks, over
        which DistributedDataParallel takes the mean."""
        total = torch.stack([p.weights.sum() for p in self.pieces]).sum()
        world = 1
        if self._ddp is not None:
            world = dist.get_world_size(self._ddp.process_group)
            dist.all_reduce(total, group=self._ddp.process_group)
        return [p.weights * (world / total) for p in self.pieces]

    def _reduced(self, wanted: bool) -> ContextManager[Any]:
        return contextlib.nullcontext() if wanted or self._ddp is None else self._ddp.no_sync()

    def _losses(self, outputs: Any, y: Any, seen: List[Head]) -> Tensor:
        if self._loss is None:
            check_labels(outputs, y, outputs.shape[1])
            return cross_entropy(outputs, y, seen)
        losses = self._loss(outputs, y)
        if losses.shape != (len(y),):
            raise ValueError("loss gave the shape %s for %d samples; wanted is a loss for each sample: reduction=\"none\"" %
                             (list(losses.shape), len(y)))
        classes = isinstance(y, Tensor) and y.dim() == 1 and not y.is_floating_point()
        if classes and isinstance(outputs, Tensor) and outputs.dim() == 2 and outputs.shape[1] > 1:
            seen.append(head(outputs, y))
        return losses

    def _run(self, x: Any, y: Any, share: Tensor, reduce: bool) -> Tuple[Tensor, List[Head]]:
        """Forward and backward; the gradients add to those that are there."""
        seen: List[Head] = []
        with self._reduced(reduce):
            outputs = self._forward(x)
            if self._epsilon is not None and outputs.dtype == torch.float16:
                raise ValueError("the logits are float16, in which the gradient of a confident sample is 0; use bfloat16, or "
                                 "run.sweep instead of adm")
            losses = self._losses(outputs, y, seen)
            with autocast_off(losses.device):
                total = (losses * share.to(losses.dtype)).sum()
                (total if self._scaler is None else self._scaler.scale(total)).backward()
        return losses.detach(), seen

    def first(self, i: int, share: Tensor, reduce: bool) -> Seen:
        """Piece i at theta. share [n]: what its losses count. reduce: over all ranks, when this is the last of several."""
        piece = self.pieces[i]
        self._before.append(Random(self._devices))
        x = piece.x if self._epsilon is None else piece.x.detach().requires_grad_()
        losses, seen = self._run(x, piece.y, share, reduce)
        if self._epsilon is None:
            return Seen(losses, seen[0] if seen else None)
        norms = input_norms(x.grad) / (share * self.scale())
        return Seen(losses, seen[0], self._twin(i, one_move(piece.x.detach(), x.grad, self._epsilon, self._attack)), norms)

    def _twin(self, i: int, twin: Tensor) -> Head:
        """At theta, with the entries dropped that the sample had dropped."""
        buffers = Buffers(self.model)
        with torch.no_grad(), self._reduced(False), self._before[i].again():
            adv = head(self._forward(twin), self.pieces[i].y)
        buffers.put_back()
        return adv

    def second(self, i: int, share: Tensor, reduce: bool) -> Tensor:
        """Piece i at theta^, with the same entries dropped; its losses."""
        with self._before[i].again():
            return self._run(self.pieces[i].x, self.pieces[i].y, share, reduce)[0]

    def sharper(self, seen: List[Seen], hats: List[Tensor]) -> Tensor:
        """The mean of loss(theta^) - loss(theta) on this rank, by weight."""
        v = torch.cat([p.weights for p in self.pieces])
        return (v * (torch.cat(hats).double() - torch.cat([s.losses for s in seen]).double())).sum() / v.sum()


def scores_of(seen: List[Seen]) -> Scores:
    """Of all pieces, one after the other."""
    def whole(parts: List[Any]) -> Tensor:
        return torch.cat(parts)

    heads, twins = [s.head for s in seen], [s.adv for s in seen]
    if heads[0] is None:
        return Scores(loss=whole([s.losses.double() for s in seen]))
    scores = Scores(loss=whole([h.loss for h in heads]), el2n=whole([h.el2n for h in heads]), margin=whole([h.margin for h in heads]),
                    predicted=whole([h.predicted for h in heads]))
    if twins[0] is None:
        return scores
    return scores._replace(adv_loss=whole([t.loss for t in twins]), adv_predicted=whole([t.predicted for t in twins]),
                           grad_norm=whole([s.grad_norm for s in seen]))


def scale_of(scaler: Any) -> float:
    return float(scaler.get_scale()) if scaler is not None and scaler.is_enabled() else 1.0
