"""The losses of forks that detect edges are told by the file's other layers, and refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from converter.training import Solver
from prototxt import UnsupportedError

NET = """layer { name: "data" type: "DummyData" top: "x" top: "t" dummy_data_param {
  shape { dim: 1 dim: 1 dim: 8 dim: 8 } shape { dim: 1 dim: 1 dim: 8 dim: 8 } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "c"
  convolution_param { num_output: 1 kernel_size: 3 pad: 3 } }
layer { name: "crop" type: "%s" bottom: "c" bottom: "x" top: "y" %s }
layer { name: "loss" type: "%s" bottom: "y" bottom: "t" top: "loss" }
"""
EDGES = """layer { name: "edges" type: "ImageLabelmapData" top: "a" top: "b"
  include { phase: TEST stage: "never" } }
"""
SIGMOID, SOFTMAX = "SigmoidCrossEntropyLoss", "SoftmaxWithLoss"
PLAIN = "crop_param { offset: 2 }"


def solver(folder: Path, text: str, **options: str) -> Solver:
    (folder / "net.prototxt").write_text(text)
    (folder / "solver.prototxt").write_text(
        f'net: "{folder}/net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 1 '
        f'snapshot_prefix: "{folder}/s" solver_mode: CPU'
    )
    return Solver(folder / "solver.prototxt", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        (NET % ("Crop", "", SIGMOID), "a Crop without crop_param"),
        (NET % ("AutoCrop", "", SIGMOID), "a Crop without crop_param"),
        (EDGES + NET % ("Crop", PLAIN, SIGMOID), "the layer type ImageLabelmapData"),
        (EDGES + NET % ("Crop", PLAIN, SOFTMAX), "the layer type ImageLabelmapData"),
    ],
)
def test_a_loss_of_edge_detection(text: str, sign: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=f"layer 'loss' .* whose sign is {sign}") as caught:
        solver(tmp_path, text)
    assert "--dialect bvlc" in caught.value.fix
    assert solver(tmp_path, text, dialect="bvlc").net.source


@pytest.mark.parametrize(
    "text",
    [
        NET % ("Crop", PLAIN, SIGMOID),
        NET % ("Crop", "", SOFTMAX),
        NET % ("Crop", PLAIN, SOFTMAX),
        NET.replace('top: "loss" }', 'top: "loss" loss_weight: 0 }') % ("Crop", "", SIGMOID)
        + 'layer { name: "l" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "l" }',
    ],
)
def test_a_loss_that_is_bvlcs(text: str, tmp_path: Path) -> None:
    assert solver(tmp_path, text).net.source
