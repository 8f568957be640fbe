"""What is asked of a server by whoever asks for too much; for the tests of this folder and for tests/bench/hostile.py."""
import socket
import struct
import threading
import time

from wire import GREETING_REQ, HANG_S, frame, read_exactly

# Each call of LIKE takes a second; SQLite looks at the clock once in a thousand steps of its machine.
HEAVY = ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(printf('%.*c', 900000, 'a') || i LIKE"
         " '%' || printf('%.*c', 900, 'a') || 'b') FROM n")
HANDSHAKE = frame(b"", bytes(344), flags=4, sequence=1)  # step 1 of one
BURST = 50  # requests that are sent in one call


def stranger(port):
    """A connection that has been greeted, and proved no key."""
    connection = socket.create_connection(("127.0.0.1", port), HANG_S)
    connection.sendall(GREETING_REQ)
    read_exactly(connection, 8)
    return connection


class Flood:
    """Sends the same request on one connection as quickly as it is taken, and counts the answers. rate: at most so many a second;
    count: so many in all."""

    def __init__(self, connection, body, mark=b"", rate=None, count=None):
        self.socket, self.mark, self.body, self.rate, self.count = connection, mark, body, rate, count
        self.sent = self.answered = 0
        self.ended = False
        self.threads = [threading.Thread(target=f, daemon=True) for f in (self.send, self.hear)]
        for thread in self.threads:
            thread.start()

    def send(self):
        start = time.monotonic()
        try:
            while not self.ended and (self.count is None or self.sent < self.count):
                if self.rate and self.sent > self.rate * (time.monotonic() - start):
                    time.sleep(0.005)  # between two looks at the clock
                    continue
                self.socket.sendall(b"".join(self.mark + struct.pack(">QI", len(self.body) + 4, 0x80000000 | i) + self.body
                                             for i in range(self.sent, self.sent + BURST)))
                self.sent += BURST
        except OSError:
            pass

    def hear(self):
        try:
            while True:
                read_exactly(self.socket, len(self.mark))
                read_exactly(self.socket, struct.unpack(">Q", read_exactly(self.socket, 8))[0])
                self.answered += 1
        except (OSError, EOFError):
            pass

    def close(self):
        self.ended = True
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()
        for thread in self.threads:
            thread.join(HANG_S)
