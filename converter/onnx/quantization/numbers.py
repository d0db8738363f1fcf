"""Eight-bit numbers: a value is `scale * (q - zero)`, of a tensor or of each channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LARGEST_WEIGHT = 127
"""Weights are -127 to 127 around 0, so that a product needs no correction for them."""
LARGEST_BIAS = 2**31 - 1


@dataclass(frozen=True)
class Rounding:
    """How the values of a tensor become eight bits: the type of `zero` is that of the numbers."""

    scale: np.float32
    zero: np.uint8 | np.int8

    @property
    def range(self) -> tuple[float, float]:
        """The least and the largest value that it holds."""
        limits = np.iinfo(self.zero.dtype)
        scale, zero = float(self.scale), int(self.zero)
        return (int(limits.min) - zero) * scale, (int(limits.max) - zero) * scale


@dataclass(frozen=True)
class Weight:
    """Weights in eight bits, with a scale for each place of `axis`."""

    values: np.ndarray
    scales: np.ndarray
    axis: int


def rounding_of(least: float, most: float, *, signed: bool = False) -> Rounding:
    """Return how values between two numbers are rounded; 0 is always held exactly.

    Unsigned numbers take up the whole range. Signed ones lie around 0, as TensorRT wants them.
    """
    least, most = min(least, 0.0), max(most, 0.0)
    if signed:
        scale = np.float32(max(-least, most) / 127 or 1.0)
        return Rounding(scale, np.int8(0))
    scale = np.float32((most - least) / 255 or 1.0)
    return Rounding(scale, np.uint8(np.clip(np.round(-least / scale), 0, 255)))


def quantized_weight(
    weight: np.ndarray,
    axis: int,
    least: np.ndarray | float = 0.0,
    scales: np.ndarray | None = None,
) -> Weight:
    """Return weights in eight bits, a scale for each channel of `axis`, none below `least`.

    `scales` are those of a file, one for each channel or one for all.
    """
    others = tuple(index for index in range(weight.ndim) if index != axis)
    if scales is None:
        scales = np.abs(weight).max(axis=others, initial=0).astype(np.float64) / LARGEST_WEIGHT
        scales = np.maximum(scales, least)
        scales = np.where(scales > 0, scales, 1.0)
    scales = np.broadcast_to(scales, weight.shape[axis]).astype(np.float32)
    shape = [-1 if index == axis else 1 for index in range(weight.ndim)]
    values = np.round(weight / scales.reshape(shape)).clip(-LARGEST_WEIGHT, LARGEST_WEIGHT)
    return Weight(values.astype(np.int8), scales, axis)


def least_scales(bias: np.ndarray, scale: float) -> np.ndarray:
    """Return the least scales of channels whose bias 32 bits hold, for inputs of a scale.

    The bias is counted in products of both scales. It overflows where a channel's weights are next
    to nothing beside it.
    """
    return np.abs(bias.astype(np.float64)) * 1.001 / (scale * LARGEST_BIAS)


def quantized_bias(bias: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Return a bias in 32 bits, in units of `scales`: those of the products that it is added to."""
    return np.round(bias.astype(np.float64) / scales.astype(np.float64)).astype(np.int32)
