"""Steppe's curriculum and difficulty database for a training loop of your own. The server orders the samples of each epoch
and keeps their scores; the model and the loop are yours.

    run = steppe.open("tcp://host:7500", job={"dataset": "photos", "epochs": 10, "batch": 128})
    for epoch in run.epochs():
        order = run.order()
        ...
        run.report(ids, loss=losses)
        run.close(train_loss=...)
"""
from .client import Client
from .errors import Gone, KeyFileError, Paused, ProtocolError, SteppeError, Unavailable, Unreachable
from .run import Closed, Order, Run, open  # pylint: disable=redefined-builtin
from .scores import Scores

__version__ = "0.1.0"

__all__ = ["Client", "Closed", "Gone", "KeyFileError", "Order", "Paused", "ProtocolError", "Run", "Scores", "SteppeError",
           "Unavailable", "Unreachable", "open"]
