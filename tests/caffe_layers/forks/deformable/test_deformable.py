"""DeformableConvolution and Conadd against restatements of the fork's loops."""

from __future__ import annotations

from functools import cache
from math import floor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import caffe_layers
from prototxt import CaffeError
from tests.support import restated

RNG = np.random.default_rng(1701)


def bilinear(plane: np.ndarray, y: float, x: float) -> float:
    height, width = plane.shape
    if not (0 <= y < height and 0 <= x < width):
        return 0.0
    top, left = floor(y), floor(x)
    bottom, right = top + 1, left + 1
    if top >= height - 1:
        bottom = top = height - 1
        y = top
    if left >= width - 1:
        right = left = width - 1
        x = left
    down, across = y - top, x - left
    return float(
        (1 - down) * (1 - across) * plane[top, left]
        + (1 - down) * across * plane[top, right]
        + down * (1 - across) * plane[bottom, left]
        + down * across * plane[bottom, right]
    )


def deformable(
    x: np.ndarray,
    offset: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    *,
    pad: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    group: int,
    parts: int,
) -> np.ndarray:
    n, c, _, _ = x.shape
    outputs, inputs, kh, kw = weight.shape
    rows, columns = offset.shape[2:]
    top = np.zeros((n, outputs, rows, columns))
    for i, o, v, u in np.ndindex(*top.shape):
        first = o // (outputs // group) * inputs
        total = bias[o]
        for m in range(inputs):
            channel = first + m
            part = channel // (c // parts)
            for a in range(kh):
                for b in range(kw):
                    tap = 2 * (part * kh * kw + a * kw + b)
                    y = v * stride[0] - pad[0] + a * dilation[0] + offset[i, tap, v, u]
                    z = u * stride[1] - pad[1] + b * dilation[1] + offset[i, tap + 1, v, u]
                    total += weight[o, m, a, b] * bilinear(x[i, channel], y, z)
        top[i, o, v, u] = total
    return top


@cache
def has_deform_conv() -> bool:
    """Tell whether ONNX Runtime runs the operator."""
    shapes = {"x": [1, 1, 2, 2], "w": [1, 1, 1, 1], "o": [1, 2, 2, 2], "y": [1, 1, 2, 2]}
    x, w, o, y = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    )
    node = onnx.helper.make_node("DeformConv", ["x", "w", "o"], ["y"])
    graph = onnx.helper.make_graph([node], "deform", [x, w, o], [y])
    opsets = [onnx.helper.make_opsetid("", 19)]
    ir = onnx.helper.find_min_ir_version_for(opsets)
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=ir)
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
        return False
    return True


