"""Where everything of a picture stands: the frames in ranks, the ranks in columns."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .frames import CHAR_WIDTH, PADDING, RANK_GAP, ROW_HEIGHT, Curve, Frame, Point, curve_of
from .ranks import Item, Link, Ranking, place, rank_of

MARGIN = 24.0
COLUMN_GAP = 70.0
TURN_GAP, TURN_ROOM = 9.0, 14.0  # between values that turn into the next column, and beside them
ASPECT = 1.5  # of the whole picture, width to height
ONE_COLUMN = 1600.0  # what is no higher stays whole
MOST_COLUMNS = 40
FAR_RANKS = 3  # an input read so many ranks further down is drawn by its name, not as a line


@dataclass(frozen=True)
class Name:
    """An input's name beside its reader, far below the input; `x` is the middle, `y` the top."""

    value: str
    width: float
    x: float
    y: float


@dataclass(frozen=True)
class Turn:
    """A value's line into the next column: down, across, up, and over to its end."""

    value: str
    start: Point
    down: float
    across: float
    up: float
    end: Point
    arrow: bool
    begins: bool


@dataclass(frozen=True)
class PictureLayout:
    """Frames and names, rank by rank, the lines between them, and how far they reach."""

    placed: Sequence[Frame | Name]
    lines: Sequence[Curve | Turn]
    right: float
    bottom: float


@dataclass(frozen=True)
class _Column:
    ranks: range
    turning: Sequence[str]
    """The values that go on in the next column, each in a lane of its own."""
    right: float
    bottom: float


def lay_out(frames: Sequence[Frame], inputs: Mapping[str, object], top: float) -> PictureLayout:
    """Return the frames in as many columns as bring the picture nearest to ASPECT.

    They begin at `top`. Those of `inputs` that are read far below are drawn as names.
    """
    ranking, names = _outline(frames, inputs)
    ranking, columns = _in_columns(ranking, _divided(ranking), top)
    placed: list[Frame | Name] = []
    for key in [key for rank in ranking.ranks for key in rank]:
        item = ranking.items[key]
        if isinstance(key, int):
            placed.append(frames[key].moved(item.x, item.y))
        elif key in names:
            placed.append(Name(names[key], item.width, item.x, item.y))
    turns = max(len(column.turning) for column in columns)
    bottom = max(column.bottom for column in columns) + TURN_GAP * turns + TURN_ROOM
    lines = list(_lines(ranking, columns, top))
    return PictureLayout(placed, lines, max(column.right for column in columns), bottom)


def _outline(
    frames: Sequence[Frame], inputs: Mapping[str, object]
) -> tuple[Ranking, dict[Hashable, str]]:
    """Place the frames, and a name in place of each link from an input far above."""
    makers = {top: n for n, frame in enumerate(frames) for top in frame.leaves}
    links = [
        Link(value, makers[value], n, frames[makers[value]].leaves[value], enters)
        for n, frame in enumerate(frames)
        for value, enters in frame.enters.items()
    ]
    ranks = rank_of(range(len(frames)), links)
    names: dict[Hashable, str] = {}
    for index, link in enumerate(links):
        if link.value in inputs and ranks[link.target] - ranks[link.source] > FAR_RANKS:
            key = ("name", link.value, link.target)
            names[key] = link.value
            links[index] = Link(link.value, key, link.target, 0.0, link.enters)
    items: dict[Hashable, Item] = {
        key: Item(len(value) * CHAR_WIDTH + 4 * PADDING, ROW_HEIGHT) for key, value in names.items()
    }
    items |= {n: Item(frame.width, frame.height) for n, frame in enumerate(frames)}
    return place(items, links), names


def _divided(ranking: Ranking) -> list[range]:
    """Return the ranks in columns."""
    count = len(ranking.ranks)
    heights = [ranking.height(rank) + RANK_GAP for rank in range(count)]
    choices = [[range(count)]]
    if sum(heights) > ONE_COLUMN:
        for number in range(2, min(count, MOST_COLUMNS) + 1):
            choices.append(_filled(heights, sum(heights) / number))
    return min(choices, key=lambda columns: _misfit(ranking, columns, heights))


def _filled(heights: Sequence[float], limit: float) -> list[range]:
    columns, start, height = [], 0, 0.0
    for rank, own in enumerate(heights):
        if height and height + own / 2 > limit:
            columns.append(range(start, rank))
            start, height = rank, 0.0
        height += own
    return [*columns, range(start, len(heights))]


def _misfit(ranking: Ranking, columns: Sequence[range], heights: Sequence[float]) -> float:
    width = 0.0
    for ranks in columns:
        own = _items(ranking, ranks)
        width += max(item.right for item in own) - min(item.left for item in own) + COLUMN_GAP
    height = max(sum(heights[rank] for rank in ranks) for ranks in columns)
    ratio = width / height / ASPECT
    return max(ratio, 1 / ratio)


def _items(ranking: Ranking, ranks: range) -> list[Item]:
    return [ranking.items[key] for rank in ranks for key in ranking.ranks[rank]]


def _in_columns(
    ranking: Ranking, divided: Sequence[range], top: float
) -> tuple[Ranking, list[_Column]]:
    """Return the items where they stand, and the columns."""
    turning = _turning(ranking, divided)
    turns = max(map(len, turning))
    start = top + TURN_GAP * turns + (TURN_ROOM if turns else 0)
    left, right, down = MARGIN, [0.0] * len(ranking.ranks), [0.0] * len(ranking.ranks)
    columns = []
    for ranks, values in zip(divided, turning, strict=True):
        own, y = _items(ranking, ranks), start
        shift = left - min(item.left for item in own)
        for rank in ranks:
            right[rank], down[rank] = shift, y
            y += ranking.height(rank) + RANK_GAP
        edge = max(item.x + shift + item.width / 2 for item in own)
        columns.append(_Column(ranks, values, edge, y - RANK_GAP))
        left = edge + COLUMN_GAP + TURN_GAP * turns
    return ranking.moved(right, down), columns


def _turning(ranking: Ranking, divided: Sequence[range]) -> list[list[str]]:
    """Return for each column the values that go on in the next."""
    last_ranks = {ranks[-1]: number for number, ranks in enumerate(divided[:-1])}
    turning: list[list[str]] = [[] for _ in divided]
    for link in ranking.links:
        rank = ranking.items[link.source].rank
        if rank in last_ranks and link.value not in turning[last_ranks[rank]]:
            turning[last_ranks[rank]].append(link.value)
    return turning


def _lines(ranking: Ranking, columns: Sequence[_Column], top: float) -> Iterator[Curve | Turn]:
    column_of = {rank: column for column in columns for rank in column.ranks}
    for link in ranking.links:
        start, end = ranking.items[link.source], ranking.items[link.target]
        curve = curve_of(link, ranking, link.enters, arrow=True)
        column = column_of[start.rank]
        if end.rank in column.ranks:
            yield curve
        else:
            lane = TURN_GAP * column.turning.index(link.value)
            yield Turn(
                link.value,
                curve.start,
                max(column.bottom, curve.level) + TURN_ROOM + lane,
                column.right + COLUMN_GAP / 2 + lane,
                top + lane,
                curve.end,
                curve.arrow,
                curve.begins,
            )
