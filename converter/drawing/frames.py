"""The blocks of a picture, each with its boxes placed, and the lines between them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from converter.network.blocks import Block, Box, make_blocks, make_boxes
from converter.network.net import CaffeNet

from .ranks import Item, Link, Ranking, place

ROW_HEIGHT = 20.0  # of a layer
CHAR_WIDTH = 6.6
PADDING = 8.0  # beside the text
RANK_GAP = 34.0  # room for curves and shapes
TITLE_HEIGHT = 24.0
PORT_WIDTH, PORT_GAP = 20.0, 18.0
LEAST_WIDTH = 90.0

Point = tuple[float, float]


@dataclass(frozen=True)
class Words:
    """What a network's picture says: the layers' labels by their names, the values' shapes."""

    labels: Mapping[str, str]
    shapes: Mapping[str, str]


@dataclass(frozen=True)
class Curve:
    """A value's line: straight down to `level`, then bent to its end."""

    value: str
    start: Point
    level: float
    end: Point
    arrow: bool
    begins: bool
    """Whether the value is made here, and its shape may be written."""


@dataclass(frozen=True)
class Frame:
    """A block with its boxes placed; a block without a title is its one box.

    `x` is its middle, `y` its upper edge. `enters` and `leaves` are where its values come in and
    go out, from the middle.
    """

    block: Block
    ranking: Ranking
    width: float
    height: float
    enters: Mapping[str, float]
    leaves: Mapping[str, float]
    x: float = 0.0
    y: float = 0.0

    def moved(self, x: float, y: float) -> Frame:
        """Return this at another place."""
        count = len(self.ranking.ranks)
        ranking = self.ranking.moved([x] * count, [y] * count)
        return replace(self, ranking=ranking, x=self.x + x, y=self.y + y)

    def boxes(self) -> Iterator[tuple[Box, Item]]:
        """Yield the boxes and where they stand."""
        for box in self.block.boxes:
            yield box, self.ranking.items[box.name]

    def curves(self) -> Iterator[Curve]:
        """Yield the lines between the boxes; those that end at one box side by side."""
        items = self.ranking.items
        arriving: dict[Hashable, list[Link]] = defaultdict(list)
        for link in self.ranking.links:
            arriving[link.target].append(link)
        for target, links in arriving.items():
            is_box = isinstance(target, str)
            links.sort(key=lambda link: items[link.source].x + link.leaves)
            for link, enters in zip(links, ports(len(links), items[target].width), strict=True):
                yield curve_of(link, self.ranking, enters, arrow=is_box)


def curve_of(link: Link, ranking: Ranking, enters: float, *, arrow: bool) -> Curve:
    """Return a link's line, which may bend only below everything in its rank."""
    start, end = ranking.items[link.source], ranking.items[link.target]
    return Curve(
        link.value,
        start=(start.x + link.leaves, start.y + start.height),
        level=start.y + ranking.height(start.rank),
        end=(end.x + enters, end.y),
        arrow=arrow and not end.lane,
        begins=not start.lane and start.height > 0,
    )


def make_frames(net: CaffeNet, words: Words) -> list[Frame]:
    """Return the network's blocks in file order, each placed around 0."""
    boxes = make_boxes(net)
    makers = {top: box for box in boxes for top in box.tops}
    readers: dict[str, set[str]] = defaultdict(set)
    for step in net.steps:
        for bottom in step.bottoms:
            readers[bottom].add(step.key)
    return [
        _framed(block, makers, readers, words) if block.title else _lone(block, words)
        for block in make_blocks(boxes)
    ]


def _lone(block: Block, words: Words) -> Frame:
    (box,) = block.boxes
    item = _item(box, "", words)
    return Frame(
        block,
        place({box.name: item}, ()),
        item.width,
        item.height,
        enters=dict(zip(box.bottoms, ports(len(box.bottoms), item.width), strict=True)),
        leaves=dict(zip(box.tops, ports(len(box.tops), item.width), strict=True)),
    )


