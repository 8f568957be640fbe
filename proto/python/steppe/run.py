"""A run of a job of engine "external": the program's side of it."""
import hashlib
import logging
import math
import os
import socket
import sys
import threading
import time
import uuid
from array import array
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Union

from . import ranks
from .client import Client
from .errors import Paused, ProtocolError, SteppeError
from .reports import PAUSED_S, SPLITS, Reports, pack, records
from .scores import Scores
from .wire import Reply, Tensor, whole

log = logging.getLogger("steppe")

PIECE = 1 << 18     # positions of an order that are asked for at once
SAMPLES_MAX = 1 << 28  # of a dataset
CLOSE_WAIT_S = 1.0  # at most, between two questions whether all ranks have closed
OPEN_S = 60.0


class Order(NamedTuple):
    """Positions [first, first + len(ids)) of a rank's stream of an epoch. ids: U32 sample numbers, weights: F32, what each
    one's loss is multiplied with; total: positions of this rank; share: of the samples, how many are scheduled (0 to 1);
    stream_sha256: of the whole stream, of all ranks, in hex."""
    epoch: int
    first: int
    ids: array
    weights: array
    total: int
    share: float
    stream_sha256: str


class Closed(NamedTuple):
    """A closed epoch. missing: samples of its order of which nothing was reported; dropped: values that came late, twice or of
    another incarnation (both None where the server was restarted since and does not know it any more); next: the epoch that
    is open now, None when the job is done. Of a run without a server scores_sha256 is empty."""
    epoch: int
    missing: Optional[int]
    dropped: Optional[int]
    scores_sha256: str
    next: Optional[int]


