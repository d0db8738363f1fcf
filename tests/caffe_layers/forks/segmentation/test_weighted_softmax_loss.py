"""The softmax losses of SegNet and of DeepLab's first version against their loops."""

from __future__ import annotations

from math import exp, log
from pathlib import Path

import numpy as np
import pytest
import torch

import caffe_layers
import converter
from prototxt import FormatError, ShapeError, UnsupportedError
from tests.support import restated
from tests.support.recorded import assert_close
from tests.support.restated import check, check_gradients

FLT_MIN = 2.0**-126
WEIGHTS = [0.25, 4.0, 0.5, 1.75]


def terms(x: np.ndarray, label: np.ndarray, ignored, weights) -> list[tuple[float, float]]:
    """Return weight and weighted loss of each pixel that counts; classes lie along axis 1."""
    found = []
    for n, *place in np.ndindex(x.shape[0], *x.shape[2:]):
        scores = [x[(n, c, *place)] for c in range(x.shape[1])]
        index = int(label.reshape(x.shape[0], *x.shape[2:])[(n, *place)])
        if index in ignored:
            continue
        largest = max(scores)
        total = sum(exp(score - largest) for score in scores)
        probability = max(exp(scores[index] - largest) / total, FLT_MIN)
        found.append((weights[index], -weights[index] * log(probability)))
    return found


def segnet(fields: str, more: str = "") -> str:
    return (
        'layer { name: "L" type: "SoftmaxWithLoss" bottom: "x" bottom: "label" top: "y" '
        f"loss_param {{ {fields} }} {more} }}\n"
    )


def deeplab(fields: str) -> str:
    return (
        'layer { name: "L" type: "SoftmaxWithLoss" bottom: "x" bottom: "label" top: "y" '
        f"softmaxloss_param {{ {fields} }} }}\n"
    )


def bottoms(*, ignored: int = 255) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1701)
    label = rng.integers(0, 4, (2, 1, 3, 5)).astype(float)
    label[0, 0, 1, 2] = label[1, 0, 0, 0] = label[1, 0, 2, 4] = ignored
    return {"x": rng.normal(0, 3, (2, 4, 3, 5)), "label": label}


BY_CLASS = "weight_by_label_freqs: true " + " ".join(f"class_weighting: {w}" for w in WEIGHTS)


@pytest.mark.parametrize("fields", [BY_CLASS, "weight_by_label_freqs: false", BY_CLASS[27:]])
@pytest.mark.parametrize("normalize", [None, True, False])
def test_segnet_divides_by_a_count_without_weights(fields, normalize, tmp_path: Path):
    inputs = bottoms()
    weights = WEIGHTS if fields is BY_CLASS else [1] * 4
    found = terms(inputs["x"], inputs["label"], [255], weights)
    count = 2 if normalize is False else len(found)
    text = segnet(
        f"{fields} ignore_label: 255"
        + ("" if normalize is None else f" normalize: {str(normalize).lower()}")
    )
    want = np.array(sum(loss for _, loss in found) / count)
    check(text, inputs, {"y": want}, tmp_path)
    check_gradients(text, inputs, tmp_path)


def test_segnet_without_a_label_to_ignore(tmp_path: Path):
    inputs = bottoms(ignored=3)
    found = terms(inputs["x"], inputs["label"], [], WEIGHTS)
    want = np.array(sum(loss for _, loss in found) / 30)
    check(segnet(BY_CLASS), inputs, {"y": want}, tmp_path)


def test_segnet_axis_is_softmaxs(tmp_path: Path):
    inputs = bottoms(ignored=2)
    moved = {"x": np.moveaxis(inputs["x"], 1, -1).copy(), "label": inputs["label"]}
    found = terms(inputs["x"], inputs["label"], [], WEIGHTS)
    text = segnet(BY_CLASS + " normalize: false", "softmax_param { axis: -1 }")
    check(text, moved, {"y": np.array(sum(loss for _, loss in found) / 30)}, tmp_path)


def test_segnet_where_no_label_counts_is_0_by_0(tmp_path: Path):
    inputs = bottoms()
    inputs["label"][:] = 255
    nan = np.array(np.nan)
    check(segnet(f"{BY_CLASS} ignore_label: 255"), inputs, {"y": nan}, tmp_path)
    check(segnet("ignore_label: 255"), inputs, {"y": np.array(0.0)}, tmp_path)  # BVLC's


