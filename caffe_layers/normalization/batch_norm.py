"""BatchNorm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..batch_statistics import normalize_batch, onnx_normalize_batch
from ..checks import require
from ..filler import Filler
from ..layer import Layer, Shape
from ..number import float32


class BatchNorm(Layer, type="BatchNorm"):
    """`top = (x - mean) / sqrt(variance + eps)`, per channel of N x C x ....

    Blobs: mean C, variance C, factor 1. The stored statistics are sums: `mean / factor` and
    `variance / factor` are what torch calls running_mean and running_var, and 0 where the factor
    is 0. No scale and no bias: Caffe's networks put a Scale layer behind.

    In training the statistics are the batch's, with the biased variance, and every forward pass
    adds them: `mean = moving_average_fraction * mean + batch mean`, alike the unbiased variance,
    and the factor with 1. `use_global_stats` says which of both, whatever the mode is.

    Errors: ShapeError for a bottom of one axis, and for a `param` row whose lr_mult is not 0.
    Caffe: BVLC/caffe, src/caffe/layers/batch_norm_layer.cpp
    """

    def __init__(
        self,
        channels: int,
        *,
        use_global_stats: bool | None = None,
        moving_average_fraction: float = 0.999,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.use_global_stats = use_global_stats
        self.moving_average_fraction = float32(moving_average_fraction)
        self.eps = float32(eps)
        self.add_blob("mean", (channels,), Filler(), learnable=False)
        self.add_blob("variance", (channels,), Filler(), learnable=False)
        self.add_blob("factor", (1,), Filler(), learnable=False)

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return "use_global_stats" in layer.batch_norm_param.DESCRIPTOR.fields_by_name

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> BatchNorm:
        for index, spec in enumerate(layer.param):
            require(
                spec.lr_mult == 0,
                f"param row {index} has lr_mult {spec.lr_mult:g}, wants 0: statistics do not learn",
                fix="three rows, or none, are read as 0",
            )
        param = layer.batch_norm_param
        x = bottoms[0]
        require(len(x) >= 2, f"bottom {x} has {len(x)} axes, wants 2 or more")
        return cls(
            x[1],
            use_global_stats=param.use_global_stats if param.HasField("use_global_stats") else None,
            moving_average_fraction=param.moving_average_fraction,
            eps=param.eps,
        )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> BatchNorm:
        def exactly(blob: Tensor) -> Tensor:
            # A sum of a thousand variances overflows float16: a half network keeps its sums whole.
            moved = fn(blob)
            return moved if moved.dtype.itemsize >= 4 else blob.to(moved.device)

        super()._apply(exactly, recurse)  # type: ignore[no-untyped-call]  # torch's has no types
        return self

    def shapes(self, x: Shape) -> list[Shape]:
        channels = self.mean.shape[0]
        require(len(x) >= 2, f"bottom {x} has {len(x)} axes, wants 2 or more")
        require(x[1] == channels, f"bottom {x} has {x[1]} channels, the layer has {channels}")
        return [x]

    def uses_batch(self) -> bool:
        """Tell whether the statistics are the batch's."""
        return self.training if self.use_global_stats is None else not self.use_global_stats

    def forward(self, x: Tensor) -> Tensor:
        if not self.uses_batch():
            scale = torch.where(self.factor == 0, 0, 1 / self.factor)
            mean, var = self.mean * scale, self.variance * scale
            return F.batch_norm(x, mean, var, None, None, False, 0.0, self.eps)
        y, mean, var = normalize_batch(x, self.eps)
        with torch.no_grad():
            for blob, new in ((self.mean, mean), (self.variance, var), (self.factor, 1)):
                blob.mul_(self.moving_average_fraction).add_(new)
        return y

    def onnx(self, op: Any, x: str) -> Any:
        if self.uses_batch():
            return onnx_normalize_batch(op, x, self.eps)
        factor = float(self.factor)
        scale = 0 if factor == 0 else 1 / factor
        mean, var = (
            np.asarray(blob.detach().cpu().numpy(), np.float64) * scale
            for blob in (self.mean, self.variance)
        )
        return op.BatchNormalization(
            x,
            op.array("scale", np.ones_like(mean)),
            op.array("bias", np.zeros_like(mean)),
            op.array("mean", mean),
            op.array("variance", var),
            epsilon=self.eps,
        )
