"""Proposal in C++ and in Python, against plain loops."""

from __future__ import annotations

from math import exp, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

import converter
from caffe_layers.data.param_str import read_param_str
from caffe_layers.forks.rcnn.proposal import MultipleProposal
from caffe_layers.forks.rcnn.proposal_layer import ProposalLayer
from prototxt import CaffeError, FormatError, ShapeError, UnsupportedError
from tests.support.opsets import OPSETS
from tests.support.restated import compare, load

Box = list[float]


def half_even(x: float) -> float:
    below = int(x)
    return below + (x - below > 0.5 or (x - below == 0.5 and below % 2))


def python_anchors(scales: list[float], ratios: list[float], base: int) -> list[Box]:
    anchors = []
    for ratio in ratios:
        w = half_even(sqrt(base * base / ratio))
        h = half_even(w * ratio)
        for scale in scales:
            c = 0.5 * (base - 1)
            half_w, half_h = 0.5 * (w * scale - 1), 0.5 * (h * scale - 1)
            anchors.append([c - half_w, c - half_h, c + half_w, c + half_h])
    return anchors


def cpp_anchors(scales: list[float], ratios: list[float], base: int) -> list[Box]:
    anchors = []
    for ratio in ratios:
        for scale in scales:
            half_w = 0.5 * int(scale / sqrt(ratio) - 1 + 0.5)
            half_h = 0.5 * int(scale * sqrt(ratio) - 1 + 0.5)
            c = 0.5 * (base - 1)
            anchors.append([c - half_w, c - half_h, c + half_w, c + half_h])
    return anchors


def iou(a: Box, b: Box) -> float:
    w = min(a[2], b[2]) - max(a[0], b[0]) + 1
    h = min(a[3], b[3]) - max(a[1], b[1]) + 1
    both = max(w, 0) * max(h, 0)
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    return both / (sum(areas) - both)


def propose(
    scores: np.ndarray,
    shifts: np.ndarray,
    info: np.ndarray,
    anchors: list[Box],
    stride: int,
    *,
    before: int,
    after: int,
    threshold: float = 0.7,
    least: float = 16,
    drops: bool,
) -> tuple[np.ndarray, np.ndarray]:
    height, width, *scale = info[0]
    rows, tops = [], []
    for n in range(len(scores)):
        found: list[tuple[float, Box]] = []
        for h in range(scores.shape[2]):
            for w in range(scores.shape[3]):
                for a, (x1, y1, x2, y2) in enumerate(anchors):
                    dx, dy, dw, dh = shifts[n, 4 * a : 4 * a + 4, h, w]
                    aw, ah = x2 - x1 + 1, y2 - y1 + 1
                    cx = dx * aw + x1 + w * stride + 0.5 * aw
                    cy = dy * ah + y1 + h * stride + 0.5 * ah
                    bw, bh = exp(dw) * aw, exp(dh) * ah
                    box = [
                        max(min(cx - 0.5 * bw, width - 1), 0),
                        max(min(cy - 0.5 * bh, height - 1), 0),
                        max(min(cx + 0.5 * bw, width - 1), 0),
                        max(min(cy + 0.5 * bh, height - 1), 0),
                    ]
                    small = (
                        box[2] - box[0] + 1 < least * scale[-1]
                        or box[3] - box[1] + 1 < least * scale[0]
                    )
                    score = scores[n, len(anchors) + a, h, w]
                    if not (small and drops):
                        found.append((0.0 if small else score, box))
        found.sort(key=lambda pair: -pair[0])
        kept: list[tuple[float, Box]] = []
        for score, box in found[:before]:
            if len(kept) < after and all(iou(box, other) <= threshold for _, other in kept):
                kept.append((score, box))
        rows += [[n, *box] for _, box in kept]
        tops += [score for score, _ in kept]
    return np.array(rows).reshape(-1, 5), np.array(tops)


def inputs(
    anchors: int, size: tuple[int, int], info: list[float], images: int = 1, seed: int = 1701
) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "p": rng.uniform(size=(images, 2 * anchors, *size)),
        "d": rng.normal(size=(images, 4 * anchors, *size)) * 0.4,
        "info": np.array([info]),
    }


BOTTOMS = 'bottom: "p" bottom: "d" bottom: "info" top: "rois"'
SCORES = ' top: "scores"'


def python(param: str = "'feat_stride': 16", tops: str = "") -> str:
    return (
        f'layer {{ name: "L" type: "Python" {BOTTOMS}{tops} python_param {{ '
        f'module: "rpn.proposal_layer" layer: "ProposalLayer" param_str: "{param}" }} }}'
    )


def cpp(param: str, tops: str = "") -> str:
    return f'layer {{ name: "L" type: "Proposal" {BOTTOMS}{tops} proposal_param {{ {param} }} }}'


