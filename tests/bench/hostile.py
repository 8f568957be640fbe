"""What others lose beside clients that ask for too much: the time of a command, the speed of a training job, the memory of
the server, and the time that SIGTERM takes. The job's worker has a processor to itself, as where the server has a machine of
its own; the server, what it starts, who is measured and who floods it share the others."""
import json
import os
import subprocess
import sys
import time
import uuid

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))
from machine import Failed  # noqa: E402
from floods import HANDSHAKE, HEAVY, Flood, stranger  # noqa: E402
from hosts import Cluster, Host  # noqa: E402
from wire import Peer, await_true, encode, free_port  # noqa: E402

SMALL = {"dataset": "few", "model": {"layers": [{"type": "flatten"}, {"type": "dense"}]}, "batch": 32, "shard": 16, "epochs": 1}
QUESTION = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000) select sum(i) from n"
PIPELINED = 10000
PAUSE_S = 0.25  # between two commands of the client that is measured: each starts a job, whose files are synced
HEAVY_CLIENTS = 4
HANDSHAKES_A_SECOND = 10000
STRANGERS = 4


def person(folder):
    """Of this machine's administrator."""
    return Peer(None, path=folder + "/s")


def questions(folder, job, sql, count=None):
    peer = person(folder)
    return Flood(peer.socket, encode({**peer.envelope("score.sql"), "job": job, "sql": sql}), peer.mark, count=count)


def flood(folder, port, job):
    """10 000 pipelined questions, the heaviest SQL, 10 000 handshakes a second, until standard input ends."""
    people = [questions(folder, job, QUESTION, PIPELINED), *(questions(folder, job, HEAVY) for _ in range(HEAVY_CLIENTS))]
    strangers = [Flood(stranger(port), HANDSHAKE, rate=HANDSHAKES_A_SECOND / STRANGERS) for _ in range(STRANGERS)]
    start = time.monotonic()
    await_true(60, lambda: all(one.sent > 0 for one in people + strangers))
    print("begun", flush=True)
    sys.stdin.read()
    seconds = time.monotonic() - start
    print(json.dumps({what: sum(getattr(s, what) for s in strangers) / seconds for what in ("sent", "answered")}))


class Others:
    """Who floods, in a process of its own."""

    def __init__(self, world, job):
        self.process = subprocess.Popen([sys.executable, __file__, world.folder,
                                         world.hosts[0].url.rsplit(":", 1)[1], str(job)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def end(self):
        """Handshakes a second: sent, answered."""
        return json.loads(self.process.communicate()[0])


def commands(world, seconds):
    """Seconds of each job.submit. Each is cancelled, so that few of them are computed."""
    peer, taken = person(world.folder), []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        asked = time.monotonic()
        reply = peer.ask("job.submit", uuid=str(uuid.uuid4()), spec=SMALL)[0]
        taken.append(time.monotonic() - asked)
        if not reply.get("ok"):
            raise Failed("job.submit beside the flood: %s" % reply)
        peer.ask("job.cancel", job=reply["job"]["job"])
        time.sleep(PAUSE_S)  # a person's pace
    peer.close()
    return taken


def speed(world, job, seconds):
    """Training steps a second."""
    start, first = time.monotonic(), row_of(world, job)["step"]
    time.sleep(seconds)  # the window that is measured
    last = row_of(world, job)["step"]
    return (last - first) / (time.monotonic() - start)


def row_of(world, job):
    peer = person(world.folder)
    row = peer.ask("job.show", job=job)[0]["job"]
    peer.close()
    if row["state"] != "running":
        raise Failed("job %d is %s" % (job, row["state"]))
    return row


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def apart(world):
    """The worker alone on the last processor, if there are several."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, cores[:-1])
    world.server()
    if len(cores) > 1:
        os.sched_setaffinity(0, cores[-1:])
    world.spawn("w1", *world.worker_words(world.hosts[0], "w1", None, world.url))
    if len(cores) > 1:
        os.sched_setaffinity(0, cores[:-1])
    return cores


def measure(model, rounds, seconds):
    """A row of numbers: quiet and flooded windows in turns, then the end."""
    world = Cluster("hostile-" + model, [Host([], "127.0.0.1", free_port())])
    cores = apart(world)
    try:
        world.json("dataset", "import", "g", "glyphs", "--samples", "20000", "--test-samples", "100")
        world.json("dataset", "import", "few", "glyphs", "--samples", "32", "--test-samples", "10")
        old = world.submit({**SMALL, "dataset": "g"})
        await_true(120, lambda: world.job_state(old) == "done")  # its scores are what is asked for
        job = world.submit({"dataset": "g", "model": model, "batch": 128, "shard": 64, "epochs": 100000, "score": {"every": 100000},
                            "curriculum": {"measure": "none"}})
        await_true(60, lambda: row_of(world, job)["epoch"] > 0)  # the first one is swept
        commands(world, 1)
        before = world.rss_kib()
        row = {"model": model, "quiet": [], "flooded": [], "speed": [], "steps": [], "grown_mib": 0, "sent": [], "answered": []}
        for _ in range(rounds):
            quiet = speed(world, job, seconds)
            row["quiet"].append(1000 * percentile(commands(world, seconds), 0.99))
            row["steps"].append(quiet)
            others = Others(world, old)
            row["speed"].append(speed(world, job, seconds) / quiet)
            row["flooded"].append(1000 * percentile(commands(world, seconds), 0.99))
            row["grown_mib"] = max(row["grown_mib"], (world.rss_kib() - before) / 1024)
            for what, rate in others.end().items():
                row[what].append(rate)
        others = Others(world, old)
        commands(world, seconds)
        asked = time.monotonic()
        row["status"] = world.stop("server")
        row["end_s"] = time.monotonic() - asked
        others.end()
        return row
    finally:
        os.sched_setaffinity(0, cores)
        world.close()


if __name__ == "__main__":
    flood(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
