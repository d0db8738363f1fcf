"""DetectNetTransformation's shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from prototxt import CaffeError, UnsupportedError
from tests.support.restated import load

Shape = tuple[int, ...]
KITTI = "stride: 16 image_size_x: 1248 image_size_y: 352"


def layer(param: str) -> str:
    return (
        'layer { name: "L" type: "DetectNetTransformation" bottom: "x" bottom: "boxes" top: "y" '
        f'top: "grid" detectnet_groundtruth_param {{ {param} }} }}'
    )


@pytest.mark.parametrize(
    ("param", "image", "grid"),
    [
        (KITTI, (2, 3, 352, 1248), (2, 9, 22, 78)),
        (f"{KITTI} object_class {{ src: 1 dst: 0 }} object_class {{ src: 8 dst: 1 }}",
         (2, 3, 352, 1248), (2, 10, 22, 78)),
        ("", (2, 3, 384, 1248), (2, 9, 96, 312)),
    ],
)  # fmt: skip
def test_shapes(param: str, image: Shape, grid: Shape, tmp_path: Path) -> None:
    inputs = {"x": np.zeros((2, 3, 40, 50)), "boxes": np.zeros((2, 1, 5, 16))}
    net = load(layer(param), inputs, tmp_path)
    shapes = net.shapes()
    assert (shapes["y"], shapes["grid"]) == (image, grid)
    with pytest.raises(UnsupportedError, match="changes images at random"):
        net.blobs({name: torch.from_numpy(array) for name, array in inputs.items()})


@pytest.mark.parametrize(
    ("param", "image", "boxes", "says"),
    [
        (KITTI, (2, 1, 4, 5), (2, 16), "wants 3 channels"),
        (KITTI, (2, 3, 4, 5), (3, 16), "3 lists of boxes for 2 images"),
        ("stride: 0", (2, 3, 4, 5), (2, 16), "stride 0 wants 1 or more"),
    ],
)
def test_refused(param: str, image: Shape, boxes: Shape, says: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=says):
        load(layer(param), {"x": np.zeros(image), "boxes": np.zeros(boxes)}, tmp_path)
