"""Mixup: each pair of images and of labels mixed alike, by a share of its distribution."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import converter
from converter.network.net import CaffeNet
from prototxt import CaffeError
from tests.support import restated

COUNT, CLASSES = 7, 5
RNG = np.random.default_rng(1701)
X = RNG.standard_normal((COUNT, 3, 2))
LABELS = np.array([2.0, 0, 4, 1, 1, 3, 4])


def text(fields: str, *, bottoms: str = "xl") -> str:
    names = " ".join(f'bottom: "{name}"' for name in bottoms)
    return (
        f'layer {{ name: "L" type: "Mixup" {names} top: "y" top: "z" '
        f"mixup_param {{ {fields} }} }}\n"
    )


def mixed(net: CaffeNet, label: np.ndarray) -> tuple[float, list[int], np.ndarray]:
    """Return the share of a pass, whom each image was mixed with, and the labels."""
    blobs = net.blobs({"x": torch.from_numpy(X), "l": torch.from_numpy(label)})
    y, z = blobs["y"].numpy(), blobs["z"].numpy()
    # y = a x + (1 - a) x', which gives a by least squares for each x' that it may be.
    whom, shares = [], []
    for n in range(COUNT):
        fits = []
        for m in range(COUNT):
            away = (X[n] - X[m]).ravel()
            a = away @ (y[n] - X[m]).ravel() / (away @ away) if m != n else np.nan
            rest = y[n] - X[n] if m == n else y[n] - a * X[n] - (1 - a) * X[m]
            fits.append((float(np.abs(rest).max()), m, float(a)))
        least, m, a = min(fits, key=lambda fit: (fit[0] > 1e-12, fit[1] != n))
        assert least < 1e-12
        whom.append(m)
        shares.append(a)
    known = [a for a in shares if not np.isnan(a)]
    np.testing.assert_allclose(known, known[0], rtol=1e-9)
    return known[0], whom, z


@pytest.mark.parametrize("weighted", [False, True])
def test_images_and_labels_are_mixed_alike(weighted: bool, tmp_path: Path) -> None:
    given = np.eye(CLASSES)[LABELS.astype(int)]
    label = RNG.uniform(0, 1, (COUNT, CLASSES)) if weighted else LABELS
    weights = label if weighted else given
    fields = "alpha: 0.7" if weighted else "cls_num: 5 alpha: 0.7"
    net = restated.load(text(fields), {"x": X, "l": label}, tmp_path)
    torch.manual_seed(2)
    found = set()
    for _ in range(5):
        share, whom, z = mixed(net, label)
        assert 0 <= share <= 1
        assert sorted(whom) == list(range(COUNT))
        np.testing.assert_allclose(z, share * weights + (1 - share) * weights[whom], atol=1e-12)
        found.add((share, *whom))
    assert len(found) == 5


def test_shares_are_of_the_beta_distribution(tmp_path: Path) -> None:
    """Of variance 1 / (4 (2 alpha + 1)), about 1/2."""
    x = np.array([[0.0], [1.0]])
    net = restated.load(text("cls_num: 2 alpha: 0.2"), {"x": x, "l": np.zeros(2)}, tmp_path)
    torch.manual_seed(3)
    given = {"x": torch.from_numpy(x), "l": torch.zeros(2, dtype=torch.float64)}
    tops = torch.stack([net.blobs(given)["y"][1, 0] for _ in range(1500)])
    shares = tops[tops < 1]  # mixed with the other one
    assert len(shares) == pytest.approx(750, abs=100)
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.05)
    assert float(shares.var()) == pytest.approx(0.25 / 1.4, rel=0.08)


def test_nothing_has_a_gradient(tmp_path: Path) -> None:
    net = restated.load(text("cls_num: 5"), {"x": X, "l": LABELS}, tmp_path, phase="TRAIN")
    x = torch.from_numpy(X).requires_grad_()
    assert not net.blobs({"x": x, "l": torch.from_numpy(LABELS)})["y"].requires_grad


def test_without_labels_images_stay(tmp_path: Path) -> None:
    layer = text("cls_num: 5", bottoms="x").replace('top: "z"', "")
    restated.check(layer, {"x": X}, {"y": X}, tmp_path)


def test_deployed(tmp_path: Path) -> None:
    path = tmp_path / "train.prototxt"
    path.write_text(
        'layer { name: "d" type: "Input" top: "x" top: "l" input_param { '
        "shape { dim: [4, 3] } shape { dim: 4 } } }\n"
        + text("cls_num: 2")
        + 'layer { name: "f" type: "InnerProduct" bottom: "y" top: "f" '
        "inner_product_param { num_output: 2 } }\n"
        'layer { name: "loss" type: "SoftmaxCrossEntropyLoss" bottom: "f" bottom: "z" top: "s" }\n'
    )
    net = converter.load(path, deploy=True)
    assert net.outputs == ["f"] or list(net.outputs) == ["f"]
    assert (
        "--deploy left 'l' out of layer 'L' (Mixup), which needs labels in training alone"
        in net.notes
    )
    assert converter.export_onnx(net, tmp_path / "net.onnx")


@pytest.mark.parametrize(
    ("fields", "inputs", "says"),
    [
        ("alpha: 0 cls_num: 3", {"x": X, "l": LABELS}, "alpha is 0, wants more than 0"),
        ("", {"x": X, "l": LABELS}, "0 classes, wants 2 or more\n  fix: set cls_num"),
        ("cls_num: 3", {"x": X, "l": LABELS[:, None]}, "1 classes, wants 2 or more"),
        ("cls_num: 3", {"x": X, "l": LABELS[:4]}, "are of 4 samples, wants 7"),
        ("cls_num: 3", {"x": X}, "2 tops, wants 1 with 1 bottoms"),
    ],
)
def test_refusals(fields: str, inputs: dict[str, np.ndarray], says: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=says):
        restated.load(text(fields, bottoms="".join(inputs)), inputs, tmp_path)


def test_a_label_of_no_class_and_onnx_are_refused(tmp_path: Path) -> None:
    net = restated.load(text("cls_num: 4"), {"x": X, "l": LABELS}, tmp_path)
    with pytest.raises(CaffeError, match="labels"):
        net.blobs({"x": torch.from_numpy(X), "l": torch.from_numpy(LABELS)})
    with pytest.raises(CaffeError, match="which ONNX lacks\n  fix: --deploy leaves the labels out"):
        converter.export_onnx(net, tmp_path / "net.onnx")
