"""Places boxes of a directed graph in ranks, so that every link points downwards.

The usual steps: ranks by the longest path, links over several ranks broken up by lanes, the order
within a rank by the mean of the neighbours, positions by least squares.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

SWEEPS = 12
ITEM_GAP = 22.0
"""Between neighbours in a rank."""
LANE_WIDTH = 12.0


@dataclass(frozen=True)
class Item:
    """A box to place, `x` its middle, `y` its upper edge; or a lane, where links pass a rank."""

    width: float
    height: float
    rank: int = 0
    x: float = 0.0
    y: float = 0.0
    lane: bool = False

    @property
    def left(self) -> float:
        return self.x - self.width / 2

    @property
    def right(self) -> float:
        return self.x + self.width / 2


@dataclass(frozen=True)
class Link:
    """A value on its way; `leaves` and `enters` are where, from the middles of the two boxes."""

    value: str
    source: Hashable
    target: Hashable
    leaves: float = 0.0
    enters: float = 0.0


@dataclass(frozen=True)
class Ranking:
    """Items by rank, left to right, and the links between neighbouring ranks."""

    items: Mapping[Hashable, Item]
    links: Sequence[Link]
    ranks: Sequence[Sequence[Hashable]]

    @property
    def left(self) -> float:
        return min((item.left for item in self.items.values()), default=0.0)

    @property
    def right(self) -> float:
        return max((item.right for item in self.items.values()), default=0.0)

    def height(self, rank: int) -> float:
        """Return the height of a rank's highest item."""
        return max((self.items[key].height for key in self.ranks[rank]), default=0.0)

    def moved(self, right: Sequence[float], down: Sequence[float]) -> Ranking:
        """Return this with each rank so much further to the right and down."""
        items = {
            key: replace(item, x=item.x + right[item.rank], y=item.y + down[item.rank])
            for key, item in self.items.items()
        }
        return replace(self, items=items)


def place(
    items: Mapping[Hashable, Item],
    links: Iterable[Link],
    first: Collection[Hashable] = (),
    last: Collection[Hashable] = (),
) -> Ranking:
    """Return the items in ranks with their `x`; they come in an order in which links point forward.

    Those in `first` stay in the first rank, those in `last` share the last. Every `y` is 0.
    """
    links = list(dict.fromkeys(links))
    ranks = rank_of(items, links, first, last)
    ranked = {key: replace(item, rank=ranks[key]) for key, item in items.items()}
    return _spread(_ordered(_broken_up(ranked, links)))


def rank_of(
    items: Iterable[Hashable],
    links: Iterable[Link],
    first: Collection[Hashable] = (),
    last: Collection[Hashable] = (),
) -> dict[Hashable, int]:
    """Return each item's rank: one below the lowest that it is linked from, from 0 on.

    What is linked from nothing stands just above the first that it is linked to.
    """
    above, below = _neighbours(links)
    ranks = dict.fromkeys(items, 0)
    for key in ranks:
        ranks[key] = max((ranks[source] + 1 for source in above[key]), default=0)
    for key in last:
        ranks[key] = 1 + max(rank for other, rank in ranks.items() if other not in last)
    for key in ranks:
        if not above[key] and below[key] and key not in first:
            ranks[key] = min(ranks[target] for target in below[key]) - 1
    return ranks


def _neighbours(
    links: Iterable[Link],
) -> tuple[dict[Hashable, list[Hashable]], dict[Hashable, list[Hashable]]]:
    above: dict[Hashable, list[Hashable]] = defaultdict(list)
    below: dict[Hashable, list[Hashable]] = defaultdict(list)
    for link in links:
        above[link.target].append(link.source)
        below[link.source].append(link.target)
    return above, below


def _broken_up(items: Mapping[Hashable, Item], links: Iterable[Link]) -> Ranking:
    """Put a lane into every rank that a link passes: one for all links of a value."""
    items = dict(items)
    ranks: list[list[Hashable]] = [[] for _ in range(1 + max(i.rank for i in items.values()))]
    for key, item in items.items():
        ranks[item.rank].append(key)
    short: dict[Link, None] = {}
    for link in links:
        before, leaves = link.source, link.leaves
        for rank in range(items[link.source].rank + 1, items[link.target].rank):
            lane = ("lane", link.source, link.value, rank)
            if lane not in items:
                items[lane] = Item(LANE_WIDTH, 0, rank, lane=True)
                ranks[rank].append(lane)
            short[Link(link.value, before, lane, leaves)] = None
            before, leaves = lane, 0.0
        short[Link(link.value, before, link.target, leaves, link.enters)] = None
    return Ranking(items, list(short), ranks)


