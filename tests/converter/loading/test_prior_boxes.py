"""A PriorBox whose boxes are not those that the convolutions of its map predict is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

import converter
from converter.__main__ import main
from prototxt import UnsupportedError

NET = """input: "data" input_shape {{ dim: 1 dim: 3 dim: 64 dim: 64 }}
input: "f" input_shape {{ dim: 1 dim: 8 dim: 2 dim: 2 }}
layer {{ name: "p" type: "PriorBox" bottom: "f" bottom: "data" top: "p"
  prior_box_param {{ {boxes} }} }}
"""
HEAD = """
layer {{ name: "{name}" type: "Convolution" bottom: "f" top: "{name}"
  convolution_param {{ num_output: {channels} kernel_size: 1 }} }}
layer {{ name: "{name}_perm" type: "Permute" bottom: "{name}" top: "{name}_perm"
  permute_param {{ order: 0 order: 2 order: 3 order: 1 }} }}
layer {{ name: "{name}_flat" type: "Flatten" bottom: "{name}_perm" top: "{name}_flat" }}
layer {{ name: "{name}_all" type: "Concat" bottom: "{name}_flat" top: "{name}_all" }}
"""
THREE = "min_size: 32 min_size: 64 min_size: 128"
SIX = "min_size: 30 max_size: 60 aspect_ratio: 2 aspect_ratio: 3"


def write(folder: Path, boxes: str, loc: int, conf: int) -> Path:
    heads = [HEAD.format(name=name, channels=n) for name, n in (("loc", loc), ("conf", conf))]
    path = folder / "net.prototxt"
    path.write_text(NET.format(boxes=boxes) + "".join(heads))
    return path


@pytest.mark.parametrize(
    ("boxes", "loc", "conf"),
    [(THREE, 12, 6), (THREE, 12, 63), (SIX, 24, 126), (THREE, 4 * 3 * 5, 3 * 5), (THREE, 12, 3)],
)
def test_boxes_that_the_convolutions_predict(
    boxes: str, loc: int, conf: int, tmp_path: Path
) -> None:
    assert converter.load(write(tmp_path, boxes, loc, conf)).shapes()["loc"][1] == loc


@pytest.mark.parametrize(
    ("boxes", "loc", "conf", "each"),
    [
        (THREE, 84, 42, 3),  # FaceBoxes: 16 + 4 + 1 boxes
        (SIX, 48, 24, 6),  # TextBoxes: every box twice
        (SIX, 24, 13, 6),
        (THREE, 16, 8, 3),
    ],
)
def test_boxes_of_a_fork(boxes: str, loc: int, conf: int, each: int, tmp_path: Path) -> None:
    path = write(tmp_path, boxes, loc, conf)
    with pytest.raises(UnsupportedError) as caught:
        converter.load(path)
    assert f"layer 'p' (PriorBox): {each} boxes a place" in str(caught.value)
    assert f"'loc' {loc} and 'conf' {conf}" in str(caught.value)
    assert "FaceBoxes" in caught.value.fix
    assert main(["check", str(path)]) == 1


def test_one_convolution_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(NET.format(boxes=THREE) + HEAD.format(name="loc", channels=84))
    assert converter.load(path).shapes()["loc"][1] == 84
