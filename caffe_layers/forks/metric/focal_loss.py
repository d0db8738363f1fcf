"""FocalLoss of a softmax: zimenglan's, happynear's, and that of SSDs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from torch import Tensor
from typing_extensions import Unpack

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.message import enum_name, fork_field, is_set
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.loss.focal import Form, emit_focal, focal
from caffe_layers.loss.labels import check_batch, check_labels, emit_labels, read_labels
from caffe_layers.loss.normalizer import emit_normalized, normalized, read_normalization


class FocalFields(TypedDict, total=False):
    """`FocalLoss`'s keywords, but for `alpha`: a fork's layer has its own default."""

    axis: int
    ignore_label: int | None
    normalization: str
    type: str
    gamma: float
    beta: float


class FocalLoss(Layer, type="FocalLoss", fork="arcface", param="focal_loss_param", bottoms=2):
    """`top = -sum of alpha (1 - p)^gamma log(p) / count`, p being the softmax of the label.

    x, the labels, the softmax's axis, `ignore_label` and the count are those of SoftmaxWithLoss.
    `beta` is not used, and `type` neither. The second top that Caffe declares, the probabilities,
    cannot be had in Caffe, as SoftmaxWithLoss's, and is refused.

    Errors: those of SoftmaxWithLoss; ShapeError for a negative gamma and an alpha that is not
    above 0.
    Caffe: zimenglan-sysu-512/Focal-Loss, focal_loss_layer.cpp, as xialuxi/arcface-caffe has it
    """

    is_loss = True
    applies = "softmax"
    fork_fields = ("loss_param.normalization",)  # NONE has another number in R-FCN and Intel's
    fixed_bottoms = (1,)

    def __init__(
        self,
        *,
        axis: int = 1,
        ignore_label: int | None = None,
        normalization: str = "VALID",
        type: str = "ORIGIN",
        gamma: float = 2.0,
        alpha: float = 0.25,
        beta: float = 1.0,
    ) -> None:
        super().__init__()
        require(gamma >= 0, f"gamma is {gamma:g}, wants 0 or more")
        require(alpha > 0, f"alpha is {alpha:g}, wants more than 0")
        self.axis, self.ignore_label, self.normalization = axis, ignore_label, normalization
        self.type_name, self.beta = type, beta
        self.gamma, self.alpha = float32(gamma), float32(alpha)

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return not _adds(layer)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> FocalLoss:
        loss = layer.loss_param
        return cls(
            axis=cls.axis_of(layer),
            ignore_label=loss.ignore_label if loss.HasField("ignore_label") else None,
            normalization=read_normalization(loss, "VALID"),
            **{name: value for name, value in cls.fields(layer).items() if name != "axis"},
        )

    @classmethod
    def axis_of(cls, layer: Any) -> int:
        """Return the axis of the softmax."""
        return int(layer.softmax_param.axis)

    def shapes(self, x: Shape, label: Shape) -> list[Shape]:
        check_batch(x, label)
        check_labels(x, label, self.axis)
        return [()]

    @property
    def form(self) -> Form:
        """What multiplies the power, and in it the constant and the factor of p."""
        return self.alpha, 1.0, -1.0

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        index, valid = read_labels(label, x, self.axis, self.ignore_label)
        picked = x.log_softmax(self.axis).gather(self.axis, index)
        losses = focal(picked, self.form, self.gamma)
        return normalized(losses, valid, self.axis, self.normalization)

    def onnx(self, op: Op, x: str, label: str) -> Values:
        index, valid = emit_labels(op, label, x, self.axis, self.ignore_label)
        logs = op.LogSoftmax(x, axis=self.axis)
        picked = op.GatherElements(logs, index, axis=self.axis)
        losses = emit_focal(op, picked, self.form, self.gamma)
        return emit_normalized(op, losses, valid, x, self.axis, self.normalization)


class FaceFocalLoss(FocalLoss, type="FocalLoss", fork="happynear", bottoms=2):
    """The FocalLoss of `-(alpha - p)^gamma log(p)`, or with `type` ONEADDP of `alpha + p`.

    Where alpha is 1, and the type not ONEADDP, it is zimenglan's. Its gradient takes the power for
    one of `1 - p` (or `1 + p`) whatever alpha is, as Caffe's.

    Errors: those of zimenglan's FocalLoss.
    Caffe: happynear/caffe-windows, src/caffe/layers/focal_loss_layer.cpp
    """

    def __init__(self, *, alpha: float = 1.0, **fields: Unpack[FocalFields]) -> None:
        super().__init__(alpha=alpha, **fields)

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return _adds(layer)

    @property
    def form(self) -> Form:
        return 1.0, self.alpha, 1.0 if self.type_name == "ONEADDP" else -1.0


class SsdFocalLoss(FocalLoss, type="FocalLoss", fork="ssd_focal", bottoms=2):
    """The FocalLoss that says the softmax's axis beside alpha and gamma, of SSD with focal loss.

    Errors: those of zimenglan's FocalLoss.
    Caffe: leehungxd/caffe_ssd at cc67d2bd, src/caffe/layers/focal_loss_layer.cpp
    """

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return is_set(layer, "focal_loss_param") and is_set(layer.focal_loss_param, "axis")

    @classmethod
    def axis_of(cls, layer: Any) -> int:
        return int(layer.focal_loss_param.axis)


def _adds(layer: Any) -> bool:
    param = fork_field(layer, "focal_loss_param")
    return param is not None and is_set(param, "type") and enum_name(param, "type") == "ONEADDP"