def check(
    layer: str,
    arrays: dict[str, np.ndarray],
    wants: dict[str, np.ndarray],
    folder: Path,
    *,
    wants_one: bool = False,
) -> None:
    """Compare in float64, and ONNX in float32, which may round a coordinate otherwise."""
    net = load(layer, arrays, folder)
    got = net({name: torch.from_numpy(array) for name, array in arrays.items()})
    for name, want in wants.items():
        assert got[name].shape == want.shape, (got[name].shape, want.shape)
        assert np.abs(got[name].numpy() - want).max(initial=0) <= 1e-9 * np.abs(want).max(initial=0)
    single = load(layer, arrays, folder, dtype=torch.float32)
    for opset in OPSETS:
        path = folder / f"{opset}.onnx"
        # The Python layer and its ports take one image alone.
        dynamic = () if "Python" in layer or wants_one else ("batch",)
        converter.export_onnx(single, path, opset=opset, dynamic=dynamic)
        converter.check_onnx(path)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        compare(session, arrays, wants)


@pytest.mark.parametrize(
    ("param", "scales", "stride"),
    [
        ("'feat_stride': 16", [8, 16, 32], 16),
        ("{'feat_stride': 8, 'scales': [2, 4, 8, 16]}", [2, 4, 8, 16], 8),
        (r"'feat_stride': 4 \n'scales': !!python/tuple [1, 3]", [1, 3], 4),
    ],
)
def test_python_layer(param: str, scales: list[float], stride: int, tmp_path: Path) -> None:
    anchors = python_anchors(scales, [0.5, 1, 2], 16)
    arrays = inputs(len(anchors), (7, 9), [100, 140, 1.25])
    rois, scores = propose(*arrays.values(), anchors, stride, before=6000, after=300, drops=True)
    assert 3 < len(rois) < 300
    wants = {"rois": rois, "scores": scores[:, None]}
    check(python(param, SCORES), arrays, wants, tmp_path)


def test_published_anchors() -> None:
    """The nine boxes that py-faster-rcnn prints."""
    assert python_anchors([8, 16, 32], [0.5, 1, 2], 16)[::4] == [
        [-84, -40, 99, 55],
        [-120, -120, 135, 135],
        [-168, -344, 183, 359],
    ]


def test_base_size_and_ratios(tmp_path: Path) -> None:
    anchors = python_anchors([2, 5], [0.4, 3], 10)
    arrays = inputs(4, (4, 5), [80, 90, 0.7])
    rois, _ = propose(*arrays.values(), anchors, 12, before=6000, after=300, drops=True)
    param = "{'feat_stride': 12, 'scales': [2, 5], 'ratios': (0.4, 3), 'base_size': 10}"
    check(python(param), arrays, {"rois": rois}, tmp_path)


def test_other_anchors_are_asked_for(tmp_path: Path) -> None:
    """Curve-Text-Detector's code beside the file makes 12; its message's advice is taken."""
    arrays = inputs(12, (2, 3), [40, 50, 1])
    with pytest.raises(ShapeError, match="24 channels, wants 18") as caught:
        load(python(), arrays, tmp_path)
    advice = str(caught.value).split('such as "')[1].split('"')[0]
    net = load(python(advice), arrays, tmp_path)
    want = python_anchors([4, 8, 16, 22], [0.25, 0.5, 2], 16)
    assert net.layers["L"].anchors.tolist() == want


def test_many_boxes_are_cut(tmp_path: Path) -> None:
    """More than 300 survive: the first 300 are kept; training keeps more."""
    anchors = python_anchors([1, 2, 3], [0.5, 1, 2], 16)
    arrays = inputs(9, (18, 22), [288, 352, 1.0])
    param = "{'feat_stride': 16, 'scales': [1, 2, 3]}"
    rois, scores = propose(*arrays.values(), anchors, 16, before=6000, after=300, drops=True)
    assert len(rois) == 300
    check(python(param, SCORES), arrays, {"rois": rois, "scores": scores[:, None]}, tmp_path)
    rois, _ = propose(*arrays.values(), anchors, 16, before=12000, after=2000, drops=True)
    net = load(python(param), arrays, tmp_path, phase="TRAIN")
    got = net({name: torch.from_numpy(array) for name, array in arrays.items()})["rois"]
    assert got.shape == rois.shape
    assert len(got) > 300


def test_only_the_best_6000_are_looked_at() -> None:
    anchors = python_anchors([8], [1], 16)
    layer = ProposalLayer(feat_stride=1, scales=[8], ratios=[1]).eval()
    assert layer.kept() == (6000, 300)
    assert layer.train().kept() == (12000, 2000)
    assert np.abs(layer.anchors - np.array(anchors)).max() == 0


