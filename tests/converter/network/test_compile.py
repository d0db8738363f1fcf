"""Networks that torch compiles: each of them, however many there are in a process."""

from __future__ import annotations

import copy
import inspect
import logging
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

import caffe_layers
import converter
from converter.network.quick.own_code import with_own_code
from converter.network.quick.traced import FOLLOWS_ROWS, has_followed_rows

NET = """
input: "data" input_shape { dim: 2 dim: COUNT dim: 5 dim: 6 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "top" convolution_param {
  num_output: COUNT kernel_size: 3 weight_filler { type: "xavier" } } }
"""
DETECTION = """
input: "loc" input_shape { dim: 2 dim: 24 }
input: "conf" input_shape { dim: 2 dim: 18 }
input: "prior" input_shape { dim: 1 dim: 2 dim: 24 }
layer { name: "top" type: "DetectionOutput" bottom: "loc" bottom: "conf" bottom: "prior" top: "top"
  detection_output_param { num_classes: 3 confidence_threshold: 0.5 keep_top_k: 4
    nms_param { nms_threshold: 0.45 top_k: 5 } } }
"""
LIMIT = 8
"""So many cases of a function's code torch compiles."""


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return the graphs that torch compiles from now on: as they are, for inductor takes long."""
    found: list[object] = []

    def backend(graph: torch.fx.GraphModule, _: list[Tensor]) -> Callable[..., object]:
        found.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    return found


def load(folder: Path, count: int) -> converter.CaffeNet:
    (folder / "net.prototxt").write_text(NET.replace("COUNT", str(count)))
    return converter.load(folder / "net.prototxt")


def same(net: converter.CaffeNet, other: converter.CaffeNet) -> bool:
    x = {"data": torch.randn(net.input_shapes["data"])}
    with torch.inference_mode():
        return torch.allclose(net(x)["top"], other(x)["top"], atol=1e-5)


def test_every_network_of_a_process_is_compiled(
    tmp_path: Path, graphs: list[object], caplog: pytest.LogCaptureFixture
) -> None:
    nets = [load(tmp_path, count) for count in range(1, LIMIT + 3)]
    compiled = [net.optimize(compile=True) for net in nets]
    for _ in range(2):
        assert all(map(same, nets, compiled))
        assert len(graphs) == len(nets)  # at the first call, and at no second one
    assert not [said for said in caplog.records if said.levelno >= logging.WARNING]


def test_a_copy_is_compiled_apart(tmp_path: Path, graphs: list[object]) -> None:
    net = load(tmp_path, 3)
    first = net.optimize(compile=True)
    copies = [copy.deepcopy(first), pickle.loads(pickle.dumps(first))]
    assert same(net, first)
    assert len(graphs) == 1
    for count, other in enumerate(copies, 1):
        with torch.no_grad():
            other.layers["conv"].weight.mul_(2)
            other.layers["conv"].bias.add_(1)
        assert not same(net, other)  # its own values
        assert len(graphs) == count  # and torch leaves a copy uncompiled
        eager = copy.deepcopy(other)
        other.compile()
        assert same(eager, other)
        assert len(graphs) == count + 1


@pytest.mark.skipif(not FOLLOWS_ROWS, reason="this torch counts no rows in a whole graph")
def test_detections_are_of_the_one_graph(tmp_path: Path, graphs: list[object]) -> None:
    (tmp_path / "net.prototxt").write_text(DETECTION)
    net = converter.load(tmp_path / "net.prototxt")
    compiled = net.optimize(compile=True)
    corners = torch.tensor([[0.1, 0.1, 0.5, 0.5]]) + 0.05 * torch.arange(6)[:, None]
    prior = torch.stack([corners.flatten(), torch.full((24,), 0.1)])[None]
    fed = {"loc": torch.randn(2, 24), "prior": prior}
    rows = set()
    for found in (12, 0, 1, 2):
        conf = torch.zeros(12, 3)
        conf[:found, 1] = torch.linspace(0.6, 0.9, found)
        fed["conf"] = conf.reshape(2, 18)
        with torch.inference_mode():
            want, got = net(fed)["top"], compiled(fed)["top"]
        assert torch.equal(got, want)
        rows.add(len(want[0, 0]))
    assert len(rows) > 2
    assert len(graphs) == 1


def test_a_graph_is_whole_only_where_all_of_it_is_followed() -> None:
    followed, other = caffe_layers.DetectionOutput, caffe_layers.DetectionEvaluate
    assert has_followed_rows([caffe_layers.ReLU, followed]) == FOLLOWS_ROWS
    assert not has_followed_rows([caffe_layers.ReLU])  # what torch cannot follow may be cut out
    assert not has_followed_rows([followed, other])


class Sums:
    """Something with a method of every kind of argument."""

    def total(self, first: int, second: int = 2, *, third: int = 3) -> int:
        """Return the sum."""
        return first + second + third


def test_code_of_its_own() -> None:
    sums = Sums()
    one, two = with_own_code(sums.total), with_own_code(sums.total)
    assert one(1) == 6
    assert one(1, 1, third=1) == 3
    assert inspect.signature(one) == inspect.signature(sums.total)
    assert one.__doc__ == "Return the sum."
    assert inspect.unwrap(one) == one
    codes = {id(each.__code__) for each in (sums.total, one, two)}
    assert len(codes) == 3
    assert with_own_code(len) is len
