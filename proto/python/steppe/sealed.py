"""Sealed messages (PROTOCOL.md section 6): a key file, the handshake that begins a session, and its messages. The
cryptography is libsodium's, through PyNaCl."""
import hashlib
import hmac
import os
import secrets
import stat
import struct
import time
from typing import Any, Callable, List, NamedTuple

from .errors import KeyFileError, ProtocolError
from .wire import HEADER, MAGIC, SEALED_MORE

try:
    from nacl import bindings as sodium
    from nacl.exceptions import CryptoError
except ImportError:  # told by load()
    sodium = None

ROLES = ("admin", "submit", "read", "worker", "server", "trainer")
CERT_BYTES, HELLO_BYTES, WELCOME_BYTES, CHALLENGE_BYTES = 200, 344, 344, 24
SEALED, REPLY, HELLO = 1, 2, 4  # flags of a frame
XCHACHA = 0                     # the cipher that every libsodium has
SIGNED_AT = CERT_BYTES - 64     # a certificate's signature covers what is before
DAY_MS = 86400000
PLAIN_CODES = ("no_session", "wrong_key", "key_needed", "limit")  # may be believed without a seal


def now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1000000


def digest(label: str, *data: bytes) -> bytes:
    """What is signed: BLAKE2b-512 over the label, its closing 0, and the data."""
    return hashlib.blake2b(label.encode() + b"\0" + b"".join(data)).digest()


def keyed(key: bytes, *data: bytes) -> bytes:
    """H(k, m): BLAKE2b with a key and 32 bytes of output."""
    return hashlib.blake2b(b"".join(data), key=key, digest_size=32).digest()


def sign(seed: bytes, label: str, *data: bytes) -> bytes:
    """Ed25519 by the pair of this seed."""
    secret = sodium.crypto_sign_seed_keypair(seed)[1]
    return sodium.crypto_sign(digest(label, *data), secret)[:64]


def proves(public: bytes, signature: bytes, label: str, *data: bytes) -> bool:
    """Is the signature that of the pair with this public key?"""
    try:
        sodium.crypto_sign_open(signature + digest(label, *data), public)
        return True
    except CryptoError:
        return False


def cluster_id(trusted: bytes) -> bytes:
    """What a cluster is called, from the public half of its key."""
    return hashlib.blake2b(b"steppe cluster 2\0", key=trusted, digest_size=16).digest()[:8]


class Certificate(NamedTuple):
    """What a cluster key says of the holder of a pair; times in unix ms, it holds in [issued, expires)."""
    role: str
    name: str
    issued: int
    expires: int
    public: bytes
    cluster: bytes

    @classmethod
    def read(cls, data: bytes, trusted: bytes) -> "Certificate":
        """Reads one that the cluster has signed; ValueError: it is none."""
        version, role, zero, _, issued, expires, name, public, cluster = struct.unpack("<BB6sQQQ64s32s8s", data[:SIGNED_AT])
        if (len(data) != CERT_BYTES or version != 1 or role >= len(ROLES) or any(zero) or cluster != cluster_id(trusted)
                or not proves(trusted, data[SIGNED_AT:], "steppe certificate 1", data[:SIGNED_AT])):
            raise ValueError("not a certificate of this cluster")
        return cls(ROLES[role], name.rstrip(b"\0").decode("ascii"), issued, expires, public, cluster)


class Key(NamedTuple):
    """What a client needs of a key file."""
    certificate: bytes
    seed: bytes
    trusted: bytes


def session_key(cluster_seed: bytes) -> Key:
    """Of whoever has the cluster key itself: an admin's, signed for this session."""
    trusted = sodium.crypto_sign_seed_keypair(cluster_seed)[0]
    seed = secrets.token_bytes(32)
    issued = now_ms() - DAY_MS
    body = struct.pack("<BB6sQQQ64s32s8s", 1, 0, bytes(6), secrets.randbits(64), issued, issued + 3 * DAY_MS, b"cluster-key",
                       sodium.crypto_sign_seed_keypair(seed)[0], cluster_id(trusted))
    return Key(body + sign(cluster_seed, "steppe certificate 1", body), seed, trusted)


def read_line(words: List[str]) -> Key:
    """A line of a key file; ValueError: it is no key."""
    if len(words) == 2 and words[0] == "cluster-ed25519" and len(words[1]) == 64:
        return session_key(bytes.fromhex(words[1]))
    if len(words) != 5 or words[0] not in ROLES:
        raise ValueError("not a key")
    key = Key(*(bytes.fromhex(words[i]) for i in (2, 4, 3)))
    if len(key.certificate) != CERT_BYTES or len(key.seed) != 32 or len(key.trusted) != 32:
        raise ValueError("not a key")
    holder = Certificate.read(key.certificate, key.trusted)
    if (holder.role, holder.name) != (words[0], words[1]) or holder.public != sodium.crypto_sign_seed_keypair(key.seed)[0]:
        raise ValueError("not a key")
    return key


