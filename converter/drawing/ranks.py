"""Places boxes of a directed graph in ranks, so that every link points downwards.

The usual steps: ranks by the longest path, links over several ranks broken up by lanes, the order
within a rank by the mean of the neighbours, positions by least squares.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

SWEEPS = 12
GAP = 22.0
"""Between neighbours in a rank."""


@dataclass
class Item:
    """A box to place, `x` its middle, `y` its upper edge; or a lane, where links pass a rank."""

    width: float
    height: float
    rank: int = 0
    x: float = 0.0
    y: float = 0.0
    lane: bool = False


@dataclass(frozen=True)
class Link:
    """A value on its way; `leaves` and `enters` are where, from the middles of the two boxes."""

    value: str
    source: Hashable
    target: Hashable
    leaves: float = 0.0
    enters: float = 0.0


@dataclass
class Layers:
    """The items by rank, left to right, and the links between neighbouring ranks."""

    items: dict[Hashable, Item]
    links: list[Link] = field(default_factory=list)
    ranks: list[list[Hashable]] = field(default_factory=list)

    @property
    def left(self) -> float:
        return min((item.x - item.width / 2 for item in self.items.values()), default=0.0)

    @property
    def right(self) -> float:
        return max((item.x + item.width / 2 for item in self.items.values()), default=0.0)

    def height(self, rank: int) -> float:
        """Return the height of a rank's highest item."""
        return max((self.items[key].height for key in self.ranks[rank]), default=0.0)


def place(
    items: dict[Hashable, Item],
    links: Iterable[Link],
    first: Collection[Hashable] = (),
    last: Collection[Hashable] = (),
) -> Layers:
    """Return the items with ranks and `x` set; they come in an order in which links point forward.

    Those in `first` stay in the first rank, those in `last` share the last. The `y` are the
    caller's to set.
    """
    links = list(dict.fromkeys(links))
    _rank(items, links, first, last)
    layers = Layers(dict(items))
    _break_up(layers, links)
    _order(layers)
    _spread(layers)
    return layers


def _rank(
    items: dict[Hashable, Item],
    links: Sequence[Link],
    first: Collection[Hashable],
    last: Collection[Hashable],
) -> None:
    reads, feeds = defaultdict(list), defaultdict(list)
    for link in links:
        reads[link.target].append(link.source)
        feeds[link.source].append(link.target)
    for key, item in items.items():
        item.rank = max((items[source].rank + 1 for source in reads[key]), default=0)
    for key in last:
        items[key].rank = 1 + max(item.rank for k, item in items.items() if k not in last)
    for key, item in items.items():
        if not reads[key] and feeds[key] and key not in first:  # stands just above its first reader
            item.rank = min(items[target].rank for target in feeds[key]) - 1


def _break_up(layers: Layers, links: Sequence[Link]) -> None:
    """Put a lane into every rank that a link passes: one for all links of a value."""
    layers.ranks = [[] for _ in range(1 + max(item.rank for item in layers.items.values()))]
    for key, item in layers.items.items():
        layers.ranks[item.rank].append(key)
    short: dict[Link, None] = {}
    for link in links:
        start, end = layers.items[link.source].rank, layers.items[link.target].rank
        before, leaves = link.source, link.leaves
        for rank in range(start + 1, end):
            lane = ("lane", link.source, link.value, rank)
            if lane not in layers.items:
                layers.items[lane] = Item(12, 0, rank, lane=True)
                layers.ranks[rank].append(lane)
            short[Link(link.value, before, lane, leaves)] = None
            before, leaves = lane, 0.0
        short[Link(link.value, before, link.target, leaves, link.enters)] = None
    layers.links = list(short)


def _order(layers: Layers) -> None:
    above, below = defaultdict(list), defaultdict(list)
    between = defaultdict(list)
    for link in layers.links:
        above[link.target].append(link.source)
        below[link.source].append(link.target)
        between[layers.items[link.source].rank].append(link)
    place_of: dict[Hashable, float] = {}

    def number(rank: Sequence[Hashable]) -> None:
        place_of.update({key: index for index, key in enumerate(rank)})

    def crossings() -> int:
        total = 0
        for group in between.values():
            if len(group) > 1:
                ends = sorted((place_of[a.source], place_of[a.target]) for a in group)
                total += sum(
                    a[0] < b[0] and a[1] > b[1] for i, a in enumerate(ends) for b in ends[i + 1 :]
                )
        return total

    for rank in layers.ranks:
        number(rank)
    best, least = [list(rank) for rank in layers.ranks], crossings()
    for sweep in range(SWEEPS):
        if not least:
            break
        down = sweep % 2 == 0
        near = above if down else below
        for rank in layers.ranks if down else reversed(layers.ranks):
            means = {
                key: sum(place_of[other] for other in near[key]) / len(near[key])
                if near[key]
                else place_of[key]
                for key in rank
            }
            rank.sort(key=means.__getitem__)
            number(rank)
        if (now := crossings()) < least:
            best, least = [list(rank) for rank in layers.ranks], now
    layers.ranks = best


def _spread(layers: Layers) -> None:
    items = layers.items
    near: dict[Hashable, list[tuple[Item, float, float]]] = defaultdict(list)
    for link in layers.links:
        source, target = items[link.source], items[link.target]
        weight = 40.0 if source.lane and target.lane else 2.0 if source.lane or target.lane else 1.0
        shift = link.leaves - link.enters
        near[link.target].append((source, shift, weight))
        near[link.source].append((target, -shift, weight))
    for rank in layers.ranks:
        _settle([items[key] for key in rank], [0.0] * len(rank), [1.0] * len(rank))
    for sweep in range(4 * SWEEPS):
        for rank in layers.ranks if sweep % 2 == 0 else reversed(layers.ranks):
            wants, weights = [], []
            for key in rank:
                weight = sum(w for _, _, w in near[key]) or 0.01
                mean = sum(w * (item.x + shift) for item, shift, w in near[key]) / weight
                wants.append(mean if near[key] else items[key].x)
                weights.append(weight)
            _settle([items[key] for key in rank], wants, weights)


def _settle(row: Sequence[Item], wants: Sequence[float], weights: Sequence[float]) -> None:
    """Set the `x` of a rank's items: nearest to what they want in squares, without overlaps."""
    offsets = [0.0]
    for left, right in pairwise(row):
        offsets.append(offsets[-1] + (left.width + right.width) / 2 + GAP)
    pools: list[list[float]] = []  # each: mean, weight, how many items
    for want, weight, offset in zip(wants, weights, offsets, strict=False):
        pools.append([want - offset, weight, 1])
        while len(pools) > 1 and pools[-2][0] >= pools[-1][0]:
            mean, more, count = pools.pop()
            total = pools[-1][1] + more
            pools[-1] = [
                (pools[-1][0] * pools[-1][1] + mean * more) / total,
                total,
                pools[-1][2] + count,
            ]
    means = [mean for mean, _, count in pools for _ in range(int(count))]
    for item, mean, offset in zip(row, means, offsets, strict=False):
        item.x = mean + offset