def _ordered(ranking: Ranking) -> Ranking:
    """Return the order, among those that the sweeps come upon, in which fewest links cross."""
    above, below = _neighbours(ranking.links)
    between: dict[int, list[Link]] = defaultdict(list)
    for link in ranking.links:
        between[ranking.items[link.source].rank].append(link)
    ranks = best = ranking.ranks
    position = {key: index for rank in ranks for index, key in enumerate(rank)}
    least = _crossings(between.values(), position)
    for sweep in range(SWEEPS):
        if not least:
            break
        ranks = _swept(ranks, position, above if sweep % 2 == 0 else below, up=sweep % 2 == 1)
        if (crossings := _crossings(between.values(), position)) < least:
            best, least = ranks, crossings
    return replace(ranking, ranks=best)


def _swept(
    ranks: Sequence[Sequence[Hashable]],
    position: dict[Hashable, int],
    near: Mapping[Hashable, Sequence[Hashable]],
    *,
    up: bool,
) -> list[list[Hashable]]:
    """Sort each rank by the mean position of the neighbours, and note the new positions."""

    def mean(key: Hashable) -> float:
        others = near[key]
        return sum(position[other] for other in others) / len(others) if others else position[key]

    swept: list[list[Hashable]] = []
    for rank in reversed(ranks) if up else ranks:
        swept.append(sorted(rank, key=mean))
        position.update({key: index for index, key in enumerate(swept[-1])})
    return swept[::-1] if up else swept


def _crossings(between: Iterable[Sequence[Link]], position: Mapping[Hashable, int]) -> int:
    total = 0
    for group in between:
        ends = sorted((position[link.source], position[link.target]) for link in group)
        for index, a in enumerate(ends):
            total += sum(a[0] < b[0] and a[1] > b[1] for b in ends[index + 1 :])
    return total


def _spread(ranking: Ranking) -> Ranking:
    """Return the items with the `x` at which links are short and, between lanes, straight."""
    items = ranking.items
    near: dict[Hashable, list[tuple[Hashable, float, float]]] = defaultdict(list)
    for link in ranking.links:
        lanes = items[link.source].lane + items[link.target].lane
        weight, shift = (1.0, 2.0, 40.0)[lanes], link.leaves - link.enters
        near[link.target].append((link.source, shift, weight))
        near[link.source].append((link.target, -shift, weight))
    x = dict.fromkeys(items, 0.0)
    for rank in ranking.ranks:
        x.update(_settled(rank, items, [0.0] * len(rank), [1.0] * len(rank)))
    for sweep in range(4 * SWEEPS):
        for rank in ranking.ranks if sweep % 2 == 0 else reversed(ranking.ranks):
            wants, weights = [], []
            for key in rank:
                weight = sum(w for _, _, w in near[key]) or 0.01
                mean = sum(w * (x[other] + shift) for other, shift, w in near[key]) / weight
                wants.append(mean if near[key] else x[key])
                weights.append(weight)
            x.update(_settled(rank, items, wants, weights))
    return replace(ranking, items={key: replace(item, x=x[key]) for key, item in items.items()})


def _settled(
    rank: Sequence[Hashable],
    items: Mapping[Hashable, Item],
    wants: Sequence[float],
    weights: Sequence[float],
) -> dict[Hashable, float]:
    """Return the `x` of a rank's items: nearest to `wants` in squares, without overlaps."""
    offsets = [0.0]
    for left, right in pairwise(rank):
        offsets.append(offsets[-1] + (items[left].width + items[right].width) / 2 + ITEM_GAP)
    pools: list[tuple[float, float, int]] = []  # each: mean, weight, how many items
    for want, weight, offset in zip(wants, weights, offsets, strict=False):
        pools.append((want - offset, weight, 1))
        while len(pools) > 1 and pools[-2][0] >= pools[-1][0]:
            (mean, less, few), (other, more, count) = pools[-2:]
            total = less + more
            pools[-2:] = [((mean * less + other * more) / total, total, few + count)]
    means = [mean for mean, _, count in pools for _ in range(count)]
    return {key: mean + offset for key, mean, offset in zip(rank, means, offsets, strict=False)}
