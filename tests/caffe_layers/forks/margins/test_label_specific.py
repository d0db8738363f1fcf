"""Layers that change the label's column, and NormL2, against loops."""

from __future__ import annotations

from math import acos, cos, log, pi, sin, sqrt
from pathlib import Path

import numpy as np
import pytest
import torch

from prototxt import CaffeError
from tests.support import restated
from tests.support.recorded import assert_close

RNG = np.random.default_rng(1701)
LABELS = np.array([2.0, 0.0, 3.0, 1.0, 1.0])
M = float(np.float32(0.4))


def text(kind: str, message: str = "", *, bottoms: str = "xl", tops: str = "y") -> str:
    names = [f'bottom: "{name}"' for name in bottoms] + [f'top: "{name}"' for name in tops]
    return f'layer {{ name: "L" type: "{kind}" {" ".join(names)} {message} }}'


def trained(
    layer: str, inputs: dict[str, np.ndarray], folder: Path, **options: object
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Return the blobs in TRAIN, and the gradient of the sum of squares of y, halved, by x."""
    net = restated.load(layer, inputs, folder, phase="TRAIN", **options)
    x = torch.from_numpy(inputs["x"]).requires_grad_()
    blobs = net.blobs({"x": x, "l": torch.from_numpy(inputs["l"])})
    (blobs["y"].square().sum() / 2).backward()
    assert x.grad is not None
    return blobs, x.grad


# ---- LabelSpecificAdd ---------------------------------------------------------------------------


def test_label_specific_add(tmp_path: Path) -> None:
    x = RNG.uniform(-1, 1, (5, 2, 2))
    x[0, 1, 0], x[1, 0, 0] = 0.9, 0.1  # above and below 0.35
    bias = float(np.float32(-0.35))
    want = x.reshape(5, 4).copy()
    for n, label in enumerate(LABELS.astype(int)):
        if want[n, label] > -bias:
            want[n, label] += bias
    assert (want != x.reshape(5, 4)).sum() in range(1, 5)
    layer = text("LabelSpecificAdd", "label_specific_add_param { bias: -0.35 }")
    blobs, gradient = trained(layer, {"x": x, "l": LABELS}, tmp_path)
    assert_close(blobs["y"].detach().reshape(5, 4), want, "y")
    assert_close(gradient, blobs["y"].detach(), "gradient")
    restated.check(layer, {"x": x, "l": LABELS}, {"y": x}, tmp_path)


def test_the_bias_grows_with_each_pass_between_its_bounds(tmp_path: Path) -> None:
    message = (
        "label_specific_add_param { bias_base: -0.5 bias_gamma: 0.5 bias_power: -1 "
        "bias_min: -1 bias_max: -0.25 iteration: 1 }"
    )
    given = {"x": torch.ones(5, 4, dtype=torch.float64), "l": torch.from_numpy(LABELS)}
    inputs = {name: value.numpy() for name, value in given.items()}
    layer = text("LabelSpecificAdd", message, tops="yz")
    net = restated.load(layer, inputs, tmp_path, phase="TRAIN")
    found = [float(net.blobs(given)["z"]) for _ in range(4)]
    want = [max(-0.5 + (1 + 0.5 * i) ** -1.0 - 1, -1) for i in range(1, 5)]
    np.testing.assert_allclose(found, want, rtol=1e-12)
    assert found[1:] == [-1, -1, -1]
    up = text("LabelSpecificAdd", message.replace("power: -1", "power: 1"), tops="yz")
    net = restated.load(up, inputs, tmp_path, phase="TRAIN")
    assert float(net.blobs(given)["z"]) == -0.25
    restated.check(layer, inputs, {"y": inputs["x"], "z": np.zeros(1)}, tmp_path)


# ---- LabelSpecificRescale -----------------------------------------------------------------------

RESCALES = [
    ("positive_weight: 1.5 negative_weight: 0.5", {}),
    ("positive_weight: 1.5 bias_fix: true", {"fix": True}),
    ("positive_weight: 1.5 for_ip: true negative_weight: 2", {"ip": True, "others": 2.0}),
    ("positive_weight: 1.5 power_on_positive: true", {"power": True, "others": 1.0}),
]


def rescale(v: float, *, fix: bool = False, ip: bool = False, power: bool = False) -> float:
    if ip and v <= 0:
        return v
    if power:
        return float(np.sign(v)) * abs(v) ** 1.5
    return v * 1.5 + (1 - 1.5 if fix else 0)


@pytest.mark.parametrize(("fields", "how"), RESCALES)
def test_label_specific_rescale(fields: str, how: dict, tmp_path: Path) -> None:
    x = RNG.uniform(-1, 1, (5, 4))
    how = dict(how)
    others = how.pop("others", 0.5 if "0.5" in fields else 1.0)
    want = np.array(
        [
            [rescale(v, **how) if c == label else v * others for c, v in enumerate(row)]
            for row, label in zip(x, LABELS, strict=True)
        ]
    )
    layer = text(
        "LabelSpecificRescale", f"label_specific_rescale_param {{ {fields} %s }}", tops="yz"
    )
    inputs = {"x": x, "l": LABELS}
    blobs, _ = trained(layer % "", inputs, tmp_path)
    assert_close(blobs["y"].detach(), want, "y")
    restated.check(layer % "", inputs, {"y": x, "z": np.array([1.5])}, tmp_path)
    in_test = layer % "rescale_test: true"
    restated.check(in_test, inputs, {"y": want}, tmp_path)
    restated.check_gradients(in_test, inputs, tmp_path)


def test_the_weight_falls_with_each_pass_between_its_bounds(tmp_path: Path) -> None:
    fields = "positive_weight_base: 8 gamma: 1 power: 1 positive_weight_min: 2 %s iteration: 1"
    layer = text("LabelSpecificRescale", f"label_specific_rescale_param {{ {fields} }}", tops="yz")
    given = {"x": torch.ones(5, 4, dtype=torch.float64), "l": torch.from_numpy(LABELS)}
    inputs = {name: value.numpy() for name, value in given.items()}
    net = restated.load(layer % "", inputs, tmp_path, phase="TRAIN")
    np.testing.assert_allclose(
        [float(net.blobs(given)["z"]) for _ in range(4)], [8 / 3, 2, 2, 2], rtol=1e-12
    )
    net = restated.load(layer % "positive_weight_max: 2.5", inputs, tmp_path, phase="TRAIN")
    assert float(net.blobs(given)["z"]) == 2.5
    test = restated.load(layer % "", inputs, tmp_path)
    assert float(test.blobs(given)["z"]) == 1


# ---- CosinAddm, AdaCosAddmScale, CombinedMargin -------------------------------------------------


def cosines() -> np.ndarray:
    x = RNG.uniform(-0.9, 0.9, (5, 4))
    for n, label in enumerate(LABELS.astype(int)):
        x[n, label] = (0.7, -0.99, 0.1, -0.5, -0.95)[n]  # the second and last are beyond pi - m
    return x


def widen(c: float) -> tuple[float, float]:
    """Return cos(t + m), or what stands for it, and its slope."""
    c = min(c, 1.0)
    if c <= cos(pi - M):
        return c - sin(pi - M) * M, 1.0
    s = sqrt(1 - c * c)
    return c * cos(M) - s * sin(M), 1.0 if s == 0 else cos(M) + sin(M) * c / s


@pytest.mark.parametrize("beyond", [False, True])
def test_cosin_add_m(beyond: bool, tmp_path: Path) -> None:
    x = cosines()
    if beyond:
        x[0, 2], x[2, 3] = 1.0, 1.0000001
    want, slope = x.copy(), np.ones_like(x)
    for n, label in enumerate(LABELS.astype(int)):
        want[n, label], slope[n, label] = widen(x[n, label])
    layer = text("CosinAddm", "cosin_add_m_param { m: 0.4 }")
    blobs, gradient = trained(layer, {"x": x, "l": LABELS}, tmp_path)
    assert_close(blobs["y"].detach(), want, "y")
    assert_close(gradient, want * slope, "gradient")
    restated.check(layer, {"x": x, "l": LABELS}, {"y": x}, tmp_path)


def test_adacos(tmp_path: Path) -> None:
    labels = LABELS.copy()
    labels[3] = -1
    inputs = {"x": cosines(), "l": labels}
    x = inputs["x"]
    y, slope = x.copy(), np.ones_like(x)
    for n, label in enumerate(labels.astype(int)):
        if label >= 0:
            y[n, label], slope[n, label] = widen(x[n, label])
    layer = text("AdaCosAddmScale", "adacos_add_m_scale_param { m: 0.4 num_classes: 11 }")
    net = restated.load(layer, inputs, tmp_path, phase="TRAIN")
    scale = first = sqrt(2) * log(10)
    angle = sum(float(np.float32(acos(c))) for c in x.flat) / x.size
    scales = []
    for _ in range(3):
        total = sum(
            np.exp(scale * (0.0 if c == labels[n] else x[n, c])) for n, c in np.ndindex(5, 4)
        )
        scale = log(total / 5) / cos(min(angle, pi / 4))
        scales.append(scale)
        moved = torch.from_numpy(x).requires_grad_()
        top = net.blobs({"x": moved, "l": torch.from_numpy(labels)})["y"]
        assert_close(top.detach(), scale * y, "y")
        top.sum().backward()
        assert moved.grad is not None
        assert_close(moved.grad, scale * slope, "gradient")
    assert len(set(scales)) == 3
    assert first not in scales
    restated.check(layer, inputs, {"y": scales[0] * y}, tmp_path)


def test_adacos_of_narrow_angles(tmp_path: Path) -> None:
    x = np.full((5, 4), 0.9)
    y = x.copy()
    for n, label in enumerate(LABELS.astype(int)):
        y[n, label] = widen(0.9)[0]
    total = (np.exp(sqrt(2) * log(10) * 0.9) * 3 + 1) * 5
    scale = log(total / 5) / cos(float(np.float32(acos(0.9))))
    layer = text("AdaCosAddmScale", "adacos_add_m_scale_param { m: 0.4 num_classes: 11 }")
    restated.check(layer, {"x": x, "l": LABELS}, {"y": scale * y}, tmp_path)


def test_combined_margin(tmp_path: Path) -> None:
    m1, m2, m3 = (float(np.float32(m)) for m in (0.9, 0.4, 0.15))
    labels = LABELS.copy()
    labels[3] = -1
    x = cosines()
    want, slope = x.copy(), np.ones_like(x)
    for n, label in enumerate(labels.astype(int)):
        if label < 0:
            continue
        angle = m1 * float(np.float32(acos(x[n, label]))) + m2
        want[n, label] = cos(angle) - m3
        slope[n, label] = m1 / sqrt(1 - x[n, label] ** 2) * sin(angle)
    layer = text("CombinedMargin", "combined_margin_param { m1: 0.9 m2: 0.4 m3: 0.15 }")
    inputs = {"x": x, "l": labels}
    restated.check(layer, inputs, {"y": want}, tmp_path)
    blobs, gradient = trained(layer, inputs, tmp_path)
    assert_close(gradient, blobs["y"].detach().numpy() * slope, "gradient")


@pytest.mark.parametrize("kind", ["LabelSpecificAdd", "CosinAddm", "CombinedMargin"])
def test_wrong_labels(kind: str, tmp_path: Path) -> None:
    x = np.zeros((5, 4))
    with pytest.raises(CaffeError, match=r"labels \(4,\) are 4, wants 5"):
        restated.load(text(kind), {"x": x, "l": LABELS[:4]}, tmp_path)
    net = restated.load(text(kind), {"x": x, "l": LABELS}, tmp_path, phase="TRAIN")
    with pytest.raises(CaffeError, match="labels go from 0 to 4, wants 0 to 3"):
        net.blobs({"x": torch.from_numpy(x), "l": torch.arange(5.0)})


# ---- NormL2 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 2, 2)])
def test_norm_l2(shape: tuple[int, ...], tmp_path: Path) -> None:
    x = RNG.standard_normal(shape)
    x[0] *= 1e-4  # where the eps shows
    want = np.stack([row / sqrt(sum(v * v for v in row.flat) + 1e-7) for row in x])
    want = want.reshape((*shape, 1, 1)[:4])
    layer = text("NormL2", bottoms="x")
    restated.check(layer, {"x": x}, {"y": want}, tmp_path)
    restated.check_gradients(layer, {"x": RNG.standard_normal(shape)}, tmp_path)
