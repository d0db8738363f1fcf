"""CuDNNBatchNorm, from SKNet and GENet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from prototxt.errors import FormatError

from ..batch_statistics import norm_source, normalize_batch, onnx_normalize_batch
from ..checks import require
from ..filler import Filler
from ..layer import Layer, Shape
from ..number import float32

MIN_EPS = 1e-5  # CUDNN_BN_MIN_EPSILON, a double: a smaller eps is lifted to it


class CuDNNBatchNorm(Layer, type="CuDNNBatchNorm", fork="sknet"):
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
        super().__init__()
        self.frozen = frozen
        self.momentum = float32(momentum)
        self.eps = max(float32(eps), MIN_EPS)
        shape = (1, channels, 1, 1)
        self.add_blob("weight", shape, scale_filler)
        self.add_blob("bias", shape, bias_filler)
        self.add_blob("running_mean", shape, Filler(), learnable=False)
        self.add_blob("running_var", shape, Filler(value=1.0 if frozen else 0.0), learnable=False)

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
        return cls(
            x[1],
            frozen=param.frozen,
            momentum=param.momentum,
            eps=param.eps,
            scale_filler=Filler.from_caffe(param.scale_filler),
            bias_filler=Filler.from_caffe(param.bias_filler),
        )

    def shapes(self, x: Shape) -> list[Shape]:
        channels = self.weight.shape[1]
        require(2 <= len(x) <= 4, f"bottom {x} has {len(x)} axes, wants 2 to 4")
        require(x[1] == channels, f"bottom {x} has {x[1]} channels, the layer has {channels}")
        return [x]

    def uses_batch(self) -> bool:
        """Tell whether the statistics are the batch's."""
        return self.training and not self.frozen

    @property
    def is_affine(self) -> bool:
        return not self.uses_batch()

    def forward(self, x: Tensor) -> Tensor:
        weight, bias, mean, var = (blob.flatten() for blob in self.blobs)
        if self.frozen:
            weight, bias = weight.detach(), bias.detach()
        if not self.uses_batch():
            return F.batch_norm(x, mean, var, weight, bias, False, 0.0, self.eps)
        y, *batch = normalize_batch(x, self.eps, weight, bias)
        with torch.no_grad():
            for running, new in zip((mean, var), batch, strict=True):
                running.mul_(self.momentum).add_(new, alpha=1 - self.momentum)
        return y

    def onnx(self, op: Any, x: str) -> Any:
        channels = self.weight.shape[1]
        if self.uses_batch():
            shape = (channels, *(1,) * (len(op.shape(x)) - 2))
            weight, bias = (op.weight(self, name, shape=shape) for name in self.blob_names[:2])
            y = onnx_normalize_batch(op, x, self.eps, name="normalized")
            return op.Add(op.Mul(y, weight, name="scaled"), bias)
        blobs = [op.weight(self, name, shape=(channels,)) for name in self.blob_names]
        return op.BatchNormalization(x, *blobs, epsilon=self.eps)

    def python(self, py: Any, x: str) -> Any:
        tensors = {name: getattr(self, name).flatten() for name in self.blob_names}
        return norm_source(py, x, tensors, eps=self.eps, momentum=1 - self.momentum)


def _is_ours(param: Any) -> bool:
    """Tell SKNet's message from BVLC's of the same name."""
    return "frozen" in param.DESCRIPTOR.fields_by_name
