"""One way to serve: a server and workers of its own, which sleep while others are measured. A rate is
read off the server: it says how many updates an epoch has had and at what rate up to the last of them,
so two readings give the time between two updates."""
import json
import os
import random
import struct
import subprocess
import time

from machine import Failed, environment, free_port, peak_mib, run

WARM_S = 0.25  # of an epoch, before its rate counts
STEPS_MIN = 4  # of a measurement
# Epochs 0, 3 and 4 are swept. The scores of an epoch are folded during the one behind it, so epoch 2
# has nothing to do with sweeps, and 4 has a sweep and a fold, as all have when all are swept.
EPOCHS, EVERY, PLAIN, SWEPT = 5, 3, 2, 4
JOBS = {  # what a job file says to train that way
    "sgd": {"sam": {"rho": 0}},
    "sam": {"sam": {"rho": 0.05}},
    "fused": {"sam": {"rho": 0.05}, "score": {"source": "train"}},
}


class Ended(Exception):
    """The first epoch is over."""


def npy(path, shape, kind, data):
    """Writes what numpy.save would."""
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    head += " " * (-(len(head) + 11) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode())
        for part in data:
            file.write(part)


def write_noise(folder, samples, shape):
    """A dataset of random pixels for the importer of .npy files."""
    noise = random.Random(1)
    pixels = shape[0] * shape[1] * shape[2]
    os.mkdir(folder)
    npy(os.path.join(folder, "train_images.npy"), (samples, *shape), "|u1",
        (noise.randbytes(pixels) for _ in range(samples)))
    npy(os.path.join(folder, "train_labels.npy"), (samples,), "|u1",
        (bytes(i % 10 for i in range(samples)),))


class World:
    def __init__(self, build, folder, transport, workers, threads):
        self.name = f"{transport} {workers} x {threads}"
        self.build, self.workers, self.threads = build, workers, threads
        self.folder = os.path.join(folder, self.name.replace(" ", ""))
        os.mkdir(self.folder)
        self.url = (f"ipc://{self.folder}/s" if transport == "ipc"
                    else f"tcp://127.0.0.1:{free_port()}")
        self.children = []

    def spawn(self, name, program, *args):
        with open(os.path.join(self.folder, name + ".log"), "a") as log:
            child = subprocess.Popen([os.path.join(self.build, program), *args], stdout=log,
                                     stderr=log, env=environment())
        self.children.append((name, child))

    def serve(self):
        """A server, until it answers."""
        self.spawn("server", "steppe-server", "--state", self.folder + "/state", "--listen", self.url,
                   *(["--insecure-loopback"] if self.url.startswith("tcp") else []), "--log-level", "debug")
        self.steppe("ping")

    def start(self, cache):
        self.serve()
        for i in range(self.workers):
            self.spawn(f"worker-{i}", "steppe-worker", "--connect", self.url, "--cache", cache,
                       "--threads", str(self.threads), "--name", f"bench-{i}")
        self.settle()

    def stop(self):
        for _, child in reversed(self.children):
            child.terminate()
        for _, child in self.children:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def ended(self):
        """What to say of each process that should run and does not."""
        for name, child in self.children:
            if child.poll() is not None:
                with open(os.path.join(self.folder, name + ".log")) as log:
                    said = log.readlines()[-1:] or ["nothing"]
                yield f"{self.name}: {name} ended with {child.returncode} and said {said[0].strip()}"

    def peak_mib(self):
        return sum(peak_mib(child.pid) for _, child in self.children)

    def steppe(self, *args):
        return run(os.path.join(self.build, "steppe"), *args, "--server", self.url)

    def ask(self, *args):
        return json.loads(self.steppe(*args, "--json"))

    def settle(self):
        """Until every worker waits for work, so that nothing of the last job runs beside the next."""
        for _ in range(300):
            rows = self.ask("workers")
            if len(rows) == self.workers and all(r["state"] == "waiting" for r in rows):
                return
            time.sleep(0.05)
        raise Failed(f"{self.name}: the workers do not come to rest")

    def classes(self):
        return {r["class"] for r in self.ask("workers")}

    def submit(self, **job):
        job = {"curriculum": {"measure": "none"}, **job}
        path = os.path.join(self.folder, "job.json")
        with open(path, "w") as file:
            json.dump(job, file)
        return self.ask("submit", path)["job"]

    def reading(self, job, batch):
        """Updates of the first epoch and the second in which the last one was made."""
        row = self.ask("show", job)["job"]
        if row["state"] not in ("queued", "running"):
            raise Failed(f"{self.name}: job {job} is {row['state']}: {row.get('reason', '')}")
        if row["epoch"] > 0 or row.get("phase", "train") != "train":
            raise Ended()
        rate = row.get("images_per_s", 0)
        return (row["step"], row["step"] * batch / rate) if rate > 0 else (0, 0)

    def rate(self, model, mode, dataset, shard, batch, seconds):
        """Images a second of a training mode, away from the ends of an epoch."""
        for shorter in (1, 3, 9):
            try:
                return self.measure(model, mode, dataset, shard, batch, seconds / shorter)
            except Ended:  # a fast machine
                pass
        raise Failed(f"{self.name}: {model} {mode} ends dataset {dataset} too early")

    def measure(self, model, mode, dataset, shard, batch, seconds):
        job = self.submit(name=f"{model}-{mode}", dataset=dataset, model=model, epochs=2,
                          shard=shard, batch=batch, **JOBS[mode])
        try:
            step, second = self.reading(job, batch)
            while second < WARM_S:
                time.sleep(0.2)
                step, second = self.reading(job, batch)
            last, end, faults = step, second, self.server_faults()
            while last - step < STEPS_MIN:
                time.sleep(seconds)
                last, end = self.reading(job, batch)
            self.faults_a_step = (self.server_faults() - faults) / (last - step)
            return (last - step) * batch / (end - second)
        finally:
            self.steppe("cancel", job)
            self.settle()

    def server_faults(self):
        """Pages that the server faulted in from its start, without a disk."""
        with open("/proc/%d/stat" % self.children[0][1].pid) as file:
            return int(file.read().rsplit(")", 1)[1].split()[7])

    def epochs(self, model, dataset, shard, batch):
        """Seconds of a SAM epoch without a sweep and of one with it."""
        job = self.submit(name=f"{model}-epochs", dataset=dataset, model=model, epochs=EPOCHS,
                          shard=shard, batch=batch, sam={"rho": 0.05}, score={"every": EVERY})
        while True:
            time.sleep(0.25)
            reply = self.ask("show", job)
            state = reply["job"]["state"]
            if state == "done":
                seconds = [e["seconds"] for e in reply["epochs"]]
                return seconds[PLAIN], seconds[SWEPT]
            if state != "running":
                raise Failed(f"{self.name}: job {job} is {state}")
