"""Weights of one bit, ternary ones, and XNOR networks' layers, of several Caffes, against loops."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from prototxt import CaffeError
from tests.support.restated import check, load

RNG = np.random.default_rng(7)
X = RNG.normal(size=(2, 2, 4, 3))
WEIGHT = RNG.normal(size=(3, 2, 2, 2))
WEIGHT[0, 0, 0, 0] = 0  # a 0 counts as 1 where there are but two values
FLAT = RNG.normal(size=(3, 24))
BIAS = RNG.normal(size=3)
CONVOLUTION = "convolution_param { num_output: 3 kernel_size: 2 }"
PRODUCT = "inner_product_param { num_output: 3 }"
ZZ = "debug_param { xnorno_grad: %s }"


def layer(kind: str, param: str) -> str:
    return f'layer {{ name: "L" type: "{kind}" bottom: "x" top: "y" {param} }}'


def signs(row: list[float]) -> list[float]:
    size = sum(map(abs, row)) / len(row)
    return [size if value >= 0 else -size for value in row]


def centred_signs(row: list[float]) -> list[float]:
    mean = sum(row) / len(row)
    return signs([min(max(value - mean, -1), 1) for value in row])


def best(row: list[float]) -> list[float]:
    """Try every number of kept values: the nearest of all is wanted."""
    order = sorted(row, key=abs, reverse=True)
    fits = [(sum(map(abs, order[:r])) ** 2 / r, r) for r in range(1, len(row) + 1)]
    good = [pair for pair in fits if pair[0] >= np.float32(1e-5)]
    least = abs(order[max(good)[1] - 1]) if good else abs(order[-2])
    kept = [(1 if value > 0 else -1) if abs(value) >= least else 0 for value in row]
    scale = sum(k * value for k, value in zip(kept, row, strict=True)) / sum(map(abs, kept))
    return [k * scale for k in kept]


def by_rows(weight: np.ndarray, rule: Callable[[list[float]], list[float]]) -> np.ndarray:
    return np.array([rule(row.ravel().tolist()) for row in weight]).reshape(weight.shape)


def by_threshold(weight: np.ndarray) -> np.ndarray:
    values = weight.ravel().tolist()
    delta = float(np.float32(0.7)) * sum(map(abs, values)) / len(values)
    codes = [(value > delta) - (value < -delta) for value in values]
    total = sum(code * value for code, value in zip(codes, values, strict=True))
    scale = min(total / (sum(map(abs, codes)) + 1e-6), 100)
    return np.array([code * scale for code in codes]).reshape(weight.shape)


def convolved(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    top = np.empty((len(x), 3, x.shape[2] - 1, x.shape[3] - 1))
    for n, o, i, j in np.ndindex(top.shape):
        top[n, o, i, j] = (weight[o] * x[n, :, i : i + 2, j : j + 2]).sum() + bias[o]
    return top


RULES = [
    ("Binary", "bwn_xnor", "", lambda weight: by_rows(weight, signs)),
    ("Binary", "caffe_zz", ZZ % "false", lambda weight: by_rows(weight, signs)),
    ("Binary", "caffe_zz", ZZ % "true", lambda weight: by_rows(weight, centred_signs)),
    ("Ternary", None, "", lambda weight: by_rows(weight, best)),
    ("", "twns", "", by_threshold),
]


@pytest.mark.parametrize(("prefix", "dialect", "param", "used"), RULES)
def test_convolution(prefix, dialect, param, used, tmp_path: Path) -> None:
    text = layer(f"{prefix}Convolution", f"{CONVOLUTION} {param}")
    own = {"L": [WEIGHT, BIAS]}
    want = convolved(X, used(WEIGHT), BIAS)
    check(text, {"x": X}, {"y": want}, tmp_path, blobs=own, dialect=dialect)
    assert_gradient_is_of_what_is_used(text, own, used(WEIGHT), tmp_path, dialect)


@pytest.mark.parametrize(("prefix", "dialect", "param", "used"), RULES[1:])
def test_inner_product(prefix, dialect, param, used, tmp_path: Path) -> None:
    text = layer(f"{prefix}InnerProduct", f"{PRODUCT} {param}")
    own = {"L": [FLAT, BIAS]}
    want = X.reshape(2, 24) @ used(FLAT).T + BIAS
    check(text, {"x": X}, {"y": want}, tmp_path, blobs=own, dialect=dialect)
    assert_gradient_is_of_what_is_used(text, own, used(FLAT), tmp_path, dialect)


def assert_gradient_is_of_what_is_used(text, own, used, folder: Path, dialect) -> None:
    net = load(text, {"x": X}, folder, blobs=own, dialect=dialect)
    x = torch.from_numpy(X).requires_grad_()
    top = net.blobs({"x": x})["y"]
    diff = torch.from_numpy(RNG.normal(size=top.shape))
    top.backward(diff)
    plain, twin = torch.from_numpy(used).requires_grad_(), torch.from_numpy(X).requires_grad_()
    by = torch.nn.functional
    (by.conv2d(twin, plain) if used.ndim == 4 else by.linear(twin.flatten(1), plain)).backward(diff)
    torch.testing.assert_close(x.grad, twin.grad)
    torch.testing.assert_close(net.params["L"][0].grad, plain.grad)


def test_ternary_ties_and_tiny_weights(tmp_path: Path) -> None:
    weight = np.array([
        [1.0, -1, 1, -1], [3e-4, -2e-4, 1e-4, 5e-5], [4, 1, 1, -4], [3, 1, 1, 1], [4e-4, 0, 0, 0],
    ])  # fmt: skip
    text = layer("TernaryInnerProduct", "inner_product_param { num_output: 5 bias_term: false }")
    x = RNG.normal(size=(2, 4))
    used = by_rows(weight, best)
    assert used[0].tolist() == [1, -1, 1, -1]
    assert used[1].tolist() == pytest.approx([2e-4, -2e-4, 2e-4, 0])  # all but the smallest
    assert used[2].tolist() == [4, 0, 0, -4]
    assert used[3].tolist() == [1.5] * 4  # 3^2 / 1 is 6^2 / 4
    assert used[4].tolist() == pytest.approx([1e-4, -1e-4, -1e-4, -1e-4])
    check(text, {"x": x}, {"y": x @ used.T}, tmp_path, blobs={"L": [weight]})


@pytest.mark.parametrize(
    ("weight", "codes", "scale"),
    [
        ([1.3, -1.3, 0.702, 0.698], [1, -1, 1, 0], (1.3 + 1.3 + 0.702) / (3 + 1e-6)),
        ([1000, -1000, 150, 100], [1, -1, 1, 0], 100),  # no threshold and no scale beyond 100
        ([0, 0, 0, 0], [0, 0, 0, 0], 0),
    ],
)
def test_twn_thresholds(weight, codes, scale, tmp_path: Path) -> None:
    text = layer("InnerProduct", "inner_product_param { num_output: 1 bias_term: false }")
    x = RNG.normal(size=(2, 4))
    want = (x @ codes * scale).reshape(2, 1)
    own = {"L": [np.array([weight], float)]}
    check(text, {"x": x}, {"y": want}, tmp_path, blobs=own, dialect="twns")


def test_without_a_message_the_fork_must_be_named(tmp_path: Path) -> None:
    text = layer("BinaryConvolution", CONVOLUTION)
    with pytest.raises(CaffeError, match="readings of hwgq, bwn_xnor each fit"):
        load(text, {"x": X}, tmp_path)
    activ = layer("BinActiv", WINDOW % 3).replace('"L"', '"A"').replace('"y"', '"s" top: "k"')
    load(text + activ, {"x": X}, tmp_path)  # what else is in the file tells it


def test_zz_does_not_train(tmp_path: Path) -> None:
    net = load(layer("BinaryConvolution", f"{CONVOLUTION} {ZZ % 'true'}"), {"x": X}, tmp_path,
               phase="TRAIN")  # fmt: skip
    with pytest.raises(CaffeError, match="its training is one thing on the CPU"):
        net({"x": torch.from_numpy(X)})


WINDOW = (
    "convolution_param { num_output: 1 kernel_size: %s pad: 1 bias_filler { value: 0.5 } "
    'weight_filler { type: "constant" value: 2 } }'
)


def test_bin_activ(tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 3, 4, 5))
    x[0, 0, 0, :3] = 0, 0.5, -0.5  # the signs' and the slope's ends
    text = layer("BinActiv", WINDOW % 3).replace('top: "y"', 'top: "s" top: "k"')
    sign, around = np.empty(x.shape), np.full((2, 1, 4, 5), 0.5)
    for at in np.ndindex(x.shape):
        sign[at] = 1 if x[at] >= 0 else -1
    for n, i, j, a, b in np.ndindex(2, 4, 5, 3, 3):
        row, column = i + a - 1, j + b - 1
        if 0 <= row < 4 and 0 <= column < 5:
            around[n, 0, i, j] += 2 * sum(x[n, :, row, column].tolist()) / 3
    wants = {"s": sign, "k": around / 9}
    check(text, {"x": x}, wants, tmp_path, dynamic=("batch", "height", "width"))
    moved = torch.from_numpy(2 * x).requires_grad_()
    tops = load(text, {"x": x}, tmp_path).blobs({"x": moved})
    (tops["s"].sum() + tops["k"].sum()).backward()
    np.testing.assert_array_equal(moved.grad, np.abs(2 * x) <= 1)


def test_split_concat(tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 1, 2, 3))
    text = layer("SplitConcat", "convolution_param { num_output: 4 }")
    check(text, {"x": x}, {"y": np.concatenate([x] * 4, 1)}, tmp_path)
    text = layer("SplitConcat", "convolution_param { num_output: 2 } concat_param { axis: 2 }")
    check(text, {"x": x}, {"y": np.concatenate([x] * 2, 2)}, tmp_path)


def test_all_pass_and_statistic(tmp_path: Path) -> None:
    check(layer("AllPass", "all_pass_param { key: 3 }"), {"x": X}, {"y": X}, tmp_path)
    net = load(layer("Statistic", "slice_param { axis: 100 }"), {"x": X}, tmp_path)
    assert net.layers["L"].shapes(X.shape) == [(1, 1, 1, 1)]


@pytest.mark.parametrize(
    ("kind", "param", "says"),
    [
        ("BinActiv", WINDOW % 5, "changes the size"),
        ("BinActiv", (WINDOW % 3).replace("num_output: 1", "num_output: 2"), "num_output 2, wants"),
        ("BinActiv", (WINDOW % 3).replace("constant", "xavier"), "whose values no file keeps"),
        ("BinActiv", (WINDOW % 3).replace("pad: 1", "pad: 1 stride: 2"), "changes the size"),
        ("SplitConcat", "", "num_output is 0, wants 1 or more"),
        ("TernaryInnerProduct", "inner_product_param { num_output: 3 transpose: true }",
         "transpose takes inputs"),
        ("BinaryInnerProduct", "inner_product_param { num_output: 3 transpose: true } "
         "debug_param { }", "transpose takes inputs"),
    ],
)  # fmt: skip
def test_refused(kind: str, param: str, says: str, tmp_path: Path) -> None:
    text = layer(kind, param)
    text = text.replace('top: "y"', 'top: "y" top: "k"') if kind == "BinActiv" else text
    with pytest.raises(CaffeError, match=says):
        load(text, {"x": X}, tmp_path)
