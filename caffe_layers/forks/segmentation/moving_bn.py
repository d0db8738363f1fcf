"""BN, from Robert0812's Caffe, before it became yjxiong's and PSPNet's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typing_extensions import Unpack

from caffe_layers.base.message import is_set
from caffe_layers.base.shape import Shape
from caffe_layers.normalization.running_norm import RunningNorm, RunningNormFields
from prototxt.errors import UnsupportedError


class MovingBN(RunningNorm, type="BN", fork="robert0812"):
    """PSPNet's BN with an eps of 1e-7, of which a field `moving_average` tells: see `RunningNorm`.

    Errors: ShapeError for bottoms of fewer than 2 or more than 4 axes; UnsupportedError without
    `moving_average`, where Caffe's layer has 2 blobs and in testing reads statistics that nothing
    has set.
    Caffe: Robert0812/caffe at 3ae1322, src/caffe/layers/bn_layer.cpp
    """

    def __init__(
        self,
        channels: int,
        *,
        moving_average: bool = True,
        eps: float = 1e-7,
        **options: Unpack[RunningNormFields],
    ) -> None:
        if not moving_average:
            raise UnsupportedError(
                "moving_average is false: in testing Caffe's layer reads statistics that nothing "
                "has set",
                fix="a SegNet BN has the batch's statistics in testing: --dialect segnet",
            )
        super().__init__(channels, eps=eps, **options)

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return is_set(layer.bn_param, "moving_average")
