"""Losses of metric learning against loops over samples and classes."""

from __future__ import annotations

from math import exp, log, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from prototxt import CaffeError
from tests.support import restated
from tests.support.recorded import assert_close

RNG = np.random.default_rng(1701)


def text(kind: str, message: str = "", *, bottoms: str = "xl", tops: str = "y") -> str:
    names = [f'bottom: "{name}"' for name in bottoms] + [f'top: "{name}"' for name in tops]
    return f'layer {{ name: "L" type: "{kind}" {" ".join(names)} {message} }}'


def gradients(
    layer: str, inputs: dict[str, np.ndarray], folder: Path, weight: float = 3.0, **options: Any
) -> tuple[Any, dict[str, np.ndarray]]:
    """Return the network, and the gradients of its first top times `weight`, by input."""
    net = restated.load(layer, inputs, folder, **options)
    given = {name: torch.from_numpy(array.astype(float)) for name, array in inputs.items()}
    for tensor in given.values():
        tensor.requires_grad_()
    (net.blobs(given)["y"] * weight).sum().backward()
    return net, {name: t.grad.numpy() for name, t in given.items() if t.grad is not None}


# ---- CenterLoss ---------------------------------------------------------------------------------

CENTERS = [("", False), ('distance_type: "L2"', True), ('distance_type: "L1"', True)]


@pytest.mark.parametrize(("kind", "often"), CENTERS)
def test_center_loss(kind: str, often: bool, tmp_path: Path) -> None:
    x, centers = RNG.standard_normal((5, 2, 2)), RNG.standard_normal((3, 4))
    labels = np.array([2.0, 0.0, 2.0, 2.0, 0.0])
    total, pulled, counts = 0.0, np.zeros((3, 4)), np.zeros(3)
    dx = np.zeros((5, 4))
    for n, row in enumerate(x.reshape(5, 4)):
        label = int(labels[n])
        counts[label] += 1
        for k, v in enumerate(row - centers[label]):
            total += abs(v) if "L1" in kind else v * v / 2
            step = (v > 0) * 1.0 - (v < 0) if "L1" in kind else v
            pulled[label, k] -= step
            dx[n, k] = step * 3 / 5
    want = np.zeros((3, 4))
    for label in range(3):
        for _ in range(int(counts[label]) if often else 1):
            want[label] += pulled[label] / (counts[label] + 1)
    layer = text("CenterLoss", f"center_loss_param {{ num_output: 3 {kind} }}")
    inputs = {"x": x, "l": labels}
    restated.check(layer, inputs, {"y": np.array(total / 5)}, tmp_path, blobs={"L": [centers]})
    net, found = gradients(layer, inputs, tmp_path, blobs={"L": [centers]})
    assert_close(found["x"].reshape(5, 4), dx, "gradient of x")
    # The weight of the loss does not scale it.
    assert_close(net.params["L"][0].grad, want, "gradient of the centres")


def test_center_losses_errors(tmp_path: Path) -> None:
    layer = text("CenterLoss", "center_loss_param { num_output: 3 %s }")
    inputs = {"x": np.zeros((5, 2, 2)), "l": np.zeros(5)}
    with pytest.raises(CaffeError, match="has 4 values each, wants 2"):
        restated.load(layer % "axis: 2", inputs, tmp_path)
    with pytest.raises(CaffeError, match="'L3' is neither L1 nor L2"):
        restated.load(layer % 'distance_type: "L3"', inputs, tmp_path)
    with pytest.raises(CaffeError, match="num_output is 0, wants 1 or more"):
        restated.load(text("CenterLoss"), inputs, tmp_path)
    net = restated.load(layer % "", inputs, tmp_path)
    with pytest.raises(CaffeError, match="labels go from 3 to 3, wants 0 to 2"):
        net.blobs({"x": torch.zeros(5, 2, 2).double(), "l": torch.full((5,), 3.0)})


# ---- InnerDistance ------------------------------------------------------------------------------


