"""Where a window over the capsules of an image lies."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from caffe_layers.base.checks import require


class Places(NamedTuple):
    """An image of capsules and the window over it, as CapsNet's messages say them."""

    input_h: int
    input_w: int
    kh: int
    kw: int
    stride: int

    def check(self) -> None:
        """Raise ShapeError where one is not given, or the window does not fit."""
        for name, size in self._asdict().items():
            require(size > 0, f"{name} is {size}, wants 1 or more")
        fits = self.kh <= self.input_h and self.kw <= self.input_w
        image, window = f"{self.input_h} x {self.input_w}", f"{self.kh} x {self.kw}"
        require(fits, f"the window {window} does not fit {image} capsules")

    @property
    def rows(self) -> int:
        """How many windows lie below each other."""
        return (self.input_h - self.kh) // self.stride + 1

    @property
    def columns(self) -> int:
        """How many windows lie beside each other."""
        return (self.input_w - self.kw) // self.stride + 1

    def seen(self) -> NDArray[np.int64]:
        """Return the place that each window sees by each of its own: windows x (kh kw)."""
        top, left = np.divmod(np.arange(self.rows * self.columns), self.columns)
        down, right = np.divmod(np.arange(self.kh * self.kw), self.kw)
        row = top[:, None] * self.stride + down
        seen: NDArray[np.int64] = row * self.input_w + left[:, None] * self.stride + right
        return seen

    def seen_last(self) -> NDArray[np.bool_]:
        """Tell of each whether no later window sees the same place."""
        top, left = np.divmod(np.arange(self.rows * self.columns), self.columns)
        down, right = np.divmod(np.arange(self.kh * self.kw), self.kw)
        below: NDArray[np.bool_] = (top[:, None] == self.rows - 1) | (down < self.stride)
        last: NDArray[np.bool_] = (left[:, None] == self.columns - 1) | (right < self.stride)
        return below & last
