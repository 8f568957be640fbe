#!/usr/bin/python3
"""A training program of one rank for test_torch_run:   torch_program.py SERVER PLAN    (RANK, WORLD_SIZE, MASTER_ADDR and
MASTER_PORT in the environment)

PLAN is JSON: job (spec or number), samples, checkpoint? (a file: written every `every` steps, read when it is there),
die? ([rank, epoch, step]: it is killed there). Its model learns through DistributedDataParallel; the numbers that it reports
follow from the sample and the epoch alone, so that every world has the same. Rank 0 prints a line of JSON for each epoch."""
import json
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "proto", "python"))
import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
import steppe  # noqa: E402
import steppe.torch  # noqa: E402


class Numbers(torch.utils.data.Dataset):
    def __init__(self, samples):
        self.x = torch.arange(samples, dtype=torch.float32).reshape(-1, 1) / samples

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], i % 2


def save(path, run, sampler, model):
    state = {"run": run.state_dict(), "sampler": sampler.state_dict(), "model": model.state_dict()}
    if run.rank == 0:
        torch.save(state, path + ".new")
        os.rename(path + ".new", path)
    dist.barrier()


def main():
    server, plan = sys.argv[1], json.loads(sys.argv[2])
    torch.manual_seed(1)
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    path = plan.get("checkpoint")
    state = torch.load(path) if path and os.path.exists(path) else None
    run = steppe.open(server, job=plan["job"], samples=plan["samples"], state=state and state["run"])
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(1, 2))
    sampler = steppe.torch.Sampler(run)
    if state:
        model.load_state_dict(state["model"])
        sampler.load_state_dict(state["sampler"])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = torch.utils.data.DataLoader(steppe.torch.Indexed(Numbers(plan["samples"])), batch_size=sampler.batch_size, sampler=sampler,
                                         num_workers=plan.get("workers", 0))
    for epoch in run.epochs():
        sampler.set_epoch(epoch)
        seen = []
        for step, (x, y, ids) in enumerate(loader):
            if plan.get("die") == [run.rank, epoch, step]:
                run._reports.flush()
                os.kill(os.getpid(), signal.SIGKILL)
            losses = torch.nn.functional.cross_entropy(model(x), y, reduction="none")
            (losses * sampler.weights(ids)).mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            run.report(ids, loss=(ids * 0.25 + epoch).double(), adv_loss=(ids * 0.5 + epoch).double(), predicted=y)
            seen += ids.tolist()
            if path and (step + 1) % plan["every"] == 0:
                save(path, run, sampler, model)
        stream = sampler.stream_sha256
        closed = run.close(train_loss=1.0 + epoch)
        parts = [None] * run.world
        dist.all_gather_object(parts, seen)
        if run.rank == 0:
            print(json.dumps({"epoch": epoch, "stream": stream, "ids": sorted(sum(parts, [])), "missing": closed.missing,
                              "scores": closed.scores_sha256, "world": run.world}), flush=True)
    run.leave()
    dist.barrier()
    sys.stdout.flush()
    os._exit(0)  # threads of gloo that still run would abort the interpreter's own end


if __name__ == "__main__":
    main()
