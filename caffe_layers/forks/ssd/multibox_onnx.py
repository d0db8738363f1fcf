"""MultiBoxLoss in ONNX, step by step as in torch."""

from __future__ import annotations

from math import log
from typing import Any, NamedTuple

import numpy as np

from caffe_layers.arithmetic.ramp import emit_count, emit_indices
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import FLT_MIN

from .bbox import emit_decode, emit_encode
from .matching import emit_hardest, emit_match, emit_spared
from .predictions import emit_priors
from .smooth_l1 import emit_smooth_l1

LOG_FLT_MIN = log(FLT_MIN)
UNIT_BOX = (0.0, 0.0, 1.0, 1.0)


class Refinement(NamedTuple):
    """What RefineDet's earlier stage says: scores N x P of an object, and N x P x 1 x 4 boxes."""

    objects: Any = None
    boxes: Any = None


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
        lists = op.Where(positive, label, none, name="label_or_none")
        label = op.reduce("ReduceMax", lists, [1], keepdims=0, name="last_label")
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
            rivals = None
            if self.nms_threshold > 0:
                rivals = op.Unsqueeze(plain, op.ints(0), name="rivals_of_all")
                if not self.use_prior_for_nms:
                    rivals = self._emit_decoded(op, plain, codes, variances, "rivals")
                rivals = op.Squeeze(rivals, op.ints(1), name="rivals_in_list")
            kept, negative = self._emit_mine(
                op,
                loss,
                op.Squeeze(positive, op.ints(1), name="positive_in_list"),
                op.Squeeze(unmatched, op.ints(1), name="unmatched_in_list"),
                op.Squeeze(best, op.ints(1), name="best_in_list"),
                own,
                refined.objects,
                rivals,
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
                one = op.const(np.array(1))
                label = op.Min(label, one, name="agnostic")
                lists = op.Min(lists, one, name="agnostic_lists")
            targets = self._emit_targets(op, scores, label, lists)
            losses = self._emit_score_losses(op, scores, label, "conf", targets)
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

    def _emit_targets(self, op: Any, scores: str, label: str, lists: str) -> Any:
        """Append what MultiBoxLoss's `_targets` does."""
        mines = self.mining_type != "NONE"
        if self.conf_loss_type != "LOGISTIC" or (mines and self.background_label_id == 0):
            return None
        background = op.scalar(self.background_label_id)
        if mines:
            index = op.Unsqueeze(label, op.ints(2), name="conf/targets/index")
            hot = op.Equal(index, op.const(np.arange(self.num_classes)), name="conf/targets/same")
            return op.Where(hot, op.scalar(1), background, name="conf/targets")
        images, priors = (
            emit_indices(
                op, emit_count(op, scores, axis, f"conf/targets/{name}"), f"conf/targets/of_{name}"
            )
            for axis, name in ((0, "images"), (1, "priors"))
        )
        sizes = op.Shape(scores, name="conf/targets/sizes")
        each = op.Gather(sizes, op.ints(1), axis=0, name="conf/targets/each")
        first = op.Mul(images, each, name="conf/targets/first")
        at = op.Add(
            op.Unsqueeze(first, op.ints(1, 2), name="conf/targets/of_image"),
            op.Mul(priors, op.ints(self.num_classes), name="conf/targets/of_prior"),
            name="conf/targets/at",
        )
        count = op.ReduceProd(sizes, keepdims=1, name="conf/targets/count")
        nothing = op.Less(lists, op.const(np.array(0)), name="conf/targets/nothing")
        at = op.Add(at, lists, name="conf/targets/places")
        at = op.Where(nothing, count, at, name="conf/targets/or_behind")
        at = op.Reshape(at, op.ints(-1), name="conf/targets/flat")
        whole = op.Add(count, op.ints(1), name="conf/targets/whole")
        row = op.Expand(background, whole, name="conf/targets/row")
        ones = op.Expand(
            op.scalar(1), op.Shape(at, name="conf/targets/many"), name="conf/targets/ones"
        )
        row = op.ScatterElements(row, at, ones, axis=0, name="conf/targets/with_ones")
        row = op.Slice(row, op.ints(0), count, name="conf/targets/cut")
        return op.Reshape(row, sizes, name="conf/targets")

    def _emit_score_losses(
        self, op: Any, scores: str, label: str, name: str, targets: str | None = None
    ) -> Any:
        index = op.Unsqueeze(label, op.ints(2), name=f"{name}/index")
        if self.conf_loss_type == "SOFTMAX":
            logs = op.LogSoftmax(scores, axis=2, name=f"{name}/logs")
            picked = op.GatherElements(logs, index, axis=2, name=f"{name}/picked")
            flat = op.Squeeze(picked, op.ints(2), name=f"{name}/flat")
            high = op.Max(flat, op.scalar(LOG_FLT_MIN), name=f"{name}/floored")
            return op.Neg(high, name=f"{name}/losses")
        if targets is None:
            same = op.Equal(index, op.const(np.arange(self.num_classes)), name=f"{name}/same")
            targets = op.to_float(same, name=f"{name}/hot")
        # max(x, 0) - x * t + log(1 + exp(-|x|)) overflows nowhere.
        hit = op.Mul(scores, targets, name=f"{name}/hit")
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
        rivals: str | None,
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
        if rivals is not None:
            eligible = emit_spared(op, loss, eligible, rivals, self.nms_threshold, self.top_k)
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


def _emit_is_inside(op: Any, boxes: str, name: str) -> Any:
    above = op.GreaterOrEqual(boxes, op.scalar(0), name=f"{name}/above")
    return op.And(
        above, op.LessOrEqual(boxes, op.scalar(1), name=f"{name}/below"), name=f"{name}/in"
    )
