"""Shared by the end-to-end tests in Python: worlds (a server and workers in a folder of their own),
the SP wire format on a plain socket, frames, counting. Written from proto/PROTOCOL.md alone, so that
it judges the C codec instead of repeating it. Standard library only.
"""
import atexit
import hashlib
import json
import math
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import uuid
import zlib

BUILD = os.environ["STEPPE_BUILD"]
SANITIZED = "/san-" in BUILD  # slower, and freed memory is kept for a while
SIZES = {"U8": 1, "U16": 2, "I32": 4, "U32": 4, "I64": 8, "U64": 8, "F32": 4, "F64": 8}
MESSAGE_MAX = 8912896

passed = failed = skipped = 0


# --- counting ---

def ok(name, good=True, why=""):
    global passed, failed
    if good:
        passed += 1
        print("ok   " + name)
    else:
        failed += 1
        print("FAIL %s%s" % (name, ": " + str(why) if why != "" else ""))
    return good


def skip(name, why):
    global skipped
    skipped += 1
    print("skip %s: %s" % (name, why))


def same(name, want, got):
    return ok(name, want == got, "is %r, wanted %r" % (got, want))


def has(name, part, text):
    return ok(name, part in text, "%r lacks %r" % (text, part))


def finish():
    for world in World.open[:]:
        world.close()
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    sys.exit(1 if failed or not passed else 0)


def run_tests(tests, chosen=None):
    """Runs them one by one; what one of them raises is its failure, not the end of the others. The arguments of the
    command choose among those called test_…: each of them stands alone. The others go on from what came before."""
    chosen = sys.argv[1:] if chosen is None else chosen
    alone = [test.__name__ for test in tests if test.__name__.startswith("test_")]
    for name in chosen:
        if name not in alone:
            print("there is no case %s; %s" % (name, "there are\n    " + "\n    ".join(alone) if alone else
                                              "the parts of this test stand on one another: it runs whole"))
            sys.exit(2)
    for test in [test for test in tests if not chosen or test.__name__ in chosen]:
        try:
            test()
        except Exception as error:  # pylint: disable=broad-except
            line = error.__traceback__
            while line.tb_next:
                line = line.tb_next
            ok(test.__name__, False, "line %d: %s: %s" % (line.tb_lineno, type(error).__name__, error))
    finish()


# --- processes ---

scratch = tempfile.mkdtemp(prefix="stp.")
atexit.register(shutil.rmtree, scratch, ignore_errors=True)
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda *_: sys.exit(130))
for variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "STEPPE_FAILPOINT"):
    os.environ.pop(variable, None)


HANG_S = 600  # on a machine that has much else to do little takes long: no limit is below it


def await_true(seconds, what):
    """Tries what() until it is true; a time limit only ends what hangs. A command of what() that failed is tried again, too: a
    server that is kept from working answers late."""
    end = time.monotonic() + max(seconds, HANG_S)
    while True:
        try:
            if what():
                return True
        except RuntimeError:
            if time.monotonic() > end:
                raise
        if time.monotonic() > end:
            return False
        time.sleep(0.02)  # between two looks


def free_port():
    """One below those that the kernel gives to whoever connects: it stays free until it is used, and while a server restarts."""
    for _ in range(1000):
        port = random.randrange(20000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no port is free")


def threads_of(process):
    """(number, state, how often it went to sleep) of each."""
    folder = "/proc/%d/task" % process.pid
    for number in os.listdir(folder):
        with open("%s/%s/status" % (folder, number)) as f:
            text = f.read()
        yield (number, re.search(r"^State:\s+(\S)", text, re.M).group(1), re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M).group(1))


