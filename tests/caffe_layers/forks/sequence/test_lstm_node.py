"""LSTMNode and InvertedOrder against their loops."""

from __future__ import annotations

from math import exp, tanh
from pathlib import Path

import numpy as np
import pytest
import torch

from prototxt import CaffeError
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(1701)
Array = np.ndarray


def node(param: str, bottoms: str = "x c") -> str:
    ends = "".join(f' bottom: "{name}"' for name in bottoms.split())
    return (
        f'layer {{ name: "L" type: "LSTMNode"{ends} top: "h" top: "new" lstm_param {{ {param} }} }}'
    )


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def step(x: Array, c: Array, blobs: list[Array], cont: Array | None) -> tuple[Array, Array]:
    rows, size = c.shape
    h, new = np.zeros((rows, size)), np.zeros((rows, size))
    for n in range(rows):
        sums = blobs[0] @ x[n].ravel() + (blobs[1] if len(blobs) > 1 else 0)
        for j in range(size):
            i, f, o, g = (sums[gate * size + j] for gate in range(4))
            goes_on = 1 if cont is None else cont[n]
            new[n, j] = goes_on * sigmoid(f) * c[n, j] + sigmoid(i) * tanh(g)
            h[n, j] = sigmoid(o) * tanh(new[n, j])
    return h, new


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("begins", [True, False])
@pytest.mark.parametrize("sizes", [(5,), (2, 3)])
def test_step(bias: bool, begins: bool, sizes: tuple[int, ...], tmp_path: Path) -> None:
    inputs = {"x": RNG.normal(size=(3, *sizes)), "c": RNG.normal(size=(3, 4))}
    if begins:
        inputs["cont"] = np.array([1.0, 0, 0.5])
    own = [RNG.normal(size=(16, int(np.prod(sizes))))] + [RNG.normal(size=16)] * bias
    h, new = step(inputs["x"], inputs["c"], own, inputs.get("cont"))
    text = node(f"num_cells: 4 bias_term: {str(bias).lower()}", " ".join(inputs))
    check(text, inputs, {"h": h, "new": new}, tmp_path, blobs={"L": own})
    for top in ("h", "new"):
        check_gradients(text, inputs, tmp_path, top=top, wrt=("x", "c"), blobs={"L": own})


def test_each_gate_has_fillers_of_its_own(tmp_path: Path) -> None:
    gates = ("input_gate", "forget_gate", "output_gate", "input")
    param = "num_cells: 2 " + " ".join(
        f"{gate}_{kind}_filler {{ value: {at + more} }}"
        for at, gate in enumerate(gates)
        for kind, more in (("weight", 1), ("bias", 10))
    )
    net = load(node(param), {"x": np.zeros((1, 3)), "c": np.zeros((1, 2))}, tmp_path)
    net.layers["L"].reset_parameters()
    weight, bias = net.params["L"]
    assert torch.equal(weight, torch.tensor([1, 1, 2, 2, 3, 3, 4, 4])[:, None].expand(8, 3))
    assert torch.equal(bias, torch.tensor([10.0, 10, 11, 11, 12, 12, 13, 13]).double())


@pytest.mark.parametrize(
    ("shapes", "says"),
    [
        ({"x": (2, 3), "c": (2, 5)}, "wants 2 x 4"),
        ({"x": (2, 3), "c": (2, 4), "cont": (3,)}, "wants 2 values"),
    ],
)
def test_refused(shapes: dict[str, tuple[int, ...]], says: str, tmp_path: Path) -> None:
    inputs = {name: np.zeros(shape) for name, shape in shapes.items()}
    with pytest.raises(CaffeError, match=says):
        load(node("num_cells: 4", " ".join(inputs)), inputs, tmp_path)


INVERTED = 'layer { name: "L" type: "InvertedOrder" bottom: "x" top: "y" }'


@pytest.mark.parametrize("beyond", [(), (1, 1)])
def test_inverted_order(beyond: tuple[int, ...], tmp_path: Path) -> None:
    x = RNG.normal(size=(5, 3, *beyond))
    want = np.stack([x[4 - n] for n in range(5)])
    check(INVERTED, {"x": x}, {"y": want}, tmp_path)
    check_gradients(INVERTED, {"x": x}, tmp_path)


def test_inverted_order_copies_one_value_a_channel(tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match="one value a channel"):
        load(INVERTED, {"x": np.zeros((5, 3, 2))}, tmp_path)
