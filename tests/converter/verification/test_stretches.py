"""A network verified in stretches is verified as one that is run whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

import converter
from converter.network.arrays import arrays_of
from converter.network.example_inputs import random_inputs
from converter.onnx.model import OnnxModel
from converter.verification import stretches
from converter.verification.run import Model, Runs, stretches_for
from converter.verification.torch_pass import Change, torch_pass, twin

NET = """layer { name: "in" type: "Input" top: "x" input_param { shape { dim: [2, 3, 8, 8] } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "a"
    convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "a" top: "a" relu_param { negative_slope: 0.1 } }
layer { name: "same" type: "Power" bottom: "a" top: "b" power_param { scale: 2 shift: 1 } }
layer { name: "sum" type: "Eltwise" bottom: "a" bottom: "b" top: "c" }
layer { name: "scores" type: "InnerProduct" bottom: "c" top: "d"
    inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "again" type: "Eltwise" bottom: "d" bottom: "d" top: "e" }
"""


@pytest.fixture
def net(tmp_path: Path) -> converter.CaffeNet:
    (tmp_path / "net.prototxt").write_text(NET)
    return converter.load(tmp_path / "net.prototxt")


@pytest.fixture
def runs(net: converter.CaffeNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Return the runs of a network of which each step is a stretch."""
    monkeypatch.setattr(stretches, "LARGEST", 1)
    converter.export_onnx(net, tmp_path / "net.onnx")
    fed = random_inputs(net, 1701)
    return Runs(net, fed, Model(OnnxModel(tmp_path / "net.onnx"), "", arrays_of(fed), {}))


def merged(passes: Iterator[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: value for values in passes for name, value in values.items()}


def test_a_stretch_ends_where_its_numbers_are_many(
    net: converter.CaffeNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fed = random_inputs(net, 1701)
    whole = stretches_for(net, fed)
    assert len(whole) == 1
    assert whole[0].tops == ["a/by/conv", "a", "b", "c", "d", "e"]
    values = 2 * 4 * 6 * 6
    blobs = 4 * 3 * 9 + 4
    monkeypatch.setattr(stretches, "LARGEST", 2 * values + blobs)
    found = stretches_for(net, fed)
    assert [one.tops for one in found] == [["a/by/conv", "a"], ["b", "c"], ["d"], ["e"]]
    later = [{"a", "b", "c", "d"}, {"c", "d"}, {"d"}, set()]
    assert [set(one.read_later) for one in found] == later
    monkeypatch.setattr(stretches, "LARGEST", 2 * values + blobs - 1)
    assert next(one.tops for one in stretches_for(net, fed)) == ["a/by/conv"]


def test_stretch_by_stretch_both_engines_compute_what_they_compute_whole(runs: Runs) -> None:
    assert len(runs.stretches) == 6
    tops = [top for one in runs.stretches for top in one.tops]
    whole = runs.model.onnx.run_exposed(runs.model.inputs, tops)
    parts = list(runs.in_onnx())
    assert [set(part) for part in parts] == [{top} for top in tops]
    for name, value in merged(iter(parts)).items():
        np.testing.assert_allclose(value, whole[name], rtol=1e-5, atol=1e-6)
    values = {name: value.detach().numpy() for name, value in runs.net.values(runs.fed).items()}
    in_torch = list(runs.in_torch())
    assert [set(part) for part in in_torch] == [{"x", "a/by/conv"}, *({top} for top in tops[1:])]
    for name, value in merged(iter(in_torch)).items():
        np.testing.assert_array_equal(value, values[name])


def test_a_pass_in_double_leaves_the_network_as_it_is(runs: Runs) -> None:
    single = merged(runs.in_torch(Change()))
    double = merged(runs.in_torch(Change(dtype=torch.float64)))
    assert {value.dtype for value in double.values()} == {np.dtype(np.float64)}
    assert {value.dtype for value in single.values()} == {np.dtype(np.float32)}
    assert {str(blob.dtype) for blob in runs.net.parameters()} == {"torch.float32"}
    want = runs.net.double().values({name: one.double() for name, one in runs.fed.items()})
    for name, value in double.items():
        np.testing.assert_array_equal(value, want[name].detach().numpy())


def test_what_replaces_a_value_is_read_by_those_after_it(runs: Runs) -> None:
    zeros = np.zeros((2, 4, 6, 6), np.float32)
    change = Change(values=lambda name, value: value * 0 if name == "b" else value)
    values = merged(torch_pass(twin(runs.net), runs.stretches, runs.fed, change))
    np.testing.assert_array_equal(values["b"], zeros)
    np.testing.assert_array_equal(values["c"], values["a"])
    doubled = Change(blobs=lambda key, blob: blob * 2 if key == "conv" else blob)
    twice = merged(torch_pass(twin(runs.net), runs.stretches, runs.fed, doubled))
    np.testing.assert_allclose(twice["a/by/conv"], 2 * values["a/by/conv"], rtol=1e-6)
    np.testing.assert_array_equal(merged(runs.in_torch())["a/by/conv"], values["a/by/conv"])


@pytest.mark.parametrize("name", ["conv.weight", "conv.bias", "scores.weight"])
def test_a_wrong_weight_is_found_in_its_stretch(runs: Runs, name: str) -> None:
    path = runs.model.onnx.path
    assert converter.verify(runs.net, path).passed
    model = onnx.load(path)
    (one,) = [weight for weight in model.graph.initializer if weight.name == name]
    array = numpy_helper.to_array(one).copy()
    array.flat[-1] += 0.1
    one.CopyFrom(numpy_helper.from_array(array, name))
    onnx.save(model, path)
    report = converter.verify(runs.net, path)
    assert not report.passed
    assert (
        report.comparisons[1].first_bad.blob
        == {"conv": "a/by/conv", "scores": "d"}[name.partition(".")[0]]
    )
    assert len(report.comparisons[1].rows) == 6
