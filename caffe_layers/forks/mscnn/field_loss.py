"""The losses of fields of boxes: MS-CNN's of one field, Cascade R-CNN's of a group."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log, sqrt
from typing import Any

import torch
from torch import Tensor

from caffe_layers.arithmetic.gradient import floored, gradient_of
from caffe_layers.arithmetic.indices import check_indices
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.message import fork_field, is_set
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op
from caffe_layers.base.shape import Shape
from caffe_layers.loss.threshold import LOG_FLT_MIN
from prototxt.errors import ShapeError, UnsupportedError

from .bbox_reg import COORDINATES, NO_MEAN, NO_STD, Four, normalization

LABELS = 6
"""Channels of what is wanted: class, centre and size of the box in pixels, overlap."""

LEAST_SIDE = 2.0
"""A box's side in pixels, at least."""

TOP: Shape = (1, 1, 1, 2)


class FieldLoss(Layer):
    """Base of losses of the places of maps: a softmax, and shifts where an object is.

    The top has two numbers, `L_class + lambda * L_box` and `lambda * L_box`; the first alone hands
    a gradient on, and `loss_weight` counts both. Labels are N x 6 x H x W: class (0 none), centre
    and size of the box in pixels, and its overlap with the field. Which places without an object
    are learned is drawn by torch's generator where the definition says random or mixture.
    """

    is_loss = True
    applies = "softmax"
    objectness: bool
    ignore_label: int | None
    mean: Four
    std: Four
    stride: float
    smooth: bool

    def onnx(self, op: Op, *bottoms: str) -> str:
        raise UnsupportedError(
            f"{self.caffe_type} draws the places that it learns: it has no ONNX form",
            fix="--deploy leaves it out",
        )

    def class_loss(self, scores: Tensor, label: Tensor, kept: Tensor, weight: Tensor) -> Tensor:
        """Return the mean of the softmax's weighted losses of the places that count.

        `scores` are N x C x H x W, the others N x H x W.
        """
        own = label.clamp(max=1) if self.objectness else label
        if self.ignore_label is not None:
            kept = kept & (own != self.ignore_label)
        index = torch.where(kept, own, 0)[:, None]
        check_indices(index, scores.shape[1], "labels")
        losses = -floored(scores.log_softmax(1).gather(1, index), LOG_FLT_MIN)[:, 0]
        return torch.where(kept, losses * weight, 0).sum() / kept.sum().clamp(min=1)

    def box_loss(
        self, shifts: Tensor, wanted: Tensor, kept: Tensor, bounds: tuple[float, ...] | None
    ) -> Tensor:
        """Return the mean of the losses of shifts from what is wanted, N x 4 x H x W each."""
        with torch.no_grad():
            if self.ignore_label is not None:
                kept = kept & (wanted[:, 0].long() != self.ignore_label)
            kept = kept[:, None]
            seen = shifts
            if bounds is not None:
                move, grow = bounds[:2], bounds[2:]
                least, most = (
                    _four(shifts, (move[at], move[at], grow[at], grow[at])) for at in (0, 1)
                )
                seen = torch.minimum(torch.maximum(shifts, least), most)
            d = torch.where(kept, seen - self.encoded(wanted), 0)
            if self.smooth:
                size = d.abs()
                losses, slope = torch.where(size < 1, d * d / 2, size - 0.5), d.clamp(-1, 1)
            else:
                losses, slope = d * d / 2, d
            count = COORDINATES * kept.sum().clamp(min=1)
        return gradient_of(losses.sum() / count, (slope * shifts).sum() / count)

    def encoded(self, wanted: Tensor) -> Tensor:
        """Return the shifts of labels, N x 4 x H x W."""
        height, width = wanted.shape[2:]
        field = self.sizes_of(wanted)
        column = torch.arange(width, device=wanted.device) + 0.5
        row = torch.arange(height, device=wanted.device)[:, None] + 0.5
        sides = wanted[:, 3:5].clamp(min=LEAST_SIDE)
        shifts = torch.cat(
            [
                (wanted[:, 1:2] - column.to(wanted) * self.stride) / field[:, :1],
                (wanted[:, 2:3] - row.to(wanted) * self.stride) / field[:, 1:],
                (sides / field).log(),
            ],
            1,
        )
        return (shifts - _four(wanted, self.mean)) / _four(wanted, self.std)

    def sizes_of(self, wanted: Tensor) -> Tensor:
        """Return the width and height of each map's field: N x 2 x 1 x 1."""
        raise NotImplementedError

    def limits(self, whr: float, xyr: float) -> tuple[float, ...]:
        """Return the least and most of moves, then of growths, as they are normalised."""
        move, grow = 1 / float32(xyr), log(float32(whr))
        means = [(self.mean[at] + self.mean[at + 1]) / 2 for at in (0, 2)]
        stds = [sqrt(self.std[at] * self.std[at + 1]) for at in (0, 2)]
        moves = [(sign * move - means[0]) / stds[0] for sign in (-1, 1)]
        return (*moves, *((sign * grow - means[1]) / stds[1] for sign in (-1, 1)))