class World:
    """A server on a port and an ipc socket, its workers, and the command."""
    open = []

    def __init__(self, name):
        self.folder = os.path.join(scratch, name)
        os.mkdir(self.folder)
        self.state = os.path.join(self.folder, "state")
        self.port = free_port()
        self.http = "none"  # or HOST:PORT of the dashboard
        self.prefix = []    # words before the server's command
        self.url = "tcp://127.0.0.1:%d" % self.port
        self.listen = ["--listen", self.url, "--insecure-loopback"]  # of a server without a key
        self.processes = {}
        World.open.append(self)
        atexit.register(self.close)

    def spawn(self, name, *words, **env):
        with open(os.path.join(self.folder, name + ".log"), "ab") as log:
            self.processes[name] = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                                    env={**os.environ, **env})
        return self.processes[name]

    def log(self, name):
        with open(os.path.join(self.folder, name + ".log"), errors="replace") as f:
            return f.read()

    def server(self, *words, **env):
        listen = ["--listen", "%s,ipc://%s/s" % (self.url, self.folder), *([] if "--key" in words else self.listen[2:])]
        server = self.spawn("server", *self.prefix, BUILD + "/steppe-server", "--state", self.state, *listen, "--http", self.http,
                            *words, **env)
        served = await_true(30, lambda: server.poll() is not None or self.steppe("ping").returncode == 0)
        if server.poll() is not None or not served:
            raise RuntimeError("the server %s: %s" % ("does not answer" if server.poll() is None else "ended", self.log("server")[-300:]))
        return self

    def worker(self, name="w1", threads=1, url=None):
        return self.spawn(name, BUILD + "/steppe-worker", "--connect", url or self.url, "--name", name,
                          "--threads", str(threads), "--cache", os.path.join(scratch, "cache"))

    def gated_worker(self, name, job, step):
        """A worker whose results of this step and later ones wait until gate() lets them on; see gate.py."""
        door = os.path.join(self.folder, name + ".gate")
        self.gate(name, "%d %d" % (job, step))
        if os.path.exists(door):
            os.unlink(door)
        self.spawn(name + "-gate", sys.executable, os.path.join(os.path.dirname(__file__), "gate.py"), door, self.folder + "/s",
                   self.rule(name))
        await_true(30, lambda: os.path.exists(door))
        return self.worker(name, url="ipc://" + door)

    def rule(self, name):
        return os.path.join(self.folder, name + ".rule")

    def gate(self, name, rule):
        """rule: "JOB STEP" or "open"."""
        with open(self.rule(name) + ".new", "w") as f:
            f.write(rule)
        os.rename(self.rule(name) + ".new", self.rule(name))

    def waits_at_gate(self, name):
        return os.path.exists(self.rule(name) + ".held")

    def gate_is_reached(self, name):
        """Waits until a result waits there."""
        if not await_true(60, lambda: self.waits_at_gate(name)):
            raise RuntimeError("nothing comes to the gate of %s: %s" % (name, self.log(name)[-300:]))

    def gate_is_empty(self, name):
        """Whether nothing that its worker, which is stopped, has sent lies there unread or waits: all of the gate sleeps, and
        has slept all the time between two looks."""
        looks = [sorted(threads_of(self.processes[name + "-gate"])) for _ in range(2)]
        return looks[0] == looks[1] and all(state == "S" for _, state, _ in looks[0]) and not self.waits_at_gate(name)

    def stop(self, name):
        process = self.processes.pop(name)
        process.terminate()
        return process.wait(HANG_S)

    def steppe(self, *words):
        return subprocess.run([BUILD + "/steppe", *words], env={**os.environ, "STEPPE_SERVER": self.url},
                              capture_output=True, text=True, timeout=HANG_S, check=False)

    def json(self, *words):
        got = self.steppe(*words, "--json")
        if got.returncode != 0:
            raise RuntimeError("steppe %s: %s" % (" ".join(words), got.stderr.strip()))
        return json.loads(got.stdout)

    def submit(self, spec):
        path = os.path.join(self.folder, "job.json")
        with open(path, "w") as f:
            json.dump(spec, f)
        return self.json("submit", path)["job"]

    def job_state(self, job):
        return self.json("show", str(job))["job"]["state"]

    def rss_kib(self):
        with open("/proc/%d/status" % self.processes["server"].pid) as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))

    def close(self):
        """Ends what runs; what a sanitizer or an assertion had to say fails the test."""
        if self not in World.open:
            return
        World.open.remove(self)
        for process in self.processes.values():
            process.kill()
            process.wait()
        for name in sorted(os.listdir(self.folder)):
            if not name.endswith(".log"):
                continue
            report = re.search(r"runtime error:.*|(?:ERROR|WARNING): \w+Sanitizer.*|Assertion .* failed.*", self.log(name[:-4]))
            if report:
                ok(os.path.basename(self.folder) + ": " + name, False, report.group(0))


