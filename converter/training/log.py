"""What a training reports: lines as Caffe's tools write them, and JSON for machines."""

from __future__ import annotations

import json
import math
from os import PathLike
from pathlib import Path
from typing import Any

from .testing import Outputs

Event = dict[str, Any]


def lines_of(event: Event) -> list[str]:
    """Return what a person reads of an event, worded so that readers of Caffe's logs understand."""
    match event["event"]:
        case "train":
            return _train_lines(event)
        case "test":
            lines = [f"Iteration {event['iter']}, Testing net (#{event['net']})"]
            if event["loss"] is not None:
                lines.append(f"Test loss: {event['loss']:g}")
            return lines + _outputs("Test", event)
        case "snapshot":
            return [f"Iteration {event['iter']}, wrote {event['model']} and {event['state']}"]
        case _:
            return []


def _train_lines(event: Event) -> list[str]:
    done, seconds = event["iterations"], event["seconds"]
    speed = f" ({done / seconds:.4g} iter/s, {seconds:.4g}s/{done} iters)" if done else ""
    lines = [f"Iteration {event['iter']}{speed}, loss = {event['loss']:g}"]
    lines += _outputs("Train", event)
    if event["lr"] is not None:
        lines.append(f"Iteration {event['iter']}, lr = {event['lr']:g}")
    return lines


def _outputs(what: str, event: Event) -> list[str]:
    lines = Outputs(event["outputs"], event["weights"]).lines()
    return [f"    {what} net output #{index}: {line}" for index, line in enumerate(lines)]


class JsonLog:
    """A file with one JSON object a line, complete after every event.

    A training that goes on appends to it. Numbers that JSON lacks (NaN, infinity) are null.
    """

    def __init__(self, path: str | PathLike[str], *, append: bool = False) -> None:
        self.path = Path(path)
        self._file = self.path.open("a" if append else "w", encoding="utf-8")

    def write(self, event: Event) -> None:
        """Append one event."""
        print(json.dumps(_plain(event), allow_nan=False), file=self._file, flush=True)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_log(path: str | PathLike[str]) -> list[Event]:
    """Return a log's events; of an iteration that was trained twice, the later."""
    kept: dict[tuple[Any, ...], Event] = {}
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if event["event"] == "start":
            # What the training before had done beyond this point is undone.
            kept = {key: old for key, old in kept.items() if old["iter"] <= event["iter"]}
        key = (event["event"], event.get("iter"), event.get("net"))
        kept.pop(key, None)
        kept[key] = event
    return list(kept.values())


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
