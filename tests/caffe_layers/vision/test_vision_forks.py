"""What forks add to Convolution, Pooling and Dropout: against plain loops, in text and in bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

import caffe_layers
import converter
from prototxt import ShapeError, UnsupportedError
from prototxt.binary.caffemodel import parse_binary
from tests.support import restated
from tests.support.opsets import OPSETS
from tests.support.restated import check, check_gradients


def image(*shape: int) -> np.ndarray:
    return np.random.default_rng(1701).normal(size=shape)


def layer(kind: str, fields: str) -> str:
    param = {"Convolution": "convolution", "Pooling": "pooling", "Dropout": "dropout"}[kind]
    return (
        f'layer {{ name: "L" type: "{kind}" bottom: "x" top: "y" {param}_param {{ {fields} }} }}\n'
    )


def convolved(x, weight, bias, dilation, *, stride=1, pad=0) -> np.ndarray:
    kernel = weight.shape[2:]
    extents = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    sizes = [(s + 2 * pad - e) // stride + 1 for s, e in zip(x.shape[2:], extents, strict=True)]
    top = np.zeros((x.shape[0], weight.shape[0], *sizes))
    for n, o, h, w in np.ndindex(*top.shape):
        total = bias[o]
        for c, i, j in np.ndindex(*weight.shape[1:]):
            row = h * stride - pad + i * dilation[0]
            column = w * stride - pad + j * dilation[1]
            if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
                total += weight[o, c, i, j] * x[n, c, row, column]
        top[n, o, h, w] = total
    return top


RNG = np.random.default_rng(2)
BLOBS = [RNG.normal(size=(4, 2, 3, 3)), RNG.normal(size=4)]


@pytest.mark.parametrize(
    ("fields", "dilation"),
    [
        ("hole: 2", (2, 2)),
        ("hole: 1", (1, 1)),
        ("hole_h: 2 hole_w: 3", (2, 3)),
        ("dilation: 3", (3, 3)),
        ("dilation_h: 1 dilation_w: 2", (1, 2)),
    ],
)
def test_hole_is_the_dilation(fields, dilation, tmp_path: Path):
    x = image(2, 2, 9, 10)
    want = convolved(x, *BLOBS, dilation, stride=2, pad=2)
    text = layer("Convolution", f"num_output: 4 kernel_size: 3 stride: 2 pad: 2 {fields}")
    check(text, {"x": x}, {"y": want}, tmp_path, blobs={"L": BLOBS})


def test_hole_of_deeplabs_first_version_keeps_the_size(tmp_path: Path):
    """Its pads were chosen for the dilated kernel: without the holes the map would grow."""
    text = """
        input: "x" input_dim: 1 input_dim: 2 input_dim: 9 input_dim: 10
        layers { name: "L" type: CONVOLUTION bottom: "x" top: "y"
                 convolution_param { num_output: 4 kernel_size: 3 pad: 2 hole: 2 } }
    """
    (tmp_path / "net.prototxt").write_text(text)
    assert converter.load(tmp_path / "net.prototxt").shapes()["y"] == (1, 4, 9, 10)


@pytest.mark.parametrize("slope", [0, 0.25])
def test_intels_convolution_may_end_in_a_relu(slope, tmp_path: Path):
    x = image(2, 2, 6, 7)
    plain = convolved(x, *BLOBS, (1, 1))
    want = np.where(plain > 0, plain, slope * plain)
    text = layer("Convolution", f"num_output: 4 kernel_size: 3 relu: true negative_slope: {slope}")
    check(text, {"x": x}, {"y": want}, tmp_path, blobs={"L": BLOBS})
    check_gradients(text, {"x": x}, tmp_path, blobs={"L": BLOBS})
    off = text.replace("relu: true", "relu: false")
    check(off, {"x": x}, {"y": plain}, tmp_path, blobs={"L": BLOBS})
    other = text.replace("kernel_size: 3", "kernel_size: 2 axis: 2")
    rows = restated.load(other, {"x": image(2, 1, 2, 7, 6)[:, 0]}, tmp_path)  # axes not ONNX's
    given = torch.tensor(image(2, 2, 7, 6))
    rows.layers["L"].weight.data.copy_(torch.tensor(RNG.normal(size=rows.params["L"][0].shape)))
    session = exported(rows.float(), tmp_path / "rows.onnx", dynamic=())
    (got,) = session.run(None, {"x": given.float().numpy()})
    assert np.allclose(got, rows({"x": given.float()})["y"].detach(), atol=1e-5)


def test_what_intels_compiler_sums_into_a_convolution_is_refused(tmp_path: Path):
    text = layer("Convolution", "num_output: 4 kernel_size: 3 relu: true fusion_type: SUM_FUSION")
    with pytest.raises(UnsupportedError, match=r"convolution_param\.fusion_type: SUM_FUSION"):
        restated.load(text, {"x": image(1, 2, 5, 5)}, tmp_path)


def pooled(x, kernel, stride, pad, *, ceil: bool, include: bool) -> np.ndarray:
    sizes = []
    for size in x.shape[2:]:
        steps = size + 2 * pad - kernel
        places = (-(-steps // stride) if ceil else steps // stride) + 1
        if pad and (places - 1) * stride >= size + pad:
            places -= 1
        sizes.append(places)
    top = np.zeros((*x.shape[:2], *sizes))
    for n, c, h, w in np.ndindex(*top.shape):
        area, inside = 1, []
        for place, size in ((h, x.shape[2]), (w, x.shape[3])):
            start = place * stride - pad
            end = min(start + kernel, size + pad)
            cut = (max(start, 0), min(end, size))
            area *= end - start if include else cut[1] - cut[0]
            inside.append(slice(*cut))
        top[n, c, h, w] = x[n, c, inside[0], inside[1]].sum() / area
    return top


@pytest.mark.parametrize("dynamic", [("batch",), ("batch", "height", "width")])
@pytest.mark.parametrize(
    ("kernel", "stride", "pad"),
    [(3, 2, 1), (2, 2, 1), (3, 1, 1), (5, 3, 2), (2, 3, 1), (3, 2, 2), (3, 2, 0)],
)
def test_intels_mean_may_leave_the_padding_out(kernel, stride, pad, dynamic, tmp_path: Path):
    for shape in ((2, 2, 7, 8), (1, 1, 6, 5)):
        x = image(*shape)
        for include in (False, True):
            text = layer(
                "Pooling",
                f"pool: AVE kernel_size: {kernel} stride: {stride} pad: {pad} "
                f"avg_include_pad: {str(include).lower()}",
            )
            want = pooled(x, kernel, stride, pad, ceil=True, include=include)
            check(text, {"x": x}, {"y": want}, tmp_path, dynamic=dynamic)
            check_gradients(text, {"x": x}, tmp_path)


@pytest.mark.parametrize(("said", "ceil"), [("true", True), ("false", False)])
@pytest.mark.parametrize("pool", ["MAX", "AVE"])
def test_ceil_mode_is_round_mode(said, ceil, pool, tmp_path: Path):
    x = image(1, 2, 6, 7)
    fields = f"pool: {pool} kernel_size: 3 stride: 2 pad: 1"
    ours = restated.load(layer("Pooling", f"{fields} ceil_mode: {said}"), {"x": x}, tmp_path)
    mode = "CEIL" if ceil else "FLOOR"
    bvlc = restated.load(layer("Pooling", f"{fields} round_mode: {mode}"), {"x": x}, tmp_path)
    assert torch.equal(ours({"x": torch.tensor(x)})["y"], bvlc({"x": torch.tensor(x)})["y"])
    assert ours.shapes()["y"][2] == (4 if ceil else 3)


def test_ceil_mode_and_round_mode_must_agree(tmp_path: Path):
    text = layer("Pooling", "kernel_size: 2 ceil_mode: false round_mode: CEIL")
    with pytest.raises(ShapeError, match="ceil_mode says FLOOR and round_mode CEIL"):
        restated.load(text, {"x": image(1, 1, 4, 4)}, tmp_path)


def exported(net: Any, path: Path, **options: Any) -> onnxruntime.InferenceSession:
    converter.export_onnx(net, path, **options)
    converter.check_onnx(path)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("opset", OPSETS)
def test_bayesian_dropout_draws_in_tests_too(opset, tmp_path: Path):
    x = np.ones((4, 5000), np.float32)
    text = layer("Dropout", "dropout_ratio: 0.25 sample_weights_test: true")
    net = restated.load(text, {"x": x}, tmp_path, dtype=torch.float32)
    session = exported(net, tmp_path / "net.onnx", opset=opset)
    torch.manual_seed(1701)
    torch_run = net({"x": torch.from_numpy(x)})["y"].numpy()
    for got in (torch_run, session.run(None, {"x": x})[0]):
        assert set(np.unique(got)) == {0, np.float32(1 / 0.75)}
        assert abs((got == 0).mean() - 0.25) < 0.02
    assert not np.array_equal(*(session.run(None, {"x": x})[0] for _ in range(2)))


def test_what_draws_at_random_is_not_compared(tmp_path: Path):
    text = layer("Dropout", "dropout_ratio: 0.25 sample_weights_test: true")
    report = converter.verify(restated.load(text, {"x": image(2, 3)}, tmp_path))
    assert report.comparisons[-1].skipped.startswith("layer 'L' (Dropout) draws at random")


def test_dropout_without_scale_train_scales_in_tests(tmp_path: Path):
    x = image(2, 3)
    text = layer("Dropout", "dropout_ratio: 0.25 scale_train: false")
    check(text, {"x": x}, {"y": x * 0.75}, tmp_path)
    torch.manual_seed(1701)
    trained = caffe_layers.Dropout(dropout_ratio=0.25, scale_train=False).train()(torch.ones(999))
    assert trained.unique().tolist() == [0, 1]
    torch.manual_seed(1701)
    both = caffe_layers.Dropout(dropout_ratio=0.25, scale_train=False, sample_weights_test=True)
    assert both.eval()(torch.ones(999)).unique().tolist() == [0, 1]


def test_dropout_draws_only_where_it_is_told_to(tmp_path: Path):
    x = image(2, 3)
    text = layer("Dropout", "dropout_ratio: 0.25 sample_weights_test: false")
    check(text, {"x": x}, {"y": x}, tmp_path)


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def message(number: int, payload: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def number(at: int, value: int) -> bytes:
    return varint(at << 3) + varint(value)


def binary(kind: str, at: int, *fields: tuple[int, int]) -> memoryview:
    param = message(at, b"".join(number(*field) for field in fields))
    ends = message(3, b"x") + message(4, b"y")
    return memoryview(message(100, message(1, b"L") + message(2, kind.encode()) + ends + param))


def read(data: memoryview, dialect: str | None = None) -> Any:
    net = parse_binary(data, "net.caffemodel", dialect).net
    assert net is not None
    return net.layers[0]


CONVOLUTION = ((1, 4), (4, 3))


def test_dilations_under_bvlcs_numbers_are_not_dropped():
    """Field 16 is the axis or yjxiong's dilation; 17 alone, beyond a flag, is a hole."""
    said = "one dialect or of another.*axis: 2.*dilation: 2"
    with pytest.raises(UnsupportedError, match=said) as caught:
        read(binary("Convolution", 106, *CONVOLUTION, (16, 2)))
    assert "--dialect" in str(caught.value)