# --- frames ---

def tensor(name, dtype, shape, data):
    return {"name": name, "dtype": dtype, "shape": list(shape), "data": data}


def floats(values):
    return struct.pack("<%df" % len(values), *values)


def doubles(values):
    return struct.pack("<%dd" % len(values), *values)


def ints(values):
    return struct.pack("<%di" % len(values), *values)


def encode(message, tensors=()):
    """Bytes of a message: plain JSON without tensors, else a frame."""
    if not tensors:
        return json.dumps(message).encode()
    rows, attachment = [], b""
    for t in tensors:
        attachment += bytes(-len(attachment) % 64)
        rows.append({"name": t["name"], "dtype": t["dtype"], "shape": t["shape"], "offset": len(attachment)})
        attachment += t["data"]
    return frame(json.dumps({**message, "tensors": rows}).encode(), attachment)


def frame(text, attachment, magic=b"\xf5SP\x01", header_bytes=60, flags=0, session=0, json_bytes=None,
          attachment_bytes=None, sequence=0, nonce=bytes(24), gap=b"\0"):
    json_bytes = len(text) if json_bytes is None else json_bytes
    attachment_bytes = len(attachment) if attachment_bytes is None else attachment_bytes
    head = magic + struct.pack("<HHQIQQ", header_bytes, flags, session, json_bytes, attachment_bytes, sequence) + nonce
    padding = (12 - (len(head) + len(text))) % 16
    return head + text + gap * padding + attachment


def decode(body):
    """(JSON, {name: bytes}) of a message."""
    if body[:1] == b"{":
        return json.loads(body), {}
    magic, header_bytes, _, _, json_bytes, attachment_bytes = struct.unpack_from("<4sHHQIQ", body)
    assert magic == b"\xf5SP\x01" and header_bytes == 60
    message = json.loads(body[60:60 + json_bytes])
    attachment = body[len(body) - attachment_bytes:]
    assert (len(body) - attachment_bytes) % 16 == 12
    tensors = {}
    for t in message.pop("tensors"):
        data = attachment[t["offset"]:t["offset"] + SIZES[t["dtype"]] * math.prod(t["shape"])]
        assert t["offset"] % 64 == 0
        tensors[t["name"]] = data
    return message, tensors


# --- the SP wire format ---

GREETING_REQ = b"\0SP\0\0\x30\0\0"
GREETING_REP = b"\0SP\0\0\x31\0\0"


def read_exactly(connection, count):
    data = b""
    while len(data) < count:
        piece = connection.recv(min(count - len(data), 1 << 20))
        if not piece:
            raise EOFError("the connection was closed")
        data += piece
    return data


