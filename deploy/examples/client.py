#!/usr/bin/env python3
"""A client of steppe-server on the standard library alone; proto/PROTOCOL.md, section 1.1, explains the bytes.

    client.py jobs            client.py submit JOBFILE            client.py follow JOB

The server is $STEPPE_SERVER, else your own on this machine; one that has a key answers here on its ipc:// address only."""
import json
import os
import socket
import struct
import sys
import time
import uuid


class Client:
    def __init__(self, url):
        transport, _, place = url.partition("://")
        self.mark = b"\1" if transport == "ipc" else b""  # stands before each message on ipc
        if transport == "ipc":
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(place)
        else:
            host, _, port = place.rpartition(":")
            self.socket = socket.create_connection((host.strip("[]"), int(port)))
        self.sender, self.count = str(uuid.uuid4()), 0
        self.socket.sendall(b"\0SP\0\0\x30\0\0")  # I am a REQ ...
        if self.read(8) != b"\0SP\0\0\x31\0\0":  # ... and you are a REP
            raise ConnectionError(url + " does not speak nanomsg's REQ/REP")

    def read(self, size):
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise ConnectionError("the server closed the connection")
            data += piece
        return data

    def ask(self, kind, **fields):
        self.count += 1
        message = {"type": kind, "v": 1, "id": self.count, "sender": self.sender, **fields}
        body = struct.pack(">I", 1 << 31 | self.count) + json.dumps(message).encode()
        self.socket.sendall(self.mark + struct.pack(">Q", len(body)) + body)
        answer = b""
        while answer[:4] != body[:4]:
            self.read(len(self.mark))
            answer = self.read(*struct.unpack(">Q", self.read(8)))
        reply = json.loads(answer[4:])
        if reply["type"] == "error":
            raise SystemExit(plain(f"{reply['code']}: {reply['error']}"))
        return reply


def plain(text):
    """What may be shown: nothing in a name moves the cursor or turns the line."""
    return "".join(c if c.isprintable() else "?" for c in text)


def jobs(client):
    page = {"more": True}  # a list comes page by page
    while page["more"]:
        older = {"before": page["jobs"][-1]["job"]} if "jobs" in page else {}
        page = client.ask("job.list", limit=500, **older)
        for job in page["jobs"]:
            print(f"{job['job']:5} {job['state']:9} epoch {job['epoch']}/{job['epochs']}  {plain(job['name'])}")


def submit(client, path):
    with open(path, encoding="utf-8") as file:
        print(client.ask("job.submit", uuid=str(uuid.uuid4()), spec=json.load(file))["job"]["job"])


def follow(client, number):
    state, seen, more = "", 0, False
    while more or state not in ("done", "failed", "cancelled"):
        reply = client.ask("job.show", job=int(number), epochs_from=seen)
        state, more = reply["job"]["state"], reply["more"]
        for epoch in (e for e in reply["epochs"] if e["committed"]):
            seen = epoch["epoch"] + 1
            print(f"epoch {seen}  loss {epoch['train_loss']:.4f}  share {epoch['share']:.3g}", flush=True)
        time.sleep(0 if more else 0.5)
    print(state, plain(reply["job"].get("reason", "")))


if __name__ == "__main__":
    command = {("jobs", 0): jobs, ("submit", 1): submit, ("follow", 1): follow}.get((*sys.argv[1:2], len(sys.argv) - 2))
    if not command:
        sys.exit(__doc__)
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    try:
        command(Client(os.environ.get("STEPPE_SERVER") or f"ipc://{state}/steppe/steppe.sock"), *sys.argv[2:])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as head, has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
