"""L-Softmax's and SphereFace's inner products against loops over samples and classes."""

from __future__ import annotations

from math import sqrt
from pathlib import Path

import numpy as np
import pytest
import torch

from prototxt import CaffeError
from tests.support import restated
from tests.support.recorded import assert_close

TIMES = {"SINGLE": 1, "DOUBLE": 2, "TRIPLE": 3, "QUADRUPLE": 4}
KINDS = ("LargeMarginInnerProduct", "MarginInnerProduct")
MESSAGES = dict(
    zip(KINDS, ("largemargin_inner_product_param", "margin_inner_product_param"), strict=True)
)


def text(kind: str, fields: str, *, bottoms: str = "xl", tops: str = "yz") -> str:
    names = [f'bottom: "{name}"' for name in bottoms] + [f'top: "{name}"' for name in tops]
    return f'layer {{ name: "L" type: "{kind}" {" ".join(names)} {MESSAGES[kind]} {{ {fields} }} }}'


def sign(value: float) -> int:
    return int(value > 0) - int(value < 0)


def multiplied(c: float, times: int) -> tuple[float, float, float]:
    """Return f, its slope by the cosine, and what Caffe multiplies the lengths' part by."""
    s = sign(c)
    if times == 2:
        return 2 * s * c**2 - 1, 4 * s * c, 2 * s * c**2 + 1
    if times == 3:
        turn = sign(abs(c) - 0.5)
        offset = s * (1 + turn) - 2
        f = turn * (4 * c**3 - 3 * c) + offset
        return f, turn * (12 * c**2 - 3), 8 * turn * c**3 - offset
    turn = s * sign(2 * c**2 - 1)
    offset = 2 * s + turn - 3
    f = turn * (8 * c**4 - 8 * c**2 + 1) + offset
    last = turn * (24 * c**4 - 8 * c**2 - 1) - offset
    return f, turn * (32 * c**3 - 16 * c), last


