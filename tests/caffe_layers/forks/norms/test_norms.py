"""GroupNorm and InstanceNorm against loops: values, gradients, ONNX."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from prototxt import CaffeError
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(15)


def layer(kind: str, param: str = "") -> str:
    return f'layer {{ name: "L" type: "{kind}" bottom: "x" top: "y" {param} }}'


def normalized(x: np.ndarray, groups: int, eps: float) -> np.ndarray:
    top = np.empty_like(x)
    each = x.shape[1] // groups
    for n, g in np.ndindex(len(x), groups):
        part = slice(g * each, (g + 1) * each)
        values = x[n, part].ravel().tolist()
        mean = sum(values) / len(values)
        var = sum((value - mean) ** 2 for value in values) / len(values)
        top[n, part] = (x[n, part] - mean) / (var + eps) ** 0.5
    return top


@pytest.mark.parametrize(
    ("shape", "said", "groups", "eps"),
    [
        ((2, 6, 3, 4), "group_num: 3", 3, 1e-5),
        ((2, 6, 3, 4), "group_num: 1 eps: 0.5", 1, 0.5),
        ((2, 4, 2, 3, 2), "group_num: 2", 2, 1e-5),  # as the lock-in network has it
        ((2, 32, 2), "", 32, 1e-5),
        ((3, 4), "group_num: 2", 2, 1e-5),
    ],
)
def test_group_norm(
    shape: tuple[int, ...], said: str, groups: int, eps: float, tmp_path: Path
) -> None:
    x = RNG.normal(0.2, 0.03, size=shape)  # small, for eps to count
    text = layer("GroupNorm", f"group_norm_param {{ {said} }}")
    check(text, {"x": x}, {"y": normalized(x, groups, float(np.float32(eps)))}, tmp_path)
    check_gradients(text, {"x": x}, tmp_path)


def test_the_means_of_large_groups_are_exact_in_float(tmp_path: Path) -> None:
    x = RNG.uniform(3, 4, size=(1, 1, 1000, 1000))
    text = layer("GroupNorm", "group_norm_param { group_num: 1 }")
    want = normalized(x, 1, float(np.float32(1e-5)))
    check(text, {"x": x}, {"y": want}, tmp_path, dynamic=())


def test_a_group_of_one_value_is_0(tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 3, 1, 1))
    text = layer("GroupNorm", "group_norm_param { group_num: 3 }")
    check(text, {"x": x}, {"y": np.zeros_like(x)}, tmp_path)


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 3, 4)])
def test_instance_norm(shape: tuple[int, ...], tmp_path: Path) -> None:
    x = RNG.normal(2, 3, size=shape)
    planes = x.reshape(*shape, *(1,) * (4 - len(shape)))
    text = layer("InstanceNorm")
    check(text, {"x": x}, {"y": normalized(planes, 3, 0.0001)}, tmp_path)
    check_gradients(text, {"x": x}, tmp_path)


@pytest.mark.parametrize(
    ("kind", "shape", "param", "says"),
    [
        ("GroupNorm", (2, 6, 2, 2), "group_norm_param { group_num: 4 }", "wants a multiple of 4"),
        ("GroupNorm", (2, 6, 2, 2), "", "wants a multiple of 32"),
        ("GroupNorm", (2, 6), "group_norm_param { group_num: 0 }", "wants 1 or more"),
        ("GroupNorm", (6,), "group_norm_param { group_num: 2 }", "wants 2 or more"),
        ("InstanceNorm", (1, 2, 3, 4, 5), "", "wants 4 at most"),
    ],
)
def test_refused(kind: str, shape: tuple[int, ...], param: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=says):
        load(layer(kind, param), {"x": np.ones(shape)}, tmp_path)
