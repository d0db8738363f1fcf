"""Batches of samples in a fixed order, read here or by worker processes."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from caffe_layers.base.shape import Shape
from prototxt.errors import CaffeError, ShapeError, within

from .data_transformer import DataTransformer

Array = NDArray[Any]
Batch = tuple[Tensor, Tensor]

SAMPLE, SHUFFLE, SKIP = range(3)
"""What random numbers are for: each use has numbers of its own."""


@dataclass(frozen=True)
class Way:
    """How samples are read: the phase, the type of their numbers, and the seed of all chance.

    Random numbers depend on the seed and on a sample's position alone, so that it does not matter
    which process reads it.
    """

    training: bool
    dtype: np.dtype[Any]
    seed: tuple[int, ...]

    def random(self, use: int, position: int = 0) -> np.random.Generator:
        """Return the random numbers of one use at one position."""
        return np.random.default_rng([*self.seed, use, position])


@dataclass(frozen=True)
class Course:
    """Which samples a process takes: of `world` processes the one numbered `rank`.

    Sample i goes to process i mod `world`, as in Caffe's data-parallel training. `workers` read
    ahead beside the process; with none it reads when asked.
    """

    batch_size: int
    rank: int = 0
    world: int = 1
    workers: int = 0
    prefetch: int = 4

    def positions(self, batch: int) -> Iterator[list[int]]:
        """Yield the positions of each batch's samples, from one batch on, without end."""
        for number in count(batch):
            first = number * self.batch_size
            yield [at * self.world + self.rank for at in range(first, first + self.batch_size)]


class Samples(ABC):
    """Images and labels by position, which counts on after the last: the first come again."""

    @abstractmethod
    def top_shape(self) -> Shape:
        """Return C x H x W of the first sample."""

    @abstractmethod
    def sample(self, position: int, item: int, way: Way) -> tuple[Array, int]:
        """Return the image and the label at a position, which is `item` of its batch."""


class Images(Samples):
    """Samples that a transform makes of images: bytes or floats, C x H x W."""

    def __init__(self, transform: DataTransformer) -> None:
        self.transform = transform

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, index: int) -> tuple[str, Array, int]:
        """Return a place for error messages, an image as it is stored, and its label."""

    def index(self, position: int, way: Way) -> int:
        """Return which image stands at a position."""
        return position % len(self)

    def top_shape(self) -> Shape:
        place, image, _ = self.read(0)
        with within(place):
            return self.transform.top_shape(image.shape)

    def sample(self, position: int, item: int, way: Way) -> tuple[Array, int]:
        place, image, label = self.read(self.index(position, way))
        needed = self.transform.is_random(way.training)
        random = way.random(SAMPLE, position) if needed else None
        with within(place):
            top = self.transform(image, way.dtype, training=way.training, random=random)
        return top, label


class Batches(Dataset[Batch]):
    """Samples in batches; an error is given back, so that it comes whole out of a worker."""

    def __init__(self, samples: Samples, way: Way) -> None:
        self.samples = samples
        self.way = way

    def __getitems__(self, positions: list[int]) -> Batch | Exception:
        try:
            return self._batch(positions)
        except (CaffeError, OSError) as error:
            return error

    def _batch(self, positions: list[int]) -> Batch:
        images: Array = np.empty(0)
        labels = np.empty(len(positions), self.way.dtype)
        for item, position in enumerate(positions):
            image, labels[item] = self.samples.sample(position, item, self.way)
            if item == 0:
                images = np.empty((len(positions), *image.shape), self.way.dtype)
            if image.shape != images.shape[1:]:
                first = images.shape[1:]
                raise ShapeError(
                    f"sample {position} is {image.shape}, the first of its batch {first}",
                    fix="images of unequal sizes want batch_size 1, or a crop_size",
                )
            images[item] = image
        return torch.from_numpy(images), torch.from_numpy(labels)

    def loader(self, course: Course, batch: int, *, pin: bool = False) -> Iterator[Any]:
        """Return the batches from one on, without end."""
        ahead = -(-course.prefetch // course.workers) if course.workers else None
        with warnings.catch_warnings():
            # Of more workers than processors, and of a fork beside threads: both as asked for.
            warnings.simplefilter("ignore")
            return iter(
                DataLoader(
                    self,
                    batch_sampler=_Positions(course, batch),
                    num_workers=course.workers,
                    prefetch_factor=ahead,
                    collate_fn=_as_it_is,
                    pin_memory=pin,
                    generator=torch.Generator(),  # so that torch's own numbers are left alone
                )
            )


class _Positions:
    """A sampler of batches, as DataLoader wants it."""

    def __init__(self, course: Course, batch: int) -> None:
        self.course, self.batch = course, batch

    def __iter__(self) -> Iterator[list[int]]:
        return self.course.positions(self.batch)


def _as_it_is(batch: Any) -> Any:
    return batch


def alone(course: Course) -> Course:
    """Return the course of a process that takes every sample."""
    return replace(course, rank=0, world=1)