class DetectionLoss(
    FieldLoss, type="DetectionLoss", fork="mscnn", param="detection_loss_param", bottoms=2
):
    """The loss of one field: classes, and boxes where there is an object: 1 x 1 x 1 x 2.

    Bottoms: N x (C + 4) x H x W, scores and behind them shifts, and labels (`FieldLoss`). All
    objects count, and of places without one, whose overlap is below `bg_threshold`, by
    `sample_mode`: random, as many draws as objects times `bg_multiple`, 4 a class at least, of
    which those hit such a place; bootstrap, for each class those of its highest scores, as many as
    its objects times `bg_multiple`, 4 at least; mixture, both by halves; otherwise all.
    `iou_weighted` weighs objects by their overlap; `pos_neg_weighted` then weighs objects as 1 of
    `1 + bg_multiple`, the others as what is left. With `objectness` all classes are 1. L_box is the
    mean of smooth L1 losses, or without `bb_smooth` of half squares, of shifts as `field_whr` and
    `field_xyr` bound them; the gradient passes these bounds.

    Errors: ShapeError for bottoms that do not fit; UnsupportedError on writing ONNX.
    Caffe: zhaoweicai/mscnn, src/caffe/layers/detection_loss_layer.cpp
    """

    fixed_bottoms = (1,)

    def __init__(
        self,
        *,
        cls_num: int = 0,
        coord_num: int = 4,
        field_h: int = 0,
        field_w: int = 0,
        downsample_rate: int = 0,
        bb_smooth: bool = True,
        field_whr: float = 2.0,
        field_xyr: float = 2.0,
        bg_threshold: float = 0.5,
        bg_multiple: int = 4,
        sample_mode: str = "random",
        objectness: bool = False,
        iou_weighted: bool = False,
        pos_neg_weighted: bool = False,
        share: float = 1.0,
        ignore_label: int | None = None,
        bbox_mean: Four = NO_MEAN,
        bbox_std: Four = NO_STD,
    ) -> None:
        """`share` is what the message calls lambda."""
        super().__init__()
        require(coord_num == COORDINATES, f"coord_num is {coord_num}, wants {COORDINATES}")
        require(not objectness or cls_num == 2, f"objectness wants 2 classes, got {cls_num}")
        self.classes, self.coord_num, self.size = cls_num, coord_num, (field_w, field_h)
        self.stride, self.smooth, self.share = float(downsample_rate), bb_smooth, float32(share)
        self.threshold, self.multiple = float32(bg_threshold), bg_multiple
        self.mode, self.objectness, self.iou_weighted = sample_mode, objectness, iou_weighted
        self.pos_neg_weighted, self.ignore_label = pos_neg_weighted, ignore_label
        self.mean, self.std = bbox_mean, bbox_std
        self.bounds = self.limits(field_whr, field_xyr)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> DetectionLoss:
        return cls(**_beside(layer, cls.param), **cls.fields(layer))

    def shapes(self, x: Shape, label: Shape) -> list[Shape]:
        channels = self.classes + COORDINATES
        require(len(x) == 4 and x[1] == channels, f"bottom {x} wants N x {channels} x H x W")
        _check_labels(label, x)
        return [TOP]

    def sizes_of(self, wanted: Tensor) -> Tensor:
        return wanted.new_tensor(self.size).reshape(1, 2, 1, 1)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        wanted = label.detach()
        scores, shifts = x[:, : self.classes], x[:, self.classes :]
        with torch.no_grad():
            own = wanted[:, 0].long()
            free = (own == 0) & (wanted[:, 5] < self.threshold)
            kept = self._kept(scores, own, free)
            weight = torch.ones_like(wanted[:, 0])
            objects = own != 0
            if self.iou_weighted:
                weight = torch.where(objects, wanted[:, 5], weight)
            if self.pos_neg_weighted:
                weight = _balanced(weight, objects, kept, self.multiple, each=False)
        classes = self.class_loss(scores, own, kept | objects, weight)
        boxes = self.share * self.box_loss(shifts, wanted, objects, self.bounds)
        return torch.stack([classes + boxes, boxes.detach()]).reshape(TOP)

    def _kept(self, scores: Tensor, own: Tensor, free: Tensor) -> Tensor:
        """Return which places without an object are learned."""
        if self.mode not in ("random", "bootstrap", "mixture"):
            return free
        part = 0.5 if self.mode == "mixture" else 1.0
        places = free.flatten(1)
        label = (own.clamp(max=1) if self.objectness else own).flatten(1)
        kept = torch.zeros_like(places)
        if self.mode != "bootstrap":
            wanted = ((label != 0).sum(1) * self.multiple * part).long()
            wanted = wanted.clamp(min=4 * (self.classes - 1))
            most = int(wanted.max())
            drawn = torch.randint(places.shape[1], (len(places), most), device=places.device)
            counts = torch.arange(most, device=places.device) < wanted[:, None]
            hit = torch.zeros(places.shape, dtype=torch.int64, device=places.device)
            kept = places & (hit.scatter_add(1, drawn, counts.long()) > 0)
        if self.mode != "random":
            for k in range(1, self.classes):
                wanted = ((label == k).sum(1) * self.multiple * part).long().clamp(min=4)
                kept = kept | _most(scores[:, k].flatten(1), places, wanted)
        return kept.reshape(free.shape)


