"""Padding, CropCenter, SegAccuracy, MatWrite and the data layers of segmentation networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import caffe_layers
import converter
from prototxt import ShapeError, UnsupportedError
from tests.support import restated
from tests.support.recorded import assert_close
from tests.support.restated import check, check_gradients


def image(*shape: int) -> np.ndarray:
    return np.random.default_rng(1701).normal(size=shape)


def layer(kind: str, fields: str, bottoms: str = "x", tops: str = "y") -> str:
    ends = "".join(f' bottom: "{name}"' for name in bottoms.split())
    ends += "".join(f' top: "{name}"' for name in tops.split())
    return f'layer {{ name: "L" type: "{kind}"{ends} {fields} }}\n'


def padded(x: np.ndarray, begin: int, end: int) -> np.ndarray:
    height, width = (size + begin + end for size in x.shape[2:])
    top = np.zeros((*x.shape[:2], height, width))
    for n, c, h, w in np.ndindex(*top.shape):
        row, column = h - begin, w - begin
        if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
            top[n, c, h, w] = x[n, c, row, column]
    return top


PADS = [(2, 1), (0, 3), (1, 0), (-1, -2), (-2, 0), (0, -1), (0, 0)]


@pytest.mark.parametrize(("begin", "end"), PADS)
def test_padding(begin, end, tmp_path: Path):
    x, text = (
        image(2, 3, 5, 6),
        layer("Padding", f"padding_param {{ pad_beg: {begin} pad_end: {end} }}"),
    )
    want = padded(x, begin, end)
    check(text, {"x": x}, {"y": want}, tmp_path, dynamic=("batch", "height", "width"))
    check_gradients(text, {"x": x[:1, :1]}, tmp_path)


@pytest.mark.parametrize(
    ("fields", "says"),
    [("pad_beg: -1 pad_end: 2", "differ in sign"), ("pad_beg: -3 pad_end: -2", "leave nothing of")],
)
def test_padding_refused(fields, says, tmp_path: Path):
    with pytest.raises(ShapeError, match=says):
        restated.load(layer("Padding", f"padding_param {{ {fields} }}"),
                      {"x": image(1, 1, 5, 5)}, tmp_path)  # fmt: skip


def test_padding_of_deeplabs_first_version(tmp_path: Path):
    text = """
        input: "x" input_dim: 1 input_dim: 2 input_dim: 3 input_dim: 4
        layers { name: "i" type: INTERP bottom: "x" top: "i" interp_param { zoom_factor: 8 } }
        layers { name: "p" type: PADDING bottom: "i" top: "y"
                 padding_param { pad_beg: -7 pad_end: -8 } }
    """
    (tmp_path / "net.prototxt").write_text(text)
    net = converter.load(tmp_path / "net.prototxt")
    assert net.shapes()["y"] == (1, 2, 17 - 15, 25 - 15)


@pytest.mark.parametrize("cuts", [(0, 0, 1, 2), (0, 1, 0, 1), (0, 0, 0, 0), (1, 0, 2, 0)])
def test_crop_center(cuts, tmp_path: Path):
    x = image(3, 4, 6, 7)
    want = x[tuple(slice(cut, size - cut) for cut, size in zip(cuts, x.shape, strict=True))]
    fields = " ".join(f"crop_size: {cut}" for cut in cuts)
    text = layer("CropCenter", f"crop_center_param {{ {fields} }}")
    check(text, {"x": x}, {"y": want}, tmp_path, dynamic=() if cuts[0] else ("batch", "height"))
    check_gradients(text, {"x": x}, tmp_path)


@pytest.mark.parametrize("cuts", [(0, 0, 1), (0, 0, 3, 0)])
def test_crop_center_refused(cuts):
    with pytest.raises(ShapeError, match=r"one for each axis|does not fit"):
        caffe_layers.CropCenter(cuts).shapes((1, 1, 6, 6))


def figures(x: np.ndarray, label: np.ndarray, ignored=(), counts=None) -> np.ndarray:
    """Return accuracy, mean recall and mean Jaccard index; ties go to the later class."""
    classes = x.shape[1]
    counts = np.zeros((classes, classes)) if counts is None else counts
    for n, h, w in np.ndindex(x.shape[0], *x.shape[2:]):
        truth, best = int(label[n, 0, h, w]), 0
        if truth in ignored:
            continue
        for c in range(classes):
            if x[n, c, h, w] >= x[n, best, h, w]:
                best = c
        counts[truth, best] += 1
    hits = [counts[c, c] for c in range(classes)]
    accuracy = sum(hits) / counts.sum() if counts.sum() else 0
    recalls = [hits[c] / counts[c].sum() for c in range(classes) if counts[c].sum()]
    recall = sum(recalls) / len(recalls) if recalls else 0
    jaccards = []
    for c in range(classes):
        either = counts[c].sum() + counts[:, c].sum() - hits[c]
        jaccards.append(1 if hits[c] == either else hits[c] / either)
    return np.array([accuracy, recall, sum(jaccards) / classes]).reshape(1, 1, 1, 3)


def accuracy(fields: str) -> str:
    return layer("SegAccuracy", f"seg_accuracy_param {{ {fields} }}", "x label")


def labelling(classes: int, used: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1701)
    x = rng.integers(0, 3, (2, classes, 4, 5)).astype(float)  # with ties
    return {"x": x, "label": rng.integers(0, used, (2, 1, 4, 5)).astype(float)}


@pytest.mark.parametrize("ignored", [[], [0], [255, 1]])
@pytest.mark.parametrize(("classes", "used"), [(3, 3), (5, 2), (1, 1)])
def test_seg_accuracy(classes, used, ignored, tmp_path: Path):
    inputs = labelling(classes, used)
    if 255 in ignored:
        inputs["label"][0, 0, 1:3] = 255
    fields = " ".join(f"ignore_label: {value}" for value in ignored)
    want = figures(inputs["x"], inputs["label"], ignored)
    check(accuracy(fields), inputs, {"y": want}, tmp_path)


def test_seg_accuracy_of_nothing(tmp_path: Path):
    inputs = labelling(3, 3)
    inputs["label"][:] = 255
    want = np.array([0, 0, 1.0]).reshape(1, 1, 1, 3)
    check(accuracy("ignore_label: 255"), inputs, {"y": want}, tmp_path)


def test_seg_accuracy_may_add_up(tmp_path: Path):
    first, second = labelling(3, 3), labelling(3, 2)
    net = restated.load(accuracy("reset: false"), first, tmp_path)
    counts = np.zeros((3, 3))
    for inputs in (first, second):
        got = net({name: torch.tensor(array) for name, array in inputs.items()})["y"]
        assert_close(got, figures(inputs["x"], inputs["label"], counts=counts), "y")
    net.reset_state()
    got = net({name: torch.tensor(array) for name, array in second.items()})["y"]
    assert_close(got, figures(second["x"], second["label"]), "y")
    with pytest.raises(UnsupportedError, match="keeps no state"):
        converter.export_onnx(net, tmp_path / "net.onnx", with_losses=True)


def test_seg_accuracy_refused(tmp_path: Path):
    inputs = labelling(3, 3)
    inputs["label"][0, 0, 0, 0] = 3
    net = restated.load(accuracy(""), inputs, tmp_path)
    with pytest.raises(ShapeError, match="labels go from 0 to 3"):
        net({name: torch.tensor(array) for name, array in inputs.items()})
    with pytest.raises(ShapeError, match="want to be"):
        restated.load(accuracy(""), inputs | {"label": inputs["label"][:, 0]}, tmp_path)


def test_mat_write_writes_nothing(tmp_path: Path):
    text = layer("MatWrite", 'mat_write_param { prefix: "features/" }', "x", "")
    relu = layer("ReLU", "").replace('"L"', '"r"')
    x = image(1, 2, 3, 4)
    check(relu + text, {"x": x}, {"y": np.maximum(x, 0)}, tmp_path)
    assert not list(tmp_path.glob("**/features*"))


def shapes(text: str, folder: Path, **options) -> dict[str, tuple[int, ...]]:
    (folder / "net.prototxt").write_text(text)
    return dict(converter.load(folder / "net.prototxt", **options).shapes())


@pytest.mark.parametrize(
    ("fields", "data", "label"),
    [
        ("batch_size: 4 new_height: 512 new_width: 1024 label_divide_factor: 8",
         (4, 3, 512, 1024), (4, 1, 64, 128)),
        ("batch_size: 2 crop_height: 5 crop_width: 7 new_height: 9 new_width: 9 is_color: false",
         (2, 1, 5, 7), (2, 1, 5, 7)),
        ("new_height: 6 new_width: 8", (1, 3, 6, 8), (1, 1, 6, 8)),
    ],
)  # fmt: skip
def test_dense_image_data(fields, data, label, tmp_path: Path):
    text = layer("DenseImageData", f"dense_image_data_param {{ {fields} }}", "", "data label")
    assert shapes(text, tmp_path) == {"data": data, "label": label}


def test_dense_image_data_of_files_of_any_size(tmp_path: Path):
    text = layer("DenseImageData", "dense_image_data_param { batch_size: 2 }", "", "data label")
    with pytest.raises(ShapeError, match="does not say the shape of 'data'"):
        shapes(text, tmp_path)
    given = {"data": (2, 3, 8, 9), "label": (2, 1, 8, 9)}
    assert shapes(text, tmp_path, input_shapes=given) == given
    with pytest.raises(ShapeError, match="wants both or none"):
        shapes(text.replace("batch_size: 2", "crop_height: 3"), tmp_path)


@pytest.mark.parametrize(
    ("transform", "image_data", "size"),
    [
        ("crop_size: 9", "label_type: PIXEL", (9, 9)),
        ("crop_width: 8 crop_height: 6", "", (6, 8)),
        ("", "new_height: 5 new_width: 4", (5, 4)),
    ],
)
def test_image_seg_data(transform, image_data, size, tmp_path: Path):
    fields = f"transform_param {{ {transform} }} image_data_param {{ batch_size: 2 {image_data} }}"
    text = layer("ImageSegData", fields, "", "data label dim")
    want = {"data": (2, 3, *size), "label": (2, 1, *size), "dim": (2, 1, 1, 2)}
    assert shapes(text, tmp_path) == want


@pytest.mark.parametrize(
    "kind",
    ["DomainTransform", "AdaptiveBiasChannel", "BiasChannel"],
)
def test_what_is_not_computed_is_refused_with_the_reason(kind, tmp_path: Path):
    with pytest.raises(UnsupportedError) as caught:
        restated.load(layer(kind, ""), {"x": image(1, 2, 3, 4)}, tmp_path)
    assert f"layer 'L' ({kind}): " in str(caught.value)
    assert "fix: " in str(caught.value)
