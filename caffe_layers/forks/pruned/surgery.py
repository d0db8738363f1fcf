"""What the layers of dynamic network surgery share: masks that come and go."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from caffe_layers.arithmetic.gradient import gradient_of
from caffe_layers.base.checks import require
from caffe_layers.base.fields import arguments_of, read_fields
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op
from prototxt.errors import UnsupportedError

CUT, JOINED = 0.9, 1.1
"""Of the threshold: where a weight is cut off, and where it is joined again."""


class Surgery:
    """What the fields of `cconvolution_param` and `cinner_product_param` say.

    In a pass of training a weight is cut off, and its mask 0, where it is at most 0.9 of `m +
    c_rate s`, and joined again, its mask 1, beyond 1.1 of it; m is the mean of the sizes of all
    weights and biases that are not 0, s their standard deviation, both before the first pass. So it
    is in pass t, from 0 on, with a probability of `(1 + gamma t)^-power`, before `iter_stop`.

    Caffe: yiwenguo/Dynamic-Network-Surgery at 27d4926,
    src/caffe/layers/compress_conv_layer.cpp, compress_inner_product_layer.cpp
    """

    def __init__(
        self,
        *,
        gamma: float = 0.001,
        power: float = 1.0,
        iter_stop: float = 10000,
        c_rate: float = 3.0,
        weight_mask_filler: Filler = Filler(),
        bias_mask_filler: Filler = Filler(),
    ) -> None:
        self.gamma, self.power, self.iter_stop, self.c_rate = gamma, power, iter_stop, c_rate
        self.weight_filler, self.bias_filler = weight_mask_filler, bias_mask_filler

    @classmethod
    def read(cls, param: Any) -> Surgery:
        """Read a layer's message."""
        return cls(**read_fields(param, arguments_of(cls)))


class Numbers(NamedTuple):
    """Mean and standard deviation of the sizes of a layer's weights."""

    mean: Tensor
    deviation: Tensor


class Masked(Layer):
    """Base beside a layer of weight and bias: blobs weight, bias and a mask of each.

    The masks are kept as they are in testing. Gradients are those of the masked weight and bias, so
    that what is cut off is trained on.
    """

    surgery: Surgery
    masked_twice = False
    """The mean and deviation at the beginning are of what the masks let through."""

    def add_masks(self, surgery: Surgery) -> None:
        """Declare the masks, behind weight and bias.

        Raises ShapeError where there is no bias: the fork then reads blobs that are not there.
        """
        require("bias" in self.blob_names, "bias_term false, with which the fork itself fails")
        self.surgery = surgery
        self.add_blob("weight_mask", tuple(self.weight.shape), surgery.weight_filler,
                      learnable=False)  # fmt: skip
        self.add_blob("bias_mask", tuple(self.bias.shape), surgery.bias_filler, learnable=False)
        self.register_buffer("operations", torch.tensor(0))
        self._numbers: Numbers | None = None

    def masked(self) -> tuple[Tensor, Tensor]:
        """Return weight and bias as they are used."""
        return (
            gradient_of((self.weight * self.weight_mask).detach(), self.weight),
            gradient_of((self.bias * self.bias_mask).detach(), self.bias),
        )

    def operate(self) -> None:
        """Cut off and join weights, as a pass of training does."""
        surgery, now = self.surgery, int(self.operations)
        if self._numbers is None:
            # As in the fork, which keeps no such numbers, a training that goes on has none.
            none = torch.zeros((), dtype=self.weight.dtype, device=self.weight.device)
            self._numbers = self._measured() if now == 0 else Numbers(none, none)
        self.operations += 1
        chance = (1 + surgery.gamma * now) ** -surgery.power
        if now >= surgery.iter_stop or float(torch.rand(())) >= chance:
            return
        mean, deviation = self._numbers
        limit = (mean + surgery.c_rate * deviation).clamp(min=0)
        for blob, mask in ((self.weight, self.weight_mask), (self.bias, self.bias_mask)):
            size = blob.detach().abs()
            cut = (mask == 1) & (size <= CUT * limit)
            joined = (mask == 0) & (size > JOINED * limit)
            mask.copy_(torch.where(cut, 0, torch.where(joined, 1, mask)))

    def _measured(self) -> Numbers:
        pairs = ((self.weight, self.weight_mask), (self.bias, self.bias_mask))
        values = torch.cat(
            [(blob.detach() * (mask if self.masked_twice else 1)).flatten() for blob, mask in pairs]
        )
        count = values.count_nonzero()
        mean = values.abs().sum() / count
        return Numbers(mean, ((values * values).sum() / count - mean * mean).sqrt())

    def onnx_masked(self, op: Op) -> list[str]:
        """Append the masked weight and bias."""
        if self.training:
            raise UnsupportedError("weights are cut off at random in training")
        weight, bias = self.masked()
        return [op.array("masked_weight", weight.detach()), op.array("masked_bias", bias.detach())]
