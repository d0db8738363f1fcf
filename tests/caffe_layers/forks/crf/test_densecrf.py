"""DenseCRF against DeepLab's loops."""

from __future__ import annotations

from math import log
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

import converter
from prototxt import CaffeError
from prototxt.errors import UnsupportedError
from tests.caffe_layers.forks.crf.lattice import Lattice, features
from tests.support.opsets import OPSETS
from tests.support.recorded import assert_close
from tests.support.restated import check, load

RNG = np.random.default_rng(1701)
IMAGE = RNG.uniform(-100, 100, size=(2, 3, 6, 7))
SCORES = RNG.normal(size=(2, 4, 6, 7)) * 9
WHOLE = np.full((2, 1, 1, 2), 9.0)
FIELDS = """pos_w: 3 pos_xy_std: 3 pos_w: 0.5 pos_xy_std: 1.3
  bi_w: 5 bi_xy_std: 50 bi_rgb_std: 10 bi_w: 2 bi_xy_std: 4 bi_rgb_std: 30 """


IN_ONNX: dict[str, Any] = {
    "dynamic": (),
    "opsets": [opset for opset in OPSETS if opset >= 16],  # which add up what goes to one place
}


def layer(fields: str, bottoms: str = "xsi") -> str:
    names = " ".join(f'bottom: "{name}"' for name in bottoms)
    return f'layer {{ name: "L" type: "DenseCRF" {names} top: "y" dense_crf_param {{ {fields} }} }}'


def exponential(x: float) -> float:
    """Return exp(x) of x below 0: a polynomial within ln 2, squared as often as x was halved."""
    if -x > 20:
        return 0.0
    x, squared = -x, 0
    while x > 0.69:
        x, squared = x / 2, squared + 1
    near = 1 - 0.9999999995 * x + 0.4999999206 * x**2 - 0.1666653019 * x**3
    near += 0.0416573475 * x**4 - 0.0083013598 * x**5 + 0.0013298820 * x**6 - 0.0001413161 * x**7
    for _ in range(squared):
        near *= near
    return near


def probabilities(energy: np.ndarray) -> np.ndarray:
    found = np.zeros(energy.shape)
    for p in range(energy.shape[1]):
        column = [exponential(value - max(energy[:, p])) for value in energy[:, p]]
        found[:, p] = np.array(column) / sum(column)
    return found


def inferred(scores: np.ndarray, image: np.ndarray | None, iterations: int) -> np.ndarray:
    classes, height, width = scores.shape
    energy = scores.reshape(classes, -1)
    fields = [(3, Lattice(features(height, width, 3)))]
    fields += [(0.5, Lattice(features(height, width, 1.3)))]
    if image is not None:
        fields += [(5, Lattice(features(height, width, 50, image, 10)))]
        fields += [(2, Lattice(features(height, width, 4, image, 30)))]
    found = probabilities(energy)
    for _ in range(iterations):
        found = probabilities(energy + sum(w * field.normalized(found) for w, field in fields))
    return found.reshape(scores.shape)


@pytest.mark.parametrize("iterations", [0, 1, 10])
def test_probabilities(iterations: int, tmp_path: Path) -> None:
    inputs = {"x": SCORES, "s": WHOLE, "i": IMAGE}
    want = [inferred(s, i, iterations) for s, i in zip(SCORES, IMAGE, strict=True)]
    said = "" if iterations == 10 else f"max_iter: {iterations}"
    few = IN_ONNX | {"opsets": IN_ONNX["opsets"][-1:]}  # with many passes one opset will do
    options = IN_ONNX if iterations == 1 else few
    check(layer(FIELDS + said), inputs, {"y": np.stack(want)}, tmp_path, **options)


