"""CTCGreedyDecoder against its loops: what is decoded, and how near it is to labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from prototxt import CaffeError
from tests.support.restated import check, load

RNG = np.random.default_rng(1701)


def layer(param: str = "", bottoms: str = "x") -> str:
    ends = "".join(f' bottom: "{name}"' for name in bottoms.split())
    return (
        f'layer {{ name: "L" type: "CTCGreedyDecoder"{ends} top: "y" '
        f"ctc_decoder_param {{ {param} }} }}"
    )


def decode(x: np.ndarray, blank: int, *, merges: bool) -> list[list[int]]:
    found = []
    for n in range(x.shape[1]):
        row, before = [], -1
        for t in range(x.shape[0]):
            best = 0
            for c in range(1, x.shape[2]):
                if x[t, n, c] > x[t, n, best]:
                    best = c
            if best != blank and not (merges and best == before):
                row.append(best)
            before = best
        found.append(row)
    return found


def scores(*shape: int) -> np.ndarray:
    """Return scores of few values: there are ties and repetitions."""
    return RNG.integers(0, 3, shape).astype(float)


@pytest.mark.parametrize(
    ("param", "blank", "merges"),
    [
        ("", 0, True),
        ("blank_index: 2", 2, True),
        ("blank_index: -1 ctc_merge_repeated: false", 3, False),
    ],
)
def test_decoded(param: str, blank: int, merges: bool, tmp_path: Path) -> None:
    x = scores(9, 5, 4)
    rows = decode(x, blank, merges=merges)
    want = np.array([[*row, *[-1] * (9 - len(row))] for row in rows]).reshape(5, 9, 1, 1)
    assert (want >= 0).any()
    assert len({len(row) for row in rows}) > 1
    check(layer(param), {"x": x}, {"y": want}, tmp_path, dynamic=())


def levenshtein(a: list[int], b: list[int]) -> int:
    table = np.zeros((len(a) + 1, len(b) + 1), int)
    table[:, 0], table[0] = range(len(a) + 1), range(len(b) + 1)
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            change = table[i - 1, j - 1] + (a[i - 1] != b[j - 1])
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, change)
    return int(table[-1, -1])


def test_accuracy(tmp_path: Path) -> None:
    x = scores(6, 4, 4)
    x[:, 3] = [[3, 0, 0, 0]] * 6  # blanks alone
    rows = decode(x, 0, merges=True)
    label = np.full((4, 7), -1.0)
    label[0, : len(rows[0])] = rows[0]
    label[1, : len(rows[1]) + 1] = [*rows[1][:-1], 3, 1]
    label[2, :4] = [0, 2, 0, 1]
    wants = [rows[0], [*rows[1][:-1], 3, 1], [2, 1], []]
    parts = [
        levenshtein(a, b) / max(len(a), len(b)) if a or b else 0
        for a, b in zip(wants, rows, strict=True)
    ]
    net = load(layer("", "x t"), {"x": x, "t": label}, tmp_path)
    got = net.blobs({"x": torch.from_numpy(x), "t": torch.from_numpy(label)})["y"]
    equal = sum(a == b for a, b in zip(wants[:3], rows, strict=False))
    assert equal >= 1
    np.testing.assert_allclose(got.flatten().numpy(), [1 - sum(parts) / 4, equal / 4])


def test_refused(tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match="wants T x N x C"):
        load(layer(), {"x": np.zeros((3, 4))}, tmp_path)
    with pytest.raises(CaffeError, match="not one for each of 2 sequences"):
        load(layer("", "x t"), {"x": np.zeros((3, 2, 4)), "t": np.zeros((3, 5))}, tmp_path)
