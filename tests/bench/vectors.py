"""The part of `make swarm` with vectors of real size: what a training step of a model of so many parameters costs the server
with so many workers, which are simulated (crowd.c): each fetches theta and sends a gradient of its length, and computes nothing.
Over tcp on loopback, each alone or in a tree, in which they combine their sums before one of them reports; and from a network
namespace behind a link of a given rate, with sealed messages as on any network."""
import itertools
import json
import os
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))
from hosts import Cluster, drop_hosts, make_hosts  # noqa: E402
from printer import Printer  # noqa: E402
from report import number, table  # noqa: E402
from wire import BUILD, World, free_port  # noqa: E402

WAYS = ("plain", "trees")
MILLIONS, WORKERS = (1, 11, 25, 64), (1, 2, 4, 8, 16, 32, 64)
NETWORK_MILLIONS, NETWORK_WORKERS, GBITS = (11,), (1, 4, 16), (1, 10, 25)
PIXELS, SHARD, STEPS_AN_EPOCH = 28 * 28, 2, 400  # an epoch does not end while it is measured
WARM_STEPS, STEPS_MIN, STEPS_MAX = 2, 3, 300
LIMIT_S = 900  # of one measurement
MIB, PIECE = 2 ** 20, 8 << 20


def model_of(floats):
    """One hidden layer of the width that makes as many parameters."""
    units = (floats - 10) // (PIXELS + 1 + 10)
    return {"layers": [{"type": "flatten"}, {"type": "dense", "units": units}, {"type": "relu"}, {"type": "dense"}]}


def used(pid):
    """Seconds of CPU and page faults without a disk of a process so far."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(fields[7])


class Crowd(Printer):
    """Simulated workers, from the host with these words before its commands."""

    def __init__(self, job, workers, url, way, prefix=(), key=None):
        super().__init__(BUILD, "crowd", "--connect", url, "--job", job, "--workers", workers, "--beat-ms", 20,
                         *(["--key", key] if key else []), *(["--trees"] if way == "trees" else []), prefix=prefix)

    def reaches(self, step, end):
        """The time, step and bytes of the first line with this step; None: it does not come before `end`."""
        at = 0
        while time.monotonic() < end and self.process.poll() is None:
            for line in self.lines[at:]:
                if line[2] >= step:
                    return line
                at += 1
            time.sleep(0.02)  # between two looks
        return None

    def leave(self):
        """What it did in all; nothing, if it does not come to an end."""
        self.process.stdin.close()
        try:
            self.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            return {}
        self.thread.join()
        told = json.loads(self.last or "{}")
        return {"worker_mib_s": told["cpu_s"] / (told["bytes"] / MIB)} if told.get("bytes") else {}


def measure_steps(world, crowd, seconds):
    """What a step costs, once the first ones are done."""
    end = time.monotonic() + LIMIT_S
    first = crowd.reaches(WARM_STEPS, end)
    pid = world.processes["server"].pid
    begun, (cpu, faults) = time.monotonic(), used(pid)
    while first and time.monotonic() < begun + seconds and crowd.lines[-1][2] < first[2] + STEPS_MAX:
        time.sleep(0.02)  # the window that is measured
    last = first and crowd.reaches(first[2] + STEPS_MIN, end)
    last = last and crowd.lines[-1]
    now_cpu, now_faults = used(pid)
    if not last:
        return None
    steps, wall = last[2] - first[2], (last[0] - first[0]) / 1e6
    return {"steps": steps, "wall_s": wall / steps, "cpu_s": (now_cpu - cpu) / steps, "faults": (now_faults - faults) / steps,
            "mib": (last[3] - first[3]) / MIB / steps, "rss_mib": world.rss_kib() / 1024}


def submit(world, millions, workers):
    batch = SHARD * workers
    name = "set%d" % workers
    world.json("dataset", "import", name, "glyphs", "--samples", str(STEPS_AN_EPOCH * batch), "--test-samples", "10")
    return world.submit({"dataset": name, "model": model_of(millions * 1000000), "epochs": 100, "batch": batch, "shard": SHARD,
                         "sam": {"rho": 0.05}, "score": {"every": 1000}, "curriculum": {"measure": "none"}})


def one(world, millions, workers, seconds, way, **crowd):
    """A row; `why` in the place of its figures: the job was refused, or no step came. Said at once, since all take long."""
    row = {"way": way, **measured(world, millions, workers, seconds, way=way, **crowd)}
    print("%d million parameters, %d workers, %s: %s" % (millions, workers, way, row), file=sys.stderr, flush=True)
    return row


def measured(world, millions, workers, seconds, **crowd):
    row = {"millions": millions, "workers": workers}
    try:
        job = submit(world, millions, workers)
    except RuntimeError as error:
        return {**row, "why": str(error)}
    people = Crowd(job, workers, **crowd)
    try:
        row.update(measure_steps(world, people, seconds) or {"why": "no %d steps in %d s" % (STEPS_MIN, LIMIT_S)})
        row.update(people.leave())
    finally:
        people.process.kill()
        people.process.wait()
    world.steppe("cancel", str(job))
    return row


def local(millions, workers, seconds, ways=WAYS):
    """A server for each row: what it keeps of the one before would not be measured. One worker is no tree."""
    for m, w, way in itertools.product(millions, workers, ways):
        if w > 1 or way == "plain":
            world = World("vectors%d-%d-%s" % (m, w, way)).server("--checkpoint-every", "86400")
            yield one(world, m, w, seconds, way, url=world.url)
            world.close()


def limit(host, gbits):
    """Both ends of the host's link send at most so fast. False: that is not permitted here."""
    rate, burst = "%dmbit" % (1000 * gbits), "%dkb" % max(256, 256 * gbits)
    ends = ((host.name, "v0"), (host.server_name, "v1"))
    return all(subprocess.run(["ip", "netns", "exec", name, "tc", "qdisc", "replace", "dev", link, "root", "tbf", "rate", rate, "burst",
                               burst, "latency", "50ms"], capture_output=True, check=False).returncode == 0 for name, link in ends)


