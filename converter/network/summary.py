"""The layer table of a network: shapes, parameters, multiply-adds."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from torch import nn

from caffe_layers import Shape
from converter.text import format_shape, format_table

from .net import CaffeNet


@dataclass(frozen=True)
class LayerRow:
    """One layer: its tops' shapes, its numbers, and its multiply-adds (see Summary)."""

    name: str
    type: str
    tops: dict[str, Shape]
    learnable: int
    values: int
    multiply_adds: float
    dialect: str = ""


@dataclass(frozen=True)
class Summary:
    """A network's layers and totals; blobs that layers share count once.

    Multiply-adds are one sample's, but for recurrent networks: there axis 0 is time, and they are
    those of a whole pass.
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


def summarize(net: CaffeNet) -> Summary:
    """Return the table of a network at the input shapes that it was loaded with."""
    shapes = net.shapes()
    per = "pass" if any(step.cls.time_first for step in net.steps) else "sample"
    first: Shape = next((shape for shape in net.input_shapes.values() if shape), ())
    batch = first[0] if first and first[0] and per == "sample" else 1
    seen: set[int] = set()
    rows = []
    learnable_total = values_total = 0
    for step in net.steps:
        layer = net.layers[step.key]
        tops = {blob: shapes[top] for blob, top in zip(step.blobs, step.tops, strict=True)}
        bottoms = [shapes[name] for name in step.bottoms]
        learnable = values = 0
        for blob in layer.blobs:
            size = prod(blob.shape)
            values += size
            learnable += size if isinstance(blob, nn.Parameter) else 0
            if id(blob) not in seen:
                seen.add(id(blob))
                values_total += size
                learnable_total += size if isinstance(blob, nn.Parameter) else 0
        work = layer.multiply_adds(bottoms, list(tops.values())) / batch
        rows.append(LayerRow(step.key, step.cls.caffe_type, tops, learnable, values, work))
    return Summary(net.name, dict(net.input_shapes), rows, learnable_total, values_total, per)


def format_summary(summary: Summary) -> str:
    """Return the table as text, totals below it."""
    header = ("layer", "type", "top", "shape", "parameters", "multiply-adds")
    lines = [header]
    for row in summary.rows:
        cells = list(row.tops.items()) or [("", ())]
        for index, (top, shape) in enumerate(cells):
            first = index == 0
            lines.append(
                (
                    row.name if first else "",
                    row.type if first else "",
                    top,
                    format_shape(shape),
                    f"{row.values:,}" if first and row.values else "",
                    f"{row.multiply_adds:,.0f}" if first and row.multiply_adds else "",
                )
            )
    return "\n".join([format_table(lines, right=(4, 5)), "", format_totals(summary)])


def format_totals(summary: Summary) -> str:
    """Return the totals: learnable parameters, all blob values, multiply-adds."""
    inputs = ", ".join(f"{name} {format_shape(shape)}" for name, shape in summary.inputs.items())
    return (
        f"{summary.name or 'network'} at {inputs or 'no input'}: {len(summary.rows)} layers, "
        f"{count(summary.learnable)} learnable parameters ({count(summary.values)} blob values), "
        f"{count(summary.multiply_adds)} multiply-adds a {summary.per}"
    )


def count(number: float) -> str:
    """Return a number with two decimals and its unit: 27.48 M, 4.46 G."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.2f} {unit}"
    return f"{number:.0f}"
