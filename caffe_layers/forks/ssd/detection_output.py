"""DetectionOutput, from SSD, and RefineDet's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from caffe_layers.arithmetic.choosing import emit_chosen
from caffe_layers.arithmetic.ramp import emit_ramp, ramp
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.message import is_set
from caffe_layers.base.number import FLT_MAX, float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .bbox import CODE_TYPES, decode, emit_decode
from .predictions import (
    check_predictions,
    check_refinement,
    emit_priors,
    emit_refine,
    read_priors,
    refine,
)
from .suppression import LEAST_ADAPTED, emit_adaptive, emit_suppress, suppress

ROW = 7


class DetectionOutput(
    Layer, type="DetectionOutput", fork="ssd", param="detection_output_param", bottoms=(3, 4)
):
    """Boxes with their class and score: 1 x 1 x K x 7, K as many as are found.

    Bottoms: locations N x 4PL, scores N x PC of C classes, P prior boxes 1 x 2 x 4P; an image for
    the fork's own pictures may follow, and is not read. L is 1, or C with `share_location` false. A
    row of the top is the image's index, label, score, xmin, ymin, xmax, ymax; rows go by image,
    label and falling score. Locations are decoded as `code_type` says (see `bbox.decode`), the
    prior boxes' variances multiplying them unless `variance_encoded_in_target`. Of each class but
    the background the `top_k` best above `confidence_threshold` are looked at, and those dropped
    that overlap a better one by more than `nms_threshold`, which `eta` lowers with every box kept
    while it is above 0.5. Of all classes together the `keep_top_k` best of an image stay.
    Where nothing is found at all, the top has one row for each image: its index, and -1s.

    Boxes of equal score go by their index. There is no gradient. Files that the fork writes
    (`save_output_param`) and its pictures (`visualize`) are not written.

    Errors: ShapeError for bottoms that do not fit each other, and for a prior box without width.
    Caffe: weiliu89/caffe, src/caffe/layers/detection_output_layer.cpp
    """

    free_axis = 2

    def __init__(
        self,
        *,
        num_classes: int,
        share_location: bool = True,
        background_label_id: int = 0,
        nms_threshold: float = 0.3,
        top_k: int = -1,
        eta: float = 1.0,
        code_type: str = "CORNER",
        keep_top_k: int = -1,
        variance_encoded_in_target: bool = False,
        confidence_threshold: float = -FLT_MAX,
    ) -> None:
        super().__init__()
        require(code_type in CODE_TYPES, f"code_type {code_type!r} is none of {CODE_TYPES}")
        require(nms_threshold >= 0, f"nms_threshold {nms_threshold:g} wants 0 or more")
        require(0 < eta <= 1, f"eta {eta:g} wants more than 0 and 1 at most")
        require(num_classes > 0, f"num_classes {num_classes} wants 1 or more")
        self.num_classes, self.share_location = num_classes, share_location
        self.background_label_id = background_label_id
        self.nms_threshold, self.eta, self.top_k = float32(nms_threshold), float32(eta), top_k
        self.code_type, self.keep_top_k = code_type, keep_top_k
        self.variance_encoded_in_target = variance_encoded_in_target
        self.confidence_threshold = float32(confidence_threshold)

    @cached_property
    def labels(self) -> tuple[int, ...]:
        """The classes that are detected, all but the background's."""
        return tuple(c for c in range(self.num_classes) if c != self.background_label_id)

    @property
    def label_count(self) -> int:
        """Their number, which needs no list of them."""
        return self.num_classes - (0 <= self.background_label_id < self.num_classes)

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return len(layer.bottom) in cls.bottoms and not _has_objectness(layer)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> DetectionOutput:
        param = layer.detection_output_param
        require(param.HasField("num_classes"), "there is no num_classes")
        return cls(**cls.fields(layer), **cls.fields_of(param.nms_param))

    @property
    def loc_classes(self) -> int:
        """How many boxes a prior box has."""
        return 1 if self.share_location else self.num_classes

    @property
    def looks_at_none(self) -> bool:
        """Whether there is no class but the background, or no box of one that is looked at."""
        return not self.label_count or self.top_k == 0

    def looked_at(self, priors: int) -> int:
        """Return how many boxes of a class are looked at."""
        return priors if self.top_k < 0 else min(self.top_k, priors)

    def shapes(self, loc: Shape, conf: Shape, prior: Shape, *more: Shape) -> list[Shape]:
        if more:
            fix = "--dialect refinedet reads a score of the refinement there"
            require(len(more[0]) == 4, f"bottom 3 is {more[0]}, wants an image", fix=fix)
        return self.rows(loc, conf, prior)

    def rows(self, loc: Shape, conf: Shape, prior: Shape) -> list[Shape]:
        """Return the top's shape, with as many rows as there can be at most."""
        priors = check_predictions(loc, conf, prior, self.loc_classes, self.num_classes)
        rows = self.label_count * self.looked_at(priors)
        if self.keep_top_k >= 0:
            rows = min(rows, self.keep_top_k)
        return [(1, 1, loc[0] * max(rows, 1), ROW)]

    def forward(self, loc: Tensor, conf: Tensor, prior: Tensor, *more: Tensor) -> Tensor:
        with torch.no_grad():
            boxes, variances = read_priors(prior, encoded=self.variance_encoded_in_target)
            scores = conf.reshape(loc.shape[0], -1, self.num_classes)
            return self.detect(loc, scores, boxes, variances)

    def detect(self, loc: Tensor, conf: Tensor, prior: Tensor, variance: Tensor) -> Tensor:
        """Return the rows for N x P x C scores and P x 1 x 4 prior boxes, or N x P x 1 x 4."""
        images, priors = conf.shape[:2]
        codes = loc.reshape(images, priors, self.loc_classes, 4) * variance
        boxes = decode(self.code_type, prior, codes).transpose(1, 2)
        nothing = conf.new_full((images, ROW), -1)
        nothing[:, 0] = ramp(conf, images)
        if self.looks_at_none:
            return nothing[None, None]
        labels = list(self.labels)
        scores, index = conf.transpose(1, 2)[:, labels].sort(dim=-1, descending=True, stable=True)
        count = self.looked_at(priors)
        scores, index = scores[..., :count], index[..., :count]
        boxes = boxes.expand(-1, len(labels), -1, -1) if self.share_location else boxes[:, labels]
        boxes = boxes.gather(2, index[..., None].expand(-1, -1, -1, 4))
        lists = boxes.flatten(0, 1), (scores > self.confidence_threshold).flatten(0, 1)
        kept = suppress(*lists, self.nms_threshold, self.eta).reshape(images, -1)
        scores, boxes = scores.flatten(1), boxes.flatten(1, 2)
        if self.keep_top_k >= 0:
            ranked = scores.masked_fill(~kept, -torch.inf)
            best = ranked.argsort(dim=-1, descending=True, stable=True)[:, : self.keep_top_k]
            kept = kept & torch.zeros_like(kept).scatter(1, best, True)
        image, at = kept.nonzero().unbind(1)
        label = conf.new_tensor(labels).repeat_interleave(count)[at]
        found = torch.stack([image.to(conf), label, scores[image, at]], 1)
        rows = torch.cat([found, boxes[image, at]], 1)
        rows = torch.cat([rows, nothing[(~kept.any()).expand(images)]])
        return rows[None, None]

    def onnx(self, op: Op, loc: str, conf: str, prior: str, *more: str) -> Values:
        boxes, variances = emit_priors(op, prior, encoded=self.variance_encoded_in_target)
        scores = op.Reshape(conf, op.ints(0, -1, self.num_classes))
        return self.emit(op, loc, scores, boxes, variances, self.priors(op, conf))

    def priors(self, op: Op, conf: str) -> int | None:
        """Return how many prior boxes there are; None where only the run tells."""
        if any(op.dynamic(conf)[1:]):
            return None
        return prod(op.shape(conf)[1:]) // self.num_classes

    def emit(
        self,
        op: Op,
        loc: str,
        conf: str,
        prior: str,
        variance: str | None,
        priors: int | None,
    ) -> str:
        """Append what `detect` does; `priors` is the number of prior boxes where it is known."""
        if self.looks_at_none:
            return op.Unsqueeze(self._emit_nothing(op, conf)[0], op.ints(0, 1))
        codes = op.Reshape(loc, op.ints(0, -1, self.loc_classes, 4))
        if variance is not None:
            codes = op.Mul(codes, variance)
        boxes = emit_decode(op, self.code_type, prior, codes)
        boxes = op.Transpose(boxes, perm=[0, 2, 1, 3])
        scores = op.Transpose(conf, perm=[0, 2, 1])
        labels = op.ints(*self.labels)
        if self.label_count < self.num_classes:
            scores = op.Gather(scores, labels, axis=1)
            if not self.share_location:
                boxes = op.Gather(boxes, labels, axis=1)
        count = self._emit_count(op, scores) if priors is None else self.looked_at(priors)
        scores, index = op.TopK(scores, _vector(op, count), axis=2)
        index = op.Unsqueeze(index, op.ints(3))
        if self.share_location:
            boxes = op.Squeeze(boxes, op.ints(1))
        boxes = op.GatherND(boxes, index, batch_dims=2 - self.share_location)
        kept = self._emit_kept(op, boxes, scores, count)
        return self._emit_rows(op, boxes, scores, kept, count)

    def _emit_count(self, op: Op, scores: str) -> str:
        """Return how many boxes of a class are looked at."""
        sizes = op.Shape(scores)
        priors = op.Gather(sizes, op.ints(2), axis=0)
        return op.Min(priors, op.ints(self.top_k)) if self.top_k >= 0 else priors

    def _emit_kept(self, op: Op, boxes: str, scores: str, count: int | str) -> str:
        """Return which of N x F x K boxes stay, as N x FK truth values."""
        ranked = (
            op.Reshape(boxes, _vector(op, -1, count, 4)),
            op.Reshape(scores, _vector(op, -1, count)),
            self.confidence_threshold,
            self.nms_threshold,
        )
        if self.eta < 1 and self.nms_threshold > LEAST_ADAPTED:
            kept = emit_adaptive(op, *ranked, self.eta)
        else:
            kept = emit_suppress(op, *ranked, _vector(op, count))
        lists = self.label_count
        whole = count * lists if isinstance(count, int) else op.Mul(count, op.ints(lists))
        kept = op.to_bool(op.Reshape(kept, _vector(op, -1, whole)))
        if self.keep_top_k < 0:
            return kept
        flat = op.Reshape(scores, op.ints(0, -1))
        lowest = op.scalar(np.finfo(op.float_type).min)
        ranked_kept = op.Where(kept, flat, lowest)
        if isinstance(whole, int):
            most = op.ints(min(whole, self.keep_top_k))
        else:
            most = op.Min(whole, op.ints(self.keep_top_k))
        _, best = op.TopK(ranked_kept, most, axis=1)
        none = op.Mul(flat, op.scalar(0))
        ones = op.Expand(op.scalar(1), op.Shape(best))
        chosen = op.ScatterElements(none, best, ones, axis=1)
        return op.And(kept, op.to_bool(chosen))

    def _emit_rows(self, op: Op, boxes: str, scores: str, kept: str, count: int | str) -> str:
        at = op.Transpose(op.NonZero(kept), perm=[1, 0])
        image, place = op.Split(at, op.ints(1, 1), axis=1, outputs=2)
        of_label = op.ints(max(count, 1)) if isinstance(count, int) else op.Max(count, op.ints(1))
        label = op.Div(place, of_label)
        label = op.to_float(op.Gather(op.ints(*self.labels), label))
        flat = op.Reshape(scores, op.ints(0, -1, 1))
        flat_boxes = op.Reshape(boxes, op.ints(0, -1, 4))
        found = op.Concat(
            op.to_float(image), label, op.GatherND(flat, at), op.GatherND(flat_boxes, at), axis=1
        )
        nothing, images = self._emit_nothing(op, scores)
        rows = op.Gather(op.Shape(found), op.ints(0), axis=0)
        empty = op.Expand(op.Equal(rows, op.ints(0)), images)
        instead = op.Gather(nothing, emit_chosen(op, empty), axis=0)
        whole = op.Concat(found, instead, axis=0)
        return op.Unsqueeze(whole, op.ints(0, 1))

    def _emit_nothing(self, op: Op, scores: str) -> tuple[str, str]:
        """Return the rows that say that nothing is found, and the number of images."""
        images = op.Gather(op.Shape(scores), op.ints(0), axis=0)
        column = op.Unsqueeze(emit_ramp(op, scores, 0), op.ints(1))
        pads = op.ints(0, 0, 0, ROW - 1)
        return op.Pad(column, pads, op.scalar(-1)), images


