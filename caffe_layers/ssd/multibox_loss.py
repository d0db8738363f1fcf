"""MultiBoxLoss, from SSD, and RefineDet's."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from prototxt.errors import UnsupportedError

from ..checks import require
from ..gradient import floored
from ..layer import Layer, Shape
from ..loss.normalizer import read_normalization
from ..message import enum_name, fork_field
from ..number import FLT_MIN, float32
from .bbox import CODE_TYPES, check_sizes, decode, emit_decode, emit_encode, encode
from .matching import emit_hardest, emit_match, hardest, match
from .predictions import (
    check_predictions,
    check_refinement,
    emit_priors,
    emit_refine,
    read_priors,
    refine,
)
from .smooth_l1 import emit_smooth_l1, smooth_l1

LOG_FLT_MIN = log(FLT_MIN)
CHOICES = {
    "loc_loss_type": ("SMOOTH_L1", "L2"),
    "conf_loss_type": ("SOFTMAX", "LOGISTIC"),
    "match_type": ("PER_PREDICTION", "BIPARTITE"),
    "mining_type": ("MAX_NEGATIVE", "NONE", "HARD_EXAMPLE"),
    "code_type": CODE_TYPES,
    "normalization": ("VALID", "FULL", "BATCH_SIZE", "NONE"),
}
UNIT_BOX = (0.0, 0.0, 1.0, 1.0)


class Refinement(NamedTuple):
    """What RefineDet's earlier stage says: scores N x P of an object, and N x P x 1 x 4 boxes."""

    objects: Any = None
    boxes: Any = None


