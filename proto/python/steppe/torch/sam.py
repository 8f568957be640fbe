"""Sharpness-Aware Minimisation around any torch optimizer, with the scores of its first pass."""
import math
from typing import Any, Callable, Dict, List, Optional, Tuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .passes import Batch, Buffers, Loss, Passes, Random, Seen, check_fused, cut, scale_of, scores_of
from .score import Epsilon, Normalise, check_pixels, epsilon_of

_ETA = 0.01    # of ASAM, as Kwon et al. 2021 have it
_TINY = 1e-12  # keeps a gradient of 0 from being divided by 0


class SAM(Optimizer):
    """Wraps a torch optimizer. With the weights v > 0 of the samples of an ascent (Foret et al. 2021, arXiv 2010.01412,
    equation 2 and Algorithm 1; adaptive: Kwon et al. 2021, arXiv 2102.11600, equation 8):

        g  = d/d theta of sum v_i loss_i(theta) / sum v_i
        theta^ = theta + rho g / (||g||_2 + 1e-12)
        adaptive:  theta^ = theta + rho T^2 g / (||T g||_2 + 1e-12),  T = |theta| + 0.01, and 1 for biases
        G  = d/d theta of sum v_i loss_i(theta) / sum v_i at theta^: what the optimizer gets

    optimizer  whose learning rate, momentum and weight decay count. param_groups and state are its own: a scheduler may be
               given either of the two, and a checkpoint of one is a checkpoint of the other
    rho        length of the ascent; None: 0.05, and 0.5 where adaptive. 0: the plain optimizer, bit for bit
    adaptive   ASAM. A bias is a parameter whose name has "bias" in its last part
    m          m-sharpness: each m samples that follow one another in a rank's batch ascend by their own gradient, and ranks
               exchange nothing before the last descent (Steppe's own engine calls them a shard). None: one ascent, by the
               gradient of the whole batch of all ranks, which is reduced for it
    model      only for step(closure) and by hand: BatchNorms of it keep their running statistics in the second pass, and
               adaptive tells its biases from its weights

    Parameters are copied before the ascent and copied back, bit for bit, whatever is raised in between. Both passes drop the
    same entries. BatchNorm's running statistics, like all buffers, move in the first pass only: once for each piece that goes
    through the model. Parameters are whole on each rank: DistributedDataParallel, not FullyShardedDataParallel.

    By hand, in a loop that has forward and backward already:

        loss(model(x), y).backward(); sam.first_step(zero_grad=True)
        loss(model(x), y).backward(); sam.second_step(zero_grad=True)

    Only there dropout draws anew in the second pass."""

    def __init__(self, optimizer: Optimizer, rho: Optional[float] = None, adaptive: bool = False, m: Optional[int] = None,
                 model: Optional[nn.Module] = None) -> None:
        # Not Optimizer.__init__, which would make groups and a state of its own: there is one learning rate.
        if not isinstance(optimizer, Optimizer):
            raise TypeError("SAM wraps a torch optimizer, such as torch.optim.SGD(model.parameters(), lr=0.1); this is a %s" %
                            type(optimizer).__name__)
        rho = (0.5 if adaptive else 0.05) if rho is None else rho
        if not 0 <= rho < math.inf:
            raise ValueError("rho is %r; it is a number from 0 on" % (rho,))
        if m is not None and m < 1:
            raise ValueError("m is %r; it is a number of samples from 1 on, or None for the whole batch" % (m,))
        self.optimizer = optimizer
        self.rho = rho
        self.adaptive = adaptive
        self.m = m
        self.sharpness: Optional[Tensor] = None  # of the last step on this rank: mean of loss(theta^) - loss(theta), by weight
        self._model = model
        self._in_range = False  # pixels of a fused step were looked at
        self._theta: List[Tuple[Tensor, Tensor]] = []  # parameters with their values at theta, while they are at theta^
        self._buffers: Optional[Buffers] = None        # with what the first pass left in them

    # --- as the wrapped optimizer ---

    param_groups = property(lambda self: self.optimizer.param_groups)  # type: ignore[assignment]
    state = property(lambda self: self.optimizer.state)                # type: ignore[assignment]
    defaults = property(lambda self: self.optimizer.defaults)          # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        if name == "optimizer":  # not there yet: while this is copied
            raise AttributeError(name)
        return getattr(self.optimizer, name)

    def __getstate__(self) -> Dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "step"}  # what a scheduler put over step()

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __repr__(self) -> str:
        return "SAM(rho=%g, adaptive=%s, m=%s) of %r" % (self.rho, self.adaptive, self.m, self.optimizer)

    def add_param_group(self, param_group: Dict[str, Any]) -> None:
        self.optimizer.add_param_group(param_group)

    def zero_grad(self, *args: Any, **more: Any) -> None:
        self.optimizer.zero_grad(*args, **more)

    def state_dict(self) -> Dict[str, Any]:
        return self.optimizer.state_dict()

    def load_state_dict(self, state_dict: Dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state_dict)

    # --- the parts of a step ---

    def _parameters(self) -> List[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def _devices(self) -> List[torch.device]:
        return list(dict.fromkeys(p.device for p in self._parameters()))

    def _clear(self) -> None:
        for p in self._parameters():
            p.grad = None

    def _weights(self, model: Any) -> Dict[int, bool]:
        """id of each parameter: whether T is |theta| + 0.01."""
        if not self.adaptive:
            return {}
        if not isinstance(model, nn.Module):
            raise ValueError("adaptive has to tell biases from weights: give the model to SAM(optimizer, model=...)")
        return {id(p): "bias" not in name.rpartition(".")[2] for name, p in model.named_parameters()}

    @torch.no_grad()
    def _ascend(self, model: Any, scale: float) -> None:
        """To theta^, from gradients that are `scale` times g. Norms are in float64. Where one is not finite, all parameters
        become NaN, so that the second gradient is not finite either and GradScaler leaves the step out."""
        moved = [p for p in self._parameters() if p.grad is not None]
        if not moved:
            return
        weights = self._weights(model)
        sizes = [p.abs() + _ETA if weights.get(id(p), False) else None for p in moved]
        tg = [p.grad if t is None else p.grad * t for p, t in zip(moved, sizes)]
        norms = [torch.linalg.vector_norm(g, dtype=torch.float64).to(moved[0].device) for g in tg]
        norm = torch.stack(norms).square().sum().sqrt()
        c = (self.rho / (norm + _TINY * scale)).clamp(max=torch.finfo(torch.float32).max)
        c = torch.where(torch.isfinite(norm), c, torch.full_like(c, math.nan))
        self._theta = [(p, p.detach().clone()) for p in moved]
        for p, t, g in zip(moved, sizes, tg):
            wide = torch.promote_types(p.dtype, torch.float32)
            g = g if t is None else g * t
            p.add_((g.to(wide) * c.to(p.device, wide)).to(p.dtype))
        torch.clear_autocast_cache()  # or a second forward inside the same autocast would still be at theta

    def restore(self) -> None:
        """Back to theta, if the parameters are at theta^, and buffers to what the first pass left in them."""
        if self._theta:
            with torch.no_grad():
                for now, then in self._theta:
                    now.copy_(then)
            torch.clear_autocast_cache()
        if self._buffers is not None:
            self._buffers.put_back()
        self._theta, self._buffers = [], None

    def _descend(self, scaler: Any, clip: Optional[float]) -> None:
        """The optimizer's step, with the gradients that are there."""
        if clip is not None:
            if scaler is not None:
                scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self._parameters(), clip)
        if scaler is None:
            self.optimizer.step()
        else:
            scaler.step(self.optimizer)
        torch.clear_autocast_cache()

    # --- by hand ---

    def first_step(self, zero_grad: bool = False, scaler: Any = None) -> None:
        """After the first backward pass: up to theta^. scaler: the GradScaler that scaled the loss, whose unscale_ is not to be
        called. Then comes the same forward and backward pass again, and second_step(); or restore(), which gives it up."""
        if self._theta:
            raise RuntimeError("first_step was called twice; second_step or restore comes between")
        self._buffers = Buffers(self._model)
        self._ascend(self._model, scale_of(scaler))
        if zero_grad:
            self.zero_grad()

    def second_step(self, zero_grad: bool = False, scaler: Any = None, clip: Optional[float] = None) -> None:
        """After the second backward pass: back to theta, and the optimizer's step. scaler and clip: as in step()."""
        if self._buffers is None:
            raise RuntimeError("second_step was called without first_step")
        self.restore()
        self._descend(scaler, clip)
        if zero_grad:
            self.zero_grad()

    # --- a step ---

    def step(self, model: Any = None, x: Optional[Batch] = None, y: Optional[Batch] = None, *,  # type: ignore[override]
             closure: Optional[Callable[[], Any]] = None, weights: Any = None, adm: Optional[Epsilon] = None,
             attack: str = "fgsm", normalise: Normalise = None, loss: Optional[Loss] = None, scaler: Any = None,
             clip: Optional[float] = None, accumulate: Optional[int] = None) -> Any:
        """One update of the parameters by the batch (x, y) of this rank; returns the Scores of its samples, those of the pass
        at theta. Gradients are cleared before; afterwards they are those of the update.

        model       pixels -> logits [n, C], in the mode that it is in. With a DistributedDataParallel the update is that of
                    one process with the batches of all ranks, whatever the weights on each
        x, y        [n, ...] and int64 [n]; or two lists of such: micro-batches, which count as one large batch
        weights     v_i > 0 of each sample, [n] (of micro-batches one after the other); None: 1
        adm         epsilon of the fused step, such as "8/255"; None: not measured. x is in [0, 1] (looked at in the first step
                    only), and adv_loss, grad_norm and adv_predicted come from the first pass and one more forward pass.
                    Refused where that pass has not each sample's own gradient: with BatchNorm in training mode, and with
                    another loss; steppe.torch.score measures there
        attack      of the fused step: "fgsm" or "l2"
        normalise   (mean, std): the model gets (x - mean) / std, as in steppe.torch.score
        loss        (what the model returned, y) -> loss of each sample, such as nn.CrossEntropyLoss(reduction="none"). None:
                    cross-entropy by steppe.torch.head. Scores.loss is cross-entropy in any case where there are logits
        scaler      a GradScaler: scales both passes and takes the step; scaler.update() stays yours. Where a gradient is not
                    finite the step is left out and the parameters are what they were, bit for bit
        clip        largest norm of the update's gradient: once, after both passes and over all ranks, before weight decay
        accumulate  in how many pieces the batch goes through the model, where it is too large at once

        step(closure) is for loops that have a closure already: it clears the gradients, does forward and backward, and returns
        the loss. It is called twice, and what the first call returned is returned. scaler and clip are as above."""
        self.restore()
        if x is None:
            return self._step_closure(model if closure is None else closure, scaler, clip)
        epsilon = None
        if adm is not None:
            epsilon = epsilon_of(adm, attack)
            check_fused(model, loss, adm, attack)
            if not self._in_range:
                for part in x if isinstance(x, (list, tuple)) else [x]:
                    check_pixels(part)
            self._in_range = True
        devices = self._devices()
        passes = Passes(model, cut(x, y, weights, accumulate, self.m, devices[0]), devices, loss, scaler, normalise, epsilon,
                        attack)
        self._clear()
        try:
            with torch.enable_grad():
                seen = self._together(passes) if self.m is None else self._apart(passes)
        finally:
            self.restore()
        self._descend(scaler, clip)
        return scores_of(seen)

    def _together(self, passes: Passes) -> List[Seen]:
        """One ascent by the gradient of all pieces, on all ranks."""
        shares, last = passes.shares(), len(passes.pieces) - 1
        seen = [passes.first(i, share, i == last) for i, share in enumerate(shares)]
        if self.rho > 0:
            self._up(passes)
            hats = [passes.second(i, share, i == last) for i, share in enumerate(shares)]
            self.sharpness = passes.sharper(seen, hats)
        return seen

    def _apart(self, passes: Passes) -> List[Seen]:
        """An ascent for each piece; only the last descent is reduced over ranks, with what the others added up."""
        shares, last = passes.shares(), len(passes.pieces) - 1
        if self.rho == 0:
            return [passes.first(i, share, i == last) for i, share in enumerate(shares)]
        seen, hats, parameters = [], [], self._parameters()
        for i, share in enumerate(shares):
            down = [p.grad for p in parameters]  # of the descents so far
            self._clear()
            v = passes.pieces[i].weights
            seen.append(passes.first(i, v / v.sum(), False))
            self._up(passes)
            for p, grad in zip(parameters, down):
                p.grad = grad
            hats.append(passes.second(i, share, i == last))
            self.restore()
        self.sharpness = passes.sharper(seen, hats)
        return seen

    def _up(self, passes: Passes) -> None:
        self._buffers = Buffers(passes.model)
        self._ascend(passes.model, passes.scale())
        self._clear()

    def _step_closure(self, closure: Any, scaler: Any, clip: Optional[float]) -> Any:
        if not callable(closure) or isinstance(closure, nn.Module):
            raise TypeError("step wants a model with a batch (x, y), or a closure that does forward and backward")
        with torch.enable_grad():
            before = Random(self._devices())
            value = closure()
            if self.rho > 0:
                self.first_step(scaler=scaler)
                try:
                    with before.again():
                        closure()
                finally:
                    self.restore()
        self._descend(scaler, clip)
        return value
