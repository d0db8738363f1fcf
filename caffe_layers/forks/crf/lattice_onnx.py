"""The permutohedral lattice in ONNX: as large as an image's colours ask when the model runs."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from caffe_layers.base.number import float32
from caffe_layers.base.op import Op
from prototxt.errors import UnsupportedError

from .permutohedral import BLOCK, Lattice

ADDS = 16
"""Since this opset values that go to one place can be added up."""


@dataclass(frozen=True)
class EmittedLattice:
    """The values of `Lattice`, by the names of what holds them."""

    vertex: str
    """N x (d + 1)."""
    share: str
    before: str
    """(d + 1) x (M + 1)."""
    after: str
    rank: int
    """d + 1."""

    def filtered(self, op: Op, x: str) -> str:
        """Append what `Lattice.filtered` does to x, N x K: N x K."""
        rank = self.rank
        width = op.Slice(op.Shape(x), op.ints(1), op.ints(2))
        vertices = op.Slice(op.Shape(self.before), op.ints(1), op.ints(2))
        spread = op.Mul(op.Unsqueeze(x, op.ints(1)), op.Unsqueeze(self.share, op.ints(2)))
        rows = op.Concat(op.ints(-1), width, axis=0)
        to = op.Unsqueeze(op.Reshape(self.vertex, op.ints(-1)), op.ints(1))
        to = op.Expand(to, op.Concat(op.ints(1), width, axis=0))
        none = op.Expand(op.scalar(0), op.Concat(vertices, width, axis=0))
        held = op.ScatterElements(none, to, op.Reshape(spread, rows), axis=0, reduction="add")
        half = op.scalar(0.5)
        for direction in range(rank):
            at = op.const(np.array(direction))
            before, after = (op.Gather(held, op.Gather(n, at)) for n in (self.before, self.after))
            held = op.Add(held, op.Mul(half, op.Add(before, after)))
        scale = op.scalar(float32(1 / (1 + 2.0 ** (1 - rank))))
        back = op.Mul(op.Gather(held, self.vertex), op.Unsqueeze(self.share, op.ints(2)))
        return op.Mul(op.reduce("ReduceSum", back, (1,), keepdims=0), scale)

    def normalized(self, op: Op, x: str, ones: str) -> str:
        """Append what `Lattice.normalized` does to x, `ones` being what it filters ones to."""
        return op.Div(self.filtered(op, x), op.Add(ones, op.scalar(1e-20)))

    def of_ones(self, op: Op) -> str:
        """Append the filter of ones, N x 1."""
        count = op.Slice(op.Shape(self.vertex), op.ints(0), op.ints(1))
        return self.filtered(op, op.Expand(op.scalar(1), op.Concat(count, op.ints(1), axis=0)))


def constant_lattice(op: Op, lattice: Lattice) -> EmittedLattice:
    """Append a lattice that is known."""
    vertex, before, after = (
        op.const(held.cpu().numpy()) for held in (lattice.vertex, lattice.before, lattice.after)
    )
    share = op.const(lattice.share.cpu().numpy().astype(op.float_type))
    return EmittedLattice(vertex, share, before, after, lattice.vertex.shape[1])


def require_adding(op: Op) -> None:
    """Raise UnsupportedError below the opset that adds up."""
    if op.opset < ADDS:
        raise UnsupportedError(
            f"a permutohedral lattice wants opset {ADDS}, this is {op.opset}",
            fix=f"--opset {ADDS}, or end before the random field (--end)",
        )


def emit_lattice(op: Op, features: str, size: int) -> EmittedLattice:
    """Append what `lattice_of` does with N points of `size` features each, N x `size`."""
    rank = size + 1
    count = op.Slice(op.Shape(features), op.ints(0), op.ints(1))
    lacking = op.Mod(op.Neg(count), op.ints(BLOCK))
    zeros = op.Expand(op.scalar(0), op.Concat(lacking, op.ints(size), axis=0))
    points = op.Concat(features, zeros, axis=0)
    lifted = _emit_lifted(op, points, size)
    down = op.scalar(float(np.float32(1) / np.float32(rank)))
    whole = op.Round(op.Mul(lifted, down))
    base = op.Mul(whole, op.scalar(rank))
    left = op.Sub(lifted, base)
    less = op.cast(
        op.Less(op.Unsqueeze(left, op.ints(2)), op.Unsqueeze(left, op.ints(1))), np.int64
    )
    above = op.const(np.triu(np.ones((rank, rank), np.int64), 1))
    order = op.Add(
        op.reduce("ReduceSum", op.Mul(less, above), (2,), keepdims=0),
        op.reduce("ReduceSum", op.Mul(op.Sub(op.ints(1), less), above), (1,), keepdims=0),
    )
    order = op.Add(order, op.to_int(op.reduce("ReduceSum", whole, (1,), keepdims=1)))
    low, high = op.Less(order, op.ints(0)), op.Less(op.ints(size), order)
    turn = op.Sub(op.cast(low, np.int64), op.cast(high, np.int64))
    turn = op.Mul(turn, op.ints(rank))
    order, base = op.Add(order, turn), op.Add(base, op.to_float(turn))
    away = op.Mul(op.Sub(lifted, base), down)
    place = op.Sub(op.ints(size), order)
    ranked = op.ScatterElements(op.Mul(away, op.scalar(0)), place, away, axis=1)
    first, last = (_columns(op, ranked, start, start + 1) for start in (0, size))
    share = op.Concat(
        op.Add(first, op.Sub(op.scalar(1), last)),
        op.Sub(_columns(op, ranked, 1, rank), _columns(op, ranked, 0, size)),
        axis=1,
    )
    corner = np.arange(rank)[:, None]
    over = op.Less(op.const(size - corner), op.Unsqueeze(order, op.ints(1)))
    steps = op.Sub(op.const(corner), op.Mul(op.cast(over, np.int64), op.ints(rank)))
    keys = op.Add(op.Unsqueeze(op.to_int(base), op.ints(1)), steps)
    flat = op.Reshape(op.Slice(keys, op.ints(0), op.ints(size), op.ints(2)), op.ints(-1, size))
    vertex, before, after = _emit_neighbours(op, flat, size)
    own = op.Slice(op.Reshape(vertex, op.ints(-1, rank)), op.ints(0), count)
    return EmittedLattice(own, op.Slice(share, op.ints(0), count), before, after, rank)


def _columns(op: Op, x: str, start: int, end: int) -> str:
    return op.Slice(x, op.ints(start), op.ints(end), op.ints(1))


def _emit_lifted(op: Op, points: str, size: int) -> str:
    """Append the coordinates of N x d points, N x (d + 1), in Caffe's order of sums."""
    deviation = float32(sqrt(2.0 / 3.0) * (size + 1))
    total = op.Mul(_columns(op, points, 0, 1), op.scalar(0))
    columns: list[str] = []
    for at in range(size, 0, -1):
        factor = op.scalar(float32(1.0 / sqrt((at + 1) * at) * deviation))
        scaled = op.Mul(_columns(op, points, at - 1, at), factor)
        columns.insert(0, op.Sub(total, op.Mul(scaled, op.scalar(at))))
        total = op.Add(total, scaled)
    return op.Concat(total, *columns, axis=1)


