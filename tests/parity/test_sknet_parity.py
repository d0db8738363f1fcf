"""The released SKNet-50 and SKNet-101 against what Caffe computed, blob by blob."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

import converter
from converter.network.arrays import array_of, tensors_of
from converter.verification.compare import Comparison
from converter.verification.golden import golden_error, read_golden

TOLERANCE = 1e-9
BLOBS = {"sknet50": 386, "sknet101": 777}
"""How many blobs Caffe recorded of the TEST phase."""


def load(name: str, sknet: Path, checkpoints: Path, **options) -> converter.CaffeNet:
    weights = checkpoints / f"{name}.caffemodel"
    return converter.load(sknet / f"{name}.prototxt", weights, **options)


def comparisons(report: converter.Report) -> dict[str, Comparison]:
    return {comparison.title: comparison for comparison in report.comparisons}


@pytest.mark.parametrize("name", BLOBS)
def test_every_blob_is_caffes_in_float64(name: str, sknet: Path, checkpoints: Path) -> None:
    net = load(name, sknet, checkpoints, dtype=torch.float64)
    golden = sknet / f"{name}_test64.npz"
    inputs = dict(np.load(sknet / "input.npz"))
    with torch.no_grad():
        values = net.blobs(tensors_of(net, inputs))
    assert len(read_golden(golden)) == BLOBS[name]
    assert_golden(values, golden)


@pytest.mark.parametrize("name", BLOBS)
def test_float32_is_as_near_as_caffes_float_run(name: str, sknet: Path, checkpoints: Path) -> None:
    net = load(name, sknet, checkpoints)
    report = converter.verify(
        net,
        inputs=dict(np.load(sknet / "input.npz")),
        golden=sknet / f"{name}_test64.npz",
        golden_float=sknet / f"{name}_test32.npz",
    )
    torch_, shipped, exposed, runtime = report.comparisons
    losses = {"label", "loss", "top-1", "top-5"}
    for comparison, left_out in ((torch_, set()), (runtime, losses | {"data"})):
        assert comparison.title.endswith(f"against {name}_test64.npz")
        assert comparison.median_tolerance is not None
        assert comparison.passed, comparison.first_bad
        compared = {row.blob for row in comparison.rows}
        assert compared == read_golden(sknet / f"{name}_test64.npz").keys() - left_out
    assert [row.blob for row in shipped.rows] == ["classifier"]
    assert len(exposed.rows) >= len(runtime.rows)
    assert report.passed


def test_one_step_of_training_is_caffes_in_float64(sknet: Path, checkpoints: Path) -> None:
    net = load("sknet50", sknet, checkpoints, phase="TRAIN", dtype=torch.float64)
    # One test, since the pass takes long: blobs, gradients, statistics after it.
    step = converter.backward(net, tensors_of(net, np.load(sknet / "train_input.npz")))
    assert_golden(step.blobs, sknet / "sknet50_train_data64.npz")
    assert_golden(step.diffs, sknet / "sknet50_train_diff64.npz")
    assert_golden(by_place(step.params), sknet / "sknet50_train_grad64.npz")
    golden = sknet / "sknet50_train_bnstats64.npz"
    statistics = read_golden(golden).keys()
    assert len(statistics) == 2 * 85
    blobs = by_place(net.params)
    assert_golden({place: blobs[place] for place in statistics}, golden)


def by_place(params: Mapping[str, list[torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {f"{layer}[{i}]": blob for layer, row in params.items() for i, blob in enumerate(row)}


def assert_golden(got: Mapping[str, torch.Tensor], path: Path) -> None:
    golden = read_golden(path)
    assert golden.keys() == got.keys()
    for name, parts in golden.items():
        assert golden_error(array_of(got[name]), parts) <= TOLERANCE, name
