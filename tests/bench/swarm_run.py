"""What `make swarm` and its smoke test run: a server with a job, simulated workers, and what the server's memory does
meanwhile."""
import json
import os
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))
from wire import BUILD, World  # noqa: E402

# A few parameters only, so that what is measured is the server's work for a message; one worker a shard. Now and then
# an epoch is scored: what a fold keeps in memory belongs to the level that must not rise.
LAYERS = [{"type": "avgpool", "size": 14}, {"type": "flatten"}, {"type": "dense"}]


def swarm(workers, seconds, processes=2, idle=0, garbage=0):
    """What the workers saw, and the server's rss_kib a second and cpu_s."""
    shard = 2
    batch = workers * shard
    samples = 2 * batch
    world = World("swarm%d" % time.monotonic_ns()).server()
    world.steppe("dataset", "import", "g", "glyphs", "--samples", str(samples), "--test-samples", "100")
    world.submit({"dataset": "g", "model": {"layers": LAYERS}, "epochs": 100000, "batch": batch, "shard": shard,
                  "optimizer": {"lr": 0.001}, "score": {"every": 100}})
    client = subprocess.Popen([BUILD + "/bench/swarm", "--port", str(world.port), "--workers", str(workers), "--seconds", str(seconds),
                               "--processes", str(processes), "--idle", str(idle), "--garbage", str(garbage)],
                              stdout=subprocess.PIPE, text=True)
    memory, done = [], threading.Event()

    def watch():
        while not done.wait(1):  # between two looks
            memory.append(world.rss_kib())
    thread = threading.Thread(target=watch)
    thread.start()
    out = client.communicate(timeout=seconds + 120)[0]
    done.set()
    thread.join()
    with open("/proc/%d/stat" % world.processes["server"].pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    log = world.log("server")
    world.close()
    if client.returncode != 0:
        raise RuntimeError("swarm ended with %d: %s" % (client.returncode, log[-500:]))
    return {**json.loads(out), "server_rss_kib": memory, "server_cpu_s": cpu_s}
