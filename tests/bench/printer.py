"""Programs of the bench that print numbers while something else is measured."""
import os
import subprocess
import threading

from machine import Failed, environment


class Printer:
    """A program of the bench that prints lines of numbers until its standard input ends."""

    def __init__(self, build, name, *args, prefix=()):
        self.lines, self.last = [], ""
        self.process = subprocess.Popen([*prefix, os.path.join(build, "bench", name), *map(str, args)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env=environment())
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                self.last = line
            else:
                self.lines.append(tuple(map(int, line.split())))

    def end(self):
        """Its lines."""
        if self.process.poll() is None:
            self.process.stdin.close()
        status = self.process.wait()
        self.thread.join()
        if status:
            raise Failed(f"{os.path.basename(self.process.args[0])} ended with {status}")
        return self.lines