class RefinedDetectionOutput(
    DetectionOutput, type="DetectionOutput", fork="refinedet", bottoms=(3, 5)
):
    """SSD's DetectionOutput with prior boxes refined by an earlier stage of the network.

    Two more bottoms: scores N x 2P and locations N x 4P of the refinement. Prior boxes are decoded
    by the latter first. Where the second score of a prior box is below `objectness_score`, all its
    classes score 0 but class 0, which scores 1.

    Caffe: sfzhang15/RefineDet, src/caffe/layers/detection_output_layer.cpp
    """

    def __init__(self, *, objectness_score: float = 0.01, **fields: Any) -> None:
        super().__init__(**fields)
        self.objectness_score = float32(objectness_score)
        require(self.share_location, "refined prior boxes are there with share_location alone")

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return len(layer.bottom) > 3 or _has_objectness(layer)

    def shapes(self, loc: Shape, conf: Shape, prior: Shape, *more: Shape) -> list[Shape]:
        for name, size, shape in zip(("arm_conf", "arm_loc"), (2, 4), more, strict=False):
            check_refinement(name, size, shape, prior, loc)
        return self.rows(loc, conf, prior)

    def forward(self, loc: Tensor, conf: Tensor, prior: Tensor, *more: Tensor) -> Tensor:
        with torch.no_grad():
            boxes, variances = read_priors(prior, encoded=self.variance_encoded_in_target)
            scores = conf.reshape(loc.shape[0], -1, self.num_classes)
            if more:
                objects = more[0].reshape(loc.shape[0], -1, 2)[..., 1:]
                background = scores.new_tensor([1.0] + [0.0] * (self.num_classes - 1))
                scores = torch.where(objects < self.objectness_score, background, scores)
            if len(more) > 1:
                boxes = refine(self.code_type, boxes, variances, more[1])
            return self.detect(loc, scores, boxes, variances)

    def onnx(self, op: Op, loc: str, conf: str, prior: str, *more: str) -> Values:
        boxes, variances = emit_priors(op, prior, encoded=self.variance_encoded_in_target)
        scores = op.Reshape(conf, op.ints(0, -1, self.num_classes))
        if more:
            pairs = op.Reshape(more[0], op.ints(0, -1, 2))
            objects = op.Gather(pairs, op.ints(1), axis=2)
            below = op.Less(objects, op.scalar(self.objectness_score))
            background = op.floats([1.0] + [0.0] * (self.num_classes - 1))
            scores = op.Where(below, background, scores)
        if len(more) > 1:
            boxes = emit_refine(op, self.code_type, boxes, variances, more[1])
        return self.emit(op, loc, scores, boxes, variances, self.priors(op, conf))


def _vector(op: Op, *parts: int | str) -> str:
    """Return numbers, and vectors of one that only the run tells, as one vector."""
    numbers = [part for part in parts if isinstance(part, int)]
    if len(numbers) == len(parts):
        return op.ints(*numbers)
    vectors = [op.ints(part) if isinstance(part, int) else part for part in parts]
    return vectors[0] if len(vectors) == 1 else op.Concat(*vectors, axis=0)


def _has_objectness(layer: Any) -> bool:
    return is_set(layer.detection_output_param, "objectness_score")
