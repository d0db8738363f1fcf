"""Layers that read images and labels, and make batches of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.shape import Shape
from prototxt.errors import CaffeError, FormatError, UnsupportedError, UsageError
from prototxt.schema import dialect

from .batches import Batches, Course, Samples, Way, alone
from .data_transformer import DataTransformer
from .fed import NONE, Fed

PREFETCH = 4


class BaseData(Fed):
    """Base of layers whose tops are images N x C x H x W and labels N of samples that they read.

    Every forward gives the next batch, and after the last sample comes the first. What is random
    comes from `seed_data`'s seed, else from one that torch's generator draws at the first forward.
    Tops may be fed by name instead; then nothing is read. Without `samples` the tops can only be
    fed, and `read_error` says why.

    Caffe: BVLC/caffe, src/caffe/layers/base_data_layer.cpp
    """

    like: Tensor

    def __init__(
        self,
        *tops: Shape | None,
        samples: Samples | None = None,
        read_error: CaffeError | None = None,
        transform: DataTransformer = NONE,
        batch_size: int = 0,
        prefetch: int = PREFETCH,
    ) -> None:
        if samples is not None:
            require(batch_size > 0, "batch_size is 0, wants 1 or more")
            tops = ((batch_size, *samples.top_shape()), (batch_size,))[: len(tops)]
        super().__init__(*tops, transform=transform)
        self.samples, self.read_error = samples, read_error
        self.makes_tops = samples is not None
        self._course = Course(batch_size, prefetch=max(1, prefetch))
        self._seed: tuple[int, ...] = ()
        # Tops follow the network's type and device.
        self.register_buffer("like", torch.empty(0), persistent=False)
        self.reset_state()

    def seed_data(self, *seed: int, rank: int = 0, world: int = 1, workers: int = 0) -> None:
        self._seed = seed
        self._course = replace(self._course, rank=rank, world=world, workers=workers)
        self.reset_state()

    def reset_state(self) -> None:
        self._batch = 0  # the next one's number
        self._way: Way | None = None
        self._loader: Iterator[Any] | None = None

    def forward(self) -> Tensor | tuple[Tensor, ...]:
        images, labels = self._next()
        device = self.like.device
        label = torch.promote_types(self.like.dtype, torch.float32)  # a half holds few classes
        tops = (
            images.to(device, self.like.dtype, non_blocking=True),
            labels.to(device, label, non_blocking=True),
        )
        return tops[: len(self.top_shapes)]

    def _next(self) -> tuple[Tensor, Tensor]:
        if self.samples is None:
            if self.read_error is None:
                raise UnsupportedError("it has nothing to read")
            raise deepcopy(self.read_error)
        if not self._seed:
            self._seed = (int(torch.randint(2**62, ())),)
        dtype = np.dtype("float64" if self.like.dtype == torch.float64 else "float32")
        way = Way(self.training, dtype, self._seed)
        if self._loader is None or self._way != way:
            course = self._course if self.training else alone(self._course)
            batches = Batches(self.samples, way)
            self._loader = batches.loader(course, self._batch, pin=self.like.is_cuda)
            self._way = way
        try:
            batch = next(self._loader)
        except RuntimeError as error:  # a worker was killed: torch says which and how
            self._loader = None
            raise UsageError(str(error), fix="read with fewer workers, or none") from None
        if isinstance(batch, Exception):
            self._loader = None
            raise batch
        self._batch += 1
        images, labels = batch
        return images, labels

    def __getstate__(self) -> dict[str, Any]:
        # A copy reads on by itself: worker processes cannot be shared.
        return {**self.__dict__, "_loader": None}


def opened(
    make: Callable[[], Samples], source: str, *params: Any
) -> tuple[Samples | None, CaffeError | None]:
    """Return what a definition's `source` gives, or the error that says what is lacking.

    A network may be converted where its data are not: only a source that is there and damaged is
    an error at once, a FormatError. `params` are the messages that say how to read: fields of
    forks in them (more ways to crop, to distort ...) do not hinder a conversion either.
    """
    try:
        for param in params:
            _check_fields(param)
        return make(), None
    except FormatError as error:
        if source and Path(source).exists():
            raise
        return None, error
    except CaffeError as error:
        return None, error


def _check_fields(param: Any) -> None:
    known = dialect("bvlc").message(param.DESCRIPTOR.name).DESCRIPTOR.fields_by_name
    for field, _ in param.ListFields():
        if field.name not in known:
            raise UnsupportedError(
                f"data are not read with a fork's {field.name!r}",
                fix="feed the tops by name, prepared so, or take the field out",
            )
