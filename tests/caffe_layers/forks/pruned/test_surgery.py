"""Dynamic network surgery's layers against their arithmetic, weight by weight."""

from __future__ import annotations

from math import sqrt
from pathlib import Path

import numpy as np
import pytest
import torch

import converter
from prototxt import CaffeError
from tests.support.restated import check, load

RNG = np.random.default_rng(16)
X = RNG.normal(size=(2, 2, 4, 3))
CONVOLUTION = "convolution_param { num_output: 4 kernel_h: 3 kernel_w: 2 pad: 1 }"
PRODUCT = "inner_product_param { num_output: 3 }"


def layer(kind: str, *params: str) -> str:
    return f'layer {{ name: "L" type: "{kind}" bottom: "x" top: "y" {" ".join(params)} }}'


def blobs(*shape: int) -> list[np.ndarray]:
    """Return weight, bias and their masks."""
    bias = (shape[0],)
    return [
        *(RNG.normal(size=each) for each in (shape, bias)),
        *(RNG.integers(0, 2, each).astype(float) for each in (shape, bias)),
    ]


def test_convolution(tmp_path: Path) -> None:
    own = blobs(4, 2, 3, 2)
    weight, bias = own[0] * own[2], own[1] * own[3]
    wide = np.pad(X, ((0, 0), (0, 0), (1, 1), (1, 1)))
    want = np.empty((2, 4, 4, 4))
    for n, o, i, j in np.ndindex(want.shape):
        want[n, o, i, j] = (weight[o] * wide[n, :, i : i + 3, j : j + 2]).sum() + bias[o]
    check(layer("CConvolution", CONVOLUTION), {"x": X}, {"y": want}, tmp_path, blobs={"L": own})


def test_product(tmp_path: Path) -> None:
    own = blobs(3, 24)
    want = X.reshape(2, 24) @ (own[0] * own[2]).T + own[1] * own[3]
    check(layer("CInnerProduct", PRODUCT), {"x": X}, {"y": want}, tmp_path, blobs={"L": own})


def test_what_is_cut_off_is_trained_on(tmp_path: Path) -> None:
    own = blobs(3, 24)
    net = load(layer("CInnerProduct", PRODUCT), {"x": X}, tmp_path, blobs={"L": own})
    x = torch.from_numpy(X).requires_grad_()
    diff = RNG.normal(size=(2, 3))
    net.blobs({"x": x})["y"].backward(torch.from_numpy(diff))
    weight, bias, *masks = net.params["L"]
    np.testing.assert_allclose(weight.grad.numpy(), diff.T @ X.reshape(2, 24), rtol=1e-10)
    np.testing.assert_allclose(bias.grad.numpy(), diff.sum(0), rtol=1e-10)
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.reshape(2, 24).numpy(), diff @ (own[0] * own[2]), rtol=1e-10)
    assert not any(mask.requires_grad for mask in masks)
    assert [net.layers["L"].lr_mult(blob) for blob in range(4)] == [1, 1, 0, 0]


def operated(own: list[np.ndarray], rate: float, masked: bool) -> list[np.ndarray]:
    """Return the masks after an operation at the beginning of a training."""
    values = [w * m if masked else w for w, m in zip(own[:2], own[2:], strict=True)]
    flat = [value for array in values for value in array.ravel() if value != 0]
    mean = sum(map(abs, flat)) / len(flat)
    deviation = sqrt((sum(value**2 for value in flat) - len(flat) * mean**2) / len(flat))
    limit = max(mean + rate * deviation, 0)
    found = []
    for array, mask in zip(own[:2], own[2:], strict=True):
        new = mask.copy()
        for at, value in np.ndenumerate(array):
            if mask[at] == 1 and abs(value) <= 0.9 * limit:
                new[at] = 0
            elif mask[at] == 0 and abs(value) > 1.1 * limit:
                new[at] = 1
        found.append(new)
    return found


@pytest.mark.parametrize("rate", [0.3, -0.5, -9])
@pytest.mark.parametrize(
    ("kind", "param", "shape"),
    [("CConvolution", CONVOLUTION, (4, 2, 3, 2)), ("CInnerProduct", PRODUCT, (3, 24))],
)
def test_training_cuts_off_and_joins(
    kind: str, param: str, shape: tuple[int, ...], rate: float, tmp_path: Path
) -> None:
    own = blobs(*shape)
    said = "cconvolution_param" if kind == "CConvolution" else "cinner_product_param"
    text = layer(kind, param, f"{said} {{ gamma: 0 c_rate: {rate} iter_stop: 2 }}")
    net = load(text, {"x": X}, tmp_path, blobs={"L": own}, phase="TRAIN")
    want = operated(own, rate, masked=kind == "CConvolution")
    assert any((a != b).any() for a, b in zip(want, own[2:], strict=True))
    for _ in range(3):  # the same threshold once more, and then none
        net.blobs({"x": torch.from_numpy(X)})
        for got, mask in zip(net.params["L"][2:], want, strict=True):
            np.testing.assert_array_equal(got.numpy(), mask)
    net.params["L"][0].data *= 100
    net.blobs({"x": torch.from_numpy(X)})
    np.testing.assert_array_equal(net.params["L"][2].numpy(), want[0])


def test_operations_become_rare(tmp_path: Path) -> None:
    text = layer("CInnerProduct", PRODUCT, "cinner_product_param { gamma: 1 power: 1 }")
    net = load(text, {"x": X}, tmp_path, blobs={"L": blobs(3, 24)}, phase="TRAIN")
    torch.manual_seed(5)
    own, seen = net.layers["L"], []
    for _ in range(300):
        own.weight_mask.fill_(0.5)  # neither cut nor joined
        own.weight_mask[0, 0], own.weight.data[0, 0] = 1, 0
        net.blobs({"x": torch.from_numpy(X)})
        seen.append(float(own.weight_mask[0, 0]) == 0)
    expected = sum(1 / (1 + t) for t in range(300))
    assert seen[0]
    assert abs(sum(seen) - expected) < 3 * sqrt(expected)


def test_a_training_that_goes_on_has_no_threshold(tmp_path: Path) -> None:
    own = blobs(3, 24)
    text = layer("CInnerProduct", PRODUCT, "cinner_product_param { gamma: 0 c_rate: 9 }")
    net = load(text, {"x": X}, tmp_path, blobs={"L": own}, phase="TRAIN")
    net.layers["L"].operations.fill_(7)
    net.blobs({"x": torch.from_numpy(X)})
    np.testing.assert_array_equal(net.params["L"][2].numpy(), np.ones((3, 24)))


def test_random_operations_have_no_onnx_form(tmp_path: Path) -> None:
    net = load(layer("CInnerProduct", PRODUCT), {"x": X}, tmp_path, phase="TRAIN")
    with pytest.raises(CaffeError, match="cut off at random"):
        converter.export_onnx(net, tmp_path / "net.onnx")


@pytest.mark.parametrize("kind", ["CConvolution", "CInnerProduct"])
def test_no_bias_is_refused(kind: str, tmp_path: Path) -> None:
    param = CONVOLUTION if kind == "CConvolution" else PRODUCT
    with pytest.raises(CaffeError, match="bias_term false, with which the fork itself fails"):
        load(layer(kind, param.replace(" }", " bias_term: false }")), {"x": X}, tmp_path)
