"""MultiStageMeanfield, from CRF-RNN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError, UnsupportedError

from .lattice_onnx import constant_lattice, emit_lattice, require_adding
from .permutohedral import Lattice, colours, lattice_of, positions


@dataclass(frozen=True)
class Diagonal(Filler):
    """A C x C matrix, 0 beside its diagonal: the numbers of a file, or `value` where there is none.

    Without a file where one should be it is not known, as a fork's filler: weights take its place,
    and a training is refused.
    """

    file: str = ""

    @property
    def is_known(self) -> bool:
        return not self.file or Path(self.file).is_file()

    def check(self, shape: tuple[int, ...]) -> None:
        pass

    @torch.no_grad()
    def fill(self, blob: Tensor, generator: torch.Generator | None = None) -> None:
        size = blob.shape[-1]
        values = [self.value] * size
        if self.file and self.is_known:
            try:
                values = [float(word) for word in Path(self.file).read_text("utf-8").split()]
            except (OSError, ValueError) as error:
                raise ShapeError(f"{self.file} does not read as numbers: {error}") from None
            require(len(values) >= size, f"{self.file} has {len(values)} numbers, wants {size}")
        blob.zero_().view(size, size).diagonal().copy_(blob.new_tensor(values[:size]))


def _of_file(name: str, value: float) -> Diagonal:
    return Diagonal(f"{name}, a file in the working directory", value, file=name)


class MultiStageMeanfield(
    Layer,
    type="MultiStageMeanfield",
    fork="documents",
    param="multi_stage_meanfield_param",
    bottoms=3,
):
    """Mean-field inference of a fully connected random field, as the recurrent part of CRF-RNN.

    Bottoms: unary scores N x C x H x W, scores to begin with of that shape, the image N x 3 x H x
    W. `num_iterations` times the scores are the unary ones less `compatibility` times (`spatial`
    times A + `bilateral` times B), C x C matrices each; A is the mean of the scores' softmax over
    places near by (a Gaussian of deviation `theta_gamma`), B that over places near by and of like
    colour (`theta_alpha`, `theta_beta`). Means are those of the permutohedral lattice. The top are
    scores, N x C x H x W, of no softmax. The blobs are the three matrices, 1 x 1 x C x C. All but
    the image has a gradient.

    First weights are the diagonals that the files `spatial.par` and `bilateral.par` of the working
    directory hold, and -1 on the diagonal of `compatibility`. Without these files only weights can
    tell, and `spatial_filter_weight` and `bilateral_filter_weight` stand there, which Caffe does
    not read, as it does not the message's other fields. What goes through the lattice is in the
    blobs' type, where Caffe has float32. Caffe keeps the spatial lattice of the first size; here
    it follows the bottoms'.

    Errors: ShapeError for bottoms that do not fit, deviations of 0, fewer than 2 iterations, and
    files of fewer numbers; UnsupportedError for a training without the files, and on writing ONNX
    of free sizes, or below opset 16.
    Caffe: torrvision/caffe and ctensmeyer/caffe, src/caffe/layers/multi_stage_meanfield.cpp,
    src/caffe/layers/meanfield_iteration.cpp
    """

    fixed_bottoms = (2,)

    def __init__(
        self,
        channels: int,
        *,
        theta_alpha: float = 10.0,
        theta_beta: float = 10.0,
        theta_gamma: float = 10.0,
        num_iterations: int = 1,
        spatial_filter_weight: float = 1.0,
        bilateral_filter_weight: float = 1.0,
    ) -> None:
        super().__init__()
        require(num_iterations > 1, f"num_iterations is {num_iterations}, wants 2 or more")
        thetas = (theta_alpha, theta_beta, theta_gamma)
        require(min(thetas) > 0, f"theta_alpha, _beta, _gamma are {thetas}, wants more than 0")
        self.channels, self.num_iterations = channels, num_iterations
        self.theta_alpha, self.theta_beta, self.theta_gamma = thetas
        shape = (1, 1, channels, channels)
        self.add_blob("spatial", shape, _of_file("spatial.par", spatial_filter_weight))
        self.add_blob("bilateral", shape, _of_file("bilateral.par", bilateral_filter_weight))
        self.add_blob("compatibility", shape, Diagonal(value=-1.0))

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> MultiStageMeanfield:
        unary = bottoms[0]
        require(len(unary) == 4, f"the unary scores {unary} have {len(unary)} axes, wants 4")
        return cls(unary[1], **cls.fields(layer))

    def shapes(self, unary: Shape, start: Shape, image: Shape) -> list[Shape]:
        require(len(unary) == 4, f"the unary scores {unary} have {len(unary)} axes, wants 4")
        channels = self.channels
        require(unary[1] == channels, f"bottom {unary} has {unary[1]} channels, wants {channels}")
        require(start == unary, f"the scores to begin with are {start}, wants {unary}")
        wants = (unary[0], 3, *unary[2:])
        require(image == wants, f"the image is {image}, wants {wants}")
        return [unary]

    def forward(self, unary: Tensor, start: Tensor, image: Tensor) -> Tensor:
        height, width = unary.shape[2:]
        near = _grid(height, width, self.theta_gamma, unary.device)
        place = positions(height, width, self.theta_alpha, unary)
        alike = [
            lattice_of(torch.cat([place, colours(one, self.theta_beta)], dim=1)) for one in image
        ]
        size = (self.channels, self.channels)
        spatial, bilateral = self.spatial.view(size), self.bilateral.view(size)
        compatibility = self.compatibility.view(size)
        scores, given = start.flatten(2), unary.flatten(2)
        for _ in range(self.num_iterations):
            found = scores.softmax(1)
            message = spatial @ _each([near] * len(found), found)
            message = message + bilateral @ _each(alike, found)
            scores = given - compatibility @ message
        return scores.view(unary.shape)

    def onnx(self, op: Op, unary: str, start: str, image: str) -> str:
        require_adding(op)
        if any(op.dynamic(unary)):
            raise UnsupportedError(
                f"{self.caffe_type} has a lattice for each image, of its size: it wants both fixed",
                fix="export with no dynamic axes, or end at its first bottom (--end)",
            )
        height, width = op.shape(unary)[2:]
        near = _grid(height, width, self.theta_gamma, torch.device("cpu"))
        ones = near.filtered(torch.ones(1, height * width)).t().numpy().astype(op.float_type)
        grid, of_ones = constant_lattice(op, near), op.const(ones)
        place = positions(height, width, self.theta_alpha, torch.empty(0))
        where = op.const(place.numpy().astype(op.float_type))
        size = (self.channels, self.channels)
        spatial, bilateral, compatibility = (
            op.Transpose(op.weight(self, name, shape=size), perm=[1, 0]) for name in self.blob_names
        )
        tops = []
        for n in range(op.shape(unary)[0]):
            given, scores, seen = (_emit_rows(op, blob, n) for blob in (unary, start, image))
            colour = op.Div(seen, op.scalar(float32(self.theta_beta)))
            alike = emit_lattice(op, op.Concat(where, colour, axis=1), place.shape[1] + 3)
            alike_ones = alike.of_ones(op)
            for _ in range(self.num_iterations):
                found = op.Softmax(scores, axis=1)
                message = op.Add(
                    op.MatMul(grid.normalized(op, found, of_ones), spatial),
                    op.MatMul(alike.normalized(op, found, alike_ones), bilateral),
                )
                scores = op.Sub(given, op.MatMul(message, compatibility))
            columns = op.Transpose(scores, perm=[1, 0])
            tops.append(op.Reshape(columns, op.ints(1, self.channels, height, width)))
        return op.Concat(*tops, axis=0) if len(tops) > 1 else op.Identity(tops[0])


def _emit_rows(op: Op, x: str, image: int) -> str:
    """Append an image of N x C x H x W as H W x C."""
    own = op.Slice(x, op.ints(image), op.ints(image + 1), op.ints(0))
    return op.Transpose(op.Reshape(own, op.ints(op.shape(x)[1], -1)), perm=[1, 0])


def _each(lattices: Sequence[Lattice], found: Tensor) -> Tensor:
    """Return the means of N x C x P over each image's lattice."""
    pairs = zip(lattices, found, strict=True)
    return torch.stack([lattice.normalized(one) for lattice, one in pairs])


@lru_cache(maxsize=4)
def _grid(height: int, width: int, deviation: float, device: torch.device) -> Lattice:
    """Return the lattice of an image's places, which is the same for every image."""
    return lattice_of(positions(height, width, deviation, torch.empty(0, device=device)))