def test_segnet_vanishing_probability_is_flt_min(tmp_path: Path):
    inputs = bottoms(ignored=0)
    inputs["x"][0, 1] += 500
    found = terms(inputs["x"], inputs["label"], [], WEIGHTS)
    want = np.array(sum(loss for _, loss in found) / 30)
    check(segnet(BY_CLASS), inputs, {"y": want}, tmp_path)


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        (segnet("weight_by_label_freqs: true"), UnsupportedError, "what the batch happens to hold"),
        (segnet(BY_CLASS + " class_weighting: 1"), ShapeError, "5 class weights for 4 classes"),
    ],
)
def test_segnet_refused(text, error, says, tmp_path: Path):
    with pytest.raises(error, match=says):
        restated.load(text, bottoms(), tmp_path)


def test_segnet_has_no_normalization(tmp_path: Path):
    text = segnet("class_weighting: 1 normalization: VALID")
    with pytest.raises(FormatError, match=r"no segnet layer.*no field named .normalization."):
        restated.load(text, bottoms(), tmp_path, phase="TRAIN")
    net = restated.load(text, bottoms(), tmp_path)
    assert any("normalization" in note for note in net.notes), "a loss is of training alone"


@pytest.mark.parametrize("ignored", [[], [255], [255, 2]])
@pytest.mark.parametrize("weighted", [False, True])
def test_deeplab_divides_by_the_weights(ignored, weighted, tmp_path: Path):
    inputs = bottoms(ignored=ignored[0] if ignored else 1)
    fields = " ".join(f"ignore_label: {value}" for value in ignored)
    if weighted:
        (tmp_path / "weights.txt").write_text("0.25\n4 0.5\n 1.75")
        fields += f' weight_source: "{tmp_path}/weights.txt"'
    weights = WEIGHTS if weighted else [1] * 4
    found = terms(inputs["x"], inputs["label"], ignored, weights)
    want = np.array(sum(loss for _, loss in found) / sum(weight for weight, _ in found))
    check(deeplab(fields), inputs, {"y": want}, tmp_path)
    check_gradients(deeplab(fields), inputs, tmp_path)


def test_deeplab_v1_layers_are_these(tmp_path: Path):
    inputs = bottoms()
    text = """
        input: "x" input_dim: 2 input_dim: 4 input_dim: 3 input_dim: 5
        input: "label" input_dim: 2 input_dim: 1 input_dim: 3 input_dim: 5
        layers { name: "L" type: SOFTMAX_LOSS bottom: "x" bottom: "label" top: "y"
                 softmaxloss_param { ignore_label: 255 } }
    """
    (tmp_path / "net.prototxt").write_text(text)
    net = converter.load(tmp_path / "net.prototxt", dtype=torch.float64)
    assert isinstance(net.layers["L"], caffe_layers.DeepLabSoftmaxWithLoss)
    found = terms(inputs["x"], inputs["label"], [255], [1] * 4)
    got = net({name: torch.tensor(array) for name, array in inputs.items()})["y"]
    assert_close(got.detach(), np.array(sum(loss for _, loss in found) / len(found)), "y")


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "cannot be read"), ("1 2 x 4", "could not convert"), ("1 -2 3 4", "wants none below")],
)
def test_deeplab_weights_that_cannot_be_read(content, says, tmp_path: Path):
    if content is not None:
        (tmp_path / "weights.txt").write_text(content)
    with pytest.raises(FormatError, match=says):
        restated.load(deeplab(f'weight_source: "{tmp_path}/weights.txt"'), bottoms(), tmp_path)


@pytest.mark.parametrize("kind", ["SegNetSoftmaxWithLoss", "DeepLabSoftmaxWithLoss"])
def test_label_that_is_no_class_is_refused(kind):
    inputs = bottoms()
    loss = getattr(caffe_layers, kind)()
    with pytest.raises(ShapeError, match="the labels go from 0 to 255, wants 0 to 3"):
        loss(torch.tensor(inputs["x"]), torch.tensor(inputs["label"]))
    with pytest.raises(ShapeError, match="wants 30"):
        loss.shapes((2, 4, 3, 5), (2, 1, 3, 4))
