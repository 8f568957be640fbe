"""Reports on their way to the server: a thread sends them, and they are kept until their epoch is closed, because a server
that is restarted has only what it has committed."""
import logging
import os
import struct
import tempfile
import threading
from array import array
from collections import deque
from math import isfinite
from typing import Any, Callable, Deque, Dict, Iterator, List, Optional, Tuple

from .errors import Gone, Paused, SteppeError, Unreachable
from .scores import CLASSES, Scores
from .wire import Reply, Tensor

log = logging.getLogger("steppe")

ROWS_MAX = 1 << 17  # samples of a message
BYTES_MAX = 8 << 20  # of them and their values
PAUSED_S = 2.0      # between two questions whether a paused job goes on
SPLITS = ("train", "test")
RECORD = struct.Struct("<IBBIH")  # epoch, split, a bit for each field of Scores, samples, classes; then ids and the fields
NAMES = Scores._fields
KINDS = {name: ("F32", "f", 4) if name == "probabilities" else ("I32", "i", 4) if name in CLASSES else ("F64", "d", 8) for name in NAMES}


def plain(values: Any) -> Any:
    """A sequence of Python numbers from a tensor, an array or a sequence, of one dimension."""
    if hasattr(values, "detach"):
        values = values.detach()
    if getattr(values, "ndim", 1) != 1:
        raise ValueError("ids and scores have one dimension, a value for each sample, not %d%s" %
                         (values.ndim, "" if values.ndim else "; losses come with reduction=\"none\""))
    return values.tolist() if hasattr(values, "tolist") else values


def rows_of(values: Any) -> Tuple[Any, int]:
    """The numbers of two dimensions, row by row, and how long a row is."""
    if hasattr(values, "detach"):
        values = values.detach()
    if getattr(values, "ndim", 2) != 2:
        raise ValueError("probabilities have two dimensions, samples and classes, not %d" % values.ndim)
    if hasattr(values, "reshape"):
        return values.reshape(-1).tolist(), values.shape[1]
    widths = {len(row) for row in values}
    if len(widths) > 1:
        raise ValueError("rows of probabilities have %d classes and %d" % (min(widths), max(widths)))
    return [value for row in values for value in row], max(widths, default=0)


def column(name: str, code: str, values: Any) -> Tuple[array, int]:
    """The numbers of one field, and how many a sample has."""
    try:
        flat, width = rows_of(values) if name == "probabilities" else (plain(values), 1)
        return array(code, flat), width
    except (TypeError, OverflowError) as error:
        raise ValueError("%s: %s" % (name, error)) from None


