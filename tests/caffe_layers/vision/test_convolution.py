"""What the recorded cases of Convolution's family leave open: many axes, free sizes, counts."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import caffe_layers
import converter
from prototxt import ShapeError, UnsupportedError
from tests.support.recorded import assert_close


def caffe_convolution(x, weight, bias, stride, pad, dilation, group):
    """Convolve by Caffe's definition; x is N x C x any number of axes."""
    kernel = weight.shape[2:]
    sizes = tuple(
        int((size + 2 * p - (d * (k - 1) + 1)) / s) + 1
        for size, k, s, p, d in zip(x.shape[2:], kernel, stride, pad, dilation, strict=True)
    )
    outputs, channels = weight.shape[:2]
    top = np.zeros((x.shape[0], outputs, *sizes))
    for n, o, *place in np.ndindex(*top.shape):
        first = o // (outputs // group) * channels
        total = bias[o]
        for c, *tap in np.ndindex(*weight.shape[1:]):
            at = [
                i * s - p + t * d
                for i, s, p, t, d in zip(place, stride, pad, tap, dilation, strict=True)
            ]
            if all(0 <= a < size for a, size in zip(at, x.shape[2:], strict=True)):
                total += weight[(o, c, *tap)] * x[(n, first + c, *at)]
        top[(n, o, *place)] = total
    return top


def values(*shape: int) -> np.ndarray:
    return np.random.default_rng([1701, *shape]).standard_normal(shape)


def load(tmp_path: Path, shape, param: str, kind: str = "Convolution", dtype=torch.float64):
    dims = " ".join(f"dim: {size}" for size in shape)
    path = tmp_path / "net.prototxt"
    path.write_text(
        f"""
        layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ {dims} }} }} }}
        layer {{ name: "L" type: "{kind}" bottom: "x" top: "y" convolution_param {{
            weight_filler {{ type: "gaussian" }} bias_filler {{ type: "gaussian" }} {param} }} }}
        """
    )
    return converter.load(path, dtype=dtype)


def run_onnx(net, path: Path, x: np.ndarray, dynamic: tuple[str, ...] = ()) -> np.ndarray:
    converter.export_onnx(net, path, dynamic=dynamic)
    converter.check_onnx(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x.astype(np.float32)})[0]


FOUR_AXES = "num_output: 4 kernel_size: [2, 1, 2, 3] stride: [2, 1, 2, 1] pad: [0, 0, 1, 1] "


@pytest.mark.parametrize("shape", [(2, 4, 4, 2, 4, 3), (1, 4, 1, 1, 3, 5)])
def test_four_spatial_axes(shape, tmp_path):
    net = load(tmp_path, shape, FOUR_AXES + "dilation: [1, 1, 1, 2] group: 2")
    weight, bias = (blob.detach().numpy() for blob in net.params["L"])
    x = values(*shape)
    window = ((2, 1, 2, 1), (0, 0, 1, 1), (1, 1, 1, 2))
    want = caffe_convolution(x, weight, bias, *window, 2)
    assert_close(net(torch.from_numpy(x))["y"].detach(), want, "y")
    assert_close(run_onnx(net.float(), tmp_path / "net.onnx", x), want, "onnx", 1e-5)
    layer, bottom = net.layers["L"].double(), torch.from_numpy(x).requires_grad_()
    assert torch.autograd.gradcheck(layer, bottom, fast_mode=True)


def test_free_height_and_width(tmp_path):
    net = load(
        tmp_path, (1, 2, 8, 9), "num_output: 3 kernel_size: 3 stride: 2", dtype=torch.float32
    )
    net.double()
    for size in ((8, 9), (13, 6)):
        x = values(2, 2, *size)
        want = net(torch.from_numpy(x))["y"].detach()
        got = run_onnx(net.float(), tmp_path / "net.onnx", x, dynamic=("batch", "height", "width"))
        assert_close(got, want, f"{size}", 1e-5)
        net.double()


def test_a_kernel_that_sees_beyond_the_end_needs_a_fixed_size(tmp_path):
    net = load(tmp_path, (1, 2, 3, 9), "num_output: 3 kernel_size: 4 stride: 2")
    weight, bias = (blob.detach().numpy() for blob in net.params["L"])
    x = values(2, 2, 3, 9)
    want = caffe_convolution(x, weight, bias, (2, 2), (0, 0), (1, 1), 1)
    assert_close(net(torch.from_numpy(x))["y"].detach(), want, "y")
    assert_close(run_onnx(net.float(), tmp_path / "net.onnx", x, ("batch",)), want, "onnx", 1e-5)
    with pytest.raises(UnsupportedError, match="larger than the bottom"):
        run_onnx(net, tmp_path / "net.onnx", x, ("height", "width"))


