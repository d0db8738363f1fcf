"""Convert against its loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from prototxt import CaffeError
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(1701)


def layer(tops: str) -> str:
    ends = "".join(f' top: "{name}"' for name in tops.split())
    return f'layer {{ name: "L" type: "Convert" bottom: "x"{ends} }}'


@pytest.mark.parametrize("tops", ["y", "y cont"])
@pytest.mark.parametrize("between", [(), (1,), (1, 1)])
def test_convert(tops: str, between: tuple[int, ...], tmp_path: Path) -> None:
    x = RNG.normal(size=(3, 4, *between, 5))
    want = np.zeros((5, 3, 4))
    for t, n, d in np.ndindex(*want.shape):
        want[t, n, d] = x.reshape(3, 4, 5)[n, d, t]
    wants = {"y": want}
    if "cont" in tops:
        wants["cont"] = np.array([[0.0 if t == 0 else 1] * 3 for t in range(5)])
    check(layer(tops), {"x": x}, wants, tmp_path)
    check_gradients(layer(tops), {"x": x}, tmp_path)


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 2, 5)])
def test_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match="wants N x D x W"):
        load(layer("y"), {"x": np.zeros(shape)}, tmp_path)