def networks(gbits, millions, workers, seconds, ways=WAYS):
    """Rows, or a sentence why there are none."""
    port = free_port()
    hosts, names = make_hosts(port, 2)
    if not hosts:
        yield "no links of a given rate: network namespaces are not permitted here"
        return
    try:
        for g in gbits:
            if not limit(hosts[1], g):
                yield "no links of %d Gbit/s: tc is missing, or not permitted here" % g
                return
            for m, w, way in itertools.product(millions, workers, ways):
                if w > 1 or way == "plain":
                    world = Cluster("network%d-%d-%d-%s" % (g, m, w, way), hosts)
                    world.server("--key", world.key_file, "--checkpoint-every", "86400")
                    yield {"gbits": g, **one(world, m, w, seconds, way, url=hosts[1].url, prefix=hosts[1].prefix,
                                             key=world.issue("worker", "crowd"))}
                    world.close()
    finally:
        drop_hosts(names)


def fit(rows):
    """Milliseconds of the server's CPU for a MiB of vectors and, once a step, for a MiB of theta, by least squares over the
    relative errors; the spread of measured to modelled."""
    own = [(r["mib"] / r["cpu_s"], 4e6 * r["millions"] / MIB / r["cpu_s"]) for r in rows]
    aa, ab, bb = (sum(x[i] * x[j] for x in own) for i, j in ((0, 0), (0, 1), (1, 1)))
    a, b = sum(x[0] for x in own), sum(x[1] for x in own)
    det = aa * bb - ab * ab
    moved, updated = ((a * bb - b * ab) / det, (b * aa - a * ab) / det) if det > 1e-9 * aa * bb else (a / aa, 0)
    if updated < 0:
        moved, updated = a / aa, 0
    return 1000 * moved, 1000 * updated, [1 / (x[0] * moved + x[1] * updated) for x in own]


def print_fit(rows):
    """What common/capacity.c has of the plain ones of these rows."""
    for what, some in (("in one message", [r for r in rows if 4e6 * r["millions"] <= PIECE]),
                       ("in pieces", [r for r in rows if 4e6 * r["millions"] > PIECE])):
        some = [r for r in some if "why" not in r and r["way"] == "plain"]
        if some:
            moved, updated, errors = fit(some)
            print("Vectors %s: %.2f ms of the server's CPU for a MiB, and %.2f ms for a MiB of theta once a step; measured to modelled "
                  "%.2f to %.2f" % (what, moved, updated, min(errors), max(errors)))
            print("  a worker: %.2f ms of its CPU for a MiB" % (1000 * statistics.median(r.get("worker_mib_s", 0) for r in some)))


HEAD = ["million parameters", "workers", "way", "steps", "server CPU a step, s", "a MiB of vectors, ms", "wall a step, s", "MiB/s",
        "faults a step", "server memory, MiB"]


def cells(row):
    if "why" in row:
        return [str(row["millions"]), str(row["workers"]), row["way"], *["-"] * 6, row["why"]]
    return [str(row["millions"]), str(row["workers"]), row["way"], str(row["steps"]), number(row["cpu_s"]),
            number(1000 * row["cpu_s"] / row["mib"]) if row["mib"] else "-", number(row["wall_s"]), number(row["mib"] / row["wall_s"]),
            number(row["faults"]), number(row["rss_mib"])]


def print_local(rows):
    print(table("Vectors over tcp on loopback (MiB: theta to each worker, and a sum from each, to whomever)", HEAD, [cells(r) for r in rows]))
    print_fit(rows)


def print_networks(rows):
    told = [r for r in rows if isinstance(r, dict)]
    if told:
        print(table("The same through a link, sealed", ["Gbit/s", *HEAD], [[str(r["gbits"]), *cells(r)] for r in told]))
        print_fit(told)
    for sentence in rows:
        if isinstance(sentence, str):
            print(sentence)
