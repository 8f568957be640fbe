"""A server of external jobs for tests of the Python package, as far as PROTOCOL.md has it: one job, kept in memory. What a
test wants it to do wrong it does: see Fake.before."""
import hashlib
import random
import socket
import struct
import threading
import uuid

from wire import GREETING_REP, GREETING_REQ, decode, encode, read_exactly, tensor

MEASURES = ("loss", "adv_loss", "grad_norm", "el2n", "margin")


class Refusal(Exception):
    """code, sentence, more fields."""


class Fake:
    def __init__(self, samples=40, batch=8, epochs=3, port=0, probabilities=False):
        self.samples, self.batch, self.epochs, self.probabilities = samples, batch, epochs, probabilities
        self.steps = samples // batch
        self.incarnation, self.epoch, self.life = 0, 0, "life 1"
        self.closing, self.open_scores, self.table, self.metrics, self.dropped = set(), {}, {}, {}, 0
        self.asked = []  # types, in order
        self.before = lambda kind, message, tensors: None  # raises Refusal, or returns bytes to send, or "hang up"
        self.lock = threading.RLock()
        self.connections = []
        self.listen(port)

    # --- its life ---

    def listen(self, port):
        self.door = socket.create_server(("127.0.0.1", port))
        self.port = self.door.getsockname()[1]
        self.url = "tcp://127.0.0.1:%d" % self.port
        threading.Thread(target=self.accept, args=(self.door,), daemon=True).start()

    def stop(self):
        """As a server that is killed: what is not committed is gone."""
        self.door.shutdown(socket.SHUT_RDWR)
        self.door.close()
        with self.lock:
            for connection in self.connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self.connections.clear()
            self.open_scores, self.closing, self.dropped = {}, set(), 0
            self.life = str(uuid.uuid4())

    def start(self):
        self.listen(self.port)

    def accept(self, door):
        while True:
            try:
                connection = door.accept()[0]
            except OSError:
                return
            with self.lock:
                self.connections.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            connection.sendall(GREETING_REP)
            assert read_exactly(connection, 8) == GREETING_REQ
            while True:
                size, request = struct.unpack(">QI", read_exactly(connection, 12))
                answer = self.answer(read_exactly(connection, size - 4))
                if answer == "hang up":
                    break
                connection.sendall(struct.pack(">QI", len(answer) + 4, request) + answer)
        except (OSError, EOFError):
            pass
        connection.close()

    def answer(self, body):
        message, tensors = decode(body)
        kind = message["type"]
        try:
            answer = self.before(kind, message, tensors)
            with self.lock:
                self.asked.append(kind)
                fields, out = (None, ()) if answer else getattr(self, kind.replace(".", "_"))(message, tensors)
        except Refusal as refusal:
            code, sentence, more = (*refusal.args, {})[:3]
            return encode({"type": "error", "id": message["id"], "code": code, "error": sentence, **more})
        return answer or encode({"type": kind, "id": message["id"], "ok": True, **fields}, out)

    # --- its messages ---

    def ping(self, message, tensors):
        return {"server": "steppe-server"}, ()

    def job_submit(self, message, tensors):
        self.spec = message["spec"]
        return {"job": {"job": 7}}, ()

    def job_list(self, message, tensors):
        return {"jobs": [{"job": 7}] if message["name"] == "mine" else []}, ()

    def opened(self):
        return {"job": 7, "incarnation": self.incarnation, "epoch": self.epoch, "epochs": self.epochs, "batch": self.batch,
                "steps": self.steps, "samples": self.samples, "seed": 1, "classes": 10, "dataset": "d", "dataset_sha256": "0" * 64,
                "scored_every": 1, "life": self.life, **({"probabilities": True} if self.probabilities else {})}, ()

    def external_open(self, message, tensors):
        epoch = message.get("epoch", self.epoch)
        if self.epoch == self.epochs:
            raise Refusal("gone", "job 7 is done")
        if epoch > self.epoch:
            raise Refusal("bad_field", "epoch is %d; job 7 has %d" % (epoch, self.epoch))
        self.incarnation += 1
        self.epoch = epoch
        self.table = {key: value for key, value in self.table.items() if key[0] < epoch}
        self.open_scores, self.closing, self.dropped = {}, set(), 0
        self.program = message["program"]
        return self.opened()

    def mine(self, message):
        if self.epoch == self.epochs and message["type"] != "external.close":
            raise Refusal("gone", "job 7 is done")
        if message["job"] != 7 or message["incarnation"] != self.incarnation:
            raise Refusal("gone", "job 7 was opened again at 14:02 by other.py on gpu7: this program is superseded", {"life": self.life})

    def external_join(self, message, tensors):
        self.mine(message)
        return self.opened()

    def stream(self, epoch):
        ids = list(range(self.samples))
        random.Random(epoch + 5).shuffle(ids)
        return ids[:self.steps * self.batch], [1.0 + i % 4 for i in ids[:self.steps * self.batch]]

    def external_order(self, message, tensors):
        self.mine(message)
        rank, world, first, count = message["rank"], message["world"], message["first"], message["count"]
        part = self.batch // world
        ids, weights = self.stream(message["epoch"])
        digest = hashlib.sha256(struct.pack("<%dI" % len(ids), *ids) + struct.pack("<%df" % len(ids), *weights)).hexdigest()
        at = [i // part * self.batch + rank * part + i % part for i in range(first, first + count)]
        out = [tensor("ids", "U32", [count], struct.pack("<%dI" % count, *(ids[i] for i in at))),
               tensor("weights", "F32", [count], struct.pack("<%df" % count, *(weights[i] for i in at)))]
        return {"epoch": message["epoch"], "first": first, "count": count, "total": self.steps * part, "stream_sha256": digest,
                "share": 1.0, "scheduled": self.samples, "life": self.life}, out

    def external_report(self, message, tensors):
        self.mine(message)
        if message["epoch"] != self.epoch:
            raise Refusal("bad_field", "epoch %d of job 7 is not open; epoch %d is" % (message["epoch"], self.epoch))
        ids = struct.unpack("<%dI" % (len(tensors["ids"]) // 4), tensors.pop("ids"))
        rows = tensors.pop("probabilities", None)
        values = {name: struct.unpack("<%d%s" % (len(ids), "d" if name in MEASURES else "i"), data) for name, data in tensors.items()}
        if rows is not None:
            width = len(rows) // len(ids)
            values["probabilities"] = [struct.unpack("<%df" % (width // 4), rows[i * width:(i + 1) * width]) for i in range(len(ids))]
        for i, sample in enumerate(ids):
            if "loss" in values and values["loss"][i] < 0:
                raise Refusal("bad_tensor", "loss of sample %d is %g" % (sample, values["loss"][i]))
        counted = 0
        for name, column in values.items():
            for sample, value in zip(ids, column):
                key = (message["epoch"], message["split"], sample, name)
                if key in self.open_scores:
                    self.dropped += 1
                else:
                    self.open_scores[key] = value
                    counted += 1
        return {"counted": counted, "dropped": 0, "life": self.life}, ()

    def external_close(self, message, tensors):
        self.mine(message)
        epoch, world = message["epoch"], message["world"]
        if epoch == self.epoch and message["life"] == self.life:
            self.closing.add(message["rank"])
            self.metrics.setdefault(epoch, {}).update(message.get("metrics", {}))
            if len(self.closing) == world:
                self.table.update(self.open_scores)
                self.epoch, self.open_scores, self.closing = self.epoch + 1, {}, set()
        if epoch >= self.epoch:
            waiting = [rank for rank in range(world) if rank not in self.closing]
            return {"epoch": epoch, "closed": False, "waiting": waiting, "life": self.life}, ()
        done = {key[2] for key in self.table if key[0] == epoch and key[1] == "train"}
        return {"epoch": epoch, "closed": True, "missing": len(set(self.stream(epoch)[0]) - done), "dropped": self.dropped,
                "scores_sha256": hashlib.sha256(repr(sorted(self.table.items())).encode()).hexdigest(), "life": self.life,
                "next": self.epoch if self.epoch < self.epochs else None}, ()
