"""Non-maximum suppression."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def survivors(
    candidates: Tensor, hidden_by: Callable[[int], Tensor], most: int | None = None
) -> Tensor:
    """Return which of the candidates are kept, `most` of them at most, as their indices in order.

    `candidates` tells which of the rows, sorted by score, take part. Going from the first to the
    last, a row is kept unless a kept one hides it; `hidden_by` says which rows one row hides.
    """
    alive = candidates.clone()
    kept: list[int] = []
    while (most is None or len(kept) < most) and bool(alive.any()):
        first = int(alive.nonzero()[0])
        kept.append(first)
        alive &= ~hidden_by(first)
        alive[first] = False
    return torch.tensor(kept, dtype=torch.long, device=candidates.device)
