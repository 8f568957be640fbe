#!/usr/bin/env python3
"""A gate between a worker and its server, so that a test can stop a job at a step of its choice instead of hoping to
come in time:   gate.py LISTEN SERVER RULE    (paths of two ipc sockets and of a file)

RULE holds "JOB STEP" or "JOB STEP TURN": results of this step of this job (from this turn of a measurement of flatness
on), of later ones and of later jobs wait here until the file allows them; "open" lets everything pass. While a result waits there is a file RULE.held, and the server knows nothing of it. What
waits when the worker's connection ends is dropped. All else passes as it comes. Plain messages only (see PROTOCOL.md)."""
import contextlib
import json
import os
import select
import socket
import struct
import sys
import threading
import time

RESULTS = ("task.result", "result.offer")
HEADER = 60  # of a frame; its JSON's length is at byte 16


def exactly(connection, count):
    data = bytearray()
    while len(data) < count:
        piece = connection.recv(min(count - len(data), 1 << 20))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)


def result_of(body):
    """(job, step, turn) of a message that brings a result, None of any other."""
    text = body
    if body[:1] != b"{":
        text = body[HEADER:HEADER + struct.unpack_from("<I", body, 16)[0]]
    message = json.loads(text)
    return (message["job"], message["step"], message.get("turn", 0)) if message.get("type") in RESULTS else None


def held(rule, key):
    with open(rule) as f:
        words = f.read().split()
    return words != ["open"] and key >= tuple(map(int, words))


def gone(connection):
    """Its other end has closed it. A client with a request under way sends nothing else."""
    if not select.select([connection], [], [], 0)[0]:
        return False
    return not connection.recv(1, socket.MSG_PEEK)


def wait_for_leave(rule, client, key):
    """The mark is gone before the result goes on, or is dropped."""
    mark = rule + ".held"
    try:
        while held(rule, key):
            open(mark, "w").close()
            if gone(client):
                raise EOFError
            time.sleep(0.01)  # between two looks
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(mark)


def requests(client, server, rule):
    server.sendall(exactly(client, 8))
    while True:
        head = exactly(client, 9)  # of ipc: a 1, then the length
        message = exactly(client, struct.unpack(">Q", head[1:])[0])
        key = result_of(message[4:])  # behind the request's number
        if key:
            wait_for_leave(rule, client, key)
        server.sendall(head + message)


def replies(client, server):
    while True:
        piece = server.recv(1 << 20)
        if not piece:
            raise EOFError
        client.sendall(piece)


def until_it_ends(work, client, server, *more):
    try:
        work(client, server, *more)
    except (EOFError, OSError):
        for connection in (client, server):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def main():
    listen, to, rule = sys.argv[1:]
    door = socket.socket(socket.AF_UNIX)
    door.bind(listen)
    door.listen(16)
    while True:
        client = door.accept()[0]
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(to)
        except OSError:  # it is away: the worker tries again
            client.close()
            continue
        threading.Thread(target=until_it_ends, args=(requests, client, server, rule), daemon=True).start()
        threading.Thread(target=until_it_ends, args=(replies, client, server), daemon=True).start()


if __name__ == "__main__":
    main()
