"""Which of the forks' BatchNorms a layer is: they differ in their blobs and in what they scale."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from caffe_layers.base.message import enum_name, fork_field, is_set
from caffe_layers.base.shape import Shape

MKL = ("MKL2017", "MKLDNN")
"""Intel's engines that give BatchNorm a scale and a bias of its own."""


def readings(layer: Any, blobs: Sequence[Shape] | None) -> set[str]:
    """Return the forks whose BatchNorm this layer may be, by its fields and its blobs' shapes.

    * bvlc: mean, variance, factor
    * intel: mean, variance, factor, scale (and bias)
    * nvidia, 0.16 and later: mean, variance, factor, scale, bias
    * nvidia_0_15: scale, bias, mean, variance, factor
    * nvidia_0_14, its cuDNN engine: scale, bias, factor, mean, variance, of four axes each

    Without weights nothing tells whether NVIDIA's cuDNN engine scales, as it did before 0.16.
    """
    param = layer.batch_norm_param
    if "use_global_stats" not in param.DESCRIPTOR.fields_by_name:
        return set()  # SKNet's message of the same name
    scaled = _says_nvidia(param)
    if blobs and len(blobs) == 5:
        return _of_five(blobs, scaled=scaled)
    if blobs and len(blobs) == 4:
        return {"intel"}
    if scaled:
        return {"nvidia"}
    if not blobs and fork_field(param, "engine", 0) and enum_name(param, "engine") == "CUDNN":
        return {"bvlc", "nvidia_0_14", "nvidia_0_15"}
    merged = fork_field(param, "relu", False) or (not blobs and _says_intel(param))
    return {"intel"} if merged else {"bvlc"}


def _of_five(blobs: Sequence[Shape], *, scaled: bool) -> set[str]:
    """Tell five blobs by the place of the factor, the only one of a single value."""
    found = set()
    if _alone(blobs, 4):
        found.add("nvidia_0_15")
    if _alone(blobs, 2):
        whole = len(blobs[0]) == 4
        found.add("nvidia_0_14" if whole else "nvidia" if scaled else "intel")
    return found


def _alone(blobs: Sequence[Shape], place: int) -> bool:
    channels = {prod(shape) for at, shape in enumerate(blobs) if at != place}
    return prod(blobs[place]) == 1 and len(channels) == 1


def _says_nvidia(param: Any) -> bool:
    """Tell whether NVIDIA's message asks for a scale: by itself, or by a filler for it."""
    if "scale_bias" not in param.DESCRIPTOR.fields_by_name:
        return False
    filled = is_set(param, "scale_filler") or is_set(param, "bias_filler")
    return bool(param.scale_bias) or filled


def _says_intel(param: Any) -> bool:
    if not fork_field(param, "use_weight_bias", False):
        return False
    return enum_name(param, "engine") in MKL