class Peer:
    """One connection to the server, as a person would write it on a plain socket. path: of an ipc socket instead."""

    def __init__(self, world, greeting=GREETING_REQ, timeout=HANG_S, path=None):
        self.mark = b"\1" if path else b""  # ipc has a byte before every message
        if path:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(path)
        else:
            self.socket = socket.create_connection(("127.0.0.1", world.port), timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request = 0
        self.sender = str(uuid.uuid4())
        self.socket.sendall(greeting)
        if greeting == GREETING_REQ:
            assert read_exactly(self.socket, 8) == GREETING_REP

    def send(self, body):
        self.request += 1
        self.socket.sendall(self.mark + struct.pack(">QI", len(body) + 4, 0x80000000 | self.request) + body)

    def receive(self):
        """The body of the reply to the last request; earlier ones are passed over."""
        while True:
            read_exactly(self.socket, len(self.mark))
            count, request = struct.unpack(">QI", read_exactly(self.socket, 12))
            body = read_exactly(self.socket, count - 4)
            if request == 0x80000000 | self.request:
                return body

    def raw(self, body):
        self.send(body)
        return decode(self.receive())

    def ask(self, kind, tensors=(), **fields):
        """Sends a request with its envelope; (JSON, tensors) of the reply."""
        return self.raw(encode({**self.envelope(kind), **fields}, tensors))

    def envelope(self, kind):
        return {"type": kind, "v": 1, "id": self.request + 1, "sender": self.sender}

    def hello(self, kind="fake/1", **more):
        return self.ask("worker.hello", name="fake", threads=1, **{"class": kind}, **more)[0]

    def close(self):
        self.socket.close()


class Fake(Peer):
    """A worker that takes real tasks and answers what the test wants."""

    def __init__(self, world, kind="fake/1", **more):
        super().__init__(world)
        self.world, self.kind = world, kind
        self.task, self.tensors = {}, {}
        self.hello(kind, **more)

    def reconnect(self):
        """While a reply waits, nothing more is read from its connection: whoever has something else to say comes on a new one."""
        sender = self.sender
        self.close()
        super().__init__(self.world)
        self.sender = sender

    def again(self):
        """As after a restart."""
        self.reconnect()
        return self.hello(self.kind)

    def leave(self):
        self.reconnect()
        return self.ask("worker.bye")[0]

    def post(self, kind, **fields):
        """Sends, and leaves the reply for taken()."""
        self.send(encode({**self.envelope(kind), **fields}))

    def take(self, reply):
        self.task, self.tensors = reply
        if "theta" in self.tensors:
            self.floats = len(self.tensors["theta"]) // 4
        return self.task

    def next(self):
        self.wait()
        return self.taken()

    def wait(self):
        """Asks, and leaves the reply for taken()."""
        self.post("task.next")

    def taken(self):
        """What comes. A server that has no task for a while says so and is asked again."""
        end = time.monotonic() + HANG_S
        while self.take(decode(self.receive())).get("task") == "none" and time.monotonic() < end:
            self.wait()
        return self.task

    def key(self, task=None):
        return {name: (task or self.task)[name] for name in ("job", "incarnation", "step", "phase", "lo", "hi")}

    def tensors_of(self, value=0.0, count=None):
        if self.task["task"] == "train":
            n = self.floats if count is None else count
            return [tensor("grad", "F32", [n], floats([value] * n)),
                    tensor("sums", "F64", [5], doubles([self.task["count"], 1, 1, self.task["count"], 0]))]
        n = self.task["count"]
        return [tensor("scores", "F64", [n, 4], doubles([0.5, 1.0, 0.1, 0.2] * n)),
                tensor("classes", "I32", [n, 2], doubles([0.0] * n)), tensor("flags", "U32", [n], b"\1\0\0\0" * n)]

    def result(self, **change):
        """A good result; takes the next task."""
        return self.take(self.ask("task.result", self.tensors_of(**change), **self.key()))

    def fail(self, wait=True):
        self.send(encode({**self.envelope("task.fail"), **self.key(), "reason": "training diverged: the loss is not finite"}))
        return self.taken() if wait else None


def refusal(reply):
    """"code: sentence" of an error, "ok" of anything else."""
    return "%s: %s" % (reply["code"], reply["error"]) if reply["type"] == "error" else "ok"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


# --- pictures ---

def png_pixels(data):
    """(width, height, channels, bytes) of an 8-bit PNG without filters."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, packed, header = 8, b"", None
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        piece = data[at + 8:at + 8 + size]
        assert zlib.crc32(name + piece) == struct.unpack_from(">I", data, at + 8 + size)[0]
        header = struct.unpack(">IIBBBBB", piece) if name == b"IHDR" else header
        packed += piece if name == b"IDAT" else b""
        at += 12 + size
    width, height, depth, kind = header[:4]
    assert depth == 8
    channels = {0: 1, 2: 3}[kind]
    rows = zlib.decompress(packed)
    assert len(rows) == height * (1 + width * channels)
    assert all(rows[y * (1 + width * channels)] == 0 for y in range(height))
    return width, height, channels, b"".join(rows[y * (1 + width * channels) + 1:(y + 1) * (1 + width * channels)] for y in range(height))


def png_size(data):
    """(width, height) of a PNG."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and data[12:16] == b"IHDR"
    return struct.unpack_from(">II", data, 16)


def png_file(width, height, pixels):
    """A grey PNG."""
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    rows = b"".join(b"\0" + pixels[y * width:(y + 1) * width] for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
