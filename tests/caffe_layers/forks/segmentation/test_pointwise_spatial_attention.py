"""PointwiseSpatialAttention against PSANet's loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from prototxt import CaffeError
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(1701)


def layer(param: str) -> str:
    return (
        'layer { name: "L" type: "PointwiseSpatialAttention" bottom: "x" bottom: "m" top: "y" '
        f"pointwise_spatial_attention_param {{ {param} }} }}"
    )


def attention(
    x: np.ndarray, masks: np.ndarray, size: tuple[int, int], *, distributes: bool, softmax: bool
) -> np.ndarray:
    count, _, height, width = x.shape
    buffer = np.zeros((count, height, width, height, width))
    for n, h, w, i, j in np.ndindex(count, height, width, *size):
        down, across = h + i - (size[0] - 1) // 2, w + j - (size[1] - 1) // 2
        if 0 <= down < height and 0 <= across < width:
            value = masks[n, i * size[1] + j, h, w]
            if distributes:
                buffer[n, h, w, down, across] = value
            else:
                buffer[n, down, across, h, w] = value
    if softmax:
        grown = np.exp(buffer)
        buffer = grown / grown.sum((1, 2), keepdims=True)
    return np.einsum("nchw,nhwij->ncij", x, buffer)


@pytest.mark.parametrize("distributes", [False, True])
@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("size", [None, (3, 5)])
def test_attention(
    size: tuple[int, int] | None, softmax: bool, distributes: bool, tmp_path: Path
) -> None:
    x, sizes = RNG.normal(size=(2, 3, 3, 4)), size or (5, 7)
    masks = RNG.normal(size=(2, sizes[0] * sizes[1], 3, 4))
    want = attention(x, masks, sizes, distributes=distributes, softmax=softmax)
    fields = "psa_type: DISTRIBUTE " if distributes else ""
    if size:
        fields += f"attention_mask_height: {size[0]} attention_mask_width: {size[1]} "
    fields += f"is_softmax: {str(softmax).lower()} "
    inputs = {"x": x, "m": masks}
    factor = sizes[0] * sizes[1]
    check(layer(fields), inputs, {"y": want / factor}, tmp_path)
    check(layer(f"{fields} normalization_factor: 2"), inputs, {"y": want / 2}, tmp_path)
    check_gradients(layer(fields), inputs, tmp_path, wrt=("x", "m"))


@pytest.mark.parametrize(
    ("param", "says"),
    [
        ("", r"wants \(1, 35, 3, 4\)"),
        ("attention_mask_height: 3", "are given together"),
        ("attention_mask_height: 4 attention_mask_width: 3", "want odd sizes"),
    ],
)
def test_refused(param: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=says):
        load(layer(param), {"x": np.zeros((1, 2, 3, 4)), "m": np.zeros((1, 9, 3, 4))}, tmp_path)
