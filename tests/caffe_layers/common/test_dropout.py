"""Dropout in training: its mask is random, so scale and gradient are read off Caffe's values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import caffe_layers
import converter
from converter.network.backward import backward
from prototxt import CaffeError
from tests.support.layer_cases import CASES, Case
from tests.support.recorded import assert_close

DROPOUT = [case for case, meta in CASES.items() if meta["type"] == "Dropout"]


@pytest.fixture
def case(request: pytest.FixtureRequest, layer_cases: Path) -> Iterator[Case]:
    case = Case(request.param, layer_cases)
    with case.place():
        yield case


@pytest.mark.parametrize("case", DROPOUT, indirect=True)
def test_training_scales_what_it_keeps_and_its_gradient_as_caffe(case: Case) -> None:
    x = case.kind("in")["x"]
    (top, topdiff) = next(iter(case.kind("topdiff").items()))
    caffes = case.kind("trainout").get(top, case.kind("out")[top])
    scale = np.median(caffes[caffes != 0] / x[caffes != 0])
    assert_close(caffes, x * (caffes != 0) * scale, "Caffe's mask")
    assert_close(case.kind("diff")["x"], topdiff * (caffes != 0) * scale, "Caffe's diff")

    torch.manual_seed(1701)
    net = case.load("TRAIN")
    got = backward(net, case.inputs(net), {top: torch.from_numpy(topdiff)})

    mask = got.blobs[top].numpy() != 0
    assert_close(got.blobs[top], x * mask * scale, "top")
    assert_close(got.diffs["x"], topdiff * mask * scale, "diff")
    assert mask.all() == (caffes != 0).all(), "it drops values where Caffe does, and only there"


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.8])
def test_the_part_that_is_dropped_is_the_ratio_and_the_mean_stays(ratio: float) -> None:
    torch.manual_seed(1701)
    layer = caffe_layers.Dropout(dropout_ratio=ratio)
    top = layer(torch.ones(100_000, dtype=torch.float64))

    deviation = (ratio * (1 - ratio) / 100_000) ** 0.5
    assert abs((top == 0).double().mean().item() - ratio) < 4 * deviation
    assert abs(top.mean().item() - 1) < 4 * deviation / (1 - ratio)
    assert top.max().item() == pytest.approx(1 / (1 - np.float64(np.float32(ratio))), rel=1e-15)


def test_masks_change_from_pass_to_pass_and_follow_the_seed() -> None:
    layer, x = caffe_layers.Dropout(), torch.ones(1000)
    torch.manual_seed(1701)
    first, second = layer(x), layer(x)
    torch.manual_seed(1701)
    assert not torch.equal(first, second)
    assert torch.equal(first, layer(x))


def test_eval_passes_through() -> None:
    x = torch.randn(3, 4)
    assert torch.equal(caffe_layers.Dropout().eval()(x), x)


def test_the_ratio_is_half_by_default() -> None:
    assert caffe_layers.Dropout().dropout_ratio == 0.5


@pytest.mark.parametrize("ratio", [1.0, -0.1, float("nan")])
def test_a_ratio_that_is_no_probability_below_1_is_refused(ratio: float) -> None:
    with pytest.raises(CaffeError) as caught:
        caffe_layers.Dropout(dropout_ratio=ratio)
    assert str(caught.value).endswith("wants to be at least 0 and below 1")


@pytest.mark.parametrize("case", ["Dropout/ratio"], indirect=True)
def test_a_training_networks_onnx_passes_through(case: Case, tmp_path: Path) -> None:
    graph = converter.export_onnx(case.load("TRAIN", torch.float32), tmp_path / "net.onnx")
    assert [node.op_type for node in graph.nodes] == ["Identity"]