class Run:
    """The open run of a job; steppe.open makes it. Every rank of the program has one of its own.

    rank, world          this process and how many there are
    job, incarnation     numbers of the job, and of this opening of it
    batch                samples of a step, of all ranks together
    local_batch          samples of a step of this rank: batch / world
    steps                of an epoch
    samples              of the dataset
    info                 all that the server said: dataset, dataset_sha256, classes, class_names, seed, epochs, ...
    """

    def __init__(self, info: Dict[str, Any], rank: int, world: int, client: Optional[Client] = None, sender: Optional[Client] = None,
                 memory: int = 64 << 20) -> None:
        """client and sender: for the loop and for the thread that reports; None: there is no server."""
        self.info = info
        self.rank, self.world = rank, world
        self.job: Optional[int] = info.get("job")
        self.incarnation: Optional[int] = info.get("incarnation")
        self.batch: int = info["batch"]
        self.steps: int = info["steps"]
        self.samples: int = info["samples"]
        check_split(self.batch, world)
        self.local_batch = self.batch // world
        self._epoch: Optional[int] = info["epoch"] if info["epoch"] < info["epochs"] else None
        self._client, self._sender = client, sender
        self._stop = sender._stop if sender else threading.Event()
        self._reports = Reports(self._send_report, info["life"], memory) if client else None

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: Any) -> None:
        self.leave()

    def leave(self) -> None:
        """Ends the thread and the connections; the job stays as it is. Reports of an epoch that is not closed are lost."""
        if self._reports:
            self._reports.stop()
            self._client.abort()
            self._sender.abort()

    @property
    def epoch(self) -> Optional[int]:
        """The epoch that is open, from 0; None when the job is done."""
        return self._epoch

    @property
    def has_server(self) -> bool:
        """False of steppe.open(None, ...)."""
        return self._client is not None

    def environment(self) -> Dict[str, str]:
        """For processes that a launcher starts: with these variables steppe.open joins this run."""
        return {ranks.JOB: str(self.job), ranks.INCARNATION: str(self.incarnation)}

    # --- the epochs ---

    def epochs(self) -> Iterator[int]:
        """The epochs from the open one to the last. One that the loop's body has not closed is closed behind it."""
        while self._epoch is not None:
            epoch = self._epoch
            yield epoch
            if self._epoch == epoch:
                self.close()

    def order(self, epoch: Optional[int] = None, first: int = 0, count: Optional[int] = None, rank: Optional[int] = None,
              world: Optional[int] = None) -> Order:
        """Positions [first, first + count) of the stream of a rank (this one's; rank=0, world=1: of all) in the open epoch.
        Of each batch a rank has batch / world consecutive positions."""
        rank, world = (self.rank, self.world) if rank is None or world is None else (rank, world)
        epoch = self._open_epoch(epoch)
        check_split(self.batch, world)
        total = self.steps * (self.batch // world)
        count = total - first if count is None else count
        if not 0 <= first <= total or not 0 <= count <= total - first:
            raise ValueError("positions %d to %d of an order of %d" % (first, first + count, total))
        if not self._client:
            return self._natural(epoch, first, count, rank, world)
        ids, weights, fields = array("I"), array("f"), {}
        while not fields or len(ids) < count:
            asked = min(PIECE, count - len(ids))
            reply = self._ask("external.order", {"epoch": epoch, "first": first + len(ids), "count": asked, "rank": rank, "world": world})
            fields = reply.fields
            judge_piece(reply, asked, self.samples, total)
            ids.frombytes(reply.tensors["ids"].cast("B"))
            weights.frombytes(reply.tensors["weights"].cast("B"))
        return Order(epoch, first, ids, weights, total, fields.get("share", 1.0), fields["stream_sha256"])

    def _natural(self, epoch: int, first: int, count: int, rank: int, world: int) -> Order:
        """Without a server: each sample in its place."""
        mine, total = self.batch // world, self.steps * self.batch
        ids = array("I", (i // mine * self.batch + rank * mine + i % mine for i in range(first, first + count)))
        digest = hashlib.sha256(array("I", range(total)).tobytes() + array("f", [1.0]).tobytes() * total)
        return Order(epoch, first, ids, array("f", [1.0]) * count, self.steps * mine, 1.0, digest.hexdigest())

    def _open_epoch(self, epoch: Optional[int]) -> int:
        self._raise_errors()
        if self._epoch is None:
            raise ValueError("the job is done: no epoch is open")
        if epoch is not None and epoch != self._epoch:
            raise ValueError("epoch %d is not open; epoch %d is" % (epoch, self._epoch))
        return self._epoch

    # --- the scores ---

    def report(self, ids: Any, scores: Any = None, *, split: str = "train", **named: Any) -> None:
        """Reports scores of n samples of the open epoch and returns at once; a thread sends them.

        ids: [n] sample numbers. scores: Scores, or a loss for each ([n], nats); or by name: report(ids, loss=..., margin=...).
        Tensors on an accelerator are copied there now and fetched by the thread. split: "test" for test pictures. The first
        value of a sample and measure in an epoch counts. Raises what the server said to an earlier report."""
        if split not in SPLITS:
            raise ValueError("split is %r; it is one of %s" % (split, ", ".join(SPLITS)))
        if scores is not None and named:
            raise ValueError("scores are given, and %s by name too; give all of them in one way" % ", ".join(named))
        scores = Scores.of(named if scores is None else scores)
        epoch = self._open_epoch(None)
        if not self._reports:
            return
        parts = (ids, *scores)
        if any(getattr(getattr(part, "device", None), "type", "cpu") != "cpu" for part in parts):
            ids, *rest = (part.detach().clone() if hasattr(part, "detach") else part for part in parts)
            scores = Scores(*rest)
            wide = scores.probabilities
            size = 60 * len(ids) + (4 * len(wide) * len(wide[0]) if wide is not None and len(wide) else 0)
            self._reports.put(size, lambda: pack(epoch, split, ids, scores, self.samples))
            return
        made = pack(epoch, split, ids, scores, self.samples)
        self._reports.put(sum(map(len, made)), lambda: made)

    def sweep(self, model: Any, loader: Any, **how: Any) -> None:
        """Scores every sample of the dataset at the model as it is, and reports that. The ranks split the samples among them;
        the batch size, workers and collate_fn are those of the loader, whose dataset is a steppe.torch.Indexed. how: as of
        steppe.torch.score, whose probabilities it reports where the job keeps them (score.probabilities). For epochs whose
        training steps report nothing, since the first value of a sample counts."""
        if self._reports:
            from .torch.sweep import sweep  # needs torch
            sweep(self, model, loader, **how)

    def close(self, **metrics: Any) -> Closed:
        """Closes the open epoch, on every rank: waits until the server has all reports of all ranks durably. metrics: numbers
        of the epoch by name; train_loss, train_accuracy, test_loss and test_accuracy are those of the job's table, others
        stand beside it. Where ranks give the same name the lowest rank counts."""
        epoch = self._open_epoch(None)
        numbers = {name: float(value) for name, value in metrics.items()}
        for name, value in numbers.items():
            if not math.isfinite(value):
                raise ValueError("%s is %r; a metric is a finite number" % (name, value))
        closed = self._close(epoch, numbers) if self._reports else Closed(epoch, 0, 0, "", epoch + 1)
        self._epoch = closed.next if closed.next is not None and closed.next < self.info["epochs"] else None
        return closed._replace(next=self._epoch)

    def _close(self, epoch: int, metrics: Dict[str, float]) -> Closed:
        wait, said = 0.02, False
        while True:
            fields = {"epoch": epoch, "rank": self.rank, "world": self.world, "life": self._reports.flush()}
            if metrics:
                fields["metrics"] = metrics
            reply = self._ask("external.close", fields).fields
            if reply.get("closed") is True:
                if reply.get("next", epoch + 1) not in (epoch + 1, None) or not isinstance(reply.get("scores_sha256"), str):
                    raise ProtocolError("the server says that epoch %d is closed, but not what comes next" % epoch)
                self._reports.forget()
                return Closed(epoch, reply.get("missing"), reply.get("dropped"), reply["scores_sha256"], reply.get("next"))
            if not said and wait >= CLOSE_WAIT_S:
                log.info("epoch %d waits for ranks %s to close it", epoch, ", ".join(map(str, reply.get("waiting", []))))
                said = True
            self._stop.wait(wait)
            wait = min(2 * wait, CLOSE_WAIT_S)

    # --- checkpoints ---

    def state_dict(self, gather: Optional[Callable[[Any], List[Any]]] = None) -> Dict[str, Any]:
        """What a checkpoint of the program needs to go on here: the job, the open epoch, and what all ranks have reported in
        it so far. Every rank calls it; each gets the same. steppe.open(..., state=...) takes it. gather: a function that
        returns the list of all ranks' arguments, where torch.distributed is not initialised."""
        mine = self._reports.everything() if self._reports else b""
        every = gather(mine) if gather else ranks.gather(self.world, mine)
        return {"job": self.job, "epoch": self.info["epochs"] if self._epoch is None else self._epoch, "reports": list(every)}

    def _take_back(self, reports: List[bytes]) -> None:
        """Reports again what a checkpoint has of the open epoch."""
        for data in reports if self._reports else []:
            made = [data[begin:end] for begin, end in records(data)]
            self._reports.put(len(data), lambda made=made: made)

    # --- the server ---

    def _raise_errors(self) -> None:
        if self._reports:
            self._reports.raise_errors()

    def _mine(self, fields: Mapping[str, Any]) -> Dict[str, Any]:
        return {"job": self.job, "incarnation": self.incarnation, **fields}

    def _send_report(self, fields: Dict[str, Any], tensors: Dict[str, Tensor]) -> Reply:
        return self._sender.request("external.report", self._mine(fields), tensors, deadline=None)

    def _ask(self, kind: str, fields: Mapping[str, Any]) -> Reply:
        """Of the loop: waits for a server that is lost and while the job is paused."""
        reply = patient(lambda: self._client.request(kind, self._mine(fields), deadline=None), self._stop)
        self._reports.saw(reply.fields.get("life"))
        return reply


def judge_piece(reply: Reply, count: int, samples: int, total: int) -> None:
    """Is it so many positions of an order of this dataset?"""
    ids, weights = reply.tensors.get("ids"), reply.tensors.get("weights")
    if ids is None or weights is None or (ids.format, weights.format) != ("I", "f") or (len(ids), len(weights)) != (count, count):
        raise ProtocolError("the server's piece of an order is not the %d positions that were asked for" % count)
    if max(ids, default=0) >= samples or not math.isfinite(sum(weights)):
        raise ProtocolError("the server's order has a sample that the dataset lacks, or a weight that is no number")
    if reply.fields.get("total") != total or not isinstance(reply.fields.get("stream_sha256"), str):
        raise ProtocolError("the server's order has %.20r positions, %d are expected" % (reply.fields.get("total"), total))


def judged(info: Dict[str, Any]) -> Dict[str, Any]:
    """What open or join says, once it makes sense."""
    for name in ("job", "incarnation", "epoch", "epochs", "batch", "steps", "samples"):
        if not whole(info.get(name)):
            raise ProtocolError("the server opens a job whose %s is %.20r" % (name, info.get(name)))
    if not 1 <= info["batch"] <= info["samples"] <= SAMPLES_MAX or info["steps"] > info["samples"] // info["batch"]:
        raise ProtocolError("the server opens a job of %d steps of %d samples, of %d" % (info["steps"], info["batch"], info["samples"]))
    if not isinstance(info.get("life"), str):
        raise ProtocolError("the server opens a job without a life")
    return info


def patient(ask: Callable[[], Reply], stop: threading.Event) -> Reply:
    """Asks again while the job is paused."""
    said = False
    while True:
        try:
            return ask()
        except Paused as error:
            if not said:
                log.warning("%s; the program waits", error)
                said = True
            if stop.wait(PAUSED_S):
                raise


def program_name() -> str:
    """Of this program, for people: "train.py on gpu3"."""
    text = "%s on %s" % (os.path.basename(sys.argv[0]) or "python", socket.gethostname())
    return text.encode()[:128].decode(errors="ignore")


def find_job(client: Client, job: Union[int, str, Mapping[str, Any]], deadline: float) -> int:
    """The number of a job; a spec is submitted."""
    if isinstance(job, int):
        return job
    if isinstance(job, str):
        jobs = client.request("job.list", {"name": job, "limit": 1}, deadline=deadline).fields["jobs"]
        if not jobs:
            raise SteppeError("there is no job called %s" % job, "not_found")
        return jobs[0]["job"]
    fields = {"uuid": str(uuid.uuid4()), "spec": {"engine": "external", **job}}
    return client.request("job.submit", fields, deadline=deadline).fields["job"]["job"]


def check_samples(info: Dict[str, Any], samples: Optional[int]) -> None:
    if samples is not None and samples != info["samples"]:
        raise ValueError("the dataset here has %d samples, that of job %d has %d" % (samples, info["job"], info["samples"]))


def check_split(batch: int, world: int) -> None:
    if batch % world:
        raise ValueError("a batch of %d cannot be split evenly over %d ranks; make batch a multiple of the ranks" % (batch, world))


def open_job(client: Client, job: Any, samples: Optional[int], stop: threading.Event, deadline: float,
             **fields: Any) -> Dict[str, Any]:
    """Of rank 0: what external.open says. A job that was submitted here for another dataset is cancelled: nobody waits for it."""
    fields = {name: value for name, value in fields.items() if value is not None}
    number = find_job(client, job, deadline)
    fields = {**fields, "job": number, "uuid": str(uuid.uuid4())}
    try:
        info = judged(patient(lambda: client.request("external.open", fields, deadline=deadline), stop).fields)
        check_samples(info, samples)
    except (SteppeError, ValueError) as error:
        if isinstance(job, Mapping) and not isinstance(error, ConnectionError):
            client.request("job.cancel", {"job": number}, deadline=deadline)
        raise
    return info


def without_server(job: Any, samples: Optional[int], epoch: Optional[int]) -> Dict[str, Any]:
    """What a server would say of a job, from its spec."""
    lacks = [name for name in ("epochs", "batch") if not isinstance(job, Mapping) or name not in job]
    if lacks or samples is None:
        raise ValueError("a run without a server needs job=, a spec with epochs and batch, and samples=, the size of the dataset")
    for name in ("epochs", "batch"):
        if not isinstance(job[name], int) or job[name] < (name == "batch"):
            raise ValueError("%s is %r, allowed is %d or more" % (name, job[name], name == "batch"))
    if job["batch"] > samples:
        raise ValueError("a batch of %d is larger than the dataset, which has %d samples" % (job["batch"], samples))
    return {"epochs": job["epochs"], "batch": job["batch"], "steps": samples // job["batch"], "samples": samples,
            "epoch": epoch or 0, "seed": job.get("seed", 0), "dataset": job.get("dataset")}


def enter(client: Client, job: Any, samples: Optional[int], rank: int, share: Optional[Callable[[Any], Any]],
          stop: threading.Event, deadline: float, fields: Dict[str, Any]) -> Dict[str, Any]:
    """Rank 0 opens and tells the others, who join. A failure of rank 0 is that of all: none waits for it."""
    found = ranks.from_environment()
    if found is None and rank == 0:
        try:
            info = open_job(client, job, samples, stop, deadline, **fields)
        except BaseException as error:
            if share:
                share("%s: %s" % (type(error).__name__, error))
            raise
        if share:
            share((info["job"], info["incarnation"]))
        return info
    if found is None:
        found = share(None)
        if isinstance(found, str):
            raise SteppeError("rank 0 could not open the job: %s" % found)
    ask = {"job": found[0], "incarnation": found[1]}
    return judged(patient(lambda: client.request("external.join", ask, deadline=deadline), stop).fields)


def open(address: Optional[str], job: Union[int, str, Mapping[str, Any], None] = None, *,  # pylint: disable=redefined-builtin
         key: Optional[str] = None, rank: Optional[int] = None, world: Optional[int] = None,
         broadcast: Optional[Callable[[Any], Any]] = None, epoch: Optional[int] = None, state: Optional[Mapping[str, Any]] = None,
         samples: Optional[int] = None, dataset_sha256: Optional[str] = None, program: Optional[str] = None,
         memory: int = 64 << 20, deadline: float = OPEN_S) -> Run:
    """Opens a job, on every rank of the program.

    address         "tcp://HOST:PORT" or "ipc://PATH"; None: without a server, samples in their natural order, nothing reported
    job             its number; the name of the newest one that is called so; or a spec (the content of a job file), which is
                    submitted as a new job
    key             path of a key file, where the server has keys
    rank, world     of this process; by itself those of torch.distributed when that is initialised, else (0, 1)
    broadcast       function that returns rank 0's argument on every rank, where torch.distributed is not used
    epoch           to go on with, from 0: epochs from it on are taken back. By itself the first one that is not closed
    state           of Run.state_dict, out of a checkpoint: gives job and epoch, and what was reported of that epoch
    samples         of the dataset, to be compared with the job's; needed without a server
    dataset_sha256  of the dataset here; the server refuses a job of another one
    program         what people are shown, at most 128 bytes; by itself the script and the host
    memory          bytes of reports that may wait for a lost server; beyond them report() waits
    deadline        seconds until a server that does not answer is an error; once it is open, a lost one is waited for
    """
    rank, world = ranks.place(rank, world)
    if state is not None:
        if isinstance(job, int) and state["job"] not in (None, job):
            raise ValueError("job is %d, but the checkpoint is of job %d" % (job, state["job"]))
        job = job if address is None or state["job"] is None else state["job"]
        epoch = state["epoch"] if epoch is None else epoch
    if address is None:
        if rank == 0:
            log.warning("no address of a server is given: samples come in their natural order, and nothing is reported")
        return Run(without_server(job, samples, epoch), rank, world)
    if job is None:
        raise ValueError("give job=, a number, a name or a spec")
    if isinstance(job, Mapping) and isinstance(job.get("batch"), int):
        check_split(job["batch"], world)  # before there is a job that nobody opens
    stop = threading.Event()
    client, sender = Client(address, key, stop), Client(address, key, stop)
    share = None if ranks.from_environment() else ranks.broadcaster(world, broadcast)
    info = enter(client, job, samples, rank, share, stop, deadline, {"epoch": epoch, "dataset_sha256": dataset_sha256,
                                                                     "program": program or program_name()})
    check_samples(info, samples)
    run = Run(info, rank, world, client, sender, memory)
    if state is not None and rank == 0 and state["epoch"] == run.epoch:
        run._take_back(state["reports"])  # pylint: disable=protected-access
    return run
