"""Transpose, Reverse, ReverseTime and ContinuationIndicator against the forks' loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from prototxt import CaffeError
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(1701)


def layer(kind: str, param: str, bottoms: str = "x") -> str:
    ends = "".join(f' bottom: "{name}"' for name in bottoms.split())
    return f'layer {{ name: "L" type: "{kind}"{ends} top: "y" {param} }}'


@pytest.mark.parametrize("dim", [(0, 1, 2, 3), (3, 0, 1, 2), (2, 3, 1, 0), (1, 0), ()])
def test_transpose(dim: tuple[int, ...], tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 3, 4, 5)[: len(dim)] or (6,))
    order = dim or (0,)
    want = np.zeros([x.shape[axis] for axis in order])
    for at in np.ndindex(*want.shape):
        source = [0] * x.ndim
        for here, axis in zip(at, order, strict=True):
            source[axis] = here
        want[at] = x[tuple(source)]
    text = layer("Transpose", f"transpose_param {{ {' '.join(f'dim: {d}' for d in order)} }}")
    check(text, {"x": x}, {"y": want}, tmp_path)
    check_gradients(text, {"x": x}, tmp_path)


@pytest.mark.parametrize("dim", [(0, 1), (0, 1, 1), (0, 1, 3), (0, 1, 2, 3)])
def test_transpose_refused(dim: tuple[int, ...], tmp_path: Path) -> None:
    text = layer("Transpose", f"transpose_param {{ {' '.join(f'dim: {d}' for d in dim)} }}")
    with pytest.raises(CaffeError, match="wants to name each of the 3 axes"):
        load(text, {"x": np.zeros((2, 3, 4))}, tmp_path)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_reverse(axis: int, tmp_path: Path) -> None:
    x = RNG.normal(size=(3, 2, 4))
    want = np.zeros_like(x)
    for at in np.ndindex(*x.shape):
        there = list(at)
        there[axis] = x.shape[axis] - 1 - at[axis]
        want[at] = x[tuple(there)]
    text = layer("Reverse", f"reverse_param {{ axis: {axis} }}" if axis else "")
    check(text, {"x": x}, {"y": want}, tmp_path, dynamic=("batch",))
    check_gradients(text, {"x": x}, tmp_path)


@pytest.mark.parametrize("axis", [-1, 2])
def test_reverse_refused(axis: int, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=f"axis {axis} is none of bottom"):
        load(
            layer("Reverse", f"reverse_param {{ axis: {axis} }}"), {"x": np.zeros((2, 3))}, tmp_path
        )


@pytest.mark.parametrize("rest", ["true", "false"])
@pytest.mark.parametrize("beyond", [(), (2,), (2, 3)])
def test_reverse_time(rest: str, beyond: tuple[int, ...], tmp_path: Path) -> None:
    x, lengths = RNG.normal(size=(5, 4, *beyond)), np.array([3.0, 5.0, 1.0, 4.0])
    want = x.copy() if rest == "true" else np.zeros_like(x)
    for n, length in enumerate(lengths.astype(int)):
        for t in range(length):
            want[length - 1 - t, n] = x[t, n]
    text = layer("ReverseTime", f"reverse_time_param {{ copy_remaining: {rest} }}", "x n")
    inputs = {"x": x, "n": lengths}
    check(text, inputs, {"y": want}, tmp_path, dynamic=())
    check_gradients(text, inputs, tmp_path)


def test_reverse_time_wants_a_length_for_each(tmp_path: Path) -> None:
    inputs = {"x": np.zeros((5, 4)), "n": np.zeros(5)}
    with pytest.raises(CaffeError, match="wants one for each of 4"):
        load(layer("ReverseTime", "", "x n"), inputs, tmp_path)


def test_continuation_indicator(tmp_path: Path) -> None:
    text = (
        'layer { name: "c" type: "ContinuationIndicator" top: "cont" '
        "continuation_indicator_param { time_step: 3 batch_size: 2 } }\n"
        'layer { name: "L" type: "Eltwise" bottom: "x" bottom: "cont" top: "y" }'
    )
    x = RNG.normal(size=(3, 2))
    want = x + np.array([[0, 0], [1, 1], [1, 1]])
    check(text, {"x": x}, {"y": want}, tmp_path, dynamic=())
    with pytest.raises(CaffeError, match="want 1 or more"):
        load(text.replace("time_step: 3", ""), {"x": x}, tmp_path)
