"""Boxes with their class and score: what every DetectionOutput does."""

from __future__ import annotations

from math import prod
from typing import Any, ClassVar, TypedDict

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Required

from caffe_layers.arithmetic.choosing import emit_chosen
from caffe_layers.arithmetic.ramp import emit_ramp, ramp
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import FLT_MAX, float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .bbox import CODE_TYPES, decode, emit_decode
from .predictions import (
    check_predictions,
    emit_priors,
    read_priors,
)
from .suppression import LEAST_ADAPTED, emit_adaptive, emit_suppress, suppress

IMAGE_LABEL_SCORE = 3
"""The numbers of a row before the box."""


class DetectionFields(TypedDict, total=False):
    """What a DetectionOutput is told: `Detections`' keywords."""

    num_classes: Required[int]
    share_location: bool
    background_label_id: int
    nms_threshold: float
    top_k: int
    eta: float
    code_type: str
    keep_top_k: int
    variance_encoded_in_target: bool
    confidence_threshold: float


class Detections(Layer):
    """Base of the DetectionOutput layers, whose rows and fields `DetectionOutput` describes.

    A fork's layer says how many `locations` a box has, and what is `decoded` of them.
    """

    free_axis = 2
    locations: ClassVar[tuple[int, ...]] = (4,)
    """How many locations a prior box may have."""
    numbers = 4
    """How many it has, and how many numbers of a row are made of them."""

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

    @property
    def labels(self) -> tuple[int, ...]:
        """The classes that are detected, all but the background's."""
        return tuple(c for c in range(self.num_classes) if c != self.background_label_id)

    @property
    def label_count(self) -> int:
        """Their number, which needs no list of them."""
        return self.num_classes - (0 <= self.background_label_id < self.num_classes)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Any:
        param = layer.detection_output_param
        require(param.HasField("num_classes"), "there is no num_classes")
        return cls(**cls.fields(layer), **cls.fields_of(param.nms_param))

    @property
    def loc_classes(self) -> int:
        """How many boxes a prior box has."""
        return 1 if self.share_location else self.num_classes

    @property
    def row(self) -> int:
        """How many numbers a row of the top has."""
        return IMAGE_LABEL_SCORE + self.numbers

    @property
    def looks_at_none(self) -> bool:
        """Whether there is no class but the background, or no box of one that is looked at."""
        return not self.label_count or self.top_k == 0

    def looked_at(self, priors: int) -> int:
        """Return how many boxes of a class are looked at."""
        return priors if self.top_k < 0 else min(self.top_k, priors)

    def shapes(self, loc: Shape, conf: Shape, prior: Shape, *more: Shape) -> list[Shape]:
        return self.rows(loc, conf, prior)

    def rows(self, loc: Shape, conf: Shape, prior: Shape) -> list[Shape]:
        """Return the top's shape, with as many rows as there can be at most."""
        priors = check_predictions(
            loc, conf, prior, self.loc_classes, self.num_classes, self.numbers
        )
        rows = self.label_count * self.looked_at(priors)
        if self.keep_top_k >= 0:
            rows = min(rows, self.keep_top_k)
        return [(1, 1, loc[0] * max(rows, 1), self.row)]

    def forward(self, loc: Tensor, conf: Tensor, prior: Tensor, *more: Tensor) -> Tensor:
        with torch.no_grad():
            boxes, variances = read_priors(prior, encoded=self.variance_encoded_in_target)
            scores = conf.reshape(loc.shape[0], -1, self.num_classes)
            return self.detect(loc, scores, boxes, variances)

    def detect(self, loc: Tensor, conf: Tensor, prior: Tensor, variance: Tensor) -> Tensor:
        """Return the rows for N x P x C scores and P x 1 x 4 prior boxes, or N x P x 1 x 4."""
        images, priors = conf.shape[:2]
        codes = loc.reshape(images, priors, self.loc_classes, self.numbers)
        boxes = self.decoded(prior, variance, codes).transpose(1, 2)
        nothing = conf.new_full((images, self.row), -1)
        nothing[:, 0] = ramp(conf, images)
        if self.looks_at_none:
            return nothing[None, None]
        labels = list(self.labels)
        scores, index = conf.transpose(1, 2)[:, labels].sort(dim=-1, descending=True, stable=True)
        count = self.looked_at(priors)
        scores, index = scores[..., :count], index[..., :count]
        boxes = boxes.expand(-1, len(labels), -1, -1) if self.share_location else boxes[:, labels]
        boxes = boxes.gather(2, index[..., None].expand(-1, -1, -1, self.numbers))
        lists = boxes[..., :4].flatten(0, 1), (scores > self.confidence_threshold).flatten(0, 1)
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

    def decoded(self, prior: Tensor, variance: Tensor, loc: Tensor) -> Tensor:
        """Return what rows say of the boxes, ... x P x L x `numbers`, the corners first."""
        return decode(self.code_type, prior, loc * variance)

    def emit_decoded(self, op: Op, prior: str, variance: str | None, loc: str) -> str:
        """Append what `decoded` does; no variance where it is 1."""
        codes = loc if variance is None else op.Mul(loc, variance)
        return emit_decode(op, self.code_type, prior, codes)

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
        codes = op.Reshape(loc, op.ints(0, -1, self.loc_classes, self.numbers))
        boxes = self.emit_decoded(op, prior, variance, codes)
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
        if self.numbers > 4:
            boxes = op.Slice(boxes, op.ints(0), op.ints(4), op.ints(-1))
        ranked = (
            op.Reshape(boxes, _vector(op, -1, count, 4)),
            op.Reshape(scores, _vector(op, -1, count)),
            self.confidence_threshold,
            self.nms_threshold,
        )
        if self.eta < 1 and self.nms_threshold > LEAST_ADAPTED:
            kept = emit_adaptive(op, *ranked, self.eta)
        else:
            kept = emit_suppress(op, *ranked, count)
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
        flat_boxes = op.Reshape(boxes, op.ints(0, -1, self.numbers))
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
        pads = op.ints(0, 0, 0, self.row - 1)
        return op.Pad(column, pads, op.scalar(-1)), images


def _vector(op: Op, *parts: int | str) -> str:
    """Return numbers, and vectors of one that only the run tells, as one vector."""
    numbers = [part for part in parts if isinstance(part, int)]
    if len(numbers) == len(parts):
        return op.ints(*numbers)
    vectors = [op.ints(part) if isinstance(part, int) else part for part in parts]
    return vectors[0] if len(vectors) == 1 else op.Concat(*vectors, axis=0)
