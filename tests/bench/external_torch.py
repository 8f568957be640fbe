#!/usr/bin/python3
"""What a loop of PyTorch pays for the order and the scores of a server: microseconds a sample of the Sampler, beside those of
torch's own DistributedSampler, and how much longer a step of ResNet-18 is with its report than without, in turns.
external_torch.py URL ROUNDS [--quick]; answers with a line of JSON."""
import json
import os
import statistics
import sys
import time

sys.dont_write_bytecode = True
URL, ROUNDS, QUICK = sys.argv[1], int(sys.argv[2]), "--quick" in sys.argv
sys.argv[1:] = ["--model", "resnet18", "--threads", "2"]
import peer_torch  # noqa: E402  its models; reads its options

if os.environ.get("BENCH_PEER_TUNED") != "1":
    sys.argv[1:] = [URL, str(ROUNDS), *(["--quick"] if QUICK else [])]
    peer_torch.run_tuned(2)

import torch  # noqa: E402
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset  # noqa: E402

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../proto/python"))
import steppe.torch  # noqa: E402
from steppe import manifest  # noqa: E402
from steppe.client import Client  # noqa: E402

SAMPLES, BATCH, WARM = (128, 32, 1) if QUICK else (2048, 64, 4)  # of an epoch; steps before the first
WIDE_BATCH = 1280
LOOKS = 3


def spec(dataset, epochs, batch):
    return {"dataset": dataset, "epochs": epochs, "batch": batch, "curriculum": {"measure": "loss"}}


def microseconds(samples, walk):
    began = time.perf_counter()
    walk()
    return 1e6 * (time.perf_counter() - began) / samples


def measure_samplers():
    with steppe.open(URL, job=spec("wide", 1, WIDE_BATCH)) as run:
        ours = steppe.torch.Sampler(run)
        theirs = DistributedSampler(range(run.samples), num_replicas=1, rank=0)
        ours.set_epoch(0)
        ids = [torch.tensor(order) for order in torch.utils.data.BatchSampler(ours, WIDE_BATCH, True)]

        def walk():
            for _ in ours:
                pass

        def weigh():
            for batch in ids:
                ours.weights(batch)
        return {"sampler": [microseconds(len(ours), walk) + microseconds(len(ours), weigh) for _ in range(LOOKS)],
                "distributed": [microseconds(len(theirs), lambda: [None for _ in theirs]) for _ in range(LOOKS)]}


def epoch(steps, run):
    """How much longer a step is with its report than without. A machine changes its mind within seconds, so that steps take
    turns: with, without, without, with. steps: calls that make one and return what it reports."""
    seconds = {True: [], False: []}
    ended = time.perf_counter()
    for number, step in enumerate(steps):
        reports = number % 4 in (0, 3)
        ids, scores = step()
        if reports:
            run.report(ids, scores)
        began, ended = ended, time.perf_counter()
        seconds[reports].append(ended - began)
    with_, without = (statistics.median(seconds[reports]) for reports in (True, False))
    return with_ / without, without


def measure_epochs():
    torch.manual_seed(1)
    labels = torch.randint(0, 10, (SAMPLES,))
    client = Client(URL)
    manifest.put(client, "pictures", manifest.build(labels=labels.tolist()))
    client.close()
    pictures = TensorDataset(torch.rand(SAMPLES, 3, 32, 32), labels)
    model = peer_torch.make_model().to(memory_format=torch.channels_last)
    sam = steppe.torch.SAM(torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9), rho=0.05)
    ratios, plain = [], []
    with steppe.open(URL, job=spec("pictures", ROUNDS, BATCH), samples=SAMPLES) as run:
        sampler = steppe.torch.Sampler(run)
        loader = DataLoader(steppe.torch.Indexed(pictures), batch_size=sampler.batch_size, sampler=sampler)
        for _ in range(WARM):
            sam.step(model, *pictures[:BATCH])
        for number in run.epochs():
            sampler.set_epoch(number)
            steps = (lambda x=x, y=y, ids=ids: (ids, sam.step(model, x, y, weights=sampler.weights(ids))) for x, y, ids in loader)
            ratio, seconds = epoch(steps, run)
            run.close()
            ratios.append(ratio)
            plain.append(seconds)
    return {"ratio": ratios, "plain": plain, "batch": BATCH, "steps": SAMPLES // BATCH}


def main():
    torch.set_num_threads(2)
    torch.set_flush_denormal(True)
    print(json.dumps({**measure_samplers(), **measure_epochs()}))


if __name__ == "__main__":
    main()