def judge(name: str, values: array, width: int, ids: array) -> None:
    """A score for each sample, and none that is not finite; NaN spreads through a sum, which is faster than a look at each."""
    if len(values) != len(ids) * width or not width:
        raise ValueError("there are %d ids and %d values of %s" % (len(ids), len(values) // max(width, 1), name))
    if name in CLASSES or isfinite(sum(values)):
        return
    for i, value in enumerate(values):
        if not isfinite(value):
            raise ValueError("%s of sample %d is %r; nothing of this report was sent" % (name, ids[i // width], value))


def pack(epoch: int, split: str, ids: Any, scores: Scores, samples: int) -> List[bytes]:
    """Records that fit a message each, ready to be kept and sent."""
    ids = column("ids", "I", ids)[0]
    if not ids:
        return []
    if split == "train" and max(ids) >= samples:
        raise ValueError("there is no sample %d; the dataset has %d" % (max(ids), samples))
    columns, mask, classes = [(ids, 1)], 0, 0
    for bit, name in enumerate(NAMES):
        values = getattr(scores, name)
        if values is not None:
            columns.append(column(name, KINDS[name][1], values))
            judge(name, *columns[-1], ids)
            mask |= 1 << bit
            if name == "probabilities":
                classes = columns[-1][1]
    if not mask:
        raise ValueError("a report has at least one of %s" % ", ".join(NAMES))
    most = min(ROWS_MAX, BYTES_MAX // row_bytes(mask, classes))
    if not most:
        raise ValueError("probabilities have %d classes, which do not fit a message" % classes)
    return [b"".join([RECORD.pack(epoch, SPLITS.index(split), mask, len(ids[i:i + most]), classes),
                      *(values[i * width:(i + most) * width].tobytes() for values, width in columns)]) for i in range(0, len(ids), most)]


def fields_of(mask: int, classes: int) -> List[Tuple[str, str, int]]:
    """(name, type, bytes of a sample) of what a record has, ids first."""
    given = [name for bit, name in enumerate(NAMES) if mask >> bit & 1]
    return [("ids", "U32", 4)] + [(name, KINDS[name][0], KINDS[name][2] * (classes if name == "probabilities" else 1)) for name in given]


def row_bytes(mask: int, classes: int) -> int:
    """Of a sample in a record."""
    return sum(size for _, _, size in fields_of(mask, classes))


def records(data: bytes) -> Iterator[Tuple[int, int]]:
    """(begin, end) of each record."""
    at = 0
    while at < len(data):
        _, _, mask, count, classes = RECORD.unpack_from(data, at)
        end = at + RECORD.size + count * row_bytes(mask, classes)
        if end > len(data):
            raise ValueError("the reports of a checkpoint are cut short")
        yield at, end
        at = end


def message(parts: List[memoryview]) -> Tuple[Dict[str, Any], Dict[str, Tensor]]:
    """One report of records that have the same head but for the count."""
    epoch, split, mask, _, classes = RECORD.unpack_from(parts[0])
    at, tensors = [RECORD.size] * len(parts), {}
    for name, dtype, size in fields_of(mask, classes):
        pieces = []
        for i, part in enumerate(parts):
            end = at[i] + size * RECORD.unpack_from(part)[3]
            pieces.append(part[at[i]:end])
            at[i] = end
        data = b"".join(pieces)
        tensors[name] = Tensor(dtype, data, [len(data) // size, classes] if name == "probabilities" else None)
    return {"epoch": epoch, "split": SPLITS[split]}, tensors


class Reports:
    """What this process has reported in the epoch that is open."""

    def __init__(self, ask: Callable[[Dict[str, Any], Dict[str, Tensor]], Reply], life: str, memory: int) -> None:
        """ask: sends an external.report and waits as long as it takes; life: of the server, as open said; memory: bytes of
        reports that wait at most. Those that are sent lie in memory up to as many bytes again, then in a temporary file."""
        self._ask, self._life, self._memory = ask, life, memory
        self._change = threading.Condition()
        self._queue: Deque[Tuple[int, Callable[[], List[bytes]]]] = deque()  # (bytes, what makes the records)
        self._waiting = 0                       # bytes in the queue
        self._log = tempfile.SpooledTemporaryFile(max_size=memory)  # pylint: disable=consider-using-with
        self._end = self._sent = 0              # of the log: its bytes, and those that the server has
        self._turn = 0                          # grows when what was sent counts no more: places in the log mean something else
        self._bad: Dict[int, int] = {}          # begin and end of records that the server has refused
        self._refused: List[Exception] = []     # to be raised at the next call, each once
        self._fatal: Optional[Exception] = None  # to be raised at every call
        self._paused = self._stopped = False
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._work, name="steppe-reports", daemon=True)
        self._thread.start()

    # --- for the loop ---

    def raise_errors(self) -> None:
        """What the thread has met."""
        if os.getpid() != self._pid:
            raise RuntimeError("this process was forked from the one that opened the run; only that one reports, not a worker of a loader")
        with self._change:
            if self._refused and not self._fatal:
                raise self._refused.pop(0)
            if self._fatal:
                raise self._fatal

    def put(self, size: int, make: Callable[[], List[bytes]]) -> None:
        """Queues what make() returns, about `size` bytes. Waits while the job is paused, and when too much waits already."""
        self.raise_errors()
        with self._change:
            if self._waiting > self._memory:
                log.warning("%d MiB of reports wait for the server: the loop waits too; nothing is dropped", self._waiting >> 20)
            while not self._fatal and (self._paused or self._waiting > self._memory):
                self._change.wait()
            self._queue.append((size, make))
            self._waiting += size
            self._change.notify_all()
        self.raise_errors()

    def flush(self) -> str:
        """Waits until the server has everything; the life of the server that has it."""
        with self._change:
            while not self._fatal and not self._refused and (self._queue or self._sent < self._end):
                self._change.wait()
        self.raise_errors()
        return self._life

    def saw(self, life: Optional[str]) -> None:
        """A reply was of this life of the server: if it is a new one, it lacks what the earlier one had."""
        with self._change:
            if life is not None and life != self._life:
                if self._end:
                    log.warning("the server was restarted: %d KiB of reports of the open epoch are sent again", self._end >> 10)
                self._life, self._sent = life, 0
                self._turn += 1
                self._change.notify_all()

    def everything(self) -> bytes:
        """All records of the open epoch, for a checkpoint. Raises what has ended the thread: some may be lost then."""
        with self._change:
            if self._fatal:
                raise self._fatal
            return self._read(0, self._end) + b"".join(b"".join(make()) for _, make in self._queue)

    def forget(self) -> None:
        """The epoch is closed: the server has it durably."""
        with self._change:
            self._log.seek(0)
            self._log.truncate()
            self._end = self._sent = 0
            self._turn += 1
            self._bad.clear()

    def stop(self) -> None:
        """Ends the thread; what waits is not sent."""
        with self._change:
            self._stopped = True
            self._fatal = self._fatal or RuntimeError("this run was left")
            self._change.notify_all()

    # --- the thread ---

    def _read(self, begin: int, end: int) -> bytes:
        self._log.seek(begin)
        return self._log.read(end - begin)

    def _take(self) -> None:
        """Moves what is queued into the log. The records are made without the lock: that may wait for an accelerator."""
        with self._change:
            items = list(self._queue)
        made: List[bytes] = []
        for _, make in items:
            try:
                made += make()
            except ValueError as error:
                self._refuse(error)
        with self._change:
            for size, _ in items:
                self._queue.popleft()
                self._waiting -= size
            self._log.seek(self._end)
            for record in made:
                self._log.write(record)
                self._end += len(record)
            self._change.notify_all()

    def _refuse(self, error: Exception) -> None:
        with self._change:
            self._refused.append(error)
            self._change.notify_all()

    def _next(self) -> Tuple[int, int, List[memoryview]]:
        """The turn, where the log goes on, and the records there that fit one message."""
        with self._change:
            turn, begin = self._turn, self._sent
            data = memoryview(self._read(begin, min(self._end, begin + RECORD.size + BYTES_MAX)))
        parts: List[memoryview] = []
        at = rows = 0
        head = None
        while at + RECORD.size <= len(data):
            epoch, split, mask, count, classes = RECORD.unpack_from(data, at)
            end = at + RECORD.size + count * row_bytes(mask, classes)
            if begin + at in self._bad:
                if not parts:
                    return turn, begin, [data[at:end]]
                break
            if end > len(data) or rows + count > ROWS_MAX or (parts and (epoch, split, mask, classes) != head):
                break
            head, rows = (epoch, split, mask, classes), rows + count
            parts.append(data[at:end])
            at = end
        return turn, begin, parts

    def _send(self, turn: int, begin: int, parts: List[memoryview]) -> None:
        """Sends records, together if the server takes them all, else one by one, so that a bad one harms no other."""
        size = sum(map(len, parts))
        if begin not in self._bad:
            try:
                reply = self._ask(*message(parts))
                self._pause(False)
                self.saw(reply.fields.get("life"))
            except SteppeError as error:
                if error.code != "bad_tensor":
                    raise
                self._pause(False)
                if len(parts) > 1:
                    for part in parts:
                        self._send(turn, begin, [part])
                        begin += len(part)
                    return
                with self._change:
                    if self._turn == turn:
                        self._bad[begin] = begin + size
                self._refuse(error)
        with self._change:
            if self._turn == turn and self._sent == begin:  # else a new server lacks what came before, or the epoch was closed
                self._sent = begin + size
            self._change.notify_all()

    def _pause(self, paused: bool) -> None:
        with self._change:
            self._paused = paused
            self._change.notify_all()

    def _work(self) -> None:
        while True:
            with self._change:
                while not self._stopped and not self._queue and self._sent == self._end:
                    self._change.wait()
                if self._stopped:
                    return
            try:
                self._take()
                self._send_all()
            except Paused as error:
                if not self._paused:
                    log.warning("%s; the loop waits", error)
                self._pause(True)
                with self._change:
                    self._change.wait_for(lambda: self._stopped, PAUSED_S)
            except Exception as error:  # pylint: disable=broad-except
                if not self._stopped:
                    self._end_with(error)
                return

    def _send_all(self) -> None:
        while self._sent < self._end and not self._stopped:
            self._send(*self._next())
            self._take()

    def _end_with(self, error: Exception) -> None:
        if not isinstance(error, (Gone, Unreachable)):
            log.error("reports are sent no more: %s", error)
        with self._change:
            self._fatal = error
            self._change.notify_all()