def distance(row: np.ndarray, weight: np.ndarray, kind: str) -> float:
    away = row - weight
    return sum(abs(v) if kind == "L1" else v * v for v in away)


@pytest.mark.parametrize("kind", ["L1", "L2"])
@pytest.mark.parametrize("normalize", [False, True])
def test_inner_distance(normalize: bool, kind: str, tmp_path: Path) -> None:
    x, weight = RNG.standard_normal((2, 3, 4)), RNG.standard_normal((5, 4))
    weight[1] *= 1e-3  # where the eps shows
    kept = weight.copy()
    if normalize:
        kept = np.stack([row / sqrt(sum(v * v for v in row) + 1e-6) for row in weight])
    rows = x.reshape(6, 4)
    want = np.array([[distance(row, w, kind) for w in kept] for row in rows]).reshape(2, 3, 5)
    message = (
        f'inner_distance_param {{ num_output: 5 axis: 2 distance_type: "{kind}" '
        f"normalize: {str(normalize).lower()} }}"
    )
    layer = text("InnerDistance", message, bottoms="x")
    restated.check(layer, {"x": x}, {"y": want}, tmp_path, blobs={"L": [weight]})
    net, found = gradients(layer, {"x": x}, tmp_path, 1.0, blobs={"L": [weight]})
    assert_close(net.params["L"][0].detach(), kept, "the stored weight")
    dx, dw = np.zeros((6, 4)), np.zeros((5, 4))
    for m, n in np.ndindex(6, 5):
        step = np.sign(kept[n] - rows[m]) if kind == "L1" else 2 * (kept[n] - rows[m])
        dw[n] += step
        dx[m] -= step
    assert_close(found["x"].reshape(6, 4), dx, "the gradient of x")
    assert_close(net.params["L"][0].grad, dw, "the weight's gradient")


def test_inner_distance_of_a_weight_that_is_a_bottom(tmp_path: Path) -> None:
    inputs = {"x": RNG.standard_normal((3, 4)), "w": RNG.standard_normal((5, 2, 2))}
    want = np.array([[distance(r, w.ravel(), "L2") for w in inputs["w"]] for r in inputs["x"]])
    layer = text("InnerDistance", bottoms="xw")
    restated.check(layer, inputs, {"y": want}, tmp_path, dynamic=())
    restated.check_gradients(layer, inputs, tmp_path, wrt=("x", "w"))


@pytest.mark.parametrize("kind", ["L1", "L2"])
def test_a_weight_that_learns_of_its_own_label_alone(kind: str, tmp_path: Path) -> None:
    inputs = {
        "x": RNG.standard_normal((3, 4)),
        "w": RNG.standard_normal((5, 4)),
        "l": np.array([4.0, 1.0, 4.0]),
    }
    message = f'inner_distance_param {{ update_center_only: true distance_type: "{kind}" }}'
    layer = text("InnerDistance", message, bottoms="xwl")
    want = np.array([[distance(r, w, kind) for w in inputs["w"]] for r in inputs["x"]])
    restated.check(layer, inputs, {"y": want}, tmp_path, dynamic=())
    _, found = gradients(layer, inputs, tmp_path, 1.0)
    dx, dw = np.zeros((3, 4)), np.zeros((5, 4))
    for m, n in np.ndindex(3, 5):
        away = inputs["x"][m] - inputs["w"][n]
        step = np.sign(away) if kind == "L1" else 2 * away
        dx[m] += step
        if n == inputs["l"][m]:
            dw[n] -= step
    assert_close(found["x"], dx, "gradient of x")
    assert_close(found["w"], dw, "gradient of the weight")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("num_output: 5 transpose: true", "transpose is stored and not computed with"),
        ('num_output: 5 distance_type: "L3"', "'L3' is neither L1 nor L2"),
        ("num_output: 5 update_center_only: true", "with 1 bottoms takes the last one for labels"),
        ("", "num_output is 0, wants 1 or more"),
    ],
)
def test_inner_distance_refused(fields: str, message: str, tmp_path: Path) -> None:
    layer = text("InnerDistance", f"inner_distance_param {{ {fields} }}", bottoms="x")
    with pytest.raises(CaffeError, match=message):
        restated.load(layer, {"x": np.zeros((3, 4))}, tmp_path)