@pytest.mark.parametrize("kind", ["Convolution", "Deconvolution"])
@pytest.mark.parametrize("group", [1, 2])
def test_no_spatial_axis_is_an_inner_product(kind, group, tmp_path):
    net = load(tmp_path, (5, 4), f"num_output: 6 group: {group}", kind)
    weight, bias = (blob.detach().numpy() for blob in net.params["L"])
    x = values(5, 4)
    parts = np.split(x, group, 1)
    split = np.split(weight, group, 0)
    want = np.hstack(
        [
            part @ (rows.T if kind == "Convolution" else rows)
            for part, rows in zip(parts, split, strict=True)
        ]
    )
    assert_close(net(torch.from_numpy(x))["y"].detach(), want + bias, "y")
    got = run_onnx(net.float(), tmp_path / "net.onnx", x, ("batch",))
    assert_close(got, want + bias, "onnx", 1e-5)


@pytest.mark.parametrize("axis", [0, 2, 3])
def test_an_axis_that_is_not_the_second_keeps_the_batch_free(axis, tmp_path):
    param = f"num_output: 3 axis: {axis} " + ("kernel_size: 2" if axis < 3 else "")
    net = load(tmp_path, (2, 3, 4, 5), param)
    larger = values(*((2, 3, 4, 5) if axis == 0 else (3, 3, 4, 5)))
    want = net(torch.from_numpy(larger))["y"].detach()
    dynamic = ("batch",) if axis else ()
    got = run_onnx(net.float(), tmp_path / "net.onnx", larger, dynamic)
    assert_close(got, want, "y", 1e-5)


def test_multiply_adds_count_every_product():
    layer = caffe_layers.Convolution(6, num_output=4, kernel_size=(3, 2), group=2, pad=1)
    bottom = (1, 6, 5, 7)
    (top,) = layer.shapes(bottom)
    assert layer.multiply_adds([bottom], [top]) == 4 * 5 * 8 * (3 * 3 * 2)
    assert layer.multiply_adds([bottom] * 2, [top] * 2) == 2 * 4 * 5 * 8 * (3 * 3 * 2)
    layer = caffe_layers.Deconvolution(6, num_output=4, kernel_size=2, stride=2, group=2)
    assert layer.multiply_adds([bottom], layer.shapes(bottom)) == 6 * 5 * 7 * (2 * 2 * 2)


@pytest.mark.parametrize("cls", [caffe_layers.Convolution, caffe_layers.Deconvolution])
def test_what_an_omitted_argument_means(cls):
    layer = cls(6, num_output=4, kernel_size=3)
    assert layer.window == ((3, 3), (1, 1), (0, 0), (1, 1))
    assert (layer.group, layer.axis, tuple(layer.bias.shape)) == (1, 1, (4,))
    assert not any(blob.any() for blob in layer.blobs)
    assert cls(6, num_output=4, kernel_size=3, bias_term=False).blob_names == ("weight",)


def test_im2col_is_made_of_a_convolutions_values():
    shape, kernel = (2, 3, 6, 7), (2, 3)
    layer = caffe_layers.Im2col(kernel_size=kernel, stride=2, pad=1, dilation=(2, 1))
    x = values(*shape)
    top = layer(torch.from_numpy(x))
    assert layer.shapes(shape) == [tuple(top.shape)]
    for row, (c, *tap) in enumerate(product(range(3), range(2), range(3))):
        weight = np.zeros((1, 3, *kernel))
        weight[(0, c, *tap)] = 1
        want = caffe_convolution(x, weight, [0], (2, 2), (1, 1), (2, 1), 1)
        assert_close(top[:, [row]], want, f"channel {row}")


def test_a_window_says_what_does_not_fit():
    with pytest.raises(ShapeError, match=r"pad \(1, 2, 3\) wants one number for each of \(3, 3\)"):
        caffe_layers.Convolution(2, num_output=1, kernel_size=3, pad=(1, 2, 3))
    with pytest.raises(ShapeError, match=r"stride \(0, 0\) wants 1 or more"):
        caffe_layers.Im2col(kernel_size=3, stride=0)
    with pytest.raises(UnsupportedError, match="4 spatial axes, wants at most 3"):
        caffe_layers.Deconvolution(2, num_output=1, kernel_size=(1, 1, 1, 1))
