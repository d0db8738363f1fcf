"""LabelSpecificMargin against loops: hard and soft margins, their course, the second top."""

from __future__ import annotations

from math import acos, cos, degrees, pi, radians, sin, sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import caffe_layers
from prototxt import CaffeError, parse_text
from tests.support import restated
from tests.support.recorded import assert_close
from tests.support.trained import Batch, Weights, check_trained

RNG = np.random.default_rng(1701)
COUNT, CLASSES = 6, 4
LABELS = np.array([2.0, 0.0, 3.0, 1.0, 1.0, 0.0])
X = RNG.uniform(-0.95, 0.95, (COUNT, CLASSES))
X[0, 2], X[1, 0], X[2, 3] = 0.99999, -0.99999, -0.9  # beyond what is kept, and a large angle
INPUTS = {"x": X, "l": LABELS}


def text(fields: str, *, bottoms: str = "xl", tops: str = "y") -> str:
    names = [f'bottom: "{name}"' for name in bottoms] + [f'top: "{name}"' for name in tops]
    return (
        f'layer {{ name: "L" type: "LabelSpecificMargin" {" ".join(names)} '
        f"label_specific_margin_param {{ {fields} }} }}\n"
    )


def moved(x: np.ndarray, m: float, *, soft: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return the top and its slopes for cosines N x D."""
    top, slopes = x.copy(), np.ones_like(x)
    for n, label in enumerate(LABELS.astype(int)):
        v = x[n, label]
        kept = min(max(v, -1 + 1e-4), 1 - 1e-4)
        sine = sqrt(1 - kept * kept)
        if soft:
            angle = acos(v)
            if m * angle > pi - 1e-4:
                angle = pi - 1e-4
            top[n, label], slope = cos(m * angle), m * sin(m * angle) / sine
        else:
            turn = radians(m)
            top[n, label] = kept * cos(turn) - sine * sin(turn)
            slope = cos(turn) + kept / sine * sin(turn)
        slopes[n, label] = min(max(slope, 0), 2)
    return top, slopes


def trained(
    layer: str, folder: Path, **more: np.ndarray
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Return the blobs in TRAIN, the gradient of half the sum of squares of y, and the margin."""
    inputs = INPUTS | more
    net = restated.load(layer, inputs, folder, phase="TRAIN")
    x = torch.from_numpy(X.reshape(inputs["x"].shape)).requires_grad_()
    given = {name: torch.from_numpy(array) for name, array in inputs.items()}
    blobs = net.blobs(given | {"x": x})
    (blobs["y"].square().sum() / 2).backward()
    assert x.grad is not None
    return blobs, x.grad, net.params["L"][0]


@pytest.mark.parametrize(
    ("fields", "m", "soft"),
    [
        ("margin_base: 20", 20, False),
        ("margin_base: -30 type: HARD", -30, False),
        ("margin_base: 90", 90, False),
        ("margin_base: 1.5 type: SOFT", 1.5, True),
        ("margin_base: 3 type: SOFT reset_margin: true margin_on_test: true", 3, True),
        ("margin_base: 20 margin_max: 12.5", 12.5, False),
        ("margin_base: 20 iteration: 3 gamma: 0.5 power: 2", 20 + 2.5**2 - 1, False),
    ],
)
def test_margin(fields: str, m: float, soft: bool, tmp_path: Path) -> None:
    want, slopes = moved(X, m, soft=soft)
    layer = text(fields, tops="yz")
    blobs, gradient, margin = trained(layer, tmp_path)
    assert_close(blobs["y"].detach(), want, "y")
    assert_close(gradient, want * slopes, "gradient")
    assert_close(blobs["z"].detach(), np.array([m]), "z")
    assert_close(margin.detach(), np.array([m]), "margin")
    if "iteration" not in fields and "max" not in fields:
        restated.check(layer, INPUTS, {"y": X, "z": np.array([m])}, tmp_path)


def test_where_slopes_are_not_bounded_they_are_the_derivative(tmp_path: Path) -> None:
    inputs = INPUTS | {"x": np.clip(X, -0.3, 0.6)}
    for fields in ("margin_base: 25 gamma: 0", "margin_base: 1.2 gamma: 0 type: SOFT"):
        restated.check_gradients(text(fields), inputs, tmp_path, phase="TRAIN")


@pytest.mark.parametrize("fields", ["", "margin_base: 0"])
def test_no_margin_changes_nothing(fields: str, tmp_path: Path) -> None:
    blobs, gradient, _ = trained(text(fields), tmp_path)
    assert_close(blobs["y"].detach(), X, "y")
    assert_close(gradient, X, "gradient")


def test_the_gradient_may_pass_as_it_is(tmp_path: Path) -> None:
    blobs, gradient, _ = trained(text("margin_base: 20 pass_bp: true"), tmp_path)
    assert_close(gradient, blobs["y"].detach(), "gradient")


def test_columns_may_lie_over_several_axes(tmp_path: Path) -> None:
    blobs, _, _ = trained(text("margin_base: 20"), tmp_path, x=X.reshape(COUNT, 2, 2))
    assert_close(blobs["y"].detach().reshape(X.shape), moved(X, 20)[0], "y")


def test_a_third_bottom_says_the_margin(tmp_path: Path) -> None:
    layer = text("margin_base: 5 auto_tune: true", bottoms="xlm")
    blobs, gradient, margin = trained(layer, tmp_path, m=np.array([[20.0, 7.0]]))
    want, slopes = moved(X, 20)
    assert_close(blobs["y"].detach(), want, "y")
    assert_close(gradient, want * slopes, "gradient")
    assert_close(margin.detach(), np.array([20.0, 0, 0]), "margin")
    told = text("margin_base: 5", bottoms="xlm", tops="yz")
    inputs = INPUTS | {"m": np.array([[20.0, 7.0]])}
    restated.check(told, inputs, {"y": X, "z": np.array([20.0])}, tmp_path, dynamic=())


def mean_angles(x: np.ndarray) -> tuple[float, float]:
    own, others = [], []
    for n, c in np.ndindex(COUNT, CLASSES):
        (own if c == LABELS[n] else others).append(degrees(acos(x[n, c])))
    return sum(own) / len(own), sum(others) / len(others)


@pytest.mark.parametrize("base", ["", "iteration: 1", "margin_base: 4"])
def test_margins_tune_themselves(base: str, tmp_path: Path) -> None:
    layer = text(f"{base} auto_tune: true", tops="yz")
    net = restated.load(layer, INPUTS, tmp_path, phase="TRAIN")
    means = np.zeros(2)
    for at in range(3):
        x = X * (1 - at / 10)
        found = np.array(mean_angles(x))
        first = base == "iteration: 1" or (base and at == 0)
        means = found if first else 0.99 * means + 0.01 * found
        m = (means[1] - means[0]) / 2
        blobs = net.blobs({"x": torch.from_numpy(x), "l": torch.from_numpy(LABELS)})
        assert_close(blobs["z"].detach(), np.array([m, *means]), f"z {at}")
        assert_close(blobs["y"].detach(), moved(x, m)[0], f"y {at}")
    held = {"L": [np.array([7.0, 1, 2])]}
    wants = {"y": X, "z": np.array([7.0, *mean_angles(X)])}
    restated.check(layer, INPUTS, wants, tmp_path, blobs=held, dynamic=())


@pytest.mark.parametrize(
    ("layer", "inputs", "says"),
    [
        (text(""), INPUTS | {"l": LABELS[:5]}, "wants 6, N of"),
        (
            text("auto_tune: true", bottoms="xlm", tops="yz"),
            INPUTS | {"m": np.ones(1)},
            "Caffe writes beyond that top",
        ),
    ],
)
def test_refusals(layer: str, inputs: dict[str, np.ndarray], says: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=says):
        restated.load(layer, inputs, tmp_path)


def test_a_label_that_is_no_column_is_refused(tmp_path: Path) -> None:
    wrong = INPUTS | {"l": np.array([0, 1, 4, 0, 0, 0.0])}
    net = restated.load(text("margin_base: 1"), wrong, tmp_path, phase="TRAIN")
    with pytest.raises(CaffeError, match="labels"):
        net.blobs({name: torch.from_numpy(array) for name, array in wrong.items()})


def test_testing_does_without_labels(tmp_path: Path) -> None:
    net = restated.load(text("margin_base: 9", bottoms="x"), {"x": X}, tmp_path)
    assert_close(net.blobs({"x": torch.from_numpy(X)})["y"].detach(), X, "y")


@pytest.mark.parametrize(
    ("fields", "names", "does"),
    [
        ("", {}, True),
        ("auto_tune: true", {}, True),
        ("auto_tune: true", {"tops": "yz"}, False),
        ("", {"bottoms": "xlm"}, False),
    ],
)
def test_what_may_be_deployed_without_labels(fields: str, names: dict, does: bool) -> None:
    """Not where a bottom behind them would take their place."""
    layer = parse_text(text(fields, **names)).layers[0]
    assert caffe_layers.find(layer).does_without_labels(layer) is does


def test_trained(tmp_path: Path) -> None:
    """A margin that grows by a quarter of a degree a pass, on cosines, times 8, as AM-Softmax's."""
    batches = {
        "x": RNG.standard_normal((3, COUNT, 5)),
        "l": RNG.integers(0, CLASSES, (3, COUNT)).astype(float),
    }
    layers = (
        'layer { name: "n" type: "InnerProduct" bottom: "x" top: "f" inner_product_param { '
        'num_output: 4 bias_term: false weight_filler { type: "xavier" } } }\n'
        'layer { name: "t" type: "TanH" bottom: "f" top: "c" }\n'
        'layer { name: "m" type: "LabelSpecificMargin" bottom: "c" bottom: "l" top: "d" '
        "label_specific_margin_param { margin_base: 5 gamma: 0.25 margin_max: 12 } }\n"
        'layer { name: "s" type: "Power" bottom: "d" top: "s" power_param { scale: 8 } }\n'
        'layer { name: "y" type: "SoftmaxWithLoss" bottom: "s" bottom: "l" top: "y" }\n'
    )

    def step(weights: Weights, batch: Batch, iteration: int) -> Tensor:
        m = radians(min(5 + 0.25 * iteration, 12))
        weights["m"][0].data.fill_(min(5 + 0.25 * iteration, 12))
        cosines, labels = (batch["x"] @ weights["n"][0].t()).tanh(), batch["l"].long()
        rows = []
        for row, label in zip(cosines, labels, strict=True):
            c = row[label]
            slope = cos(m) + c / (1 - c * c).sqrt() * sin(m)  # of cos(acos(c) + m)
            # The margin's value, and its slope as far as Caffe lets it go.
            moved = (c.acos() + m).cos().detach() + slope.clamp(0, 2).detach() * (c - c.detach())
            rows.append(8 * torch.where(torch.arange(CLASSES) == label, moved, row))
        logs = torch.stack(rows).log_softmax(1)
        return -logs.gather(1, labels[:, None]).mean()

    check_trained(layers, batches, step, tmp_path, rate=0.0005)