@pytest.mark.parametrize(
    ("dialect", "field", "dilation"),
    [
        ("tsn", (16, 2), (2, 2)),
        ("deeplab_v1", (17, 2), (2, 2)),
        (None, (17, 2), (2, 2)),
        ("bvlc", (17, 1), (1, 1)),
    ],
)
def test_a_named_fork_reads_its_own_dilation(dialect, field, dilation):
    found = read(binary("Convolution", 106, *CONVOLUTION, field), dialect)
    made = caffe_layers.build(found, [(1, 2, 9, 9)])
    assert made.window.dilation == dilation


POOLING = ((1, 1), (2, 3), (3, 2), (4, 1))


@pytest.mark.parametrize("value", [0, 1])
def test_intels_avg_include_pad_is_not_taken_for_round_mode(value):
    data = binary("Pooling", 121, *POOLING, (13, value))
    with pytest.raises(UnsupportedError, match=r"round_mode.*avg_include_pad"):
        read(data)
    intel = caffe_layers.build(read(data, "intel"), [(1, 2, 6, 6)])
    assert (intel.round_mode, intel.avg_include_pad) == ("CEIL", bool(value))
    bvlc = caffe_layers.build(read(data, "bvlc"), [(1, 2, 6, 6)])
    assert (bvlc.round_mode, bvlc.avg_include_pad) == ("FLOOR" if value else "CEIL", True)
    assert intel.shapes((1, 2, 6, 6)) == [(1, 2, 4, 4)]
    assert bvlc.shapes((1, 2, 6, 6)) == [(1, 2, 3, 3) if value else (1, 2, 4, 4)]
