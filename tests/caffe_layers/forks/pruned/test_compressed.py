"""DeepCompression's layers against their arithmetic, weight by weight."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from prototxt import CaffeError
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(16)
X = RNG.normal(size=(2, 2, 4, 3))


def layer(kind: str, param: str) -> str:
    message = "convolution_param" if kind == "CmpConvolution" else "inner_product_param"
    return f'layer {{ name: "L" type: "{kind}" bottom: "x" top: "y" {message} {{ {param} }} }}'


def pruned(weight: np.ndarray, ratio: float) -> np.ndarray:
    sizes = sorted(abs(value) for value in weight.ravel())
    index = int(np.float32(len(sizes)) * np.float32(ratio))
    if index == 0:
        return weight
    kept = [value if abs(value) > sizes[index - 1] else 0 for value in weight.ravel()]
    return np.array(kept).reshape(weight.shape)


@pytest.mark.parametrize("ratio", [0, 0.33, 0.8, 1])
def test_convolution(ratio: float, tmp_path: Path) -> None:
    weight, bias = RNG.normal(size=(4, 2, 3, 2)), RNG.normal(size=4)
    wide, used = np.pad(X, ((0, 0), (0, 0), (1, 1), (1, 1))), pruned(weight, ratio)
    want = np.empty((2, 4, 4, 4))
    for n, o, i, j in np.ndindex(want.shape):
        want[n, o, i, j] = (used[o] * wide[n, :, i : i + 3, j : j + 2]).sum() + bias[o]
    text = layer("CmpConvolution", f"num_output: 4 kernel_h: 3 kernel_w: 2 pad: 1 "
                 f"sparse_ratio: {ratio}")  # fmt: skip
    check(text, {"x": X}, {"y": want}, tmp_path, blobs={"L": [weight, bias]})
    check_gradients(text, {"x": X}, tmp_path, blobs={"L": [weight, bias]})


@pytest.mark.parametrize("bias", [True, False])
def test_product(bias: bool, tmp_path: Path) -> None:
    weight = RNG.normal(size=(3, 24)).round(1)  # several of one size
    want = X.reshape(2, 24) @ pruned(weight, 0.5).T + (2 if bias else 0)
    text = layer("CmpInnerProduct", f"num_output: 3 sparse_ratio: 0.5 bias_term: {bias}".lower())
    blobs = {"L": [weight, np.full(3, 2.0)] if bias else [weight]}
    check(text, {"x": X}, {"y": want}, tmp_path, blobs=blobs)
    net = load(text, {"x": X}, tmp_path, blobs=blobs)
    net.blobs({"x": torch.from_numpy(X)})["y"].sum().backward()
    gradient = net.params["L"][0].grad.numpy()
    seen = np.tile(X.reshape(2, 24).sum(0), (3, 1)) * (pruned(weight, 0.5) != 0)
    np.testing.assert_allclose(gradient, seen, rtol=1e-12)


@pytest.mark.parametrize(
    ("kind", "param", "says"),
    [
        ("CmpInnerProduct", "num_output: 3 quantize_term: true", "quantize_term lets the fork"),
        ("CmpConvolution", "num_output: 3 kernel_size: 1 sparse_ratio: 1.5", "wants a share"),
    ],
)
def test_refused(kind: str, param: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=says):
        load(layer(kind, param), {"x": X}, tmp_path)
