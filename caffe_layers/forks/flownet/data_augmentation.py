"""DataAugmentation, from FlowNet2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from caffe_layers.arithmetic.linear_map import (
    Matrix,
    bilinear,
    mapped,
    onnx_mapped,
    require_fixed_sizes,
    require_mappable,
)
from caffe_layers.base.checks import require
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt import Blob
from prototxt.errors import ShapeError, UnsupportedError

EDGE = np.float32(1.05)
"""Sampling stops so far before the size, so that the next pixel is always there."""


class DataAugmentation(
    Layer,
    type="DataAugmentation",
    fork="flownet2",
    param="augmentation_param",
    bottoms=(1, 2),
    tops=(1, 2),
):
    """The middle of each image without the mean, as a trained network sees it in testing.

    With `crop_width` and `crop_height` the top is the middle of x, read bilinearly, so that an odd
    difference blurs by half a pixel; in a crop as large as the image the last row and column are
    mixed with 0.05 of their neighbour. The mean that is then subtracted is an image or, without
    `mean_per_pixel`, one value for each channel; without `recompute_mean` it is the three values of
    `mean`, and nothing where there are not three, or `mean_per_pixel` is true.

    Blobs, with `recompute_mean` above 0: count 1 x 1 x 1 x 1, mean 1 x C x H x W, channel_mean
    1 x C x 1 x 1; else the count alone. Every forward pass counts, in testing too, and as long as
    the count is not above `recompute_mean` it takes the batch into the mean first. An ONNX model
    keeps no count: each run is the next one after what the blobs hold.

    Errors: UnsupportedError for random changes of the images, where they would take place: with a
    crop in training, or with `augment_during_test`; and for a second bottom or top, which hand
    them over. ShapeError for a crop larger than the image.
    Caffe: lmb-freiburg/flownet2, src/caffe/layers/data_augmentation_layer.{cpp,cu}
    """

    def __init__(
        self,
        bottom: Shape,
        *,
        crop_width: int | None = None,
        crop_height: int | None = None,
        recompute_mean: int = 0,
        mean_per_pixel: bool = True,
        mean: Sequence[float] = (),
        random: bool = False,
    ) -> None:
        super().__init__()
        require(len(bottom) == 4, f"bottom {bottom} has {len(bottom)} axes, wants N x C x H x W")
        self.crop: tuple[int, int] | None = None
        if crop_width is not None and crop_height is not None:
            self.crop = crop_height, crop_width
        self.recompute_mean = recompute_mean
        self.mean_per_pixel = mean_per_pixel
        self.random = random and self.crop is not None
        given = len(mean) == 3 and not mean_per_pixel and recompute_mean == 0
        self.given = tuple(map(float32, mean)) if given else ()
        self.add_blob("count", (1, 1, 1, 1), Filler(), learnable=False)
        if recompute_mean:
            channels, *image = self.shapes(bottom)[0][1:]
            self.add_blob("mean", (1, channels, *image), Filler(), learnable=False)
            self.add_blob("channel_mean", (1, channels, 1, 1), Filler(), learnable=False)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> DataAugmentation:
        if len(bottoms) > 1 or len(layer.top) > 1:
            raise UnsupportedError(
                "a second bottom or top hands over how images are changed at random, in training "
                "alone"
            )
        param = layer.augmentation_param
        random = [
            field.name
            for field, _ in param.ListFields()
            if field.message_type is not None
            and field.message_type.name == "RandomGeneratorParameter"
        ]
        cropped = param.HasField("crop_width") and param.HasField("crop_height")
        if param.augment_during_test and random and cropped:
            raise UnsupportedError(
                f"augment_during_test with {', '.join(random)} changes images at random",
                fix="set augment_during_test to false",
            )
        return cls(bottoms[0], random=bool(random), **cls.fields(layer))

    def adapted(self, blobs: Sequence[Blob | None]) -> Sequence[Blob | None]:
        """Return the file's blobs for images of this size.

        As Caffe does, a mean image of another size becomes the mean of each of its channels.
        """
        image = blobs[1] if len(blobs) == len(self.blob_names) == 3 else None
        if image is None or image.fits(tuple(self.mean.shape)) or len(image.shape) != 4:
            return blobs
        channels = image.array.mean((2, 3), keepdims=True)
        spread = np.broadcast_to(channels, (*channels.shape[:2], *self.mean.shape[2:]))
        means = blobs[2] if not self.mean_per_pixel else Blob(channels.ravel(), channels.shape)
        return [blobs[0], Blob(spread.ravel(), spread.shape), means]

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants N x C x H x W")
        top = x if self.crop is None else (*x[:2], *self.crop)
        if top[2] > x[2] or top[3] > x[3]:
            raise ShapeError(f"the crop {top[2:]} is larger than the bottom {x}")
        require_mappable(x[2:], top[2:])
        require(not self.given or x[1] == 3, f"bottom {x} has {x[1]} channels, the mean 3")
        if self.recompute_mean and "mean" in self.blob_names:
            have = tuple(self.mean.shape[1:])
            require(top[1:] == have, f"the top would be {top}, the mean is {have}")
        return [top]

    def forward(self, x: Tensor) -> Tensor:
        if self.random and self.training:
            raise UnsupportedError(
                "DataAugmentation changes images at random in training", fix="run it in TEST"
            )
        if self.crop is not None:
            x = mapped(x, *_crop(tuple(x.shape[2:]), self.crop))
        if self.recompute_mean:
            self._update(x.detach())
            mean: Tensor = self.mean if self.mean_per_pixel else self.channel_mean
            return x - mean
        self.count.add_(1)
        if not self.given:
            return x
        return x - x.new_tensor(self.given).reshape(1, 3, 1, 1)

    @torch.no_grad()
    def _update(self, x: Tensor) -> None:
        count = self.count.trunc() + 1
        going = count <= self.recompute_mean
        mean = (self.mean * (count - 1) + x.mean(0, keepdim=True)) / count
        self.mean.copy_(mean.where(going, self.mean))
        channels = self.mean.mean((2, 3), keepdim=True)
        self.channel_mean.copy_(channels.where(going, self.channel_mean))
        self.count.copy_(count)

    def onnx(self, op: Op, x: str) -> Values:
        cropped = x
        subtracts = self.recompute_mean or self.given
        if self.crop is not None:
            require_fixed_sizes(op, x)
            matrices = _crop(op.shape(x)[2:], self.crop)
            cropped = onnx_mapped(op, x, *matrices)
        if not subtracts:
            return x if self.crop is None else cropped
        if self.given:
            return op.Sub(cropped, op.array("mean_values", np.reshape(self.given, (1, 3, 1, 1))))
        return op.Sub(cropped, self._onnx_mean(op, cropped))

    def _onnx_mean(self, op: Op, x: str) -> str:
        count = int(self.count) + 1
        if count > self.recompute_mean:
            return op.weight(self, "mean" if self.mean_per_pixel else "channel_mean")
        batch = op.reduce("ReduceMean", x, [0], keepdims=1)
        part = op.Div(batch, op.scalar(count))
        before = op.array("mean_before", self.mean.detach().cpu().numpy() * ((count - 1) / count))
        mean = op.Add(part, before)
        if self.mean_per_pixel:
            return mean
        return op.reduce("ReduceMean", mean, [2, 3], keepdims=1)


def _crop(spatial: Shape, crop: tuple[int, int]) -> tuple[Matrix, Matrix]:
    """Return the rows and columns of the middle, in float32 where Caffe is."""
    rows, columns = (
        bilinear(np.clip(_middle(size, top), 0, np.float32(size) - EDGE), size)
        for size, top in zip(spatial, crop, strict=True)
    )
    return rows, columns


def _middle(size: int, top: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    start = np.float32(0.5) * np.float32(size) - np.float32(0.5) * np.float32(top)
    return np.arange(top, dtype=np.float32) + start
