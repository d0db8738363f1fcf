"""Tensor, of P-CapsNet: a convolution of capsules, without routing."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .lengths import require_values
from .places import Places


class TensorCapsules(Layer, type="Tensor", fork="capsnet", param="capsule_conv_param"):
    """`top[n, o, p, c]` is the sum over s and k of the matrices' `x[n, s, p + k, c] W[o, s, k, c]`.

    x is N x I x `input_h` x `input_w` capsules of c x a x b values (`input_capsule_shape`), in
    whatever shape; a window of `kh` x `kw` moves over them by `stride`. The top is
    N x O x rows x columns x c x a x e (`output_capsule_shape`). Blobs: weight
    I x O x kh x kw x c x (b e), whose memory is read as O x I x kh x kw x c x b x e, and a bias for
    each of a sample's values. `group` is read by nothing.

    Errors: ShapeError for a bottom of other values, shapes that do not fit, and a window that is
    larger than the image.
    Caffe: chenzhenhua986/CAFFE-CapsNet at cb0e272, src/caffe/layers/tensor_layer.cpp
    """

    family = "convolution"

    def __init__(
        self,
        *,
        input_h: int,
        input_w: int,
        kh: int,
        kw: int,
        stride: int,
        input_capsule_num: int,
        output_capsule_num: int,
        input_capsule_shape: tuple[int, ...],
        output_capsule_shape: tuple[int, ...],
        bias_term: bool = True,
        weight_filler: Filler = Filler(),
        bias_filler: Filler = Filler(),
        group: int = 1,
    ) -> None:
        super().__init__()
        self.places = Places(input_h, input_w, kh, kw, stride)
        self.places.check()
        self.inputs, self.outputs = input_capsule_num, output_capsule_num
        for shape in (input_capsule_shape, output_capsule_shape):
            require(len(shape) == 3, f"a capsule's shape is {shape}, wants 3 sizes")
        self.capsule, self.made = input_capsule_shape, output_capsule_shape
        same = self.capsule[:2] == self.made[:2]
        require(same, f"capsules {self.capsule} and {self.made} differ in the first two sizes")
        inner = self.capsule[2] * self.made[2]
        weight = (input_capsule_num, output_capsule_num, kh, kw, self.capsule[0], inner)
        self.add_blob("weight", weight, weight_filler)
        if bias_term:
            count = 1
            for size in self.top:
                count *= size
            self.add_blob("bias", (count,), bias_filler)
        else:
            self.register_parameter("bias", None)

    @property
    def top(self) -> Shape:
        """The shape of a sample's top."""
        return (self.outputs, self.places.rows, self.places.columns, *self.made)

    @property
    def image(self) -> Shape:
        """The shape of a sample's bottom."""
        return (self.inputs, self.places.input_h, self.places.input_w, *self.capsule)

    def shapes(self, x: Shape) -> list[Shape]:
        require_values(x, self.image, "capsules, rows, columns and a capsule's values:")
        return [(x[0], *self.top)]

    def kernel(self) -> Tensor:
        """Return the weight as a convolution's, (c O e) x (I b) x kh x kw, in c groups."""
        c, _, b = self.capsule
        window = (self.places.kh, self.places.kw)
        weight: Tensor = self.weight
        weight = weight.view(self.outputs, self.inputs, *window, c, b, self.made[2])
        weight = weight.permute(4, 0, 6, 1, 5, 2, 3)
        return weight.reshape(c * self.outputs * self.made[2], self.inputs * b, *window)

    def forward(self, x: Tensor) -> Tensor:
        count, (c, a, b) = len(x), self.capsule
        planes = x.reshape(count, *self.image).permute(0, 5, 4, 1, 6, 2, 3)
        planes = planes.reshape(count * a, c * self.inputs * b, *self.image[1:3])
        said = F.conv2d(planes, self.kernel(), stride=self.places.stride, groups=c)
        said = said.view(count, a, c, self.outputs, self.made[2], *self.top[1:3])
        top = said.permute(0, 3, 5, 6, 2, 1, 4).reshape(count, *self.top)
        return top if self.bias is None else top + self.bias.view(self.top)

    def onnx(self, op: Op, x: str) -> Values:
        c, a, b = self.capsule
        planes = op.Transpose(op.Reshape(x, op.ints(0, *self.image)), perm=[0, 5, 4, 1, 6, 2, 3])
        planes = op.Reshape(planes, op.ints(-1, c * self.inputs * b, *self.image[1:3]))
        window = [self.places.kh, self.places.kw]
        strides = [self.places.stride] * 2
        kernel = op.array("kernel", self.kernel().detach())
        said = op.Conv(planes, kernel, kernel_shape=window, strides=strides, group=c)
        sizes = (a, c, self.outputs, self.made[2], *self.top[1:3])
        top = op.Transpose(op.Reshape(said, op.ints(-1, *sizes)), perm=[0, 3, 5, 6, 2, 1, 4])
        return top if self.bias is None else op.Add(top, op.weight(self, "bias", shape=self.top))

    def multiply_adds(self, bottoms: list[Shape], tops: list[Shape]) -> int:
        c, a, b = self.capsule
        each = self.inputs * self.places.kh * self.places.kw * c * a * b * self.made[2]
        return bottoms[0][0] * self.outputs * self.places.rows * self.places.columns * each
