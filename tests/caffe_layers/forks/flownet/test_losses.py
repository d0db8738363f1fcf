"""L1Loss and LpqLoss against FlowNet2's kernels as loops."""

from __future__ import annotations

from math import nan, sqrt
from pathlib import Path

import numpy as np
import pytest
import torch

from prototxt import CaffeError
from tests.support import restated

RNG = np.random.default_rng(1701)
F = np.float32


def loss(kind: str, fields: str, *, lone: bool = False) -> str:
    message = {"L1Loss": "l1_loss_param", "LpqLoss": "lpq_loss_param"}[kind]
    second = "" if lone else 'bottom: "b" '
    return (
        f'layer {{ name: "L" type: "{kind}" bottom: "a" {second}top: "y" '
        f"{message} {{ {fields} }} }}"
    )


def inputs(*, lone: bool = False) -> dict[str, np.ndarray]:
    a, b = (RNG.standard_normal((2, 3, 4, 5)) for _ in range(2))
    a[0, 0, 1, 1] = nan
    a[1, :, 2, 3] = nan
    b[0, 2, 0, 0] = nan
    return {"a": a} if lone else {"a": a, "b": b}


def count(d: np.ndarray, *, by_entries: bool) -> float:
    return float((~np.isnan(d)).sum() / d.shape[1]) if by_entries else d.shape[0]


def l1(
    d: np.ndarray, *, l2: bool, prescale: bool, entries: bool, plateau: float, eps: float
) -> float:
    n, c, h, w = d.shape
    total = 0.0
    for i in range(n):
        for y in range(h):
            for x in range(w):
                values = [0.0 if np.isnan(v) else v for v in d[i, :, y, x]]
                if not l2:
                    total += sum(abs(v) for v in values if not abs(v) < F(plateau))
                    continue
                square = sum(v * v for v in values) / (c if prescale else 1)
                if plateau > 0 and square < F(F(plateau) * F(plateau)):
                    square = 0.0
                total += sqrt(square + F(eps))
    return total / count(d, by_entries=entries)


@pytest.mark.parametrize("lone", [False, True])
@pytest.mark.parametrize(
    ("l2", "prescale", "entries", "plateau", "eps"),
    [
        (False, False, False, 0, 1e-2),
        (False, False, True, 0, 1e-2),
        (False, False, True, 0.5, 1e-2),
        (True, False, False, 0, 1e-2),
        (True, True, True, 0, 0.3),
        (True, False, True, 1.1, 0.3),
    ],
)
def test_l1_loss(
    l2: bool, prescale: bool, entries: bool, plateau: float, eps: float, lone: bool, tmp_path: Path
) -> None:
    given = inputs(lone=lone)
    d = given["a"] if lone else given["a"] - given["b"]
    want = l1(d, l2=l2, prescale=prescale, entries=entries, plateau=plateau, eps=eps)
    fields = (
        f"l2_per_location: {str(l2).lower()} l2_prescale_by_channels: {str(prescale).lower()} "
        f"normalize_by_num_entries: {str(entries).lower()} plateau: {plateau} epsilon: {eps}"
    )
    layer = loss("L1Loss", fields, lone=lone)
    restated.check(layer, given, {"y": np.array(want)}, tmp_path)
    clean = {name: np.nan_to_num(array[:, :, :2, :2], nan=0.7) for name, array in given.items()}
    restated.check_gradients(layer, clean, tmp_path, wrt=tuple(given))


def test_l1_loss_without_a_message_is_nvidias_too(tmp_path: Path) -> None:
    given = {name: np.nan_to_num(array) for name, array in inputs().items()}
    want = np.abs(given["a"] - given["b"]).sum() / 2
    layer = 'layer { name: "L" type: "L1Loss" bottom: "a" bottom: "b" top: "y" }'
    restated.check(layer, given, {"y": np.array(want)}, tmp_path)
    restated.check(layer, given, {"y": np.array(want)}, tmp_path, dialect="nvidia", onnx=False)


