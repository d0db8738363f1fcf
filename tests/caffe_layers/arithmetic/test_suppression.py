"""Suppression in blocks keeps what going one by one keeps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from caffe_layers.arithmetic.suppression import BLOCK, survivors


def one_by_one(candidates: Tensor, matrix: Tensor, most: int | None) -> list[int]:
    kept: list[int] = []
    for row in range(len(candidates)):
        free = bool(candidates[row]) and not any(bool(matrix[other, row]) for other in kept)
        if free and (most is None or len(kept) < most):
            kept.append(row)
    return kept


@pytest.mark.parametrize("share", [0.0, 0.004, 0.05, 1.0])
@pytest.mark.parametrize("most", [None, 1, BLOCK, BLOCK + 3, 10000])
@pytest.mark.parametrize("rows", [0, 1, BLOCK, 3 * BLOCK + 5])
def test_survivors(share: float, most: int | None, rows: int) -> None:
    generator = torch.Generator().manual_seed(1701)
    matrix = torch.rand(rows, rows, generator=generator) < share
    candidates = torch.rand(rows, generator=generator) < 0.9
    got = survivors(candidates, lambda a, b: matrix[a][:, b], most)
    assert got.tolist() == one_by_one(candidates, matrix, most)
