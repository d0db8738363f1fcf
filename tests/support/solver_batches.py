"""Recorded batches as a solver's feed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from converter.network.net import CaffeNet


class Batches:
    """Recorded batches, one for each pass, to feed a network with."""

    def __init__(self, path: Path | str, dtype: torch.dtype, first: int = 0) -> None:
        with np.load(path) as held:
            self.batches = {name: torch.from_numpy(held[name]).to(dtype) for name in held.files}
        self.next = first

    def __call__(self, net: CaffeNet) -> dict[str, torch.Tensor]:
        self.next += 1
        return {name: batch[self.next - 1] for name, batch in self.batches.items()}
