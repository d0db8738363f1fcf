"""What Caffe does to an image between its file and the data blob."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caffe_layers.base.checks import legacy_shape
from caffe_layers.base.fields import arguments_of, read_fields
from caffe_layers.base.number import float32
from caffe_layers.base.shape import Shape
from prototxt import read_blob
from prototxt.errors import FormatError, ShapeError

Array = NDArray[Any]


@dataclass(frozen=True)
class DataTransformer:
    """One `TransformationParameter`: `top = (image - mean) * scale`, cropped, perhaps mirrored.

    The mean is `mean_file`'s, of the whole image's size, or `mean_value`: one for all channels or
    one for each. A crop of `crop_size` (0: none) is the middle in TEST and anywhere in TRAIN;
    `mirror` flips half of the images in both. `force_color` and `force_gray` say how encoded images
    are decoded.

    Caffe: BVLC/caffe, src/caffe/data_transformer.cpp
    """

    scale: float = 1.0
    mirror: bool = False
    crop_size: int = 0
    mean_file: str = ""
    mean_value: tuple[float, ...] = ()
    force_color: bool = False
    force_gray: bool = False

    def __post_init__(self) -> None:
        if self.mean_file and self.mean_value:
            raise ShapeError("it has both mean_file and mean_value, wants one of them")
        if self.force_color and self.force_gray:
            raise ShapeError("it has both force_color and force_gray, wants one of them")
        object.__setattr__(self, "scale", float32(self.scale))
        object.__setattr__(self, "mean_value", tuple(map(float32, self.mean_value)))

    @classmethod
    def from_caffe(cls, param: Any) -> DataTransformer:
        """Read a `TransformationParameter` message."""
        return cls(**read_fields(param, arguments_of(cls)))

    @property
    def color(self) -> bool | None:
        """How encoded images are decoded: None leaves them as they are."""
        return True if self.force_color else False if self.force_gray else None

    def is_random(self, training: bool) -> bool:
        """Tell whether an image needs random numbers."""
        return self.mirror or bool(training and self.crop_size)

    def top_shape(self, image: Shape) -> Shape:
        """Return C x H x W of what becomes of a C x H x W image; ShapeError if it is too small."""
        channels, height, width = image
        crop = self.crop_size
        if height < crop or width < crop:
            raise ShapeError(
                f"the image is {height} x {width}, crop_size wants {crop} x {crop} at least"
            )
        return (channels, crop, crop) if crop else image

    def __call__(
        self,
        image: Array,
        dtype: np.dtype[Any],
        *,
        training: bool,
        random: np.random.Generator | None,
    ) -> Array:
        """Return a C x H x W image transformed, computed in `dtype`.

        `random` may be None where `is_random` says no.
        """
        _, height, width = self.top_shape(image.shape)
        flip = self.mirror and random is not None and bool(random.integers(2))
        spare = image.shape[1] - height, image.shape[2] - width
        if training and self.crop_size and random is not None:
            top, left = (int(random.integers(size + 1)) for size in spare)
        else:
            top, left = (size // 2 for size in spare)
        window = (slice(None), slice(top, top + height), slice(left, left + width))
        mean = self.mean_values(image.shape[0], dtype)
        if self.mean_file:
            whole = self.mean_image
            if whole.shape != image.shape:
                raise ShapeError(f"the image is {image.shape}, {self.mean_file} {whole.shape}")
            mean = whole[window].astype(dtype, copy=False)
        out: Array = np.subtract(image[window], mean, dtype=dtype)
        if self.scale != 1:
            out *= dtype.type(self.scale)
        return out[:, :, ::-1] if flip else out

    def mean_values(self, channels: int, dtype: np.dtype[Any]) -> Array:
        """Return `mean_value`, or 0, as C x 1 x 1 or 1 x 1 x 1; ShapeError for another number."""
        count = len(self.mean_value)
        if count not in (0, 1, channels):
            raise ShapeError(f"{count} mean values, wants 1, or {channels}: one a channel")
        return _column(self.mean_value or (0.0,), dtype)

    @cached_property
    def mean_image(self) -> Array:
        """The mean file's blob, C x H x W."""
        try:
            blob = read_blob(self.mean_file).array
        except OSError as error:
            why = error.strerror
            raise FormatError(f"mean_file {self.mean_file!r} cannot be read: {why}") from None
        mean: Array = blob.reshape(legacy_shape(blob.shape, self.mean_file))[0]
        return mean


@cache
def _column(values: tuple[float, ...], dtype: np.dtype[Any]) -> Array:
    return np.array(values, dtype)[:, None, None]
