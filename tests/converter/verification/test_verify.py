"""What verification takes for equal, and what not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import converter
from converter.network.example_inputs import random_inputs
from prototxt import FormatError, ShapeError

NET = """layer { name: "in" type: "Input" top: "x" input_param { shape { dim: [4, 6] } } }
layer { name: "scores" type: "InnerProduct" bottom: "x" top: "scores"
    inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }"""
LOSS = """layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 4 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "scores" bottom: "label" top: "loss" }"""


@pytest.fixture
def net(tmp_path: Path) -> converter.CaffeNet:
    (tmp_path / "net.prototxt").write_text(NET + LOSS)
    return converter.load(tmp_path / "net.prototxt", dtype=torch.float64)


def disturbed(net: converter.CaffeNet, folder: Path, x: np.ndarray, by: float) -> Path:
    """Write the network's scores, one of them off by a fraction of the largest."""
    scores = net(torch.from_numpy(x))["scores"].detach().numpy().copy()
    scores[0, 0] += by * np.abs(scores).max()
    path = folder / f"golden{by}.npz"
    np.savez(path, scores=scores)
    return path


X = np.random.default_rng(1701).standard_normal((2, 6))


@pytest.mark.parametrize(("by", "passes"), [(1e-11, True), (1e-7, False)])
def test_caffes_float_run_says_nothing_of_double(
    net: converter.CaffeNet, by: float, passes: bool, tmp_path: Path
) -> None:
    golden = disturbed(net, tmp_path, X, by)
    report = converter.verify(
        net, inputs={"x": X}, golden=golden, golden_float=disturbed(net, tmp_path, X, 1e-3)
    )
    against = [one for one in report.comparisons if one.title.endswith(golden.name)]
    assert [one.title.split(" against ")[0] for one in against] == ["torch", "ONNX Runtime"]
    for comparison in against:
        assert [row.tolerance for row in comparison.rows] == [1e-9]
        assert comparison.passed is passes
    assert report.passed is passes


@pytest.mark.parametrize(("by", "passes"), [(1.5e-3, True), (2.5e-3, False)])
def test_caffes_float_run_bounds_float(
    net: converter.CaffeNet, by: float, passes: bool, tmp_path: Path
) -> None:
    golden = disturbed(net, tmp_path, X, by)
    scores = np.load(golden)["scores"].copy()
    scores[1, 1] += 1e-3 * np.abs(scores).max()
    np.savez(tmp_path / "float.npz", scores=scores)
    report = converter.verify(
        net.float(), inputs={"x": X}, golden=golden, golden_float=tmp_path / "float.npz"
    )
    assert report.passed is passes


def test_a_float_run_recorded_otherwise_is_named(net: converter.CaffeNet, tmp_path: Path) -> None:
    golden = disturbed(net, tmp_path, X, 0)
    other = tmp_path / "float.npz"
    np.savez(other, x=X)
    with pytest.raises(FormatError) as caught:
        converter.verify(net.float(), inputs={"x": X}, golden=golden, golden_float=other)
    assert str(caught.value) == (
        f"{other}: has no blob 'scores' as {golden.name} has it\n"
        "  fix: record both runs in the same way"
    )


def test_a_given_tolerance_is_kept(net: converter.CaffeNet, tmp_path: Path) -> None:
    golden = disturbed(net, tmp_path, X, 1e-11)
    report = converter.verify(net, inputs={"x": X}, golden=golden, tolerance=1e-12)
    assert not report.passed
    against = [one for one in report.comparisons if one.title.endswith(golden.name)]
    assert {row.tolerance for one in against for row in one.rows} == {1e-12}
    assert converter.verify(net, inputs={"x": X}, golden=golden).passed


def test_inputs_of_another_batch_than_the_files(net: converter.CaffeNet) -> None:
    report = converter.verify(net, inputs={"x": X[:1]})
    assert report.passed
    assert [row.shape for row in report.comparisons[0].rows] == [(1, 5)]


def test_inputs_that_the_model_wants_too(net: converter.CaffeNet, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    converter.export_onnx(net, path, with_losses=True)
    assert converter.verify(net, path).passed
    with pytest.raises(ShapeError) as caught:
        converter.verify(net, path, inputs={"x": X})
    assert str(caught.value).endswith(
        "net.onnx: the model wants input 'label'\n  fix: give it with --input"
    )


def test_a_network_in_training_stays_as_it_was(tmp_path: Path) -> None:
    text = NET.replace("[4, 6]", "[4, 6, 2, 2]").replace("InnerProduct", "CuDNNBatchNorm")
    text = text.replace(
        'inner_product_param { num_output: 5 weight_filler { type: "xavier" } }', ""
    )
    (tmp_path / "net.prototxt").write_text(text)
    net = converter.load(tmp_path / "net.prototxt", phase="TRAIN")
    before = [blob.clone() for blob in net.params["scores"]]
    x = torch.randn(4, 6, 2, 2, generator=torch.Generator().manual_seed(1701))
    assert converter.verify(net, inputs={"x": x.numpy()}).passed
    assert all(map(torch.equal, before, net.params["scores"]))


def test_random_labels_are_classes(net: converter.CaffeNet) -> None:
    fed = random_inputs(net, 1701, losses=True)
    assert list(fed) == ["x", "label"]
    assert set(fed["label"].tolist()) == {0, 1}
    assert random_inputs(net, 1701).keys() == {"x"}