# ---- TripletLoss --------------------------------------------------------------------------------


def test_triplet_loss(tmp_path: Path) -> None:
    a, p, n = RNG.standard_normal((3, 4, 3))
    n[0], p[1] = a[0] + 9, a[1]  # no loss, and no distance
    total = sum(max(0.5 + sum((a[i] - p[i]) ** 2) - sum((a[i] - n[i]) ** 2), 0.0) for i in range(4))
    assert total > 0
    layer = text("TripletLoss", "triplet_loss_param { margin: 0.5 }", bottoms="apn")
    inputs = {"a": a, "p": p, "n": n}
    restated.check(layer, inputs, {"y": np.array(total / 8)}, tmp_path)
    restated.check_gradients(layer, inputs, tmp_path, wrt=("a", "p", "n"))


def test_a_triplet_of_hardly_any_loss_hands_no_gradient_on(tmp_path: Path) -> None:
    inputs = {"a": np.array([[1.0]]), "p": np.array([[1.0]]), "n": np.array([[2.0 - 4e-10]])}
    layer = text("TripletLoss", "triplet_loss_param { margin: 1 }", bottoms="apn")
    net, found = gradients(layer, inputs, tmp_path)
    assert 0 < float(net.blobs({k: torch.from_numpy(v) for k, v in inputs.items()})["y"]) < 1e-9
    assert not any(value.any() for value in found.values())
    with pytest.raises(CaffeError, match="values behind its channels"):
        restated.load(layer, {name: np.zeros((1, 2, 3)) for name in "apn"}, tmp_path)


# ---- FocalLoss ----------------------------------------------------------------------------------

FOCALS = {
    "zimenglan's": ("gamma: 1.5 alpha: 0.3", "arcface"),
    "happynear's": ("gamma: 1.5 alpha: 1.2", "happynear"),
    "1 + p": ("gamma: 1.5 alpha: 1.2 type: ONEADDP", None),
}


def focal(p: float, which: str) -> tuple[float, float]:
    """Return the loss of a probability, and what its gradient by -log(p) is in Caffe."""
    alpha, gamma = (float(np.float32(v)) for v in (0.3 if which[0] == "z" else 1.2, 1.5))
    if which == "zimenglan's":
        power, beside, sign = alpha * (1 - p) ** gamma, 1 - p, -1
    elif which == "happynear's":
        power, beside, sign = (alpha - p) ** gamma, 1 - p, -1
    else:
        power, beside, sign = (alpha + p) ** gamma, 1 + p, 1
    return -power * log(p), sign * gamma * power / beside * log(p) * p + power


@pytest.mark.parametrize("which", FOCALS)
@pytest.mark.parametrize("loss", ["", "loss_param { ignore_label: 1 normalization: BATCH_SIZE }"])
def test_focal_loss(loss: str, which: str, tmp_path: Path) -> None:
    x, labels = RNG.standard_normal((2, 3, 2)), np.array([[2.0, 1.0], [0.0, 1.0]])
    fields, dialect = FOCALS[which]
    total, dx, count = 0.0, np.zeros_like(x), 0
    for n, place in np.ndindex(2, 2):
        label = int(labels[n, place])
        if loss and label == 1:
            continue
        count += 1
        scores = [exp(v) for v in x[n, :, place]]
        p = [score / sum(scores) for score in scores]
        value, slope = focal(p[label], which)
        total += value
        for c in range(3):
            dx[n, c, place] = slope * (p[c] - (c == label))
    count = 2 if loss else count
    layer = text("FocalLoss", f"focal_loss_param {{ {fields} }} {loss}")
    inputs = {"x": x, "l": labels}
    options = {} if dialect is None else {"dialect": dialect}
    restated.check(layer, inputs, {"y": np.array(total / count)}, tmp_path, **options)
    _, found = gradients(layer, inputs, tmp_path, **options)
    assert_close(found["x"], dx * 3 / count, "gradient")
    if which == "zimenglan's":
        restated.check_gradients(layer, inputs, tmp_path, **options)


