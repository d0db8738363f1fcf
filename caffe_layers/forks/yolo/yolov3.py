"""Yolov3, the third YOLO's loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.number import float32
from prototxt.errors import UnsupportedError

from .grid_loss import GridLoss, Objects, concentric, last_of, overlaps


class Yolov3(GridLoss, type="Yolov3", fork="yolo", param="yolov3_param", bottoms=2):
    """The third YOLO's loss, a scalar: `sum of delta^2 / N`, with `delta / N` for its gradient.

    x is N x `num` (5 + `num_class`) x H x W, the labels N x 5 T (`GridLoss`). With s(v) the
    logistic function a box is at `((column + s(x)) / W, (row + s(y)) / H)`, and
    `(e^w, e^h) * biases / (anchors_scale * (W, H))` large, with the pair of `biases` that `mask`
    names for its anchor. Of every box s(object) is drawn to 0, delta being s, unless it overlaps an
    object by more than `thresh`.

    An object is its cell's, there of the pair of `biases` that overlaps its size most, if `mask`
    has it, and of the others of `mask` that overlap it by more than `iou_thresh` (of these Caffe
    leaves out the one whose number is the first's place in `mask`). Delta is
    `coord_scale * (2 - w h) (v - t)` for s(x), s(y), w and h, of the last object of a cell's
    anchor; `s - 1` for the object; and `class_scale * (s - t)` for each class, with targets 1 for
    the classes of all its objects, and 0 for others, moved towards 1/2 by `label_smooth_eps`. With
    `use_focal_loss` the first object's are of targets 1 and 0, and multiplied by
    `-(1 - p)(2 p ln(p) + p - 1) / 2`, where p is s of its class; not so the classes of later
    objects, or of one that is taken twice.

    The gradient takes delta of s for that of the number itself; with `use_logic_gradient` it is
    multiplied by s', and s - 1 by `object_scale`, which the loss shows too. `noobject_scale` and
    `side` are not used. Caffe rounds overlaps and targets to floats in a network of doubles too:
    not so here.

    Errors: those of GridLoss; UnsupportedError on running with an `iou_loss` other than MSE;
    ShapeError for a `mask` that is not as long as `num`, or names no pair of `biases`.
    Caffe: eric612/MobileNet-YOLO, src/caffe/layers/yolov3_layer.cpp
    """

    def __init__(
        self,
        *,
        side: int = 13,
        num_class: int = 20,
        num: int = 5,
        object_scale: float = 1.0,
        class_scale: float = 1.0,
        noobject_scale: float = 0.5,
        coord_scale: float = 5.0,
        thresh: float = 0.2,
        anchors_scale: int = 32,
        biases: Sequence[float] = (),
        mask: Sequence[int] = (),
        use_logic_gradient: bool = False,
        use_focal_loss: bool = False,
        iou_loss: str = "MSE",
        iou_normalizer: float = 0.25,
        iou_thresh: float = 0.5,
        max_delta: float = 10.0,
        accumulate: bool = True,
        label_smooth_eps: float = 0.1,
    ) -> None:
        """Take `iou_normalizer`, `max_delta` and `accumulate`, which MSE does not use, too."""
        super().__init__()
        self.side, self.noobject_scale, self.iou_loss = side, noobject_scale, iou_loss
        self.iou_normalizer, self.max_delta, self.accumulate = iou_normalizer, max_delta, accumulate
        self.classes, self.anchors, self.anchors_scale = num_class, num, anchors_scale
        self.object_scale, self.class_scale = float32(object_scale), float32(class_scale)
        self.coord_scale, self.thresh = float32(coord_scale), float32(thresh)
        self.biases, self.mask = tuple(map(float32, biases)), tuple(mask)
        self.use_logic_gradient, self.use_focal_loss = use_logic_gradient, use_focal_loss
        self.iou_thresh, self.smooth = float32(iou_thresh), float32(label_smooth_eps)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        self.check(x)
        if self.iou_loss != "MSE":
            raise UnsupportedError(f"iou_loss {self.iou_loss} is not computed here, MSE alone is")
        require(
            len(self.mask) == self.anchors and max(self.mask, default=0) < len(self.biases) // 2,
            f"mask {self.mask} wants {self.anchors} numbers below {len(self.biases) // 2}, the "
            "pairs of biases",
        )
        with torch.no_grad():
            delta, logistic = self._delta(x, self.objects(label, x))
            squares = delta.square()
            if self.use_logic_gradient:
                slope = logistic * (1 - logistic)
                slope[:, :, 2:4] = 1
                delta = delta * slope
        return self.result(x, squares, delta, x.shape[0])

    def _delta(self, x: Tensor, objects: Objects) -> tuple[Tensor, Tensor]:
        """Return delta, and s of all numbers."""
        images, (height, width), anchors = x.shape[0], x.shape[2:], self.anchors
        numbers = self.numbers(x)
        logistic = numbers.sigmoid()
        seen = torch.cat([logistic[:, :, :2], numbers[:, :, 2:4], logistic[:, :, 4:]], 2)
        grid = x.new_tensor([width, height])
        pairs = x.new_tensor(self.biases).reshape(-1, 2) / (grid * self.anchors_scale)
        sizes = pairs[list(self.mask)]
        place = torch.arange(height * width, device=x.device)
        corner = torch.stack([place % width, place // width]).to(x.dtype)
        box = torch.cat(
            [
                (corner + seen[:, :, :2]) / grid[:, None],
                seen[:, :, 2:4].exp() * sizes[..., None],
            ],
            2,
        ).transpose(2, 3)
        delta = torch.zeros_like(numbers)
        delta[:, :, 4] = seen[:, :, 4]
        shared = overlaps(box[:, :, :, None], objects.box[:, None, None])
        shared = torch.where(objects.seen[:, None, None], shared, 0)
        if shared.shape[-1]:
            delta[:, :, 4].masked_fill_(shared.amax(-1) > self.thresh, 0)
        hits = self._hits(objects, pairs)
        cell = (objects.row * width + objects.column)[..., None]
        cells = torch.arange(anchors, device=x.device) * height * width + cell
        cells, times = cells.flatten(1), hits.flatten(1)
        hits = times > 0
        total = anchors * height * width
        last = last_of(cells, hits, total)
        first = last_of(cells.flip(1), hits.flip(1), total)
        first = torch.where(first < 0, 0, cells.shape[1] - 1 - first)
        taken = (last >= 0).reshape(images, anchors, 1, -1)
        which = last.clamp(min=0) // anchors
        truth = objects.box.gather(1, which[..., None].expand(-1, -1, 4))
        truth = truth.reshape(images, anchors, -1, 4)
        held = (part.gather(1, which) for part in (objects.column, objects.row))
        corners = [part.reshape(images, anchors, -1) for part in held]
        own = torch.empty_like(numbers)
        weight = self.coord_scale * (2 - truth[..., 2] * truth[..., 3])
        for at, corner_of in enumerate(corners):
            own[:, :, at] = weight * (seen[:, :, at] - (truth[..., at] * grid[at] - corner_of))
            size = (truth[..., 2 + at] / sizes[:, at, None]).log()
            own[:, :, 2 + at] = weight * (seen[:, :, 2 + at] - size)
        scale = self.object_scale if self.use_logic_gradient else 1.0
        own[:, :, 4] = scale * (seen[:, :, 4] - 1)
        earliest = objects.label.gather(1, first // anchors).reshape(images, anchors, -1)
        own[:, :, 5:] = self._classes(seen[:, :, 5:], objects, cells, times, earliest)
        return torch.where(taken, own, delta), logistic

    def _hits(self, objects: Objects, pairs: Tensor) -> Tensor:
        """Return how often the anchors take the objects, N x T x A."""
        alike = concentric(pairs, objects.box[:, :, None, 2:])
        most, best = alike.max(2, keepdim=True)
        mask = torch.tensor(self.mask, device=pairs.device)
        hits = (mask == best) & (most > 0)
        counts = hits.long()
        # Caffe passes over the anchor's place in `mask` here, taken for a pair's number.
        place = torch.where(hits.any(2), hits.long().argmax(2), best[..., 0])
        counts += (alike[..., mask] > self.iou_thresh) & (mask != place[..., None])
        return counts * objects.real[..., None]

    def _classes(
        self, s: Tensor, objects: Objects, cells: Tensor, times: Tensor, earliest: Tensor
    ) -> Tensor:
        """Return the classes' delta, N x A x C x H W, where an object is."""
        images, anchors, classes, places = s.shape
        label = objects.label[..., None].expand(-1, -1, anchors).flatten(1)
        hits = (times > 0) & (label >= 0) & (label < classes)
        flat = torch.where(hits, cells * classes + label, anchors * places * classes)
        counts = s.new_zeros(images, anchors * places * classes + 1)
        counts = counts.scatter_add(1, flat, (times * hits).to(s.dtype))[:, :-1]
        counts = counts.reshape(images, anchors, places, classes).transpose(2, 3)
        wanted = (counts > 0).to(s.dtype)
        plain = self.class_scale * (s - (wanted * (1 - self.smooth) + 0.5 * self.smooth))
        if not self.use_focal_loss:
            return plain
        own = torch.arange(classes, device=s.device)[:, None] == earliest[:, :, None]
        index = earliest.clamp(0, classes - 1)[:, :, None]
        p = s.gather(2, index) + 1e-15
        focus = -0.5 * (1 - p) * (2 * p * p.log() + p - 1)
        focal = self.class_scale * (s - own.to(s.dtype)) * focus
        later = counts - own.to(s.dtype) > 0
        return torch.where(later, plain, focal)
