"""Seeded inputs for a network, where none are given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caffe_layers import Layer, Shape
from caffe_layers.base.layer import Asked

from .net import CaffeNet
from .steps import Step

REGION = 5
"""Numbers of a region: its image, x1, y1, x2, y2."""
BATCH = 2
"""Samples of a random batch: enough to see that they are kept apart."""


def random_inputs(
    net: CaffeNet,
    seed: int,
    *,
    losses: bool = False,
    several: bool = False,
    shapes: Mapping[str, Shape] | None = None,
) -> dict[str, Tensor]:
    """Return seeded noise, N(0, 1), for the inputs that an exported model needs.

    What a layer asks for is made as it asks: sequences that all begin in the first step, regions
    within the image, an image's own height and width at scale 1.

    The batch is 2 where the network admits that in place of the file's larger one, with `several`
    also of a single sample. With `losses` the inputs that only they use are among them; labels are
    0 or 1. With `shapes` they have these, whatever the network's are.
    """
    if shapes is None:
        shapes = _small(net, net.exported(with_losses=losses).inputs, several=several)
    labels = _labels(net)
    made = {
        name: _noise(shape, seed + index, label=name in labels)
        for index, (name, shape) in enumerate(shapes.items())
    }
    for step, name, asked in _asked(net, shapes):
        image = _image(step, net.layers[step.key], shapes)
        if image is not None or asked == "cont":
            made[name] = _meant(asked, made[name], image or (), seed)
    return {name: torch.from_numpy(value).to(net.device, net.dtype) for name, value in made.items()}


def random_images(seed: int, batch: int, size: tuple[int, int] = (270, 341)) -> np.ndarray:
    """Return smooth RGB images of seeded noise, N x H x W x 3 bytes."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(256, size=(batch, 9, 11, 3)).astype(np.float32)
    rows, columns = (np.linspace(0, n - 1.001, m) for n, m in zip((9, 11), size, strict=True))
    for axis, places in ((1, rows), (2, columns)):
        low = places.astype(int)
        part = (places - low).reshape((-1,) + (1,) * (3 - axis)).astype(np.float32)
        below, above = coarse.take(low, axis), coarse.take(low + 1, axis)
        coarse = below * (1 - part) + above * part
    return coarse.round().astype(np.uint8)


def _labels(net: CaffeNet) -> set[str]:
    return {
        step.bottoms[bottom]
        for step in net.steps
        for bottom in step.cls.fixed_bottoms
        if bottom < len(step.bottoms)
    }


def _asked(net: CaffeNet, shapes: Mapping[str, Shape]) -> Iterator[tuple[Step, str, Asked]]:
    """Yield the inputs of which a layer asks more than numbers, with that layer."""
    for step in net.steps:
        for place, asked in step.cls.asks.items():
            if place < len(step.bottoms) and step.bottoms[place] in shapes:
                yield step, step.bottoms[place], asked


def _meant(
    asked: Asked, noise: NDArray[np.float32], image: Shape, seed: int
) -> NDArray[np.float32]:
    """Return values of an input's shape that mean what a layer asks for; `image` is N, H and W."""
    rows = np.ones((len(noise), noise[:1].size), np.float32)
    if asked == "cont":
        rows[:1] = 0
    elif asked == "image info":
        rows[:, :2] = image[1:]
    elif rows.shape[1] == REGION:
        generator = np.random.default_rng(seed)
        height, width = image[1:]
        for near, side in ((1, width), (2, height)):
            # Whole numbers, far from where one pixel more or less is a matter of rounding.
            rows[:, near] = (generator.uniform(0, 0.5, len(rows)) * side).round()
            extent = (generator.uniform(0.2, 0.5, len(rows)) * side).round()
            rows[:, near + 2] = np.minimum(rows[:, near] + extent, side - 1)
        rows[:, 0] = np.arange(len(rows)) % image[0]
    else:
        return noise
    return rows.reshape(noise.shape)


def _image(step: Step, layer: Layer, shapes: Mapping[str, Shape]) -> Shape | None:
    """Return number, height and width of the images that a layer's regions lie in; None if unknown.

    They are the largest maps that are fed. Where those are the layer's own features, the image is
    as much larger as the layer says.
    """
    maps = [name for name, shape in shapes.items() if len(shape) == 4 and min(shape[2:]) > 1]
    if not maps:
        return None
    name = max(maps, key=lambda name: shapes[name][2] * shapes[name][3])
    larger = 1 / getattr(layer, "spatial_scale", 1) if name in step.bottoms else 1
    number, _, height, width = shapes[name]
    return number, round(height * larger), round(width * larger)


def _small(net: CaffeNet, shapes: dict[str, Shape], *, several: bool) -> dict[str, Shape]:
    batches = {shape[0] for shape in shapes.values() if shape}
    if len(batches) != 1 or (max(batches) <= BATCH and not several):
        return shapes
    small = {name: (BATCH, *shape[1:]) if shape else shape for name, shape in shapes.items()}
    return small if net.admits(small) else shapes


def _noise(shape: Shape, seed: int, *, label: bool) -> np.ndarray:
    generator = np.random.default_rng(seed)
    noise = generator.integers(2, size=shape) if label else generator.standard_normal(shape)
    return noise.astype(np.float32)
