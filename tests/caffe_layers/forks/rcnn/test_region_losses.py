"""The losses of R-CNN and R-FCN, and the mining of hard examples, against plain loops."""

from __future__ import annotations

from math import exp, log
from pathlib import Path

import numpy as np
import pytest
import torch

import caffe_layers
from prototxt import ShapeError, UnsupportedError
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(1701)


def layer(kind: str, bottoms: str, tops: str = "loss", params: str = "") -> str:
    names = " ".join(f'bottom: "{name}"' for name in bottoms.split())
    names += "".join(f' top: "{name}"' for name in tops.split())
    weights = " loss_weight: 1" + " loss_weight: 0" * (len(tops.split()) - 1)
    weights = weights if "oss" in kind else ""
    return f'layer {{ name: "L" type: "{kind}" {names}{weights} {params} }}'


def smooth_l1(d: float, sigma: float = 1.0) -> float:
    if abs(d) < 1 / sigma**2:
        return 0.5 * sigma**2 * d * d
    return abs(d) - 0.5 / sigma**2


def arrays(*shape: int, weights: int = 0) -> dict[str, np.ndarray]:
    made = {name: RNG.normal(size=shape) * 1.5 for name in ("a", "b")}
    # Both sides of the corner, and the corner itself.
    corners = np.array([1, -1, 0, 1 / 9])[: made["a"].size]
    made["a"].flat[: len(corners)] = made["b"].flat[: len(corners)] + corners
    for name in ("wi", "wo")[:weights]:
        made[name] = RNG.integers(0, 3, shape) * RNG.uniform(0.5, 1, shape)
    return made


@pytest.mark.parametrize("sigma", [1, 3, 0.5])
@pytest.mark.parametrize("shape", [(3, 8), (2, 4, 3, 5), (3,)])
def test_smooth_l1_with_weights(sigma: float, shape: tuple[int, ...], tmp_path: Path) -> None:
    given = arrays(*shape, weights=2)
    each = [
        wo * smooth_l1(wi * (a - b), sigma)
        for a, b, wi, wo in zip(*(given[name].flat for name in ("a", "b", "wi", "wo")), strict=True)
    ]
    text = layer("SmoothL1Loss", "a b wi wo", params=f"smooth_l1_loss_param {{ sigma: {sigma} }}")
    check(text, given, {"loss": np.array(sum(each) / shape[0])}, tmp_path)
    check_gradients(text, given, tmp_path, top="loss", wrt=("b",))


@pytest.mark.parametrize("param", ["", "smooth_l1_loss_param { sigma: 2 }"])
def test_smooth_l1_of_two_bottoms(param: str, tmp_path: Path) -> None:
    given = arrays(4, 3)
    sigma = 2 if param else 1
    want = sum(smooth_l1(a - b, sigma) for a, b in zip(*map(np.ravel, given.values()), strict=True))
    text = layer("SmoothL1Loss", "a b", params=param)
    check(text, given, {"loss": np.array(want / 4)}, tmp_path)


def test_bottoms_of_four_and_two_axes(tmp_path: Path) -> None:
    given = arrays(3, 8, weights=2)
    text = layer("SmoothL1Loss", "a b wi wo")
    want = load(text, given, tmp_path)({k: torch.from_numpy(v) for k, v in given.items()})["loss"]
    spread = {k: v if k == "a" else v.reshape(3, 8, 1, 1) for k, v in given.items()}
    check(text, spread, {"loss": want.numpy()}, tmp_path)


COUNTS = {
    "": 3 * 10,
    "loss_param { normalization: FULL }": 3 * 10,
    "loss_param { normalization: BATCH_SIZE }": 3,
    "loss_param { normalization: NONE }": 1,
    "loss_param { normalization: PRE_FIXED pre_fixed_normalizer: 128 }": 128,
    "loss_param { normalization: PRE_FIXED pre_fixed_normalizer: 0.25 }": 1,
    "loss_param { normalization: PRE_FIXED }": 1,
    "loss_param { normalize: false }": 3,
}


@pytest.mark.parametrize("param", COUNTS)
@pytest.mark.parametrize("weights", [0, 1])
def test_smooth_l1_ohem(param: str, weights: int, tmp_path: Path) -> None:
    given = arrays(3, 4, 2, 5, weights=weights)
    w = given.get("wi", np.ones((3, 4, 2, 5)))
    terms = np.vectorize(smooth_l1)(w * (given["a"] - given["b"]))
    wants = {"loss": terms.sum() / COUNTS[param], "each": terms.sum(1, keepdims=True)}
    bottoms = " ".join(given)
    # The count does not follow a batch of one more where it is fixed: restated for one batch.
    text = layer("SmoothL1LossOHEM", bottoms, "loss each", param)
    check(text, given, wants, tmp_path)
    check(layer("SmoothL1Loss", bottoms, "loss each", param), given, wants, tmp_path, onnx=False)


