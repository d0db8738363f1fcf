"""MemoryData."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError, UnsupportedError

from .batches import SAMPLE, Array, Way
from .data_transformer import DataTransformer
from .fed import NONE, Fed


class MemoryData(Fed, type="MemoryData", param="memory_data_param", bottoms=0, tops=2):
    """Images batch_size x channels x height x width and their labels, batch_size, from Python.

    With greentea's `dim`, which stands for the four sizes, the data are of that shape, of any
    number of axes, and the labels of batch_size x 1 x 1 ... of as many.

    `reset` gives the layer arrays as they are, `add_images` transforms images; every forward gives
    the next batch of them, and after the last the first. The tops may also be fed by name.

    Errors: ShapeError for a size of 0, and for arrays that are not whole batches; UnsupportedError
    for a forward without data.
    Caffe: BVLC/caffe, src/caffe/layers/memory_data_layer.cpp
    """

    fork_fields = ("memory_data_param.dim",)
    makes_tops = True
    like: Tensor

    def __init__(
        self,
        batch_size: int = 0,
        channels: int = 0,
        height: int = 0,
        width: int = 0,
        transform: DataTransformer = NONE,
        *,
        dim: Sequence[int] = (),
    ) -> None:
        sizes = "dim is" if dim else "batch_size, channels, height, width are"
        image = tuple(dim) or (batch_size, channels, height, width)
        require(min(image) > 0, f"{sizes} {image}, wants 1 or more")
        label = (image[0], *[1] * (len(dim) - 1)) if dim else image[:1]
        super().__init__(image, label, transform=transform)
        self.batch_size = image[0]
        self._arrays: tuple[Tensor, Tensor] | None = None
        self._seed: tuple[int, ...] = ()
        self._added = 0
        # Tops follow the network's type and device.
        self.register_buffer("like", torch.empty(0), persistent=False)
        self.reset_state()

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> MemoryData:
        transform = DataTransformer.from_caffe(layer.transform_param)
        return cls(transform=transform, **cls.fields(layer))

    def reset(self, data: Any, labels: Any) -> None:
        """Take n x channels x height x width data and n labels, a multiple of the batch size."""
        images, classes = torch.as_tensor(data), torch.as_tensor(labels)
        shape, wants = tuple(images.shape), self.top_shapes[0]
        assert wants is not None
        require(shape[1:] == wants[1:], f"data are {shape}, wants n x {wants[1:]}")
        require(
            bool(shape[0]) and shape[0] % self.batch_size == 0,
            f"{shape[0]} images are no multiple of batch_size {self.batch_size}",
        )
        if classes.numel() != shape[0]:
            raise ShapeError(f"{classes.numel()} labels for {shape[0]} images")
        self._arrays = images, classes.reshape(-1)
        self.reset_state()

    def add_images(self, images: Iterable[Array], labels: Any) -> None:
        """Take images, C x H x W bytes or floats each, transformed as the definition says."""
        if not self._seed:
            self._seed = (int(torch.randint(2**62, ())),)
        dtype = np.dtype("float64" if self.like.dtype == torch.float64 else "float32")
        way = Way(self.training, dtype, self._seed)
        tops = []
        for image in images:
            random = way.random(SAMPLE, self._added)
            self._added += 1
            top = self.transform(image, dtype, training=self.training, random=random)
            wants = (self.top_shapes[0] or ())[1:]
            require(top.shape == wants, f"an image is {top.shape} transformed, wants {wants}")
            tops.append(top)
        require(bool(tops), "there is no image to add")
        self.reset(np.stack(tops), labels)

    def seed_data(self, *seed: int, rank: int = 0, world: int = 1, workers: int = 0) -> None:
        self._seed, self._added = (*seed, rank), 0

    def reset_state(self) -> None:
        self._at = 0

    def forward(self) -> tuple[Tensor, Tensor]:
        if self._arrays is None:
            raise UnsupportedError(
                "MemoryData has no data",
                fix="net.layers[...].reset(data, labels), or feed its tops",
            )
        batch = slice(self._at, self._at + self.batch_size)
        data, labels = (array[batch] for array in self._arrays)
        self._at = (self._at + self.batch_size) % len(self._arrays[0])
        label = torch.promote_types(self.like.dtype, torch.float32)  # a half holds few classes
        of_shape = labels.reshape(self.top_shapes[1] or -1)
        return data.to(self.like), of_shape.to(self.like.device, label)
