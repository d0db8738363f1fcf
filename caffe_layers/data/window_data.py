"""WindowData, which R-CNN trains on."""

from __future__ import annotations

from functools import partial
from math import copysign
from typing import Any

import numpy as np

from caffe_layers.base.checks import require
from caffe_layers.base.message import fork_field
from caffe_layers.base.number import float32
from caffe_layers.base.shape import Shape
from prototxt.data.images import read_image, resize
from prototxt.data.lists import beneath, read_windows
from prototxt.errors import FormatError, within

from .base_data import PREFETCH, BaseData, opened
from .batches import SAMPLE, Array, Samples, Way
from .data_transformer import DataTransformer

CHANNELS = 3  # images are read in colour


class WindowData(BaseData, type="WindowData", param="window_data_param", bottoms=0, tops=2):
    """Windows of images, N x 3 x crop_size x crop_size, and their classes N, drawn at random.

    `source` lists images with windows: those that overlap an object by `fg_threshold` keep their
    class, those by less than `bg_threshold` are background, class 0. The first N (1 -
    `fg_fraction`) of a batch are background. Each is warped to the crop: as it is, or made square
    (`crop_mode`), with `context_pad` pixels around it; what lies outside of the image is 0. As in
    Caffe the scale is `window_data_param`'s, the transform's says nothing, and the middle of a mean
    file is subtracted. Where the list is not there, the tops can only be fed; C is then known where
    there is a mean value for each channel. `cache_images` changes nothing.

    Errors: ShapeError without a `crop_size`, and where `context_pad` leaves none of it; FormatError
    for a list without windows of a kind that is drawn, a window outside of its image, an image that
    is missing or damaged.
    Caffe: BVLC/caffe, src/caffe/layers/window_data_layer.cpp
    """

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> WindowData:
        param = layer.window_data_param
        transform = DataTransformer.from_caffe(layer.transform_param)
        batch, crop, channels = param.batch_size, transform.crop_size, len(transform.mean_value)
        require(crop > 0, "crop_size is 0, wants 1 or more")
        rest = crop - 2 * param.context_pad
        require(rest > 0, f"context_pad {param.context_pad} leaves none of crop_size {crop}")
        known = batch and channels > 1
        windows = partial(WindowFile, param, transform)
        samples, read_error = opened(windows, param.source, param, layer.transform_param)
        return cls(
            (batch, channels, crop, crop) if known else None,
            (batch,) if batch else None,
            samples=samples,
            read_error=read_error,
            transform=transform,
            prefetch=fork_field(layer.data_param, "prefetch", PREFETCH),
            **cls.fields(layer),
        )


