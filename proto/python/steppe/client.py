"""A client of one server: it connects again when a connection is lost, asks again when the server is busy, and raises what
the server refuses."""
import json
import logging
import threading
import time
import uuid
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Tuple

from . import sealed, wire
from .errors import KeyFileError, ProtocolError, SteppeError, Unavailable, Unreachable, of_reply
from .wire import Reply, Tensor

log = logging.getLogger("steppe")

ANSWER_S = 60.0   # a request that gets no answer for so long is sent again on a new connection
SCAN_S = 1800.0   # of one of these, whose answer needs all scores of an epoch, or of all epochs
SCANS = frozenset("score." + word for word in (
    "top histogram heatmap planted classes domains confusion risers suspects compare map").split()) | {"job.schedule"}
PAUSE_MAX_S = 2.0  # between two tries
RETRY_MAX_S = 60.0  # likewise, as a server may wish it
SAY_AFTER_S = 5.0  # of silence


# Long lists: of each kind the key of its rows, the key of a request that says where a page begins, and the key of a row that
# says it for the page behind it, with what is added to that. Those of RANKED begin behind `first` rows.
EPOCHS = ("rows", "epochs_from", "epoch", 1)
LISTS: Dict[str, Tuple[str, str, str, int]] = {
    "job.list": ("jobs", "before", "job", 0), "job.show": ("epochs", "epochs_from", "epoch", 1),
    "job.log": ("events", "after", "event", 0), "job.flatness": EPOCHS, "job.metrics": EPOCHS, "score.trajectory": EPOCHS,
    "score.heatmap": EPOCHS, "audit.list": ("rows", "before", "number", 0), "verdict.list": ("rows", "after", "sample", 0)}
RANKED = frozenset("score." + word for word in "top classes domains risers suspects compare map".split())


def answer_s(kind: str) -> float:
    """How long an answer may take, in seconds."""
    return SCAN_S if kind in SCANS else ANSWER_S


def wished(retry_ms: Any) -> float:
    """Seconds until a server wants to be asked again."""
    known = isinstance(retry_ms, (int, float)) and not isinstance(retry_ms, bool)
    return min(max(retry_ms, 0), 1000 * RETRY_MAX_S) / 1000 if known else 0.0


