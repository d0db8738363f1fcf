"""How far an evaluation is, kept in a file from which it can go on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from prototxt.atomic import writing
from prototxt.errors import FormatError, UsageError

SECONDS_BETWEEN_WRITES = 10.0

COUNTS = ("done", "top1_wrong", "top5_wrong", "classes")


def refuse_other(path: Path, kept: Any, identity: Mapping[str, Any], what: str) -> None:
    """Raise UsageError, which says `what` a state is of, if it was kept for another identity."""
    now = json.loads(json.dumps(identity))
    if kept != now:
        changed = ", ".join(key for key in now if kept.get(key) != now[key])
        raise UsageError(f"{path} is the state of {what} {changed}", fix="remove it to begin anew")


@dataclass
class EvaluationState:
    """Counts of the first `done` samples of one process, and what evaluation they are of."""

    path: Path | None
    identity: dict[str, Any]
    done: int = 0
    top1_wrong: int = 0
    top5_wrong: int = 0
    classes: int = 0
    _written: float = field(default_factory=time.monotonic)

    @classmethod
    def open(
        cls, path: str | PathLike[str] | None, identity: dict[str, Any], rank: int = 0
    ) -> EvaluationState:
        """Read the state of one process, if there is one; CaffeError if it is of something else."""
        if path is None:
            return cls(None, identity)
        own = Path(f"{path}.{rank}" if rank else path)
        if not own.exists():
            return cls(own, identity)
        try:
            kept = json.loads(own.read_text())
            counts = {name: int(kept[name]) for name in COUNTS}
            other = kept["identity"]
        except (ValueError, KeyError, TypeError):
            raise FormatError(f"{own} is no state of an evaluation", fix="remove it") from None
        refuse_other(own, other, identity, "another evaluation, which differs in its")
        return cls(own, identity, **counts)

    def add(self, done: int, top1_wrong: int, top5_wrong: int, classes: int) -> None:
        """Count a batch; write the state now and then."""
        self.done += done
        self.top1_wrong += top1_wrong
        self.top5_wrong += top5_wrong
        self.classes = classes
        if time.monotonic() - self._written > SECONDS_BETWEEN_WRITES:
            self.write()

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Write the state also where the evaluation is cut off."""
        try:
            yield
        finally:
            if self.done:
                self.write()

    def write(self) -> None:
        """Write the file, whole."""
        if self.path is None:
            return
        with writing(self.path) as file:
            counts = {name: getattr(self, name) for name in COUNTS}
            file.write(json.dumps({**counts, "identity": self.identity}).encode())
        self._written = time.monotonic()

    def finish(self) -> None:
        """Remove the file: there is nothing left to go on with."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
