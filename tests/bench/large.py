"""What a large job does to a server and to everybody else there: a job of so many samples with tiny pictures, whose workers are
simulated (crowd.c) and send made-up scores, so that the server is measured and not they. Beside it a small job with a worker of
its own, a client that pings every few milliseconds (pings.c) and one that gives commands.

A phase is read off the job's row, asked for all the time: what lies between two answers belongs to both of them, and where a
sweep has ended between them, to the close of its epoch. A ping that waits keeps those back that would have been sent meanwhile,
so they are counted as well, with what was left to wait for each. What a ping waited because others had the processors is also
taken off, as far as the kernel tells."""
import array
import bisect
import contextlib
import json
import os
import random
import re
import shutil
import sys
import threading
import time
import uuid

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../proto/python"))
from machine import Failed, run  # noqa: E402
from printer import Printer  # noqa: E402
from steppe.client import Client  # noqa: E402
from steppe.errors import SteppeError  # noqa: E402
from world import World, npy  # noqa: E402

SIZES = {  # samples: batch, shard (16 shards are a batch, as 4 workers of 4 threads take them)
    20000: (1024, 64), 1281167: (8192, 512), 14197122: (65536, 4096),
}
PICTURE, CLASSES, EPOCHS = (4, 4), 1000, 3  # grey
WORKERS, THREADS, SHARD_US = 4, 4, 2000  # of the large job: its training step takes some ms
SMALL = {"samples": 65536, "batch": 64, "shard": 32, "us": 2500}  # of the job beside it: 1024 steps an epoch
LAYERS = {"layers": [{"type": "flatten"}, {"type": "dense"}]}
PING_US, LOOK_S, COMMAND_S = 2000, 0.02, 0.5  # between two
ALONE_S = 4  # seconds of the small job that are compared with
SHOWN_S = 1  # a phase that is shorter says nothing of the speed of the small job
ASK_S = 1800
ROUNDS = 3  # of a question
COURSE = ("start", "train", "fold, beside training", "sweep and test", "close of an epoch", "pause and its checkpoint", "resume",
          "recovery")  # the phases in which the large job runs
MEMORY_A_SAMPLE, DISK_A_SAMPLE = 700, 600  # bytes, at least, or the size is skipped
QUESTIONS = {
    "top": {}, "histogram": {}, "suspects": {}, "classes": {}, "map": {}, "trajectory": {"sample": 17}, "heatmap": {},
    "risers": {"from": 0}, "compare": {"other_epoch": 0}, "confusion": {}, "rows": {"limit": 100000},
}
PAGE = 500000  # of job.schedule
EXPORTED = 1281167  # rows at most: more take as long each


def room(samples, folder):
    """Why this machine cannot hold the size; None: it can."""
    with open("/proc/meminfo") as file:
        free = 1024 * int(re.search(r"MemAvailable:\s+(\d+)", file.read()).group(1))
    disk = shutil.disk_usage(folder).free
    for what, have, need in (("memory", free, samples * MEMORY_A_SAMPLE + 2 ** 30), ("disk", disk, samples * DISK_A_SAMPLE)):
        if have < need:
            return f"skipped: it needs {need / 2**30:.1f} GiB of {what}, {have / 2**30:.1f} are free"
    return None


def write_tiny(folder, samples, seed):
    """A dataset for the importer of .npy files; the label of sample i is i modulo the classes."""
    noise = random.Random(seed)
    pixels = PICTURE[0] * PICTURE[1]
    os.mkdir(folder)
    for split, count in (("train", samples), ("test", CLASSES)):
        npy(os.path.join(folder, split + "_images.npy"), (count, *PICTURE), "|u1",
            (noise.randbytes(pixels * min(65536, count - at)) for at in range(0, count, 65536)))
        labels = array.array("H", range(CLASSES)).tobytes()
        npy(os.path.join(folder, split + "_labels.npy"), (count,), "<u2",
            (labels[:2 * min(CLASSES, count - at)] for at in range(0, count, CLASSES)))


