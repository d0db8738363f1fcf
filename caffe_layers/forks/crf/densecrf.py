"""DenseCRF, from DeepLab."""

from __future__ import annotations

from math import log

import numpy as np
import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import FLT_MIN, float32
from caffe_layers.base.op import Op
from caffe_layers.base.shape import Shape
from prototxt.errors import UnsupportedError

from .lattice_onnx import EmittedLattice, emit_lattice, require_adding
from .permutohedral import Lattice, colours, lattice_of, positions

EXP = (
    0.9999999995,
    0.4999999206,
    0.1666653019,
    0.0416573475,
    0.0083013598,
    0.0013298820,
    0.0001413161,
)
"""Coefficients of exp(-t), 0 to ln 2, with signs in turn (Abramowitz and Stegun, 4.2.45)."""


class DenseCRF(Layer, type="DenseCRF", fork="deeplab", param="dense_crf_param", bottoms=(2, 3)):
    """Mean-field inference of a fully connected random field, with Potts' compatibility.

    Bottoms: scores N x C x H x W; each image's own height and width, N x ... of 2 values or more;
    the image, N x 3 x H x W. Where the scores are larger than the image, the field is over its
    upper left corner of that size, and the rest of the top is 0. The labels' probabilities begin
    as the scores' softmax. `max_iter` times they are the softmax of the scores, plus `pos_w` times
    their mean over places near by (a Gaussian of deviation `pos_xy_std`), plus `bi_w` times that
    over places near by and of like colour (`bi_xy_std`, `bi_rgb_std`), each such field repeated.
    Means are those of the permutohedral lattice. The top, N x C x H x W, are the probabilities, or
    their logarithms with `output_probability: false`. There is no gradient.

    The exponential is Caffe's: 0 below -20, and a polynomial squared. Caffe computes in float32
    throughout; here only the lattice is in float32, and what goes through it in the blobs' type.
    DeepLab's first version takes the scores' softmax first, which comes to the same. Without an
    image there are no means by colour.

    Errors: ShapeError for weights without as many deviations, bottoms that do not fit, an image
    without `bi_w`, and a height or width beyond the scores', which an ONNX file cuts to these;
    UnsupportedError on writing ONNX of free sizes, or below opset 16.
    Caffe: hszhao/PSPNet, src/caffe/layers/densecrf_layer.cpp, src/caffe/util/densecrf_pairwise.cpp
    """

    fixed_bottoms = (0, 1, 2)

    def __init__(
        self,
        *,
        max_iter: int = 10,
        pos_xy_std: tuple[float, ...] = (),
        pos_w: tuple[float, ...] = (),
        bi_xy_std: tuple[float, ...] = (),
        bi_rgb_std: tuple[float, ...] = (),
        bi_w: tuple[float, ...] = (),
        output_probability: bool = True,
    ) -> None:
        super().__init__()
        for name, values, weights in (
            ("pos_xy_std", pos_xy_std, pos_w),
            ("bi_xy_std", bi_xy_std, bi_w),
            ("bi_rgb_std", bi_rgb_std, bi_w),
        ):
            counts = f"{len(values)} {name} for {len(weights)} weights"
            require(len(values) == len(weights), f"there are {counts}, wants as many")
            require(all(value > 0 for value in values), f"{name} {values} wants more than 0")
        self.max_iter, self.output_probability = max_iter, output_probability
        self.near = tuple(zip(pos_w, pos_xy_std, strict=True))
        self.alike = tuple(zip(bi_w, bi_xy_std, bi_rgb_std, strict=True))

    def shapes(self, scores: Shape, sizes: Shape, image: Shape | None = None) -> list[Shape]:
        require(len(scores) == 4, f"the scores {scores} have {len(scores)} axes, wants 4")
        require(
            len(sizes) > 1 and sizes[0] == scores[0] and torch.Size(sizes[1:]).numel() > 1,
            f"the sizes {sizes} are not two for each of {scores[0]} images",
        )
        if image is not None:
            wants = (scores[0], 3, *scores[2:])
            require(image == wants, f"the image is {image}, wants {wants}")
            require(bool(self.alike), "there is an image, and no bi_w")
        return [scores]

    def forward(self, scores: Tensor, sizes: Tensor, image: Tensor | None = None) -> Tensor:
        top = torch.zeros_like(scores)
        for n, (height, width) in enumerate(self.regions(scores, sizes)):
            given = scores[n, :, :height, :width].detach()
            lattices = [
                (weight, lattice_of(positions(height, width, place, scores)))
                for weight, place in self.near
            ]
            if image is not None:
                seen = image[n, :, :height, :width]
                for weight, place, colour in self.alike:
                    where = positions(height, width, place, scores)
                    features = torch.cat([where, colours(seen, colour)], dim=1)
                    lattices.append((weight, lattice_of(features)))
            found = self.inferred(given.flatten(1), lattices)
            top[n, :, :height, :width] = found.reshape(given.shape)
        return top

    def regions(self, scores: Tensor, sizes: Tensor) -> list[tuple[int, int]]:
        """Return the height and width of each image's field."""
        most = tuple(scores.shape[2:])
        regions = []
        for row in sizes.detach().flatten(1)[:, :2].tolist():
            height, width = (int(value) for value in row)
            if height >= most[0] and width >= most[1]:
                height, width = most
            require(
                0 < height <= most[0] and 0 < width <= most[1],
                f"an image is {height} x {width}, and the scores are {most[0]} x {most[1]}",
            )
            regions.append((height, width))
        return regions

    def inferred(self, scores: Tensor, lattices: list[tuple[float, Lattice]]) -> Tensor:
        """Return the labels' probabilities, or their logarithms, of scores C x P: C x P."""
        found = _probabilities(scores)
        for _ in range(self.max_iter):
            means = [weight * lattice.normalized(found) for weight, lattice in lattices]
            found = _probabilities(scores + sum(means))
        return found if self.output_probability else found.clamp(min=FLT_MIN).log()

    def onnx(self, op: Op, scores: str, sizes: str, *image: str) -> str:
        require_adding(op)
        if any(op.dynamic(scores)):
            raise UnsupportedError(
                "DenseCRF has a lattice for each image: it wants their number and size fixed",
                fix="export with no dynamic axes, or end at its first bottom (--end)",
            )
        images, channels, *most = op.shape(scores)
        flat = op.Slice(op.Reshape(sizes, op.ints(images, -1)), op.ints(0), op.ints(2), op.ints(1))
        whole = op.ints(*most)
        tops = []
        for n in range(images):
            said = op.to_int(op.Reshape(_one(op, flat, n), op.ints(2)))
            smaller = op.reduce("ReduceMax", op.cast(op.Less(said, whole), np.int64), (0,))
            region = op.Where(op.to_bool(smaller), op.Min(said, whole), whole)
            given, *seen = (
                _emit_region(op, _one(op, blob, n), region, count)
                for blob, count in zip((scores, *image), (channels, 3), strict=False)
            )
            found = self._emit_inferred(op, given, self._emit_lattices(op, region, *seen))
            rows = op.Concat(op.ints(1, channels), region, axis=0)
            field = op.Reshape(op.Transpose(found, perm=[1, 0]), rows)
            rest = op.Concat(op.ints(0, 0, 0, 0, 0, 0), op.Sub(whole, region), axis=0)
            padded = op.Pad(field, rest, mode="constant")
            tops.append(op.Reshape(padded, op.ints(1, channels, *most)))
        return op.Concat(*tops, axis=0) if len(tops) > 1 else op.Identity(tops[0])

    def _emit_lattices(self, op: Op, region: str, *seen: str) -> list[tuple[float, EmittedLattice]]:
        """Append the lattices over a region of 2 sizes, and of its colours, P x 3."""
        zero, one = (op.const(np.array(value)) for value in (0, 1))
        places = op.Range(zero, op.reduce("ReduceProd", region, (0,), keepdims=0), one)
        width = op.Gather(region, one)
        across, down = op.Mod(places, width), op.Div(places, width)
        where = op.to_float(
            op.Concat(*(op.Unsqueeze(v, op.ints(1)) for v in (across, down)), axis=1)
        )
        found = [
            (weight, emit_lattice(op, op.Div(where, op.scalar(float32(place))), 2))
            for weight, place in self.near
        ]
        for colours_of in seen:
            for weight, place, colour in self.alike:
                near = op.Div(where, op.scalar(float32(place)))
                alike = op.Div(colours_of, op.scalar(float32(colour)))
                found.append((weight, emit_lattice(op, op.Concat(near, alike, axis=1), 5)))
        return found

    def _emit_inferred(
        self, op: Op, scores: str, lattices: list[tuple[float, EmittedLattice]]
    ) -> str:
        """Append what `inferred` does with scores P x C: P x C."""
        ones = [lattice.of_ones(op) for _, lattice in lattices]
        found = _emit_probabilities(op, scores)
        for _ in range(self.max_iter):
            total = scores
            for (weight, lattice), one in zip(lattices, ones, strict=True):
                mean = lattice.normalized(op, found, one)
                total = op.Add(total, op.Mul(mean, op.scalar(float32(weight))))
            found = _emit_probabilities(op, total)
        return found if self.output_probability else op.Log(op.Max(found, op.scalar(FLT_MIN)))


