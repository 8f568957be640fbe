"""Keys, certificates, the handshake and sealed messages of PROTOCOL.md section 6, from its text alone, so that it judges
the C code instead of repeating it. Curves and ciphers are libsodium's, through ctypes; hashes are Python's."""
import ctypes
import ctypes.util
import hashlib
import os
import socket
import struct

from wire import GREETING_REP, GREETING_REQ, HANG_S, frame, read_exactly

ROLES = ["admin", "submit", "read", "worker", "server"]
HELLO = 344
sodium = ctypes.CDLL(ctypes.util.find_library("sodium") or "libsodium.so.23")
sodium.sodium_init()


def call(name, size, *arguments):
    """The first argument of the function, a buffer of this size, which it fills."""
    out = ctypes.create_string_buffer(size)
    if getattr(sodium, name)(out, *arguments) != 0:
        raise ValueError(name)
    return out.raw


def blake2b(data, key=b"", size=32):
    return hashlib.blake2b(data, key=key, digest_size=size).digest()


def label(text):
    return text.encode() + b"\0"


def public_of(seed):
    secret = ctypes.create_string_buffer(64)
    return call("crypto_sign_seed_keypair", 32, secret, seed)


def sign(seed, text, data):
    secret = ctypes.create_string_buffer(64)
    call("crypto_sign_seed_keypair", 32, secret, seed)
    digest = blake2b(label(text) + data, size=64)
    return call("crypto_sign_detached", 64, None, digest, ctypes.c_ulonglong(64), secret)


def point_of(secret):
    return call("crypto_scalarmult_base", 32, secret)


def cluster_id(public):
    return blake2b(label("steppe cluster 2"), key=public, size=16)[:8]


def certificate(cluster_seed, role, name, public, issued_ms, expires_ms, number=b"\7" * 8):
    body = struct.pack("<BB6x8sQQ64s32s8s", 1, ROLES.index(role), number, issued_ms, expires_ms, name.encode(), public,
                       cluster_id(public_of(cluster_seed)))
    return body + sign(cluster_seed, "steppe certificate 1", body)


class Key:
    def __init__(self, seed, cert, cluster):
        self.seed, self.cert, self.cluster = seed, cert, cluster

    @staticmethod
    def load(path):
        with open(path) as f:
            words = f.read().split()
        return Key(bytes.fromhex(words[4]), bytes.fromhex(words[2]), bytes.fromhex(words[3]))

    @staticmethod
    def make(cluster_path, role, name, issued_ms, expires_ms):
        seed, cluster = os.urandom(32), cluster_seed_of(cluster_path)
        return Key(seed, certificate(cluster, role, name, public_of(seed), issued_ms, expires_ms), public_of(cluster))

    def save(self, path):
        role, name = ROLES[self.cert[1]], self.cert[32:96].rstrip(b"\0").decode()
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            f.write("%s %s %s %s %s\n" % (role, name, self.cert.hex(), self.cluster.hex(), self.seed.hex()))
        return path


def cluster_seed_of(path):
    with open(path) as f:
        return bytes.fromhex(f.read().split()[1])


# --- the handshake ---

def ask(size=HELLO):
    return frame(b"", bytes(size), flags=4, sequence=1, json_bytes=0, attachment_bytes=size, gap=b"")


def hello(key, challenge, secret, ciphers=1):
    body = challenge + bytes([ciphers]) + bytes(7) + point_of(secret) + key.cert
    body += sign(key.seed, "steppe hello 2", body)
    return body + bytes(HELLO - len(body))


def of_step(body, step, flags=4):
    return frame(b"", body, flags=flags, sequence=step, json_bytes=0, attachment_bytes=len(body), gap=b"")


def session_keys(shared, said, answer):
    """(up, down, proof) from the shared secret, the hello and the welcome up to its mac."""
    root = blake2b(said + answer, key=shared)
    return [blake2b(label("steppe %s 2" % word), key=root) for word in ("up", "down", "proof")]


def welcome(key, said, secret, session=b"\x42" * 8):
    body = session + bytes(8) + point_of(secret) + key.cert
    body += sign(key.seed, "steppe welcome 2", said + body)
    shared = call("crypto_scalarmult", 32, secret, said[32:64])
    up, down, proof = session_keys(shared, said, body)
    return body + blake2b(label("steppe welcome 2") + body, key=proof), up, down


# --- sealed messages ---

AEAD = "crypto_aead_xchacha20poly1305_ietf_"


def seal(key, flags, session, sequence, number, message):
    head = frame(b"", b"", flags=flags, session=session, sequence=sequence, nonce=struct.pack("<Q16x", number), json_bytes=0,
                 attachment_bytes=len(message) + 16, gap=b"")
    return head + call(AEAD + "encrypt", len(message) + 16, None, message, ctypes.c_ulonglong(len(message)), head, ctypes.c_ulonglong(60),
                       None, head[36:60], key)


def unseal(key, body):
    return call(AEAD + "decrypt", len(body) - 76, None, None, body[60:], ctypes.c_ulonglong(len(body) - 60), body[:60],
                ctypes.c_ulonglong(60), body[36:60], key)


class Sealed:
    """A connection of a client with a key; say() sends what is given, and returns the answer's bytes."""

    def __init__(self, port, key):
        self.key, self.number, self.sent, self.session = key, 0, 0, None
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=HANG_S)
        self.socket.sendall(GREETING_REQ)
        read_exactly(self.socket, 8)

    def say(self, body):
        self.number += 1
        self.socket.sendall(struct.pack(">QI", 4 + len(body), 0x80000000 | self.number) + body)
        size, _ = struct.unpack(">QI", read_exactly(self.socket, 12))
        return read_exactly(self.socket, size - 4)

    def greet(self, change=None):
        """True: there is a session. Else the plain answer. change: of the hello, after it was signed."""
        challenge = self.say(ask())[60:]
        secret = os.urandom(32)
        said = hello(self.key, challenge, secret)
        if change:
            said = change(said)
        answer = self.say(of_step(said, 2))
        if answer[:1] == b"{":
            return answer.decode()
        answer = answer[60:]
        shared = call("crypto_scalarmult", 32, secret, answer[16:48])
        self.up, self.down, proof = session_keys(shared, said, answer[:312])
        assert answer[312:] == blake2b(label("steppe welcome 2") + answer[:312], key=proof)
        self.session, self.sent = struct.unpack("<Q", answer[:8])[0], 0
        return True

    def ask(self, text):
        """The answer to a sealed message; plain ones as they are."""
        self.sent += 1
        answer = self.say(seal(self.up, 1, self.session, self.sent, self.sent, text.encode()))
        return (answer if answer[:1] == b"{" else unseal(self.down, answer)).decode()


class Impostor:
    """Plays a server with whatever key it has, to one client. said: what came after the welcome, b"" when it left."""

    def __init__(self, key):
        self.key, self.server = key, socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]

    def play(self):
        connection, _ = self.server.accept()
        connection.settimeout(HANG_S)
        connection.sendall(GREETING_REP)
        read_exactly(connection, 8)
        for step in (1, 2):
            size, number = struct.unpack(">QI", read_exactly(connection, 12))
            said = read_exactly(connection, size - 4)[60:]
            body = bytes(24) if step == 1 else welcome(self.key, said, os.urandom(32))[0]
            body = of_step(body, step, flags=6)
            connection.sendall(struct.pack(">QI", 4 + len(body), number) + body)
        try:
            return connection.recv(1 << 16)
        finally:
            connection.close()
