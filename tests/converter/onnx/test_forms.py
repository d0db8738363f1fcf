"""The ONNX forms that layers choose so that every engine computes them, and those by target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest

import converter
from converter.onnx.graph import attribute
from tests.support.opsets import OPSETS

RNG = np.random.default_rng(1701)


def definition(layer: str, shapes: dict[str, tuple[int, ...]]) -> str:
    inputs = [
        f'layer {{ name: "{name}" type: "Input" top: "{name}" '
        f"input_param {{ shape {{ dim: {list(shape)} }} }} }}"
        for name, shape in shapes.items()
    ]
    bottoms = " ".join(f'bottom: "{name}"' for name in shapes)
    return "\n".join([*inputs, f'layer {{ name: "layer" {bottoms} top: "top" {layer} }}'])


class Form(NamedTuple):
    layer: str
    shapes: dict[str, tuple[int, ...]]
    has: set[str]
    lacks: set[str]
    options: Mapping[str, Any] = MappingProxyType({})
    least: int = 13
    """The oldest opset of the form."""
    most: int = 99
    """The newest."""
    feeds: Callable[[str, tuple[int, ...]], np.ndarray] = lambda name, shape: RNG.standard_normal(
        shape
    )


def ties(name: str, shape: tuple[int, ...]) -> np.ndarray:
    return RNG.integers(0, 3, shape).astype(float)


def far_out(name: str, shape: tuple[int, ...]) -> np.ndarray:
    return RNG.uniform(-200, 200, shape)


def sequence(name: str, shape: tuple[int, ...]) -> np.ndarray:
    return RNG.integers(0, 2, shape).astype(float) if name == "cont" else ties(name, shape)


def regions(name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name != "rois":
        return RNG.standard_normal(shape)
    corners = RNG.uniform(-3, 16, (shape[0], 2))
    ends = corners + RNG.uniform(-2, 20, corners.shape)
    return np.concatenate([RNG.integers(0, 2, (shape[0], 1)), corners, ends], 1)


FILL = 'weight_filler { type: "uniform" min: -1 max: 1 } bias_filler { type: "uniform" max: 1 }'
POINTS = f'type: "Convolution" convolution_param {{ num_output: 4 kernel_size: 1 pad: 1 {FILL}'
LSTM = f'type: "LSTM" recurrent_param {{ num_output: 3 {FILL} }}'
RNN = f'type: "RNN" recurrent_param {{ num_output: 3 {FILL} }}'
ROIS = 'type: "ROIPooling" roi_pooling_param { pooled_h: 3 pooled_w: 2 spatial_scale: 0.5 }'
MOVED = 'type: "Correlation" correlation_param { kernel_size: 1 max_displacement: 3 pad: 3 '
THREE = dict.fromkeys("abc", (2, 3, 4))
RECURRENT = {"x": (5, 2, 4), "cont": (5, 2)}
LONG = {"x": (33, 2, 4), "cont": (33, 2)}
POOLED = {"x": (2, 3, 7, 5), "rois": (6, 5)}
FIXED: dict[str, Any] = {"dynamic": ()}
IMAGES = {"a": (2, 3, 6, 8), "b": (2, 3, 6, 8)}
IMAGE = {"x": (2, 3, 6, 7)}
NCNN: dict[str, Any] = {"options": {"target": "ncnn"}, "most": 26}
ABOVE = 'type: "Threshold" threshold_param { threshold: 1 }'
WINDOWS = 'type: "Pooling" pooling_param { kernel_size: 3 stride: 2 pad: 1 }'
GLOBAL = 'type: "Pooling" pooling_param { global_pooling: true }'
MEANS = WINDOWS.replace("pad: 1", "pad: 1 pool: AVE round_mode: FLOOR")

FORMS = {
    "points with pad": Form(POINTS + "}", {"x": (2, 3, 5, 4)}, {"Pad", "Conv"}, set()),
    "points without pad": Form(
        POINTS.replace("pad: 1", "") + "}", {"x": (2, 3, 5, 4)}, {"Conv"}, {"Pad"}
    ),
    "points apart": Form(POINTS + "stride: 2 }", {"x": (2, 3, 5, 4)}, {"Conv"}, {"Pad"}),
    "cube": Form(
        'type: "Power" power_param { power: 3 scale: 0.5 shift: -1 }',
        {"x": (2, 5)},
        {"Mul"},
        {"Pow"},
    ),
    "seventh power": Form(
        'type: "Power" power_param { power: 7 }', {"x": (2, 5)}, {"Mul"}, {"Pow"}
    ),
    "inverse": Form(
        'type: "Power" power_param { power: -1 }', {"x": (2, 5)}, {"Reciprocal"}, {"Pow"}
    ),
    "root": Form(
        'type: "Power" power_param { power: 0.5 }', {"x": (2, 5)}, {"Pow"}, set(), feeds=ties
    ),
    "largest": Form('type: "Eltwise" eltwise_param { operation: MAX }', THREE, {"Max"}, set()),
    "sum": Form('type: "Eltwise" eltwise_param { coeff: [1, -2, 0.5] }', THREE, {"Add"}, {"Sum"}),
    "chosen rows": Form(
        'type: "Filter"',
        {"x": (4, 3), "rows": (4,)},
        {"NonZero", "Gather"},
        {"Compress"},
        feeds=ties,
    ),
    "lstm": Form(LSTM, RECURRENT, {"Split", "Tanh"}, {"Scan"}, FIXED, feeds=sequence),
    "rnn": Form(RNN, RECURRENT, {"Split", "Tanh"}, {"Scan"}, FIXED, feeds=sequence),
    "lstm of any length": Form(LSTM, RECURRENT, {"Scan"}, set(), feeds=sequence),
    "one step": Form(
        LSTM, {"x": (1, 2, 4), "cont": (1, 2)}, {"Tanh"}, {"Scan"}, FIXED, feeds=sequence
    ),
    "long lstm": Form(LSTM, LONG, {"Scan"}, set(), FIXED, feeds=sequence),
    "long lstm elsewhere": Form(
        LSTM, LONG, {"Split", "Tanh"}, {"Scan"}, FIXED | {"target": "openvino"}, feeds=sequence
    ),
    "tanh": Form('type: "TanH"', {"x": (2, 50)}, {"Tanh"}, {"Clip"}, feeds=far_out),
    "tanh in opencv": Form(
        'type: "TanH"', {"x": (2, 50)}, {"Tanh", "Clip"}, set(), {"target": "opencv"}, feeds=far_out
    ),
    "lstm in opencv": Form(
        LSTM, RECURRENT, {"Clip"}, {"Scan"}, FIXED | {"target": "opencv"}, feeds=sequence
    ),
    "copies": Form('type: "Tile" tile_param { tiles: 3 }', {"x": (2, 3)}, {"Tile"}, {"Concat"}),
    "copies in ncnn": Form(
        'type: "Tile" tile_param { tiles: 3 axis: -1 }', IMAGE, {"Concat"}, {"Tile"}, **NCNN
    ),
    "one copy": Form('type: "Tile" tile_param { tiles: 1 }', {"x": (2, 3)}, {"Identity"}, {"Tile"}),
    "above": Form(ABOVE, {"x": (3, 7)}, {"Greater"}, {"Sign"}, feeds=ties),
    "above in ncnn": Form(ABOVE, {"x": (3, 7)}, {"Sign"}, {"Greater"}, feeds=ties, **NCNN),
    "sum of one axis in ncnn": Form(
        'type: "Reduction" reduction_param { axis: -1 operation: ASUM coeff: 0.5 }',
        IMAGE,
        {"ReduceMean"},
        {"ReduceSum"},
        **NCNN,
    ),
    "sum of two axes in ncnn": Form(
        'type: "Reduction" reduction_param { axis: 2 }', IMAGE, {"ReduceSum"}, set(), **NCNN
    ),
    "largest of windows": Form(WINDOWS, IMAGE, {"MaxPool"}, {"Pad"}),
    "largest of windows in ncnn": Form(WINDOWS, IMAGE, {"MaxPool", "Pad"}, set(), **NCNN),
    "largest of any windows in ncnn": Form(
        WINDOWS,
        IMAGE,
        {"MaxPool", "Pad"},
        set(),
        {"target": "ncnn", "dynamic": ("height", "width")},
        most=26,
    ),
    "means of windows": Form(MEANS, IMAGE, {"AveragePool"}, {"Pad"}),
    "means of windows in ncnn": Form(MEANS, IMAGE, {"AveragePool", "Pad"}, set(), **NCNN),
    "largest of all": Form(GLOBAL, IMAGE, {"GlobalMaxPool"}, set()),
    "largest of all in onnx2torch": Form(
        GLOBAL, IMAGE, {"ReduceMax"}, {"GlobalMaxPool"}, {"target": "onnx2torch"}, most=21
    ),
    "means of windows in onnx2torch": Form(
        MEANS, IMAGE, {"AveragePool", "Pad"}, set(), {"target": "onnx2torch"}, most=21
    ),
    "nothing to crop": Form('type: "Crop" crop_param { axis: 2 }', IMAGES, {"Identity"}, {"Slice"}),
    "rows to crop": Form(
        'type: "Crop" crop_param { axis: 2 offset: [1, 0] }',
        {"a": (2, 3, 6, 8), "b": (2, 3, 5, 8)},
        {"Slice"},
        set(),
    ),
    "argmax": Form(
        'type: "ArgMax" argmax_param { axis: 1 }',
        {"x": (3, 7, 2)},
        {"ArgMax"},
        {"Slice"},
        feeds=ties,
    ),
    "argmax in mnn": Form(
        'type: "ArgMax" argmax_param { axis: 1 }',
        {"x": (3, 7, 2)},
        {"ArgMax", "Slice"},
        {"Shape"},
        {"target": "mnn"},
        feeds=ties,
    ),
    "argmax of rows in mnn": Form(
        'type: "ArgMax"', {"x": (3, 7, 2)}, {"Slice"}, {"Shape"}, {"target": "mnn"}, feeds=ties
    ),
    "several largest": Form(
        'type: "ArgMax" argmax_param { top_k: 4 out_max_val: true }',
        {"x": (3, 7, 2)},
        {"TopK"},
        {"Shape"},
        feeds=ties,
    ),
    "regions": Form(
        ROIS, POOLED, {"Gather", "Max"}, {"Scan", "MaxRoiPool"}, least=22, feeds=regions
    ),
    "regions elsewhere": Form(
        ROIS, POOLED, {"Gather", "Max"}, {"MaxRoiPool"}, {"target": "opencv"}, feeds=regions
    ),
    "regions of any map": Form(
        ROIS, POOLED, {"Scan"}, set(), {"dynamic": ("height", "width")}, least=22, feeds=regions
    ),
    "shifts": Form(MOVED + "}", IMAGES, {"MatMul"}, {"Scan"}),
    "shifts apart": Form(
        MOVED + "stride_2: 2 stride_1: 2 }", IMAGES, {"MatMul", "AveragePool"}, {"Scan"}
    ),
    "differences": Form(MOVED + "correlation_type: SUBTRACT }", IMAGES, {"Scan"}, {"MatMul"}),
    "shifts of any image": Form(
        MOVED + "}", IMAGES, {"Scan"}, {"MatMul"}, {"dynamic": ("height", "width")}
    ),
}


def operators(path: Path) -> set[str]:
    return {node.op_type for node in onnx.load(path).graph.node}


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("name", FORMS)
def test_a_form_is_chosen_and_computes_the_layer(name: str, opset: int, tmp_path: Path) -> None:
    form = FORMS[name]
    if not form.least <= opset <= form.most:
        return
    (tmp_path / "net.prototxt").write_text(definition(form.layer, form.shapes))
    net = converter.load(
        tmp_path / "net.prototxt", dialect="flownet2" if "Corr" in form.layer else None
    )
    path = tmp_path / "net.onnx"
    converter.export_onnx(net, path, opset=opset, **form.options)
    used = operators(path)
    assert form.has <= used
    assert not form.lacks & used
    inputs = {key: form.feeds(key, shape) for key, shape in form.shapes.items()}
    report = converter.verify(net, path, inputs=inputs, tolerance=1e-5)
    assert report.passed, report.text()


def test_a_pad_goes_before_the_convolution_alone(tmp_path: Path) -> None:
    form = FORMS["points with pad"]
    (tmp_path / "net.prototxt").write_text(definition(form.layer, form.shapes))
    converter.export_onnx(converter.load(tmp_path / "net.prototxt"), tmp_path / "net.onnx")
    pad, conv = onnx.load(tmp_path / "net.onnx").graph.node
    assert (pad.op_type, conv.op_type) == ("Pad", "Conv")
    assert not any(attribute(conv, "pads", []))


def test_no_operator_of_two_gets_a_third(tmp_path: Path) -> None:
    for name in ("largest", "sum"):
        form = FORMS[name]
        (tmp_path / "net.prototxt").write_text(definition(form.layer, form.shapes))
        converter.export_onnx(converter.load(tmp_path / "net.prototxt"), tmp_path / "net.onnx")
        nodes = onnx.load(tmp_path / "net.onnx").graph.node
        assert {len(node.input) for node in nodes} == {2}
