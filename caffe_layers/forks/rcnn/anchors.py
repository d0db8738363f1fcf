"""Anchors: the boxes of several sizes and proportions that a proposal starts from."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, sqrt

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]


def rounded_anchors(
    scales: Sequence[float],
    ratios: Sequence[float] = (0.5, 1, 2),
    base_size: int = 16,
    *,
    halves_up: bool = False,
) -> Boxes:
    """Return py-faster-rcnn's anchors, A x 4: [x1, y1, x2, y2], of each ratio all the scales.

    A box of the base's area is as high as `ratio` times its width, both rounded (halves to even,
    or up as in C++), and then as many times larger as `scales` say, about the base's centre.
    """
    centre = (base_size - 1) / 2
    rounded = _half_up if halves_up else np.round
    boxes = []
    for ratio in ratios:
        width = rounded(sqrt(base_size * base_size / ratio))
        height = rounded(width * ratio)
        for scale in scales:
            half = [(width * scale - 1) / 2, (height * scale - 1) / 2]
            boxes.append([*(centre - size for size in half), *(centre + size for size in half)])
    return np.array(boxes, np.float64)


def _half_up(size: float) -> float:
    return floor(size + 0.5)


def pixel_anchors(scales: Sequence[float], ratios: Sequence[float], base_size: int) -> Boxes:
    """Return happynear's anchors: `scale` is the side in pixels of a square of the same area.

    Half of the width is half of `scale / sqrt(ratio) - 1` rounded, as C++ does by adding 0.5 and
    cutting off what is behind the point; the height alike with `scale * sqrt(ratio) - 1`.
    """
    centre = (base_size - 1) / 2
    boxes = []
    for ratio in ratios:
        for scale in scales:
            width = sqrt(base_size * base_size / ratio)
            sides = (width * scale / base_size, width * ratio * scale / base_size)
            half = [int(side - 1 + 0.5) / 2 for side in sides]
            boxes.append([*(centre - size for size in half), *(centre + size for size in half)])
    return np.array(boxes, np.float64)