class Commands:
    """Submits and cancels a small job every now and then: seconds of each pair, by when it was begun."""

    def __init__(self, url):
        self.taken, self.ended = [], threading.Event()
        self.client = Client(url)
        self.thread = threading.Thread(target=self.give, daemon=True)
        self.thread.start()

    def give(self):
        spec = {"dataset": "small", "model": LAYERS, "batch": 64, "shard": 32, "epochs": 1}
        while not self.ended.wait(COMMAND_S):
            began = time.monotonic()
            try:
                job = self.client.request("job.submit", {"uuid": str(uuid.uuid4()), "spec": spec}).fields["job"]["job"]
                self.client.request("job.cancel", {"job": job})
            except SteppeError as error:
                if error.code != "not_allowed":  # it has failed meanwhile: nobody computes it
                    continue  # the server is killed and started
            self.taken.append((began, time.monotonic() - began))

    def end(self):
        self.ended.set()
        self.thread.join()
        self.client.close()
        return self.taken


class Spans:
    """(begin, end, phase), one behind the other."""

    def __init__(self):
        self.rows = []

    def add(self, begin, end, phase):
        self.rows.append((begin, end, phase))

    def at(self, second):
        i = bisect.bisect(self.rows, (second, float("inf"))) - 1
        return self.rows[i][2] if i >= 0 and second <= self.rows[i][1] else None

    def phases(self):
        return list(dict.fromkeys(phase for _, _, phase in self.rows))

    def seconds(self, phase):
        return sum(end - begin for begin, end, p in self.rows if p == phase)


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


def figures(values):
    """p50, p99 and max."""
    return [percentile(values, 0.5), percentile(values, 0.99), max(values)] if values else [None] * 3


def with_kept_back(pings):
    """(second it was or would have been sent, ms it took) of each (microsecond, microseconds)."""
    for sent, took in pings:
        yield sent / 1e6, took / 1e3
        for left in range(int(took) - PING_US, PING_US, -PING_US):
            yield (sent + took - left) / 1e6, left / 1e3


def of_phases(pings, spans):
    """{phase: ms of each}."""
    out = {}
    for second, ms in with_kept_back(pings):
        out.setdefault(spans.at(second), []).append(ms)
    return out


class Beats:
    """What a crowd had done by when."""

    def __init__(self, lines):
        self.when = [line[0] / 1e6 for line in lines]
        self.results = [line[1] for line in lines]

    def by(self, second):
        i = bisect.bisect(self.when, second)
        return self.results[i - 1] if i else 0

    def rate(self, spans):
        seconds = sum(end - begin for begin, end in spans)
        return sum(self.by(end) - self.by(begin) for begin, end in spans) / seconds if seconds else 0


