"""Layers of a file of weights in others of the network: `--map` and `--ignore`, in training too."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import converter
from converter.__main__ import main
from converter.training import Solver
from prototxt import UsageError, WeightError

INPUT = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: [%s] } } }\n'
CONV = """layer { name: "%s" type: "Convolution" bottom: "x" top: "%s" convolution_param {
  num_output: 2 kernel_size: 3 weight_filler { type: "gaussian" std: 1 } } }
"""
INNER = """layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc" inner_product_param {
  num_output: 2 weight_filler { type: "gaussian" std: 1 } bias_filler { type: "gaussian" } } }
"""


def written(folder, name, text):
    path = folder / f"{name}.prototxt"
    path.write_text(text)
    weights = folder / f"{name}.caffemodel"
    converter.save_caffemodel(converter.load(path), weights)
    return path, weights


def test_one_layer_fills_several(tmp_path):
    one, weights = written(tmp_path, "one", INPUT % "1, 3, 8, 8" + CONV % ("conv1", "a"))
    two = tmp_path / "two.prototxt"
    two.write_text(INPUT % "1, 3, 8, 8" + CONV % ("conv1a", "a") + CONV % ("conv1b", "b"))
    net = converter.load(two, weights, rename={"conv1": "conv1a,conv1b"})
    want = converter.load(one, weights).params["conv1"]
    for name in ("conv1a", "conv1b"):
        assert all(map(torch.equal, net.params[name], want))
    same = converter.load(two, weights, rename={"conv1": ["conv1a", "conv1b"]})
    assert torch.equal(same.params["conv1b"][0], want[0])
    with pytest.raises(WeightError, match="no layer 'conv1c' to map to\n  fix: did you"):
        converter.load(two, weights, rename={"conv1": "conv1a,conv1c"})
    with pytest.raises(WeightError, match="no weights for layer 'conv1b'"):
        converter.load(two, weights, rename={"conv1": "conv1a"})


def test_an_inner_product_becomes_a_convolution(tmp_path):
    """Net surgery: the weights slide over larger images, and are the same at the first place."""
    one, weights = written(tmp_path, "one", INPUT % "1, 3, 3, 3" + INNER)
    wide = tmp_path / "wide.prototxt"
    wide.write_text(INPUT % "1, 3, 5, 4" + CONV % ("slide", "y"))
    args = ["run", str(wide), str(weights), "--map", "fc=slide", "--quiet"]
    x = np.random.default_rng(3).standard_normal((1, 3, 5, 4)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    out = tmp_path / "out.npz"
    assert main([*args, "--input", f"x={tmp_path / 'x.npy'}", "--output", str(out)]) == 0
    net = converter.load(one, weights)
    with np.load(out) as blobs:
        for row in range(3):
            for column in range(2):
                part = torch.from_numpy(x[:, :, row : row + 3, column : column + 3].copy())
                want = net({"x": part})["fc"].detach().numpy()
                assert np.allclose(blobs["y"][:, :, row, column], want, atol=1e-5)
    wide.write_text(INPUT % "1, 4, 5, 4" + CONV % ("slide", "y"))
    with pytest.raises(WeightError, match=r"blob 'weight' is \(2, 27\), wants \(2, 4, 3, 3\)"):
        converter.load(wide, weights, rename={"fc": "slide"})


TRAIN = """
layer { name: "d" type: "DummyData" top: "x" top: "label" dummy_data_param {
  shape { dim: [4, 3] } shape { dim: 4 }
  data_filler { type: "gaussian" } data_filler { value: 1 } } }
layer { name: "%s" type: "InnerProduct" bottom: "x" top: "y" inner_product_param {
  num_output: $CLASSES weight_filler { type: "gaussian" std: 1 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "label" top: "loss" }
"""
SOLVER = """net: "net.prototxt" base_lr: 0 lr_policy: "fixed" max_iter: 1
snapshot_after_train: false test_iter: 1 test_interval: 1
"""


@pytest.fixture
def trained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (TRAIN % "old").replace("$CLASSES", "5")
    _, weights = written(tmp_path, "before", text)
    (tmp_path / "net.prototxt").write_text(TRAIN % "new")
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    return converter.load("before.prototxt", weights).params["old"][0].clone()


def test_training_takes_what_its_messages_name(trained):
    args = ["train", "solver.prototxt", "--weights", "before.caffemodel", "--quiet"]
    assert main([*args, "--set", "CLASSES=5", "--map", "old=new"]) == 0
    solver = Solver(
        "solver.prototxt",
        weights="before.caffemodel",
        values={"CLASSES": "5"},
        rename={"old": "new"},
    )
    assert torch.equal(solver.net.params["new"][0], trained)
    assert torch.equal(solver.test_nets[0].params["new"][0], trained)


def test_a_head_of_other_classes_is_left_to_its_fillers(trained, capsys):
    text = (TRAIN % "old").replace("$CLASSES", "7")
    with open("net.prototxt", "w") as file:
        file.write(text)
    args = ["train", "solver.prototxt", "--weights", "before.caffemodel"]
    assert main(args) == 1
    assert "--ignore LAYER leaves the layer unset" in capsys.readouterr().err
    assert main([*args, "--ignore", "old"]) == 0


def test_nothing_to_map_is_said(trained):
    with pytest.raises(UsageError, match="no weights are given"):
        Solver("solver.prototxt", values={"CLASSES": "5"}, rename={"old": "new"})
