"""Messages and their way over a socket, byte by byte as PROTOCOL.md sections 1.1 and 2 have it. Standard library only."""
import json
import math
import socket
import struct
import sys
import time
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from .errors import ProtocolError, Unreachable

if sys.byteorder != "little":
    raise ImportError("steppe sends numbers as they lie in memory, little-endian, and this machine has them the other way round")

MESSAGE_MAX = 8912896  # bytes of a message that is not sealed
SEALED_MORE = 76       # a sealed one has so many more
JSON_REQUEST_MAX = 65536
JSON_REPLY_MAX = 4 << 20
TENSORS_MAX, DIMS_MAX, NAME_MAX, DEPTH_MAX = 16, 6, 63, 16
HEADER = struct.Struct("<4sHHQIQQ24s")
MAGIC = b"\xf5SP\x01"
GREETING_REQ = b"\0SP\0\0\x30\0\0"
GREETING_REP = b"\0SP\0\0\x31\0\0"
# Name of a dtype -> its format in struct, array and memoryview.
FORMATS = {"U8": "B", "U16": "H", "I32": "i", "U32": "I", "I64": "q", "U64": "Q", "F32": "f", "F64": "d"}


class Tensor(NamedTuple):
    """dtype: "F64"; data: its numbers, little-endian, row-major; shape: None is one dimension."""
    dtype: str
    data: Any
    shape: Optional[Sequence[int]] = None

    def sides(self) -> List[int]:
        """Its shape."""
        return [memoryview(self.data).nbytes // struct.calcsize(FORMATS[self.dtype])] if self.shape is None else list(self.shape)


class Reply(NamedTuple):
    """fields: the JSON object; tensors: by name, memoryviews of numbers in one dimension (their shape is in shapes)."""
    fields: Dict[str, Any]
    tensors: Dict[str, memoryview]
    shapes: Dict[str, List[int]]


def gap(json_bytes: int) -> int:
    """Zero bytes between the JSON and the attachment."""
    return (12 - (HEADER.size + json_bytes)) % 16


def unsayable(value: Any, place: str) -> Optional[str]:
    """Where in value something is that JSON does not have, and what it is; None: nowhere."""
    if isinstance(value, Mapping):
        children = [(child, "%s.%s" % (place, key) if place else str(key)) for key, child in value.items()]
    elif isinstance(value, (list, tuple)):
        children = [(child, "%s[%d]" % (place, i)) for i, child in enumerate(value)]
    else:
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            return "%s is %r" % (place, value)
        return None
    found = (unsayable(child, where) for child, where in children)
    return next((one for one in found if one), None)


def json_text(fields: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(fields, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        where = unsayable(fields, "")
        raise ValueError("%s; JSON has no such value" % where if where else str(error)) from None


def encode(fields: Mapping[str, Any], tensors: Optional[Mapping[str, Tensor]] = None) -> bytes:
    """The bytes of a request: plain JSON without tensors, else a frame."""
    if not tensors:
        text = json_text(fields)
        return bounded(text, text)
    rows, pieces, offset = [], [], 0
    for name, tensor in tensors.items():
        data = memoryview(tensor.data).cast("B")
        pad = -offset % 64
        offset += pad
        rows.append({"name": name, "dtype": tensor.dtype, "shape": tensor.sides(), "offset": offset})
        pieces += [bytes(pad), data]
        offset += data.nbytes
    text = json_text({**fields, "tensors": rows})
    header = HEADER.pack(MAGIC, HEADER.size, 0, 0, len(text), offset, 0, bytes(24))
    return bounded(text, b"".join([header, text, bytes(gap(len(text))), *pieces]))


def bounded(text: bytes, body: bytes) -> bytes:
    """The body, when it may be sent."""
    if len(text) > JSON_REQUEST_MAX or len(body) > MESSAGE_MAX:
        raise ProtocolError("a request has %d bytes, %d of them JSON; %d and %d are the most" % (
            len(body), len(text), MESSAGE_MAX, JSON_REQUEST_MAX))
    return body


def once(pairs: Iterable[Tuple[str, Any]]) -> Dict[str, Any]:
    """An object, none of whose keys is there twice."""
    pairs = list(pairs)
    whole = dict(pairs)
    if len(whole) != len(pairs):
        raise ProtocolError("a reply has a key twice")
    return whole


def no_number(word: str) -> float:
    raise ProtocolError("a reply holds %s, which is no number of JSON" % word)


def finite(word: str) -> float:
    """A number with a point or an exponent."""
    return float(word) if math.isfinite(float(word)) else no_number(word)


def depth(value: Any) -> int:
    """How deep objects and arrays are nested."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


def parse(text: bytes) -> Dict[str, Any]:
    """The JSON object of a reply."""
    if len(text) > JSON_REPLY_MAX:
        raise ProtocolError("a reply has %d bytes of JSON; %d are the most" % (len(text), JSON_REPLY_MAX))
    try:
        message = json.loads(text.decode(), object_pairs_hook=once, parse_constant=no_number, parse_float=finite)
        levels = depth(message)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("a reply is not JSON: %s" % error) from None
    if not isinstance(message, dict) or levels > DEPTH_MAX:
        raise ProtocolError("a reply is not a JSON object of at most %d levels" % DEPTH_MAX)
    return message


def decode(body: Any) -> Reply:
    """Reads a reply; every length in it is checked before it is used."""
    body = memoryview(body)
    if body[:1] == b"{":
        return Reply(parse(bytes(body)), {}, {})
    if len(body) < HEADER.size:
        raise ProtocolError("a reply of %d bytes is neither JSON nor a frame" % len(body))
    magic, header, flags, session, json_bytes, attached, sequence, nonce = HEADER.unpack_from(body)
    if magic != MAGIC or header != HEADER.size or flags or session or sequence or any(nonce):
        raise ProtocolError("a reply is not a frame of this version")
    start = HEADER.size + json_bytes + gap(json_bytes)
    if json_bytes > JSON_REPLY_MAX or start + attached != len(body):
        raise ProtocolError("a reply of %d bytes says that it has %d of JSON and %d attached" % (len(body), json_bytes, attached))
    if any(body[HEADER.size + json_bytes:start]):
        raise ProtocolError("a reply has bytes other than 0 before what is attached")
    fields = parse(bytes(body[HEADER.size:HEADER.size + json_bytes]))
    rows = fields.pop("tensors", None)
    if not isinstance(rows, list) or len(rows) > TENSORS_MAX:
        raise ProtocolError("a frame lists its tensors, at most %d of them" % TENSORS_MAX)
    tensors: Dict[str, memoryview] = {}
    shapes: Dict[str, List[int]] = {}
    end = 0
    for row in rows:
        name, data, end = read_tensor(row, body[start:], end)
        if name in tensors:
            raise ProtocolError("a reply has the tensor %s twice" % name)
        tensors[name], shapes[name] = data, list(row["shape"])
    return Reply(fields, tensors, shapes)


def whole(value: Any) -> bool:
    """Is it a whole number of at least 0, and of 8 bytes?"""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


def read_tensor(row: Any, attachment: memoryview, end: int) -> Tuple[str, memoryview, int]:
    """(name, numbers, where it ends) of a tensor that begins at `end` or behind it."""
    if not isinstance(row, dict) or set(row) != {"name", "dtype", "shape", "offset"}:
        raise ProtocolError("a tensor of a reply has other keys than name, dtype, shape and offset")
    name, dtype, shape, offset = row["name"], row["dtype"], row["shape"], row["offset"]
    if not isinstance(name, str) or not 1 <= len(name.encode(errors="replace")) <= NAME_MAX or not isinstance(dtype, str) or dtype not in FORMATS:
        raise ProtocolError("a reply has a tensor of a name or dtype that is not allowed: %.80r, %.20r" % (name, dtype))
    if not isinstance(shape, list) or len(shape) > DIMS_MAX or not all(map(whole, shape)) or not whole(offset):
        raise ProtocolError("the tensor %s of a reply has the shape %.80r at %.20r" % (name, shape, offset))
    size = struct.calcsize(FORMATS[dtype]) * math.prod(shape)
    if offset % 64 or offset < end or offset + size > len(attachment):
        raise ProtocolError("the tensor %s of a reply lies at %d with %d bytes, of %d" % (name, offset, size, len(attachment)))
    return name, attachment[offset:offset + size].cast(FORMATS[dtype]), offset + size


def address(url: str) -> Tuple[str, Any]:
    """("tcp", (host, port)) or ("ipc", path)."""
    scheme, mark, place = url.partition("://")
    if mark and scheme == "ipc" and 0 < len(place.encode()) <= 107:
        return "ipc", place
    host, colon, port = place.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if mark and scheme == "tcp" and host and colon and port.isascii() and port.isdigit() and 0 < int(port) < 65536:
        return "tcp", (host, int(port))
    raise ValueError("%r is no address of a server; tcp://HOST:PORT and ipc://PATH are" % url)


class Connection:
    """One socket to a server with one request under way at a time."""

    def __init__(self, url: str, timeout: Optional[float]) -> None:
        """timeout: seconds for each piece to come or go; None: for ever."""
        kind, place = address(url)
        self.url = url
        self.count = 0
        self.mark = b"\1" if kind == "ipc" else b""  # stands before each message
        self.until = None if timeout is None else time.monotonic() + timeout
        self.socket = socket.socket(socket.AF_UNIX) if kind == "ipc" else None
        try:
            if kind == "ipc":
                self.socket.settimeout(timeout)
                self.socket.connect(place)
            else:
                self.socket = socket.create_connection(place, timeout)
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self.socket.sendall(GREETING_REQ)
            if bytes(self._read(8)) != GREETING_REP:
                raise ProtocolError("what answers at %s is no Steppe server" % url)
        except ProtocolError:
            self.close()
            raise
        except OSError as error:
            self.close()
            raise Unreachable("the server at %s cannot be reached: %s" % (url, error)) from None

    def close(self) -> None:
        """Ends it."""
        if self.socket is not None:
            self.socket.close()

    def abort(self) -> None:
        """Ends what another thread does on it."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _read(self, size: int) -> bytearray:
        data = bytearray(size)
        at, view = 0, memoryview(data)
        while at < size:
            if self.until is not None:
                left = self.until - time.monotonic()
                if left <= 0:
                    raise socket.timeout("no answer in time")
                self.socket.settimeout(left)
            count = self.socket.recv_into(view[at:], min(size - at, 1 << 20))
            if not count:
                raise ConnectionResetError("the server ended the connection")
            at += count
        return data

    def exchange(self, body: bytes, timeout: Optional[float]) -> bytearray:
        """Sends a message; the reply to it. Replies to what was asked before are passed over."""
        self.count = self.count % 0x7fffffff + 1
        self.until = None if timeout is None else time.monotonic() + timeout
        request = struct.pack(">I", 0x80000000 | self.count)
        try:
            self.socket.settimeout(timeout)
            self.socket.sendall(b"".join((self.mark, struct.pack(">Q", len(body) + 4), request, body)))
            while True:
                if bytes(self._read(len(self.mark))) != self.mark:
                    raise ProtocolError("%s does not send messages as ipc has them" % self.url)
                size = struct.unpack(">Q", self._read(8))[0]
                if not 4 <= size <= MESSAGE_MAX + SEALED_MORE + 4:
                    raise ProtocolError("%s announces a message of %d bytes; %d are the most" % (self.url, size, MESSAGE_MAX))
                number = bytes(self._read(4))
                reply = self._read(size - 4)
                if number == request:
                    return reply
        except OSError as error:
            raise Unreachable("the connection to %s is lost: %s" % (self.url, error)) from None