def load(path: str) -> Key:
    """The last key of a key file, which nobody but its owner may read or write."""
    if sodium is None:
        raise KeyFileError("a key needs PyNaCl: pip install steppe[sealed], or Debian's python3-nacl")
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            mode = os.fstat(fd).st_mode
            text = file.read(32768) if stat.S_ISREG(mode) else b""
    except OSError as error:
        raise KeyFileError("cannot read the key file %s: %s" % (path, error.strerror)) from None
    if not stat.S_ISREG(mode):
        raise KeyFileError("%s is not a regular file, so it cannot be a key file" % path)
    if mode & 0o77:
        raise KeyFileError("others may read or change the key file %s (mode %04o): chmod 600 it" % (path, mode & 0o7777))
    key = None
    for number, line in enumerate(text.decode("ascii", "replace").split("\n"), 1):
        words = line.split()
        if words and not words[0].startswith("#"):
            try:
                key = read_line(words)
            except ValueError:
                raise KeyFileError("%s: line %d is not a key; `steppe key` writes them" % (path, number)) from None
    if key is None:
        raise KeyFileError("%s holds no key; ask for one that `steppe key issue` has made" % path)
    return key


def header(flags: int, session: int, sequence: int, number: int, rest: int) -> bytes:
    """Of a frame with `rest` bytes behind it."""
    return HEADER.pack(MAGIC, HEADER.size, flags, session, 0, rest, sequence, struct.pack("<Q", number) + bytes(16))


class Session:
    """A session over a connection's exchange(bytes) -> bytes; begun by making it."""

    def __init__(self, key: Key, exchange: Callable[[bytes], Any]) -> None:
        self.sent = self.received = 0
        challenge = self._step(exchange, 1, bytes(HELLO_BYTES), CHALLENGE_BYTES)
        secret = secrets.token_bytes(32)
        hello = challenge + bytes([1 << XCHACHA]) + bytes(7) + sodium.crypto_scalarmult_base(secret) + key.certificate
        hello += sign(key.seed, "steppe hello 2", hello)
        hello += bytes(HELLO_BYTES - len(hello))
        welcome = self._step(exchange, 2, hello, WELCOME_BYTES)
        self._judge(key, hello, welcome)
        self.number, cipher = struct.unpack_from("<QB", welcome)
        try:
            shared = sodium.crypto_scalarmult(secret, welcome[16:48])
        except CryptoError:
            raise KeyFileError("the server's welcome gives no secret") from None
        root = keyed(shared, hello, welcome[:312])
        proof = keyed(keyed(root, b"steppe proof 2\0"), b"steppe welcome 2\0", welcome[:312])
        if not hmac.compare_digest(proof, welcome[312:]) or not self.number or cipher != XCHACHA:
            raise KeyFileError("the server's welcome is not one of this session")
        self.up, self.down = keyed(root, b"steppe up 2\0"), keyed(root, b"steppe down 2\0")

    @staticmethod
    def _step(exchange: Callable[[bytes], Any], step: int, data: bytes, size: int) -> bytes:
        answer = bytes(exchange(header(HELLO, 0, step, 0, len(data)) + data))
        if answer[:1] == b"{":
            raise PlainAnswer(answer)
        if answer[:HEADER.size] != header(HELLO | REPLY, 0, step, 0, size) or len(answer) != HEADER.size + size:
            raise ProtocolError("the answer to step %d of the handshake is malformed" % step)
        return answer[HEADER.size:]

    @staticmethod
    def _judge(key: Key, hello: bytes, welcome: bytes) -> None:
        """Is it signed by a server of the cluster that the key trusts?"""
        try:
            holder = Certificate.read(welcome[48:248], key.trusted)
        except ValueError:
            raise KeyFileError("the answer does not come from a server of this key's cluster") from None
        if holder.role != "server":
            raise KeyFileError("the answer comes from the holder of the %s key of %s, who is no server" % (holder.role, holder.name))
        if not holder.issued <= now_ms() < holder.expires:
            raise KeyFileError("the server's key does not hold now; look at the clocks")
        if not proves(holder.public, welcome[248:312], "steppe welcome 2", hello, welcome[:248]):
            raise KeyFileError("the answer is not signed by the server that it names")

    def seal(self, message: bytes) -> bytes:
        """A request, sealed under the next number."""
        self.sent += 1
        head = header(SEALED, self.number, self.sent, self.sent, len(message) + SEALED_MORE - HEADER.size)
        return head + sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(message, head, head[36:], self.up)

    def open(self, frame: Any) -> bytes:
        """The message in the sealed reply to the last request. What is not that is refused."""
        frame = bytes(frame)
        if frame[:1] == b"{":
            raise PlainAnswer(frame)
        if len(frame) < HEADER.size + 16:
            raise ProtocolError("a sealed reply is cut short")
        number = struct.unpack_from("<Q", frame, 36)[0]
        if (frame[:HEADER.size] != header(SEALED | REPLY, self.number, self.sent, number, len(frame) - HEADER.size)
                or number <= self.received):
            raise ProtocolError("a sealed reply is not one to this request")
        try:
            message = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(frame[HEADER.size:], frame[:HEADER.size], frame[36:60], self.down)
        except CryptoError:
            raise ProtocolError("a reply was not sealed in this session, or it was changed") from None
        self.received = number
        return message


class PlainAnswer(Exception):
    """A plain answer where a sealed one belongs; its bytes are the argument. Only the codes of PLAIN_CODES may be believed."""

