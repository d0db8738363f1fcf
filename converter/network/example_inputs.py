"""Seeded inputs for a network, where none are given."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from caffe_layers import Shape

from .net import CaffeNet

BATCH = 2
"""Samples of a random batch: enough to see that they are kept apart."""


def random_inputs(
    net: CaffeNet, seed: int, *, losses: bool = False, several: bool = False
) -> dict[str, Tensor]:
    """Return seeded noise, N(0, 1), for the inputs that an exported model needs.

    The batch is 2 where the network admits that in place of the file's larger one, with `several`
    also of a single sample. With `losses` the inputs that only they use are among them; labels are
    0 or 1.
    """
    shapes = net.exported(with_losses=losses).inputs
    labels = _labels(net)
    return {
        name: torch.from_numpy(_noise(shape, seed + index, label=name in labels)).to(
            net.device, net.dtype
        )
        for index, (name, shape) in enumerate(_small(net, shapes, several=several).items())
    }


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