class Client:
    """client = Client("tcp://host:7500", key="ada.key"); client.request("job.list").fields["jobs"]

    Every request of the protocol may be sent again, so a lost connection is nobody's business but the client's. Threads may
    share a client; their requests go one after the other."""

    def __init__(self, address: str, key: Optional[str] = None, stop: Optional[threading.Event] = None) -> None:
        """key: path of a key file, for a tcp address of a server that has keys. stop: when it is set, no request is tried
        again."""
        tcp = wire.address(address)[0] == "tcp"
        self.address = address
        self.sender = str(uuid.uuid4())
        self._key_path = key
        if key is not None:
            sealed.load(key)  # a bad one is refused before anything is sent
        self._sealed = key is not None and tcp
        self._lock = threading.RLock()
        self._stop = stop or threading.Event()
        self._connection: Optional[wire.Connection] = None
        self._session: Optional[sealed.Session] = None
        self._id = 0

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection; another request opens it again."""
        with self._lock:
            if self._connection:
                self._connection.close()
            self._connection = self._session = None

    def abort(self) -> None:
        """Ends what another thread waits for here."""
        self._stop.set()
        connection = self._connection
        if connection:
            connection.abort()

    def request(self, kind: str, fields: Optional[Mapping[str, Any]] = None, tensors: Optional[Mapping[str, Tensor]] = None,
                deadline: Optional[float] = 0.0) -> Reply:
        """Sends a request and returns the reply to it. kind: "job.list". deadline: seconds for all tries together; 0: 60, or
        1800 for a question to all scores of an epoch; None: it is tried until there is an answer. Raises a SteppeError with
        the server's sentence, or Unreachable."""
        if deadline == 0:
            deadline = answer_s(kind)
        return self.patient(lambda left: self._once(kind, fields or {}, tensors, left), deadline)

    def rows(self, kind: str, fields: Optional[Mapping[str, Any]] = None) -> Iterator[Dict[str, Any]]:
        """Every row of a long list, page by page: for job in client.rows("job.list"): ... It begins where the fields say,
        those by epoch with the first one; ranked lists ("score.top") with the first row."""
        if kind not in LISTS and kind not in RANKED:
            raise ValueError("%s is no list that comes in pages" % kind)
        ask = dict(fields or {})
        name, at, number, step = LISTS.get(kind, ("rows", "first", "", 0))
        if kind == "verdict.list" and ask.get("history"):
            number = "number"
        if at == "epochs_from":
            ask.setdefault(at, 0)
        while True:
            reply = self.request(kind, ask).fields
            yield from reply[name]
            if not reply["more"] or not reply[name]:
                return
            ask[at] = reply[name][-1][number] + step if number else ask.get(at, 0) + len(reply[name])

    def patient(self, attempt: Callable[[Optional[float]], Reply], deadline: Optional[float]) -> Reply:
        """Tries until it succeeds, is refused, or the deadline is over. Says so when that takes long."""
        began = time.monotonic()
        pause, said = 0.05, False
        while True:
            left = None if deadline is None else began + deadline - time.monotonic()
            try:
                reply = attempt(left)
                if said:
                    log.warning("the server at %s answers again", self.address)
                return reply
            except (Unreachable, Unavailable) as error:
                wait = max(pause, wished(error.reply.get("retry_ms")))
                spent = time.monotonic() - began
                if self._stop.is_set() or (deadline is not None and spent + wait >= deadline):
                    raise
                if not said and spent > SAY_AFTER_S:
                    log.warning("%s; it is tried again", error)
                    said = True
            self._stop.wait(wait)
            pause = min(pause * 2, PAUSE_MAX_S)

    def _once(self, kind: str, fields: Mapping[str, Any], tensors: Optional[Mapping[str, Tensor]], left: Optional[float]) -> Reply:
        """One try; a connection that fails is closed."""
        timeout = answer_s(kind) if left is None else max(0.05, min(answer_s(kind), left))
        with self._lock:
            self._id += 1
            number = self._id
            body = wire.encode({"type": kind, "v": 1, "id": number, "sender": self.sender, **fields}, tensors)
            try:
                reply = wire.decode(self._exchange(body, timeout))
            except sealed.PlainAnswer as answer:
                self.close()
                raise self._believed(answer.args[0]) from None
            except BaseException:
                self.close()  # whatever it was: what comes next on it would be the reply to this
                raise
        if reply.fields.get("type") == "error":
            if reply.fields.get("code") == "no_session":
                self.close()
            raise of_reply(reply.fields)
        if reply.fields.get("id") != number or reply.fields.get("type") != kind:
            self.close()
            raise ProtocolError("the answer to %s is one to another request" % kind)
        return reply

    def _exchange(self, body: bytes, timeout: float) -> Any:
        if self._connection is None:
            self._connection = wire.Connection(self.address, timeout)
        connection = self._connection
        if not self._sealed:
            return connection.exchange(body, timeout)
        if self._session is None:
            self._session = sealed.Session(sealed.load(self._key_path), lambda frame: connection.exchange(frame, timeout))
        return self._session.open(connection.exchange(self._session.seal(body), timeout))

    def _believed(self, body: bytes) -> SteppeError:
        """What a plain answer to a sealed message says: a stranger on the way may have sent it, so only refusals of a gate
        are taken."""
        try:
            fields: Dict[str, Any] = json.loads(body)
            code, sentence = fields.get("code"), str(fields.get("error"))
        except (ValueError, AttributeError):
            code, sentence = None, ""
        if code in ("no_session", "limit"):  # begin anew, perhaps later
            return Unavailable(sentence, code)
        if code == "wrong_key":
            return KeyFileError(sentence, code)
        if code in sealed.PLAIN_CODES:
            return SteppeError(sentence, code)
        return ProtocolError("%s answers a sealed message with a plain one" % self.address)
