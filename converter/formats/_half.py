"""Weights in float16, for every format but ONNX.

Those that float16 cannot hold stay in float32, or the whole is refused.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from converter.network.net import CaffeNet
from converter.onnx.float16 import SMALLEST_NORMAL, fits_half
from prototxt.errors import WeightError, within


def half_tensors(
    tensors: Mapping[str, Tensor], statistics: Collection[str]
) -> tuple[dict[str, Tensor], list[str]]:
    """Return tensors in float16, and a note of those that stay in float32.

    Weights do where float16 does not hold their largest value, and `statistics` (means and
    variances, of which each value counts) where it does not hold one with all of its digits.
    """
    made: dict[str, Tensor] = {}
    kept = []
    for name, tensor in tensors.items():
        holds = not tensor.is_floating_point() or _holds(tensor, whole=name in statistics)
        made[name] = tensor.half() if holds and tensor.is_floating_point() else tensor
        if not holds:
            kept.append(name)
    notes = [f"in float32, since float16 does not hold them: {', '.join(kept)}"] if kept else []
    return made, notes


def half_copy(net: CaffeNet) -> CaffeNet:
    """Return the network in float16, but for sums of statistics, which stay in float32.

    Raises WeightError for weights beyond float16's range.
    """
    half = copy.deepcopy(net).half()
    for step in half.steps:
        layer, own = half.layers[step.key], net.layers[step.key]
        for blob, before in zip(layer.blobs, own.blobs, strict=True):
            if bool((blob.isfinite() != before.isfinite()).any()):
                with within(step.place):
                    raise WeightError("float16 does not hold its weights", fix="--format onnx")
    return half


def _holds(tensor: Tensor, *, whole: bool) -> bool:
    array = tensor.detach().cpu().numpy()
    sizes = abs(array[array != 0])
    return fits_half(array) and not (whole and sizes.size and sizes.min() < SMALLEST_NORMAL)


def statistics_of(net: torch.nn.Module) -> set[str]:
    """Return the names of a module's running statistics."""
    return {name for name, _ in net.named_buffers()}
