"""What it costs to have the order and the scores of a training program of one's own at a server: rows that it takes, ranks that
ask and report together, and what a loop of PyTorch pays (external_torch.py). Reports are made before they are timed, so that
the server is measured and not Python."""
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from array import array

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../proto/python"))
from contender import PEER_PYTHON  # noqa: E402
from machine import Failed, environment  # noqa: E402
from printer import Printer  # noqa: E402
from steppe import manifest  # noqa: E402
from steppe.client import Client  # noqa: E402
from steppe.wire import Tensor  # noqa: E402
from world import World  # noqa: E402

BATCH, CLASSES = 1280, 1000
ROWS = 1 << 16  # of a report
SENDERS = 4
RANKS = 64
MEASURES = ("loss", "adv_loss", "grad_norm", "el2n")
PING_US = 2000  # between two
ASK_S = 600


def p99(values):
    return statistics.quantiles(values, n=100)[98] if len(values) > 1 else values[0]


class Program:
    """A job of engine external, opened, and what its ranks say."""

    def __init__(self, url, samples, epochs):
        self.url = url
        self.client = Client(url)
        spec = {"engine": "external", "dataset": "wide", "epochs": epochs, "batch": BATCH, "seed": 1}
        row = self.client.request("job.submit", {"uuid": self.client.sender, "spec": spec}).fields["job"]
        self.said = self.client.request("external.open", {"job": row["job"]}, deadline=ASK_S).fields
        self.samples = samples
        self.values = array("d", [(i * 2654435761 % 1000003) / 1e5 for i in range(samples)])
        self.guesses = array("i", [i % CLASSES for i in range(samples)])

    def ask(self, client, kind, tensors=None, **fields):
        told = {"job": self.said["job"], "incarnation": self.said["incarnation"], "epoch": self.said["epoch"]}
        return client.request("external." + kind, {**told, **fields}, tensors, ASK_S)

    def piece(self, ids):
        """Their report, made of values that are there. ids: array of consecutive places."""
        floats = memoryview(self.values)[:len(ids)]
        return {"ids": Tensor("U32", ids), **{name: Tensor("F64", floats) for name in MEASURES},
                "predicted": Tensor("I32", memoryview(self.guesses)[:len(ids)])}

    def close(self, world=1):
        """Seconds that the durable close takes."""
        began = time.monotonic()
        for rank in range(world):
            reply = self.ask(self.client, "close", rank=rank, world=world, life=self.said["life"]).fields
        if not reply["closed"] or reply["missing"] > BATCH:
            raise Failed("the epoch of job %d closed so: %s" % (self.said["job"], reply))
        self.said["epoch"] += 1
        return time.monotonic() - began

    def side_by_side(self, count, work):
        """Seconds until `count` threads, each with a connection, have done work(client, number)."""
        clients, failures = [Client(self.url) for _ in range(count)], []
        for client in clients:
            client.request("ping")

        def one(number):
            try:
                work(clients[number], number)
            except Exception as failure:  # said below
                failures.append(failure)
        threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - began
        for client in clients:
            client.close()
        if failures:
            raise Failed("a program of %d ranks: %s" % (count, failures[0]))
        return seconds

    def rows(self):
        """Rows a second that the server takes of all samples."""
        pieces = [self.piece(array("I", range(first, min(first + ROWS, self.samples)))) for first in range(0, self.samples, ROWS)]

        def send(client, number):
            for piece in pieces[number::SENDERS]:
                self.ask(client, "report", piece)
        return self.samples / self.side_by_side(SENDERS, send)

    def ranks(self):
        """Seconds in which RANKS ranks have their orders and have reported them."""
        mine = self.samples // RANKS

        def live(client, rank):
            order = self.ask(client, "order", first=0, count=mine // (BATCH // RANKS) * (BATCH // RANKS), rank=rank, world=RANKS)
            self.ask(client, "report", self.piece(array("I", order.tensors["ids"].tobytes())))
        return self.side_by_side(RANKS, live)


def serve(build, folder, samples):
    world = World(build, folder, "ipc", 0, 1)
    world.start(folder)
    client = Client(world.url)
    manifest.put(client, "wide", manifest.build(labels=[i % CLASSES for i in range(samples)]))
    client.close()
    return world


def pinged(build, world, work):
    """What work() returns, and of the pings meanwhile the p99 in ms, as it is and less the wait for a processor (pings.c)."""
    pings = Printer(build, "pings", world.url[len("ipc://"):], PING_US)
    got = work()
    times = pings.end()
    return got, p99([took / 1000 for _, took, _ in times]), p99([(took - waited) / 1000 for _, took, waited in times])


def measure_server(build, world, samples, rounds):
    out = {"samples": samples, "rows": [], "close": [], "ranks": [], "quiet": [], "beside": [], "served": []}
    program = Program(world.url, samples, 2 * rounds)
    for _ in range(rounds):
        _, quiet, _ = pinged(build, world, lambda: time.sleep(1))  # the window that is measured
        out["quiet"].append(quiet)
        out["rows"].append(program.rows())
        out["close"].append(program.close())
        seconds, beside, served = pinged(build, world, program.ranks)
        out["ranks"].append(seconds)
        out["beside"].append(beside)
        out["served"].append(served)
        program.close(RANKS)
    program.client.close()
    return out


def measure_torch(world, rounds, quick):
    """What external_torch.py says; its loop is a program of PyTorch."""
    command = [PEER_PYTHON, os.path.join(HERE, "external_torch.py"), world.url, str(rounds), *(["--quick"] if quick else [])]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    if done.returncode != 0:
        raise Failed("external_torch.py: %s" % done.stderr.strip()[-400:])
    return json.loads(done.stdout)


def measure(build, folder, rounds, quick, torch):
    """One row. torch: is PyTorch there?"""
    samples = 64000 if quick else 1280000
    folder = os.path.join(folder, "external")
    os.mkdir(folder)
    world = serve(build, folder, samples)
    try:
        out = measure_server(build, world, samples, rounds)
        out["torch"] = measure_torch(world, rounds, quick) if torch else None
        return out
    finally:
        world.stop()
