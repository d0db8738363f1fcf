"""The network as a picture: SVG, without any other program."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html import escape

from caffe_layers import Layer
from converter.network.blocks import Box
from converter.network.net import CaffeNet
from converter.network.steps import Step
from converter.network.summary import format_totals, summarize
from converter.text import format_shape

from .frames import (
    PADDING,
    ROW_HEIGHT,
    TITLE_HEIGHT,
    Curve,
    Frame,
    Point,
    Words,
    heading,
    make_frames,
    ports,
    short_name,
)
from .layout import MARGIN, Name, Turn, lay_out
from .ranks import Item

LEGEND_WIDTH, LEGEND_HEIGHT, LEGEND_COLUMNS = 165.0, 20, 6
OUTPUT_LENGTH = 16
ARROW = "l-3.5 -7h7z"

COLOURS = {
    "convolution": ("#9ec5f4", "#7fa6ea"),
    "inner product": ("#c5b3f0", "#d8c4f4"),
    "normalization": ("#b9e3b4", "#9fd8a6"),
    "scale": ("#dcefb0", "#cfe39a"),
    "activation": ("#ffd79a", "#ffc57a", "#ffe7a3", "#fbe08a", "#ffb98a"),
    "dropout": ("#e6e0d4",),
    "pooling": ("#f4a9a8", "#eb9392"),
    "sum": ("#8fdcd4", "#6fcbd0", "#a6e9e0"),
    "shape": ("#c9d6df", "#d9e2e8", "#d4d4dc", "#dedee6"),
    "data": ("#ffffff",),
    "loss": ("#ee9fc8",),
    "metric": ("#f5c6dd",),
    "": ("#e3c7a0", "#b7c9a8", "#c8b6a6", "#a9b8d6", "#e0b8d8", "#b5d8e8", "#d6d08a", "#e9b7a0"),
}
"""The shades of each family of layers: the types of one network take them in turn."""


def draw(net: CaffeNet) -> str:
    """Return the network as an SVG picture.

    A row is a layer, coloured by its type; a box is a layer with those that work in place on its
    top; a frame is a block of layers with a common name, and says which earlier block is built
    alike. Lines carry their blob's shape. Tall networks run on in the next column.
    """
    words = Words(
        {step.key: net.layers[step.key].label for step in net.steps},
        {value: format_shape(shape) for value, shape in net.shapes().items()},
    )
    colours = _colours(net.steps)
    legend_rows = (len(colours) + LEGEND_COLUMNS - 1) // LEGEND_COLUMNS
    top = MARGIN + 74 + LEGEND_HEIGHT * legend_rows
    inputs = {top: step for step in net.steps if step.cls.is_source for top in step.tops}
    layout = lay_out(make_frames(net, words), inputs, top)
    picture = _Picture(words, colours, {value for step in net.steps for value in step.bottoms})
    for placed in layout.placed:
        if isinstance(placed, Frame):
            picture.draw_frame(placed)
        else:
            picture.draw_name(placed)
    for line in layout.lines:
        picture.draw_line(line)
    width = max(layout.right + MARGIN, LEGEND_COLUMNS * LEGEND_WIDTH)
    parts = [*_head(width, layout.bottom + MARGIN), *_legend(net, colours)]
    return "\n".join([*parts, *picture.parts, *picture.shapes, "</svg>\n"])


@dataclass
class _Picture:
    """The elements of a picture, in the order in which they are drawn; shapes are above all."""

    words: Words
    colours: dict[str, str]
    read: set[str]
    parts: list[str] = field(default_factory=list)
    shapes: list[str] = field(default_factory=list)
    labelled: set[str] = field(default_factory=set)

    def draw_frame(self, frame: Frame) -> None:
        title = frame.block.title
        if title:
            x, y = frame.x - frame.width / 2, frame.y
            self.parts.append(
                f"<g class='block'><rect x='{x:.1f}' y='{y:.1f}' width='{frame.width:.1f}' "
                f"height='{frame.height:.1f}' rx='8' fill='#f6f7f9' stroke='#8a94a3'/>"
                f"<text x='{x + PADDING:.1f}' y='{y + 16:.1f}' font-size='12' fill='#333a44'>"
                f"<tspan font-weight='bold'>{escape(title)}</tspan>"
                f"<tspan fill='#6b7480'>{escape(heading(frame.block)[len(title) :])}</tspan>"
                "</text></g>"
            )
            for offset in frame.enters.values():
                self.draw_down((frame.x + offset, y), TITLE_HEIGHT, arrow=False)
        for box, item in frame.boxes():
            self.draw_box(box, item, title)
        for curve in frame.curves():
            self.draw_line(curve)

    def draw_box(self, box: Box, item: Item, title: str) -> None:
        x, y = item.left, item.y
        self.parts.append("<g class='box'>")
        for number, step in enumerate(box.steps):
            self.draw_layer(step, item, y + ROW_HEIGHT * number, title)
        self.parts.append(
            f"<rect x='{x:.1f}' y='{y:.1f}' width='{item.width:.1f}' height='{item.height:.1f}' "
            "rx='3' fill='none' stroke='#4a4f57'/></g>"
        )
        for top, offset in zip(box.tops, ports(len(box.tops), item.width), strict=True):
            if top not in self.read:  # an output of the network
                start = item.x + offset, y + item.height
                self.draw_down(start, OUTPUT_LENGTH, arrow=True)
                self.draw_shape(top, start)

    def draw_layer(self, step: Step, item: Item, y: float, title: str) -> None:
        x, type_name = item.left, step.cls.caffe_type
        tip = [f"{step.key} ({type_name})"]
        tip += [
            f"{blob} {self.words.shapes[top]}"
            for blob, top in zip(step.blobs, step.tops, strict=True)
        ]
        self.parts.append(
            f"<g class='layer'><title>{escape(', '.join(tip))}</title>"
            f"<rect x='{x:.1f}' y='{y:.1f}' width='{item.width:.1f}' height='{ROW_HEIGHT:.0f}' "
            f"fill='{self.colours[type_name]}'/>"
            f"<text x='{x + PADDING:.1f}' y='{y + 14:.1f}' fill='#111111'>"
            f"{escape(short_name(step.key, title))}</text>"
            f"<text x='{x + item.width - PADDING:.1f}' y='{y + 14:.1f}' text-anchor='end' "
            f"fill='#4a4f57'>{escape(self.words.labels[step.key])}</text></g>"
        )

    def draw_name(self, name: Name) -> None:
        self.parts.append(
            f"<rect x='{name.x - name.width / 2:.1f}' y='{name.y:.1f}' width='{name.width:.1f}' "
            f"height='{ROW_HEIGHT:.0f}' rx='10' fill='#ffffff' stroke='#4a4f57' "
            "stroke-dasharray='3 2'/>"
            f"<text x='{name.x:.1f}' y='{name.y + 14:.1f}' text-anchor='middle'>"
            f"{escape(name.value)}</text>"
        )

    def draw_line(self, line: Curve | Turn) -> None:
        x0, (x1, y1) = line.start[0], line.end
        if isinstance(line, Turn):
            route = f"V{line.down:.1f}H{line.across:.1f}V{line.up:.1f}H{x1:.1f}V{y1:.1f}"
        else:
            middle = (line.level + y1) / 2
            bend = f"C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}"
            route = f"V{line.level:.1f}{bend}"
        self.draw_path(line.start, route, line.end, arrow=line.arrow, bold=isinstance(line, Turn))
        if line.begins:
            self.draw_shape(line.value, line.start)

    def draw_down(self, start: Point, length: float, *, arrow: bool) -> None:
        end = start[0], start[1] + length
        self.draw_path(start, f"V{end[1]:.1f}", end, arrow=arrow)

    def draw_path(
        self, start: Point, route: str, end: Point, *, arrow: bool, bold: bool = False
    ) -> None:
        colour, width = ("#3b6ea8", 2.0) if bold else ("#5a626d", 1.2)
        self.parts.append(
            f"<path d='M{start[0]:.1f} {start[1]:.1f}{route}' fill='none' stroke='{colour}' "
            f"stroke-width='{width}'/>"
        )
        if arrow:
            self.parts.append(
                f"<path d='M{end[0]:.1f} {end[1]:.1f}{ARROW}' fill='{colour}' stroke='none'/>"
            )

    def draw_shape(self, value: str, start: Point) -> None:
        """Write a value's shape once, where it begins."""
        if value in self.labelled:
            return
        self.labelled.add(value)
        text, (x, y) = self.words.shapes[value], start
        self.shapes.append(
            f"<g class='shape'><rect x='{x + 3:.1f}' y='{y + 2:.1f}' "
            f"width='{len(text) * 6 + 2:.0f}' height='12' fill='#ffffff' fill-opacity='0.75'/>"
            f"<text x='{x + 4:.1f}' y='{y + 11.5:.1f}' font-size='9.5' fill='#1d4f8f'>"
            f"{escape(text)}</text></g>"
        )


