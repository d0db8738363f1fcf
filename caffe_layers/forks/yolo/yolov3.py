"""Yolov3, the third YOLO's loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.number import FLT_MAX, float32

from .box_likeness import likeness, slope
from .grid_loss import GridLoss, Objects, concentric, last_of


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

    With an `iou_loss` other than MSE (IOU, GIOU, DIOU, CIOU) all overlaps are that likeness
    (`box_likeness`). Delta of x, y, w and h is `-iou_normalizer` times its slope, times e^w and e^h
    for w and h, within `max_delta`; of all objects of a cell's anchor together, or with
    `accumulate` false of the last. They are no part of the loss, which has instead
    `iou_normalizer` times the mean of 1 less the likeness, over all objects and their anchors (for
    IOU that of DIOU). `use_logic_gradient` multiplies x and y by `v (1 - v)` then, v being the
    number itself.

    Errors: those of GridLoss; ShapeError for a `mask` that is not as long as `num`, or names no
    pair of `biases`.
    Caffe: eric612/MobileNet-YOLO, src/caffe/layers/yolov3_layer.cpp, src/caffe/util/bbox_util.cpp
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
        """`iou_normalizer`, `max_delta` and `accumulate` are not for MSE."""
        super().__init__()
        self.side, self.noobject_scale, self.iou_loss = side, noobject_scale, iou_loss
        self.iou_normalizer, self.max_delta = float32(iou_normalizer), float32(max_delta)
        self.accumulate = accumulate
        self.classes, self.anchors, self.anchors_scale = num_class, num, anchors_scale
        self.object_scale, self.class_scale = float32(object_scale), float32(class_scale)
        self.coord_scale, self.thresh = float32(coord_scale), float32(thresh)
        self.biases, self.mask = tuple(map(float32, biases)), tuple(mask)
        self.use_logic_gradient, self.use_focal_loss = use_logic_gradient, use_focal_loss
        self.iou_thresh, self.smooth = float32(iou_thresh), float32(label_smooth_eps)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        self.check(x)
        require(
            len(self.mask) == self.anchors and max(self.mask, default=0) < len(self.biases) // 2,
            f"mask {self.mask} wants {self.anchors} numbers below {len(self.biases) // 2}, the "
            "pairs of biases",
        )
        with torch.no_grad():
            delta, logistic, unlike = self._delta(x, self.objects(label, x))
            shown = delta.square()
            if self.iou_loss != "MSE":
                shown = torch.cat([shown[:, :, 4:].flatten(), self.iou_normalizer * unlike])
                logistic[:, :, :2] = self.numbers(x)[:, :, :2]
            if self.use_logic_gradient:
                slope = logistic * (1 - logistic)
                slope[:, :, 2:4] = 1
                delta = delta * slope
        return self.result(x, shown, delta, x.shape[0])

    def _delta(self, x: Tensor, objects: Objects) -> tuple[Tensor, Tensor, Tensor]:
        """Return delta, s of all numbers, and the mean of 1 less the likeness, 1 value."""
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
        shared = likeness(self.iou_loss, box[:, :, :, None], objects.box[:, None, None])
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
        unlike = delta.new_zeros(1)
        if self.iou_loss != "MSE":
            flat = box.reshape(images, total, 4).gather(1, cells[..., None].expand(-1, -1, 4))
            flat, truths = flat.reshape(*cell.shape[:2], anchors, 4), objects.box[:, :, None]
            own[:, :, :4] = self._slopes(numbers, flat, truths, cells, times, last)
            kind = "DIOU" if self.iou_loss == "IOU" else self.iou_loss
            taken_by = times.reshape(flat.shape[:3])
            apart = torch.where(taken_by > 0, taken_by * (1 - likeness(kind, flat, truths)), 0)
            unlike = apart.sum().reshape(1) / times.sum().clamp(min=1)
        own[:, :, 4] = scale * (seen[:, :, 4] - 1)
        earliest = objects.label.gather(1, first // anchors).reshape(images, anchors, -1)
        own[:, :, 5:] = self._classes(seen[:, :, 5:], objects, cells, times, earliest)
        return torch.where(taken, own, delta), logistic, unlike

    def _slopes(
        self,
        numbers: Tensor,
        box: Tensor,
        truth: Tensor,
        cells: Tensor,
        times: Tensor,
        last: Tensor,
    ) -> Tensor:
        """Return delta of the boxes' numbers, N x A x 4 x H W, by the likeness' slope.

        `box`, N x T x A x 4, are what the objects' cells predict, `times` how often these take
        them, and `last` which take is a cell's last, of those of an image.
        """
        images, anchors, _, places = numbers.shape
        index = cells[..., None].expand(-1, -1, 4)
        raw = numbers[:, :, :4].transpose(2, 3).reshape(images, -1, 4).gather(1, index)
        box = torch.cat([box[..., :2], torch.where(box[..., 2:] == 0, 1, box[..., 2:])], -1)
        found = slope(self.iou_loss, box, truth).flatten(1, 2)
        found = torch.cat([found[..., :2], found[..., 2:] * raw[..., 2:].exp()], -1)
        found = (self.iou_normalizer * found).nan_to_num(0, 0, 0)
        if self.max_delta < FLT_MAX:
            found = found.clamp(-self.max_delta, self.max_delta)
        if self.accumulate:
            found = found * times[..., None]
            total = found.new_zeros(images, anchors * places, 4).scatter_add(1, index, found)
        else:
            total = found.gather(1, last.clamp(min=0)[..., None].expand(-1, -1, 4))
        return -total.reshape(images, anchors, places, 4).transpose(2, 3)

    def _hits(self, objects: Objects, pairs: Tensor) -> Tensor:
        """Return how often the anchors take the objects, N x T x A."""
        sizes = objects.box[:, :, None, 2:]
        if self.iou_loss == "MSE":
            alike = concentric(pairs, sizes)
        else:
            middle = torch.cat([torch.zeros_like(pairs), pairs], -1)
            centred = torch.cat([torch.zeros_like(sizes), sizes], -1)
            alike = likeness(self.iou_loss, middle, centred)
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
