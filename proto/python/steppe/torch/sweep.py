"""Scores of all samples at one theta."""
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Subset

from ..run import Run
from .score import score


def sweep(run: Run, model: Any, loader: DataLoader, **how: Any) -> None:
    """Of Run.sweep. Rank r has the samples from samples * r / world on."""
    how.setdefault("probabilities", run.info.get("probabilities", False))
    samples = len(loader.dataset)
    if samples != run.samples:
        raise ValueError("the loader's dataset has %d samples, the run's %d" % (samples, run.samples))
    if isinstance(model, DistributedDataParallel):
        model = model.module  # ranks need not have equally many batches
    begin, end = (samples * rank // run.world for rank in (run.rank, run.rank + 1))
    mine = DataLoader(Subset(loader.dataset, range(begin, end)), batch_size=loader.batch_size or run.local_batch,
                      num_workers=loader.num_workers, collate_fn=loader.collate_fn, pin_memory=loader.pin_memory,
                      generator=torch.Generator())  # its own: the program draws the same numbers with a sweep and without
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    for batch in mine:
        if len(batch) != 3:
            raise ValueError("a batch of the loader has %d parts, not x, y and ids; give it steppe.torch.Indexed(dataset)" % len(batch))
        x, y, ids = batch
        run.report(ids, score(model, x.to(device, non_blocking=True), y.to(device, non_blocking=True), **how))