def test_three_bottoms_with_a_normalization_are_rfcn_s(tmp_path: Path) -> None:
    given = arrays(3, 4, 2, 5, weights=1)
    terms = np.vectorize(smooth_l1)(given["wi"] * (given["a"] - given["b"]))
    text = layer("SmoothL1Loss", "a b wi", params="loss_param { normalization: FULL }")
    check(text, given, {"loss": terms.sum() / 30}, tmp_path)


def test_weight_counts_once_in_the_gradient(tmp_path: Path) -> None:
    given = arrays(3, 4, weights=1)
    net = load(layer("SmoothL1LossOHEM", "a b wi", "loss each"), given, tmp_path)
    tensors = {name: torch.from_numpy(array).requires_grad_() for name, array in given.items()}
    net(tensors)["loss"].backward()
    d = given["wi"] * (given["a"] - given["b"])
    want = np.where(np.abs(d) < 1, d, np.sign(d)) / 3
    assert np.abs(tensors["a"].grad.numpy() - want).max() < 1e-12
    assert np.abs(tensors["b"].grad.numpy() + want).max() < 1e-12
    assert tensors["wi"].grad is None


def softmax_terms(x: np.ndarray, label: np.ndarray, ignore: int | None) -> np.ndarray:
    """Return the losses of N x C x S scores and N x S labels."""
    terms = np.zeros(label.shape)
    for n, s in np.ndindex(label.shape):
        index = int(label[n, s])
        if index != ignore:
            most = max(x[n, :, s])
            share = exp(x[n, index, s] - most) / sum(exp(v - most) for v in x[n, :, s])
            terms[n, s] = -log(max(share, 2.0**-126))
    return terms


SOFTMAX_COUNTS = {
    "ignore_label: 2": None,
    "normalization: FULL": 12,
    "normalization: BATCH_SIZE ignore_label: 2": 4,
    "normalization: PRE_FIXED pre_fixed_normalizer: 7 ignore_label: 2": 7,
    "normalization: PRE_FIXED pre_fixed_normalizer: 0.5": 1,
    "normalization: NONE": 1,
}


@pytest.mark.parametrize("param", SOFTMAX_COUNTS)
@pytest.mark.parametrize("tops", [1, 3])
def test_softmax_ohem(param: str, tops: int, tmp_path: Path) -> None:
    x, label = RNG.normal(size=(4, 5, 3)) * 3, RNG.integers(0, 5, (4, 3)).astype(float)
    label[0, 0], x[1, :, 1] = 2, [300, 0, 0, 0, 0]
    label[1, 1] = 1  # a probability below the least float
    ignore = 2 if "ignore" in param else None
    terms = softmax_terms(x, label, ignore)
    count = SOFTMAX_COUNTS[param] or (label != 2).sum()
    most = x.max(1, keepdims=True)
    shares = np.exp(x - most) / np.exp(x - most).sum(1, keepdims=True)
    wants = {"loss": terms.sum() / count, "prob": shares, "each": terms}
    names = ["loss", "prob", "each"][:tops]
    given = {"x": x, "label": label}
    for kind in ("SoftmaxWithLossOHEM", "SoftmaxWithLoss"):
        text = layer(kind, "x label", " ".join(names), f"loss_param {{ {param} }}")
        check(text, given, {name: wants[name] for name in names}, tmp_path)


def test_which_reading_a_softmax_loss_is(tmp_path: Path) -> None:
    given = {"x": np.zeros((2, 3)), "label": np.zeros(2)}
    for tops, param, cls in (
        ("loss", "", "SoftmaxWithLoss"),
        ("loss", "loss_param { normalization: NONE }", "SoftmaxWithLoss"),
        ("loss", "loss_param { normalization: PRE_FIXED }", "RFCNSoftmaxWithLoss"),
        ("loss prob each", "", "RFCNSoftmaxWithLoss"),
    ):
        net = load(layer("SoftmaxWithLoss", "x label", tops, param), given, tmp_path)
        assert type(net.layers["L"]).__name__ == cls


def test_other_losses_refuse_pre_fixed(tmp_path: Path) -> None:
    text = layer("SigmoidCrossEntropyLoss", "a b", params="loss_param { normalization: PRE_FIXED }")
    with pytest.raises(UnsupportedError, match="PRE_FIXED"):
        load(text, arrays(3, 2), tmp_path)


