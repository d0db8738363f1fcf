"""Preprocessing as a torch module."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from converter.network.net import CaffeNet
from prototxt.errors import ShapeError, UsageError

from .families import preprocessing_of
from .settings import ImageSettings
from .spec import LUMA, Preprocessing


class Transform(nn.Module):
    """RGB images, N x H x W x 3 bytes of any size, to a network's input, N x C x H x W.

    Takes a tensor or array of one image (H x W x 3) or several, a Pillow image, or a list of
    either, whose sizes may differ: then each is resized and cropped alone. Raises UsageError for a
    path and for no image at all, ShapeError for what is no RGB image, and for one that is smaller
    than the crop.
    """

    mean: Tensor

    def __init__(self, preprocessing: Preprocessing, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.preprocessing = preprocessing
        mean = torch.from_numpy(preprocessing.mean_planes.copy())
        self.register_buffer("mean", mean.to(dtype), persistent=False)

    def forward(self, images: Any) -> Tensor:
        if isinstance(images, (str, bytes, PathLike)):
            raise UsageError(f"{images!r} is no image", fix="open it: PIL.Image.open(path)")
        if isinstance(images, Sequence):
            if not images:
                raise UsageError("no image is given")
            return torch.cat([self(image) for image in images])
        if not isinstance(images, Tensor):
            images = torch.from_numpy(np.array(images))
        if images.dim() == 3:
            images = images[None]
        if images.dim() != 4 or images.shape[3] != 3:
            raise ShapeError(f"images of {tuple(images.shape)}, wants N x H x W x 3: RGB")
        x = images.to(self.mean).permute(0, 3, 1, 2)
        x = self.ordered(x)
        size = self.preprocessing.resized(*x.shape[2:])
        if size != tuple(x.shape[2:]):
            x = F.interpolate(x, size, mode="bilinear", align_corners=False)
        planes, mean = tuple(x.shape[2:]), tuple(self.mean.shape[1:])
        if mean not in ((1, 1), planes):
            raise ShapeError(f"the image is resized to {planes}, the mean image is {mean}")
        return self.cropped(x - self.mean) * self.preprocessing.scale

    def ordered(self, x: Tensor) -> Tensor:
        """Return RGB planes in the input's order."""
        if self.preprocessing.order == "GRAY":
            weights = torch.tensor(LUMA).to(x)
            return (x * weights[:, None, None]).sum(1, keepdim=True)
        return x.flip(1) if self.preprocessing.order == "BGR" else x

    def cropped(self, x: Tensor) -> Tensor:
        """Return the middle of the planes."""
        crop, planes = self.preprocessing.crop, tuple(x.shape[2:])
        if crop is None:
            return x
        if self.preprocessing.exact and planes != crop:
            raise ShapeError(
                f"the image is {planes[0]}x{planes[1]}, the input {crop[0]}x{crop[1]}",
                fix="give an image of that size, say in place of --raw what is done to it, or run "
                "the network at the image's size with --input-shape",
            )
        top, left = ((size - part) // 2 for size, part in zip(planes, crop, strict=True))
        if top < 0 or left < 0:
            is_ = "is" if self.preprocessing.resize is None else "is resized to"
            raise ShapeError(
                f"the image {is_} {planes[0]}x{planes[1]}, the crop {crop[0]}x{crop[1]}",
                fix="bring it to a size with --resize",
            )
        return x[..., top : top + crop[0], left : left + crop[1]]


def preprocess(net: CaffeNet, **settings: Unpack[ImageSettings]) -> Transform:
    """Return the torch transform from RGB images to a network's input, on its device.

    Args:
        net: the network; where it takes several inputs, one of them takes images.
        **settings: `family`, `channels`, `mean`, `scale`, `resize`, `crop` and `raw`, as
            `preprocessing_of` says.

    Raises what `preprocessing_of` does.
    """
    return Transform(preprocessing_of(net, **settings), net.dtype).to(net.device)