def _head(width: float, height: float) -> Iterator[str]:
    style = "font-family='DejaVu Sans, Verdana, Arial, sans-serif' font-size='11'"
    yield (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width:.0f}' height='{height:.0f}' "
        f"viewBox='0 0 {width:.0f} {height:.0f}' {style}>"
    )
    yield f"<rect width='{width:.0f}' height='{height:.0f}' fill='#ffffff'/>"


def _legend(net: CaffeNet, colours: dict[str, str]) -> Iterator[str]:
    yield (
        f"<text x='{MARGIN}' y='{MARGIN + 12}' font-size='18' font-weight='bold'>"
        f"{escape(net.name or 'network')}</text>"
    )
    yield (
        f"<text x='{MARGIN}' y='{MARGIN + 34}' fill='#4a4f57'>"
        f"{escape(format_totals(summarize(net)))}</text>"
    )
    for number, (type_name, colour) in enumerate(colours.items()):
        row, column = divmod(number, LEGEND_COLUMNS)
        x, y = MARGIN + LEGEND_WIDTH * column, MARGIN + 48 + LEGEND_HEIGHT * row
        yield (
            f"<g class='legend'><rect x='{x}' y='{y}' width='14' height='14' fill='{colour}' "
            f"stroke='#4a4f57'/><text x='{x + 19}' y='{y + 11}'>{escape(type_name)}</text></g>"
        )


def _colours(steps: Iterable[Step]) -> dict[str, str]:
    """Return a colour for each type, in the order in which they come."""
    colours: dict[str, str] = {}
    taken: dict[str, int] = defaultdict(int)
    for step in steps:
        if step.cls.caffe_type not in colours:
            family = _family(step.cls)
            shades = COLOURS[family]
            colours[step.cls.caffe_type] = shades[taken[family] % len(shades)]
            taken[family] += 1
    return colours


def _family(cls: type[Layer]) -> str:
    if cls.is_source:
        return "data"
    return "loss" if cls.is_loss else "metric" if cls.is_metric else cls.family