def test_l1_gradient_at_zero_nan_and_on_the_plateau(tmp_path: Path) -> None:
    layer = loss("L1Loss", "plateau: 0.5", lone=True)
    net = restated.load(layer, {"a": np.zeros((2, 4))}, tmp_path)
    values = [[2, -2, nan, 0.25], [0.5, -0.25, 1, 3]]
    a = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    net.blobs({"a": a})["y"].backward()
    assert a.grad is not None
    assert a.grad.tolist() == [[0.5, -0.5, 0, 0], [0.5, 0, 0.5, 0.5]]
    net = restated.load(loss("L1Loss", "", lone=True), {"a": np.zeros((1, 2))}, tmp_path)
    a = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    net.blobs({"a": a})["y"].backward()
    assert a.grad is not None
    assert a.grad.tolist() == [[-1, -1]]  # Caffe's sign of 0


def test_l1_of_rows_and_at_the_plateaus_edge(tmp_path: Path) -> None:
    a = np.array([[0.5, 0], [0.25, 0.25], [3, 4]])
    for fields, terms in (
        ("plateau: 0.5", [0.5, 0, 7]),
        ("plateau: 0.5 l2_per_location: true epsilon: 0", [0.5, 0, 5]),
        (
            "l2_per_location: true l2_prescale_by_channels: true epsilon: 0",
            [0.5**1.5, 0.25, 12.5**0.5],
        ),
    ):
        want = np.array(sum(terms) / 3)
        restated.check(loss("L1Loss", fields, lone=True), {"a": a}, {"y": want}, tmp_path)


def lpq(
    d: np.ndarray, p: float, q: float, p_eps: float, q_eps: float, *, prescale: bool, entries: bool
) -> float:
    n, c, h, w = d.shape
    total = 0.0
    for i in range(n):
        for y in range(h):
            for x in range(w):
                inner = sum(
                    ((0.0 if np.isnan(v) else abs(v)) + F(p_eps)) ** float(F(p))
                    for v in d[i, :, y, x]
                )
                total += (inner / (c if prescale else 1) + float(F(q_eps))) ** float(F(q))
    return total / count(d, by_entries=entries)


@pytest.mark.parametrize("lone", [False, True])
@pytest.mark.parametrize(
    ("p", "q", "p_eps", "q_eps", "prescale", "entries"),
    [(2, 0.5, 0, 1e-2, False, False), (1.5, 0.3, 0.1, 0.2, True, True), (1, 1, 0, 0, True, False)],
)
def test_lpq_loss(
    p: float, q: float, p_eps: float, q_eps: float, prescale: bool, entries: bool, lone: bool,
    tmp_path: Path,
) -> None:  # fmt: skip
    given = inputs(lone=lone)
    d = given["a"] if lone else given["a"] - given["b"]
    want = lpq(d, p, q, p_eps, q_eps, prescale=prescale, entries=entries)
    fields = (
        f"p: {p} q: {q} p_epsilon: {p_eps} q_epsilon: {q_eps} "
        f"l2_prescale_by_channels: {str(prescale).lower()} "
        f"normalize_by_num_entries: {str(entries).lower()}"
    )
    layer = loss("LpqLoss", fields, lone=lone)
    restated.check(layer, given, {"y": np.array(want)}, tmp_path)
    clean = {name: np.nan_to_num(array[:, :, :2, :2], nan=0.7) for name, array in given.items()}
    restated.check_gradients(layer, clean, tmp_path, wrt=tuple(given))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("", "0 p, 0 q and 0 starts of episodes, wants as many of each"),
        ("p: 2 p: 1 q: 1", "2 p, 1 q and 0 starts of episodes, wants as many of each"),
        ("p: 2 q: 1 pq_episode_starts_at_iter: 5", r"the first episode starts at \[5\], wants 0"),
        (
            "p: 2 p: 1 q: 1 q: 2 pq_episode_starts_at_iter: 0 pq_episode_starts_at_iter: 9",
            "they change with the solver's iteration",
        ),
    ],
)
def test_lpq_refused(fields: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=message):
        restated.load(loss("LpqLoss", fields), inputs(), tmp_path)


def test_bottoms_of_two_shapes_are_refused(tmp_path: Path) -> None:
    given = {"a": np.zeros((2, 3)), "b": np.zeros((3, 2))}
    with pytest.raises(CaffeError, match="differ"):
        restated.load(loss("L1Loss", ""), given, tmp_path)
