"""How many bottoms or tops a layer takes."""

from __future__ import annotations

from typing import NamedTuple


class Count(NamedTuple):
    """How many bottoms or tops a layer takes; `most` None means any number."""

    least: int
    most: int | None

    @classmethod
    def of(cls, number: int | tuple[int, int | None]) -> Count:
        """Return the count that a class statement writes as a number or as `(least, most)`."""
        return cls(number, number) if isinstance(number, int) else cls(*number)

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and (
            self.least <= number and (self.most is None or number <= self.most)
        )

    def __str__(self) -> str:
        if self.least == self.most:
            return str(self.least)
        return f"{self.least} or more" if self.most is None else f"{self.least} to {self.most}"
