"""Judging detections by objects: what the forks' DetectionEvaluate share."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from prototxt.errors import FormatError, ShapeError, UnsupportedError

from .bbox import overlap

ROW = 5


class Evaluation(Layer):
    """Base of DetectionEvaluate: see SSD's for what it makes of detections and objects."""

    is_metric = True
    free_axis = 2

    def __init__(
        self,
        *,
        num_classes: int,
        background_label_id: int = 0,
        overlap_threshold: float = 0.5,
        evaluate_difficult_gt: bool = True,
        name_size_file: str = "",
    ) -> None:
        super().__init__()
        require(overlap_threshold > 0, f"overlap_threshold {overlap_threshold:g} wants more than 0")
        require(num_classes > 0, f"num_classes {num_classes} wants 1 or more")
        self.num_classes = num_classes
        self.background_label_id = background_label_id
        self.overlap_threshold = float32(overlap_threshold)
        self.evaluate_difficult_gt = evaluate_difficult_gt
        self.name_size_file = name_size_file
        self._next = 0

    @cached_property
    def labels(self) -> tuple[int, ...]:
        """The classes that are counted, all but the background's."""
        return tuple(c for c in range(self.num_classes) if c != self.background_label_id)

    @property
    def label_count(self) -> int:
        """Their number, which needs no list of them."""
        return self.num_classes - (0 <= self.background_label_id < self.num_classes)

    @cached_property
    def sizes(self) -> list[tuple[int, int]]:
        """Heights and widths of the images, in pixels; none where boxes are fractions of them."""
        if not self.name_size_file:
            return []
        try:
            lines = Path(self.name_size_file).read_text("utf-8").splitlines()
            rows = [line.split() for line in lines if line.strip()]
            return [(int(height), int(width)) for _, height, width in rows]
        except (OSError, ValueError):
            path = self.name_size_file
            raise FormatError(f"{path!r} is no list of lines 'name height width'") from None

    def reset_state(self) -> None:
        self._next = 0

    def forward(self, detections: Tensor, objects: Tensor) -> Tensor:
        with torch.no_grad():
            found, given = detections.reshape(-1, 7), objects.reshape(-1, 8)
            sizes = self._sizes_of(found)
            found = found[(found[:, :2].long() != -1).all(1)]
            given = given[(given[:, 0].long() != -1).cumprod(0).bool()]
            for name, which in (("detection", found), ("object", given)):
                if (which[:, 1].long() == self.background_label_id).any():
                    raise ShapeError(f"a {name} is of the background")
            counted = given[:, 7] == 0
            if self.evaluate_difficult_gt:
                counted = torch.ones_like(counted)
            rows = [self._counts(given[counted])]
            of_found, of_given = found[:, :2].long(), given[:, :2].long()
            for image, label in sorted({(int(i), int(c)) for i, c in of_found}):
                pair = of_found.new_tensor((image, label))
                group, own = found[(of_found == pair).all(1)], (of_given == pair).all(1)
                if own.any():
                    group = group[group[:, 2].argsort(dim=0, descending=True, stable=True)]
                rows.append(self._judged(group, given[own], counted[own], sizes.get(image)))
            return torch.cat(rows)[None, None]

    def _sizes_of(self, found: Tensor) -> dict[int, tuple[int, int]]:
        """Return the sizes of the images that the detections are of, and go on to the next."""
        if not self.sizes:
            return {}
        images = sorted({int(image) for image in found[:, 0]} - {-1})
        lines = [(self._next + i) % len(self.sizes) for i in range(len(images))]
        self._next = (self._next + len(images)) % len(self.sizes)
        return {image: self.sizes[line] for image, line in zip(images, lines, strict=True)}

    def _counts(self, given: Tensor) -> Tensor:
        rows = given.new_full((self.label_count, ROW), -1)
        for row, label in zip(rows, self.labels, strict=True):
            row[1], row[2] = label, (given[:, 1].long() == label).sum()
        return rows

    def _judged(
        self, group: Tensor, given: Tensor, counted: Tensor, size: tuple[int, int] | None
    ) -> Tensor:
        """Return the rows of one image's boxes of one label, best first."""
        rows = torch.cat([group[:, :3], group.new_tensor([0.0, 1.0]).expand(len(group), 2)], 1)
        if not len(given):
            return rows
        boxes, others = group[:, None, 3:7], given[:, 3:7]
        shares = overlap(boxes, others) if size is None else _overlap_in(size, boxes, others)
        best, nearest = shares.max(1)
        seen = set()
        for row, share, at in zip(rows, best.tolist(), nearest.tolist(), strict=True):
            if share < self.overlap_threshold:
                continue
            if not counted[at]:
                row[4] = 0
            elif at not in seen:
                row[3], row[4] = 1, 0
                seen.add(at)
        return rows

    def onnx(self, op: Op, detections: str, objects: str) -> Values:
        raise UnsupportedError("detections are judged in torch only")


def _overlap_in(size: tuple[int, int], a: Tensor, b: Tensor) -> Tensor:
    """Return intersection over union in pixels, as the fork counts them: 1 where none are common.

    A box is its far side minus its near side plus 1 pixels wide, an inverted one has none.
    """
    height, width = size
    scale = a.new_tensor([width, height, width, height])
    a, b = a.clamp(0, 1) * scale, b.clamp(0, 1) * scale
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    apart = ((b[..., :2] > a[..., 2:]) | (b[..., 2:] < a[..., :2])).any(-1)
    sides = torch.where(apart[..., None], 0, high - low) + 1
    common = torch.where((sides > 0).all(-1), sides.prod(-1), 0)
    return torch.where(common > 0, common / (_pixels(a) + _pixels(b) - common), 0)


def _pixels(box: Tensor) -> Tensor:
    sides = box[..., 2:] - box[..., :2]
    return torch.where((sides < 0).any(-1), 0, (sides + 1).prod(-1))