def test_no_box_is_large_enough(tmp_path: Path) -> None:
    arrays = inputs(9, (3, 4), [30, 30, 4.0])
    check(python(tops=SCORES), arrays, {"rois": np.zeros((0, 5))}, tmp_path)


def test_equal_scores_keep_their_order(tmp_path: Path) -> None:
    anchors = python_anchors([8, 16, 32], [0.5, 1, 2], 16)
    arrays = inputs(9, (5, 6), [200, 200, 1.0])
    arrays["p"] = np.round(arrays["p"] * 4) / 4
    rois, _ = propose(*arrays.values(), anchors, 16, before=6000, after=300, drops=True)
    check(python(), arrays, {"rois": rois}, tmp_path)


def test_one_cell(tmp_path: Path) -> None:
    anchors = python_anchors([8, 16, 32], [0.5, 1, 2], 16)
    arrays = inputs(9, (1, 1), [50, 60, 1.0])
    rois, _ = propose(*arrays.values(), anchors, 16, before=6000, after=300, drops=True)
    check(python(), arrays, {"rois": rois}, tmp_path)


def test_free_height_and_width_in_onnx(tmp_path: Path) -> None:
    net = load(python(), inputs(9, (5, 6), [90, 90, 1.0]), tmp_path, dtype=torch.float32)
    converter.export_onnx(net, tmp_path / "net.onnx", dynamic=("height", "width"))
    anchors = python_anchors([8, 16, 32], [0.5, 1, 2], 16)
    arrays = inputs(9, (7, 4), [110, 70, 1.0], seed=3)
    rois, _ = propose(*arrays.values(), anchors, 16, before=6000, after=300, drops=True)
    session = onnxruntime.InferenceSession(
        tmp_path / "net.onnx", providers=["CPUExecutionProvider"]
    )
    compare(session, arrays, {"rois": rois})


@pytest.mark.parametrize("images", [1, 2])
def test_cpp_layer(images: int, tmp_path: Path) -> None:
    ratios, scales = [0.5, 1, 2.5], [24, 50]
    anchors = cpp_anchors(scales, ratios, 12)
    arrays = inputs(6, (6, 5), [70, 90, 1.5, 0.8], images)
    param = (
        "feat_stride: 12 base_size: 12 min_size: 20 ratio: 0.5 ratio: 1 ratio: 2.5 scale: 24 "
        "scale: 50 pre_nms_topn: 90 post_nms_topn: 25 nms_thresh: 0.5"
    )
    rois, scores = propose(
        *arrays.values(), anchors, 12, before=90, after=25, threshold=0.5, least=20, drops=False
    )
    assert set(rois[:, 0]) == set(range(images))
    check(cpp(param, SCORES), arrays, {"rois": rois, "scores": scores}, tmp_path)


def test_small_boxes_stay_with_score_0(tmp_path: Path) -> None:
    anchors = cpp_anchors([8, 40], [1], 16)
    arrays = inputs(2, (4, 4), [64, 64, 1.0, 1.0])
    rois, scores = propose(*arrays.values(), anchors, 16, before=6000, after=300, drops=False)
    assert 0 < (scores == 0).sum() < len(scores)
    wants = {"rois": rois, "scores": scores}
    check(cpp("ratio: 1 scale: 8 scale: 40", SCORES), arrays, wants, tmp_path)


def test_shapes_say_how_many_at_most(tmp_path: Path) -> None:
    arrays = inputs(9, (7, 9), [100, 140, 1.25])
    assert load(python(tops=SCORES), arrays, tmp_path).shapes()["rois"] == (300, 5)
    assert load(python(tops=SCORES), arrays, tmp_path).shapes()["scores"] == (300, 1)
    arrays = inputs(9, (2, 3), [100, 140, 1.25])
    assert load(python(), arrays, tmp_path).shapes()["rois"] == (54, 5)


REFUSED: dict[str, tuple[str, type[CaffeError], dict[str, Any]]] = {
    python("'scales': [8]"): ("param_str has no feat_stride", ShapeError, {}),
    python("'feat_stride': 16, 'scales': [8]"): ("value .* is no number", FormatError, {}),
    python("{'feat_stride': 16, 'top_n': 3}"): ("param_str knows no 'top_n'", UnsupportedError, {}),
    python("feat_stride"): ("is no new `key: value`", FormatError, {}),
    python("{'feat_stride': 16, 'scales': [8]}"): (
        r"scores \(1, 18, 7, 9\) have 18 channels, wants 6: 2 for each of 3 anchors",
        ShapeError,
        {},
    ),
    python(): ("are of several images, wants one", ShapeError, {"images": 2}),
    cpp("ratio: 1"): ("no ratio or no scale", ShapeError, {}),
    cpp("ratio: 1 scale: 0"): ("want to be above 0", ShapeError, {}),
    cpp("ratio: 1 scale: 8 post_nms_topn: 0"): ("want 1 or more, got 0", ShapeError, {}),
    cpp("ratio: 1 scale: 8"): ("have 18 channels, wants 2", ShapeError, {}),
}


