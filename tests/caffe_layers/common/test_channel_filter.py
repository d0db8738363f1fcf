"""The Filter of pruned channels: a blob chooses them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import converter
from prototxt import CaffeError
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(1701)
X = RNG.standard_normal((2, 5, 3, 4))
SELECTOR = np.array([0, 1.0, 0, 0.5, -2])


def text(fields: str, *, tops: str = "y", bottoms: str = "x") -> str:
    names = [f'bottom: "{name}"' for name in bottoms] + [f'top: "{name}"' for name in tops]
    return (
        f'layer {{ name: "L" type: "Filter" {" ".join(names)} param {{ lr_mult: 0 }} '
        f"filter_param {{ {fields} }} }}\n"
    )


def test_the_blob_chooses_channels(tmp_path: Path) -> None:
    z = RNG.standard_normal((3, 5, 2))
    layer = text("num_output: 3", bottoms="xz", tops="yw")
    wants = {"y": X[:, [1, 3, 4]], "w": z[:, [1, 3, 4]]}
    held = {"L": [SELECTOR]}
    check(layer, {"x": X, "z": z}, wants, tmp_path, blobs=held, dynamic=())
    check_gradients(layer, {"x": X, "z": z}, tmp_path, blobs=held, wrt=("x",))


def test_another_axis(tmp_path: Path) -> None:
    x = X.transpose(0, 2, 3, 1)
    layer = text("num_output: 3 axis: -1")
    check(layer, {"x": x}, {"y": x[..., [1, 3, 4]]}, tmp_path, blobs={"L": [SELECTOR]})


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (text("num_output: 6"), "num_output 6 wants 1 to 5"),
        (text("axis: 1"), "num_output 0 wants 1 to 5"),
        (text("num_output: 2 axis: 0"), "axis 0, which Caffe lacks too"),
        (text("num_output: 2", tops="yz"), "2 tops, wants 1: one for each bottom"),
    ],
)
def test_refusals(layer: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=says):
        load(layer, {"x": X}, tmp_path)


def test_what_only_weights_tell_is_asked_for(tmp_path: Path) -> None:
    net = load(text("num_output: 3"), {"x": X}, tmp_path)
    says = "chooses 5 channels, num_output is 3\n  fix: give the weights: they hold the selector"
    with pytest.raises(CaffeError, match=says):
        net.blobs({"x": torch.from_numpy(X)})
    with pytest.raises(CaffeError, match=says):
        converter.export_onnx(net, tmp_path / "net.onnx")
