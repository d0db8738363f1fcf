"""MNC's Python layers: py-faster-rcnn's with masks beside the boxes. Caffe: daijifeng001/MNC."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.data.fed import Fed
from caffe_layers.data.param_str import read_param_str
from caffe_layers.data.python import PythonShapes, register_python
from caffe_layers.forks.rcnn.anchor_target_layer import AnchorTargetLayer
from caffe_layers.forks.rcnn.proposal_layer import KEPT, ProposalLayer
from caffe_layers.forks.rcnn.region import check_regions
from prototxt.errors import UnsupportedError

SIDE = 21
"""MASK_SIZE: rows and columns of a mask."""
INPUT_SIDE = 14
"""CFM_INPUT_MASK_SIZE."""
IMAGE = (1, 3, 600, 1000)
MASK = (1, 1, SIDE, SIDE)


def _classes(layer: Any, *others: str) -> int:
    param = read_param_str(layer.python_param.param_str, ("num_classes", *others))
    require("num_classes" in param, "param_str has no num_classes")
    return int(param["num_classes"])


@register_python("pylayer.mnc_data_layer", "MNCDataLayer")
class MNCDataLayer(Fed, bottoms=0, tops=(3, 5)):
    """The image 1 x 3 x 600 x 1000, its numbers 1 x 3, boxes 1 x 4, masks and their numbers: fed.

    The shapes are those that the code starts with.

    Caffe: daijifeng001/MNC, lib/pylayer/mnc_data_layer.py
    """

    assumed = True

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> MNCDataLayer:
        return cls(*(IMAGE, (1, 3), (1, 4), (1, SIDE, SIDE), (1, 3))[: len(layer.top)])


@register_python("pylayer.cfm_data_layer", "CFMDataLayer")
class CFMDataLayer(Fed, bottoms=0, tops=10):
    """The image, regions, masks, labels, and targets and weights of C = `num_classes`: fed.

    The shapes are those that the code starts with: one region.

    Caffe: daijifeng001/MNC, lib/pylayer/cfm_data_layer.py
    """

    assumed = True

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> CFMDataLayer:
        targets = (1, 4 * _classes(layer))
        masks = (1, 1, INPUT_SIDE, INPUT_SIDE)
        return cls(
            *(IMAGE, (1, 4), masks, (1, 1), (1, 1)), *(targets, MASK, targets, targets, MASK)
        )


@register_python("pylayer.proposal_layer", "ProposalLayer")
class MNCProposal(ProposalLayer, bottoms=3, tops=(1, 2)):
    """py-faster-rcnn's regions; the second top of training, which regions these are, has 1 x K.

    `use_clip`, `clip_base` and `gradient_scale` say how gradients go back, which they do not here.

    Errors: UnsupportedError on running with two tops.
    Caffe: daijifeng001/MNC, lib/pylayer/proposal_layer.py
    """

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Any:
        known = ("feat_stride", "use_clip", "clip_base", "gradient_scale")
        param = read_param_str(layer.python_param.param_str, known)
        require("feat_stride" in param, "param_str has no feat_stride")
        return IndexedProposal() if len(layer.top) > 1 else cls(feat_stride=param["feat_stride"])


class IndexedProposal(PythonShapes, bottoms=3, tops=2):
    """MNC's regions of training, with their indices: shapes alone."""

    called = "pylayer.proposal_layer.ProposalLayer"
    fixed_bottoms = (0, 1, 2)

    def shapes(self, scores: Shape, shifts: Shape, info: Shape) -> list[Shape]:
        kept = KEPT["TRAIN"][1]
        return [(kept, 5), (1, kept)]


@register_python("pylayer.anchor_target_layer", "AnchorTargetLayer")
class MNCAnchorTarget(AnchorTargetLayer, bottoms=(4, 5), tops=4):
    """py-faster-rcnn's targets of anchors; in place of the image the regions that are left.

    Caffe: daijifeng001/MNC, lib/pylayer/anchor_target_layer.py
    """

    fixed_bottoms: ClassVar[tuple[int, ...]] = (0, 1, 2, 3, 4)
    what = "pylayer.anchor_target_layer.AnchorTargetLayer"


@register_python("pylayer.proposal_target_layer", "ProposalTargetLayer")
class MNCProposalTarget(PythonShapes, bottoms=(3, 6), tops=(5, 10)):
    """Regions with labels, targets and masks for training: shapes alone, of one region.

    Caffe: daijifeng001/MNC, lib/pylayer/proposal_target_layer.py
    """

    fixed_bottoms = (0, 1, 2, 3, 4, 5)

    def __init__(self, *, num_classes: int, tops: int) -> None:
        super().__init__()
        self.num_classes, self.count = num_classes, tops

    @classmethod
    def read(cls, layer: Any) -> dict[str, Any]:
        return {"num_classes": _classes(layer, "bp_all"), "tops": len(layer.top)}

    def shapes(self, rois: Shape, *others: Shape) -> list[Shape]:
        check_regions(rois)
        targets = (1, 4 * self.num_classes)
        shapes = [(1, 5), (1, 1), targets, targets, targets, MASK, MASK, *[(1, 4)] * 3]
        return shapes[: self.count]


@register_python("pylayer.mask_layer", "MaskLayer")
class MaskLayer(Layer, bottoms=(1, 3), tops=(1, 2)):
    """Masks N x 441 as N x 1 x 21 x 21; in training with labels N x 1, of which nothing is known.

    Errors: ShapeError for other masks; UnsupportedError on running with labels.
    Caffe: daijifeng001/MNC, lib/pylayer/mask_layer.py
    """

    fixed_bottoms = (1, 2)

    def __init__(self, tops: int) -> None:
        super().__init__()
        self.with_labels = tops == 2

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> MaskLayer:
        return cls(len(layer.top))

    def shapes(self, masks: Shape, *labels: Shape) -> list[Shape]:
        require(masks[1:] == (SIDE * SIDE,), f"masks {masks}, wants N x {SIDE * SIDE}")
        shaped = (masks[0], *MASK[1:])
        return [shaped, (masks[0], 1)] if self.with_labels else [shaped]

    def forward(self, masks: Tensor, *labels: Tensor) -> Tensor:
        self._refuse_labels()
        return masks.reshape(-1, *MASK[1:])

    def onnx(self, op: Op, masks: str, *labels: str) -> Values:
        self._refuse_labels()
        return op.Reshape(masks, op.ints(-1, *MASK[1:]))

    def _refuse_labels(self) -> None:
        if self.with_labels:
            raise UnsupportedError(f"pylayer.mask_layer.MaskLayer {PythonShapes.reason}")
