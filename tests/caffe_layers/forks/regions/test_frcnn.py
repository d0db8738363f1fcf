"""Layers of frcnn, 3Dpose_ssl, naibaf7 and others of which the shapes alone are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from prototxt import CaffeError, UnsupportedError
from tests.support.restated import load

Shape = tuple[int, ...]
SCORES, SHIFTS, INFO, BOXES = (1, 18, 4, 6), (1, 36, 4, 6), (1, 3), (7, 5)
TARGETS = (128, 84, 1, 1)
ROWS: list[tuple[str, list[Shape], list[Shape]]] = [
    ("FrcnnProposal", [SCORES, SHIFTS, INFO], [(300, 5, 1, 1), (300, 1, 1, 1)]),
    ("FrcnnAnchorTarget", [SCORES, BOXES, INFO], [(1, 1, 36, 6), *[SHIFTS] * 3]),
    ("FrcnnProposalTarget", [(300, 5), BOXES], [(128, 5, 1, 1), (128, 1, 1, 1), *[TARGETS] * 3]),
    ("MPJPEEvaluation", [(4, 48), (4, 48, 1)], [()]),
    ("SkelVectorLoss", [(4, 48), (4, 48)], [()]),
    ("SavePath", [(4, 48)], []),
    ("DataRandTransform", [(2, 3, 4, 5)], [(2, 3, 4, 5)]),
    ("Affinity", [(1, 2, 4, 5), (1, 1, 6, 7)], [(1, 2, 4, 5), (1, 2, 6, 7)]),
    ("PR", [(1, 1, 4, 5), (1, 1, 4, 5)], [()] * 5),
    ("BeamSearchNode", [(5, 9), (5, 4)], [(5, 1), (5, 1), (5, 1), (5, 4)]),
    ("BeamSearchNode", [(5, 1), (5, 3), (5, 9), (5, 4)], [(5, 1), (5, 4), (5, 1), (5, 4)]),
]


def layer(kind: str, bottoms: int, tops: int) -> str:
    ends = "".join(f' bottom: "b{at}"' for at in range(bottoms))
    ends += "".join(f' top: "t{at}"' for at in range(tops))
    return f'layer {{ name: "L" type: "{kind}"{ends} }}'


@pytest.mark.parametrize(("kind", "bottoms", "tops"), ROWS)
def test_shapes(kind: str, bottoms: list[Shape], tops: list[Shape], tmp_path: Path) -> None:
    inputs = {f"b{at}": np.zeros(shape) for at, shape in enumerate(bottoms)}
    net = load(layer(kind, len(bottoms), len(tops)), inputs, tmp_path)
    assert net.layers["L"].checked_shapes(*bottoms) == tops
    with pytest.raises(UnsupportedError, match=kind):
        net.layers["L"](*(torch.zeros(shape) for shape in bottoms))


@pytest.mark.parametrize(
    ("kind", "bottoms", "tops", "says"),
    [
        ("FrcnnProposal", [SCORES, (1, 18, 4, 6), INFO], 1, r"wants \(1, 36, 4, 6\)"),
        ("FrcnnProposal", [SCORES, SHIFTS, (1, 4)], 1, "wants height, width and scale"),
        ("FrcnnAnchorTarget", [(1, 9, 4, 6), BOXES, INFO], 4, "wants 1 x 2A x H x W"),
        ("MPJPEEvaluation", [(4, 48), (4, 32)], 1, "differ in values"),
        ("BeamSearchNode", [(5, 9)], 4, "wants as many, or two more"),
        ("BeamSearchNode", [(5, 9, 1)], 3, "has 3 axes, wants 2"),
    ],
)
def test_refused(kind: str, bottoms: list[Shape], tops: int, says: str, tmp_path: Path) -> None:
    inputs = {f"b{at}": np.zeros(shape) for at, shape in enumerate(bottoms)}
    with pytest.raises(CaffeError, match=says):
        load(layer(kind, len(bottoms), tops), inputs, tmp_path)


def test_regions_in_training(tmp_path: Path) -> None:
    inputs = {f"b{at}": np.zeros(shape) for at, shape in enumerate([SCORES, SHIFTS, INFO])}
    net = load(layer("FrcnnProposal", 3, 1), inputs, tmp_path, phase="TRAIN")
    assert net.layers["L"].shapes(SCORES, SHIFTS, INFO) == [(2000, 5, 1, 1)]


@pytest.mark.parametrize(
    ("param", "transform", "image"),
    [
        ("new_height: 40 new_width: 30", "", (6, 3, 40, 30)),
        ("new_height: 40 new_width: 30 is_color: false", "crop_size: 24", (6, 1, 24, 24)),
        ("", "", None),
    ],
)
def test_frames_with_numbers(
    param: str, transform: str, image: Shape | None, tmp_path: Path
) -> None:
    text = (
        'layer { name: "L" type: "ImageDataLstm" top: "data" top: "label" '
        f"transform_param {{ {transform} }} "
        f"image_data_lstm_param {{ {param} batch_size: 6 label_dim: 81 }} }}"
    )
    given = {"input_shapes": {"data": (6, 3, 8, 8)}} if image is None else {}
    net = load(text, {}, tmp_path, **given)
    assert net.input_shapes["data"] == (image or (6, 3, 8, 8))
    assert net.input_shapes["label"] == (6, 81)
