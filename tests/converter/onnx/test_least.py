"""What the values of a graph cannot be below."""

from __future__ import annotations

from math import inf

import numpy as np
import onnx
import pytest

from converter.onnx.graph import Graph
from converter.onnx.least import least

make = onnx.helper.make_node
NODES = [
    make("Exp", ["x"], ["exp"]),
    make("Add", ["exp", "one"], ["above one"]),
    make("Add", ["x", "one"], ["moved"]),
    make("Mul", ["x", "x"], ["square"]),
    make("Mul", ["x", "one"], ["product"]),
    make("Mul", ["exp", "one"], ["scaled"]),
    make("Mul", ["exp", "less"], ["turned"]),
    make("AveragePool", ["square"], ["mean"]),
    make("AveragePool", ["above one"], ["lower mean"]),
    make("AveragePool", ["moved"], ["mean of anything"]),
    make("Add", ["mean", "one"], ["scale"]),
    make("Max", ["x", "less"], ["bounded"]),
    make("Transpose", ["above one"], ["other axes"]),
    make("Sub", ["one", "exp"], ["difference"]),
]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("x", -inf),
        ("one", 1),
        ("exp", 0),
        ("above one", 1),
        ("moved", -inf),
        ("square", 0),
        ("product", -inf),
        ("scaled", 0),
        ("turned", -inf),
        ("mean", 0),
        ("lower mean", 0),
        ("mean of anything", -inf),
        ("scale", 1),
        ("bounded", -2),
        ("other axes", 1),
        ("difference", -inf),
    ],
)
def test_no_element_is_below_it(value: str, wanted: float) -> None:
    constants = {"one": np.float32([1, 3]), "less": np.float32([-2, 5])}
    assert least(value, Graph("net", 17, NODES, initializers=constants)) == wanted
