"""Python layers with a formula, against loops: torch, gradients, ONNX."""

from __future__ import annotations

from math import sin, sqrt
from pathlib import Path

import numpy as np
import pytest
import torch

import converter
from prototxt import CaffeError
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(1701)


def layer(name: str, bottoms: str = "x", tops: str = "y", param: str = "") -> str:
    module, _, cls = name.rpartition(".")
    blobs = [f'bottom: "{blob}"' for blob in bottoms.split()]
    blobs += [f'top: "{blob}"' for blob in tops.split()]
    return (
        f'layer {{ name: "L" type: "Python" {" ".join(blobs)} python_param {{ '
        f'module: "{module}" layer: "{cls}" param_str: "{param}" }} }}'
    )


def norm2(x: np.ndarray) -> np.ndarray:
    top = np.zeros((len(x), x.shape[1]))
    for row, values in enumerate(x.reshape(len(x), -1)):
        length = sqrt(sum(value * value for value in values))
        top[row] = values / length if length else values
    return top


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 1, 1)])
def test_norm2(shape: tuple[int, ...], tmp_path: Path) -> None:
    x = RNG.standard_normal(shape)
    x[1] = 0
    check(layer("norm2layer.Norm2Layer"), {"x": x}, {"y": norm2(x)}, tmp_path)
    check_gradients(layer("norm2layer.Norm2Layer"), {"x": x[2:]}, tmp_path)


def test_norm2_wants_rows(tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=r"bottom \(2, 3, 1, 2\), wants N x C"):
        load(layer("norm2layer.Norm2Layer"), {"x": np.zeros((2, 3, 1, 2))}, tmp_path)


def motion(numbers: np.ndarray) -> np.ndarray:
    w, u = numbers[:3], numbers[3:]
    cross = np.array([[0, -w[2], w[1]], [w[2], 0, -w[0]], [-w[1], w[0], 0]])
    angle = sqrt(w @ w)
    rotation = np.eye(3)
    if angle * angle < 1e-12:
        rotation += cross
    else:
        rotation += sin(angle) / angle * cross
        rotation += 2 * sin(angle / 2) ** 2 / angle**2 * cross @ cross
    top = np.eye(4)
    top[:3, :3], top[:3, 3] = rotation, rotation @ u
    return top


@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 1, 1)])
def test_se3(shape: tuple[int, ...], tmp_path: Path) -> None:
    x = RNG.standard_normal(shape)
    x[0, :3] = 0
    x[1, :3] = 1e-7
    x[2, :3] *= 3
    x[3, :3] = np.reshape([0.01, -0.02, 0.03], x[3, :3].shape)
    want = np.stack([motion(row.flatten()) for row in x])[:, None]
    assert np.allclose(want[2, 0, :3, :3] @ want[2, 0, :3, :3].T, np.eye(3))
    check(layer("pygeometry.SE3_Generator_KITTI"), {"x": x}, {"y": want}, tmp_path)
    check_gradients(layer("pygeometry.SE3_Generator_KITTI"), {"x": x[2:]}, tmp_path)


def test_se3_has_a_gradient_where_nothing_turns(tmp_path: Path) -> None:
    x = np.zeros((1, 6))
    x[0, 3:] = 1, 2, 3
    check_gradients(layer("pygeometry.SE3_Generator_KITTI"), {"x": x}, tmp_path)
    with pytest.raises(CaffeError, match="wants N x 6"):
        load(layer("pygeometry.SE3_Generator_KITTI"), {"x": np.zeros((2, 5))}, tmp_path)


CONSTANTS = [
    ("python_layers.Meshgrid", np.stack(np.meshgrid(range(4), range(3)))),
    ("python_layers.MeanVals", np.array([104.0, 117, 123])[:, None, None] * np.ones((3, 3, 4))),
]


@pytest.mark.parametrize(("name", "image"), CONSTANTS)
def test_constants(name: str, image: np.ndarray, tmp_path: Path) -> None:
    param = "{'width': 4, 'height': 3, 'batch': 2}"
    want = np.stack([image, image]).astype(float)
    added = layer(name, "", "y", param) + (
        'layer { name: "S" type: "Eltwise" bottom: "x" bottom: "y" top: "s" }'
    )
    x = RNG.standard_normal(want.shape)
    check(added, {"x": x}, {"s": x + want}, tmp_path, dynamic=())
    net = load(added, {"x": x}, tmp_path)
    assert net.shapes()["y"] == want.shape
    with pytest.raises(CaffeError, match="param_str has no batch"):
        load(layer(name, "", "y", "{'width': 4, 'height': 3}"), {"x": x}, tmp_path)


def combined(bins: np.ndarray, residuals: np.ndarray) -> np.ndarray:
    top = np.zeros(bins.shape)
    for row, column in np.ndindex(bins.shape[2:]):
        bin_ = bins[0, 0, row, column]
        if bin_ in range(1, residuals.shape[1]):
            top[0, 0, row, column] = residuals[0, int(bin_), row, column]
    return top


