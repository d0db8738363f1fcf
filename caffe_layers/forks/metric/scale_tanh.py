"""ScaleTanH, of HashNet."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.forks.margins.passes import CountsPasses


class ScaleTanH(CountsPasses, type="ScaleTanH", fork="hashnet", param="scale_tanh_param"):
    """`top = tanh(scale * x)`, which becomes a sign in the course of a training.

    The scale is `init_scale` in the first passes, and from each `step_size`th pass on
    `init_scale * (1 + gamma * pass)^power`. The first pass of a training is the second here: Caffe
    counts the layer's setting up too. In TEST, where every pass is the first one, the scale is
    `init_scale` unless `step_size` is 2 or less.

    Caffe: thuml/HashNet, caffe/src/caffe/layers/scale_tanh_layer.cpp
    """

    family = "activation"

    def __init__(
        self,
        *,
        init_scale: float = 1.0,
        step_size: int = 200,
        gamma: float = 1.0,
        power: float = 0.0,
    ) -> None:
        super().__init__(1)
        require(step_size > 0, f"step_size is {step_size}, wants 1 or more")
        self.init_scale, self.step_size = float32(init_scale), step_size
        self.gamma, self.power = float32(gamma), float32(power)

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return (x * self._scale(x)).tanh()

    def _scale(self, like: Tensor) -> Tensor:
        count = self.counted(like)
        last = (count / self.step_size).floor() * self.step_size
        grown = self.init_scale * (1 + self.gamma * last) ** self.power
        return grown.where(last > 0, like.new_tensor(self.init_scale))

    def onnx(self, op: Op, x: str) -> Values:
        scale, last = self.init_scale, 2 // self.step_size * self.step_size
        if last > 0:
            scale *= (1 + self.gamma * last) ** self.power
        return op.Tanh(op.Mul(x, op.scalar(scale)))
