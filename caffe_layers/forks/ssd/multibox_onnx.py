"""MultiBoxLoss in ONNX, step by step as in torch."""

from __future__ import annotations

from math import log
from typing import Any, NamedTuple

import numpy as np

from caffe_layers.arithmetic.ramp import emit_count, emit_indices
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import FLT_MIN
from caffe_layers.base.op import Op

from .bbox import emit_decode, emit_encode
from .matching import emit_hardest, emit_match, emit_spared
from .predictions import emit_boxes_and_variances
from .smooth_l1 import emit_smooth_l1

LOG_FLT_MIN = log(FLT_MIN)
UNIT_BOX = (0.0, 0.0, 1.0, 1.0)


class Refinement(NamedTuple):
    """What RefineDet's earlier stage says: scores N x P of an object, and N x P x 1 x 4 boxes."""

    objects: Any = None
    boxes: Any = None


class Given(NamedTuple):
    """What the bottoms hold: of P priors, G objects, N images and C classes or class lists."""

    codes: str
    """N x C x P x 4."""
    scores: str
    """N x P x C."""
    plain: str
    """The prior boxes as they are, 1 x P x 4."""
    priors: str
    """Those that locations refer to: `plain`, or RefineDet's, N x 1 x P x 4."""
    variances: str
    corners: str
    """G x 4."""
    labels: str
    """G."""
    own: str
    """N x G: which objects are an image's."""


class Matched(NamedTuple):
    """Which prior took which object."""

    found: str
    """N x 1 x P: the object's number, or less than 0."""
    best: str
    inside: str | None
    positive: str
    """N x C x P: whose location counts."""
    label: str
    """N x P."""
    lists: str
    """N x C x P: the labels of those that count."""
    targets: str


