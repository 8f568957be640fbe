"""A server and a worker in a folder of their own, for runs that measure."""
import json
import os
import re
import signal
import subprocess
import time


class World:
    def __init__(self, build, folder, threads):
        self.build, self.folder = build, folder
        self.url = f"ipc://{folder}/s"
        self.log = open(os.path.join(folder, "log"), "w")
        self.children = []
        self.spawn("steppe-server", "--state", folder + "/state", "--listen", self.url)
        for _ in range(200):
            if self.steppe("ping", check=False).returncode == 0:
                break
            time.sleep(0.05)
        self.spawn("steppe-worker", "--connect", self.url, "--threads", str(threads), "--cache", folder + "/cache")

    def spawn(self, name, *args):
        self.children.append(subprocess.Popen([os.path.join(self.build, name), *args], stdout=self.log, stderr=self.log))

    def steppe(self, *args, check=True):
        done = subprocess.run([os.path.join(self.build, "steppe"), *args], capture_output=True, text=True,
                              env={**os.environ, "STEPPE_SERVER": self.url})
        if check and done.returncode != 0:
            raise RuntimeError(f"steppe {' '.join(args)}: {done.stderr.strip()}")
        return done

    def train(self, job):
        """Trains a job file to its end; what `steppe show` says of it then."""
        path = os.path.join(self.folder, "job.json")
        with open(path, "w") as file:
            json.dump(job, file)
        number = re.match(r"job (\d+)", self.steppe("submit", path).stdout).group(1)
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
