"""Scores of samples at one theta, as the engine's own sweep takes them (deploy/docs/MATH.md, "The adversarial twin")."""
import contextlib
import math
from fractions import Fraction
from typing import Any, Callable, Iterator, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..scores import Scores
from .head import Head, exponent, head, power_of_two, softmax_of

Epsilon = Union[float, str]
Normalise = Optional[Tuple[Sequence[float], Sequence[float]]]
Forward = Callable[[Tensor], Tensor]
ATTACKS = ("fgsm", "pgd", "l2")


def epsilon_of(epsilon: Epsilon, attack: str) -> float:
    """A number, or a text such as "8/255". Of all attacks but l2 it is of one pixel."""
    try:
        value = float(Fraction(epsilon) if isinstance(epsilon, str) else epsilon)
    except (TypeError, ValueError, ZeroDivisionError):
        value = math.nan
    if not 0 <= value < math.inf or isinstance(epsilon, bool):
        raise ValueError('epsilon is %r; it is a number from 0 on, or a text such as "8/255"' % (epsilon,))
    if attack != "l2" and value > 1:
        raise ValueError('epsilon is %r, but pixels are in [0, 1]; it is at most 1, as "8/255" is' % (epsilon,))
    return value


def forward_of(model: Callable[[Any], Any], normalise: Normalise, logits: bool = True) -> Callable[[Any], Any]:
    """x [n, channels, ...] in [0, 1] -> what the model says of (x - mean) / std; logits: it has to be logits [n, C]."""
    def forward(x: Any) -> Any:
        if normalise is not None:
            shape = (1, -1) + (1,) * (x.dim() - 2)
            mean, std = (torch.as_tensor(v, dtype=x.dtype, device=x.device).reshape(shape) for v in normalise)
            x = (x - mean) / std
        outputs = model(x)
        if logits and not (isinstance(outputs, Tensor) and outputs.dim() == 2):
            what = "the shape %s" % list(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
            raise ValueError("the model returned %s; wanted are logits, a tensor [samples, classes]" % what)
        return outputs
    return forward


def check_pixels(x: Tensor) -> None:
    """Refuses what is not in [0, 1]; on an accelerator this waits for what is under way there, once for the batch."""
    if not x.is_floating_point():
        raise ValueError("x is %s; wanted are pixels in [0, 1]: divide by 255 first" % x.dtype)
    low, high = torch.stack(torch.aminmax(x.detach())).tolist() if x.numel() else (0, 1)
    if not (low >= 0 and high <= 1):
        raise ValueError("x goes from %.4g to %.4g; wanted are pixels in [0, 1]: leave the normalisation out of the loader and "
                         "give normalise=(mean, std), or let the model do it" % (low, high))


def check_labels(x: Tensor, y: Tensor, classes: Optional[int] = None) -> None:
    if y.dim() != 1 or len(y) != len(x) or y.is_floating_point():
        raise ValueError("x has %d samples and y is %s %s; wanted is a class for each sample" % (len(x), y.dtype, list(y.shape)))
    if classes is not None and classes < 2:
        raise ValueError("the model returned %d logit for a sample; wanted is one for each class, 2 or more" % classes)
    if classes is not None and y.device.type == "cpu" and len(y) and not 0 <= int(y.min()) <= int(y.max()) < classes:
        raise ValueError("y goes from %d to %d; wanted are classes from 0 to %d" % (y.min(), y.max(), classes - 1))


def input_norms(dx: Tensor) -> Tensor:
    """The L2 norm of each sample's row, float64 [n]."""
    return dx.flatten(1).double().square().sum(1).sqrt()


def one_move(x: Tensor, dx: Tensor, epsilon: float, attack: str) -> Tensor:
    """The twin of fgsm or l2. dx: the gradient of each sample up to a positive factor; 0 gives x.

    fgsm: clip(x + epsilon sign(dx), 0, 1), sign(0) = 0 (Goodfellow, Shlens and Szegedy 2015, arXiv 1412.6572)
    l2:   clip(x + epsilon dx / ||dx||, 0, 1), rounded towards x, so that it is no farther away than epsilon"""
    if attack == "fgsm":
        return (x + epsilon * dx.sign()).clamp(0, 1)
    norm = input_norms(dx).reshape((-1,) + (1,) * (x.dim() - 1))
    move = torch.where(norm > 0, epsilon / norm, torch.zeros_like(norm)) * dx.double()
    twin = (x.double() + move).to(x.dtype)
    far = (twin.double() - x.double()).abs() > move.abs()
    return torch.where(far, torch.nextafter(twin, x), twin).clamp(0, 1)


def _walk(x: Tensor, twin: Tensor, dx: Tensor, alpha: float, epsilon: float) -> Tensor:
    """A move of pgd: alpha along the sign, then back into the ball and into [0, 1]."""
    twin = twin + alpha * dx.sign()
    return torch.minimum(torch.maximum(twin, (x - epsilon).clamp(min=0)), (x + epsilon).clamp(max=1))


def _gradient(forward: Forward, x: Tensor, y: Tensor) -> Tuple[Head, Tensor, Tensor]:
    """(head, the gradient of x times 2^-exponent, exponent). delta is divided by 2^floor(log2(R / S)) before it goes through
    the layers: exact, and without it the gradient of a confident sample would be 0 in float32."""
    leaf = x.detach().clone().requires_grad_()
    logits = forward(leaf)
    check_labels(x, y, logits.shape[1])
    of = head(logits, y)
    e = exponent(of.wrong)
    (dx,) = torch.autograd.grad(logits, leaf, (of.delta * power_of_two(-e)[:, None]).to(logits.dtype))
    return of, dx.detach(), e


def _pgd(forward: Forward, x: Tensor, y: Tensor, dx: Tensor, epsilon: float, alpha: float, steps: int,
         seed: Optional[int]) -> Tensor:
    """The last of `steps` moves (Madry et al. 2018, arXiv 1706.06083); dx: the gradient at x."""
    twin = x
    if seed is None:
        twin = _walk(x, x, dx, alpha, epsilon)
        steps -= 1
    else:
        start = torch.rand(x.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1
        twin = (x + (epsilon * start).to(x)).clamp(0, 1)
    for _ in range(steps):
        twin = _walk(x, twin, _gradient(forward, twin, y)[1], alpha, epsilon)
    directed = (dx.flatten(1) != 0).any(1).reshape((-1,) + (1,) * (x.dim() - 1))
    return torch.where(directed, twin, x)


@contextlib.contextmanager
def random_state(device: torch.device) -> Iterator[None]:
    """What is drawn inside is not missing outside."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def autocast_off(device: torch.device) -> Any:
    return torch.autocast(device.type, enabled=False) if device.type in ("cpu", "cuda") else contextlib.nullcontext()


@contextlib.contextmanager
def _measuring(model: Any, device: torch.device) -> Iterator[None]:
    """Evaluation mode, float32 as the parameters are, gradients on; afterwards all is as it was."""
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    mixes = [m for m in modules if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.running_mean is None]
    if mixes:
        raise ValueError("%s keeps no running statistics, so that samples mix even in evaluation mode; use "
                         "track_running_stats=True or GroupNorm" % type(mixes[0]).__name__)
    flags = [m.training for m in modules]
    with contextlib.ExitStack() as stack:
        for context in (torch.inference_mode(False), torch.enable_grad(), autocast_off(device), random_state(device)):
            stack.enter_context(context)
        try:
            for m in modules:
                m.training = False
            yield
        finally:
            for m, flag in zip(modules, flags):
                m.training = flag


def score(model: Any, x: Tensor, y: Tensor, epsilon: Optional[Epsilon] = None, attack: str = "fgsm", normalise: Normalise = None,
          *, alpha: Optional[Epsilon] = None, steps: int = 10, random_start: bool = False, seed: int = 0,
          probabilities: bool = False) -> Scores:
    """What the samples (x, y) say at the model's present parameters: loss, adv_loss, grad_norm, el2n, margin, predicted and
    adv_predicted, each [n] on x's device, float64 and int64. Two forward passes and one backward pass to the pixels.

    model      module or function, pixels -> logits [n, C]. It is put into evaluation mode (running statistics for the sample
               and for its twin) and back; its gradients, buffers and the generators of random numbers stay as they are. Of a
               DistributedDataParallel its module is asked: ranks need not have equally many samples.
    x          float [n, ...], pixels in [0, 1] without augmentation; y: int64 [n]
    epsilon    size of the attack, per pixel for fgsm and pgd, in all for l2: a number or a text such as "8/255". None: 8/255,
               and 0.5 for l2. 0: each gap is 0
    attack     "fgsm", "pgd" or "l2" (`one_move`, `_pgd`)
    normalise  (mean, std), a number for each channel (dimension 1): the model gets (x - mean) / std. None: it takes pixels
    alpha, steps, random_start, seed   of pgd: length of a move (default epsilon / 4), moves, and whether they begin at a
               random place of the ball, drawn by `seed` and the sample's place in the batch

    probabilities   also float32 [n, C], the softmax of the logits of x; for jobs that keep them (score.probabilities)

    With g = d loss / d x of each sample: grad_norm = ||g||_2, adv_loss = loss at the twin. Where g is all 0 (grad_norm 0), the
    twin is x: such a sample has no direction, and the server leaves it out of the mean gap. See steppe.torch.head for the
    formulas of the others. Callers may be under no_grad, inference_mode or autocast: inside, all is computed in the type of
    the parameters."""
    if attack not in ATTACKS:
        raise ValueError("attack is %r; it is one of %s" % (attack, ", ".join(ATTACKS)))
    epsilon = (0.5 if attack == "l2" else 8 / 255) if epsilon is None else epsilon_of(epsilon, attack)
    if steps < 1:
        raise ValueError("steps is %r; pgd makes 1 or more" % (steps,))
    check_pixels(x)
    check_labels(x, y)
    if isinstance(model, DistributedDataParallel):
        model = model.module
    with _measuring(model, x.device):
        x, y = x.detach().clone(), y.clone()
        forward = forward_of(model, normalise)
        of, dx, e = _gradient(forward, x, y)
        if attack == "pgd":
            twin = _pgd(forward, x, y, dx, epsilon, epsilon / 4 if alpha is None else epsilon_of(alpha, attack), steps,
                        seed if random_start else None)
        else:
            twin = one_move(x, dx, epsilon, attack)
        with torch.no_grad():
            adv = head(forward(twin), y)
        return Scores(loss=of.loss, adv_loss=adv.loss, grad_norm=input_norms(dx) * power_of_two(e), el2n=of.el2n,
                      margin=of.margin, predicted=of.predicted, adv_predicted=adv.predicted,
                      probabilities=softmax_of(of, y) if probabilities else None)