CASES = [
    # channels, outputs, kernel, pad, stride, dilation, group, parts, size
    (4, 2, (3, 3), (2, 2), (1, 1), (2, 2), 1, 4, (5, 6)),
    (4, 4, (3, 2), (1, 2), (2, 1), (1, 2), 2, 2, (6, 5)),
    (2, 3, (2, 2), (0, 0), (1, 1), (1, 1), 1, 1, (4, 5)),  # no padding: not DeformConv
    (6, 3, (1, 1), (0, 1), (2, 3), (1, 1), 3, 2, (4, 4)),
]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("biased", [True, False])
def test_deformable_convolution(case: tuple[int, ...], biased: bool, tmp_path: Path) -> None:
    c, outputs, kernel, pad, stride, dilation, group, parts, size = case
    rows, columns = (
        (s + 2 * p - (d * (k - 1) + 1)) // t + 1
        for s, p, d, k, t in zip(size, pad, dilation, kernel, stride, strict=True)
    )
    x = RNG.standard_normal((2, c, *size))
    offset = 1.5 * RNG.standard_normal((2, 2 * parts * kernel[0] * kernel[1], rows, columns))
    offset[0, :, 0, 0] = 0  # on whole pixels
    offset[0, :, -1, -1] = 0.5  # between the last pixel and the end
    offset[1, :, 0, 0] = -0.5  # just outside
    weight = RNG.standard_normal((outputs, c // group, *kernel))
    bias = RNG.standard_normal(outputs)
    names = ("kernel_h", "kernel_w", "pad_h", "pad_w", "stride_h", "stride_w")
    fields = dict(zip(names, (*kernel, *pad, *stride), strict=True))
    said = " ".join(f"{name}: {value}" for name, value in fields.items())
    said += f" dilation: {dilation[0]} dilation: {dilation[1]} bias_term: {str(biased).lower()}"
    layer = (
        'layer { name: "L" type: "DeformableConvolution" bottom: "x" bottom: "o" top: "y" '
        f"deformable_convolution_param {{ num_output: {outputs} group: {group} {said} "
        f"deformable_group: {parts} }} }}"
    )
    sizes = {"pad": pad, "stride": stride, "dilation": dilation}
    want = deformable(x, offset, weight, bias * biased, **sizes, group=group, parts=parts)
    blobs = {"L": [weight, bias] if biased else [weight]}
    inputs = {"x": x, "o": offset}
    dynamic = ("batch", "height", "width")
    uses = {opset: opset >= 19 and min(pad) > 0 for opset in restated.OPSETS}
    runs = [opset for opset in uses if has_deform_conv() or not uses[opset]]
    restated.check(layer, inputs, {"y": want}, tmp_path, blobs=blobs, dynamic=dynamic, opsets=runs)
    for opset in runs:
        nodes = onnx.load(tmp_path / f"net{opset}.onnx").graph.node
        assert ("DeformConv" in {node.op_type for node in nodes}) == uses[opset]
    if len(runs) < len(uses):
        pytest.skip(f"onnxruntime {onnxruntime.__version__} has no DeformConv; the rest passed")


def test_gradients(tmp_path: Path) -> None:
    layer = (
        'layer { name: "L" type: "DeformableConvolution" bottom: "x" bottom: "o" top: "y" '
        "deformable_convolution_param { num_output: 2 kernel_size: 2 pad: 1 deformable_group: 2 "
        'weight_filler { type: "gaussian" } } }'
    )
    x, offset = RNG.standard_normal((1, 2, 3, 3)), RNG.uniform(0.1, 0.9, (1, 16, 4, 4))
    restated.check_gradients(layer, {"x": x, "o": offset}, tmp_path, wrt=("x", "o"))


@pytest.mark.parametrize(
    ("fields", "offset", "message"),
    [
        ("num_output: 2 kernel_size: 3", (1, 18, 3, 3), "cannot be split into 4 groups"),
        (
            "num_output: 2 kernel_size: 3 deformable_group: 1",
            (1, 18, 5, 5),
            r"wants \(1, 18, 3, 3\)",
        ),
        (
            "num_output: 2 kernel_size: 3 deformable_group: 2",
            (1, 18, 3, 3),
            r"wants \(1, 36, 3, 3\)",
        ),
        ("kernel_size: 3 deformable_group: 1", (1, 18, 3, 3), "num_output 0 wants 1 or more"),
        ("num_output: 2 kernel_size: 7 deformable_group: 1", (1, 98, 1, 1), "the top would be"),
    ],
)
def test_refused(fields: str, offset: tuple[int, ...], message: str, tmp_path: Path) -> None:
    layer = (
        'layer { name: "L" type: "DeformableConvolution" bottom: "x" bottom: "o" top: "y" '
        f"deformable_convolution_param {{ {fields} }} }}"
    )
    inputs = {"x": np.zeros((1, 2, 5, 5)), "o": np.zeros(offset)}
    with pytest.raises(CaffeError, match=message):
        restated.load(layer, inputs, tmp_path)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_conadd(count: int, tmp_path: Path) -> None:
    inputs = {name: RNG.standard_normal((2, 3)) for name in "abc"[:count]}
    bottoms = " ".join(f'bottom: "{name}"' for name in inputs)
    layer = f'layer {{ name: "L" type: "Conadd" {bottoms} top: "y" }}'
    want = np.zeros((2, 3))
    for array in inputs.values():
        want += array
    restated.check(layer, inputs, {"y": want}, tmp_path)
    restated.check_gradients(layer, inputs, tmp_path, wrt=tuple(inputs))


def test_conadd_of_two_shapes_is_refused(tmp_path: Path) -> None:
    layer = 'layer { name: "L" type: "Conadd" bottom: "a" bottom: "b" top: "y" }'
    with pytest.raises(CaffeError, match="differ"):
        restated.load(layer, {"a": np.zeros((2, 3)), "b": np.zeros((3, 2))}, tmp_path)


def test_multiply_adds_are_a_convolutions() -> None:
    layer = caffe_layers.DeformableConvolution(
        4, num_output=6, kernel_size=(3, 2), group=2, deformable_group=1
    )
    x, offset = (2, 4, 5, 5), (2, 12, 3, 4)
    tops = layer.shapes(x, offset)
    assert tops == [(2, 6, 3, 4)]
    assert layer.multiply_adds([x, offset], tops) == (2 * 6 * 3 * 4) * (2 * 3 * 2)
