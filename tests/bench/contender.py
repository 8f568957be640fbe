"""A process that takes training steps when it is asked: the engine or its peer. It lives through all
rounds of a model, so that they take turns without starting anew, and sleeps while others run."""
import json
import os
import subprocess

from machine import Failed, environment, peak_mib

FOLDER = os.path.dirname(os.path.abspath(__file__))
PEER_PYTHON = "/usr/bin/python3"  # Debian's, which python3-torch belongs to


def peer_is_there():
    found = subprocess.run([PEER_PYTHON, "-c", "import importlib.util, sys;"
                            "sys.exit(importlib.util.find_spec('torch') is None)"], check=False)
    return found.returncode == 0


class Contender:
    def __init__(self, command):
        self.name = " ".join(map(str, command))
        self.child = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True, env=environment())
        self.about = self.read()

    def read(self):
        line = self.child.stdout.readline()
        if not line:
            raise Failed(f"{self.name}: ended with {self.child.wait()}")
        return json.loads(line)

    def measure(self, mode, seconds):
        """{"rate", "best"}: images a second by the median step and by the fastest one."""
        try:
            self.child.stdin.write(f"{mode} {seconds}\n")
            self.child.stdin.flush()
        except BrokenPipeError:
            pass  # reading says what became of it
        return self.read()

    def peak_mib(self):
        return peak_mib(self.child.pid)

    def stop(self):
        self.child.stdin.close()
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


def engine(build, model, threads, shard, batch):
    return Contender([os.path.join(build, "bench", "engine"), "--ask", "--model", model, "--threads",
                      threads, "--shard", shard, "--batch", batch])


def peer(model, threads, batch):
    return Contender([PEER_PYTHON, os.path.join(FOLDER, "peer_torch.py"), "--model", model,
                      "--threads", threads, "--batch", batch])
