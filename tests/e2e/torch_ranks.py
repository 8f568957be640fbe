#!/usr/bin/python3
"""One rank of e2e/test_torch_sam: torch_ranks.py FOLDER RANK. FOLDER/in has the model, the batch of both and the cases;
FOLDER/out0 and FOLDER/out1 get what came of them."""
import copy
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../proto/python"))
import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn.parallel import DistributedDataParallel  # noqa: E402

import steppe.torch as st  # noqa: E402


def run(model, more, batches, **given):
    """The parameters after three steps, and the adversarial losses of the last one."""
    model = DistributedDataParallel(copy.deepcopy(model))
    sam = st.SAM(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01), **more)
    for _ in range(3):
        scores = sam.step(model, *batches, **given)
    return torch.cat([p.detach().flatten() for p in model.parameters()]), scores.adv_loss


def main(folder, rank):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method="file://%s/meet" % folder, rank=rank, world_size=2)
    model, x, y, v, cases = torch.load(folder + "/in", weights_only=False)
    mine, got = slice(rank * 8, rank * 8 + 8), {}
    for name, more in cases.items():
        for how, given in (("", {}), (", accumulated", {"accumulate": 2}), (", clipped", {"clip": 0.05})):
            if not ("m" in more and "accumulate" in given):
                got[name + how] = run(model, more, (x[mine], y[mine]), weights=v[mine], adm=0.1, **given)
    uneven = slice(0, 5) if rank == 0 else slice(5, 16)
    got["unequal"] = run(model, {}, (x[uneven], y[uneven]))

    normed = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(16), nn.Linear(16, 4)).double()
    run(normed, {}, (x[mine], y[mine]))
    wrapped = DistributedDataParallel(normed)
    sam = st.SAM(torch.optim.SGD(wrapped.parameters(), lr=0.1))
    for _ in range(3):
        sam.step(wrapped, x[mine], y[mine])
    got["batchnorm"] = int(normed[1].num_batches_tracked)

    for _ in range(1 + rank):  # the other rank scores less, and waits for nobody
        st.score(wrapped, x[:3], y[:3])

    wrapped = DistributedDataParallel(copy.deepcopy(model))
    for _ in range(1 + rank):  # the other rank scores less
        scored = st.score(wrapped, x[:3], y[:3])
    assert all(p.grad is None for p in wrapped.parameters())
    got["scored"] = scored.loss
    inside = nn.Sequential(wrapped)
    got["inside"] = st.score(inside, x[:3], y[:3]).loss
    st.SAM(torch.optim.SGD(wrapped.parameters(), lr=0.1)).step(inside, x[mine], y[mine])
    torch.save(got, "%s/out%d" % (folder, rank))
    dist.barrier()


main(sys.argv[1], int(sys.argv[2]))