@pytest.mark.parametrize("layer", REFUSED)
def test_refused(layer: str, tmp_path: Path) -> None:
    message, kind, options = REFUSED[layer]
    with pytest.raises(kind, match=message):
        load(layer, inputs(9, (7, 9), [100, 140, 1.25], **options), tmp_path)


def test_cpp_wants_two_scales(tmp_path: Path) -> None:
    arrays = inputs(1, (3, 3), [30, 30, 1])
    with pytest.raises(ShapeError, match=r"numbers are \(1, 3\), wants 1 x 4"):
        load(cpp("ratio: 1 scale: 8"), arrays, tmp_path, dialect="happynear")


@pytest.mark.parametrize("info", [[70, 90, 1.5], [70, 90, 1.5, 0.8, 1.5, 0.8]])
def test_cpp_ports_of_the_python_layer(info: list[float], tmp_path: Path) -> None:
    """3 numbers of the image, or PVANet's 6: `scale` multiplies the base box."""
    anchors = python_anchors([1.5, 3], [0.4, 1, 2.5], 12)
    arrays = inputs(6, (6, 5), info)
    param = (
        "feat_stride: 12 base_size: 12 min_size: 20 ratio: 0.4 ratio: 1 ratio: 2.5 scale: 1.5 "
        "scale: 3 pre_nms_topn: 90 post_nms_topn: 25 nms_thresh: 0.5"
    )
    arrays["info"] = arrays["info"][:, :4]
    rois, scores = propose(
        *arrays.values(), anchors, 12, before=90, after=25, threshold=0.5, least=20, drops=False
    )
    arrays["info"] = np.array([info])
    wants = {"rois": rois, "scores": scores}
    check(cpp(param, SCORES), arrays, wants, tmp_path, wants_one=True)
    assert (scores == 0).any()


def test_cpp_ports_round_halves_up() -> None:
    """A base box of 13 by 6.5 is as high as 7 there, and as 6 in Python."""
    net = MultipleProposal(ratio=[0.5], scale=[1], base_size=9)
    x1, y1, x2, y2 = net.anchors[0]
    assert (x2 - x1 + 1, y2 - y1 + 1) == (13, 7)


def test_a_published_cpp_port(tmp_path: Path) -> None:
    """The nine anchors of py-faster-rcnn, from a definition's fields."""
    layer = load(
        cpp("ratio: 0.5 ratio: 1 ratio: 2 scale: 8 scale: 16 scale: 32"),
        inputs(9, (6, 6), [96, 96, 1]),
        tmp_path,
    ).layers["L"]
    assert layer.anchors[::4].tolist() == python_anchors([8, 16, 32], [0.5, 1, 2], 16)[::4]


@pytest.mark.parametrize("width", [4, 5])
def test_what_scale_means_is_asked(width: int, tmp_path: Path) -> None:
    arrays = inputs(1, (3, 3), [30, 30, *[1.0] * (width - 2)])
    layer = cpp("ratio: 1 scale: 8")
    with pytest.raises(UnsupportedError, match="--dialect happynear or --dialect minicaffe"):
        load(layer, arrays, tmp_path)
    sides = {}
    for dialect in ("happynear", "minicaffe"):
        x1, _, x2, _ = load(layer, arrays, tmp_path, dialect=dialect).layers["L"].anchors[0]
        sides[dialect] = x2 - x1 + 1
    assert sides == {"happynear": 8, "minicaffe": 128}


def test_cpp_ports_take_one_image(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="are of several images, wants one"):
        load(cpp("ratio: 1 scale: 8"), inputs(1, (3, 3), [30, 30, 1], images=2), tmp_path)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("'a': 16", {"a": 16}),
        ("a: 16\nb: some/path.txt", {"a": 16, "b": "some/path.txt"}),
        ("{'a': [1, 2.5], 'b': 'x'}", {"a": [1, 2.5], "b": "x"}),
        ("{a: (1, 2), b: true}", {"a": (1, 2), "b": True}),
        ("'a':\n - 8\n - 16", {"a": [8, 16]}),
        ("", {}),
    ],
)
def test_param_str(text: str, want: dict[str, Any]) -> None:
    assert read_param_str(text, ("a", "b")) == want


@pytest.mark.parametrize("text", ["a: 1\na: 2", "{'a': f(x)}", "a", "- 3", "a: [1"])
def test_bad_param_str(text: str) -> None:
    with pytest.raises(FormatError, match="param_str"):
        read_param_str(text, ("a",))
