"""What befalls files: bytes that change on a disk, and programs of others that lock a database."""
import os
import subprocess
import sys

# Takes the lock, says so, and holds it until its input ends.
LOCK = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=120)
db.execute(sys.argv[2])
print("locked", flush=True)
sys.stdin.read()
db.rollback()
"""


def damaged(data, rng):
    """A copy of which a hundred bytes are inverted, anywhere."""
    data = bytearray(data)
    for _ in range(100):
        data[rng.randrange(len(data))] ^= 0xff
    return data


def damage(path, rng):
    """In the file itself: whoever has it open or mapped sees it too."""
    with open(path, "r+b") as f:
        data = damaged(f.read(), rng)
        f.seek(0)
        f.write(data)


def damage_copy(path, rng):
    """In a file that takes its place: whoever has it open keeps the good one."""
    with open(path, "rb") as f:
        data = damaged(f.read(), rng)
    with open(path + ".harm", "wb") as f:
        f.write(data)
    os.chmod(path + ".harm", os.stat(path).st_mode & 0o777)
    os.rename(path + ".harm", path)


class ForeignLock:
    """A program of somebody else's that keeps a write transaction open on a database, until release()."""

    def __init__(self, path, begin="begin immediate"):
        self.process = subprocess.Popen([sys.executable, "-c", LOCK, path, begin], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.held = self.process.stdout.readline() == b"locked\n"

    def release(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