class WindowFile(Samples):
    """The windows of a list; `param` is a WindowDataParameter."""

    def __init__(self, param: Any, transform: DataTransformer) -> None:
        self.source = param.source
        self.transform = transform
        self.scale = float32(param.scale)
        self.context_pad = param.context_pad
        self.square = param.crop_mode == "square"
        file = read_windows(param.source)
        if file.channels != CHANNELS:
            raise FormatError(f"{param.source}: images of {file.channels} channels, wants 3")
        self.paths = [beneath(param.root_folder, path, param.source) for path in file.paths]
        found = file.overlaps >= np.float32(param.fg_threshold)
        missed = ~found & (file.overlaps < np.float32(param.bg_threshold))
        foreground, background = file.boxes[found], file.boxes[missed]
        if (foreground[:, 1] < 1).any():
            raise FormatError(f"{param.source}: a foreground window of class 0, wants 1 or more")
        background[:, 1] = 0
        batch = param.batch_size
        drawn = int(np.float32(batch) * np.float32(param.fg_fraction))
        self.kinds = (background, foreground)
        self.backgrounds = batch - drawn
        for wanted, windows, name in (
            (batch - drawn, background, "background"),
            (drawn, foreground, "foreground"),
        ):
            if wanted and not len(windows):
                raise FormatError(f"{param.source}: no window is {name}, wants {wanted} a batch")

    def top_shape(self) -> Shape:
        crop = self.transform.crop_size
        return (CHANNELS, crop, crop)

    def sample(self, position: int, item: int, way: Way) -> tuple[Array, int]:
        random = way.random(SAMPLE, position)
        windows = self.kinds[int(item >= self.backgrounds)]
        index, label, *box = windows[int(random.integers(len(windows)))].tolist()
        flip = self.transform.mirror and bool(random.integers(2))
        image = read_image(self.paths[index])
        dtype = way.dtype
        values = self.transform.mean_values(CHANNELS, dtype)
        with within(f"{self.source}: {self.paths[index]}: window {box}"):
            pixels, down, right = self._warped(image, box, flip, dtype)
            top = np.zeros(self.top_shape(), dtype)
            place = (
                slice(None),
                slice(down, down + pixels.shape[1]),
                slice(right, right + pixels.shape[2]),
            )
            mean = self._middle(dtype)[place] if self.transform.mean_file else values
            top[place] = (pixels - mean) * dtype.type(self.scale)
        return top, label

    def _warped(
        self, image: Array, box: list[int], flip: bool, dtype: np.dtype[Any]
    ) -> tuple[Array, int, int]:
        """Return what a window shows, C x h x w, and where in the crop it begins."""
        crop = self.transform.crop_size
        sizes, begin = [crop, crop], [0, 0]
        spans = [(box[1], box[3]), (box[0], box[2])]  # rows, columns
        if self.context_pad or self.square:
            spans, sizes, pads = self._with_context(image, spans, dtype)
            begin = [pads[0][0], pads[1][int(flip)]]
            # Rounded apart, what is shown and what is before it may not fit together.
            sizes = [min(size, crop - first) for size, first in zip(sizes, begin, strict=True)]
        inside = all(
            0 <= first <= last < size
            for (first, last), size in zip(spans, image.shape[:2], strict=True)
        )
        if not inside or min(sizes) < 1:
            height, width = image.shape[:2]
            raise FormatError(f"it shows nothing of the {width} x {height} image, or leaves it")
        (y1, y2), (x1, x2) = spans
        warped = resize(image[y1 : y2 + 1, x1 : x2 + 1], *sizes)
        pixels = warped.transpose(2, 0, 1)
        return pixels[:, :, ::-1] if flip else pixels, begin[0], begin[1]

    def _with_context(self, image: Array, spans: Any, dtype: np.dtype[Any]) -> tuple[Any, ...]:
        """Return the spans grown and clipped, their sizes in the crop, and what is beside them."""
        crop, real = self.transform.crop_size, dtype.type  # all in the network's own type
        grow = real(crop) / real(crop - 2 * self.context_pad)
        halves = [real((last - first + 1) / 2) for first, last in spans]
        centres = [real(first) + half for (first, _), half in zip(spans, halves, strict=True)]
        if self.square:
            halves = [max(halves)] * 2
        clipped, sizes, pads = [], [], []
        for centre, half, length in zip(centres, halves, image.shape, strict=False):
            first, last = _round(centre - half * grow), _round(centre + half * grow)
            before, behind = max(0, -first), max(0, last - length + 1)
            unit = real(crop) / real(last - first + 1)
            first, last = first + before, last - behind
            pad = _round(real(before) * unit), _round(real(behind) * unit)
            clipped.append((first, last))
            sizes.append(_round(real(last - first + 1) * unit))
            pads.append(pad)
        return clipped, sizes, pads

    def _middle(self, dtype: np.dtype[Any]) -> Array:
        """Return the middle of the mean file, of the crop's size."""
        crop, mean = self.transform.crop_size, self.transform.mean_image
        first = (mean.shape[2] - crop) // 2  # from the width, for the rows too
        middle = mean[:, first : first + crop, first : first + crop] if first >= 0 else mean[:0]
        wants = self.top_shape()
        require(middle.shape == wants, f"{self.transform.mean_file} is {mean.shape}, wants {wants}")
        return middle.astype(dtype, copy=False)


def _round(value: Any) -> int:
    """Round as C does: halves away from zero."""
    value = float(value)
    return int(value + copysign(0.5, value))
