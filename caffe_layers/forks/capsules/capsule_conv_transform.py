"""CapsuleConvTransform and CapsuleConvRouting, of CapsNet."""

from __future__ import annotations

import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .lengths import require_values
from .places import Places


class CapsuleConvTransform(
    Layer, type="CapsuleConvTransform", fork="capsnet", param="capsule_conv_transform_param"
):
    """A window over images of capsules that are a x b matrices: `top[n, p, k] = x[n, k at p] W[k]`.

    x is N x I x `input_h` x `input_w` x a x b, in whatever shape; k runs over the I input capsules
    and the `kh` x `kw` places of the window, p over the windows, every `stride` places. W[k] is
    b x (O e), with O = `output_capsule_num`; `input_capsule_shape` is a and b,
    `output_capsule_shape` a and e. The top is N x P x (I kh kw) x (O a e). Blobs: weight
    (kh kw I O) x b x e, read as K x b x (O e), and a bias for each of a sample's values.

    Where windows overlap, Caffe's gradient of a place is that by the last window alone.

    Errors: ShapeError for a bottom of other values, shapes that do not fit, and a window that is
    larger than the image.
    Caffe: chenzhenhua986/CAFFE-CapsNet at cb0e272,
    src/caffe/layers/capsule_conv_transform_layer.cpp
    """

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
    ) -> None:
        super().__init__()
        self.places = Places(input_h, input_w, kh, kw, stride)
        self.places.check()
        self.inputs, self.outputs = input_capsule_num, output_capsule_num
        for shape in (input_capsule_shape, output_capsule_shape):
            require(len(shape) == 2, f"a capsule's shape is {shape}, wants 2 sizes")
        self.rows, self.columns = input_capsule_shape
        same = output_capsule_shape[0] == self.rows
        require(same, f"capsules {input_capsule_shape} and {output_capsule_shape} differ in rows")
        made = output_capsule_shape[1]
        self.row = output_capsule_num * made
        self.window = input_capsule_num * kh * kw
        self.add_blob(
            "weight", (self.window * output_capsule_num, self.columns, made), weight_filler
        )
        if bias_term:
            windows = self.places.rows * self.places.columns
            self.add_blob("bias", (windows * self.window * self.rows * self.row,), bias_filler)
        else:
            self.register_parameter("bias", None)

    @property
    def top(self) -> Shape:
        """The shape of a sample's top."""
        return (self.places.rows * self.places.columns, self.window, self.rows * self.row)

    @property
    def image(self) -> Shape:
        """The shape of a sample's bottom, all places in one axis and a capsule in another."""
        places = self.places.input_h * self.places.input_w
        return (self.inputs, places, self.rows * self.columns)

    def shapes(self, x: Shape) -> list[Shape]:
        require_values(x, self.image, "input capsules at places of")
        return [(x[0], *self.top)]

    def forward(self, x: Tensor) -> Tensor:
        at = torch.from_numpy(self.places.seen().ravel()).to(x.device)
        seen = x.reshape(len(x), *self.image).index_select(2, at)
        if seen.requires_grad:
            last = torch.from_numpy(self.places.seen_last().reshape(-1, 1)).to(x.device)
            seen = torch.where(last, seen, seen.detach())
        windows = self.top[0]
        seen = seen.view(len(x), self.inputs, windows, -1, self.rows, self.columns)
        seen = seen.transpose(1, 2).reshape(len(x), windows, self.window, self.rows, self.columns)
        said: Tensor = seen @ self.weight.view(self.window, self.columns, self.row)
        said = said.reshape(len(x), *self.top)
        return said if self.bias is None else said + self.bias.view(self.top)

    def onnx(self, op: Op, x: str) -> Values:
        windows = self.top[0]
        image = op.Reshape(x, op.ints(0, *self.image))
        seen = op.Gather(image, op.const(self.places.seen().ravel()), axis=2)
        sizes = (self.inputs, windows, self.window // self.inputs, self.rows, self.columns)
        seen = op.Transpose(op.Reshape(seen, op.ints(0, *sizes)), perm=[0, 2, 1, 3, 4, 5])
        capsules = (windows, self.window, self.rows, self.columns)
        weight = op.weight(self, "weight", shape=(self.window, self.columns, self.row))
        said = op.MatMul(op.Reshape(seen, op.ints(0, *capsules)), weight)
        said = op.Reshape(said, op.ints(0, *self.top))
        return said if self.bias is None else op.Add(said, op.weight(self, "bias", shape=self.top))

    def multiply_adds(self, bottoms: list[Shape], tops: list[Shape]) -> int:
        return bottoms[0][0] * self.top[0] * self.window * self.rows * self.columns * self.row


class CapsuleConvRouting(
    Layer, type="CapsuleConvRouting", fork="capsnet", param="capsule_conv_routing_param"
):
    """`top[n, i] = sum over k of weight[i, k] x[n, i, k]`: routing by learned weights.

    x is read as N x P x K x D and the top is N x P x D, with P = rows of windows x columns x
    `output_capsule_num`, K = `kh` `kw` `input_capsule_num` and D the values of
    `output_capsule_shape`. CapsuleConvTransform's top has other axes: the same memory is read
    anew. Blob: weight P x K.

    Errors: ShapeError for a bottom of other values, and a window that is larger than the image.
    Caffe: chenzhenhua986/CAFFE-CapsNet at cb0e272, src/caffe/layers/capsule_conv_routing_layer.cpp
    """

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
        output_capsule_shape: tuple[int, ...],
        weight_filler: Filler = Filler(),
    ) -> None:
        super().__init__()
        places = Places(input_h, input_w, kh, kw, stride)
        places.check()
        shape = output_capsule_shape
        require(len(shape) == 2, f"output_capsule_shape is {shape}, wants 2 sizes")
        count = places.rows * places.columns * output_capsule_num
        self.sizes = (count, kh * kw * input_capsule_num, shape[0] * shape[1])
        self.add_blob("weight", self.sizes[:2], weight_filler)

    def shapes(self, x: Shape) -> list[Shape]:
        require_values(x, self.sizes, "output capsules, of inputs, of values:")
        return [(x[0], self.sizes[0], self.sizes[2])]

    def forward(self, x: Tensor) -> Tensor:
        weight: Tensor = self.weight
        return (weight.unsqueeze(1) @ x.reshape(len(x), *self.sizes)).squeeze(2)

    def onnx(self, op: Op, x: str) -> Values:
        weight = op.weight(self, "weight", shape=(self.sizes[0], 1, self.sizes[1]))
        said = op.MatMul(weight, op.Reshape(x, op.ints(0, *self.sizes)))
        return op.Squeeze(said, op.ints(2))
