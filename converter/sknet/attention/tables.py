"""Attention as CSV: by unit, by class, by image, by channel."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from prototxt.atomic import writing

from .measure import Attention
from .units import Unit


def write_tables(attention: Attention, folder: Path, classes: Sequence[str] = ()) -> list[Path]:
    """Write `units.csv`, `classes.csv`, `images.csv` and `channels.csv`; return their paths.

    Each row has the mean attention of every branch; `difference` is that of the largest kernel
    minus that of the smallest.
    """
    most = max(unit.branches for unit in attention.units)
    branches = [f"branch{index}" for index in range(most)]
    tables = {
        "units": (["scale", "unit"], _units(attention)),
        "classes": (["scale", "unit", "class", "name", "images"], _classes(attention, classes)),
        "images": (["scale", "unit", "image", "class"], _images(attention)),
        "channels": (["scale", "unit", "image", "channel"], _channels(attention)),
    }
    paths = []
    for name, (keys, rows) in tables.items():
        path = folder / f"{name}.csv"
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow([*keys, *branches, "difference"])
        for key, unit, means in rows:
            blanks = [""] * (most - len(means))
            difference = means[unit.largest] - means[unit.smallest]
            table.writerow([*key, *map(_number, means), *blanks, _number(difference)])
        with writing(path) as file:
            file.write(text.getvalue().encode())
        paths.append(path)
    return paths


CsvRow = tuple[Sequence[object], Unit, Sequence[float]]


def _units(attention: Attention) -> Iterable[CsvRow]:
    for index, scale in enumerate(attention.scales):
        for unit in attention.units:
            yield (scale, unit.name), unit, attention.mean[index][unit.name].mean(0).tolist()


def _classes(attention: Attention, names: Sequence[str]) -> Iterable[CsvRow]:
    for index, scale in enumerate(attention.scales):
        for unit in attention.units:
            for number in sorted(set(attention.classes.tolist())):
                rows = attention.mean[index][unit.name][attention.classes == number]
                name = names[number] if number < len(names) else ""
                yield (scale, unit.name, number, name, len(rows)), unit, rows.mean(0).tolist()


def _images(attention: Attention) -> Iterable[CsvRow]:
    for index, scale in enumerate(attention.scales):
        for unit in attention.units:
            rows = attention.mean[index][unit.name].tolist()
            for name, number, row in zip(attention.names, attention.classes, rows, strict=True):
                yield (scale, unit.name, name, number), unit, row


def _channels(attention: Attention) -> Iterable[CsvRow]:
    for index, scale in enumerate(attention.scales):
        for unit in attention.units:
            for channel, row in enumerate(attention.channels[index][unit.name].T.tolist()):
                yield (scale, unit.name, attention.names[0], channel), unit, row


def _number(value: float) -> str:
    return f"{value:.6g}"
