"""caffe.Classifier.

Caffe: python/caffe/classifier.py
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from converter.pycaffe.net import Net

from .images import oversample as crops_of
from .images import resize_image
from .transformer import Transformer

TEST = 1
CROPS = 10


class Preprocessed(Net):
    """A network with a `transformer` of its first input, for images H x W x K."""

    def __init__(
        self,
        model_file: Any,
        pretrained_file: Any,
        mean: Any = None,
        input_scale: Any = None,
        raw_scale: Any = None,
        channel_swap: Any = None,
    ) -> None:
        super().__init__(model_file, TEST, weights=pretrained_file)
        name = self.inputs[0]
        self.transformer = Transformer({name: self.blobs[name].data.shape})
        self.transformer.set_transpose(name, (2, 0, 1))
        if mean is not None:
            self.transformer.set_mean(name, mean)
        if input_scale is not None:
            self.transformer.set_input_scale(name, input_scale)
        if raw_scale is not None:
            self.transformer.set_raw_scale(name, raw_scale)
        if channel_swap is not None:
            self.transformer.set_channel_swap(name, channel_swap)

    def predictions_of(self, images: Any, shape: Any) -> np.ndarray:
        """Return the first output for images, prepared as inputs of a shape."""
        name = self.inputs[0]
        fed = np.zeros((len(images), *shape), np.float32)
        for index, image in enumerate(images):
            fed[index] = self.transformer.preprocess(name, image)
        return self.forward_all(**{name: fed})[self.outputs[0]]


class Classifier(Preprocessed):
    """A network that tells what photos show; `image_dims` is the size they are scaled to first."""

    def __init__(
        self,
        model_file: Any,
        pretrained_file: Any,
        image_dims: Any = None,
        mean: Any = None,
        input_scale: Any = None,
        raw_scale: Any = None,
        channel_swap: Any = None,
    ) -> None:
        super().__init__(model_file, pretrained_file, mean, input_scale, raw_scale, channel_swap)
        self.crop_dims = np.array(self.blobs[self.inputs[0]].data.shape[2:])
        self.image_dims = image_dims if image_dims else self.crop_dims

    def predict(self, inputs: Sequence[np.ndarray], oversample: bool = True) -> np.ndarray:
        """Return the predictions N x C for N images H x W x K.

        They are the mean over ten crops of each; without `oversample` those for the middle.
        """
        scaled = np.zeros((len(inputs), *self.image_dims, inputs[0].shape[2]), np.float32)
        for index, image in enumerate(inputs):
            scaled[index] = resize_image(image, self.image_dims)
        if oversample:
            scaled = crops_of(scaled, self.crop_dims)
        else:
            top, left = ((np.array(self.image_dims) - self.crop_dims) / 2.0).astype(int)
            high, wide = self.crop_dims
            scaled = scaled[:, top : top + high, left : left + wide]
        found = self.predictions_of(scaled, np.array(scaled.shape)[[3, 1, 2]])
        if oversample:
            return np.asarray(found.reshape((len(found) // CROPS, CROPS, -1)).mean(1))
        return found
