"""SEC's Python layers: a softmax that is nowhere 0, a CRF, and what is read of its cues."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.data.python import PythonShapes, register_python

LEAST = 1e-4
CLASSES, SIDE = 21, 41


@register_python("pylayers", "SoftmaxLayer")
class SecSoftmax(Layer, bottoms=1):
    """`top = (p + 0.0001) / sum(p + 0.0001)` over the channels, p being the softmax over them.

    Errors: ShapeError for other than N x C x H x W.
    Caffe: kolesman/SEC, pylayers/pylayers/pylayers.py
    """

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants N x C x H x W")
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        raised = x.softmax(1) + LEAST
        return raised / raised.sum(1, keepdim=True)

    def onnx(self, op: Op, x: str) -> Values:
        raised = op.Add(op.Softmax(x, axis=1), op.scalar(LEAST))
        return op.Div(raised, op.reduce("ReduceSum", raised, [1], keepdims=1))


@register_python("pylayers", "CRFLayer")
class SecCrf(PythonShapes, bottoms=2):
    """Logarithms of what a dense CRF makes of scores and images: shapes alone, the scores'.

    Errors: UnsupportedError on running.
    Caffe: kolesman/SEC, pylayers/pylayers/pylayers.py
    """

    fixed_bottoms = (0, 1)

    def shapes(self, scores: Shape, images: Shape) -> list[Shape]:
        return [scores]


@register_python("pylayers", "AnnotationLayer")
class SecAnnotation(PythonShapes, tops=2):
    """Labels N x 1 x 1 x 21 and cues N x 21 x 41 x 41 of N images by number: shapes alone.

    They are in a file of the authors'.

    Errors: UnsupportedError on running.
    Caffe: kolesman/SEC, pylayers/pylayers/pylayers.py
    """

    fixed_bottoms = (0,)

    def shapes(self, numbers: Shape) -> list[Shape]:
        return [(numbers[0], 1, 1, CLASSES), (numbers[0], CLASSES, SIDE, SIDE)]
