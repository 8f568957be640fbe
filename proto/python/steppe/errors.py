"""What can go wrong between a program and its server. The text of each is one sentence, of the server where it said one."""
from typing import Any, Dict, Optional


class SteppeError(Exception):
    """The server refused a request. code: as in PROTOCOL.md 2.2 ("bad_field"); reply: what it said, whole."""

    def __init__(self, sentence: str, code: str = "", reply: Optional[Dict[str, Any]] = None) -> None:
        super().__init__(sentence)
        self.code = code
        self.reply = reply or {}


class Gone(SteppeError):
    """The run is over for this program: another one has opened the job since, or it was cancelled, failed or removed."""


class Paused(SteppeError):
    """The job is paused. A Run waits until it is resumed and raises this to nobody."""


class Unavailable(SteppeError):
    """The server cannot do it now and has changed nothing: ask again later."""


class Unreachable(SteppeError, ConnectionError):
    """The server does not answer, or what answers does not speak Steppe."""


class ProtocolError(SteppeError):
    """What came is not a message as PROTOCOL.md has it."""


class KeyFileError(SteppeError):
    """A key file that cannot be used, or a server that does not prove that it belongs to the key's cluster."""


def of_reply(reply: Dict[str, Any]) -> SteppeError:
    """The exception for an error reply."""
    code, sentence = str(reply.get("code", "")), str(reply.get("error", ""))
    kind = {"gone": Gone, "unavailable": Unavailable, "limit": Unavailable if "retry_ms" in reply else SteppeError}.get(code, SteppeError)
    if code == "not_allowed" and reply.get("state") == "paused":
        kind = Paused
    return kind(sentence, code, reply)
