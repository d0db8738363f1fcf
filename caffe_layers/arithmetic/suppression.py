"""Non-maximum suppression."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

BLOCK = 128


def survivors(
    candidates: Tensor, hides: Callable[[Tensor, Tensor], Tensor], most: int | None = None
) -> Tensor:
    """Return which of the candidates are kept, `most` of them at most, as their indices in order.

    `candidates` tells which of the rows, sorted by score, take part. Going from the first to the
    last, a row is kept unless a kept one hides it; `hides(a, b)` says which of the rows a hide
    which of the rows b, as a matrix.
    """
    left = candidates.nonzero()[:, 0]
    kept: list[Tensor] = []
    count = 0
    while len(left) and (most is None or count < most):
        block, left = left[:BLOCK], left[BLOCK:]
        # Within a block one by one, by a small matrix; then all of the rest at once.
        matrix = hides(block, block).tolist()
        hidden = [False] * len(block)
        chosen = []
        for row, others in enumerate(matrix):
            if not hidden[row]:
                chosen.append(row)
                hidden = [a or b for a, b in zip(hidden, others, strict=True)]
        kept.append(block[chosen])
        count += len(chosen)
        if len(left):
            left = left[~hides(kept[-1], left).any(0)]
    return torch.cat(kept)[:most] if kept else left


def overlaps(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor], pixel: float = 0.0) -> Tensor:
    """Return the intersection over union of every box of a with every box of b.

    Boxes are given as corners, K x 4: [x1, y1, x2, y2], and areas, K; `pixel` is what the last
    pixel adds to a side.
    """
    first, second = a[0][:, :, None], b[0].t()
    sides = [
        first[:, i + 2].minimum(second[i + 2]).sub_(first[:, i].maximum(second[i])).add_(pixel)
        for i in (0, 1)
    ]
    common = sides[0].clamp_(min=0).mul_(sides[1].clamp_(min=0))
    return common / (a[1][:, None] + b[1]).sub_(common)
