"""DetectionOutput with states of what is found, of tl_ssd."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Unpack

from caffe_layers.arithmetic.ramp import ramp
from caffe_layers.base.checks import require
from caffe_layers.base.message import fork_field
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .detections import IMAGE_LABEL_SCORE, DetectionFields, Detections
from .predictions import emit_priors, read_priors
from .suppression import LEAST_ADAPTED, emit_adaptive, emit_suppress, suppress

SSD_ROW = IMAGE_LABEL_SCORE + 4
"""Numbers of a row without states."""


class StateDetectionOutput(
    Detections, type="DetectionOutput", fork="tl_ssd", param="detection_output_param", bottoms=4
):
    """SSD's DetectionOutput, whose boxes have S = `num_states` scores more: 1 x 1 x K x (7 + S).

    A fourth bottom, N x PS, has the states' scores of P prior boxes. A row of the top is the
    image's index, label, score, S states' scores, xmin, ymin, xmax, ymax. The classes are looked at
    together: of all their scores the `top_k` best go into one suppression, in which a box hides
    those of other classes too. Rows go by image, label and falling score.

    Of N images without any box the top is N x (7 + S) of -1, in which every seventh number, as if
    there were no states, counts the images. This is the fork's GPU code; its CPU code leaves the
    states out.

    Errors: SSD's; ShapeError for states that are no S for each prior box, and without
    `share_location`, with which the fork reads another class's boxes.
    Caffe: julimueller/tl_ssd at be5ae7f, src/caffe/layers/detection_output_layer.cu,
    src/caffe/util/bbox_util.cpp
    """

    fork_fields = (
        "detection_output_param.do_state_prediction",
        "detection_output_param.num_states",
    )

    def __init__(self, *, num_states: int = 6, **fields: Unpack[DetectionFields]) -> None:
        super().__init__(**fields)
        require(num_states > 0, f"num_states {num_states} wants 1 or more")
        require(self.share_location, "share_location false, with which the fork mixes up classes")
        self.num_states = num_states

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return bool(fork_field(layer.detection_output_param, "do_state_prediction"))

    @property
    def row(self) -> int:
        return SSD_ROW + self.num_states

    def shapes(self, loc: Shape, conf: Shape, prior: Shape, *more: Shape) -> list[Shape]:
        self.rows(loc, conf, prior)
        (states,), priors = more, prod(conf[1:]) // self.num_classes
        wants = (loc[0], priors * self.num_states)
        got = (states[0], prod(states[1:]))
        require(got == wants, f"the states are {states}, wants {wants[0]} x {wants[1]}")
        rows = self.looked_at(priors * self.label_count)
        if self.keep_top_k >= 0:
            rows = min(rows, self.keep_top_k)
        return [(1, 1, loc[0] * max(rows, 1), self.row)]

    def forward(self, loc: Tensor, conf: Tensor, prior: Tensor, *more: Tensor) -> Tensor:
        with torch.no_grad():
            images = loc.shape[0]
            boxes, variances = read_priors(prior, encoded=self.variance_encoded_in_target)
            scores = conf.reshape(images, -1, self.num_classes)
            states = more[0].reshape(images, -1, self.num_states)
            boxes = self.decoded(boxes, variances, loc.reshape(images, -1, 1, 4))[:, :, 0]
            nothing = self._nothing(conf)
            if self.looks_at_none:
                return nothing[None, None]
            priors = boxes.shape[1]
            labels = conf.new_tensor(self.labels)
            every = scores.transpose(1, 2)[:, list(self.labels)].flatten(1)
            every, order = every.sort(dim=-1, descending=True, stable=True)
            count = self.looked_at(every.shape[1])
            every, order = every[:, :count], order[:, :count]
            own = (order % priors)[..., None]
            ranked = boxes.gather(1, own.expand(-1, -1, 4))
            kept = suppress(ranked, every > self.confidence_threshold, self.nms_threshold, self.eta)
            if self.keep_top_k >= 0:
                kept = kept & (kept.cumsum(1) <= self.keep_top_k)
            image, at = kept.nonzero().unbind(1)
            place = order[image, at] // priors
            by_label = (image * self.label_count + place).argsort(stable=True)
            image, at, place = image[by_label], at[by_label], place[by_label]
            rows = torch.stack([image.to(conf), labels[place], every[image, at]], 1)
            said = states[image, order[image, at] % priors]
            rows = torch.cat([rows, said, ranked[image, at]], 1)
            return torch.cat([rows, nothing[(~kept.any()).expand(images)]])[None, None]

    def _nothing(self, conf: Tensor) -> Tensor:
        images = conf.shape[0]
        at = torch.arange(images, device=conf.device) * SSD_ROW
        flat = conf.new_full((images * self.row,), -1).index_copy(0, at, ramp(conf, images))
        return flat.view(images, self.row)

    def onnx(self, op: Op, loc: str, conf: str, prior: str, *more: str) -> Values:
        if self.looks_at_none:
            return op.Unsqueeze(self._emit_rows_of_nothing(op, conf)[0], op.ints(0, 1))
        boxes, variances = emit_priors(op, prior, encoded=self.variance_encoded_in_target)
        scores = op.Reshape(conf, op.ints(0, -1, self.num_classes))
        states = op.Reshape(more[0], op.ints(0, -1, self.num_states))
        codes = op.Reshape(loc, op.ints(0, -1, 1, 4))
        boxes = op.Squeeze(self.emit_decoded(op, boxes, variances, codes), op.ints(2))
        sizes = op.Shape(scores)
        priors = op.Gather(sizes, op.ints(1), axis=0)
        every = op.Transpose(scores, perm=[0, 2, 1])
        if self.label_count < self.num_classes:
            every = op.Gather(every, op.ints(*self.labels), axis=1)
        every = op.Reshape(every, op.ints(0, -1))
        whole = op.Mul(priors, op.ints(self.label_count))
        count = op.Min(whole, op.ints(self.top_k)) if self.top_k >= 0 else whole
        every, order = op.TopK(every, count, axis=1)
        label = op.Div(order, priors)
        own = op.Unsqueeze(op.Sub(order, op.Mul(label, priors)), op.ints(2))
        ranked = op.GatherND(boxes, own, batch_dims=1)
        said = op.GatherND(states, own, batch_dims=1)
        limits = (ranked, every, self.confidence_threshold, self.nms_threshold)
        if self.eta < 1 and self.nms_threshold > LEAST_ADAPTED:
            kept = emit_adaptive(op, *limits, self.eta)
        else:
            kept = emit_suppress(op, *limits, count)
        if self.keep_top_k >= 0:
            before = op.CumSum(kept, op.const(np.array(1)))
            few = op.to_float(op.LessOrEqual(before, op.scalar(self.keep_top_k)))
            kept = op.Mul(kept, few)
        at = op.Transpose(op.NonZero(op.to_bool(kept)), perm=[1, 0])
        place = op.Unsqueeze(op.GatherND(label, at), op.ints(1))
        image = op.Slice(at, op.ints(0), op.ints(1), op.ints(1))
        # TopK keeps the order of equal keys, as a stable sort does.
        key = op.Neg(op.Add(op.Mul(image, op.ints(self.label_count)), place))
        key = op.Reshape(op.to_float(key), op.ints(-1))
        _, by_label = op.TopK(key, op.Shape(key), axis=0)
        at, image, place = (op.Gather(part, by_label, axis=0) for part in (at, image, place))
        named = op.to_float(op.Gather(op.ints(*self.labels), place))
        score = op.Unsqueeze(op.GatherND(every, at), op.ints(1))
        rows = op.Concat(
            op.to_float(image), named, score, op.GatherND(said, at), op.GatherND(ranked, at), axis=1
        )
        nothing, images = self._emit_rows_of_nothing(op, conf)
        none = op.Equal(op.Gather(op.Shape(rows), op.ints(0), axis=0), op.ints(0))
        end = op.Where(none, images, op.ints(0))
        rows = op.Concat(rows, op.Slice(nothing, op.ints(0), end, op.ints(0)), axis=0)
        return op.Unsqueeze(rows, op.ints(0, 1))

    def _emit_rows_of_nothing(self, op: Op, conf: str) -> tuple[str, str]:
        """Return what `_nothing` does, and the number of images."""
        images = op.Gather(op.Shape(conf), op.ints(0), axis=0)
        first, last = (op.const(np.array(value, np.int64)) for value in (0, 1))
        index = op.Range(first, op.Squeeze(images, op.ints(0)), last)
        flat = op.Expand(op.scalar(-1), op.Mul(images, op.ints(self.row)))
        at = op.Unsqueeze(op.Mul(index, op.ints(SSD_ROW)), op.ints(1))
        flat = op.ScatterND(flat, at, op.to_float(index))
        return op.Reshape(flat, op.ints(-1, self.row)), images