def test_logarithms_where_an_image_is_smaller(tmp_path: Path) -> None:
    """The first field is 5 x 4, the second as large as the scores."""
    sizes = np.array([[5.0, 4.9, 0], [6, 8, 0]])
    want = np.zeros(SCORES.shape)
    for n, (height, width) in enumerate([(5, 4), (6, 7)]):
        part = (slice(None), slice(0, height), slice(0, width))
        found = inferred(SCORES[n][part], IMAGE[n][part], 3)
        want[n][part] = np.vectorize(lambda p: log(max(p, float(np.finfo(np.float32).tiny))))(found)
    assert want.min() < -80  # Caffe's exponential is 0 below -20
    inputs = {"x": SCORES, "s": sizes, "i": IMAGE}
    text = layer(FIELDS + "max_iter: 3 output_probability: false")
    check(text, inputs, {"y": want}, tmp_path, **IN_ONNX)


def test_without_an_image(tmp_path: Path) -> None:
    want = np.stack([inferred(scores, None, 2) for scores in SCORES])
    inputs = {"x": SCORES, "s": WHOLE}
    check(layer(FIELDS + "max_iter: 2", "xs"), inputs, {"y": want}, tmp_path, **IN_ONNX)


@pytest.mark.parametrize(
    ("fields", "shapes", "says"),
    [
        ("pos_w: 1", {}, "0 pos_xy_std for 1 weights"),
        ("bi_w: 1 bi_xy_std: 1", {}, "0 bi_rgb_std for 1 weights"),
        ("bi_w: 1 bi_xy_std: 0 bi_rgb_std: 1", {}, "wants more than 0"),
        ("", {}, "no bi_w"),
        (FIELDS, {"i": (2, 1, 6, 7)}, r"wants \(2, 3, 6, 7\)"),
        (FIELDS, {"s": (2, 1)}, "are not two for each of 2 images"),
        (FIELDS, {"x": (2, 4)}, "the scores .* have 2 axes"),
    ],
)
def test_refused(
    fields: str, shapes: dict[str, tuple[int, ...]], says: str, tmp_path: Path
) -> None:
    inputs = {"x": SCORES, "s": WHOLE, "i": IMAGE}
    inputs |= {name: np.zeros(shape) for name, shape in shapes.items()}
    with pytest.raises(CaffeError, match=says):
        load(layer(fields), inputs, tmp_path)


@pytest.mark.parametrize("size", [(0, 7), (9, 3), (-1, 9)])
def test_sizes_beyond_the_scores(size: tuple[int, int], tmp_path: Path) -> None:
    inputs = {"x": SCORES[:1], "s": np.array([size], float), "i": IMAGE[:1]}
    if size == (9, 3):  # shorter one way, larger the other: outside of the scores
        says = "an image is 9 x 3, and the scores are 6 x 7"
    else:
        says = f"an image is {size[0]} x {size[1]}"
    net = load(layer(FIELDS), inputs, tmp_path)
    with pytest.raises(CaffeError, match=says):
        net.blobs({name: torch.from_numpy(value) for name, value in inputs.items()})


def test_a_file_cuts_sizes_beyond_the_scores(tmp_path: Path) -> None:
    sizes = np.array([[9.0, 3.0]])
    inputs = {"x": SCORES[:1], "s": sizes, "i": IMAGE[:1]}
    text = layer(FIELDS + "max_iter: 1")
    net = load(text, inputs, tmp_path, dtype=torch.float32)
    converter.export_onnx(net, tmp_path / "net.onnx", dynamic=())
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    (got,) = session.run(None, {name: array.astype("f") for name, array in inputs.items()})
    want = np.zeros(SCORES[:1].shape)
    want[0, :, :, :3] = inferred(SCORES[0, :, :, :3], IMAGE[0, :, :, :3], 1)
    assert_close(got, want, "y", 1e-5)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, r"wants their number and size fixed\n.*fix: export with no dynamic axes"),
        ({"dynamic": (), "opset": 13}, r"wants opset 16, this is 13\n.*fix: --opset 16"),
    ],
)
def test_no_onnx_form(options: dict[str, Any], says: str, tmp_path: Path) -> None:
    net = load(layer(FIELDS), {"x": SCORES, "s": WHOLE, "i": IMAGE}, tmp_path)
    with pytest.raises(UnsupportedError, match=says):
        converter.export_onnx(net, tmp_path / "net.onnx", **options)
