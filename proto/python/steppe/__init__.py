"""Steppe's curriculum and difficulty database for a training loop of your own. The server orders the samples of each epoch
and keeps their scores; the model and the loop are yours."""
from .scores import Scores

__all__ = ["Scores"]
