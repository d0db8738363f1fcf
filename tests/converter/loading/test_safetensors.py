"""What `--format safetensors` writes is read back as weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import converter
from converter.__main__ import main
from converter.conversions import models_of
from converter.formats import Options, get_format
from prototxt import FormatError, WeightError, read_weights

HEAD = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: [1, 3, 8, 8] } } }\n'
CONV = """layer { name: "%s" type: "Convolution" bottom: "%s" top: "%s" %s convolution_param {
  num_output: 3 kernel_size: 3 pad: 1
  weight_filler { type: "gaussian" std: 1 } bias_filler { type: "gaussian" std: 1 } } }
"""
OWN = 'param { name: "w" } param { name: "b" }'
NORM = """layer { name: "%s" type: "BatchNorm" bottom: "x" top: "%s" %s }
"""
NETS = {
    "names that are quoted": HEAD + CONV % ("a.b%c", "x", "y", "") + CONV % ("type", "y", "z", ""),
    "one name twice": HEAD + CONV % ("conv", "x", "y", "") + CONV % ("conv", "x", "z", ""),
    "shared blobs": HEAD + CONV % ("one", "x", "y", OWN) + CONV % ("two", "y", "z", OWN),
    "statistics": HEAD + NORM % ("norm", "y", ""),
    "a counter": HEAD + NORM % ("norm", "y", "batch_norm_param { scale_bias: true }"),
}


def saved(folder, text, **options):
    """Write a definition, and its weights in safetensors; return both and the network."""
    path, weights = folder / "net.prototxt", folder / "net.safetensors"
    path.write_text(text)
    net = converter.load(path)
    for buffer in net.buffers():
        buffer += 3
    get_format("safetensors").write(net, weights, Options(**options))
    return path, weights, net


@pytest.mark.parametrize("name", NETS)
def test_every_value_comes_back(name, tmp_path):
    path, weights, net = saved(tmp_path, NETS[name])
    back = converter.load(path, weights, seed=7)
    want, got = net.state_dict(), back.state_dict()
    assert want
    assert list(want) == list(got)
    for key, value in want.items():
        assert torch.equal(got[key], value), key
    assert not back.loaded.missing


def test_a_shared_blob_fills_layers_that_share_none(tmp_path):
    path, weights, net = saved(tmp_path, NETS["shared blobs"])
    path.write_text(NETS["shared blobs"].replace(OWN, ""))
    back = converter.load(path, weights)
    for name in ("one", "two"):
        assert all(map(torch.equal, back.params[name], net.params["one"]))


def test_half_precision_comes_back_as_float(tmp_path):
    path, weights, net = saved(tmp_path, NETS["names that are quoted"], half=True)
    back = converter.load(path, weights)
    for key, value in net.state_dict().items():
        assert torch.equal(back.state_dict()[key], value.half().float())


def test_the_commands_take_it(tmp_path, capsys):
    path, weights, _ = saved(tmp_path, NETS["names that are quoted"])
    assert main(["check", str(path), str(weights)]) == 0
    out = tmp_path / "out"
    assert main(["convert", str(path), str(weights), "-o", str(out), "--format", "caffemodel"]) == 0
    blobs = {layer.name: layer.blobs for layer in read_weights(out / "net.caffemodel").layers}
    own = {layer.name: layer for layer in read_weights(weights).layers}
    assert own["a.b%c"].names == ["weight", "bias"]
    for blob, want in zip(blobs["a.b%c"], own["a.b%c"].blobs, strict=True):
        assert np.array_equal(blob.array, want.array)
    several = models_of([str(path), str(weights), "other/net.prototxt"])
    assert [model.weights for model in several] == [str(weights), None]
    capsys.readouterr()
    assert main(["check", str(weights)]) == 1
    assert "fix: it holds weights alone" in capsys.readouterr().err


def test_layers_are_mapped_ignored_and_missed_as_those_of_a_caffemodel(tmp_path):
    other = CONV % ("other", "x", "z", "")
    path, weights, net = saved(tmp_path, HEAD + CONV % ("conv", "x", "y", "") + other)
    path.write_text(HEAD + CONV % ("new", "x", "y", "") + other)
    with pytest.raises(WeightError, match="no weights for layer 'new'"):
        converter.load(path, weights)
    back = converter.load(path, weights, rename={"conv": "new"})
    assert torch.equal(back.params["new"][1], net.params["conv"][1])
    assert converter.load(path, weights, allow_missing=True).loaded.unused == ["conv"]


TRAIN = """
layer { name: "d" type: "DummyData" top: "x" top: "label" dummy_data_param {
  shape { dim: [4, 3, 8, 8] } shape { dim: 4 }
  data_filler { type: "gaussian" } data_filler { value: 1 } } }
