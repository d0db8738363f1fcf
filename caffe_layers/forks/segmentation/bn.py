"""BN, from PSPNet; the same in yjxiong's and happynear's Caffe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from caffe_layers.base.shape import Shape
from caffe_layers.normalization.running_norm import RunningNorm

FIELDS = {"slope_filler", "bias_filler", "momentum", "eps", "frozen", "engine"}


class BN(RunningNorm, type="BN", fork="pspnet"):
    """`top = (x - mean) / sqrt(var + eps) * weight + bias`, per channel; 4 blobs.

    The statistics run along in training: see `RunningNorm`. SegNet's type of the same name has
    2 blobs and none that run along; what the message says tells them apart, or the blobs do.

    Errors: ShapeError for bottoms of fewer than 2 or more than 4 axes.
    Caffe: hszhao/PSPNet, src/caffe/layers/bn_layer.cpp
    """

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        given = {field.name for field, _ in layer.bn_param.ListFields()}
        return given <= FIELDS and (bool(given) or not blobs or len(blobs) == 4)


class TsnBN(BN, type="BN", fork="tsn"):
    """PSPNet's BN, for `--dialect tsn`: without it the reading of PSPNet is the one that fits."""

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return False


class HappynearBN(BN, type="BN", fork="happynear"):
    """PSPNet's BN, for `--dialect happynear`: without it the reading of PSPNet fits."""

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return False