class EmittedMultiBoxLoss(Layer):
    """Base of MultiBoxLoss: its fields, and its ONNX form."""

    num_classes: int
    loc_classes: int
    share_location: bool
    background_label_id: int
    loc_loss_type: str
    conf_loss_type: str
    loc_weight: float
    code_type: str
    encode_variance_in_target: bool
    bp_inside: bool
    use_prior_for_matching: bool
    use_difficult_gt: bool
    ignore_cross_boundary_bbox: bool
    overlap_threshold: float | None
    mining_type: str
    neg_pos_ratio: float
    neg_overlap: float
    sample_size: int
    objectness_score: float
    nms_threshold: float
    top_k: int
    use_prior_for_nms: bool
    map_object_to_agnostic: bool
    normalization: str
    propagates: tuple[bool, bool]

    def emit_labels(self, op: Op, labels: str) -> str:
        """Append what `labels_of` does to the labels as they are given."""
        return labels

    def emit(self, op: Op, loc: str, conf: str, prior: str, gt: str, refined: Refinement) -> str:
        """Append what `loss` does."""
        given = self._emit_given(op, loc, conf, prior, gt, refined.boxes)
        matched = self._emit_matched(op, given)
        chosen = None
        if self.mining_type != "NONE":
            matched, chosen = self._emit_mined(op, given, matched, refined.objects)
        totals = [op.scalar(0)]
        if self.propagates[0]:
            losses = self._emit_loc_losses(
                op, given.codes, matched.targets, matched.positive, given.priors, given.variances
            )
            total = op.ReduceSum(losses, keepdims=0)
            totals.append(op.Mul(total, op.scalar(self.loc_weight)))
        if self.propagates[1]:
            totals.append(self._emit_conf_loss(op, given.scores, matched, chosen))
        return op.Div(op.Sum(*totals), self._emit_count(op, given.scores, matched.positive))

    def _emit_given(
        self, op: Op, loc: str, conf: str, prior: str, gt: str, refined: str | None
    ) -> Given:
        codes = op.Reshape(loc, op.ints(0, -1, self.loc_classes, 4))
        scores = op.Reshape(conf, op.ints(0, -1, self.num_classes))
        plain, variances = (
            op.Transpose(value, perm=[1, 0, 2]) for value in emit_boxes_and_variances(op, prior)
        )
        objects = op.Reshape(gt, op.ints(-1, 8))
        labels = op.Gather(objects, op.const(np.array(1, np.int64)), axis=1)
        return Given(
            op.Transpose(codes, perm=[0, 2, 1, 3]),
            scores,
            plain,
            plain if refined is None else op.Transpose(refined, perm=[0, 2, 1, 3]),
            variances,
            op.Gather(objects, op.ints(3, 4, 5, 6), axis=1),
            self.emit_labels(op, op.to_int(labels)),
            self._emit_own(op, objects, scores),
        )

    def _emit_matched(self, op: Op, given: Given) -> Matched:
        boxes = given.priors
        if boxes == given.plain:
            boxes = op.Unsqueeze(boxes, op.ints(0))
        if not self.use_prior_for_matching:
            boxes = self._emit_decoded(op, given.plain, given.codes, given.variances)
        inside = None
        if self.ignore_cross_boundary_bbox:
            worst = op.to_float(_emit_is_inside(op, boxes))
            inside = op.to_bool(op.reduce("ReduceMin", worst, [3], keepdims=0))
        of_lists = op.Unsqueeze(given.own, op.ints(1))
        classes = op.const(np.arange(self.loc_classes)[:, None])
        if not (self.share_location or self.use_prior_for_matching):
            of_lists = op.And(of_lists, self._emit_is_class(op, given.labels, classes))
        threshold = self.overlap_threshold
        found, best = emit_match(op, boxes, given.corners, of_lists, threshold, inside)
        row = op.to_int(op.Relu(found))
        positive = op.GreaterOrEqual(found, op.scalar(0))
        label = op.Gather(given.labels, row)
        if not self.share_location:
            positive = op.And(positive, self._emit_is_class(op, label, classes))
        none, background = (op.const(np.array(n)) for n in (-1, self.background_label_id))
        lists = op.Where(positive, label, none)
        label = op.reduce("ReduceMax", lists, [1], keepdims=0)
        label = op.Where(op.Less(label, op.const(np.array(0))), background, label)
        targets = op.Gather(given.corners, row)
        return Matched(found, best, inside, positive, label, lists, targets)

    def _emit_mined(
        self, op: Op, given: Given, matched: Matched, objectness: str | None
    ) -> tuple[Matched, str]:
        """Append the choice among the priors; return what is kept, and whose scores count."""
        plain, variances = given.plain, given.variances
        loss = self._emit_score_losses(op, given.scores, matched.label)
        if self.mining_type == "HARD_EXAMPLE":
            losses = self._emit_loc_losses(
                op, given.codes, matched.targets, matched.positive, plain, variances
            )
            loss = op.Add(loss, op.Squeeze(losses, op.ints(1)))
        unmatched = op.Less(matched.found, op.scalar(0))
        if matched.inside is not None:
            unmatched = op.And(unmatched, matched.inside)
        rivals = None
        if self.nms_threshold > 0:
            rivals = op.Unsqueeze(plain, op.ints(0))
            if not self.use_prior_for_nms:
                rivals = self._emit_decoded(op, plain, given.codes, variances)
            rivals = op.Squeeze(rivals, op.ints(1))
        positive, unmatched, best = (
            op.Squeeze(value, op.ints(1)) for value in (matched.positive, unmatched, matched.best)
        )
        kept, negative = self._emit_mine(
            op, loss, positive, unmatched, best, given.own, objectness, rivals
        )
        background = op.const(np.array(self.background_label_id))
        label = op.Where(kept, matched.label, background)
        mined = matched._replace(positive=op.Unsqueeze(kept, op.ints(1)), label=label)
        return mined, op.Or(kept, negative)

    def _emit_conf_loss(self, op: Op, scores: str, matched: Matched, chosen: str | None) -> str:
        label, lists = matched.label, matched.lists
        if self.map_object_to_agnostic:
            one = op.const(np.array(1))
            label, lists = op.Min(label, one), op.Min(lists, one)
        targets = self._emit_targets(op, scores, label, lists)
        losses = self.emit_conf_losses(op, scores, label, targets)
        if chosen is not None:
            losses = op.Where(chosen, losses, op.scalar(0))
        return op.ReduceSum(losses, keepdims=0)

    def _emit_own(self, op: Op, objects: str, scores: str) -> str:
        image = op.to_int(op.Gather(objects, op.const(np.array(0)), axis=1))
        images = op.Gather(op.Shape(scores), op.const(np.array(0)), axis=0)
        indices = op.Range(op.const(np.array(0)), images, op.const(np.array(1)))
        own = op.Equal(image, op.Unsqueeze(indices, op.ints(1)))
        if self.use_difficult_gt:
            return own
        difficult = op.Gather(objects, op.const(np.array(7)), axis=1)
        easy = op.Equal(difficult, op.scalar(0))
        return op.And(own, easy)

    def _emit_is_class(self, op: Op, labels: str, classes: str) -> str:
        """Return which labels are each class', and not the background's."""
        same = op.Equal(labels, classes)
        background = op.const(np.array(self.background_label_id))
        object_ = op.Not(op.Equal(labels, background))
        return op.And(same, object_)

    def _emit_decoded(self, op: Op, priors: str, codes: str, variances: str) -> str:
        if not self.encode_variance_in_target:
            codes = op.Mul(codes, variances)
        return emit_decode(op, self.code_type, priors, codes)

    def _emit_loc_losses(
        self, op: Op, codes: str, targets: str, positive: str, priors: str, variances: str
    ) -> str:
        chosen = op.Unsqueeze(positive, op.ints(3))
        unit = op.floats(UNIT_BOX)
        boxes = op.Where(chosen, priors, unit)
        targets = op.Where(chosen, targets, unit)
        want = emit_encode(op, self.code_type, boxes, targets)
        if self.encode_variance_in_target:
            d = op.Sub(codes, want)
            d = op.Div(d, variances)
        else:
            d = op.Sub(codes, op.Div(want, variances))
        if self.bp_inside:
            seen = boxes
            if not self.use_prior_for_matching:
                seen = self._emit_decoded(op, boxes, codes, variances)
            counts = _emit_is_inside(op, seen)
            d = op.Where(counts, d, op.scalar(0))
        if self.loc_loss_type == "SMOOTH_L1":
            terms = emit_smooth_l1(op, d)
        else:
            half = op.Mul(d, op.scalar(0.5))
            terms = op.Mul(d, half)
        terms = op.Where(chosen, terms, op.scalar(0))
        return op.reduce("ReduceSum", terms, [3], keepdims=0)

    def _emit_targets(self, op: Op, scores: str, label: str, lists: str) -> str | None:
        """Append what MultiBoxLoss's `_targets` does."""
        mines = self.mining_type != "NONE"
        if self.conf_loss_type != "LOGISTIC" or (mines and self.background_label_id == 0):
            return None
        background = op.scalar(self.background_label_id)
        if mines:
            index = op.Unsqueeze(label, op.ints(2))
            hot = op.Equal(index, op.const(np.arange(self.num_classes)))
            return op.Where(hot, op.scalar(1), background)
        images, priors = (emit_indices(op, emit_count(op, scores, axis)) for axis in (0, 1))
        sizes = op.Shape(scores)
        each = op.Gather(sizes, op.ints(1), axis=0)
        first = op.Mul(images, each)
        at = op.Add(op.Unsqueeze(first, op.ints(1, 2)), op.Mul(priors, op.ints(self.num_classes)))
        count = op.ReduceProd(sizes, keepdims=1)
        nothing = op.Less(lists, op.const(np.array(0)))
        at = op.Add(at, lists)
        at = op.Where(nothing, count, at)
        at = op.Reshape(at, op.ints(-1))
        whole = op.Add(count, op.ints(1))
        row = op.Expand(background, whole)
        ones = op.Expand(op.scalar(1), op.Shape(at))
        row = op.ScatterElements(row, at, ones, axis=0)
        row = op.Slice(row, op.ints(0), count)
        return op.Reshape(row, sizes)

    def emit_conf_losses(self, op: Op, scores: str, label: str, targets: str | None) -> str:
        """Append what `conf_losses` does."""
        return self._emit_score_losses(op, scores, label, targets)

    def emit_picked(self, op: Op, scores: str, label: str) -> str:
        """Append the logarithms of the labels' probabilities, N x P."""
        logs = op.LogSoftmax(scores, axis=2)
        picked = op.GatherElements(logs, op.Unsqueeze(label, op.ints(2)), axis=2)
        return op.Squeeze(picked, op.ints(2))

    def _emit_score_losses(
        self, op: Op, scores: str, label: str, targets: str | None = None
    ) -> str:
        if self.conf_loss_type == "SOFTMAX":
            high = op.Max(self.emit_picked(op, scores, label), op.scalar(LOG_FLT_MIN))
            return op.Neg(high)
        if targets is None:
            index = op.Unsqueeze(label, op.ints(2))
            same = op.Equal(index, op.const(np.arange(self.num_classes)))
            targets = op.to_float(same)
        # max(x, 0) - x * t + log(1 + exp(-|x|)) overflows nowhere.
        hit = op.Mul(scores, targets)
        linear = op.Sub(op.Relu(scores), hit)
        distance = op.Neg(op.Abs(scores))
        terms = op.Add(linear, op.Softplus(distance))
        return op.reduce("ReduceSum", terms, [2], keepdims=0)

    def _emit_mine(
        self,
        op: Op,
        loss: str,
        positive: str,
        unmatched: str,
        best: str,
        own: str,
        objects: str | None,
        rivals: str | None,
    ) -> tuple[str, str]:
        hard = self.mining_type == "HARD_EXAMPLE"
        some = op.reduce("ReduceMax", op.to_float(own), [1], keepdims=1)
        eligible = op.to_bool(some)
        if hard:
            every = op.Or(unmatched, op.Not(unmatched))
        else:
            low = op.Less(best, op.scalar(self.neg_overlap))
            every = op.And(unmatched, low)
        eligible = op.And(eligible, every)
        if objects is not None:
            high = op.GreaterOrEqual(objects, op.scalar(self.objectness_score))
            eligible = op.And(eligible, high)
        if rivals is not None:
            eligible = emit_spared(op, loss, eligible, rivals, self.nms_threshold, self.top_k)
        if hard:
            chosen = emit_hardest(op, loss, eligible, op.ints(self.sample_size))
            return (
                op.And(positive, chosen),
                op.And(unmatched, chosen),
            )
        ones = op.cast(positive, np.float32)
        matches = op.reduce("ReduceSum", ones, [1], keepdims=1)
        ratio = op.const(np.array(self.neg_pos_ratio, np.float32))
        count = op.to_int(op.Mul(matches, ratio))
        return positive, emit_hardest(op, loss, eligible, count)

    def _emit_count(self, op: Op, scores: str, positive: str) -> str:
        if self.normalization == "NONE":
            return op.scalar(1)
        if self.normalization == "VALID":
            ones = op.to_float(positive)
            found = op.ReduceSum(ones, keepdims=0)
            return op.Max(found, op.scalar(1))
        axes = 2 if self.normalization == "FULL" else 1
        sizes = op.Shape(scores)
        counted = op.Slice(sizes, op.ints(0), op.ints(axes))
        return op.to_float(op.ReduceProd(counted, keepdims=0))


def _emit_is_inside(op: Op, boxes: str) -> str:
    above = op.GreaterOrEqual(boxes, op.scalar(0))
    return op.And(above, op.LessOrEqual(boxes, op.scalar(1)))
