"""Label smoothing of three forks against their loops, and trained beside their formulas."""

from __future__ import annotations

from math import exp, log
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from prototxt import CaffeError
from tests.support.recorded import assert_close
from tests.support.restated import check, load
from tests.support.trained import Batch, Weights, check_trained

FLT_MIN = 2.0**-126
E = float(np.float32(0.3))
IGNORED = 255
FIELD = {
    "nvidia": "loss_param { label_smoothing: 0.3 %s }",
    "intel": "loss_param { label_smoothing: 0.3 %s }",
    "happynear": "softmax_param { label_smooth_factor: 0.3 } loss_param { %s }",
}
ROWS = [
    ("", (4, 5)),
    ("ignore_label: 255", (3, 5, 2, 3)),
    ("ignore_label: 255 normalization: FULL", (3, 5, 2, 3)),
    ("normalization: BATCH_SIZE", (3, 5, 2, 3)),
    ("normalize: true ignore_label: 255", (3, 2)),
]


def text(fork: str, more: str = "") -> str:
    return (
        'layer { name: "L" type: "SoftmaxWithLoss" bottom: "x" bottom: "label" top: "y" '
        f"{FIELD[fork] % more} }}\n"
    )


def bottoms(more: str, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1701)
    label = rng.integers(0, shape[1], (shape[0], *shape[2:])).astype(float)
    if "ignore" in more:
        label.flat[1] = IGNORED
    x = rng.normal(0, 3, shape)
    x[0, :, ...] *= 60  # logarithms beyond the smallest float
    return {"x": x, "label": label}


def loops(fork: str, more: str, x: np.ndarray, label: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the loss and the gradient, one prediction after the other."""
    images, classes, *rest = x.shape
    spread = classes * int(np.prod(rest))
    loss, count, gradient = 0.0, 0, np.zeros_like(x)
    for n, *place in np.ndindex(images, *rest):
        if "ignore" in more and label[(n, *place)] == IGNORED:
            continue
        own = int(label[(n, *place)])
        scores = [x[(n, c, *place)] for c in range(classes)]
        total = sum(exp(score - max(scores)) for score in scores)
        p = [exp(score - max(scores)) / total for score in scores]
        count += 1
        if fork == "happynear":
            loss -= (1 - E) * log(max(p[own], FLT_MIN))
            loss -= sum(
                E / (classes - 1) * log(max(p[c], FLT_MIN)) for c in range(classes) if c != own
            )
        else:
            loss -= log(max(p[own], FLT_MIN))
        for c in range(classes):
            if fork == "nvidia":
                d = p[c] - E / (spread - 1) - (1 - E if c == own else 0)
            elif fork == "intel":
                ratio = 1 - E + (spread - 1) * (E / spread)
                d = p[c] * ratio - E / spread + (E / spread - (1 - E) if c == own else 0)
            else:
                d = p[c] - (1 - E if c == own else E / (classes - 1))
            gradient[(n, c, *place)] = d
    if "FULL" in more or "ignore" not in more:
        count = images * int(np.prod(rest))
    if "BATCH_SIZE" in more:
        count = images
    return loss / count, gradient / count


@pytest.mark.parametrize(("more", "shape"), ROWS)
@pytest.mark.parametrize("fork", FIELD)
def test_loss_and_gradient(fork: str, more: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    inputs = bottoms(more, shape)
    value, gradient = loops(fork, more, **inputs)
    check(text(fork, more), inputs, {"y": np.array(value)}, tmp_path, dialect=fork)
    net = load(text(fork, more), inputs, tmp_path, dialect=fork)
    x = torch.from_numpy(inputs["x"]).requires_grad_()
    net.blobs({"x": x, "label": torch.from_numpy(inputs["label"])})["y"].backward()
    assert x.grad is not None
    assert_close(x.grad, gradient, "gradient")


@pytest.mark.parametrize("fork", FIELD)
def test_no_smoothing_is_the_plain_loss(fork: str, tmp_path: Path) -> None:
    inputs = bottoms("", (4, 5))
    plain = 'layer { name: "L" type: "SoftmaxWithLoss" bottom: "x" bottom: "label" top: "y" }\n'
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    want = load(plain, inputs, tmp_path).blobs(tensors)["y"]
    none = text(fork).replace("0.3", "0")
    check(none, inputs, {"y": want.numpy()}, tmp_path, dialect=fork, opsets=(17,))


def test_a_training_asks_which_fork_smooths(tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match="the readings of nvidia, intel each fit this layer"):
        load(text("nvidia"), bottoms("", (4, 5)), tmp_path, phase="TRAIN")


@pytest.mark.parametrize(
    ("fork", "shape", "more", "says"),
    [
        ("nvidia", (4, 1), "", "1 class, wants 2 or more"),
        ("happynear", (4, 1), "", "1 class, wants 2 or more"),
        ("happynear", (4, 5), "cutting_point: 0.9", "cutting_point beside label_smooth_factor"),
    ],
)
def test_refusals(fork: str, shape: tuple[int, ...], more: str, says: str, tmp_path: Path) -> None:
    inputs = bottoms("", shape)
    layers = text(fork).replace("0.3", f"0.3 {more}")
    with pytest.raises(CaffeError, match=says):
        load(layers, inputs, tmp_path, dialect=fork)


@pytest.mark.parametrize("fork", FIELD)
def test_trained(fork: str, tmp_path: Path) -> None:
    """Cross entropy with smoothed targets; two of the forks show the plain one meanwhile."""
    rng = np.random.default_rng(1701)
    batches = {
        "x": rng.standard_normal((3, 8, 5)),
        "label": rng.integers(0, 4, (3, 8)).astype(float),
    }
    layers = 'layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc" inner_product_param { '
    layers += 'num_output: 4 weight_filler { type: "xavier" } } }\n'
    layers += text(fork).replace('bottom: "x"', 'bottom: "fc"')

    def step(
        weights: Weights, batch: Batch, iteration: int
    ) -> tuple[Tensor, dict[tuple[str, int], Tensor]]:
        weight, bias = weights["fc"]
        logs = (batch["x"] @ weight.t() + bias).log_softmax(1)
        shown = logs.new_zeros(())
        learned = logs.new_zeros(())
        for row, own in zip(logs, batch["label"].long(), strict=True):
            others = [row[c] for c in range(4) if c != own]
            each = E / 4 if fork == "intel" else E / 3  # intel's targets do not sum up to 1
            smooth = -(1 - E) * row[own] - each * sum(others)
            learned = learned + smooth / 8
            shown = shown + (smooth if fork == "happynear" else -row[own]) / 8
        if fork == "nvidia":  # draws the label's score up by e / 3 too
            scores = batch["x"] @ weight.t() + bias
            own = scores.gather(1, batch["label"].long()[:, None])
            learned = learned - E / 3 * own.mean()
        found = torch.autograd.grad(learned, [weight, bias])
        return shown, {("fc", at): gradient for at, gradient in enumerate(found)}

    check_trained(layers, batches, step, tmp_path, dialect=fork)
