"""The order of a run as a sampler for torch.utils.data.DataLoader."""
from typing import Any, Dict, Iterator, Optional

import torch
from torch.utils import data

from ..run import Order, Run, check_split

VIEWS = ("rank", "global")


class Sampler(data.Sampler):
    """The samples of the open epoch, in the run's order; takes the place of a DistributedSampler.

    Of each batch of the run rank r has the r-th part, batch / world consecutive positions: give the loader
    batch_size=sampler.batch_size. Nothing is padded, doubled or left out, and the order does not depend on the number of
    ranks. view="global" goes through the positions of all ranks, for frameworks that split the batches themselves.

        loader = DataLoader(Indexed(dataset), batch_size=sampler.batch_size, sampler=sampler)
    """

    def __init__(self, run: Run, rank: Optional[int] = None, world: Optional[int] = None, view: str = "rank") -> None:
        # No super().__init__: torch 2 warns of its argument, and torch 1 needs one. It does nothing.
        if view not in VIEWS:
            raise ValueError("view is %r; it is one of %s" % (view, ", ".join(VIEWS)))
        self.run, self.view = run, view
        self.rank = run.rank if rank is None else rank
        self.world = run.world if world is None else world
        if not 0 <= self.rank < self.world:
            raise ValueError("rank %d of a world of %d: the rank is below the world" % (self.rank, self.world))
        check_split(run.batch, self.world)
        self.batch_size = run.batch if view == "global" else run.batch // self.world
        self._order: Optional[Order] = None
        self._table = torch.empty(0)
        self._resume: Dict[str, int] = {}
        self._begin()

    def _begin(self) -> None:
        """An iteration: how many samples it handed out and was asked the weights of, and for which that was last."""
        self._handed = self._weighed = 0
        self._asked: Any = None, None

    def _current(self) -> Order:
        """The order of the open epoch; asked for once an epoch."""
        if self._order is None or self._order.epoch != self.run.epoch:
            rank, world = (self.rank, self.world) if self.view == "rank" else (0, 1)
            order = self.run.order(rank=rank, world=world)
            self._table = torch.full((self.run.samples,), float("nan"))
            if order.ids:
                self._table[positions(order)] = torch.frombuffer(order.weights, dtype=torch.float32)
            self._order = order
            self._begin()
        return self._order

    def _start(self, order: Order) -> int:
        """The place where the epoch begins: 0, or behind what a checkpoint has done of it."""
        if self._resume.get("epoch") != order.epoch:
            return 0
        return self._resume["cursor"] // self.run.batch * self.batch_size

    def set_epoch(self, epoch: int) -> None:
        """As of a DistributedSampler; epoch is the run's open one."""
        if epoch != self.run.epoch:
            raise ValueError("epoch %r is not open; epoch %r is" % (epoch, self.run.epoch))
        self._current()
        self._begin()

    def __len__(self) -> int:
        """Samples that an iteration has: of this rank, or of all."""
        order = self._current()
        return order.total - self._start(order)

    def __iter__(self) -> Iterator[int]:
        order = self._current()
        self._begin()
        for place in range(self._start(order), order.total, self.batch_size):
            for sample in order.ids[place:place + self.batch_size]:
                self._handed += 1
                yield sample

    @property
    def stream_sha256(self) -> str:
        """Of the epoch's stream, the same on all ranks and for any number of them; also when the epoch is closed, until the
        next one is set or begun."""
        return (self._order or self._current()).stream_sha256

    def weights(self, ids: Any) -> torch.Tensor:
        """What the losses of these samples are multiplied with: float32 [n], on the device of ids. ids: [n] sample numbers of
        this rank's part of the epoch. They count as trained on (state_dict), once where the same object is given again."""
        order = self._current()
        given, ids = ids, torch.as_tensor(ids)
        if ids.is_floating_point() and len(ids):
            raise ValueError("ids are %s; wanted are numbers of samples, integers" % ids.dtype)
        if given is not self._asked[0] or not torch.equal(ids, self._asked[1]):  # a closure asks again for its batch
            self._weighed += len(ids)
            self._asked = given, ids.clone()
        if self._table.device != ids.device:
            self._table = self._table.to(ids.device)
        if ids.device.type == "cpu" and len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < len(self._table):
            wrong = ids[(ids < 0) | (ids >= len(self._table))][0]
            raise ValueError("sample %d: the dataset has samples 0 to %d" % (wrong, len(self._table) - 1))
        weights = self._table[ids.long()]
        if weights.device.type == "cpu" and bool(weights.isnan().any()):
            wrong = ids[weights.isnan()][0]
            raise ValueError("sample %d is not in this %s's part of epoch %d" % (wrong, "rank" if self.view == "rank" else "run", order.epoch))
        return weights

    def state_dict(self, done: Optional[int] = None) -> Dict[str, int]:
        """Where the epoch stands: {"epoch", "cursor"}, the cursor in samples of all ranks together, so that any number of
        ranks goes on there. done: samples that this rank has trained on since its iteration began; by itself those whose
        weights were asked for, or where none were, those that were handed out (a loader with workers fetches ahead: such a
        loop gives done, or asks for weights). A batch that is not whole is not done."""
        if self.run.epoch is None:
            return {"epoch": self.run.info["epochs"], "cursor": 0}
        order = self._current()
        batch = self.batch_size
        if done is None and self._weighed:
            done = self._weighed
            batch = self.run.batch // self.world  # each rank asks for its own part in either view
        elif done is None:
            done = self._handed
        elif self.view == "global":
            batch = self.run.batch // self.world
        return {"epoch": order.epoch, "cursor": (self._start(order) // self.batch_size + done // batch) * self.run.batch}

    def load_state_dict(self, state: Dict[str, int]) -> None:
        """Goes on behind the cursor when that epoch is open; other epochs begin at their beginning."""
        epoch, cursor = (state.get(name) if isinstance(state, dict) else None for name in ("epoch", "cursor"))
        if not isinstance(epoch, int) or not isinstance(cursor, int):
            raise ValueError("the state is %.80r; wanted is what state_dict() gave, {\"epoch\", \"cursor\"}" % (state,))
        if cursor % self.run.batch or not 0 <= cursor <= self.run.steps * self.run.batch:
            raise ValueError("the cursor is %d; it is a multiple of the batch, %d, up to %d" % (
                cursor, self.run.batch, self.run.steps * self.run.batch))
        self._resume = {"epoch": epoch, "cursor": cursor}
        self._begin()


def positions(order: Order) -> torch.Tensor:
    """The ids of an order, int64; torch 1 has no unsigned 32-bit numbers."""
    return torch.frombuffer(order.ids, dtype=torch.int32).long() & 0xffffffff
