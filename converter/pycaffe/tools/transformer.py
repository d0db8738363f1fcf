"""caffe.io.Transformer.

Caffe: python/caffe/io.py
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .images import resize_image


class Transformer:
    """Prepares images for a network's inputs, given by name with their shapes N x K x H x W.

    Each step that is set for an input runs in this order: resize, transpose, swap channels, times
    the raw scale, less the mean, times the input scale.
    """

    def __init__(self, inputs: Mapping[str, Sequence[int]]) -> None:
        self.inputs = inputs
        self.transpose: dict[str, Any] = {}
        self.channel_swap: dict[str, Any] = {}
        self.raw_scale: dict[str, Any] = {}
        self.mean: dict[str, Any] = {}
        self.input_scale: dict[str, Any] = {}

    def _check(self, name: str) -> None:
        if name not in self.inputs:
            raise Exception(f"{name} is not one of the net inputs: {self.inputs}")

    def preprocess(self, in_: str, data: np.ndarray) -> np.ndarray:
        """Return an image H x W x K as an input takes it."""
        self._check(in_)
        image = np.asarray(data).astype(np.float32, copy=False)
        size = tuple(self.inputs[in_][2:])
        if image.shape[:2] != size:
            image = resize_image(image, size)
        if (transpose := self.transpose.get(in_)) is not None:
            image = image.transpose(transpose)
        if (swap := self.channel_swap.get(in_)) is not None:
            image = image[swap, :, :]
        # In place, as in Caffe: scripts may see their float32 image scaled.
        if (raw_scale := self.raw_scale.get(in_)) is not None:
            image *= raw_scale
        if (mean := self.mean.get(in_)) is not None:
            image -= mean
        if (input_scale := self.input_scale.get(in_)) is not None:
            image *= input_scale
        return image

    def deprocess(self, in_: str, data: np.ndarray) -> np.ndarray:
        """Return the image that an input's values are of: `preprocess` backwards, in its size."""
        self._check(in_)
        image = np.asarray(data).copy().squeeze()
        if (input_scale := self.input_scale.get(in_)) is not None:
            image /= input_scale
        if (mean := self.mean.get(in_)) is not None:
            image += mean
        if (raw_scale := self.raw_scale.get(in_)) is not None:
            image /= raw_scale
        if (swap := self.channel_swap.get(in_)) is not None:
            image = image[np.argsort(swap), :, :]
        if (transpose := self.transpose.get(in_)) is not None:
            image = image.transpose(np.argsort(transpose))
        return image

    def set_transpose(self, in_: str, order: Sequence[int]) -> None:
        """Set the order of the axes: (2, 0, 1) for H x W x K images."""
        self._check(in_)
        if len(order) != len(self.inputs[in_]) - 1:
            raise Exception("Transpose order needs the same number of dimensions as the input.")
        self.transpose[in_] = order

    def set_channel_swap(self, in_: str, order: Sequence[int]) -> None:
        """Set the order of the channels: (2, 1, 0) makes BGR of RGB."""
        self._check(in_)
        if len(order) != self.inputs[in_][1]:
            raise Exception("Channel swap needs the same number of dimensions as the channels.")
        self.channel_swap[in_] = order

    def set_raw_scale(self, in_: str, scale: float) -> None:
        """Set what values are multiplied by before the mean: 255 for images in [0, 1]."""
        self._check(in_)
        self.raw_scale[in_] = scale

    def set_mean(self, in_: str, mean: np.ndarray) -> None:
        """Set what is subtracted: a value for each channel, or an image, resized if need be."""
        self._check(in_)
        shape = tuple(self.inputs[in_][1:])
        if mean.ndim == 1:
            if len(mean) != shape[0]:
                raise ValueError("Mean channels incompatible with input.")
            mean = mean[:, np.newaxis, np.newaxis]
        else:
            whole = mean[np.newaxis] if mean.ndim == 2 else mean
            if whole.ndim != 3:
                raise ValueError("Mean shape invalid")
            if whole.shape != shape:
                low, high = mean.min(), mean.max()
                normal = ((mean - low) / (high - low)).transpose((1, 2, 0))
                resized = resize_image(normal, shape[1:]).transpose((2, 0, 1))
                mean = resized * (high - low) + low
        self.mean[in_] = mean

    def set_input_scale(self, in_: str, scale: float) -> None:
        """Set what values are multiplied by after the mean."""
        self._check(in_)
        self.input_scale[in_] = scale