def test_focal_loss_is_zimenglans_unless_the_type_says_otherwise(tmp_path: Path) -> None:
    layer = text("FocalLoss", "focal_loss_param { alpha: 0.5 }")
    inputs = {"x": np.zeros((1, 2)), "l": np.zeros(1)}
    restated.check(layer, inputs, {"y": np.array(0.5 * 0.25 * log(2))}, tmp_path)
    plain = text("FocalLoss")
    want = {"arcface": 0.25, "happynear": 1.0}
    for dialect, alpha in want.items():
        top = np.array(alpha * 0.25 * log(2))
        restated.check(plain, inputs, {"y": top}, tmp_path, dialect=dialect, onnx=False)
    for fields, message in (("gamma: -1", "gamma is -1"), ("alpha: 0", "alpha is 0")):
        with pytest.raises(CaffeError, match=message):
            restated.load(text("FocalLoss", f"focal_loss_param {{ {fields} }}"), inputs, tmp_path)


def test_focal_loss_of_ssds_says_its_axis(tmp_path: Path) -> None:
    x, labels = RNG.standard_normal((2, 3, 4)), np.array([[2.0, 1, 3], [0.0, 3, 0]])
    total = 0.0
    for n, place in np.ndindex(2, 3):
        p = np.exp(x[n, place, int(labels[n, place])]) / np.exp(x[n, place]).sum()
        total -= 0.75 * (1 - p) ** 3 * log(p) / 6
    layer = text("FocalLoss", "focal_loss_param { axis: -1 alpha: 0.75 gamma: 3 }")
    inputs = {"x": x, "l": labels}
    restated.check(layer, inputs, {"y": np.array(total)}, tmp_path)
    restated.check_gradients(layer, inputs, tmp_path)


def test_focal_losses_have_no_second_top(tmp_path: Path) -> None:
    """The inner Softmax of Caffe takes the layer's two loss weights, and aborts."""
    layer = text("FocalLoss").replace('top: "y"', 'top: "y" top: "p" loss_weight: 1 loss_weight: 0')
    with pytest.raises(CaffeError, match="2 tops, wants 1"):
        restated.load(layer, {"x": np.zeros((1, 2)), "l": np.zeros(1)}, tmp_path)


# ---- ScaleTanH ----------------------------------------------------------------------------------


def test_scale_tanh(tmp_path: Path) -> None:
    fields = "init_scale: 0.5 step_size: 3 gamma: 0.25 power: 2"
    layer = text("ScaleTanH", f"scale_tanh_param {{ {fields} }}", bottoms="x")
    x = RNG.standard_normal((2, 3))
    net = restated.load(layer, {"x": x}, tmp_path, phase="TRAIN")
    scale, count = 0.5, 1  # as after the layer's set-up
    for _ in range(6):
        count += 1
        if count % 3 == 0:
            scale = 0.5 * (1 + 0.25 * count) ** 2
        given = torch.from_numpy(x).requires_grad_()
        top = net.blobs({"x": given})["y"]
        assert_close(top.detach(), np.tanh(scale * x), f"pass {count}")
        top.sum().backward()
        assert_close(given.grad, scale * (1 - np.tanh(scale * x) ** 2), f"gradient {count}")
    assert scale > 2
    restated.check(layer, {"x": x}, {"y": np.tanh(0.5 * x)}, tmp_path)
    for step, want in ((1, 0.5 * 1.5**2), (2, 0.5 * 1.5**2)):
        early = layer.replace("step_size: 3", f"step_size: {step}")
        restated.check(early, {"x": x}, {"y": np.tanh(want * x)}, tmp_path, opsets=(17,))
    with pytest.raises(CaffeError, match="step_size is 0, wants 1 or more"):
        restated.load(layer.replace("step_size: 3", "step_size: 0"), {"x": x}, tmp_path)