class Large:
    def __init__(self, build, folder, samples):
        self.build, self.samples = build, samples
        self.batch, self.shard = SIZES.get(samples) or SIZES[max(s for s in SIZES if s <= samples)]
        self.folder = os.path.join(folder, f"large{samples}")
        os.mkdir(self.folder)
        self.world = World(build, self.folder, "ipc", 0, 1)
        self.spans, self.out = Spans(), {"samples": samples}
        self.job = self.client = None
        self.seen = None  # the last look: when it was answered, which phase
        self.peak = 0     # of the server's memory, as far as it was seen

    # --- looking ---

    def row(self):
        """The job's row, with the number of its epochs that are on the disk."""
        said = self.client.request("job.show", {"job": self.job}, deadline=ASK_S).fields
        return {**said["job"], "committed": sum(e["committed"] for e in said["epochs"])}

    def phase_of(self, row):
        """A run is in the next epoch, or at its end, while the one before it is not on the disk yet."""
        if row.get("phase", "train") != "train":
            return "sweep and test"
        return "fold, beside training" if row["committed"] < row["step"] // (self.samples // self.batch) else "train"

    def look(self, phase):
        row = self.row()
        now, self.peak = time.monotonic(), max(self.peak, self.memory())
        if row["state"] in ("failed", "cancelled") or (row["state"] == "paused" and not phase):
            raise Failed(f"the job of {self.samples} samples is {row['state']}: {row.get('reason', '')}")
        phase = phase or self.phase_of(row)
        if self.seen:
            began, before = self.seen
            self.spans.add(began, now, "close of an epoch" if (before, phase) == ("sweep and test", "fold, beside training") else before)
        self.seen = (now, phase)
        return row

    def follow(self, until, phase=None):
        """Looks until until(row), or until the job is done, which a small one may be before its time on a machine that keeps
        this program waiting; the phase is the row's, or this one. Returns the row."""
        self.seen = (time.monotonic(), phase) if phase else self.seen
        while True:
            row = self.look(phase)
            if until(row) or row["state"] == "done":
                return row
            time.sleep(LOOK_S)  # between two looks

    @contextlib.contextmanager
    def during(self, phase):
        began = time.monotonic()
        yield
        self.spans.add(began, time.monotonic(), phase)
        self.seen = None

    # --- the server ---

    def memory(self):
        with open(f"/proc/{self.world.children[0][1].pid}/status") as file:
            return 1024 * int(re.search(r"RssAnon:\s+(\d+)", file.read()).group(1))

    def log(self):
        with open(os.path.join(self.world.folder, "server.log")) as file:
            return file.read()

    def submit(self, **spec):
        return self.client.request("job.submit", {"uuid": str(uuid.uuid4()), "spec": spec}, deadline=ASK_S).fields["job"]["job"]

    def crowd(self, job, workers, threads, us):
        return Printer(self.build, "crowd", "--connect", self.world.url, "--job", job, "--workers", workers, "--threads", threads,
                       "--classes", CLASSES, "--shard-us", us, "--class", f"crowd/{job}", "--name", f"crowd-{job}")

    def put(self, name, samples, seed):
        """Seconds that its import takes."""
        folder = os.path.join(self.folder, name)
        write_tiny(folder, samples, seed)
        began = time.monotonic()
        run(os.path.join(self.build, "steppe"), "dataset", "import", name, folder, "--layout", "nhwc", "--server", self.world.url, timeout=ASK_S)
        shutil.rmtree(folder)
        return time.monotonic() - began

    # --- the course ---

    def begin(self):
        """The small job alone, and the pings of a server that has nothing else to do."""
        self.world.start(self.folder)
        self.client = Client(self.world.url)
        self.put("small", SMALL["samples"], 1)
        job = self.submit(dataset="small", model=LAYERS, epochs=100000, batch=SMALL["batch"], shard=SMALL["shard"],
                          curriculum={"measure": "none"}, score={"every": 100000})
        self.small = self.crowd(job, 1, 2, SMALL["us"])
        while self.client.request("job.show", {"job": job}).fields["job"]["epoch"] < 1:  # the first one is scored
            time.sleep(LOOK_S)  # between two looks
        self.pings = Printer(self.build, "pings", self.world.url[len("ipc://"):], PING_US)
        self.commands = Commands(self.world.url)
        with self.during("alone"):
            time.sleep(ALONE_S)  # what is compared with

    def train(self):
        out, per_epoch = self.out, self.samples // self.batch
        with self.during("import"):
            out["import"] = self.samples / self.put("large", self.samples, 2)
        before = self.memory()
        with self.during("start"):
            self.job = self.submit(dataset="large", model=LAYERS, epochs=EPOCHS, batch=self.batch, shard=self.shard)
        self.large = self.crowd(self.job, WORKERS, THREADS, SHARD_US)
        self.follow(lambda row: row["step"] > 0, "start")
        out["memory started"] = (self.memory() - before) / self.samples
        faults, first = self.world.server_faults(), self.look(None)["step"]
        row = self.follow(lambda row: row["step"] >= per_epoch * 3 // 4)
        out["faults"] = (self.world.server_faults() - faults) / max(1, row["step"] - first)
        self.follow(lambda row: row["committed"] > 0)
        with self.during("pause and its checkpoint"):
            self.client.request("job.pause", {"job": self.job}, deadline=ASK_S)
        self.client.request("job.resume", {"job": self.job}, deadline=ASK_S)
        at = self.row()["step"]
        self.follow(lambda row: row["step"] > at, "resume")
        out["memory peak"] = (self.peak - before) / self.samples

    def kill(self):
        """kill -9 in an epoch that has begun; until the first step behind it."""
        self.client.close()
        server = self.world.children.pop(0)[1]
        server.kill()
        server.wait()
        began = time.monotonic()
        self.world.serve()
        self.client.request("ping", deadline=ASK_S)
        self.out["restart"] = time.monotonic() - began
        before = self.large.lines[-1][1]  # results so far
        self.follow(lambda row: self.large.lines[-1][1] != before, "recovery")
        self.out["recovery"] = time.monotonic() - began
        self.seen = None

    def ask(self):
        """Milliseconds of each question, or why there is no answer."""
        answers = self.out["questions"] = {}
        for name, fields in QUESTIONS.items():
            if name == "compare":
                fields = {**fields, "other": self.job}
            with self.during("questions"):
                try:
                    taken = []
                    for _ in range(ROUNDS):
                        began = time.monotonic()
                        self.client.request("score." + name, {"job": self.job, **fields}, deadline=ASK_S)
                        taken.append(1000 * (time.monotonic() - began))
                    answers[name] = taken
                except SteppeError as error:
                    answers[name] = f"{error} (after {time.monotonic() - began:.1f} s)"

    def export(self):
        before, rows = os.times(), min(self.samples, EXPORTED)
        with self.during("export as csv"):
            began = time.monotonic()
            run(os.path.join(self.build, "steppe"), "export", self.job, "--format", "csv", "--limit", rows, "--out",
                os.path.join(self.folder, "scores.csv"), "--server", self.world.url, timeout=ASK_S)
            seconds = time.monotonic() - began
        after = os.times()
        self.out["export"] = rows / seconds
        self.out["export of CPU"] = rows / (after[2] + after[3] - before[2] - before[3])
        os.unlink(os.path.join(self.folder, "scores.csv"))
        with self.during("schedule"):
            try:
                self.out["schedule"] = self.schedule()
            except SteppeError as error:
                self.out["schedule"] = f"refused: {error}"

    def schedule(self):
        """Rows a second of all pages of an epoch."""
        began, rows, count = time.monotonic(), 0, 1
        while rows < count:
            reply = self.client.request("job.schedule", {"job": self.job, "epoch": 1, "first": rows, "limit": PAGE}, deadline=ASK_S)
            count = reply.fields["count"]
            rows += min(PAGE, count - rows)
        return rows / (time.monotonic() - began)

    def measure(self):
        self.begin()
        try:
            self.train()
        except SteppeError as error:
            self.out["skipped"] = f"refused: {error}"
            return self.end()
        self.kill()
        self.follow(lambda row: row["state"] == "done")
        self.seen = None
        self.large.end()
        self.ask()
        self.export()
        return self.end()

    def end(self):
        """The figures of all phases."""
        out, log = self.out, self.log()
        pings = self.pings.end()
        seen = of_phases([ping[:2] for ping in pings], self.spans)
        served = of_phases([(sent, took - waited) for sent, took, waited in pings], self.spans)
        commands, beats = self.commands.end(), Beats(self.small.end())
        alone = beats.rate([span[:2] for span in self.spans.rows if span[2] == "alone"])
        out["phases"] = {}
        for phase in self.spans.phases():
            seconds = self.spans.seconds(phase)
            given = [1000 * taken for second, taken in commands if self.spans.at(second) == phase]
            speed = beats.rate([span[:2] for span in self.spans.rows if span[2] == phase]) / alone if seconds >= SHOWN_S else None
            out["phases"][phase] = {
                "seconds": seconds, "seen": figures(seen.get(phase)), "served": figures(served.get(phase)), "speed": speed,
                "commands": given}
        out["beside"] = beats.rate([span[:2] for span in self.spans.rows if span[2] in COURSE]) / alone
        for name, phase in (("sweep", "sweep and test"), ("fold", "fold, beside training")):
            if phase in out["phases"]:
                out[name] = EPOCHS * self.samples / out["phases"][phase]["seconds"]
        out["leases"] = len(re.findall(r"lease\.expired", log))
        return out

    def stop(self):
        for program in (self.__dict__.get(name) for name in ("pings", "small", "large")):
            if program and program.process.poll() is None:
                program.process.kill()
                program.process.wait()
        self.world.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def measure(build, folder, sizes):
    """A row of numbers for each size."""
    rows = []
    for samples in sizes:
        why = room(samples, folder)
        if why:
            rows.append({"samples": samples, "skipped": why})
            continue
        large = Large(build, folder, samples)
        try:
            rows.append(large.measure())
        finally:
            large.stop()
    return rows


if __name__ == "__main__":  # of one size, for whoever works on it
    print(json.dumps(measure(sys.argv[1], sys.argv[2], [int(sys.argv[3])]), indent=1))
