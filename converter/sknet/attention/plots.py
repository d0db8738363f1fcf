"""Attention as pictures, to be set beside the paper's figures 3 and 4."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from converter.figures import new_figure, write_figure

from .measure import Attention
from .units import Unit

PAPER_UNITS = ("SK_2_3", "SK_3_4", "SK_5_3")
"""The units that the paper shows class by class."""
MOST_NAMED_CLASSES = 60
"""The most classes whose names an axis can carry."""


def draw_attention(attention: Attention, folder: Path, classes: Sequence[str] = ()) -> list[Path]:
    """Draw `units.png`, `classes.png` and `channels.png`; return their paths.

    units: each unit's mean attention of the largest kernel minus that of the smallest, at every
    scale. classes: the same class by class for three units. channels: the first image, and its
    attention channel by channel in those units. Raises UsageError where matplotlib is missing.
    """
    drawings = {"units": _units, "classes": _classes, "channels": _channels}
    paths = []
    for name, draw in drawings.items():
        paths.append(folder / f"{name}.png")
        write_figure(draw(attention, classes), paths[-1])
    return paths


def _what(unit: Unit) -> str:
    large, small = unit.kernels[unit.largest], unit.kernels[unit.smallest]
    return f"attention of {large}x{large}\nminus {small}x{small}"


def _units(attention: Attention, _: Sequence[str]) -> Any:
    figure = new_figure(max(7.0, 0.55 * len(attention.units) + 2), 4.2)
    axes = figure.subplots()
    places = np.arange(len(attention.units))
    width = 0.8 / len(attention.scales)
    for index, scale in enumerate(attention.scales):
        means = [attention.difference(index, unit).mean() for unit in attention.units]
        offset = (index - (len(attention.scales) - 1) / 2) * width
        axes.bar(places + offset, means, width, label=f"{scale:g}x")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xticks(places, [unit.name for unit in attention.units], rotation=45, ha="right")
    axes.set_ylabel(f"mean {_what(attention.units[0])}")
    axes.set_xlabel("SK unit, from the first to the last")
    axes.set_title(f"Selection over {len(attention.names):,} images, by the object's scale")
    axes.legend(title="scale")
    axes.grid(axis="y", alpha=0.3)
    return figure


def _chosen(attention: Attention) -> list[Unit]:
    known = attention.units
    papers = [unit for unit in known if unit.name in PAPER_UNITS]
    return papers or list(dict.fromkeys([known[0], known[len(known) // 2], known[-1]]))


def _classes(attention: Attention, names: Sequence[str]) -> Any:
    units = _chosen(attention)
    numbers = sorted(set(attention.classes.tolist()))
    few = len(numbers) <= MOST_NAMED_CLASSES
    figure = new_figure(max(7.0, min(16.0, 0.3 * len(numbers) + 2)), 2.6 * len(units) + 0.8)
    grid = figure.subplots(len(units), 1, sharex=True, squeeze=False)[:, 0]
    for axes, unit in zip(grid, units, strict=True):
        for index, scale in enumerate(attention.scales):
            difference = attention.difference(index, unit)
            means = [difference[attention.classes == number].mean() for number in numbers]
            marker = "o" if few else ""
            axes.plot(means, label=f"{scale:g}x", marker=marker, markersize=3, linewidth=1.2)
        axes.set_title(unit.name)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_ylabel(_what(unit))
        axes.grid(alpha=0.3)
    grid[0].legend(title="scale", loc="best", fontsize="small")
    if few:
        called = [names[number] if number < len(names) else str(number) for number in numbers]
        grid[-1].set_xticks(range(len(numbers)), called, rotation=60 if names else 0)
    grid[-1].set_xlabel("class")
    return figure


def _channels(attention: Attention, _: Sequence[str]) -> Any:
    units = _chosen(attention)
    figure = new_figure(11.0, 2.6 * len(units) + 0.6)
    grid = figure.subplots(len(units), 2, squeeze=False, width_ratios=[1, 3.2])
    for row, unit in enumerate(units):
        picture, axes = grid[row]
        picture.axis("off")
        if row == 0:
            picture.imshow(attention.first_images[0])
            picture.set_title(Path(attention.names[0]).name, fontsize="small")
        for index, scale in enumerate(attention.scales):
            values = attention.channels[index][unit.name]
            axes.plot(
                values[unit.largest] - values[unit.smallest], linewidth=0.9, label=f"{scale:g}x"
            )
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_title(unit.name)
        axes.set_ylabel(_what(unit))
        axes.set_xlim(0, max(1, unit.channels - 1))
        axes.grid(alpha=0.3)
    grid[0][1].legend(title="scale", loc="best", fontsize="small")
    grid[-1][1].set_xlabel("channel")
    return figure
