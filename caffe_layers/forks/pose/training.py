"""What trains, measures and writes down poses: the shapes alone."""

from __future__ import annotations

from math import prod

from caffe_layers.base.checks import require
from caffe_layers.base.shape import Shape
from caffe_layers.base.shapes_only import ShapesOnly

FIX = "--deploy leaves it out"


class MPJPEEvaluation(ShapesOnly, type="MPJPEEvaluation", fork="pose_ssl", bottoms=2):
    """The mean distance of joints from where they should be, a number.

    Errors: ShapeError for bottoms of other sizes; UnsupportedError on running: poses are scaled by
    a file of the authors'.
    Caffe: chanyn/3Dpose_ssl, caffe-3dssl/src/caffe/layers/mpjpe_evalution_layer.cpp
    """

    is_metric = True
    reason = "measures by a file of the authors' and is not computed here"
    fix = FIX

    def shapes(self, x: Shape, label: Shape) -> list[Shape]:
        require(prod(x[1:]) == prod(label[1:]), f"bottoms {x} and {label} differ in values")
        return [()]


class SkelVectorLoss(ShapesOnly, type="SkelVectorLoss", fork="pose_ssl", bottoms=2):
    """How much bones differ from what they should be, a number.

    Errors: UnsupportedError on running.
    Caffe: chanyn/3Dpose_ssl, caffe-3dssl/src/caffe/my_layers/skel_vector_loss_layer.cpp
    """

    is_loss = True
    fixed_bottoms = (1,)
    reason = "is a loss of the authors' and is not computed here"
    fix = FIX

    def shapes(self, x: Shape, label: Shape) -> list[Shape]:
        return [()]


class SavePath(ShapesOnly, type="SavePath", fork="pose_ssl", bottoms=(1, None), tops=(0, 1)):
    """Writes its bottoms to a file, which is not done here.

    Errors: UnsupportedError on running.
    Caffe: chanyn/3Dpose_ssl, caffe-3dssl/src/caffe/my_layers/save_path.cpp
    """

    is_metric = True
    reason = "writes a file of the authors'"
    fix = FIX

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        return []
