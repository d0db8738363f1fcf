"""The network as a picture: SVG, without any other program."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

from caffe_layers import Layer
from converter.network.blocks import Block, Box, make_blocks, make_boxes
from converter.network.net import CaffeNet
from converter.network.steps import Step
from converter.network.summary import format_totals, summarize
from converter.text import format_shape

from .ranks import Item, Layers, Link, place

ROW, CHAR, PAD = 20.0, 6.6, 8.0  # a layer's row, a letter's width, beside the text
RANK_GAP = 34.0  # room for curves and shapes
FRAME_TITLE = 24.0
COLUMN_GAP = 70.0
LEGEND = 165.0
MARGIN = 24.0
ASPECT = 1.5  # of the whole picture, width to height
ONE_COLUMN = 1600.0  # what is no higher stays whole
FAR = 3  # an input read so many ranks further down is drawn by its name, not as a line

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


@dataclass
class Unit:
    """A block as it is drawn: its boxes placed, and where its values come in and go out."""

    block: Block
    layers: Layers
    width: float
    height: float
    enters: dict[str, float] = field(default_factory=dict)
    leaves: dict[str, float] = field(default_factory=dict)


def draw(net: CaffeNet) -> str:
    """Return the network as an SVG picture.

    A row is a layer, coloured by its type; a box is a layer with those that work in place on its
    top; a frame is a block of layers with a common name, and says which earlier block is built
    alike. Lines carry their blob's shape. Tall networks run on in the next column.
    """
    return _Picture(net).svg()


class _Picture:
    def __init__(self, net: CaffeNet) -> None:
        self.net = net
        self.shapes = net.shapes()
        self.colours = _colours(net.steps)
        self.parts: list[str] = []
        self.labels: list[str] = []
        self.labelled: set[str] = set()

    def svg(self) -> str:
        """Place and draw everything."""
        boxes = make_boxes(self.net)
        makers = {top: box for box in boxes for top in box.tops}
        units = [self._unit(block, makers) for block in make_blocks(boxes)]
        layers, named = self._outline(units, makers)
        columns = _columns(layers)
        top = MARGIN + 74 + 20 * ((len(self.colours) + 5) // 6)
        right, bottom = self._columns(layers, units, named, columns, top)
        width, height = max(right + MARGIN, 6 * LEGEND), bottom + MARGIN
        style = "font-family='DejaVu Sans, Verdana, Arial, sans-serif' font-size='11'"
        head = (
            f"<svg xmlns='http://www.w3.org/2000/svg' width='{width:.0f}' height='{height:.0f}' "
            f"viewBox='0 0 {width:.0f} {height:.0f}' {style}>"
        )
        ground = f"<rect width='{width:.0f}' height='{height:.0f}' fill='#ffffff'/>"
        return "\n".join([head, ground, *self._legend(), *self.parts, *self.labels, "</svg>\n"])

    def _unit(self, block: Block, makers: dict[str, Box]) -> Unit:
        inside = {box.name for box in block.boxes}
        items: dict[Hashable, Item] = {}
        links: list[Link] = []
        read = dict.fromkeys(name for box in block.boxes for name in box.bottoms)
        comes_in = [name for name in read if makers[name].name not in inside]
        for name in comes_in if block.title else ():
            items["in", name] = Item(20, 0)
        for box in block.boxes:
            items[box.name] = Item(self._box_width(box, block.title), ROW * len(box.steps))
        for box in block.boxes:
            for name in dict.fromkeys(box.bottoms):
                maker = makers[name]
                if maker.name in inside:
                    links.append(Link(name, maker.name, box.name, self._leaves(maker, name, items)))
                elif block.title:
                    links.append(Link(name, ("in", name), box.name))
        goes_out = [name for box in block.boxes for name in box.tops]
        if block.title:
            wanted = {
                name
                for step in self.net.steps
                for name in step.bottoms
                if name in goes_out and not self._is_inside(step, block)
            }
            goes_out = [name for name in goes_out if name in wanted]
            for name in goes_out:
                items["out", name] = Item(20, 0)
                maker = makers[name]
                leaves = self._leaves(maker, name, items)
                links.append(Link(name, maker.name, ("out", name), leaves))
        first = [("in", name) for name in comes_in] if block.title else []
        last = [("out", name) for name in goes_out] if block.title else []
        layers = place(items, links, first, last)
        middle = (layers.left + layers.right) / 2
        for item in layers.items.values():
            item.x -= middle
        if not block.title:
            (box,) = block.boxes
            (item,) = layers.items.values()
            unit = Unit(block, layers, item.width, item.height)
            unit.leaves = {name: self._leaves(box, name, items) for name in box.tops}
            unit.enters = dict(zip(box.bottoms, _ports(len(box.bottoms), item.width), strict=True))
            return unit
        y = FRAME_TITLE
        for index, rank in enumerate(layers.ranks):
            for key in rank:
                layers.items[key].y = y
            ports = index == 0 or index == len(layers.ranks) - 1
            y += layers.height(index) + (RANK_GAP if not ports or layers.height(index) else 18)
        title = CHAR * (len(_heading(block)) + 2)
        width = max(layers.right - layers.left, title) + 4 * PAD
        unit = Unit(block, layers, width, y - (18 if last else RANK_GAP - PAD))
        unit.enters = {name: items["in", name].x for name in comes_in}
        unit.leaves = {name: items["out", name].x for name in goes_out}
        return unit

    def _label_of(self, step: Step) -> str:
        return self.net.layers[step.key].label

    def _is_inside(self, step: Step, block: Block) -> bool:
        return any(step is own for box in block.boxes for own in box.steps)

    def _leaves(self, box: Box, name: str, items: dict[Hashable, Item]) -> float:
        ports = _ports(len(box.tops), items[box.name].width)
        return ports[box.tops.index(name)]

    def _box_width(self, box: Box, title: str) -> float:
        texts = [_short(step.key, title) + "  " + self._label_of(step) for step in box.steps]
        words = max(map(len, texts)) * CHAR + 2 * PAD + 6
        ports = sum(len(self._shape(name)) * CHAR + 2 * PAD for name in box.tops)
        return max(words, ports if len(box.tops) > 1 else 0.0, 90.0)

    def _outline(
        self, units: Sequence[Unit], makers: dict[str, Box]
    ) -> tuple[Layers, dict[Hashable, str]]:
        """Place the units; inputs read far below their layer become names beside the reader."""
        owner = {box.name: n for n, unit in enumerate(units) for box in unit.block.boxes}
        items: dict[Hashable, Item] = {n: Item(u.width, u.height) for n, u in enumerate(units)}
        links = [
            Link(name, owner[makers[name].name], n, units[owner[makers[name].name]].leaves[name], x)
            for n, unit in enumerate(units)
            for name, x in unit.enters.items()
        ]
        place(items, links)
        named: dict[Hashable, str] = {}
        near = []
        for link in links:
            source, target = items[link.source], items[link.target]
            if makers[link.value].steps[0].cls.is_source and target.rank - source.rank > FAR:
                key = ("name", link.value, link.target)
                named[key] = link.value
                link = Link(link.value, key, link.target, 0.0, link.enters)
            near.append(link)
        fresh: dict[Hashable, Item] = {
            key: Item(len(value) * CHAR + 4 * PAD, ROW) for key, value in named.items()
        }
        fresh |= {n: Item(u.width, u.height) for n, u in enumerate(units)}
        return place(fresh, near), named

    def _columns(
        self,
        layers: Layers,
        units: Sequence[Unit],
        named: dict[Hashable, str],
        columns: Sequence[range],
        top: float,
    ) -> tuple[float, float]:
        """Draw the ranks column by column; return how far right and down they reach."""
        column_of = {rank: number for number, ranks in enumerate(columns) for rank in ranks}
        turning: dict[int, list[str]] = defaultdict(list)
        for link in layers.links:
            rank = layers.items[link.source].rank
            if column_of[rank] != column_of[rank + 1]:
                group = turning[column_of[rank]]
                if link.value not in group:
                    group.append(link.value)
        lanes = max(map(len, turning.values()), default=0)
        start = top + 9 * lanes + (14 if lanes else 0)
        left, bottoms, rights = MARGIN, [], []
        for ranks in columns:
            own = [layers.items[key] for rank in ranks for key in layers.ranks[rank]]
            shift = left - min(item.x - item.width / 2 for item in own)
            y = start
            for rank in ranks:
                for key in layers.ranks[rank]:
                    layers.items[key].x += shift
                    layers.items[key].y = y
                y += layers.height(rank) + RANK_GAP
            bottoms.append(y - RANK_GAP)
            rights.append(max(item.x + item.width / 2 for item in own))
            left = rights[-1] + COLUMN_GAP + 9 * lanes
        for key in [key for rank in layers.ranks for key in rank]:
            item = layers.items[key]
            if isinstance(key, int):
                self._draw_unit(units[key], item)
            elif key in named:
                self._draw_name(named[key], item)
        for link in layers.links:
            source, target = layers.items[link.source], layers.items[link.target]
            number = column_of[source.rank]
            if number == column_of[target.rank]:
                enters = 0.0 if target.lane else link.enters
                self._line(link, source, target, enters, layers.height(source.rank), arrow=True)
            else:
                lane = 9.0 * turning[number].index(link.value)
                rank_bottom = source.y + layers.height(source.rank)
                down = max(bottoms[number], rank_bottom) + 14 + lane
                across = rights[number] + COLUMN_GAP / 2 + lane
                self._turn(link, source, target, down, across, top + lane)
        return max(rights), max(bottoms) + 9 * lanes + 14

    def _draw_unit(self, unit: Unit, item: Item) -> None:
        title = unit.block.title
        if title:
            x, y = item.x - item.width / 2, item.y
            self.parts.append(
                f"<g class='block'><rect x='{x:.1f}' y='{y:.1f}' width='{unit.width:.1f}' "
                f"height='{unit.height:.1f}' rx='8' fill='#f6f7f9' stroke='#8a94a3'/>"
                f"<text x='{x + PAD:.1f}' y='{y + 16:.1f}' font-size='12' fill='#333a44'>"
                f"<tspan font-weight='bold'>{escape(title)}</tspan>"
                f"<tspan fill='#6b7480'>{escape(_heading(unit.block)[len(title) :])}</tspan>"
                "</text></g>"
            )
        for inner in unit.layers.items.values():
            inner.x += item.x
            inner.y += item.y
        if title:
            for offset in unit.enters.values():
                at = item.x + offset
                self._path(f"M{at:.1f} {item.y:.1f}V{item.y + FRAME_TITLE:.1f}", arrow=False)
        boxes = {box.name: box for box in unit.block.boxes}
        for key, inner in unit.layers.items.items():
            if key in boxes and isinstance(key, str):
                self._draw_box(boxes[key], inner, title)
        arriving: dict[Hashable, list[Link]] = defaultdict(list)
        for link in unit.layers.links:
            arriving[link.target].append(link)
        for target, links in arriving.items():
            end = unit.layers.items[target]
            links.sort(key=lambda link: unit.layers.items[link.source].x + link.leaves)
            for link, enters in zip(links, _ports(len(links), end.width), strict=True):
                start = unit.layers.items[link.source]
                height = unit.layers.height(start.rank)
                self._line(link, start, end, enters, height, arrow=not isinstance(target, tuple))

    def _draw_box(self, box: Box, item: Item, title: str) -> None:
        x, y = item.x - item.width / 2, item.y
        self.parts.append("<g class='box'>")
        for number, step in enumerate(box.steps):
            row = y + ROW * number
            kind = step.cls.caffe_type
            tip = [f"{step.key} ({kind})"]
            tip += [f"{blob} {self._shape(top)}" for blob, top in self._named_tops(step)]
            self.parts.append(
                f"<g class='layer'><title>{escape(', '.join(tip))}</title>"
                f"<rect x='{x:.1f}' y='{row:.1f}' width='{item.width:.1f}' height='{ROW:.0f}' "
                f"fill='{self.colours[kind]}'/>"
                f"<text x='{x + PAD:.1f}' y='{row + 14:.1f}' fill='#111111'>"
                f"{escape(_short(step.key, title))}</text>"
                f"<text x='{x + item.width - PAD:.1f}' y='{row + 14:.1f}' text-anchor='end' "
                f"fill='#4a4f57'>{escape(self._label_of(step))}</text></g>"
            )
        self.parts.append(
            f"<rect x='{x:.1f}' y='{y:.1f}' width='{item.width:.1f}' height='{item.height:.1f}' "
            "rx='3' fill='none' stroke='#4a4f57'/></g>"
        )
        if not box.tops:
            return
        ends = {name for step in self.net.steps for name in step.bottoms}
        for name, offset in zip(box.tops, _ports(len(box.tops), item.width), strict=True):
            if name not in ends:  # an output of the network
                at, foot = item.x + offset, y + item.height
                self._path(f"M{at:.1f} {foot:.1f}V{foot + 16:.1f}", arrow=True)
                self._label(name, at, foot)

    def _named_tops(self, step: Step) -> Iterable[tuple[str, str]]:
        return zip(step.blobs, step.tops, strict=True)

    def _draw_name(self, name: str, item: Item) -> None:
        x = item.x - item.width / 2
        self.parts.append(
            f"<rect x='{x:.1f}' y='{item.y:.1f}' width='{item.width:.1f}' height='{ROW:.0f}' "
            f"rx='10' fill='#ffffff' stroke='#4a4f57' stroke-dasharray='3 2'/>"
            f"<text x='{item.x:.1f}' y='{item.y + 14:.1f}' text-anchor='middle'>"
            f"{escape(name)}</text>"
        )

    def _line(
        self, link: Link, start: Item, end: Item, enters: float, height: float, *, arrow: bool
    ) -> None:
        x0, y0 = start.x + link.leaves, start.y + start.height
        x1, y1 = end.x + enters, end.y
        level = start.y + height  # below everything in the rank: only there it may bend
        middle = (level + y1) / 2
        bend = f"C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}"
        self._path(f"M{x0:.1f} {y0:.1f}V{level:.1f}{bend}", arrow=arrow and not end.lane)
        if not start.lane and start.height:
            self._label(link.value, x0, y0)

    def _turn(
        self, link: Link, start: Item, end: Item, down: float, across: float, up: float
    ) -> None:
        x0, y0 = start.x + link.leaves, start.y + start.height
        x1 = end.x + (0.0 if end.lane else link.enters)
        route = f"M{x0:.1f} {y0:.1f}V{down:.1f}H{across:.1f}V{up:.1f}H{x1:.1f}V{end.y:.1f}"
        self._path(route, arrow=not end.lane, wide=True)
        if not start.lane:
            self._label(link.value, x0, y0)

    def _path(self, route: str, *, arrow: bool, wide: bool = False) -> None:
        colour, width = ("#3b6ea8", 2.0) if wide else ("#5a626d", 1.2)
        self.parts.append(
            f"<path d='{route}' fill='none' stroke='{colour}' stroke-width='{width}'/>"
        )
        if arrow:
            x, y = _end(route)
            self.parts.append(
                f"<path d='M{x:.1f} {y:.1f}l-3.5 -7h7z' fill='{colour}' stroke='none'/>"
            )

    def _label(self, value: str, x: float, y: float) -> None:
        """Write a value's shape once, where it begins."""
        if value in self.labelled:
            return
        self.labelled.add(value)
        text = self._shape(value)
        self.labels.append(
            f"<g class='shape'><rect x='{x + 3:.1f}' y='{y + 2:.1f}' "
            f"width='{len(text) * 6 + 2:.0f}' height='12' fill='#ffffff' fill-opacity='0.75'/>"
            f"<text x='{x + 4:.1f}' y='{y + 11.5:.1f}' font-size='9.5' fill='#1d4f8f'>"
            f"{escape(text)}</text></g>"
        )

    def _shape(self, value: str) -> str:
        return format_shape(self.shapes[value])

    def _legend(self) -> list[str]:
        lines = [
            f"<text x='{MARGIN}' y='{MARGIN + 12}' font-size='18' font-weight='bold'>"
            f"{escape(self.net.name or 'network')}</text>",
            f"<text x='{MARGIN}' y='{MARGIN + 34}' fill='#4a4f57'>"
            f"{escape(format_totals(summarize(self.net)))}</text>",
        ]
        for number, (kind, colour) in enumerate(self.colours.items()):
            x, y = MARGIN + LEGEND * (number % 6), MARGIN + 48 + 20 * (number // 6)
            lines.append(
                f"<g class='legend'><rect x='{x}' y='{y}' width='14' height='14' fill='{colour}' "
                f"stroke='#4a4f57'/><text x='{x + 19}' y='{y + 11}'>{escape(kind)}</text></g>"
            )
        return lines


def _columns(layers: Layers) -> list[range]:
    """Return the ranks in columns, as many as bring the picture nearest to ASPECT."""
    count = len(layers.ranks)
    heights = [layers.height(rank) + RANK_GAP for rank in range(count)]
    choices = [[range(count)]]
    if sum(heights) > ONE_COLUMN:
        for number in range(2, min(count, 40) + 1):
            choices.append(_filled(heights, sum(heights) / number))
    return min(choices, key=lambda columns: _misfit(layers, columns, heights))


def _filled(heights: Sequence[float], limit: float) -> list[range]:
    columns, start, height = [], 0, 0.0
    for rank, own in enumerate(heights):
        if height and height + own / 2 > limit:
            columns.append(range(start, rank))
            start, height = rank, 0.0
        height += own
    return [*columns, range(start, len(heights))]


def _misfit(layers: Layers, columns: Sequence[range], heights: Sequence[float]) -> float:
    width = 0.0
    for ranks in columns:
        own = [layers.items[key] for rank in ranks for key in layers.ranks[rank]]
        edges = [(item.x - item.width / 2, item.x + item.width / 2) for item in own]
        width += max(right for _, right in edges) - min(left for left, _ in edges) + COLUMN_GAP
    height = max(sum(heights[rank] for rank in ranks) for ranks in columns)
    ratio = width / height / ASPECT
    return max(ratio, 1 / ratio)


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


def _ports(count: int, width: float) -> list[float]:
    """Return where so many lines meet a box's edge, from its middle."""
    return [width * ((index + 0.5) / count - 0.5) for index in range(count)]


def _end(route: str) -> tuple[float, float]:
    if "C" in route:
        x, y = route.split()[-2:]
        return float(x), float(y)
    before, _, y = route.rpartition("V")
    x = before.rpartition("H")[2] if "H" in before else before[1:].split()[0]
    return float(x), float(y)


def _heading(block: Block) -> str:
    return f"{block.title}  built as {block.like}" if block.like else block.title


def _short(name: str, title: str) -> str:
    rest = name.removeprefix(title)
    return rest.lstrip("/_") if title and rest != name and rest[:1] in {"/", "_"} else name
