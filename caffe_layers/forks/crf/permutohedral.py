"""The permutohedral lattice, which both random fields filter by."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.number import float32

BLOCK = 4
"""Points that Caffe takes at once (SSE). What lacks for a whole block are points of zeros."""

LARGEST = 32767
"""Caffe keeps vertices' coordinates in 16 bits."""

CODES = 2.0**62
"""So many vertices the codes tell apart."""


@dataclass(frozen=True)
class Lattice:
    """N points of d features among the M vertices around them, which a Gaussian filter goes by."""

    vertex: Tensor
    """The d + 1 vertices around each point, N x (d + 1)."""
    share: Tensor
    """Their barycentric weights, float32, N x (d + 1)."""
    before: Tensor
    """Each vertex's neighbour in each of the d + 1 directions, (d + 1) x (M + 1); M for none."""
    after: Tensor
    """Alike, the other way."""

    def filtered(self, x: Tensor) -> Tensor:
        """Return x, K x N, blurred over the points: K x N.

        A point's values go to its vertices by their shares. In one direction after the other each
        vertex gets half of what its two neighbours hold; those that no point made hold nothing.
        What comes back by the shares is divided by `1 + 2^-d`.
        """
        count, rank = self.vertex.shape
        share = self.share.to(x.dtype)
        held = x.new_zeros(self.before.shape[1], x.shape[0])
        for corner in range(rank):
            held = held.index_add(0, self.vertex[:, corner], x.t() * share[:, corner, None])
        for before, after in zip(self.before, self.after, strict=True):
            held = held + 0.5 * (held[before] + held[after])
        scale = float32(1 / (1 + 2.0 ** (1 - rank)))
        top = x.new_zeros(count, x.shape[0])
        for corner in range(rank):
            top = top + share[:, corner, None] * held[self.vertex[:, corner]] * scale
        return top.t()

    def normalized(self, x: Tensor) -> Tensor:
        """Return what `filtered` does, over what it makes of ones."""
        ones = self.filtered(x.new_ones(1, x.shape[1]))
        return self.filtered(x) / (ones + 1e-20)


def lattice_of(features: Tensor) -> Lattice:
    """Return the lattice of N points, given by d features each: N x d, of float32.

    Features are in units of their standard deviations. They are lifted onto the plane of d + 1
    coordinates whose sum is 0; the nearest vertex all of whose coordinates are multiples of d + 1,
    and the order of what is left of the coordinates, name the simplex that a point lies in. All of
    it is done in float32 and in Caffe's order, since roundings decide between simplices, and
    with them which vertices there are. In Caffe so it is on processors with SSE.

    Raises ShapeError for features that are no numbers, or too large for Caffe's 16 bits.
    Caffe: hszhao/PSPNet, src/caffe/util/permutohedral.cpp; torrvision/caffe,
    src/caffe/util/modified_permutohedral.cpp
    """
    count, size = features.shape
    rank = size + 1
    points = torch.cat([features, features.new_zeros(-count % BLOCK, size)])
    lifted = _lifted(points)
    most = float(lifted.abs().amax())
    require(
        most < LARGEST - rank,
        f"positions or colours are up to {most:.4g} in units of the lattice, "
        f"wants less than {LARGEST - rank}, which Caffe's keys hold",
        fix="are the deviations (theta, std) those of this image's values?",
    )
    down = float(np.float32(1) / np.float32(rank))
    whole = (lifted * down).round()
    base = whole * rank
    left = lifted - base
    less = left[:, :, None] < left[:, None, :]
    order = less.triu(1).sum(2) + (~less).triu(1).sum(1) + whole.sum(1, keepdim=True).long()
    turn = rank * ((order < 0).long() - (order >= rank).long())
    order, base = order + turn, base + turn
    away = (lifted - base) * down
    sorted_ = torch.zeros_like(away).scatter(1, size - order, away)
    share = torch.cat(
        [sorted_[:, :1] + (1 - sorted_[:, -1:]), sorted_[:, 1:] - sorted_[:, :-1]], dim=1
    )
    corner = torch.arange(rank, device=features.device)
    # Vertex r adds r to each coordinate, less d + 1 where fewer than r are larger.
    steps = corner[:, None] - rank * (order[:, None, :] > size - corner[:, None])
    keys = (base.long()[:, None, :] + steps)[..., :size]
    vertex, before, after = _neighbours(keys)
    return Lattice(vertex[:count], share[:count], before, after)


def _lifted(points: Tensor) -> Tensor:
    """Return points of d features as d + 1 coordinates whose sum is 0."""
    size = points.shape[1]
    deviation = float32(sqrt(2.0 / 3.0) * (size + 1))
    total = points.new_zeros(len(points))
    columns: list[Tensor] = []
    for at in range(size, 0, -1):
        scaled = points[:, at - 1] * float32(1.0 / sqrt((at + 1) * at) * deviation)
        columns.insert(0, total - at * scaled)
        total = total + scaled
    return torch.stack([total, *columns], dim=1)


def _neighbours(keys: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return numbers of the vertices at N x (d + 1) x d coordinates, and their neighbours.

    A neighbour in direction j has 1 less in every coordinate and d more in the j-th, or the
    reverse; the last coordinate is not kept, since all sum up to 0.
    """
    size = keys.shape[2]
    flat = keys.reshape(-1, size)
    least = flat.amin(0)
    spans = [int(span) + 2 * size + 2 for span in flat.amax(0) - least]
    weights = [1]
    for span in spans:
        weights.append(weights[-1] * span)
    require(
        weights[-1] < CODES,
        f"the image's colours spread over {weights[-1]:.3g} places, more than are told apart",
        fix="are the deviations (theta, std) those of this image's values?",
    )
    weight = keys.new_tensor(weights[:-1])
    codes, vertex = torch.unique(((flat - least) * weight).sum(1), return_inverse=True)
    direction = (size + 1) * torch.cat([weight, weight.new_zeros(1)]) - weight.sum()
    found = []
    for sign in (1, -1):
        wanted = codes + sign * direction[:, None]
        at = torch.searchsorted(codes, wanted).clamp(max=len(codes) - 1)
        at = torch.where(codes[at] == wanted, at, len(codes))
        found.append(torch.nn.functional.pad(at, (0, 1), value=len(codes)))
    return vertex.reshape(keys.shape[:2]), found[0], found[1]


def positions(height: int, width: int, deviation: float, like: Tensor) -> Tensor:
    """Return the features of an image's places, column and row: float32, H W x 2."""
    down, across = torch.meshgrid(
        torch.arange(height, device=like.device),
        torch.arange(width, device=like.device),
        indexing="ij",
    )
    places = torch.stack([across, down], dim=-1).reshape(-1, 2).float()
    return places / places.new_tensor(deviation)


def colours(image: Tensor, deviation: float) -> Tensor:
    """Return the features of an image's values, 3 x H x W: float32, H W x 3."""
    return (image.detach().flatten(1).t() / image.new_tensor(float32(deviation))).float()
