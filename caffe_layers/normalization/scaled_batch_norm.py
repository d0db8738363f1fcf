"""BatchNorm with a scale of its own, from NVIDIA's Caffe and Intel's."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, ClassVar, TypedDict

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import Unpack

from caffe_layers.arithmetic.batch_statistics import normalize_batch, onnx_normalize_batch
from caffe_layers.base.checks import require
from caffe_layers.base.filler import Filler
from caffe_layers.base.message import is_set
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .base import KeepsSums
from .layouts import readings

MIN_EPS = 1e-5  # CUDNN_BN_MIN_EPSILON, a double: NVIDIA lifts a smaller eps to it


class ScaledBatchNormFields(TypedDict, total=False):
    """What a BatchNorm with a scale is told: `ScaledBatchNorm`'s keywords."""

    use_global_stats: bool | None
    moving_average_fraction: float
    eps: float
    scale_filler: Filler
    bias_filler: Filler
    bias_term: bool
    relu: bool


class ScaledBatchNorm(KeepsSums, param="batch_norm_param"):
    """`top = (x - mean) / sqrt(variance + eps) * weight + bias`, per channel of N x C x ....

    Blobs: weight C, bias C, mean C, variance C and factor 1, in an order of the fork's. Mean and
    variance are divided by the factor unless it is 0; NVIDIA's is always 1. A file's blobs may be
    1 x C x 1 x 1 as well. Without a filler the weight is 1. `relu` puts a ReLU behind.

    In training the statistics are the batch's, with the biased variance; what is stored grows with
    its unbiased one, in the fork's manner. `use_global_stats` says which, whatever the mode is.

    Errors: ShapeError for a bottom of one axis.
    """

    replaces_bvlc = True
    scale_of_factor_0 = 1.0
    order: ClassVar[tuple[str, ...]]
    whole: ClassVar[bool] = False
    """Whether the file's blobs have four axes: 1 x C x 1 x 1."""

    def __init__(
        self,
        channels: int,
        *,
        use_global_stats: bool | None = None,
        moving_average_fraction: float = 0.999,
        eps: float = 1e-5,
        scale_filler: Filler = Filler(value=1.0),
        bias_filler: Filler = Filler(),
        bias_term: bool = True,
        relu: bool = False,
    ) -> None:
        super().__init__()
        self.use_global_stats = use_global_stats
        self.moving_average_fraction = float32(moving_average_fraction)
        self.eps = float32(eps)
        self.relu = relu
        fillers = {"weight": scale_filler, "bias": bias_filler, "factor": self.factor_filler()}
        for name in self.order:
            if name == "bias" and not bias_term:
                self.register_parameter("bias", None)
                continue
            size = 1 if name == "factor" else channels
            shape: Shape = (1, size, 1, 1) if self.whole else (size,)
            learns = name in ("weight", "bias")
            self.add_blob(name, shape, fillers.get(name, Filler()), learnable=learns)

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return cls.fork in readings(layer, blobs)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> ScaledBatchNorm:
        x = bottoms[0]
        require(len(x) >= 2, f"bottom {x} has {len(x)} axes, wants 2 or more")
        return cls(x[1], **cls.fields(layer))

    def factor_filler(self) -> Filler:
        """Return what the factor is before training."""
        return Filler()

    def admits(self, name: str, shape: Shape) -> bool:
        want = self.blobs[self.blob_names.index(name)].numel()
        return prod(shape) == want == max(shape, default=1)

    def keep(self, mean: Tensor, var: Tensor) -> None:
        """Add a batch's statistics to what is stored."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.flatten()
        bias = None if self.bias is None else self.bias.flatten()
        if self.uses_batch():
            y, mean, var = normalize_batch(x, self.eps, weight, bias)
            with torch.no_grad():
                self.keep(mean, var)
        else:
            y = F.batch_norm(x, *self.statistics(), weight, bias, False, 0.0, self.eps)
        return y.relu() if self.relu else y

    def onnx(self, op: Op, x: str) -> Values:
        channels = self.mean.numel()
        if self.uses_batch():
            shape = (channels, *(1,) * (len(op.shape(x)) - 2))
            y = onnx_normalize_batch(op, x, self.eps)
            weight = op.weight(self, "weight", shape=shape)
            if self.bias is None:
                y = op.Mul(y, weight)
            else:
                product = op.Mul(y, weight)
                y = op.Add(product, op.weight(self, "bias", shape=shape))
            return op.Relu(y) if self.relu else y
        mean, var = (value.cpu().numpy() for value in self.statistics(torch.float64))
        y = op.BatchNormalization(
            x,
            op.weight(self, "weight", shape=(channels,)),
            op.array("no_bias", np.zeros(channels))
            if self.bias is None
            else op.weight(self, "bias", shape=(channels,)),
            op.array("mean", mean),
            op.array("variance", var),
            epsilon=self.eps,
        )
        return op.Relu(y) if self.relu else y


class IntelBatchNorm(ScaledBatchNorm, type="BatchNorm", fork="intel"):
    """`top = (x - mean / factor) / sqrt(variance / factor + eps) * weight + bias`.

    Blobs: mean, variance, factor, weight and, with `bias_term`, bias: what Intel's engines make of
    a BatchNorm and the Scale behind it. The statistics are BVLC's sums. See `ScaledBatchNorm`.

    Caffe: intel/caffe, src/caffe/layers/mkldnn_batch_norm_layer.cpp
    """

    order = ("mean", "variance", "factor", "weight", "bias")

    @classmethod
    def fields(cls, layer: Any, **computed: object) -> dict[str, Any]:
        param = layer.batch_norm_param
        if is_set(param, "filler"):
            computed["scale_filler"] = Filler.from_caffe(param.filler)
        return super().fields(layer, **computed)

    def keep(self, mean: Tensor, var: Tensor) -> None:
        for blob, new in ((self.mean, mean), (self.variance, var), (self.factor, 1)):
            blob.mul_(self.moving_average_fraction).add_(new)


class NvidiaBatchNorm(ScaledBatchNorm, type="BatchNorm", fork="nvidia"):
    """`top = (x - mean) / sqrt(variance + eps) * weight + bias`, with eps 1e-5 or more.

    Blobs as NVIDIA's Caffe 0.16 and later stores them with `scale_bias`: mean, variance, factor,
    weight, bias. The statistics are running means, of which the first two passes of training set
    the values: `mean = f * mean + (1 - f) * batch mean` later. As in torch `num_batches_tracked`
    counts the passes; Caffe's files lack it, and training that goes on from one counts anew. See
    `ScaledBatchNorm`.

    Caffe: NVIDIA/caffe, src/caffe/layers/batch_norm_layer.cpp, cudnn_batch_norm_layer.cu
    """

    replaces_bvlc = False  # without scale_bias
    order = ("mean", "variance", "factor", "weight", "bias")

    def __init__(self, channels: int, **fields: Unpack[ScaledBatchNormFields]) -> None:
        super().__init__(channels, **fields)
        self.eps = max(self.eps, MIN_EPS)
        self.register_buffer("num_batches_tracked", torch.zeros((), dtype=torch.int64))

    def factor_filler(self) -> Filler:
        return Filler(value=1.0)

    def keep(self, mean: Tensor, var: Tensor) -> None:
        settled = self.num_batches_tracked >= 2
        kept = torch.where(settled, self.moving_average_fraction, 0.0).to(mean.dtype)
        self.num_batches_tracked += 1
        for blob, new in ((self.mean, mean), (self.variance, var)):
            blob.mul_(kept).add_(new.reshape(blob.shape) * (1 - kept))


class Nvidia015BatchNorm(NvidiaBatchNorm, type="BatchNorm", fork="nvidia_0_15"):
    """NVIDIA's BatchNorm of version 0.15: weight, bias, mean, variance, factor."""

    replaces_bvlc = True
    order = ("weight", "bias", "mean", "variance", "factor")


class Nvidia014BatchNorm(NvidiaBatchNorm, type="BatchNorm", fork="nvidia_0_14"):
    """NVIDIA's BatchNorm of version 0.14, cuDNN engine: weight, bias, factor, mean, variance."""

    replaces_bvlc = True
    order = ("weight", "bias", "factor", "mean", "variance")
    whole = True
