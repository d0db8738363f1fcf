"""The layer table of a network: shapes, parameters, multiply-adds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from torch import Tensor, nn

from caffe_layers import Layer, Shape
from converter.text import format_shape, format_table

from .net import CaffeNet

UNKNOWN = "?"
"""How a table has a shape that is not known."""


@dataclass(frozen=True)
class LayerRow:
    """One layer: its tops' shapes, its numbers, and its multiply-adds (see Summary).

    A top's shape is None, and its numbers are 0, where that is not known.
    """

    name: str
    type: str
    tops: dict[str, Shape | None]
    learnable: int
    values: int
    multiply_adds: float
    dialect: str = ""


@dataclass(frozen=True)
class Summary:
    """A network's layers and totals; blobs that layers share count once.

    Multiply-adds are one sample's, but for recurrent networks: there axis 0 is time, and they are
    those of a whole pass. Of what is not known there is nothing in the totals.
    """

    name: str
    inputs: dict[str, Shape]
    rows: list[LayerRow] = field(default_factory=list)
    learnable: int = 0
    values: int = 0
    per: str = "sample"

    @property
    def multiply_adds(self) -> float:
        """Multiply-adds: products of weights with values, bias additions left out."""
        return sum(row.multiply_adds for row in self.rows)


@dataclass(frozen=True)
class Row:
    """One layer as a table needs it: `layer` is None where it could not be built."""

    name: str
    type: str
    layer: Layer | None
    bottoms: Sequence[Shape]
    tops: dict[str, Shape | None]


def summarize(net: CaffeNet) -> Summary:
    """Return the table of a network at the input shapes that it was loaded with."""
    shapes = net.shapes()
    rows = [
        Row(
            step.key,
            step.cls.caffe_type,
            net.layers[step.key],
            [shapes[name] for name in step.bottoms],
            {blob: shapes[top] for blob, top in zip(step.blobs, step.tops, strict=True)},
        )
        for step in net.steps
    ]
    return summary_of(net.name, net.input_shapes, rows)


def summary_of(name: str, inputs: Mapping[str, Shape], rows: Sequence[Row]) -> Summary:
    """Return the table of layers, at shapes of the inputs."""
    built = [row.layer for row in rows if row.layer is not None]
    per = "pass" if any(layer.time_first for layer in built) else "sample"
    first: Shape = next((shape for shape in inputs.values() if shape), ())
    batch = first[0] if first and first[0] and per == "sample" else 1
    blobs = {id(blob): blob for layer in built for blob in layer.blobs}
    lines = [_line(row, batch) for row in rows]
    return Summary(name, dict(inputs), lines, *_sizes(blobs.values()), per)


def _line(row: Row, batch: int) -> LayerRow:
    if row.layer is None:
        return LayerRow(row.name, row.type, row.tops, 0, 0, 0)
    known = [shape for shape in row.tops.values() if shape is not None]
    work = row.layer.multiply_adds(list(row.bottoms), known) / batch
    return LayerRow(row.name, row.type, row.tops, *_sizes(row.layer.blobs), work)


def _sizes(blobs: Iterable[Tensor]) -> tuple[int, int]:
    """Return how many values blobs have: those that learn, and all."""
    sizes = [(prod(blob.shape), isinstance(blob, nn.Parameter)) for blob in blobs]
    return sum(size for size, learns in sizes if learns), sum(size for size, _ in sizes)


def format_summary(summary: Summary) -> str:
    """Return the table as text, totals below it; a shape that is not known is `?`."""
    header = ("layer", "type", "top", "shape", "parameters", "multiply-adds")
    lines = [header]
    for row in summary.rows:
        cells: list[tuple[str, Shape | None]] = list(row.tops.items()) or [("", ())]
        for index, (top, shape) in enumerate(cells):
            first = index == 0
            lines.append(
                (
                    row.name if first else "",
                    row.type if first else "",
                    top,
                    UNKNOWN if shape is None else format_shape(shape),
                    f"{row.values:,}" if first and row.values else "",
                    f"{row.multiply_adds:,.0f}" if first and row.multiply_adds else "",
                )
            )
    return "\n".join([format_table(lines, right=(4, 5)), "", format_totals(summary)])


def format_totals(summary: Summary) -> str:
    """Return the totals: learnable parameters, all blob values, multiply-adds."""
    inputs = ", ".join(f"{name} {format_shape(shape)}" for name, shape in summary.inputs.items())
    lost = sum(None in row.tops.values() for row in summary.rows)
    unknown = f", {lost} of them not known" if lost else ""
    return (
        f"{summary.name or 'network'} at {inputs or 'no input'}: {len(summary.rows)} layers"
        f"{unknown}, "
        f"{count(summary.learnable)} learnable parameters ({count(summary.values)} blob values), "
        f"{count(summary.multiply_adds)} multiply-adds a {summary.per}"
    )


def count(number: float) -> str:
    """Return a number with two decimals and its unit: 27.48 M, 4.46 G."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.2f} {unit}"
    return f"{number:.0f}"