def _emit_neighbours(op: Op, flat: str, size: int) -> tuple[str, str, str]:
    """Append the vertices' numbers at E x d coordinates, E, and their neighbours.

    Numbers and neighbours are those of `permutohedral`, found by sorting in place of searching: the
    neighbours' codes beside the vertices' own, of which equal ones have one place.
    """
    rank = size + 1
    least = op.reduce("ReduceMin", flat, (0,), keepdims=0)
    spans = op.Sub(op.reduce("ReduceMax", flat, (0,), keepdims=0), least)
    spans = op.Add(spans, op.ints(2 * size + 2))
    weights = [op.ints(1)]
    for at in range(size - 1):
        weights.append(op.Mul(weights[-1], op.Slice(spans, op.ints(at), op.ints(at + 1))))
    weight = op.Concat(*weights, axis=0) if size > 1 else weights[0]
    of_points = op.reduce("ReduceSum", op.Mul(op.Sub(flat, least), weight), (1,), keepdims=0)
    codes, _, vertex, _ = op.Unique(of_points, sorted=1, outputs=4)
    count = op.Shape(codes)
    whole = op.reduce("ReduceSum", weight, (0,), keepdims=1)
    direction = op.Sub(op.Mul(op.Concat(weight, op.ints(0), axis=0), op.ints(rank)), whole)
    direction = op.Concat(direction, op.Neg(direction), axis=0)
    wanted = op.Add(codes, op.Unsqueeze(direction, op.ints(1)))
    both = op.Concat(codes, op.Reshape(wanted, op.ints(-1)), axis=0)
    every, _, place, _ = op.Unique(both, sorted=1, outputs=4)
    none = op.Expand(count, op.Shape(every))
    own = op.Slice(place, op.ints(0), count)
    numbers = op.Range(op.const(np.array(0)), op.Squeeze(count, op.ints(0)), op.const(np.array(1)))
    numbers = op.ScatterElements(none, own, numbers, axis=0)
    end = op.const(np.array([np.iinfo(np.int64).max]))
    found = op.Gather(numbers, op.Slice(place, count, end))
    found = op.Reshape(found, op.Concat(op.ints(2, rank), count, axis=0))
    found = op.Concat(found, op.Expand(count, op.ints(2, rank, 1)), axis=2)
    before, after = (op.Gather(found, op.const(np.array(at))) for at in (0, 1))
    return vertex, before, after