def _framed(
    block: Block, makers: Mapping[str, Box], readers: Mapping[str, set[str]], words: Words
) -> Frame:
    names = {box.name for box in block.boxes}
    inside = {step.key for box in block.boxes for step in box.steps}
    read = dict.fromkeys(name for box in block.boxes for name in box.bottoms)
    comes_in = [name for name in read if makers[name].name not in names]
    made = [name for box in block.boxes for name in box.tops]
    goes_out = [name for name in made if readers.get(name, set()) - inside]
    first: list[Hashable] = [("in", name) for name in comes_in]
    last: list[Hashable] = [("out", name) for name in goes_out]
    port = Item(PORT_WIDTH, 0)
    boxes: dict[Hashable, Item] = {box.name: _item(box, block.title, words) for box in block.boxes}
    items: dict[Hashable, Item] = dict.fromkeys(first, port)
    items |= boxes
    items |= dict.fromkeys(last, port)
    ranking = place(items, _links(block, boxes, makers, goes_out), first, last)
    middle = (ranking.left + ranking.right) / 2
    tops, height = _tops(ranking, has_outputs=bool(last))
    ranking = ranking.moved([-middle] * len(tops), tops)
    title = CHAR_WIDTH * (len(heading(block)) + 2)
    return Frame(
        block,
        ranking,
        max(ranking.right - ranking.left, title) + 4 * PADDING,
        height,
        enters={name: ranking.items["in", name].x for name in comes_in},
        leaves={name: ranking.items["out", name].x for name in goes_out},
    )


def _links(
    block: Block, boxes: Mapping[Hashable, Item], makers: Mapping[str, Box], goes_out: Sequence[str]
) -> list[Link]:
    """Return the links between a block's boxes, from where values come in to where they go out."""

    def leaves(name: str) -> float:
        maker = makers[name]
        return ports(len(maker.tops), boxes[maker.name].width)[maker.tops.index(name)]

    links = [
        Link(name, makers[name].name, box.name, leaves(name))
        if makers[name].name in boxes
        else Link(name, ("in", name), box.name)
        for box in block.boxes
        for name in dict.fromkeys(box.bottoms)
    ]
    return links + [Link(name, makers[name].name, ("out", name), leaves(name)) for name in goes_out]


def _tops(ranking: Ranking, *, has_outputs: bool) -> tuple[list[float], float]:
    """Return the ranks' upper edges, and the height of the frame."""
    tops, y = [], TITLE_HEIGHT
    for rank in range(len(ranking.ranks)):
        tops.append(y)
        height, outer = ranking.height(rank), rank in (0, len(ranking.ranks) - 1)
        y += height + (PORT_GAP if outer and not height else RANK_GAP)
    return tops, y - (PORT_GAP if has_outputs else RANK_GAP - PADDING)


def _item(box: Box, title: str, words: Words) -> Item:
    rows = [short_name(step.key, title) + "  " + words.labels[step.key] for step in box.steps]
    text = max(map(len, rows)) * CHAR_WIDTH + 2 * PADDING + 6
    shapes = sum(len(words.shapes[top]) * CHAR_WIDTH + 2 * PADDING for top in box.tops)
    width = max(text, shapes if len(box.tops) > 1 else 0.0, LEAST_WIDTH)
    return Item(width, ROW_HEIGHT * len(box.steps))


def heading(block: Block) -> str:
    """Return what is written on top of a block."""
    return f"{block.title}  built as {block.like}" if block.like else block.title


def ports(count: int, width: float) -> list[float]:
    """Return where so many lines meet a box's edge, from its middle."""
    return [width * ((index + 0.5) / count - 0.5) for index in range(count)]


def short_name(name: str, title: str) -> str:
    """Return a layer's name as its frame shows it: without the title that is on top."""
    rest = name.removeprefix(title)
    return rest.lstrip("/_") if title and rest != name and rest[:1] in {"/", "_"} else name
