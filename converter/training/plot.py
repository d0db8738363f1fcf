"""A picture of a training: losses, what the tests measured, the learning rate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from importlib.util import find_spec
from os import PathLike
from pathlib import Path

from converter.figures import new_figure, write_figure
from prototxt.optional import installing

from .events import Displayed, Event, NetTested

ADVICE = installing("plots")

Curve = tuple[list[int], list[float]]


def can_draw() -> bool:
    """Tell whether matplotlib, an optional part, is installed."""
    return find_spec("matplotlib") is not None


def draw_curve(events: Sequence[Event], path: str | PathLike[str], title: str = "") -> bool:
    """Draw a log's events as PNG; False, and no file, where there is nothing to draw."""
    losses, measured, rates = _curves(events)
    if not losses:
        return False
    from matplotlib.ticker import MaxNLocator

    panels = [("loss", losses), ("test", measured), ("learning rate", rates)]
    panels = [(name, curves) for name, curves in panels if curves]
    heights = [1 if name == "learning rate" else 3 for name, _ in panels]
    figure = new_figure(8, 0.9 * sum(heights) + 0.8)
    grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)
    for (name, curves), axes in zip(panels, grid[:, 0], strict=True):
        for label, (at, values) in curves.items():
            few = len(at) < 40 and label != "train"
            marker = "o" if few else ""
            axes.plot(at, values, label=label, linewidth=1.2, marker=marker, markersize=3)
        axes.set_ylabel(name)
        axes.grid(alpha=0.3)
        if name != "learning rate":
            axes.legend(loc="best", fontsize="small")
    if _is_wide(losses):
        grid[0, 0].set_yscale("log")
    grid[-1, 0].set_xlabel("iteration")
    grid[-1, 0].xaxis.set_major_locator(MaxNLocator(integer=True))
    if title:
        grid[0, 0].set_title(title)
    write_figure(figure, Path(path))
    return True


def _curves(events: Sequence[Event]) -> tuple[dict[str, Curve], dict[str, Curve], dict[str, Curve]]:
    losses: dict[str, Curve] = defaultdict(lambda: ([], []), train=([], []))
    measured: dict[str, Curve] = defaultdict(lambda: ([], []))
    rates: dict[str, Curve] = defaultdict(lambda: ([], []))
    several = len({event.net for event in events if isinstance(event, NetTested)}) > 1
    for event in events:
        if isinstance(event, Displayed):
            _add(losses["train"], event.iter, event.loss)
            if event.lr is not None:
                _add(rates["lr"], event.iter, event.lr)
        elif isinstance(event, NetTested):
            number = f" (net {event.net})" if several else ""
            for name, values in event.outputs.items():
                if len(values) == 1:
                    panel, what = (losses, "test ") if name in event.weights else (measured, "")
                    _add(panel[f"{what}{name}{number}"], event.iter, values[0])
    return {name: curve for name, curve in losses.items() if curve[0]}, measured, rates


def _add(curve: Curve, at: int, value: float) -> None:
    curve[0].append(at)
    curve[1].append(value)


def _is_wide(curves: dict[str, Curve]) -> bool:
    """Tell whether the values are positive and some a hundred times others."""
    values = [value for _, row in curves.values() for value in row if value == value]
    return bool(values) and min(values) > 0 and max(values) > 100 * min(values)
