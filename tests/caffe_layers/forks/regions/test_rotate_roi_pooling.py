"""RotateROIPooling against RRPN's loops."""

from __future__ import annotations

from math import cos, sin
from pathlib import Path

import numpy as np
import pytest
import torch

from prototxt import CaffeError
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(1701)
ROIS = np.array(
    [
        [0, 13, 11, 12, 17, 30],
        [1, 16, 12, 40, 30, -50],  # beyond every edge
        [0, 20, 10, 12, 8, 0],  # edges on pixels
        [1, 9.5, 7.25, 3, 25, 135],
        [0, 12, 12, 0, 10, 20],  # without a height
        [1, 90, 90, 12, 12, 45],  # outside
    ]
)


def layer(param: str = "pooled_h: 3 pooled_w: 2 spatial_scale: 0.25") -> str:
    return (
        'layer { name: "L" type: "RotateROIPooling" bottom: "x" bottom: "r" bottom: "i" top: "y" '
        f"rotate_pooling_param {{ {param} }} }}"
    )


def pooled(x: np.ndarray, rois: np.ndarray, info: np.ndarray) -> np.ndarray:
    top = np.zeros((len(rois), x.shape[1], 3, 2))
    rows, columns = (int(side * 0.25 + 0.5) for side in info[0, :2])
    for r, (n, cx, cy, height, width, degrees) in enumerate(rois):
        angle = degrees / 180 * 3.1415926535
        across, down = width * 0.25 / 2, height * 0.25 / 3
        right = np.array([cos(angle) * across, -sin(angle) * across])
        below = np.array([sin(angle) * down, cos(angle) * down])
        corner = right * -1 + below * -1.5 + np.array([cx, cy]) * 0.25
        for i, j in np.ndindex(3, 2):
            start = right * j + below * i + corner
            for h, w in np.ndindex(rows, columns):
                aside = np.array([w, h]) - start
                if 0 <= aside @ right < right @ right and 0 <= aside @ below < below @ below:
                    top[r, :, i, j] = np.maximum(top[r, :, i, j], x[int(n), :, h, w])
    return top


@pytest.mark.parametrize("image", [(24.0, 32.0), (17, 21)])
@pytest.mark.parametrize("beyond", [(), (1, 1)])
def test_pooled(image: tuple[float, float], beyond: tuple[int, ...], tmp_path: Path) -> None:
    x, info = RNG.normal(size=(2, 3, 6, 8)), np.array([[*image, 1]])
    want = pooled(x, ROIS, info)
    assert want[:4].any((1, 2, 3)).all()
    assert not want[4:].any()
    inputs = {"x": x, "r": ROIS.reshape(6, 6, *beyond), "i": info}
    check(layer(), inputs, {"y": want}, tmp_path, dynamic=())
    if not beyond:
        check(layer(), inputs, {"y": want}, tmp_path, dynamic=("batch", "height", "width"))
    check_gradients(layer(), inputs, tmp_path)


def test_of_equal_values_the_first_has_the_gradient(tmp_path: Path) -> None:
    x = torch.ones(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    rois = np.array([[0, 2, 2, 4, 4, 0.0]])
    inputs = {"x": np.ones((1, 1, 4, 4)), "r": rois, "i": np.array([[4.0, 4]])}
    net = load(layer("pooled_h: 1 pooled_w: 1"), inputs, tmp_path)
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    net.blobs(tensors | {"x": x})["y"].sum().backward()
    assert x.grad is not None
    assert x.grad.nonzero().tolist() == [[0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("shapes", "param", "says"),
    [
        ({"r": (2, 5)}, "pooled_h: 3 pooled_w: 2", "wants R x 6"),
        ({"i": (1, 1)}, "pooled_h: 3 pooled_w: 2", "wants 1 x 2"),
        ({}, "pooled_h: 3", "want 1 or more"),
    ],
)
def test_refused(shapes: dict[str, tuple[int, ...]], param: str, says: str, tmp_path: Path) -> None:
    sizes = {"x": (1, 1, 4, 4), "r": (2, 6), "i": (1, 3)} | shapes
    with pytest.raises(CaffeError, match=says):
        load(layer(param), {name: np.zeros(size) for name, size in sizes.items()}, tmp_path)
