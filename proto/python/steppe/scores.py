"""What a training step or a measurement says of its samples."""
from typing import Any, Iterator, NamedTuple, Optional, Tuple

MEASURES = ("loss", "adv_loss", "grad_norm", "el2n", "margin")
CLASSES = ("predicted", "adv_predicted")


class Scores(NamedTuple):
    """Scores of n samples, in the order in which their ids are reported. Each field is one-dimensional with n entries (a
    torch tensor, a numpy array or a list) but for the last, or None where it was not measured. Losses are in nats.

    loss           cross-entropy of the sample, without label smoothing or weight
    adv_loss       the same of its adversarial twin; adv_loss - loss is its ADM
    grad_norm      L2 norm of the loss's gradient by the input, per unit of pixel intensity in [0, 1]
    el2n           L2 norm of softmax - one-hot label
    margin         logit of the label less ln sqrt(sum of exp(2 logit) over the other classes); it says the same as el2n,
                   which wins where both are given
    predicted      class with the highest logit, the lowest of equal ones; -1 where it is not known
    adv_predicted  the same of the twin
    probabilities  [n, classes]: softmax of the logits, each row 1 in sum; for jobs with score.probabilities only
    """
    loss: Any = None
    adv_loss: Any = None
    grad_norm: Any = None
    el2n: Any = None
    margin: Any = None
    predicted: Any = None
    adv_predicted: Any = None
    probabilities: Any = None

    def given(self) -> Iterator[Tuple[str, Any]]:
        """(name, values) of each field that was measured."""
        for name, values in zip(self._fields, self):
            if values is not None:
                yield name, values

    @classmethod
    def of(cls, scores: Any) -> "Scores":
        """From Scores, a mapping of names to values, or a sequence that is a loss for each sample."""
        if isinstance(scores, cls):
            return scores
        if isinstance(scores, dict):
            unknown = [name for name in scores if name not in cls._fields]
            if unknown:
                raise ValueError("scores have no %r; they are %s" % (unknown[0], ", ".join(cls._fields)))
            return cls(**scores)
        return cls(loss=scores)


def class_of(name: str) -> Optional[bool]:
    """True: the measure is a class; False: a number; None: there is no such measure."""
    return True if name in CLASSES else False if name in MEASURES else None
