#!/usr/bin/python3
"""A way between workers and a server that harms what passes: proxy.py PORT HOST PORT SEED listens on loopback and takes
orders on stdin, a line each:

  drop | duplicate | truncate | flip | hold, and up | down     happens to the next message that goes up to the server or
                                                               down from it
  cut                                           closes all connections, those that come for half a second too
  counts                                        prints what was done, as JSON

It knows the SP wire format only: a greeting of 8 bytes, then messages behind a length of 8 bytes. Whoever is behind it
finds out by himself that messages are missing; "flip" may hit that length too."""
import json
import random
import socket
import struct
import sys
import threading
import time

MESSAGE_MAX = 16 << 20
CUT_S = 0.5
HOLD_S = 1.0

lock = threading.Lock()
orders = {"up": [], "down": []}  # faults that wait for a message
counts = {}
connections = set()
cut_until = 0.0
rng = random.Random(int(sys.argv[4]))


def count(what):
    counts[what] = counts.get(what, 0) + 1


def exactly(s, n):
    data = bytearray()
    while len(data) < n:
        piece = s.recv(min(n - len(data), 1 << 20))
        if not piece:
            raise EOFError
        data += piece
    return data


def flip(data):
    """One bit; now and then one of the length, which makes the rest of the connection garbage."""
    with lock:
        at = rng.randrange(8) if rng.random() < 0.1 else rng.randrange(8, len(data))
        data[at] ^= 1 << rng.randrange(8)


def harm(fault, data, to):
    if fault == "duplicate":
        to.sendall(data)
    elif fault == "truncate":
        to.sendall(data[:8 + (len(data) - 8) // 2])
        raise EOFError
    elif fault == "flip":
        flip(data)
    elif fault == "hold":
        time.sleep(HOLD_S)  # that is the fault
    if fault != "drop":
        to.sendall(data)


def close(pair):
    for s in pair:
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def pump(pair, a, b, way):
    try:
        b.sendall(exactly(a, 8))
        while True:
            data = exactly(a, 8)
            length = struct.unpack(">Q", data)[0]
            if length > MESSAGE_MAX:
                raise EOFError
            data += exactly(a, length)
            with lock:
                fault = orders[way].pop(0) if orders[way] else None
                count(fault or "messages")
            harm(fault, data, b)
    except (OSError, EOFError):
        pass
    close(pair)
    with lock:
        connections.discard(pair)


def connect(a, host, port):
    try:
        b = socket.create_connection((host, port), 5)  # the worker tries again
        b.settimeout(None)
    except OSError:
        a.close()
        return
    for s in (a, b):
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    pair = (a, b)
    with lock:
        connections.add(pair)
    threading.Thread(target=pump, args=(pair, a, b, "up"), daemon=True).start()
    pump(pair, b, a, "down")
    a.close()
    b.close()


def serve(server, host, port):
    while True:
        a, _ = server.accept()
        if time.monotonic() < cut_until:
            a.close()
            continue
        threading.Thread(target=connect, args=(a, host, port), daemon=True).start()


def main():
    global cut_until
    server = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
    threading.Thread(target=serve, args=(server, sys.argv[2], int(sys.argv[3])), daemon=True).start()
    print("ready", flush=True)
    for line in sys.stdin:
        order = line.strip()
        if order == "cut":
            cut_until = time.monotonic() + CUT_S
            with lock:
                open_now = list(connections)
                count("cut")
            for pair in open_now:
                close(pair)
        elif order == "counts":
            with lock:
                print(json.dumps(counts), flush=True)
        else:
            fault, way = order.split()
            with lock:
                orders[way].append(fault)


main()