class DetectionGroupLoss(
    FieldLoss,
    type="DetectionGroupLoss",
    fork="cascade_rcnn",
    param="detection_group_loss_param",
    bottoms=3,
):
    """The loss of a group of G fields, whose N G maps lie image by image: 1 x 1 x 1 x 2.

    Bottoms: scores N G x C x H x W, shifts N G x 4 x H x W, and labels (`FieldLoss`). Of each
    image all objects are learned, and of the places without one, whose overlap is below
    `bg_threshold`, as many as objects times `bg_multiple`, `min_num_neg` at least; with a
    `batch_size` that many places, of which objects are 1 of `1 + bg_multiple` at most, and drawn
    where they are more. The others are drawn (`neg_mining_type` random), those of the highest loss
    (bootstrap; `neg_ranking_type` conf_loss, or conf_prob: 1 less the background's probability), or
    half of both (mixture). `pos_neg_weighted` weighs objects as 1 of `1 + bg_multiple`, the others
    as what is left. With `objectness` all classes are 1. L_box is the mean of smooth L1 losses
    (`bbox_loss_type` Euclidean_L2: half squares) of learned objects; where both `field_whr` and
    `field_xyr` are said they bound shifts, and the gradient passes these bounds. Caffe bounds the
    bottom itself.

    Errors: ShapeError for bottoms that do not fit, and numbers of fields that differ;
    UnsupportedError for other types, and on writing ONNX.
    Caffe: zhaoweicai/cascade-rcnn, src/caffe/layers/detection_group_loss_layer.cpp
    """

    fixed_bottoms = (2,)

    def __init__(
        self,
        *,
        cls_num: int = 0,
        field_h: Sequence[int] = (),
        field_w: Sequence[int] = (),
        stride: int = 0,
        field_whr: float = 4.0,
        field_xyr: float = 0.25,
        bg_threshold: float = 0.5,
        bg_multiple: int = 4,
        neg_mining_type: str = "random",
        neg_ranking_type: str = "conf_loss",
        min_num_neg: int = 5,
        objectness: bool = False,
        batch_size: int = -1,
        pos_neg_weighted: bool = False,
        bbox_loss_type: str = "Smooth_L1",
        bounds: bool = False,
        share: float = 1.0,
        ignore_label: int | None = None,
        bbox_mean: Four = NO_MEAN,
        bbox_std: Four = NO_STD,
    ) -> None:
        """`share` is what the message calls lambda; `bounds` whether shifts are bounded."""
        super().__init__()
        require(
            len(field_h) == len(field_w) > 0,
            f"{len(field_h)} field_h and {len(field_w)} field_w, wants one each for every field",
        )
        require(not objectness or cls_num == 2, f"objectness wants 2 classes, got {cls_num}")
        for name, said, known in (
            ("neg_mining_type", neg_mining_type, ("random", "bootstrap", "mixture")),
            ("neg_ranking_type", neg_ranking_type, ("conf_loss", "conf_prob")),
            ("bbox_loss_type", bbox_loss_type, ("Smooth_L1", "Euclidean_L2")),
        ):
            if said not in known:
                raise UnsupportedError(f"{name} {said!r} is none of {', '.join(known)}")
        require(batch_size == -1 or batch_size > 0, f"batch_size is {batch_size}, wants 1 or more")
        self.classes, self.sizes = cls_num, tuple(zip(field_w, field_h, strict=True))
        self.stride, self.smooth = float(stride), bbox_loss_type == "Smooth_L1"
        self.share, self.threshold = float32(share), float32(bg_threshold)
        self.multiple, self.mode, self.ranking = bg_multiple, neg_mining_type, neg_ranking_type
        self.least, self.batch_size, self.objectness = min_num_neg, batch_size, objectness
        self.pos_neg_weighted, self.ignore_label = pos_neg_weighted, ignore_label
        self.mean, self.std = bbox_mean, bbox_std
        self.bounds = self.limits(field_whr, field_xyr) if bounds else None

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> DetectionGroupLoss:
        param = fork_field(layer, cls.param)
        both = [param is not None and is_set(param, name) for name in ("field_xyr", "field_whr")]
        return cls(bounds=all(both), **_beside(layer, cls.param), **cls.fields(layer))

    def shapes(self, scores: Shape, shifts: Shape, label: Shape) -> list[Shape]:
        count = len(self.sizes)
        fits = len(scores) == 4 and scores[1] == self.classes and scores[0] % count == 0
        require(fits, f"scores {scores} want {count} N x {self.classes} x H x W")
        wants = (scores[0], COORDINATES, *scores[2:])
        require(shifts == wants, f"shifts {shifts}, wants {wants}")
        _check_labels(label, scores)
        return [TOP]

    def sizes_of(self, wanted: Tensor) -> Tensor:
        sizes = wanted.new_tensor(self.sizes).reshape(-1, 2, 1, 1)
        return sizes.repeat(len(wanted) // len(self.sizes), 1, 1, 1)

    def forward(self, scores: Tensor, shifts: Tensor, label: Tensor) -> Tensor:
        wanted = label.detach()
        with torch.no_grad():
            own = wanted[:, 0].long()
            objects, free = own > 0, (own == 0) & (wanted[:, 5] < self.threshold)
            kept = self._kept(scores, own, objects, free)
            weight = torch.ones_like(wanted[:, 0])
            if self.pos_neg_weighted:
                weight = _balanced(
                    weight, objects & kept, kept & ~objects, self.multiple, each=True
                )
        classes = self.class_loss(scores, own, kept, weight)
        boxes = self.share * self.box_loss(shifts, wanted, kept & objects, self.bounds)
        return torch.stack([classes + boxes, boxes.detach()]).reshape(TOP)

    def _kept(self, scores: Tensor, own: Tensor, objects: Tensor, free: Tensor) -> Tensor:
        """Return which places are learned."""
        count, shape = len(self.sizes), objects.shape
        rows = [mask.reshape(shape[0] // count, -1) for mask in (objects, free)]
        many, others = (mask.sum(1) for mask in rows)
        if self.batch_size == -1:
            negative = (many * self.multiple).clamp(min=self.least)
        else:
            share = floor(self.batch_size / (1 + self.multiple) + 0.5)
            many = many.clamp(max=share)
            negative = self.batch_size - many
        negative = torch.minimum(negative, others)
        kept = _most(torch.rand(rows[0].shape, device=scores.device), rows[0], many)
        hard = torch.zeros_like(negative)
        if self.mode == "bootstrap":
            hard = negative
        elif self.mode == "mixture":
            hard = ((negative + 1) // 2).where(negative < others, negative)
        chosen = _most(self._ranks(scores, own).reshape(rows[0].shape), rows[1], hard)
        left = torch.rand(rows[0].shape, device=scores.device)
        chosen = chosen | _most(left, rows[1] & ~chosen, negative - hard)
        return (kept | chosen).reshape(shape)

    def _ranks(self, scores: Tensor, own: Tensor) -> Tensor:
        logs = scores.detach().log_softmax(1)
        if self.ranking == "conf_prob":
            return 1 - logs[:, 0].exp()
        # Only places without an object are ranked: their label is 0.
        return -logs[:, 0].clamp(min=LOG_FLT_MIN)


def _four(like: Tensor, values: Sequence[float]) -> Tensor:
    return like.new_tensor(values).reshape(1, COORDINATES, 1, 1)


def _beside(layer: Any, name: str) -> dict[str, Any]:
    """Return what is said beside the fields whose names are arguments."""
    param, loss = fork_field(layer, name), layer.loss_param
    return {
        "share": getattr(param, "lambda") if param is not None else 1.0,
        "ignore_label": loss.ignore_label if loss.HasField("ignore_label") else None,
        **normalization(layer),
    }


def _check_labels(label: Shape, maps: Shape) -> None:
    if len(label) != 4 or label[1] < LABELS or (label[0], *label[2:]) != (maps[0], *maps[2:]):
        raise ShapeError(f"labels {label} of maps {maps}, wants as many of {LABELS} channels")


def _balanced(
    weight: Tensor, objects: Tensor, others: Tensor, multiple: int, *, each: bool
) -> Tensor:
    """Return weights of which objects have 1 of `1 + multiple`, and the others what is left.

    The others' do not change without any object, unless `each` is for itself.
    """
    count = (objects.sum() + others.sum()).to(weight.dtype)
    share = 1 / (1 + multiple)
    sums = [torch.where(places, weight, 0).sum() for places in (objects, others)]
    for places, part, total in zip((objects, others), (share, 1 - share), sums, strict=True):
        counts = (sums[0] != 0) & (total != 0) if not each else total != 0
        scaled = weight * (part * count / torch.where(total == 0, 1, total))
        weight = torch.where(places & counts, scaled, weight)
    return weight


def _most(values: Tensor, among: Tensor, counts: Tensor) -> Tensor:
    """Return the `counts` highest values of each row among some; of equal ones the later."""
    lowest = torch.finfo(values.dtype).min
    order = values.masked_fill(~among, lowest).flip(1).argsort(dim=1, descending=True, stable=True)
    order = values.shape[1] - 1 - order
    places = torch.arange(values.shape[1], device=values.device).expand_as(order)
    ranks = torch.zeros_like(order).scatter(1, order, places)
    return among & (ranks < counts[:, None])
