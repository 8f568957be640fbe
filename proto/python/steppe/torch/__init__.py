"""The parts of the package that need PyTorch."""
from .head import cross_entropy
from .indexed import Indexed
from .sam import SAM
from .sampler import Sampler
from .score import score

__all__ = ["Indexed", "SAM", "Sampler", "cross_entropy", "score"]
