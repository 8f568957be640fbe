"""What the processes of one training program tell one another: torch.distributed where it is initialised, else what the
program gives, else the environment."""
import os
import sys
from typing import Any, Callable, List, Optional, Tuple

JOB, INCARNATION = "STEPPE_JOB", "STEPPE_INCARNATION"


def distributed() -> Any:
    """torch.distributed when it is initialised in this process, else None. Does not import torch."""
    module = sys.modules.get("torch.distributed")
    return module if module is not None and module.is_available() and module.is_initialized() else None


def place(rank: Optional[int], world: Optional[int]) -> Tuple[int, int]:
    """(rank, world) of this process: as given, else of torch.distributed, else (0, 1)."""
    group = distributed()
    if rank is None and world is None:
        if group:
            return group.get_rank(), group.get_world_size()
        if int(os.environ.get("WORLD_SIZE") or 1) > 1 and JOB not in os.environ:
            raise ValueError("WORLD_SIZE is %s, but torch.distributed is not initialised: call init_process_group first, or give "
                             "rank and world" % os.environ["WORLD_SIZE"])
        rank, world = int(os.environ.get("RANK") or 0), int(os.environ.get("WORLD_SIZE") or 1)
    if rank is None or world is None or not 0 <= rank < world:
        raise ValueError("rank %r of a world of %r: give both, the rank below the world" % (rank, world))
    return rank, world


def by_torch(value: Any) -> Any:
    """Rank 0's value, on every rank."""
    box = [value]
    distributed().broadcast_object_list(box, src=0)
    return box[0]


def broadcaster(world: int, given: Optional[Callable[[Any], Any]]) -> Optional[Callable[[Any], Any]]:
    """What hands rank 0's value to all; None: there is one rank only."""
    if given is not None or world == 1:
        return given
    group = distributed()
    if group is None:
        raise ValueError("rank 0 opens the job and the others join it: initialise torch.distributed before, give broadcast=, a "
                         "function that returns rank 0's argument on every rank, or set %s and %s" % (JOB, INCARNATION))
    if group.get_world_size() != world:
        raise ValueError("world is %d and torch.distributed has %d ranks" % (world, group.get_world_size()))
    return by_torch


def gather(world: int, value: Any) -> List[Any]:
    """The values of all ranks, on each of them."""
    if world == 1:
        return [value]
    group = distributed()
    if group is None:
        raise ValueError("a checkpoint has the reports of all ranks: torch.distributed is not initialised, so give gather=, a "
                         "function that returns the list of all ranks' arguments")
    values: List[Any] = [None] * world
    group.all_gather_object(values, value)
    return values


def from_environment() -> Optional[Tuple[int, int]]:
    """(job, incarnation) that a launcher has opened, see Run.environment."""
    if JOB not in os.environ:
        return None
    try:
        return int(os.environ[JOB]), int(os.environ[INCARNATION])
    except (KeyError, ValueError):
        raise ValueError("%s is %r and %s %r: both are numbers, as Run.environment() has them" % (
            JOB, os.environ[JOB], INCARNATION, os.environ.get(INCARNATION))) from None
