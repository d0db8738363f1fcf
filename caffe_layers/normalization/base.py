"""What the layers that keep sums of statistics have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeVar

import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.shape import Shape

Self = TypeVar("Self", bound="KeepsSums")


class KeepsSums(Layer):
    """A normalization per channel of N x C x ... with `mean`, `variance` and `factor` as blobs.

    The stored statistics are sums: divided by the factor they are what torch calls running_mean
    and running_var.
    """

    family = "normalization"
    scale_of_factor_0: ClassVar[float]
    """What the sums are multiplied by where the factor is 0."""
    use_global_stats: bool | None
    mean: Tensor
    variance: Tensor
    factor: Tensor

    def _apply(self: Self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        def exactly(blob: Tensor) -> Tensor:
            # A sum of a thousand variances overflows float16: a half network keeps its sums whole.
            moved = fn(blob)
            return moved if moved.dtype.itemsize >= 4 else blob.to(moved.device)

        super()._apply(exactly, recurse)  # type: ignore[no-untyped-call]  # torch's has no types
        return self

    def shapes(self, x: Shape) -> list[Shape]:
        channels = self.mean.numel()
        require(len(x) >= 2, f"bottom {x} has {len(x)} axes, wants 2 or more")
        require(x[1] == channels, f"bottom {x} has {x[1]} channels, the layer has {channels}")
        return [x]

    def statistics(self, dtype: torch.dtype | None = None) -> tuple[Tensor, Tensor]:
        """Return mean and variance as torch holds them, computed in the blobs' dtype or another."""
        blobs = (self.factor, self.mean, self.variance)
        factor, mean, variance = (blob.detach().flatten().to(dtype or blob.dtype) for blob in blobs)
        scale = torch.where(factor == 0, self.scale_of_factor_0, 1 / factor)
        return mean * scale, variance * scale

    def draw_statistics(self) -> bool:
        for blob, value in ((self.mean, 0), (self.variance, 1), (self.factor, 1)):
            blob.data.fill_(value)
        return True

    def uses_batch(self) -> bool:
        """Tell whether the statistics are the batch's."""
        return self.training if self.use_global_stats is None else not self.use_global_stats
