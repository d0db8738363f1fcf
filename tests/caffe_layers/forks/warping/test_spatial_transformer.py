"""SpatialTransformer and PowerFile against their loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from prototxt import CaffeError
from prototxt.errors import UsageError
from tests.caffe_layers.forks.warping.test_warping import read
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(1701)


def layer(param: str) -> str:
    return (
        'layer { name: "L" type: "SpatialTransformer" bottom: "x" bottom: "t" top: "y" '
        f"st_param {{ {param} }} }}"
    )


def transformed(x: np.ndarray, matrices: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    places = np.zeros((len(x), 2, *size))
    for n, i, j in np.ndindex(len(x), *size):
        at = np.array([i / size[0] * 2 - 1, j / size[1] * 2 - 1, 1])
        row, column = matrices[n] @ at
        places[n, :, i, j] = (column + 1) / 2 * x.shape[3], (row + 1) / 2 * x.shape[2]
    return read(x, places, relative=False, ends=False)


@pytest.mark.parametrize("size", [None, (3, 7)])
@pytest.mark.parametrize("fixed", [{}, {0: 0.5, 1: 0.0, 3: 0.125, 4: 0.5}])
def test_transformed(size: tuple[int, int] | None, fixed: dict[int, float], tmp_path: Path) -> None:
    x, matrices = RNG.normal(size=(2, 3, 4, 5)), RNG.normal(size=(2, 6)) / 2
    for at, value in fixed.items():
        matrices[:, at] = value
    theta = matrices[:, [at for at in range(6) if at not in fixed]]
    want = transformed(x, matrices.reshape(2, 2, 3), size or (4, 5))
    param = f"output_H: {size[0]} output_W: {size[1]} " if size else ""
    names = [f"theta_{row}_{column}" for row in (1, 2) for column in (1, 2, 3)]
    param += " ".join(f"{names[at]}: {value}" for at, value in fixed.items())
    inputs = {"x": x, "t": theta}
    check(layer(f"{param} to_compute_dU: true"), inputs, {"y": want}, tmp_path)
    text = layer(f"{param} to_compute_dU: true")
    check_gradients(text, inputs, tmp_path, wrt=("x", "t"))


def test_image_without_a_gradient(tmp_path: Path) -> None:
    x, theta = RNG.normal(size=(1, 1, 4, 4)), RNG.normal(size=(1, 6)) / 2
    net = load(layer("to_compute_dU: false"), {"x": x, "t": theta}, tmp_path)
    image = torch.from_numpy(x).requires_grad_()
    matrix = torch.from_numpy(theta).requires_grad_()
    net.blobs({"x": image, "t": matrix})["y"].sum().backward()
    assert image.grad is None or not image.grad.any()
    assert matrix.grad is not None
    assert matrix.grad.any()


@pytest.mark.parametrize(
    ("param", "says"),
    [
        ("theta_1_1: 1", "wants 2 x 5"),
        ('transform_type: "projective"', "Caffe knows affine alone"),
        ("output_H: 0", "want 1 or more"),
    ],
)
def test_refused(param: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=says):
        load(layer(param), {"x": np.zeros((2, 1, 4, 4)), "t": np.zeros((2, 6))}, tmp_path)


def power(file: str) -> str:
    return (
        'layer { name: "L" type: "PowerFile" bottom: "x" top: "y" '
        f'power_file_param {{ shift_file: "{file}" }} }}'
    )


def test_power_file(tmp_path: Path) -> None:
    x, file = RNG.normal(size=(2, 4)), tmp_path / "shift.txt"
    file.write_text("1.5 -2\n0.25\n")
    want = x + np.array([1.5, -2, 0.25, 0])
    check(power(str(file)), {"x": x}, {"y": want}, tmp_path)
    check_gradients(power(str(file)), {"x": x}, tmp_path)
    file.write_text("1 two")
    with pytest.raises(CaffeError, match=r"shift\.txt.*two"):
        load(power(str(file)), {"x": x}, tmp_path)


def test_power_file_that_is_not_there_has_its_shape(tmp_path: Path) -> None:
    x = np.zeros((2, 4))
    net = load(power("nowhere.txt"), {"x": x}, tmp_path)
    assert net.shapes()["y"] == (2, 4)
    with pytest.raises(UsageError, match=r"no file 'nowhere\.txt'"):
        net.blobs({"x": torch.zeros(2, 4, dtype=torch.float64)})
