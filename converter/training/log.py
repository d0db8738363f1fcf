"""A training's events in a file, a JSON object a line."""

from __future__ import annotations

import json
import math
import time
from os import PathLike
from pathlib import Path
from typing import Any

from .events import Displayed, Ended, Event, NetTested, SnapshotWritten, Started

EVENTS = {event.name: event for event in (Started, Displayed, NetTested, SnapshotWritten, Ended)}


class JsonLog:
    """A file with one JSON object a line, complete after every event.

    Each begins with its `time`, in seconds since 1970, and the `event`'s name. A training that goes
    on appends to it. Numbers that JSON lacks (NaN, infinity) are null.
    """

    def __init__(self, path: str | PathLike[str], *, append: bool = False) -> None:
        self.path = Path(path)
        self._file = self.path.open("a" if append else "w", encoding="utf-8")

    def write(self, event: Event) -> None:
        """Append one event."""
        told = {name: value for name, value in vars(event).items() if value != ()}
        line = {"time": round(time.time(), 3), "event": event.name, **told}
        print(json.dumps(_finite(line), allow_nan=False), file=self._file, flush=True)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_log(path: str | PathLike[str]) -> list[Event]:
    """Return a log's events; of an iteration that was trained twice, the later."""
    kept: dict[tuple[str, int, int], Event] = {}
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        event = _read_event(line)
        if isinstance(event, Started):
            # What the training before had done beyond this point is undone.
            kept = {key: old for key, old in kept.items() if old.iter <= event.iter}
        key = (event.name, event.iter, event.net if isinstance(event, NetTested) else 0)
        kept.pop(key, None)
        kept[key] = event
    return list(kept.values())


def _read_event(line: str) -> Event:
    fields: dict[str, Any] = json.loads(line)
    fields.pop("time", None)
    event = EVENTS[fields.pop("event")]
    if event is Displayed:
        fields["loss"] = _number(fields["loss"])
    if "outputs" in fields:
        fields["outputs"] = {
            name: [_number(value) for value in values] for name, values in fields["outputs"].items()
        }
    read: Event = event(**fields)
    return read


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
