"""Who makes and who reads each blob of a definition."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

NOBODY = -1


class Value(NamedTuple):
    """What a layer writes to a blob: the layer's index, the top's number in it, the blob's name.

    A blob written several times has several values. One that is read before is NOBODY's.
    """

    maker: int
    number: int
    blob: str


@dataclass(frozen=True)
class BlobIndex:
    """Of each layer, by its index, the values of its bottoms and of its tops."""

    bottoms: Sequence[Sequence[Value]]
    tops: Sequence[Sequence[Value]]
    _readers: Mapping[Value, Sequence[int]]

    @classmethod
    def of(cls, layers: Sequence[Any]) -> BlobIndex:
        """Return the index of layers in the order in which they run."""
        last: dict[str, Value] = {}
        bottoms: list[list[Value]] = []
        tops: list[list[Value]] = []
        readers: dict[Value, list[int]] = defaultdict(list)
        for index, layer in enumerate(layers):
            bottoms.append([last.get(name, Value(NOBODY, NOBODY, name)) for name in layer.bottom])
            for value in bottoms[-1]:
                readers[value].append(index)
            tops.append([Value(index, number, name) for number, name in enumerate(layer.top)])
            last.update((value.blob, value) for value in tops[-1])
        return cls(bottoms, tops, dict(readers))

    def readers(self, value: Value) -> Sequence[int]:
        """Return the layers that read a value, in order; one that reads it twice is there twice."""
        return self._readers.get(value, ())

    def last(self, blob: str) -> Value | None:
        """Return what a blob holds at the end, None where no layer makes it."""
        versions = [value for tops in self.tops for value in tops if value.blob == blob]
        return versions[-1] if versions else None

    def needed(self, wanted: Iterable[Value]) -> tuple[set[Value], set[int]]:
        """Return the values, and the layers that make them, which wanted values come from.

        What nobody makes is a value without a layer.
        """
        values: set[Value] = set()
        makers: set[int] = set()
        ahead = list(wanted)
        while ahead:
            value = ahead.pop()
            values.add(value)
            if value.maker not in makers and value.maker != NOBODY:
                makers.add(value.maker)
                ahead += self.bottoms[value.maker]
        return values, makers

    def missing(self, index: int) -> Iterator[str]:
        """Yield the bottoms of a layer that no earlier layer makes."""
        return (value.blob for value in self.bottoms[index] if value.maker == NOBODY)
