"""Who makes and who reads each value of a network's steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from .steps import Step


class StepIndex:
    """The maker and the readers of every value."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self._makers: dict[str, Step] = {}
        self._readers: dict[str, list[Step]] = defaultdict(list)
        for step in steps:
            self._makers.update(dict.fromkeys(step.tops, step))
            for value in step.bottoms:
                self._readers[value].append(step)

    def maker(self, value: str) -> Step | None:
        """Return the step that makes a value; None if it is fed."""
        return self._makers.get(value)

    def readers(self, value: str) -> Sequence[Step]:
        """Return the steps that read a value, in order; one that reads it twice is there twice."""
        return self._readers.get(value, ())

    def reader(self, value: str) -> Step | None:
        """Return the step that alone reads a value, once; None if there is none, or several."""
        readers = self.readers(value)
        return readers[0] if len(readers) == 1 else None
