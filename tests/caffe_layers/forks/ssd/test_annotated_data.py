"""AnnotatedData and VideoData: what of their tops the definition says."""

from __future__ import annotations

from pathlib import Path

import pytest

import converter
from prototxt import CaffeError

MEANS = "mean_value: 104 mean_value: 117 mean_value: 123"


def load(kind: str, transform: str, folder: Path, **options: object) -> converter.CaffeNet:
    text = (
        f'layer {{ name: "d" type: "{kind}" top: "data" top: "label" '
        f"transform_param {{ {transform} }} data_param {{ batch_size: 8 }} }} "
        'layer { name: "s" type: "Silence" bottom: "data" bottom: "label" }'
    )
    (folder / "net.prototxt").write_text(text)
    return converter.load(folder / "net.prototxt", **options)


@pytest.mark.parametrize(
    ("transform", "size"),
    [
        ("resize_param { resize_mode: WARP height: 300 width: 200 }", (300, 200)),
        ("resize_param { resize_mode: FIT_LARGE_SIZE_AND_PAD height: 9 width: 7 }", (9, 7)),
        ("resize_param { height: 300 width: 300 } crop_size: 224", (224, 224)),
        ("crop_h: 30 crop_w: 40", (30, 40)),
    ],
)
@pytest.mark.parametrize(("kind", "label"), [("AnnotatedData", (1, 1, 1, 8)), ("VideoData", (8,))])
def test_shapes(
    kind: str, label: tuple[int, ...], transform: str, size: tuple[int, int], tmp_path: Path
) -> None:
    net = load(kind, f"{MEANS} {transform}", tmp_path)
    assert net.input_shapes == {"data": (8, 3, *size), "label": label}


@pytest.mark.parametrize(
    "transform",
    [
        MEANS,
        f"{MEANS} resize_param {{ resize_mode: FIT_SMALL_SIZE height: 9 width: 9 }}",
        "crop_size: 9",
    ],
)
def test_shape_that_is_not_said_is_asked_for(transform: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match="data"):
        load("AnnotatedData", transform, tmp_path)
    shapes = {"data": (2, 3, 9, 9)}
    net = load("AnnotatedData", transform, tmp_path, input_shapes=shapes)
    assert net.input_shapes["data"] == (2, 3, 9, 9)