# ---- PairwiseLoss -------------------------------------------------------------------------------

PAIRWISE = [
    "",
    "class_num: 3 sigmoid_param: 0.5 l_lambda: 0.75",
    "l_threshold: 0.5 class_num: 2",
    "l_lambda: 0",
    "continous_similarity: true sigmoid_param: 2",
]


def pairwise(
    inputs: dict[str, np.ndarray],
    *,
    class_num: float = 1,
    sigmoid_param: float = 1,
    l_lambda: float = 1,
    l_threshold: float = -1,
    continous: bool = False,
) -> tuple[float, np.ndarray, np.ndarray]:
    a, b, la, lb = (inputs[name] for name in ("a", "b", "m", "n"))
    total, count = 0.0, 0.0
    slopes = np.zeros((len(a), len(b)))
    for i, j in np.ndindex(slopes.shape):
        common = sum(la[i] * lb[j])
        if common < 0 or common >= la.shape[1]:
            continue
        s, z = float(common > 0), sigmoid_param * sum(a[i] * b[j])
        term = log(1 + exp(z)) - s * z
        if l_threshold >= 0 and z >= l_threshold:
            term = z * (1 - s)
        weight = class_num if s else 1.0
        total, count = total + term * weight, count + weight
        slopes[i, j] = 2 * (1 / (1 + exp(-z)) - s) * weight
        if continous:
            own = [sum(row * row) or 1.0 for row in (la[i], lb[j])]
            slopes[i, j] *= 4 * (common**2 / (own[0] * own[1]) or 0.25)
    count = count or 1.0
    da, db = np.zeros_like(a), np.zeros_like(b)
    for i, j in np.ndindex(slopes.shape):
        da[i] += slopes[i, j] * l_lambda / count * b[j]
        db[j] += slopes[i, j] * l_lambda / count * a[i]
    da.reshape(-1)[: len(a)] *= sigmoid_param
    db.reshape(-1)[: len(b)] *= sigmoid_param
    return total / count * (l_lambda > 0), da, db


@pytest.mark.parametrize("fields", PAIRWISE)
def test_pairwise_loss(fields: str, tmp_path: Path) -> None:
    labels = np.array([[1.0, 0, 0], [1, 1, 0], [0, 0, 0], [1, 1, 1]])
    others = np.array([[0.0, 1, 0], [1, 1, 1], [-1, 0, 0], [0, 0, 1]])
    a, b = RNG.standard_normal((2, 4, 2))
    inputs = {"a": a, "m": labels, "b": b, "n": others}
    pairs = dict(word.split(":") for word in fields.replace(": ", ":").split())
    continous = pairs.pop("continous_similarity", "") == "true"
    want, da, db = pairwise(
        inputs, continous=continous, **{name: float(value) for name, value in pairs.items()}
    )
    layer = text("PairwiseLoss", f"pairwise_param {{ {fields} }}", bottoms="ambn")
    restated.check(layer, inputs, {"y": np.array(want)}, tmp_path)
    _, found = gradients(layer, inputs, tmp_path)
    assert_close(found["a"], da, "gradient of a")
    assert_close(found["b"], db, "gradient of b")
    assert set(found) == {"a", "b"}


def test_pairwise_losses_errors(tmp_path: Path) -> None:
    inputs = {"a": np.zeros((2, 3)), "m": np.zeros((2, 3)), "b": np.zeros((2, 4))}
    layer = text("PairwiseLoss", "pairwise_param { %s }", bottoms="ambn")
    with pytest.raises(CaffeError, match="differ in shape"):
        restated.load(layer % "", inputs | {"n": np.zeros((2, 3))}, tmp_path)
    with pytest.raises(CaffeError, match="axis 2 makes pairs of other rows"):
        restated.load(layer % "axis: 2", inputs | {"n": np.zeros((2, 3))}, tmp_path)
