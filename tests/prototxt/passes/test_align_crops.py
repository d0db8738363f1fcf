"""Crops without parameters begin where coordinate maps say, as in Caffe's branch `future`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import converter
from converter.__main__ import main
from prototxt import ShapeError, UnsupportedError
from prototxt.passes.align_crops import align_crops
from prototxt.text.parse import parse_text

INPUT = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: [1, 1, 64, 48] } } }'
CROP = 'layer { name: "crop" type: "Crop" bottom: "%s" bottom: "%s" top: "y" %s }'


def conv(kind: str, bottom: str, top: str, fields: str) -> str:
    return (
        f'layer {{ name: "{top}" type: "{kind}" bottom: "{bottom}" top: "{top}" '
        f"convolution_param {{ num_output: 1 {fields} }} }}"
    )


def pool(bottom: str, top: str, fields: str) -> str:
    return (
        f'layer {{ name: "{top}" type: "Pooling" bottom: "{bottom}" top: "{top}" '
        f"pooling_param {{ {fields} }} }}"
    )


RELU = 'layer { name: "relu" type: "ReLU" bottom: "c" top: "c" }'
CASES = {
    "pad": ([conv("Convolution", "x", "c", "kernel_size: 3 pad: 5")], "c", (4, 4)),
    "dilation": (
        [conv("Convolution", "x", "c", "kernel_size: 3 dilation: 2 pad: 5")],
        "c",
        (3, 3),
    ),
    "axes": (
        [conv("Convolution", "x", "c", "kernel_h: 3 kernel_w: 5 pad_h: 4 pad_w: 9"), RELU],
        "c",
        (3, 7),
    ),
    # HED's first side output: pad 35, two convolutions of 3 with pad 1.
    "hed": (
        [
            conv("Convolution", "x", "a", "kernel_size: 3 pad: 35"),
            conv("Convolution", "a", "b", "kernel_size: 3 pad: 1"),
            conv("Convolution", "b", "c", "kernel_size: 1"),
        ],
        "c",
        (34, 34),
    ),
    # HED's second: half the size, doubled again by a deconvolution of 4.
    "up": (
        [
            conv("Convolution", "x", "a", "kernel_size: 3 pad: 35"),
            pool("a", "p", "kernel_size: 2 stride: 2"),
            conv("Deconvolution", "p", "c", "kernel_size: 4 stride: 2"),
        ],
        "c",
        (35, 35),
    ),
    "two ways": (
        [
            conv("Convolution", "x", "a", "kernel_size: 3"),
            conv("Convolution", "x", "c", "kernel_size: 3 pad: 4"),
        ],
        "c",
        (4, 4),
    ),
}


def load(folder: Path, *layers: str, **options: str) -> converter.CaffeNet:
    (folder / "net.prototxt").write_text("\n".join([INPUT, *layers]))
    return converter.load(folder / "net.prototxt", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CASES)
def test_offsets(name: str, tmp_path: Path) -> None:
    layers, cropped, offset = CASES[name]
    reference = "a" if name == "two ways" else "x"
    net = load(tmp_path, *layers, CROP % (cropped, reference, ""))
    assert net.layers["crop"].offset == offset
    said = "x".join(map(str, offset))
    assert any(f"begin where coordinate maps say (offset {said})" in note for note in net.notes)
    blobs = net.blobs({"x": torch.randn(1, 1, 64, 48)})
    height, width = blobs["y"].shape[2:]
    top, left = offset
    assert torch.equal(blobs["y"], blobs[cropped][:, :, top : top + height, left : left + width])


@pytest.mark.parametrize(
    ("crop", "options"),
    [
        (CROP % ("c", "x", ""), {"dialect": "bvlc"}),
        (CROP % ("c", "x", "crop_param { }"), {}),
        (CROP % ("c", "x", "crop_param { offset: 0 }"), {}),
    ],
)
def test_bvlc_begins_at_0(crop: str, options: dict[str, str], tmp_path: Path) -> None:
    net = load(tmp_path, *CASES["pad"][0], crop, **options)
    assert net.layers["crop"].offset == (0,)
    assert not [note for note in net.notes if "Crop" in note]


def test_one_crop_with_parameters_tells_for_all(tmp_path: Path) -> None:
    told = CROP % ("c", "x", "crop_param { offset: 2 }")
    bare = (CROP % ("c", "x", "")).replace('"y"', '"z"').replace('"crop"', '"other"')
    net = load(tmp_path, *CASES["pad"][0], told, bare)
    assert [net.layers[name].offset for name in ("crop", "other")] == [(2,), (0,)]


def test_crops_depend_on_crops(tmp_path: Path) -> None:
    """What was cropped at 4 already needs no more; its twin, cropped by it, needs all."""
    twin = (CROP % ("c", "y", "")).replace('top: "y"', 'top: "z"').replace('"crop"', '"twin"')
    again = (CROP % ("y", "x", "")).replace('top: "y"', 'top: "w"').replace('"crop"', '"again"')
    net = load(tmp_path, *CASES["pad"][0], CROP % ("c", "x", ""), twin, again)
    offsets = [net.layers[name].offset for name in ("crop", "twin", "again")]
    assert offsets == [(4, 4), (4, 4), (0, 0)]


def test_a_type_of_its_own(tmp_path: Path) -> None:
    crop = (CROP % ("c", "x", "")).replace("Crop", "AutoCrop")
    assert load(tmp_path, *CASES["pad"][0], crop).layers["crop"].offset == (4, 4)
    assert load(tmp_path, *CASES["pad"][0], crop, dialect="bvlc").layers["crop"].offset == (4, 4)


HALF = [
    conv("Convolution", "x", "c", "kernel_size: 3 pad: 5"),
    'layer { name: "o" type: "Crop" bottom: "c" bottom: "x" top: "o" }',
    conv("Deconvolution", "x", "d", "kernel_size: 4"),
]


def test_halves_are_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layers = [*HALF, CROP % ("d", "x", "")]
    with pytest.raises(UnsupportedError, match=r"not all: layer 'crop' .* 3/2") as caught:
        load(tmp_path, *layers)
    assert "--dialect future" in caught.value.fix
    net = load(tmp_path, *layers, dialect="future")
    assert [net.layers[name].offset for name in ("o", "crop")] == [(4, 4), (2, 2)]
    assert main(["show", str(tmp_path / "net.prototxt"), "--dialect", "bvlc"]) == 0


@pytest.mark.parametrize(
    ("layers", "bottoms", "said"),
    [
        ([pool("x", "c", "kernel_size: 1 stride: 2")], ("x", "c"), "1/2 times as far apart"),
        ([conv("Convolution", "x", "c", "kernel_size: 3")], ("c", "x"), "offset would be -1"),
        ([pool("x", "c", "global_pooling: true")], ("x", "c"), "pools the whole map"),
        (['layer { name: "c" type: "Tile" bottom: "x" top: "c" }'], ("c", "x"), "no coordinate"),
        ([INPUT.replace('"x"', '"c"')], ("c", "x"), "no common origin"),
    ],
)
def test_where_maps_lead_nowhere(layers: list[str], bottoms: tuple[str, str], said: str) -> None:
    net = parse_text("\n".join([INPUT, *layers, CROP % (*bottoms, "")]))
    same, (note,) = align_crops(net)
    assert same is net
    assert "they begin at 0" in note
    assert said in note
    with pytest.raises(ShapeError, match=said):
        align_crops(net, "future")
