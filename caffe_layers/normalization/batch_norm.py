"""BatchNorm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_layers.arithmetic.batch_statistics import (
    norm_source,
    normalize_batch,
    onnx_normalize_batch,
)
from caffe_layers.base.checks import require
from caffe_layers.base.filler import Filler
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import UnsupportedError

from .base import KeepsSums
from .layouts import readings


class BatchNorm(KeepsSums, type="BatchNorm", param="batch_norm_param"):
    """`top = (x - mean) / sqrt(variance + eps)`, per channel of N x C x ....

    Blobs: mean C, variance C, factor 1. The stored statistics are sums: `mean / factor` and
    `variance / factor` are what torch calls running_mean and running_var, and 0 where the factor
    is 0. No scale and no bias: Caffe's networks put a Scale layer behind.

    In training the statistics are the batch's, with the biased variance, and every forward pass
    adds them: `mean = moving_average_fraction * mean + batch mean`, alike the unbiased variance,
    and the factor with 1. `use_global_stats` says which of both, whatever the mode is.

    DeepLab's and PSPNet's `update_global_stats`, if it is said at all, moves the rule: the sums
    grow only in training with `use_global_stats` and this flag, by the mean that is in use and by
    the batch's variance about it; and that variance, without a gradient, is what x is divided by.
    Of Intel's message only the ReLU would change anything in a layer of three blobs: other forms,
    with a scale of their own, are `ScaledBatchNorm`.

    Errors: ShapeError for a bottom of one axis, and for a `param` row whose lr_mult is not 0.
    Caffe: BVLC/caffe, src/caffe/layers/batch_norm_layer.cpp
    """

    scale_of_factor_0 = 0.0
    fork_fields = (
        "batch_norm_param.update_global_stats",
        "batch_norm_param.engine",
        "batch_norm_param.use_weight_bias",
        "batch_norm_param.bias_term",
        "batch_norm_param.filler",
        "batch_norm_param.bias_filler",
        "batch_norm_param.scale_bias",
    )

    def __init__(
        self,
        channels: int,
        *,
        use_global_stats: bool | None = None,
        moving_average_fraction: float = 0.999,
        eps: float = 1e-5,
        update_global_stats: bool | None = None,
    ) -> None:
        super().__init__()
        self.use_global_stats = use_global_stats
        self.update_global_stats = update_global_stats
        self.moving_average_fraction = float32(moving_average_fraction)
        self.eps = float32(eps)
        self.add_blob("mean", (channels,), Filler(), learnable=False)
        self.add_blob("variance", (channels,), Filler(), learnable=False)
        self.add_blob("factor", (1,), Filler(), learnable=False)

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return "bvlc" in readings(layer, blobs)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> BatchNorm:
        for index, spec in enumerate(layer.param):
            require(
                spec.lr_mult == 0,
                f"param row {index} has lr_mult {spec.lr_mult:g}, wants 0: statistics do not learn",
                fix="three rows, or none, are read as 0",
            )
        x = bottoms[0]
        require(len(x) >= 2, f"bottom {x} has {len(x)} axes, wants 2 or more")
        return cls(x[1], **cls.fields(layer))

    def forward(self, x: Tensor) -> Tensor:
        if not self.uses_batch():
            mean, var = self.statistics()
            if self.moves_while_global():
                var = self._move(x, mean)
            return F.batch_norm(x, mean, var, None, None, False, 0.0, self.eps)
        y, mean, var = normalize_batch(x, self.eps)
        if self.update_global_stats is None:
            self._add(mean, var)
        return y

    @property
    def is_affine(self) -> bool:
        return not self.uses_batch() and not self.moves_while_global()

    def moves_while_global(self) -> bool:
        """Tell whether the statistics grow although they are the ones in use."""
        return bool(self.training and self.update_global_stats)

    def _move(self, x: Tensor, mean: Tensor) -> Tensor:
        """Add the mean in use and the batch's variance about it; return that variance, biased."""
        with torch.no_grad():
            rows = x.transpose(0, 1).flatten(1)
            var = (rows - mean[:, None]).square().mean(1)
            values = rows.shape[1]
            self._add(mean, var * (values / (values - 1) if values > 1 else 1))
        return var

    def _add(self, mean: Tensor, var: Tensor) -> None:
        with torch.no_grad():
            for blob, new in ((self.mean, mean), (self.variance, var), (self.factor, 1)):
                blob.mul_(self.moving_average_fraction).add_(new)

    def onnx(self, op: Op, x: str) -> Values:
        if self.uses_batch():
            return onnx_normalize_batch(op, x, self.eps)
        if self.moves_while_global():
            raise UnsupportedError(
                "update_global_stats in training changes the statistics with every pass",
                fix="export the TEST phase",
            )
        mean, var = (value.cpu().numpy() for value in self.statistics(torch.float64))
        return op.BatchNormalization(
            x,
            op.array("scale", np.ones_like(mean)),
            op.array("bias", np.zeros_like(mean)),
            op.array("mean", mean),
            op.array("variance", var),
            epsilon=self.eps,
        )

    def python(self, py: Py, x: str) -> str:
        if self.uses_batch():
            return py.call("F.batch_norm", x, None, None, training=True, eps=self.eps)
        tensors = dict(zip(("running_mean", "running_var"), self.statistics(), strict=True))
        return norm_source(py, x, tensors, eps=self.eps, affine=False)
