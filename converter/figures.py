"""Figures as PNG, by matplotlib, which is imported where one is drawn: it takes its time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prototxt.atomic import replacing
from prototxt.optional import optional

NEEDS = "plots need"


def new_figure(width: float, height: float) -> Any:
    """Return an empty figure, its size in inches, that no window shows."""
    figure = optional("matplotlib.figure", "plots", NEEDS).Figure(
        figsize=(width, height), layout="constrained"
    )
    optional("matplotlib.backends.backend_agg", "plots", NEEDS).FigureCanvasAgg(figure)
    return figure


def write_figure(figure: Any, path: Path) -> None:
    """Write a figure, whole or not at all."""
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=120)
