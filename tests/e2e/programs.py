"""Training programs for tests of the Python package: what they share."""
import logging
import threading

from wire import HANG_S, has, ok


def raises(name, kind, part, what):
    """what() raises kind with a sentence that has part in it."""
    try:
        what()
    except kind as error:
        return has(name, part, str(error))
    return ok(name, False, "nothing was raised")


class Heard(logging.Handler):
    """What the package says while it is open."""

    def __enter__(self):
        self.lines = []
        logging.getLogger("steppe").addHandler(self)
        return self

    def __exit__(self, *_):
        logging.getLogger("steppe").removeHandler(self)

    def emit(self, record):
        self.lines.append(record.getMessage())


def pieces(run, epoch=None):
    """The steps of the open epoch: ids of this rank."""
    order = run.order(epoch)
    return [order.ids[i:i + run.local_batch] for i in range(0, order.total, run.local_batch)]


class Ranks:
    """Ranks as threads of this process."""

    def __init__(self, world):
        self.world, self.box, self.barrier = world, [None] * world, threading.Barrier(world)

    def run(self, program):
        results, errors = [None] * self.world, []

        def one(rank):
            try:
                results[rank] = program(rank)
            except Exception as error:  # pylint: disable=broad-except
                errors.append(error)
        threads = [threading.Thread(target=one, args=(rank,)) for rank in range(self.world)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(HANG_S)
        return results, errors

    def gather(self, rank):
        def every(value):
            self.box[rank] = value
            self.barrier.wait(HANG_S)
            values = list(self.box)
            self.barrier.wait(HANG_S)
            return values
        return every

    def broadcast(self, rank):
        return lambda value: self.gather(rank)(value)[0]
