"""Signal-to-noise ratios."""

from __future__ import annotations

import math


def decibels(noise: float, signal: float) -> float:
    """Return the ratio of sums of squares: 20 for noise of a tenth of the signal.

    It is infinite for none, and minus infinity where NaN is among the noise.
    """
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 and math.isfinite(noise) else -math.inf