def restate(
    kind: str, x: np.ndarray, w: np.ndarray, labels: list[int], times: int, share: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the top, the weight as kept, and the gradients of the top's sum of squares / 2."""
    large = kind == KINDS[0]
    w = w.copy()
    if not large:
        for row in w:
            row /= sqrt(sum(v * v for v in row))
    top = np.array([[sum(a * b for a, b in zip(row, v, strict=True)) for v in w] for row in x])
    plain = top.copy()
    if times > 1:
        for m, label in enumerate(labels):
            long, wide = (sqrt(sum(v * v for v in row)) for row in (x[m], w[label]))
            both = long * wide + 1e-9 if large else long
            f, _, _ = multiplied(plain[m, label] / both, times)
            top[m, label] = (both * f + share * plain[m, label]) / (1 + share)
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for m, label in enumerate(labels):
        for n in range(len(w)):
            g = top[m, n]
            if n != label or times == 1:
                dx[m] += g * w[n]
                dw[n] += g * x[m]
                continue
            long, wide = (sqrt(sum(v * v for v in row)) for row in (x[m], w[n]))
            both = long * wide + 1e-9 if large else long
            _, a, last = multiplied(plain[m, n] / both, times)
            if large:
                ratio = long / (wide + 1e-9)
                dx[m] += g / (1 + share) * (a * w[n] - last / ratio * x[m] + share * w[n])
                dw[n] += g / (1 + share) * (a * x[m] - last * ratio * w[n] + share * x[m])
            else:
                b = -last / long
                size = sqrt(a * a + b * b)
                dx[m] += g / (1 + share) * ((a * w[n] + b * x[m]) / size + share * w[n])
                dw[n] += g * x[m]
    return top, w, dx, dw


def arrays(kind: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    random = np.random.default_rng(1701)
    x, w = random.standard_normal((9, 2, 3)), random.standard_normal((5, 6))
    # Angles of every piece of f: rows between the weight, and against it.
    for m in range(9):
        x[m] += (1.5 - 0.4 * m) * w[m % 5].reshape(2, 3)
    return {"x": x, "l": np.arange(9.0) % 5}, w


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("times", TIMES)
def test_forward_backward_and_onnx(kind: str, times: str, tmp_path: Path) -> None:
    inputs, w = arrays(kind)
    rows, labels = inputs["x"].reshape(9, 6), [int(label) for label in inputs["l"]]
    fields = f"num_output: 5 type: {times} base: 3 gamma: 0.5 power: 2 iteration: 1 "
    share = 3 * (1 + 0.5 * 2) ** -2
    top, kept, dx, dw = restate(kind, rows, w, labels, TIMES[times], share)
    layer, blobs = text(kind, fields), {"L": [w]}
    wants = {"y": top, "z": np.array([share])}
    restated.check(layer, inputs, wants, tmp_path, blobs=blobs)
    net = restated.load(layer, inputs, tmp_path, blobs=blobs)
    x = torch.from_numpy(inputs["x"]).requires_grad_()
    blobs = net.blobs({"x": x, "l": torch.from_numpy(inputs["l"])})
    (blobs["y"].square().sum() / 2).backward()
    assert x.grad is not None
    assert_close(x.grad.reshape(9, 6), dx, "gradient of x")
    assert_close(net.params["L"][0].detach(), kept, "weight")
    assert net.params["L"][0].grad is not None
    assert_close(net.params["L"][0].grad, dw, "gradient of the weight")


def test_large_margins_gradient_is_the_values(tmp_path: Path) -> None:
    inputs, w = arrays(KINDS[0])
    for times in TIMES:
        layer = text(KINDS[0], f"num_output: 5 type: {times}")
        restated.check_gradients(layer, inputs, tmp_path, blobs={"L": [w]})


def test_f_is_the_cosine_of_the_multiple_and_goes_down(tmp_path: Path) -> None:
    angles = np.linspace(0.01, 3.13, 60)
    inputs = {"x": np.stack([np.cos(angles), np.sin(angles)], 1), "l": np.zeros(60)}
    for times, m in list(TIMES.items())[1:]:
        pieces = np.floor(angles * m / np.pi)
        want = (-1) ** pieces * np.cos(m * angles) - 2 * pieces
        layer = text(KINDS[1], f"num_output: 1 type: {times} base: 0", tops="y")
        restated.check(layer, inputs, {"y": want[:, None]}, tmp_path, blobs={"L": [[[1.0, 0.0]]]})
        assert (np.diff(want) < 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_lambda_falls_with_each_pass_of_training_to_its_least(kind: str, tmp_path: Path) -> None:
    fields = "num_output: 5 type: DOUBLE base: 10 gamma: 1 power: 1 lambda_min: 3"
    inputs, _ = arrays(kind)
    given = {name: torch.from_numpy(value) for name, value in inputs.items()}
    net = restated.load(text(kind, fields), inputs, tmp_path, phase="TRAIN")
    shares = [float(net.blobs(given)["z"]) for _ in range(4)]
    np.testing.assert_allclose(shares, [5, 10 / 3, 3, 3], rtol=1e-12)
    test = restated.load(text(kind, fields), inputs, tmp_path)
    assert [float(test.blobs(given)["z"]) for _ in range(2)] == [5, 5]


def test_a_third_bottom_is_the_weight(tmp_path: Path) -> None:
    inputs, w = arrays(KINDS[0])
    rows, labels = inputs["x"].reshape(9, 6), [int(label) for label in inputs["l"]]
    top, _, _, dw = restate(KINDS[0], rows, w, labels, 2, 1.0)
    layer = text(KINDS[0], "type: DOUBLE", bottoms="xlw", tops="y")
    given = inputs | {"w": w}
    restated.check(layer, given, {"y": top}, tmp_path, dynamic=())
    net = restated.load(layer, given, tmp_path)
    weight = torch.from_numpy(w).requires_grad_()
    tensors = {name: torch.from_numpy(value) for name, value in inputs.items()}
    (net.blobs(tensors | {"w": weight})["y"].square().sum() / 2).backward()
    assert weight.grad is not None
    assert_close(weight.grad, dw, "gradient of the weight")


@pytest.mark.parametrize(
    ("fields", "message"),
    [("", "num_output is 0, wants 1 or more"), ("num_output: 5 axis: 3", "axis 3 is none")],
)
def test_wrong_definitions(fields: str, message: str, tmp_path: Path) -> None:
    inputs, _ = arrays(KINDS[0])
    with pytest.raises(CaffeError, match=message):
        restated.load(text(KINDS[0], fields), inputs, tmp_path)


def test_wrong_labels(tmp_path: Path) -> None:
    inputs, _ = arrays(KINDS[0])
    layer = text(KINDS[0], "num_output: 5 type: DOUBLE")
    with pytest.raises(CaffeError, match=r"labels \(8,\) are 8, wants 9"):
        restated.load(layer, inputs | {"l": np.zeros(8)}, tmp_path)
    net = restated.load(layer, inputs, tmp_path)
    given = {"x": torch.from_numpy(inputs["x"]), "l": torch.full((9,), 5.0)}
    with pytest.raises(CaffeError, match="labels go from 5 to 5, wants 0 to 4"):
        net.blobs(given)