class MultiBoxLoss(Layer, type="MultiBoxLoss", fork="ssd", bottoms=4):
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
    whether matched or not, and only these matches stay; NONE all. The count is at least 1: VALID
    the matches, FULL N P, BATCH_SIZE N, NONE 1. What `propagate_down` denies adds nothing.
    Locations and scores get gradients.

    Errors: ShapeError for bottoms that do not fit each other, objects of the background or of no
    class, and boxes without width; UnsupportedError for suppression while mining (`nms_param`), and
    for LOGISTIC with another background than 0 or without mining, whose targets the fork mixes up.
    Caffe: weiliu89/caffe, src/caffe/layers/multibox_loss_layer.cpp
    """

    is_loss = True
    auto_tops = True
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
        normalization: str = "VALID",
        propagates: tuple[bool, bool] = (True, True),
    ) -> None:
        """`propagates` says which of L_loc and L_conf count."""
        super().__init__()
        given = locals()
        for name, values in CHOICES.items():
            known = given[name] in values
            require(known, f"{name} {given[name]!r} is none of {', '.join(values)}")
        require(num_classes > 0, f"num_classes {num_classes} wants 1 or more")
        self.num_classes, self.share_location = num_classes, share_location
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
        self._check()

    def _check(self) -> None:
        background, mines = self.background_label_id, self.mining_type != "NONE"
        among = 0 <= background < self.num_classes
        require(among, f"background_label_id {background} is none of {self.num_classes} classes")
        require(self.share_location or not mines, "mining wants share_location")
        two = not self.map_object_to_agnostic or self.num_classes == 2
        require(two, f"map_object_to_agnostic wants 2 classes, got {self.num_classes}")
        sampled = self.mining_type != "HARD_EXAMPLE" or self.sample_size > 0
        require(sampled, f"sample_size {self.sample_size} wants 1 or more")
        if self.conf_loss_type == "LOGISTIC" and (background or not mines):
            raise UnsupportedError(
                "conf_loss_type LOGISTIC wants mining and background 0: otherwise the fork puts "
                "its targets in the wrong places"
            )

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> MultiBoxLoss:
        param, down = layer.multibox_loss_param, tuple(layer.propagate_down)
        return cls(
            normalization=read_normalization(layer.loss_param, "VALID"),
            propagates=(down[0], down[1]) if len(down) > 1 else (True, True),
            **cls.fields(param),
        )

    @classmethod
    def fields(cls, param: Any) -> dict[str, Any]:
        """Read a MultiBoxLossParameter."""
        require(param.HasField("num_classes"), "there is no num_classes")
        if param.HasField("nms_param") and param.nms_param.nms_threshold > 0:
            raise UnsupportedError("suppression of overlapping boxes while mining is not here")
        mining = enum_name(param, "mining_type")
        if param.HasField("do_neg_mining"):
            agrees = param.do_neg_mining == (mining != "NONE")
            require(agrees, f"do_neg_mining {param.do_neg_mining} contradicts mining_type {mining}")
        named = ("loc_loss_type", "conf_loss_type", "match_type", "code_type", "mining_type")
        plain = (
            "num_classes",
            "loc_weight",
            "share_location",
            "overlap_threshold",
            "use_prior_for_matching",
            "background_label_id",
            "use_difficult_gt",
            "neg_pos_ratio",
            "neg_overlap",
            "encode_variance_in_target",
            "map_object_to_agnostic",
            "ignore_cross_boundary_bbox",
            "bp_inside",
            "sample_size",
        )
        read = {name: enum_name(param, name) for name in named}
        return read | {name: getattr(param, name) for name in plain}

    @property
    def loc_classes(self) -> int:
        """How many boxes a prior box has."""
        return 1 if self.share_location else self.num_classes

    def shapes(self, loc: Shape, conf: Shape, prior: Shape, gt: Shape, *arm: Shape) -> list[Shape]:
        check_predictions(loc, conf, prior, self.loc_classes, self.num_classes)
        rows = len(gt) == 4 and gt[:2] == (1, 1) and gt[3] == 8
        require(rows, f"the objects are {gt}, wants 1 x 1 x G x 8")
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
            boxes = boxes.expand(images, *boxes.shape[1:])
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
            label = torch.where(positive, labels[row], -1).amax(1)
            label = torch.where(label < 0, self.background_label_id, label)
            targets = objects[:, 3:7][row]
            chosen = torch.ones_like(unmatched)
            if self.mining_type != "NONE":
                loss = self._score_losses(scores, label)
                if self.mining_type == "HARD_EXAMPLE":
                    losses = self._loc_losses(codes, targets, positive, plain, variances)
                    loss = loss + losses[:, 0]
                positive, negative = self._mine(
                    loss, positive[:, 0], unmatched, best[:, 0], own, refined.objects
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
                other = label != self.background_label_id
                label = torch.where(other, self.background_label_id + 1, label)
            losses = self._score_losses(scores, label)
            total = total + torch.where(chosen, losses, 0).sum()
        return total / self._count(scores, positive)

    def _own(self, objects: Tensor, labels: Tensor, images: int) -> Tensor:
        """Return which objects are whose, N x G; ShapeError for one of no class."""
        image = objects[:, 0].long()
        real = image != -1
        if not torch.compiler.is_compiling() and bool(real.any()):
            got = labels[real]
            background = bool((got == self.background_label_id).any())
            require(not background, f"an object is of the background, {self.background_label_id}")
            least, most = int(got.min()), int(got.max())
            among = least >= 0 and most < self.num_classes
            require(
                among or (self.map_object_to_agnostic and self.mining_type == "NONE"),
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
            d = (codes - want) / variances
        else:
            d = codes - want / variances
        if self.bp_inside:
            seen = boxes if self.use_prior_for_matching else self._decoded(boxes, codes, variances)
            d = torch.where(_is_inside(seen), d, 0)
        terms = smooth_l1(d) if self.loc_loss_type == "SMOOTH_L1" else d.square() / 2
        return torch.where(chosen, terms, 0).sum(-1)

    def _score_losses(self, scores: Tensor, label: Tensor) -> Tensor:
        """Return L_conf's term of every prior box, N x P."""
        index = label[..., None]
        if self.conf_loss_type == "SOFTMAX":
            picked = scores.log_softmax(-1).gather(-1, index)
            return -floored(picked, LOG_FLT_MIN)[..., 0]
        hot = torch.zeros_like(scores).scatter(-1, index, 1)
        return F.binary_cross_entropy_with_logits(scores, hot, reduction="none").sum(-1)

    def _mine(
        self,
        loss: Tensor,
        positive: Tensor,
        unmatched: Tensor,
        best: Tensor,
        own: Tensor,
        objects: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Return the matches that stay, and what is learned as background: N x P."""
        hard = self.mining_type == "HARD_EXAMPLE"
        eligible = torch.ones_like(unmatched) if hard else unmatched & (best < self.neg_overlap)
        eligible = eligible & own.any(1, keepdim=True)
        if objects is not None:
            eligible = eligible & (objects >= self.objectness_score)
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

    def onnx(self, op: Any, loc: str, conf: str, prior: str, gt: str, *arm: str) -> Any:
        return self.emit(op, loc, conf, prior, gt, Refinement())

    def emit_labels(self, op: Any, labels: str) -> Any:
        """Append what `labels_of` does to the labels as they are given."""
        return labels

    def emit(self, op: Any, loc: str, conf: str, prior: str, gt: str, refined: Refinement) -> Any:
        """Append what `loss` does."""
        codes = op.Reshape(loc, op.ints(0, -1, self.loc_classes, 4), name="codes_of_priors")
        codes = op.Transpose(codes, perm=[0, 2, 1, 3], name="codes")
        scores = op.Reshape(conf, op.ints(0, -1, self.num_classes), name="scores")
        plain, variances = (
            op.Transpose(value, perm=[1, 0, 2], name=f"first:{i}")
            for i, value in enumerate(emit_priors(op, prior, encoded=False))
        )
        priors = plain
        if refined.boxes is not None:
            priors = op.Transpose(refined.boxes, perm=[0, 2, 1, 3], name="refined_priors")
        objects = op.Reshape(gt, op.ints(-1, 8), name="objects")
        corners = op.Gather(objects, op.ints(3, 4, 5, 6), axis=1, name="corners")
        labels = op.Gather(objects, op.const(np.array(1, np.int64)), axis=1, name="given_labels")
        labels = self.emit_labels(op, op.to_int(labels, name="labels"))
        own = self._emit_own(op, objects, scores)

        boxes = op.Unsqueeze(priors, op.ints(0), name="boxes") if priors is plain else priors
        if not self.use_prior_for_matching:
            boxes = self._emit_decoded(op, plain, codes, variances, "seen")
        inside = None
        if self.ignore_cross_boundary_bbox:
            worst = op.to_float(_emit_is_inside(op, boxes, "cross"), name="cross/float")
            worst = op.reduce("ReduceMin", worst, [3], keepdims=0, name="cross/worst")
            inside = op.to_bool(worst, name="inside")
        of_lists = op.Unsqueeze(own, op.ints(1), name="of_lists")
        classes = op.const(np.arange(self.loc_classes)[:, None])
        if not (self.share_location or self.use_prior_for_matching):
            of_lists = op.And(
                of_lists, self._emit_is_class(op, labels, classes, "objects"), name="of_classes"
            )
        found, best = emit_match(op, boxes, corners, of_lists, self.overlap_threshold, inside)

        row = op.to_int(op.Relu(found, name="row_or_0"), name="row")
        positive = op.GreaterOrEqual(found, op.scalar(0), name="positive")
        label = op.Gather(labels, row, name="label")
        if not self.share_location:
            is_class = self._emit_is_class(op, label, classes, "boxes")
            positive = op.And(positive, is_class, name="positive_of_class")
        none, background = (op.const(np.array(n)) for n in (-1, self.background_label_id))
        label = op.Where(positive, label, none, name="label_or_none")
        label = op.reduce("ReduceMax", label, [1], keepdims=0, name="last_label")
        nothing = op.Less(label, op.const(np.array(0)), name="is_background")
        label = op.Where(nothing, background, label, name="label_of_prior")
        targets = op.Gather(corners, row, name="targets")

        chosen = None
        if self.mining_type != "NONE":
            loss = self._emit_score_losses(op, scores, label, "mine")
            if self.mining_type == "HARD_EXAMPLE":
                losses = self._emit_loc_losses(
                    op, codes, targets, positive, plain, variances, "mine_loc"
                )
                loss = op.Add(loss, op.Squeeze(losses, op.ints(1), name="loc"), name="both")
            unmatched = op.Less(found, op.scalar(0), name="unmatched")
            if inside is not None:
                unmatched = op.And(unmatched, inside, name="unmatched_inside")
            kept, negative = self._emit_mine(
                op,
                loss,
                op.Squeeze(positive, op.ints(1), name="positive_in_list"),
                op.Squeeze(unmatched, op.ints(1), name="unmatched_in_list"),
                op.Squeeze(best, op.ints(1), name="best_in_list"),
                own,
                refined.objects,
            )
            chosen = op.Or(kept, negative, name="chosen")
            label = op.Where(kept, label, background, name="kept_label")
            positive = op.Unsqueeze(kept, op.ints(1), name="kept")

        totals = [op.scalar(0)]
        if self.propagates[0]:
            losses = self._emit_loc_losses(op, codes, targets, positive, priors, variances, "loc")
            total = op.ReduceSum(losses, keepdims=0, name="loc_sum")
            totals.append(op.Mul(total, op.scalar(self.loc_weight), name="loc_total"))
        if self.propagates[1]:
            if self.map_object_to_agnostic:
                same = op.Equal(label, background, name="no_object")
                other = op.const(np.array(self.background_label_id + 1))
                label = op.Where(same, label, other, name="agnostic")
            losses = self._emit_score_losses(op, scores, label, "conf")
            if chosen is not None:
                losses = op.Where(chosen, losses, op.scalar(0), name="conf_chosen")
            totals.append(op.ReduceSum(losses, keepdims=0, name="conf_sum"))
        return op.Div(op.Sum(*totals, name="total"), self._emit_count(op, scores, positive))

    def _emit_own(self, op: Any, objects: str, scores: str) -> Any:
        image = op.to_int(
            op.Gather(objects, op.const(np.array(0)), axis=1, name="of_image"), name="image"
        )
        images = op.Gather(
            op.Shape(scores, name="sizes"), op.const(np.array(0)), axis=0, name="images"
        )
        indices = op.Range(op.const(np.array(0)), images, op.const(np.array(1)), name="indices")
        own = op.Equal(image, op.Unsqueeze(indices, op.ints(1), name="column"), name="own")
        if self.use_difficult_gt:
            return own
        difficult = op.Gather(objects, op.const(np.array(7)), axis=1, name="difficult")
        easy = op.Equal(difficult, op.scalar(0), name="easy")
        return op.And(own, easy, name="own_easy")

    def _emit_is_class(self, op: Any, labels: str, classes: str, name: str) -> Any:
        """Return which labels are each class', and not the background's."""
        same = op.Equal(labels, classes, name=f"{name}/same")
        background = op.const(np.array(self.background_label_id))
        object_ = op.Not(op.Equal(labels, background, name=f"{name}/none"), name=f"{name}/some")
        return op.And(same, object_, name=f"{name}/is_class")

    def _emit_decoded(self, op: Any, priors: str, codes: str, variances: str, name: str) -> Any:
        if not self.encode_variance_in_target:
            codes = op.Mul(codes, variances, name=f"{name}/scaled")
        return emit_decode(op, self.code_type, priors, codes, name)

    def _emit_loc_losses(
        self,
        op: Any,
        codes: str,
        targets: str,
        positive: str,
        priors: str,
        variances: str,
        name: str,
    ) -> Any:
        chosen = op.Unsqueeze(positive, op.ints(3), name=f"{name}/chosen")
        unit = op.floats(UNIT_BOX)
        boxes = op.Where(chosen, priors, unit, name=f"{name}/priors")
        targets = op.Where(chosen, targets, unit, name=f"{name}/targets")
        want = emit_encode(op, self.code_type, boxes, targets, name)
        if self.encode_variance_in_target:
            d = op.Sub(codes, want, name=f"{name}/d")
            d = op.Div(d, variances, name=f"{name}/scaled_d")
        else:
            d = op.Sub(codes, op.Div(want, variances, name=f"{name}/want"), name=f"{name}/d")
        if self.bp_inside:
            seen = boxes
            if not self.use_prior_for_matching:
                seen = self._emit_decoded(op, boxes, codes, variances, f"{name}/seen")
            counts = _emit_is_inside(op, seen, f"{name}/bp")
            d = op.Where(counts, d, op.scalar(0), name=f"{name}/d_inside")
        if self.loc_loss_type == "SMOOTH_L1":
            terms = emit_smooth_l1(op, d, f"{name}/f")
        else:
            half = op.Mul(d, op.scalar(0.5), name=f"{name}/half")
            terms = op.Mul(d, half, name=f"{name}/terms")
        terms = op.Where(chosen, terms, op.scalar(0), name=f"{name}/chosen_terms")
        return op.reduce("ReduceSum", terms, [3], keepdims=0, name=f"{name}/losses")

    def _emit_score_losses(self, op: Any, scores: str, label: str, name: str) -> Any:
        index = op.Unsqueeze(label, op.ints(2), name=f"{name}/index")
        if self.conf_loss_type == "SOFTMAX":
            logs = op.LogSoftmax(scores, axis=2, name=f"{name}/logs")
            picked = op.GatherElements(logs, index, axis=2, name=f"{name}/picked")
            flat = op.Squeeze(picked, op.ints(2), name=f"{name}/flat")
            high = op.Max(flat, op.scalar(LOG_FLT_MIN), name=f"{name}/floored")
            return op.Neg(high, name=f"{name}/losses")
        same = op.Equal(index, op.const(np.arange(self.num_classes)), name=f"{name}/same")
        hot = op.to_float(same, name=f"{name}/hot")
        # max(x, 0) - x * t + log(1 + exp(-|x|)) overflows nowhere.
        hit = op.Mul(scores, hot, name=f"{name}/hit")
        linear = op.Sub(op.Relu(scores, name=f"{name}/above"), hit, name=f"{name}/linear")
        distance = op.Neg(op.Abs(scores, name=f"{name}/abs"), name=f"{name}/distance")
        terms = op.Add(linear, op.Softplus(distance, name=f"{name}/rest"), name=f"{name}/terms")
        return op.reduce("ReduceSum", terms, [2], keepdims=0, name=f"{name}/losses")

    def _emit_mine(
        self,
        op: Any,
        loss: str,
        positive: str,
        unmatched: str,
        best: str,
        own: str,
        objects: str | None,
    ) -> tuple[str, str]:
        hard = self.mining_type == "HARD_EXAMPLE"
        some = op.reduce(
            "ReduceMax", op.to_float(own, name="own_float"), [1], keepdims=1, name="any_own"
        )
        eligible = op.to_bool(some, name="has_objects")
        if hard:
            every = op.Or(unmatched, op.Not(unmatched, name="matched"), name="every")
        else:
            low = op.Less(best, op.scalar(self.neg_overlap), name="low")
            every = op.And(unmatched, low, name="every")
        eligible = op.And(eligible, every, name="eligible")
        if objects is not None:
            high = op.GreaterOrEqual(objects, op.scalar(self.objectness_score), name="high")
            eligible = op.And(eligible, high, name="eligible_objects")
        if hard:
            chosen = emit_hardest(op, loss, eligible, op.ints(self.sample_size))
            return (
                op.And(positive, chosen, name="hard_matches"),
                op.And(unmatched, chosen, name="hard_negatives"),
            )
        ones = op.cast(positive, np.float32, name="ones")
        matches = op.reduce("ReduceSum", ones, [1], keepdims=1, name="matches")
        ratio = op.const(np.array(self.neg_pos_ratio, np.float32))
        count = op.to_int(op.Mul(matches, ratio, name="wanted"), name="negatives")
        return positive, emit_hardest(op, loss, eligible, count)

    def _emit_count(self, op: Any, scores: str, positive: str) -> Any:
        if self.normalization == "NONE":
            return op.scalar(1)
        if self.normalization == "VALID":
            ones = op.to_float(positive, name="positive_ones")
            found = op.ReduceSum(ones, keepdims=0, name="found")
            return op.Max(found, op.scalar(1), name="count")
        axes = 2 if self.normalization == "FULL" else 1
        sizes = op.Shape(scores, name="count/sizes")
        counted = op.Slice(sizes, op.ints(0), op.ints(axes), name="count/counted")
        return op.to_float(op.ReduceProd(counted, keepdims=0, name="count/product"), name="count")


class RefinedMultiBoxLoss(MultiBoxLoss, type="MultiBoxLoss", fork="refinedet", bottoms=(4, 6)):
    """SSD's MultiBoxLoss with prior boxes refined by an earlier stage of the network.

    Two more bottoms: scores N x 2P and locations N x 4P of the refinement. Prior boxes are decoded
    by the latter first, before they are matched and objects are encoded by them. Mining passes over
    boxes whose second score is below `objectness_score`. With two classes every object is of
    class 1.

    Caffe: sfzhang15/RefineDet, src/caffe/layers/multibox_loss_layer.cpp
    """

    def __init__(self, *, objectness_score: float = 0.01, **fields: Any) -> None:
        super().__init__(**fields)
        self.objectness_score = float32(objectness_score)

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return len(layer.bottom) > 4

    @classmethod
    def fields(cls, param: Any) -> dict[str, Any]:
        score = fork_field(param, "objectness_score", 0.01)
        return {**super().fields(param), "objectness_score": score}

    def shapes(self, loc: Shape, conf: Shape, prior: Shape, gt: Shape, *arm: Shape) -> list[Shape]:
        for name, size, shape in zip(("arm_conf", "arm_loc"), (2, 4), arm, strict=False):
            check_refinement(name, size, shape, prior, loc)
        return super().shapes(loc, conf, prior, gt)

    def labels_of(self, objects: Tensor) -> Tensor:
        labels = super().labels_of(objects)
        return labels.clamp(max=1) if self.num_classes == 2 else labels

    def emit_labels(self, op: Any, labels: str) -> Any:
        if self.num_classes != 2:
            return labels
        return op.Min(labels, op.const(np.array(1)), name="labels_of_2")

    def forward(self, loc: Tensor, conf: Tensor, prior: Tensor, gt: Tensor, *arm: Tensor) -> Tensor:
        objects = arm[0].detach().reshape(loc.shape[0], -1, 2)[..., 1] if arm else None
        boxes = None
        if len(arm) > 1:
            priors, variances = read_priors(prior, encoded=self.encode_variance_in_target)
            boxes = refine(self.code_type, priors, variances, arm[1])
        return self.loss(loc, conf, prior, gt, Refinement(objects, boxes))

    def onnx(self, op: Any, loc: str, conf: str, prior: str, gt: str, *arm: str) -> Any:
        objects = boxes = None
        if arm:
            pairs = op.Reshape(arm[0], op.ints(0, -1, 2), name="objectness")
            objects = op.Gather(pairs, op.const(np.array(1)), axis=2, name="object_scores")
        if len(arm) > 1:
            encoded = self.encode_variance_in_target
            priors = emit_priors(op, prior, encoded=encoded, name="refining")
            boxes = emit_refine(op, self.code_type, *priors, arm[1])
        return self.emit(op, loc, conf, prior, gt, Refinement(objects, boxes))


def _is_inside(boxes: Tensor) -> Tensor:
    """Return which coordinates are within the image."""
    return (boxes >= 0) & (boxes <= 1)


def _emit_is_inside(op: Any, boxes: str, name: str) -> Any:
    above = op.GreaterOrEqual(boxes, op.scalar(0), name=f"{name}/above")
    return op.And(
        above, op.LessOrEqual(boxes, op.scalar(1), name=f"{name}/below"), name=f"{name}/in"
    )