%s
layer { name: "%s" type: "InnerProduct" bottom: "y" top: "z" inner_product_param {
  num_output: %d } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "z" bottom: "label" top: "loss" }
"""


def test_a_training_begins_with_it_but_for_the_renamed_head(tmp_path, monkeypatch, capsys):
    """The recipe of docs/training.md."""
    conv = CONV % ("conv", "x", "y", "")
    _, weights, net = saved(tmp_path, TRAIN % (conv, "fc", 3))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.prototxt").write_text(TRAIN % (conv, "fc_own", 5))
    (tmp_path / "solver.prototxt").write_text(
        'net: "own.prototxt" base_lr: 0 lr_policy: "fixed" max_iter: 1 snapshot_prefix: "own"'
    )
    assert main(["train", "solver.prototxt", "--weights", str(weights)]) == 0
    said = capsys.readouterr().out
    assert "weights of 1 layers from" in said
    assert "note: fillers' values for fc_own\nnote: not in the network: fc\n" in said
    kept = converter.load("own.prototxt", "own_iter_1.caffemodel").params["conv"]
    assert all(map(torch.equal, kept, net.params["conv"]))


def test_another_programs_weights_are_no_beginning(tmp_path):
    """Where layers may be missing too, as in a training."""
    path = tmp_path / "net.prototxt"
    path.write_text(HEAD + CONV % ("conv", "x", "y", ""))
    tensors = {f"features.0.{name}": np.zeros(3, np.float32) for name in ("weight", "bias")}
    save_file(tensors, tmp_path / "other.safetensors")
    for options in ({}, {"allow_missing": True}):
        with pytest.raises(WeightError, match=r"network is in it: its first is 'features\.0'"):
            converter.load(path, tmp_path / "other.safetensors", **options)


BAD = {
    "shape": (
        {"conv.weight": np.zeros((3, 3, 1, 1), np.float32), "conv.bias": np.zeros(3, np.float32)},
        {},
        r"'conv' \(Convolution\): blob 'weight' is \(3, 3, 1, 1\), wants \(3, 3, 3, 3\)\n  fix: is",
    ),
    "fewer": (
        {"conv.weight": np.zeros((3, 3, 3, 3), np.float32)},
        {},
        "blob 'bias' is missing",
    ),
    "more": (
        {"conv.running_mean": np.zeros(3, np.float32)},
        {},
        "a blob 'running_mean', wants weight, bias\n  fix: is this the prototxt's model?",
    ),
    "no layer": ({"weight": np.zeros(3, np.float32)}, {}, "a tensor 'weight', wants LAYER.BLOB"),
    "bytes": (
        {"conv.weight": np.zeros(3, np.uint8)},
        {},
        "tensor 'conv.weight': .* type U8, wants",
    ),
    "another model's": (
        {"conv.weight": np.zeros(3, np.float32)},
        {"model": "sknet50()"},
        r"weights of sknet50\(\), whose names are not those of Caffe's layers",
    ),
    "nothing": ({}, {"format": "pt"}, "no tensors in it"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused(name, tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text(HEAD + CONV % ("conv", "x", "y", ""))
    tensors, metadata, match = BAD[name]
    save_file(tensors, tmp_path / "own.safetensors", metadata)
    with pytest.raises((FormatError, WeightError), match=match) as caught:
        converter.load(path, tmp_path / "own.safetensors")
    assert str(caught.value).startswith(str(tmp_path / "own.safetensors"))


def test_a_file_that_is_cut_off(tmp_path):
    path, weights, _ = saved(tmp_path, HEAD + CONV % ("conv", "x", "y", ""))
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(FormatError, match="a damaged safetensors file"):
        converter.load(path, weights)
