"""The parts of the package that need PyTorch."""
from .indexed import Indexed
from .sampler import Sampler

__all__ = ["Indexed", "Sampler"]