def _one(op: Op, x: str, image: int) -> str:
    return op.Slice(x, op.ints(image), op.ints(image + 1), op.ints(0))


def _emit_region(op: Op, x: str, region: str, channels: int) -> str:
    """Append the upper left corner of 1 x C x H x W, of the region's sizes, as P x C."""
    corner = op.Slice(x, op.ints(0, 0), region, op.ints(2, 3))
    return op.Transpose(op.Reshape(corner, op.ints(channels, -1)), perm=[1, 0])


def _emit_probabilities(op: Op, scores: str) -> str:
    """Append what `_probabilities` does, over axis 1."""
    away = op.Sub(op.reduce("ReduceMax", scores, (1,), keepdims=1), scores)
    halved = op.Div(op.Log(op.Div(away, op.scalar(0.69))), op.scalar(log(2)))
    times = op.Pow(op.scalar(2), op.Max(op.Ceil(halved), op.scalar(0)))
    t = op.Div(away, times)
    value = op.Mul(t, op.scalar(EXP[-1]))
    for factor in EXP[-2::-1]:
        value = op.Mul(t, op.Sub(op.scalar(factor), value))
    grown = op.Pow(op.Sub(op.scalar(1), value), times)
    grown = op.Where(op.Greater(away, op.scalar(20)), op.scalar(0), grown)
    return op.Div(grown, op.reduce("ReduceSum", grown, (1,), keepdims=1))


def _probabilities(scores: Tensor) -> Tensor:
    """Return the softmax over axis 0, of Caffe's exponential."""
    away = scores.amax(0) - scores
    halved = (away / 0.69).log2().ceil().clamp(min=0)
    t = away / 2**halved
    value = torch.zeros_like(t)
    for factor in reversed(EXP):
        value = t * (factor - value)
    grown = torch.where(away > 20, 0, (1 - value) ** (2**halved))
    return grown / grown.sum(0)
