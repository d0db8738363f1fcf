"""A tiny SK network: its first gradients under Caffe's solver, and its weights there and back."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

import converter
from prototxt import WeightError, read_net, read_weights
from tests.support.recorded import assert_close

ITER_SIZE = 2
WEIGHTS = ("tiny_init", "tiny_final_iter_12")


def load(tiny_sk: Path, weights: str = "tiny_init", **options) -> converter.CaffeNet:
    return converter.load(
        tiny_sk / "tiny_sk.prototxt", tiny_sk / f"{weights}.caffemodel", **options
    )


def micro_batch(tiny_sk: Path, index: int, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    batches = np.load(tiny_sk / "tiny_batches.npz")
    return {name: torch.from_numpy(batches[name][index]).to(dtype) for name in batches.files}


def test_gradients_and_statistics_of_the_first_iteration_are_caffes(tiny_sk: Path) -> None:
    caffe = np.load(tiny_sk / "tiny_traj64.npz")
    net = load(tiny_sk, phase="TRAIN", dtype=torch.float64)
    total: dict[str, torch.Tensor] = defaultdict(lambda: torch.zeros((), dtype=torch.float64))
    for index in range(ITER_SIZE):
        got = converter.backward(net, micro_batch(tiny_sk, index, torch.float64))
        assert_close(got.blobs["loss"], caffe["loss_micro"][index], f"loss {index}")
        for layer, diffs in got.params.items():
            for blob, diff in enumerate(diffs):
                total[f"{layer}[{blob}]"] = total[f"{layer}[{blob}]"] + diff
    start = "grad00_sum|"
    wants = {key.removeprefix(start): caffe[key] for key in caffe.files if key.startswith(start)}
    assert wants.keys() == total.keys()
    for place, want in wants.items():
        assert_close(total[place], want, place)
    statistics = 0
    for layer, blobs in net.params.items():
        for blob, value in enumerate(blobs):
            if not isinstance(value, torch.nn.Parameter):
                assert_close(value, caffe[f"iter01|{layer}[{blob}]"], f"{layer}[{blob}]")
                statistics += 1
    assert statistics == 14


def test_torch_accumulates_the_same_gradients(tiny_sk: Path) -> None:
    caffe = np.load(tiny_sk / "tiny_traj64.npz")
    net = load(tiny_sk, phase="TRAIN", dtype=torch.float64)
    for index in range(ITER_SIZE):
        net.loss(micro_batch(tiny_sk, index, torch.float64)).backward()
    compared = 0
    for layer, blobs in net.params.items():
        for blob, value in enumerate(blobs):
            if isinstance(value, torch.nn.Parameter):
                assert value.grad is not None
                assert_close(value.grad, caffe[f"grad00_sum|{layer}[{blob}]"], f"{layer}[{blob}]")
                compared += 1
    assert compared == 24


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_caffemodel_to_network_and_back(name: str, phase: str, tiny_sk: Path, tmp_path: Path):
    net = load(tiny_sk, name, phase=phase)
    converter.save_caffemodel(net, tmp_path / "back.caffemodel")
    theirs, ours = (
        {
            layer.name: [(blob.shape, blob.values.tobytes()) for blob in layer.blobs]
            for layer in read_weights(path).layers
            if layer.blobs
        }
        for path in (tiny_sk / f"{name}.caffemodel", tmp_path / "back.caffemodel")
    )
    assert len(ours) == 16
    assert ours == theirs
    again = converter.load(
        tiny_sk / "tiny_sk.prototxt", tmp_path / "back.caffemodel", require_weights=True
    )
    assert_equal(net, again)


def test_training_snapshot_is_caffes_byte_for_byte(tiny_sk: Path, tmp_path: Path) -> None:
    converter.save_caffemodel(load(tiny_sk, phase="TRAIN"), tmp_path / "back.caffemodel")
    ours = (tmp_path / "back.caffemodel").read_bytes()
    assert ours == (tiny_sk / "tiny_init.caffemodel").read_bytes()


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_a_lone_caffemodel_is_a_network_in_any_phase(phase, tiny_sk: Path, tmp_path: Path) -> None:
    converter.save_caffemodel(load(tiny_sk, phase=phase), tmp_path / "alone.caffemodel")
    net = load(tiny_sk)
    alone = converter.load(tmp_path / "alone.caffemodel")
    assert_equal(net, alone)
    data = micro_batch(tiny_sk, 0, torch.float32)["data"]
    scores = net(data)["classifier"].detach()
    assert_close(alone.blobs(data)["classifier"].detach(), scores, "scores", 0)
    assert "Split" in {layer.type for layer in read_net(tmp_path / "alone.caffemodel").layers}


@pytest.mark.parametrize(
    ("dtype", "file_type"),
    [(torch.float64, np.float64), (torch.float16, np.float32), (torch.bfloat16, np.float32)],
)
def test_other_types_are_written_as_caffe_reads_them(dtype, file_type, tiny_sk, tmp_path) -> None:
    net = load(tiny_sk, dtype=dtype)
    converter.save_caffemodel(net, tmp_path / "back.caffemodel")
    layers = read_weights(tmp_path / "back.caffemodel").layers
    blobs = [blob for layer in layers for blob in layer.blobs]
    assert {np.dtype(blob.values.dtype) for blob in blobs} == {np.dtype(file_type)}
    back = converter.load(tiny_sk / "tiny_sk.prototxt", tmp_path / "back.caffemodel", dtype=dtype)
    assert_equal(net, back)


def test_a_network_without_a_definition_is_not_saved(tiny_sk: Path, tmp_path: Path) -> None:
    loaded = load(tiny_sk)
    net = converter.CaffeNet("by hand", loaded.steps, loaded.layers)
    with pytest.raises(WeightError, match="not loaded from a definition"):
        converter.save_caffemodel(net, tmp_path / "back.caffemodel")
    assert not list(tmp_path.iterdir())


def assert_equal(net: converter.CaffeNet, other: converter.CaffeNet) -> None:
    assert net.params.keys() == other.params.keys()
    for name, blobs in net.params.items():
        for mine, theirs in zip(blobs, other.params[name], strict=True):
            assert torch.equal(mine, theirs), name
