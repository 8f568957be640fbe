"""A dataset whose items say which sample they are."""
from typing import Any, List, Sequence, Tuple

from torch.utils.data import Dataset


class Indexed(Dataset):
    """(x, y) of a map-style dataset -> (x, y, id), id being the number in the dataset: its sample number in Steppe. Works in
    the workers of a loader."""

    def __init__(self, dataset: Any) -> None:
        if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
            raise ValueError("a %s has no numbered samples: a dataset with __getitem__ and __len__ is needed" % type(dataset).__name__)
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, sample: int) -> Tuple[Any, ...]:
        return numbered(self.dataset[sample], sample)

    def __getitems__(self, samples: Sequence[int]) -> List[Tuple[Any, ...]]:
        """A batch at once, as torch 2 asks where there is this method."""
        many = getattr(self.dataset, "__getitems__", None)
        items = many(samples) if many else [self.dataset[sample] for sample in samples]
        return [numbered(item, sample) for item, sample in zip(items, samples)]


def numbered(item: Any, sample: int) -> Tuple[Any, ...]:
    """An item with its number behind it."""
    return (*item, sample) if isinstance(item, (tuple, list)) else (item, sample)
