"""Batches of labelled images, prepared for a network by processes that read ahead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from converter.preprocessing import Transform
from prototxt.errors import CaffeError, UsageError, within

from .samples import LabelledImages


class Batch(NamedTuple):
    """Images as a network takes them, N x C x H x W, their labels and which samples they are."""

    images: Tensor
    labels: Tensor
    indices: tuple[int, ...]


def batches(
    samples: LabelledImages,
    indices: Sequence[int],
    transform: Transform,
    *,
    batch: int,
    workers: int,
) -> Iterator[Batch]:
    """Yield these samples in order, resized and cropped by `workers` processes, 0 for this one.

    Raises CaffeError, with its name, for a sample that cannot be read, and UsageError for numbers
    that are too small.
    """
    if batch < 1 or workers < 0:
        raise UsageError(f"batch {batch} of {workers} workers, wants 1 or more, and 0 or more")
    prepared = _Prepared(samples, indices, transform)
    loader = DataLoader(prepared, batch_size=batch, num_workers=workers, collate_fn=_collate)
    for loaded in loader:
        if isinstance(loaded, CaffeError):
            raise loaded
        yield loaded


class _Prepared(Dataset[Any]):
    """Samples, resized and cropped.

    An error is a value: torch would bring it from a worker as a traceback.
    """

    def __init__(
        self, samples: LabelledImages, indices: Sequence[int], transform: Transform
    ) -> None:
        self.samples, self.indices, self.transform = samples, indices, transform

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> Any:
        index = self.indices[position]
        try:
            image, label = self.samples[index]
            with within(self.samples.name(index)):
                return self.transform(image)[0], label, index
        except CaffeError as error:
            return error


def _collate(items: list[Any]) -> Batch | CaffeError:
    for item in items:
        if isinstance(item, CaffeError):
            return item
    images, labels, indices = zip(*items, strict=True)
    return Batch(torch.stack(images), torch.tensor(labels), indices)
