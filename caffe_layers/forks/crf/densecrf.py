"""DenseCRF, from DeepLab."""

from __future__ import annotations

import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import FLT_MIN
from caffe_layers.base.op import Op
from caffe_layers.base.shape import Shape
from prototxt.errors import UnsupportedError

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
    without `bi_w`, and a height or width beyond the scores'; UnsupportedError on writing ONNX.
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

    def onnx(self, op: Op, *bottoms: str) -> str:
        raise UnsupportedError(
            "DenseCRF's lattice is as large as an image's colours ask: it has no ONNX form",
            fix="end at its first bottom (--end), and run the random field outside of the network",
        )


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