def face(bins: np.ndarray, residuals: np.ndarray) -> np.ndarray:
    place = (bins + combined(bins, residuals) - 1) / (residuals.shape[1] - 1)
    return np.where(place < 0, -1, place)


def human(bins: np.ndarray, residuals: np.ndarray) -> np.ndarray:
    return combined(bins, residuals).clip(0, 1)


@pytest.mark.parametrize(("module", "formula"), [("", face), ("Human", human)])
def test_combined_regressions(module: str, formula: object, tmp_path: Path) -> None:
    name = f"CombineRegressions{module}.CombineRegressionsLayer"
    bins = {key: RNG.integers(0, 5, (1, 1, 6, 7)).astype(float) for key in "hv"}
    bins["h"][0, 0, 0, 0] = 9  # a bin that has no residual
    residuals = {key: RNG.standard_normal((1, 5, 6, 7)) for key in ("rh", "rv")}
    wants = {"y": formula(bins["h"], residuals["rh"]), "z": formula(bins["v"], residuals["rv"])}
    text = layer(name, "h v rh rv", "y z")
    check(text, bins | residuals, wants, tmp_path, dynamic=())
    check_gradients(text, bins | residuals, tmp_path, wrt=["rh"])
    two = {key: np.concatenate([value] * 2) for key, value in (bins | residuals).items()}
    with pytest.raises(CaffeError, match="wants 1 x 1 x H x W"):
        load(text, two, tmp_path)


def zoomed(x: np.ndarray, height: int, width: int) -> np.ndarray:
    top = np.zeros((*x.shape[:2], height, width))
    for row, column in np.ndindex(height, width):
        v = row * (x.shape[2] - 1) / (height - 1)
        u = column * (x.shape[3] - 1) / (width - 1)
        i, j = min(int(v), x.shape[2] - 2), min(int(u), x.shape[3] - 2)
        v, u = v - i, u - j
        upper = x[:, :, i, j] * (1 - u) + x[:, :, i, j + 1] * u
        lower = x[:, :, i + 1, j] * (1 - u) + x[:, :, i + 1, j + 1] * u
        top[:, :, row, column] = upper * (1 - v) + lower * v
    return top


def test_custom_interpolation(tmp_path: Path) -> None:
    name = "custom_interpolation_layer.custom_interpolation_layer"
    x = RNG.standard_normal((1, 2, 4, 5))
    text = layer(name, param="1,2,7,8")
    check(text, {"x": x}, {"y": zoomed(x, 7, 8)}, tmp_path, dynamic=())
    check_gradients(text, {"x": x}, tmp_path)
    with pytest.raises(CaffeError, match="does not resize"):
        load(layer(name, param="1,3,7,8"), {"x": x}, tmp_path)
    with pytest.raises(CaffeError, match="is no shape of four sizes"):
        load(layer(name, param="7,8"), {"x": x}, tmp_path)


def test_shaped_data_is_fed(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    relu = 'layer { name: "R" type: "ReLU" bottom: "y" top: "r" }'
    path.write_text(layer("CustomData.CustomData", "", "y", "1,3,6,8") + relu)
    net = converter.load(path)
    assert net.input_shapes == {"y": (1, 3, 6, 8)}


def sec(x: np.ndarray) -> np.ndarray:
    top = np.zeros(x.shape)
    for n, row, column in np.ndindex(x.shape[0], *x.shape[2:]):
        powers = np.exp(x[n, :, row, column])
        raised = powers / sum(powers) + 0.0001
        top[n, :, row, column] = raised / sum(raised)
    return top


def test_sec_softmax(tmp_path: Path) -> None:
    x = RNG.standard_normal((2, 4, 3, 3)) * 6
    check(layer("pylayers.SoftmaxLayer"), {"x": x}, {"y": sec(x)}, tmp_path)
    check_gradients(layer("pylayers.SoftmaxLayer"), {"x": x}, tmp_path)


def test_init_landmark(tmp_path: Path) -> None:
    x = RNG.standard_normal((3, 4))
    text = layer("InitLandmark.InitLandmark", param="{'initlandmarks': [[1.5, 2], [3, -4]]}")
    check(text, {"x": x}, {"y": x + np.array([1.5, 2, 3, -4])}, tmp_path)
    with pytest.raises(CaffeError, match="wants N x 4"):
        load(text, {"x": x[:, :3]}, tmp_path)
    with pytest.raises(CaffeError, match="has no initlandmarks"):
        load(layer("InitLandmark.InitLandmark", param="{}"), {"x": x}, tmp_path)


def test_masks_take_their_shape(tmp_path: Path) -> None:
    x = RNG.standard_normal((2, 441))
    text = layer("pylayer.mask_layer.MaskLayer")
    check(text, {"x": x}, {"y": x.reshape(2, 1, 21, 21)}, tmp_path)
    with_labels = layer("pylayer.mask_layer.MaskLayer", "x a b", "y z")
    net = load(with_labels, {"x": x, "a": x, "b": x}, tmp_path)
    assert net.shapes()["z"] == (2, 1)
    given = {name: torch.from_numpy(x) for name in "xab"}
    with pytest.raises(CaffeError, match="the shapes alone are known"):
        net(given)
