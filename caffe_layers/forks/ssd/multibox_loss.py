"""MultiBoxLoss, from SSD, RefineDet's, and the one with focal losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import Required, Unpack

from caffe_layers.arithmetic.gradient import floored, gradient_of
from caffe_layers.base.checks import require
from caffe_layers.base.message import enum_name
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.loss.focal import Form, emit_focal, focal
from caffe_layers.loss.normalizer import read_normalization
from prototxt.errors import ShapeError, UnsupportedError

from .bbox import CODE_TYPES, check_sizes, decode, encode
from .matching import hardest, match, spared
from .multibox_onnx import LOG_FLT_MIN, UNIT_BOX, EmittedMultiBoxLoss, Refinement
from .predictions import (
    check_predictions,
    check_refinement,
    emit_priors,
    emit_refine,
    read_priors,
    refine,
)
from .smooth_l1 import smooth_l1

CHOICES = {
    "loc_loss_type": ("SMOOTH_L1", "L2"),
    "conf_loss_type": ("SOFTMAX", "LOGISTIC"),
    "match_type": ("PER_PREDICTION", "BIPARTITE"),
    "mining_type": ("MAX_NEGATIVE", "NONE", "HARD_EXAMPLE"),
    "code_type": CODE_TYPES,
    "normalization": ("VALID", "FULL", "BATCH_SIZE", "NONE"),
}


class MultiBoxFields(TypedDict, total=False):
    """What a loss of SSD's kind is told: `MultiBoxLoss`'s keywords."""

    num_classes: Required[int]
    loc_loss_type: str
    conf_loss_type: str
    loc_weight: float
    share_location: bool
    match_type: str
    overlap_threshold: float
    use_prior_for_matching: bool
    background_label_id: int
    use_difficult_gt: bool
    neg_pos_ratio: float
    neg_overlap: float
    code_type: str
    encode_variance_in_target: bool
    map_object_to_agnostic: bool
    ignore_cross_boundary_bbox: bool
    bp_inside: bool
    mining_type: str
    sample_size: int
    nms_threshold: float
    top_k: int
    use_prior_for_nms: bool
    normalization: str
    propagates: tuple[bool, bool]


class MultiBoxLoss(
    EmittedMultiBoxLoss, type="MultiBoxLoss", fork="ssd", param="multibox_loss_param", bottoms=4
):
    """`top = (loc_weight * L_loc + L_conf) / count`, a scalar: the loss that trains SSD.

    Bottoms: locations N x 4PL, scores N x PC of C classes (before any softmax), P prior boxes
    1 x 2 x 4P, and G objects 1 x 1 x G x 8, whose rows are image (-1: no object), label, instance,
    xmin, ymin, xmax, ymax and difficult. L is 1, or C with `share_location` false.

    Each object in turn, best overlap first, is matched with the best prior box that is free; with
    PER_PREDICTION every other prior box then with its best object of at least `overlap_threshold`.
    `use_prior_for_matching` false matches the decoded locations instead. L_loc sums, over the
    matched boxes, f of the differences between location and encoded object: smooth L1, or half
    squares (L2). L_conf sums the losses of the matched boxes' scores (softmax, or one logistic a
    class) against the label, and against the background of the boxes that mining chooses:
    MAX_NEGATIVE the `neg_pos_ratio` times as many of the highest loss, among those unmatched whose
    best overlap is below `neg_overlap`; HARD_EXAMPLE the `sample_size` boxes of the highest loss,
    whether matched or not, and only these matches stay; NONE all. With an `nms_threshold` (the
    definition's `nms_param`) mining passes over boxes that overlap one of a higher loss by more:
    the decoded locations, or with `use_prior_for_nms` the prior boxes, of at most `top_k` boxes of
    the highest loss, and none of an area below 1e-5. The count is at least 1: VALID
    the matches, FULL N P, BATCH_SIZE N, NONE 1. What `propagate_down` denies adds nothing.
    Locations and scores get gradients; where variances are `encode_variance_in_target`, that of
    the locations is not divided by them, as the differences are.

    LOGISTIC's targets are 1 for the label and, for the other classes, the background's number,
    mostly 0; without mining those 1s are not in their box's place (`_targets`), as in Caffe.

    Errors: ShapeError for bottoms that do not fit each other, objects of the background or of no
    class, and boxes without width.
    Caffe: weiliu89/caffe, src/caffe/layers/multibox_loss_layer.cpp
    """

    is_loss = True
    fork_fields = ("loss_param.normalization",)  # NONE has another number in Intel's
    fixed_bottoms = (2, 3, 4, 5)

    def __init__(
        self,
        *,
        num_classes: int,
        loc_loss_type: str = "SMOOTH_L1",
        conf_loss_type: str = "SOFTMAX",
        loc_weight: float = 1.0,
        share_location: bool = True,
        match_type: str = "PER_PREDICTION",
        overlap_threshold: float = 0.5,
        use_prior_for_matching: bool = True,
        background_label_id: int = 0,
        use_difficult_gt: bool = True,
        neg_pos_ratio: float = 3.0,
        neg_overlap: float = 0.5,
        code_type: str = "CORNER",
        encode_variance_in_target: bool = False,
        map_object_to_agnostic: bool = False,
        ignore_cross_boundary_bbox: bool = False,
        bp_inside: bool = False,
        mining_type: str = "MAX_NEGATIVE",
        sample_size: int = 64,
        nms_threshold: float = 0.0,
        top_k: int = -1,
        use_prior_for_nms: bool = False,
        normalization: str = "VALID",
        propagates: tuple[bool, bool] = (True, True),
    ) -> None:
        """`propagates` says which of L_loc and L_conf count."""
        super().__init__()
        for name, choice in (
            ("loc_loss_type", loc_loss_type),
            ("conf_loss_type", conf_loss_type),
            ("match_type", match_type),
            ("mining_type", mining_type),
            ("code_type", code_type),
            ("normalization", normalization),
        ):
            if choice not in CHOICES[name]:
                raise ShapeError(f"{name} {choice!r} is none of {', '.join(CHOICES[name])}")
        require(num_classes > 0, f"num_classes {num_classes} wants 1 or more")
        self.num_classes, self.share_location = num_classes, share_location
        self.loc_classes = 1 if share_location else num_classes
        self.loc_loss_type, self.conf_loss_type = loc_loss_type, conf_loss_type
        self.mining_type, self.normalization = mining_type, normalization
        self.code_type, self.propagates = code_type, propagates
        self.loc_weight, self.neg_pos_ratio = float32(loc_weight), float32(neg_pos_ratio)
        self.neg_overlap, self.sample_size = float32(neg_overlap), sample_size
        self.overlap_threshold = (
            float32(overlap_threshold) if match_type == "PER_PREDICTION" else None
        )
        self.use_prior_for_matching = use_prior_for_matching
        self.background_label_id, self.use_difficult_gt = background_label_id, use_difficult_gt
        self.encode_variance_in_target = encode_variance_in_target
        self.map_object_to_agnostic, self.bp_inside = map_object_to_agnostic, bp_inside
        self.ignore_cross_boundary_bbox = ignore_cross_boundary_bbox
        self.nms_threshold, self.top_k = float32(nms_threshold), top_k
        self.use_prior_for_nms = use_prior_for_nms
        self._check()

    def _check(self) -> None:
        background, classes = self.background_label_id, self.num_classes
        if not 0 <= background < classes:
            raise ShapeError(f"background_label_id {background} is none of {classes} classes")
        if self.mining_type != "NONE":
            require(self.share_location, "mining wants share_location")
        if self.map_object_to_agnostic and classes != 2:
            raise ShapeError(f"map_object_to_agnostic wants 2 classes, got {classes}")
        if self.map_object_to_agnostic and background != 0:
            raise ShapeError(
                f"map_object_to_agnostic wants background_label_id 0, got {background}"
            )
        if self.mining_type == "HARD_EXAMPLE" and self.sample_size <= 0:
            raise ShapeError(f"sample_size {self.sample_size} wants 1 or more")

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> MultiBoxLoss:
        param, down = layer.multibox_loss_param, tuple(layer.propagate_down)
        require(param.HasField("num_classes"), "there is no num_classes")
        mining = enum_name(param, "mining_type")
        if param.HasField("do_neg_mining") and param.do_neg_mining != (mining != "NONE"):
            raise ShapeError(
                f"do_neg_mining {param.do_neg_mining} contradicts mining_type {mining}"
            )
        suppresses = param.HasField("nms_param")
        return cls(
            normalization=read_normalization(layer.loss_param, "VALID"),
            propagates=(down[0], down[1]) if len(down) > 1 else (True, True),
            nms_threshold=param.nms_param.nms_threshold if suppresses else 0.0,
            top_k=param.nms_param.top_k if suppresses else -1,
            **cls.fields(layer),
        )

    def shapes(self, loc: Shape, conf: Shape, prior: Shape, gt: Shape, *arm: Shape) -> list[Shape]:
        check_predictions(loc, conf, prior, self.loc_classes, self.num_classes)
        if len(gt) != 4 or gt[:2] != (1, 1) or gt[3] != 8:
            raise ShapeError(f"the objects are {gt}, wants 1 x 1 x G x 8")
        return [()]

    def forward(self, loc: Tensor, conf: Tensor, prior: Tensor, gt: Tensor, *arm: Tensor) -> Tensor:
        return self.loss(loc, conf, prior, gt, Refinement())

    def labels_of(self, objects: Tensor) -> Tensor:
        """Return the labels of G x 8 objects."""
        return objects[:, 1].long()

    def loss(
        self, loc: Tensor, conf: Tensor, prior: Tensor, gt: Tensor, refined: Refinement
    ) -> Tensor:
        """Return the loss."""
        images, with_boxes = loc.shape[0], self.loc_classes
        codes = loc.reshape(images, -1, with_boxes, 4).transpose(1, 2)
        scores = conf.reshape(images, -1, self.num_classes)
        plain, variances = (v.transpose(0, 1)[None] for v in read_priors(prior, encoded=False))
        priors = plain if refined.boxes is None else refined.boxes.transpose(1, 2)
        objects = gt.detach().reshape(-1, 8)
        labels = self.labels_of(objects)
        own = self._own(objects, labels, images)
        with torch.no_grad():
            boxes = (
                priors if self.use_prior_for_matching else self._decoded(plain, codes, variances)
            )
            inside = _is_inside(boxes).all(-1) if self.ignore_cross_boundary_bbox else None
            of_lists = self._of_lists(own, labels)
            found, best = match(boxes, objects[:, 3:7], of_lists, self.overlap_threshold, inside)
            row = found.clamp(min=0)
            positive = found >= 0
            if not self.share_location:
                own_class = labels[row] == torch.arange(with_boxes, device=loc.device)[:, None]
                positive = positive & own_class & (labels[row] != self.background_label_id)
            row = row.expand_as(positive)
            unmatched = found[:, 0] < 0
            if inside is not None:
                unmatched = unmatched & inside[:, 0]
            # Where boxes of several classes match, the last class counts.
            lists = torch.where(positive, labels[row], -1)
            label = lists.amax(1)
            label = torch.where(label < 0, self.background_label_id, label)
            targets = objects[:, 3:7][row]
            chosen = torch.ones_like(unmatched)
            if self.mining_type != "NONE":
                loss = self._score_losses(scores, label)
                if self.mining_type == "HARD_EXAMPLE":
                    losses = self._loc_losses(codes, targets, positive, plain, variances)
                    loss = loss + losses[:, 0]
                rivals = None
                if self.nms_threshold > 0:
                    if not self.use_prior_for_nms:
                        plain = self._decoded(plain, codes, variances)
                    rivals = plain[:, 0]
                positive, negative = self._mine(
                    loss, positive[:, 0], unmatched, best[:, 0], own, refined.objects, rivals
                )
                chosen = positive | negative
                label = torch.where(positive, label, self.background_label_id)
                positive = positive[:, None]
        total = scores.new_zeros(())
        if self.propagates[0]:
            losses = self._loc_losses(codes, targets, positive, priors, variances)
            total = total + self.loc_weight * losses.sum()
        if self.propagates[1]:
            if self.map_object_to_agnostic:
                label, lists = (torch.where(numbers > 0, 1, numbers) for numbers in (label, lists))
            losses = self.conf_losses(scores, label, self._targets(scores, label, lists))
            total = total + torch.where(chosen, losses, 0).sum()
        return total / self._count(scores, positive)

    def _own(self, objects: Tensor, labels: Tensor, images: int) -> Tensor:
        """Return which objects are whose, N x G; ShapeError for one of no class."""
        image = objects[:, 0].long()
        real = image != -1
        if not torch.compiler.is_compiling() and bool(real.any()):
            got = labels[real]
            if (got == self.background_label_id).any():
                raise ShapeError(f"an object is of the background, {self.background_label_id}")
            least, most = int(got.min()), int(got.max())
            require(
                0 <= least <= most < self.num_classes
                or (self.map_object_to_agnostic and self.mining_type == "NONE"),
                f"the objects' labels go from {least} to {most}, wants classes below "
                f"{self.num_classes}",
                fix="--dialect refinedet takes all objects for class 1 where there are 2 classes",
            )
        if not self.use_difficult_gt:
            real = real & (objects[:, 7] == 0)
        return real & (image == torch.arange(images, device=image.device)[:, None])

    def _of_lists(self, own: Tensor, labels: Tensor) -> Tensor:
        """Return which objects each matching of an image is about, N x M x G."""
        if self.share_location or self.use_prior_for_matching:
            return own[:, None]
        classes = torch.arange(self.num_classes, device=labels.device)[:, None]
        return own[:, None] & (labels == classes) & (classes != self.background_label_id)

    def _decoded(self, priors: Tensor, codes: Tensor, variances: Tensor) -> Tensor:
        scale = 1 if self.encode_variance_in_target else variances
        return decode(self.code_type, priors, codes.detach() * scale)

    def _loc_losses(
        self, codes: Tensor, targets: Tensor, positive: Tensor, priors: Tensor, variances: Tensor
    ) -> Tensor:
        """Return L_loc's terms, N x L x P."""
        unit = codes.new_tensor(UNIT_BOX)
        chosen = positive[..., None]
        # What is not matched is replaced before it can make a NaN of a gradient.
        boxes, targets = torch.where(chosen, priors, unit), torch.where(chosen, targets, unit)
        if self.code_type != "CORNER":
            check_sizes(boxes[..., 2:] - boxes[..., :2], "prior box")
        if self.code_type == "CENTER_SIZE":
            check_sizes(targets[..., 2:] - targets[..., :2], "matched object")
        want = encode(self.code_type, boxes, targets)
        if self.encode_variance_in_target:
            d = codes - want
            d = gradient_of(d / variances, d)
        else:
            d = codes - want / variances
        if self.bp_inside:
            seen = boxes if self.use_prior_for_matching else self._decoded(boxes, codes, variances)
            d = torch.where(_is_inside(seen), d, 0)
        terms = smooth_l1(d) if self.loc_loss_type == "SMOOTH_L1" else d.square() / 2
        return torch.where(chosen, terms, 0).sum(-1)

    def _targets(self, scores: Tensor, label: Tensor, lists: Tensor) -> Tensor | None:
        """Return LOGISTIC's targets, N x P x C; None where they are 1 for the label and 0 else.

        Without mining the targets are in Caffe one row for all, and the 1 of label c of box p of
        image n is at `n P + p C + c` of it. `lists`, N x L x P, are the labels of all matchings.
        """
        background, mines = self.background_label_id, self.mining_type != "NONE"
        if self.conf_loss_type != "LOGISTIC" or (mines and background == 0):
            return None
        if mines:
            return torch.full_like(scores, background).scatter(-1, label[..., None], 1)
        images, priors, classes = scores.shape
        count = scores.numel()
        at = torch.arange(images, device=scores.device)[:, None] * priors
        at = at + torch.arange(priors, device=scores.device) * classes
        at = torch.where(lists < 0, count, at[:, None] + lists)  # behind the end: left out
        row = scores.new_full((count + 1,), background).scatter(0, at.flatten(), 1)
        return row[:-1].reshape(scores.shape)

    def conf_losses(self, scores: Tensor, label: Tensor, targets: Tensor | None) -> Tensor:
        """Return what L_conf sums, N x P; mining goes by SSD's own, whatever this is."""
        return self._score_losses(scores, label, targets)

    def _score_losses(self, scores: Tensor, label: Tensor, targets: Tensor | None = None) -> Tensor:
        """Return L_conf's term of every prior box, N x P."""
        index = label[..., None]
        if self.conf_loss_type == "SOFTMAX":
            picked = scores.log_softmax(-1).gather(-1, index)
            return -floored(picked, LOG_FLT_MIN)[..., 0]
        if targets is None:
            targets = torch.zeros_like(scores).scatter(-1, index, 1)
        return F.binary_cross_entropy_with_logits(scores, targets, reduction="none").sum(-1)

    def _mine(
        self,
        loss: Tensor,
        positive: Tensor,
        unmatched: Tensor,
        best: Tensor,
        own: Tensor,
        objects: Tensor | None,
        rivals: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Return the matches that stay, and what is learned as background: N x P.

        `rivals` are the boxes that suppress each other, if any do.
        """
        hard = self.mining_type == "HARD_EXAMPLE"
        eligible = torch.ones_like(unmatched) if hard else unmatched & (best < self.neg_overlap)
        eligible = eligible & own.any(1, keepdim=True)
        if objects is not None:
            eligible = eligible & (objects >= self.objectness_score)
        if rivals is not None:
            eligible = spared(loss, eligible, rivals, self.nms_threshold, self.top_k)
        if hard:
            count = torch.full_like(positive[:, 0], self.sample_size, dtype=torch.int64)
            chosen = hardest(loss, eligible, count)
            return positive & chosen, unmatched & chosen
        # As in C++: a product of floats, cut.
        matches = positive.sum(1).to(torch.float32)
        return positive, hardest(loss, eligible, (matches * self.neg_pos_ratio).long())

    def _count(self, scores: Tensor, positive: Tensor) -> Tensor | int:
        images, priors = scores.shape[:2]
        if self.normalization == "VALID":
            return positive.sum().clamp(min=1)
        return {"FULL": images * priors, "BATCH_SIZE": images, "NONE": 1}[self.normalization]

    def onnx(self, op: Op, loc: str, conf: str, prior: str, gt: str, *arm: str) -> Values:
        return self.emit(op, loc, conf, prior, gt, Refinement())


class MultiBoxFocalLoss(
    MultiBoxLoss,
    type="MultiBoxFocalLoss",
    fork="ssd_focal",
    param="multibox_loss_param",
    bottoms=4,
):
    """SSD's MultiBoxLoss, whose L_conf sums focal losses: `-alpha (1 - p)^gamma log(p)`.

    p is the softmax of the label's class. `alpha` and `gamma` are the focal_loss_param's, whose
    `axis` is not used. Mining goes by `-log(p)` all the same, and LOGISTIC is as in MultiBoxLoss.

    Errors: those of MultiBoxLoss.
    Caffe: leehungxd/caffe_ssd at cc67d2bd and canteen-man/MobileNet-SSD-Focal-loss at 62b4968c,
    src/caffe/layers/multibox_focal_loss_layer.cpp, focal_loss_layer.cpp
    """

    def __init__(
        self, *, alpha: float = 0.25, gamma: float = 2.0, **fields: Unpack[MultiBoxFields]
    ) -> None:
        super().__init__(**fields)
        self.alpha, self.gamma = float32(alpha), float32(gamma)

    @classmethod
    def fields(cls, layer: Any, **computed: object) -> dict[str, Any]:
        focal = cls.fields_of(layer.focal_loss_param)
        return super().fields(layer, **computed, **focal)

    @property
    def form(self) -> Form:
        return self.alpha, 1.0, -1.0

    def conf_losses(self, scores: Tensor, label: Tensor, targets: Tensor | None) -> Tensor:
        if self.conf_loss_type != "SOFTMAX":
            return super().conf_losses(scores, label, targets)
        picked = scores.log_softmax(-1).gather(-1, label[..., None])[..., 0]
        return focal(picked, self.form, self.gamma)

    def emit_conf_losses(self, op: Op, scores: str, label: str, targets: str | None) -> str:
        if self.conf_loss_type != "SOFTMAX":
            return super().emit_conf_losses(op, scores, label, targets)
        return emit_focal(op, self.emit_picked(op, scores, label), self.form, self.gamma)


class RefinedMultiBoxLoss(MultiBoxLoss, type="MultiBoxLoss", fork="refinedet", bottoms=(4, 6)):
    """SSD's MultiBoxLoss with prior boxes refined by an earlier stage of the network.

    Two more bottoms: scores N x 2P and locations N x 4P of the refinement. Prior boxes are decoded
    by the latter first, before they are matched and objects are encoded by them. Mining passes over
    boxes whose second score is below `objectness_score`. With two classes every object is of
    class 1.

    Caffe: sfzhang15/RefineDet, src/caffe/layers/multibox_loss_layer.cpp
    """

    def __init__(self, *, objectness_score: float = 0.01, **fields: Unpack[MultiBoxFields]) -> None:
        super().__init__(**fields)
        self.objectness_score = float32(objectness_score)

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return len(layer.bottom) > 4 or layer.multibox_loss_param.num_classes == 2

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> MultiBoxLoss:
        param = layer.multibox_loss_param
        if param.HasField("nms_param") and param.nms_param.nms_threshold > 0:
            raise UnsupportedError("which refined boxes suppress each other is not known")
        return super().from_caffe(layer, bottoms)

    def shapes(self, loc: Shape, conf: Shape, prior: Shape, gt: Shape, *arm: Shape) -> list[Shape]:
        for name, size, shape in zip(("arm_conf", "arm_loc"), (2, 4), arm, strict=False):
            check_refinement(name, size, shape, prior, loc)
        return super().shapes(loc, conf, prior, gt)

    def labels_of(self, objects: Tensor) -> Tensor:
        labels = super().labels_of(objects)
        return labels.clamp(max=1) if self.num_classes == 2 else labels

    def emit_labels(self, op: Op, labels: str) -> str:
        if self.num_classes != 2:
            return labels
        return op.Min(labels, op.const(np.array(1)))

    def forward(self, loc: Tensor, conf: Tensor, prior: Tensor, gt: Tensor, *arm: Tensor) -> Tensor:
        objects = arm[0].detach().reshape(loc.shape[0], -1, 2)[..., 1] if arm else None
        boxes = None
        if len(arm) > 1:
            priors, variances = read_priors(prior, encoded=self.encode_variance_in_target)
            boxes = refine(self.code_type, priors, variances, arm[1])
        return self.loss(loc, conf, prior, gt, Refinement(objects, boxes))

    def onnx(self, op: Op, loc: str, conf: str, prior: str, gt: str, *arm: str) -> Values:
        objects = boxes = None
        if arm:
            pairs = op.Reshape(arm[0], op.ints(0, -1, 2))
            objects = op.Gather(pairs, op.const(np.array(1)), axis=2)
        if len(arm) > 1:
            encoded = self.encode_variance_in_target
            priors = emit_priors(op, prior, encoded=encoded)
            boxes = emit_refine(op, self.code_type, *priors, arm[1])
        return self.emit(op, loc, conf, prior, gt, Refinement(objects, boxes))


def _is_inside(boxes: Tensor) -> Tensor:
    """Return which coordinates are within the image."""
    return (boxes >= 0) & (boxes <= 1)
