"""A server and a worker in a folder of their own, for runs that measure."""
import json
import os
import re
import signal
import subprocess
import time


def cpu_s(process):
    with open(f"/proc/{process.pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class World:
    def __init__(self, build, folder, threads):
        self.build, self.folder = build, folder
        self.url = f"ipc://{folder}/s"
        self.log = open(os.path.join(folder, "log"), "w")
        self.children = []
        self.spent_s = 0  # by servers that were killed
        self.children.append(self.serve())
        self.children.append(self.spawn("steppe-worker", "--connect", self.url, "--threads", str(threads),
                                        "--cache", folder + "/cache"))

    def spawn(self, name, *args):
        return subprocess.Popen([os.path.join(self.build, name), *args], stdout=self.log, stderr=self.log)

    def serve(self):
        server = self.spawn("steppe-server", "--state", self.folder + "/state", "--listen", self.url)
        for _ in range(2400):
            if self.steppe("ping", check=False).returncode == 0 or server.poll() is not None:
                break
            time.sleep(0.05)
        return server

    def strike(self):
        """Kills the server, as kill -9 does, and starts another one."""
        self.spent_s += cpu_s(self.children[0])
        self.children[0].kill()
        self.children[0].wait()
        self.children[0] = self.serve()

    def cpu_s(self):
        """Seconds of one core that the programs have taken."""
        return self.spent_s + sum(cpu_s(child) for child in self.children)

    def steppe(self, *args, check=True):
        done = subprocess.run([os.path.join(self.build, "steppe"), *args], capture_output=True, text=True,
                              env={**os.environ, "STEPPE_SERVER": self.url})
        if check and done.returncode != 0:
            raise RuntimeError(f"steppe {' '.join(args)}: {done.stderr.strip()}")
        return done

    def ask(self, *words):
        """The JSON that a command prints. A machine that is busy may let it wait in vain: it is asked again."""
        for _ in range(20):
            got = self.steppe(*words, "--json", check=False)
            if got.returncode == 0:
                return json.loads(got.stdout)
            time.sleep(5)
        raise RuntimeError(f"steppe {' '.join(words)}: {got.stderr.strip()}")

    def submit(self, job):
        """Hands in a job file; its number."""
        path = os.path.join(self.folder, "job.json")
        with open(path, "w") as file:
            json.dump(job, file)
        return re.match(r"job (\d+)", self.steppe("submit", path).stdout).group(1)

    def train(self, job):
        """Trains a job file to its end; what `steppe show` says of it then."""
        return self.end_of(self.submit(job))

    def end_of(self, number):
        while True:
            got = self.steppe("show", number, "--json", check=self.children[0].poll() is not None)
            if got.returncode == 0:  # or the machine is busy, and the server answers the next time
                row = json.loads(got.stdout)
                if row["job"]["state"] not in ("queued", "running"):
                    break
            time.sleep(2)
        if row["job"]["state"] != "done":
            raise RuntimeError(f"job {number} is {row['job']['state']}: {row['job'].get('reason', '')}")
        return row

    def close(self):
        for child in reversed(self.children):
            child.send_signal(signal.SIGTERM)
            child.wait()
        self.log.close()
