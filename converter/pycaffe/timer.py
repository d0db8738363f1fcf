"""caffe.Timer."""

from __future__ import annotations

import time


class Timer:
    """Measures the time between `start` and `stop`, in `ms`."""

    def __init__(self) -> None:
        self._began = self._ended = 0.0

    def start(self) -> None:
        """Begin to measure."""
        self._began = self._ended = time.perf_counter()

    def stop(self) -> None:
        """Stop measuring."""
        self._ended = time.perf_counter()

    @property
    def ms(self) -> float:
        """The milliseconds between."""
        return 1000 * (self._ended - self._began)