def test_gradient_of_softmax_ohem(tmp_path: Path) -> None:
    given = {"x": RNG.normal(size=(4, 3)), "label": np.array([0.0, 2, 1, 1])}
    param = "loss_param { ignore_label: 1 normalization: PRE_FIXED pre_fixed_normalizer: 3 }"
    text = layer("SoftmaxWithLossOHEM", "x label", "loss prob each", param)
    check_gradients(text, given, tmp_path, top="loss")


def annotate(
    rois: np.ndarray, loss: np.ndarray, label: np.ndarray, weight: np.ndarray, most: int, none: int
) -> tuple[np.ndarray, np.ndarray]:
    """Restate it for N x 5 x S regions."""
    labels, weights = np.full(label.shape, float(none)), np.zeros(weight.shape)
    left = dict.fromkeys(rois[:, 0].flat, most)
    size = loss.shape[1]
    for at in sorted(range(loss.size), key=lambda at: -loss.flat[at]):
        n, s = divmod(at, size)
        if left[rois[n, 0, s]] > 0:
            left[rois[n, 0, s]] -= 1
            labels[n, s] = label[n, s]
            weights[n, :, s] = weight[n, :, s]
    return labels, weights


@pytest.mark.parametrize("most", [1, 3, 100])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("size", [(), (1, 1), (2, 3)])
def test_box_annotator(most: int, ties: bool, size: tuple[int, ...], tmp_path: Path) -> None:
    n, s = 9, int(np.prod(size))
    rois = RNG.uniform(0, 50, (n, 5, s))
    rois[:, 0] = RNG.integers(0, 3, (n, s))
    loss = RNG.integers(0, 3, (n, s)).astype(float) if ties else RNG.uniform(size=(n, s))
    label, weight = RNG.integers(0, 4, (n, s)).astype(float), RNG.uniform(size=(n, 8, s))
    labels, weights = annotate(rois, loss, label, weight, most, -1)
    one = (n, 1, *size) if size else (n,)
    given = {
        "rois": rois.reshape(n, 5, *size),
        "each": loss.reshape(one),
        "label": label.reshape(one),
        "w": weight.reshape(n, 8, *size),
    }
    wants = {"hard": labels.reshape(one), "hard_w": weights.reshape(n, 8, *size)}
    text = layer(
        "BoxAnnotatorOHEM",
        "rois each label w",
        "hard hard_w",
        f"box_annotator_ohem_param {{ roi_per_img: {most} }}",
    )
    check(text, given, wants, tmp_path)


def test_ignore_label_of_the_annotator() -> None:
    layer = caffe_layers.BoxAnnotatorOHEM(roi_per_img=1, ignore_label=7)
    rois, loss = torch.zeros(2, 5), torch.tensor([1.0, 2])
    labels, weights = layer(rois, loss, torch.tensor([3.0, 4]), torch.ones(2, 4))
    assert labels.tolist() == [7, 4]
    assert weights.sum(1).tolist() == [0, 4]


REFUSED = {
    layer("SmoothL1Loss", "a b wi", params="smooth_l1_loss_param { sigma: 2 }"): (
        "3 bottoms, wants 2, or 4",
        [(2, 3)] * 3,
    ),
    layer("SmoothL1Loss", "a b wi wo"): (
        r"w_in \(2, 4\) and a \(2, 3\)",
        [(2, 3), (2, 3), (2, 4), (2, 3)],
    ),
    layer("SmoothL1LossOHEM", "a b"): (r"b \(2, 4\) and a \(2, 3\) differ", [(2, 3), (2, 4)]),
    layer("SoftmaxWithLossOHEM", "a b"): ("labels", [(2, 3), (2, 2)]),
    layer("BoxAnnotatorOHEM", "a b wi wo", "c d", "box_annotator_ohem_param { roi_per_img: 0 }"): (
        "roi_per_img 0 wants 1 or more",
        [(2, 5), (2,), (2,), (2, 8)],
    ),
    layer("BoxAnnotatorOHEM", "a b wi wo", "c d", "box_annotator_ohem_param { roi_per_img: 2 }"): (
        r"labels \(3,\) are not one for each",
        [(2, 5), (2,), (3,), (2, 8)],
    ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str, tmp_path: Path) -> None:
    message, shapes = REFUSED[text]
    given = {n: np.zeros(s) for n, s in zip(("a", "b", "wi", "wo"), shapes, strict=False)}
    with pytest.raises(ShapeError, match=message):
        load(text, given, tmp_path)


def test_rfcn_has_r_cnn_s_loss_too(tmp_path: Path) -> None:
    for bottoms, cls in (("a b wi wo", "RCNNSmoothL1Loss"), ("a b wi", "RFCNSmoothL1Loss")):
        given = arrays(3, 2, weights=len(bottoms.split()) - 2)
        net = load(layer("SmoothL1Loss", bottoms), given, tmp_path, dialect="rfcn")
        assert type(net.layers["L"]).__name__ == cls
