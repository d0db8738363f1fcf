"""CuDNNBatchNorm, from SKNet and GENet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from caffe_layers.arithmetic.batch_statistics import norm_source
from caffe_layers.base.checks import require
from caffe_layers.base.filler import Filler
from caffe_layers.base.op import Py
from caffe_layers.base.shape import Shape
from caffe_layers.normalization.running_norm import RunningNorm
from prototxt.errors import FormatError

MIN_EPS = 1e-5  # CUDNN_BN_MIN_EPSILON, a double: a smaller eps is lifted to it


class CuDNNBatchNorm(RunningNorm, type="CuDNNBatchNorm", fork="sknet", param="batch_norm_param"):
    """`top = (x - mean) / sqrt(var + eps) * weight + bias`, per channel of N x C x H x W.

    Blobs, each 1 x C x 1 x 1: weight (scale), bias, running_mean, running_var. Not BVLC's
    BatchNorm: the scale is inside and the statistics are not sums to be divided by a factor.
    In training mean and variance are the batch's (biased), and
    `running = momentum * running + (1 - momentum) * batch` with the unbiased variance: Caffe's
    momentum is 1 - torch's. `frozen` uses the running statistics in training too and leaves them
    alone, and scale and bias then get no gradient. Without a filler the scale is 0, as
    FillerParameter's default value is.

    Errors: ShapeError for bottoms of fewer than 2 or more than 4 axes, FormatError for fields of
    BatchNorm's message.
    Caffe: implus/SKNet, cudnn_batch_norm_layer.cu
    """

    keeps_unbiased = True
    fork_fields = ("cudnn_batch_norm_param",)  # GENet's name of the same message

    def __init__(
        self,
        channels: int,
        *,
        frozen: bool = False,
        momentum: float = 0.999,
        eps: float = 1e-5,
        scale_filler: Filler = Filler(),
        bias_filler: Filler = Filler(),
    ) -> None:
        super().__init__(
            channels,
            slope_filler=scale_filler,
            bias_filler=bias_filler,
            momentum=momentum,
            eps=eps,
            frozen=frozen,
        )
        self.eps = max(self.eps, MIN_EPS)

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return "cudnn_batch_norm_param" in layer.DESCRIPTOR.fields_by_name or _is_ours(
            layer.batch_norm_param
        )

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> CuDNNBatchNorm:
        param = layer.batch_norm_param
        if not _is_ours(param):
            # GENet's schema: BVLC's message keeps its name, and this layer's has another.
            fields = [field.name for field, _ in param.ListFields()]
            if fields:
                raise FormatError(
                    f"batch_norm_param has {', '.join(fields)}, which are BatchNorm's",
                    fix="wants frozen, momentum, eps, scale_filler, bias_filler",
                )
            param = layer.cudnn_batch_norm_param
        x = bottoms[0]
        require(2 <= len(x) <= 4, f"bottom {x} has {len(x)} axes, wants 2 to 4")
        return cls(x[1], **cls.fields_of(param))

    def admits(self, name: str, shape: Shape) -> bool:
        return False  # no fork of SKNet's writes its blobs in another shape

    def python(self, py: Py, x: str) -> str:
        tensors = {name: getattr(self, name).flatten() for name in self.blob_names}
        return norm_source(py, x, tensors, eps=self.eps, momentum=1 - self.momentum)


def _is_ours(param: Any) -> bool:
    """Tell SKNet's message from BVLC's of the same name."""
    return "frozen" in param.DESCRIPTOR.fields_by_name
