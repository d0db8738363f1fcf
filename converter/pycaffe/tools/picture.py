"""A directed graph of labelled boxes as a picture: svg, png, pdf and what else Pillow writes, dot.

Neither Graphviz nor pydot is needed.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from converter.drawing.ranks import Item, Link, place

CHAR, LINE, PADDING, GAP, MARGIN = 6.6, 14.0, 7.0, 26.0, 12.0
FONT = 11
MOST_PIXELS = 60_000_000
"""What a raster has at most: a network of a thousand layers is drawn smaller."""


@dataclass(frozen=True)
class Node:
    """A box: its lines of text, its colour, and whether its corners are cut (a blob)."""

    lines: tuple[str, ...]
    colour: str
    is_blob: bool = False

    @property
    def size(self) -> tuple[float, float]:
        """Width and height."""
        longest = max(map(len, self.lines), default=0)
        return longest * CHAR + 2 * PADDING, len(self.lines) * LINE + 2 * PADDING


@dataclass
class Graph:
    """Boxes and arrows between them, which point forward in the order of the boxes."""

    name: str
    rankdir: str
    nodes: list[Node] = field(default_factory=list)
    edges: list[tuple[int, int, str]] = field(default_factory=list)

    def add(self, node: Node) -> int:
        """Add a box; return its number."""
        self.nodes.append(node)
        return len(self.nodes) - 1

    def create(self, format: str = "png") -> bytes:
        """Return the picture's bytes in a format."""
        if format in ("raw", "dot"):
            return self.to_string().encode()
        layout = _Layout(self)
        if format == "svg":
            return "\n".join(layout.svg()).encode()
        return layout.raster(format)

    def to_string(self) -> str:
        """Return the graph in Graphviz' language."""
        lines = [f'digraph "{self.name}" {{', f"  rankdir={self.rankdir};"]
        for number, node in enumerate(self.nodes):
            text = "\\n".join(node.lines).replace('"', "'")
            shape = "octagon" if node.is_blob else "record"
            lines.append(
                f'  n{number} [label="{text}", shape={shape}, style=filled, '
                f'fillcolor="{node.colour}"];'
            )
        lines += [f'  n{a} -> n{b} [label="{label}"];' for a, b, label in self.edges]
        return "\n".join([*lines, "}", ""])


Box = tuple[float, float, float, float]
"""Left, upper, right and lower edge."""


class _Layout:
    """Where everything of a graph stands."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.sideways = graph.rankdir in ("LR", "RL")
        self.boxes, self.width, self.height = self._placed()

    def _placed(self) -> tuple[list[Box], float, float]:
        sizes = [node.size for node in self.graph.nodes]
        items: dict[Any, Item] = {
            number: Item(*(size[::-1] if self.sideways else size))
            for number, size in enumerate(sizes)
        }
        links = [Link(str(number), a, b) for number, (a, b, _) in enumerate(self.graph.edges)]
        ranking = place(items, links)
        along, starts = MARGIN, []
        for rank in range(len(ranking.ranks)):
            starts.append(along)
            along += ranking.height(rank) + GAP
        shift = MARGIN - ranking.left
        across, along = ranking.right + shift + MARGIN, along - GAP + MARGIN
        boxes = []
        for number, (width, height) in enumerate(sizes):
            item = ranking.items[number]
            x, y = item.x + shift, starts[item.rank]
            if self.graph.rankdir in ("BT", "RL"):
                y = along - y - item.height
            if self.sideways:
                boxes.append((y, x - height / 2, y + width, x + height / 2))
            else:
                boxes.append((x - width / 2, y, x + width / 2, y + height))
        return boxes, *((along, across) if self.sideways else (across, along))

    def _line(self, source: int, target: int) -> tuple[float, float, float, float]:
        """Return where an arrow starts and ends."""
        a, b = self.boxes[source], self.boxes[target]
        if self.sideways:
            ahead = a[0] <= b[0]
            start, end = (a[2], b[0]) if ahead else (a[0], b[2])
            return start, (a[1] + a[3]) / 2, end, (b[1] + b[3]) / 2
        ahead = a[1] <= b[1]
        start, end = (a[3], b[1]) if ahead else (a[1], b[3])
        return (a[0] + a[2]) / 2, start, (b[0] + b[2]) / 2, end

    def svg(self) -> Iterator[str]:
        """Yield the picture's lines."""
        size = f'width="{self.width:.0f}" height="{self.height:.0f}"'
        yield f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">'
        yield (
            '<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" '
            'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>'
        )
        yield '<rect width="100%" height="100%" fill="white"/>'
        for source, target, label in self.graph.edges:
            x0, y0, x1, y1 = self._line(source, target)
            yield (
                f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="black" '
                'marker-end="url(#a)"/>'
            )
            if label:
                x, y = (x0 + x1) / 2, (y0 + y1) / 2
                yield f'<text x="{x:.1f}" y="{y:.1f}" font-size="9">{escape(label)}</text>'
        for node, (x0, y0, x1, y1) in zip(self.graph.nodes, self.boxes, strict=True):
            radius = 9 if node.is_blob else 2
            yield (
                f'<rect x="{x0:.1f}" y="{y0:.1f}" width="{x1 - x0:.1f}" height="{y1 - y0:.1f}" '
                f'rx="{radius}" fill="{node.colour}" stroke="black"/>'
            )
            for row, line in enumerate(node.lines):
                y = y0 + PADDING + (row + 0.75) * LINE
                yield (
                    f'<text x="{(x0 + x1) / 2:.1f}" y="{y:.1f}" font-size="{FONT}" '
                    f'text-anchor="middle">{escape(line)}</text>'
                )
        yield "</svg>"

    def raster(self, format: str) -> bytes:
        """Return the picture as Pillow draws it; RuntimeError without Pillow."""
        try:
            from PIL import Image, ImageDraw, ImageFont
        except ImportError:
            raise RuntimeError(
                f"caffe.draw writes {format} with Pillow (pip install Pillow); svg needs nothing"
            ) from None
        scale = min(1.0, (MOST_PIXELS / (self.width * self.height)) ** 0.5)
        image = Image.new(
            "RGB", (max(1, round(self.width * scale)), max(1, round(self.height * scale))), "white"
        )
        drawn = ImageDraw.Draw(image)
        font: Any = ImageFont.load_default()
        for source, target, _ in self.graph.edges:
            drawn.line([value * scale for value in self._line(source, target)], "black")
        for node, box in zip(self.graph.nodes, self.boxes, strict=True):
            scaled = [value * scale for value in box]
            drawn.rounded_rectangle(scaled, 9 if node.is_blob else 2, node.colour, "black")
            for row, line in enumerate(node.lines if scale == 1 else ()):
                place_of = (box[0] + PADDING, box[1] + PADDING + row * LINE)
                drawn.text(place_of, _plain(line), "black", font)
        file = io.BytesIO()
        image.save(file, {"jpg": "jpeg"}.get(format, format))
        return file.getvalue()


def _plain(line: str) -> str:
    """Return text that every font of Pillow's has."""
    return line.encode("latin-1", "replace").decode("latin-1")


def lines_of(label: str) -> Sequence[str]:
    """Return the lines of a label that is quoted for Graphviz."""
    return label.strip('"').split("\\n")
