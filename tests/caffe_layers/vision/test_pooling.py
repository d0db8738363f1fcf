"""Pooling of every window and size, against Caffe's loops restated."""

from __future__ import annotations

from itertools import product
from math import ceil, floor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import caffe_layers
import converter
from prototxt import ShapeError, UnsupportedError
from tests.support.recorded import assert_close

FLT_MAX = 3.4028234663852886e38
FLT_MIN = 1.1754943508222875e-38
SIZES = (4, 5, 6, 7, 8, 9, 11)
WINDOWS = [
    (kernel, stride, pad, mode)
    for kernel, stride, pad in product((1, 2, 3, 4), (1, 2, 3, 5), (0, 1, 2, 3))
    for mode in ("CEIL", "FLOOR")
    if pad < kernel
]


def test_a_kernel_that_does_not_fit_is_named():
    layer = caffe_layers.Pooling(kernel_size=(2, 4), stride=1)
    with pytest.raises(ShapeError) as caught:
        layer.shapes((1, 2, 5, 3))
    assert str(caught.value) == (
        "the top would be (1, 2, 4, 0): kernel (2, 4) does not fit (1, 2, 5, 3)"
    )


def caffe_windows(size: int, kernel: int, stride: int, pad: int, mode: str, *, padded: bool):
    """Return start and counted end of each window along one axis, as Caffe places them."""
    rounded = (ceil if mode == "CEIL" else floor)((size + 2 * pad - kernel) / stride)
    places = rounded + 1
    if padded and (places - 1) * stride >= size + pad:
        places -= 1
    starts = [place * stride - pad for place in range(places)]
    return [(start, min(start + kernel, size + pad)) for start in starts]


def caffe_pool(x, method, kernel, stride, pad, mode):
    """Return top and mask: kernel, stride and pad are pairs."""
    padded = any(pad)
    rows, columns = (
        caffe_windows(x.shape[axis + 2], kernel[axis], stride[axis], pad[axis], mode, padded=padded)
        for axis in (0, 1)
    )
    top = np.zeros((*x.shape[:2], len(rows), len(columns)))
    mask = np.full(top.shape, -1.0)
    for n, c, h, w in np.ndindex(*top.shape):
        (top_row, bottom_row), (left, right) = rows[h], columns[w]
        area = (bottom_row - top_row) * (right - left)
        best, total, squares = -FLT_MAX, 0.0, 0.0
        for row in range(max(top_row, 0), min(bottom_row, x.shape[2])):
            for column in range(max(left, 0), min(right, x.shape[3])):
                value = x[n, c, row, column]
                total += value
                squares += value * value
                if value > best:
                    best, mask[n, c, h, w] = value, row * x.shape[3] + column
        with np.errstate(invalid="ignore"):
            mean = np.float64(total) / np.float64(area) if area else np.float64(np.nan)
        top[n, c, h, w] = {"MAX": best, "AVE": mean, "STOCHASTIC": squares / (total + FLT_MIN)}[
            method
        ]
    return top, mask


def net_text(shape, method, kernel, stride, pad, mode, *, mask: bool) -> str:
    dims = " ".join(f"dim: {size}" for size in shape)
    margin = f"pad_h: {pad[0]} pad_w: {pad[1]}" if any(pad) else ""
    return f"""
        layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ {dims} }} }} }}
        layer {{
          name: "L" type: "Pooling" bottom: "x" top: "y" {'top: "mask"' if mask else ""}
          pooling_param {{
            pool: {method} kernel_h: {kernel[0]} kernel_w: {kernel[1]}
            stride_h: {stride[0]} stride_w: {stride[1]} {margin} round_mode: {mode}
          }}
        }}
    """


def load(tmp_path: Path, *window, mask: bool = False, dtype=torch.float64):
    path = tmp_path / "net.prototxt"
    path.write_text(net_text(*window, mask=mask))
    return converter.load(path, dtype=dtype)


def session(net, path: Path, dynamic: tuple[str, ...]):
    converter.export_onnx(net, path, dynamic=dynamic)
    converter.check_onnx(path)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def image(*shape: int, positive: bool = False) -> np.ndarray:
    values = np.random.default_rng(1701).integers(-20, 20, shape).astype(np.float64) / 4
    return np.abs(values) if positive else values


@pytest.mark.parametrize("method", ["MAX", "AVE", "STOCHASTIC"])
@pytest.mark.parametrize(("kernel", "stride", "pad", "mode"), WINDOWS)
def test_every_window_is_caffes(method, kernel, stride, pad, mode):
    if method == "STOCHASTIC" and pad:
        return
    layer = caffe_layers.Pooling(
        pool=method, kernel_size=kernel, stride=stride, pad=pad, round_mode=mode,
        mask=method == "MAX",
    ).eval()  # fmt: skip
    for height, width in zip(SIZES, reversed(SIZES), strict=True):
        x = image(2, 3, height, width, positive=method == "STOCHASTIC")
        top, mask = caffe_pool(x, method, (kernel,) * 2, (stride,) * 2, (pad,) * 2, mode)
        place = f"{height}x{width}"
        got = layer(torch.from_numpy(x))
        if method == "MAX":
            assert_close(got[1], mask, f"mask {place}")
            got = got[0]
        assert layer.shapes(x.shape)[0] == top.shape
        assert_close(got, top, place)


UNEQUAL = [((3, 2), (2, 3), (1, 0)), ((2, 4), (3, 1), (0, 3)), ((1, 3), (2, 2), (0, 2))]


@pytest.mark.parametrize("mode", ["CEIL", "FLOOR"])
@pytest.mark.parametrize("method", ["MAX", "AVE"])
@pytest.mark.parametrize(("kernel", "stride", "pad"), UNEQUAL)
def test_axes_have_windows_of_their_own(method, kernel, stride, pad, mode, tmp_path):
    x = image(2, 2, 8, 7)
    net = load(tmp_path, x.shape, method, kernel, stride, pad, mode)
    want, _ = caffe_pool(x, method, kernel, stride, pad, mode)
    assert_close(net(torch.from_numpy(x))["y"], want, "y")


@pytest.mark.parametrize("dynamic", [(), ("batch", "height", "width")])
@pytest.mark.parametrize("method", ["MAX", "AVE"])
@pytest.mark.parametrize(
    ("kernel", "stride", "pad", "mode"), [window for window in WINDOWS if sum(window[:3]) % 2]
)
def test_onnx_is_caffes(method, kernel, stride, pad, mode, dynamic, tmp_path):
    window = ((kernel,) * 2, (stride,) * 2, (pad,) * 2, mode)
    mask = method == "MAX"
    net = load(tmp_path, (2, 3, 9, 11), method, *window, mask=mask, dtype=torch.float32)
    if dynamic and method == "AVE" and stride > kernel and not pad and mode == "CEIL":
        with pytest.raises(UnsupportedError, match="depends on the size"):
            converter.export_onnx(net, tmp_path / "net.onnx", dynamic=dynamic)
        return
    run = session(net, tmp_path / "net.onnx", dynamic)
    for size in ((9, 11), (8, 10), (12, 7)) if dynamic else ((9, 11),):
        x = image(2, 3, *size)
        top, places = caffe_pool(x, method, *window)
        got = dict(
            zip(
                [output.name for output in run.get_outputs()],
                run.run(None, {"x": x.astype(np.float32)}),
                strict=True,
            )
        )
        assert_close(got["y"], top, f"y {size}", 1e-6)
        if mask:
            assert_close(got["mask"], places, f"mask {size}")


EVERY = [(k, s, p) for k, s in product(range(1, 6), range(1, 5)) for p in range(k)]


@pytest.mark.parametrize(("kernel", "stride", "pad"), EVERY)
def test_means_in_onnx_are_caffes_at_every_size(kernel, stride, pad, tmp_path):
    """Fixed sizes and free ones; where it may, the pool rounds up instead of padding the end."""
    sizes = [size for size in range(1, 14) if size + 2 * pad >= kernel]
    window = ((kernel,) * 2, (stride,) * 2, (pad,) * 2, "CEIL")
    text = "".join(
        net_text((1, 1, size, size), "AVE", *window, mask=False)
        .replace('"x"', f'"x{size}"')
        .replace('"y"', f'"y{size}"')
        for size in sizes
    )
    (tmp_path / "net.prototxt").write_text(text)
    net = converter.load(tmp_path / "net.prototxt")
    images = {
        f"x{size}": image(1, 1, size, size, positive=True).astype(np.float32) for size in sizes
    }
    wants = {f"y{x[1:]}": caffe_pool(value, "AVE", *window)[0] for x, value in images.items()}
    run = session(net, tmp_path / "fixed.onnx", ())
    names = [output.name for output in run.get_outputs()]
    for name, got in zip(names, run.run(None, images), strict=True):
        assert_close(got, wants[name], f"fixed {name}", 1e-6)
    pools = [
        node for node in onnx.load(tmp_path / "fixed.onnx").graph.node if "Pool" in node.op_type
    ]
    said = [{one.name: one for one in node.attribute} for node in pools]
    if kernel >= stride + pad:
        assert not any(list(one["pads"].ints)[2:] > [pad, pad] for one in said if "pads" in one)
    if stride > kernel and not pad:
        return  # refused: `test_onnx_is_caffes`
    one = load(tmp_path, (1, 1, 13, 13), "AVE", *window, dtype=torch.float32)
    run = session(one, tmp_path / "free.onnx", ("height", "width"))
    for size in sizes:
        (got,) = run.run(None, {"x": images[f"x{size}"]})
        assert_close(got, wants[f"y{size}"], f"free {size}", 1e-6)


@pytest.mark.parametrize("dynamic", [(), ("height", "width")])
@pytest.mark.parametrize("pad", [0, 1])
def test_a_mean_that_hangs_over_rounds_up(pad, dynamic, tmp_path):
    """Pads at the end alone are refused by pnnx and onnx2torch, and onnxoptimizer counts them."""
    net = load(tmp_path, (1, 1, 6, 6), "AVE", (3, 3), (2, 2), (pad, pad), "CEIL")
    converter.export_onnx(net, tmp_path / "net.onnx", dynamic=dynamic)
    (node,) = (n for n in onnx.load(tmp_path / "net.onnx").graph.node if n.op_type == "AveragePool")
    said = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    assert said["ceil_mode"] == 1
    assert not any(said.get("pads", []))


def test_global_max_tells_places_in_onnx(tmp_path):
    text = net_text((2, 3, 4, 5), "MAX", (1, 1), (1, 1), (0, 0), "CEIL", mask=True)
    text = text.replace("kernel_h: 1 kernel_w: 1", "global_pooling: true")
    text = text.replace("stride_h: 1 stride_w: 1", "")
    (tmp_path / "net.prototxt").write_text(text)
    net = converter.load(tmp_path / "net.prototxt")
    run = session(net, tmp_path / "net.onnx", ("batch", "height", "width"))
    for size in ((4, 5), (7, 3)):
        x = image(2, 3, *size)
        top, places = caffe_pool(x, "MAX", size, (1, 1), (0, 0), "CEIL")
        mask, y = run.run(["mask", "y"], {"x": x.astype(np.float32)})
        assert_close(y, top, "y")
        assert_close(mask, places, "mask")


@pytest.mark.parametrize("kernel", [2, None])
def test_stochastic_pooling_as_onnx(kernel, tmp_path):
    text = net_text((2, 3, 7, 5), "STOCHASTIC", (2, 2), (3, 3), (0, 0), "CEIL", mask=False)
    if kernel is None:
        text = text.replace("kernel_h: 2 kernel_w: 2", "global_pooling: true")
        text = text.replace("stride_h: 3 stride_w: 3", "")
    (tmp_path / "net.prototxt").write_text(text)
    net = converter.load(tmp_path / "net.prototxt")
    x = image(2, 3, 7, 5, positive=True)
    x[:, 0] = 0
    window = ((7, 5), (1, 1)) if kernel is None else ((2, 2), (3, 3))
    want, _ = caffe_pool(x, "STOCHASTIC", *window, (0, 0), "CEIL")
    (got,) = session(net, tmp_path / "net.onnx", ()).run(None, {"x": x.astype(np.float32)})
    assert_close(got, want, "y", 1e-6)
    net.train()
    with pytest.raises(UnsupportedError, match="cannot draw"):
        converter.export_onnx(net, tmp_path / "net.onnx")


def test_stochastic_training_draws_by_the_values():
    torch.manual_seed(1701)
    layer = caffe_layers.Pooling(pool="STOCHASTIC", kernel_size=2, stride=2).train()
    x = torch.tensor([[1.0, 0.0, 3.0], [4.0, 2.0, 0.0]]).double().requires_grad_()
    tops = [layer(x.expand(4000, 1, 2, 3))]
    # The second window hangs over the right end, and only its first column counts.
    left, right = tops[0].detach()[:, 0, 0].T
    shares = [(left == value).double().mean().item() for value in (1, 0, 4, 2)]
    assert np.allclose(shares, [1 / 7, 0, 4 / 7, 2 / 7], atol=0.03)
    assert (right == 3).all()
    tops[0].sum().backward()
    assert x.grad is not None
    assert x.grad[0, 2] == 4000
    assert x.grad[0, 0] == (left == 1).sum()


def test_max_never_takes_nan():
    x = torch.tensor([[np.nan, 1.0, np.nan, np.nan], [2.0, np.nan, np.nan, np.nan]])[None, None]
    y, mask = caffe_layers.Pooling(kernel_size=2, stride=2, mask=True)(x)
    assert y.flatten().tolist() == [2.0, np.float32(-FLT_MAX)]
    assert mask.flatten().tolist() == [4.0, -1.0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("pool", ["MAX", "AVE", "STOCHASTIC"])
def test_half_precision(pool, dtype):
    x = torch.from_numpy(image(2, 3, 8, 9, positive=True))
    x[:, 1] = 0
    layer = caffe_layers.Pooling(pool=pool, kernel_size=2, stride=3).eval()
    got, want = layer(x.to(dtype)), layer(x)
    assert got.dtype == dtype
    assert torch.allclose(got.double()[..., :2, :2], want[..., :2, :2], rtol=1e-2)


def test_defaults_are_the_messages():
    layer = caffe_layers.Pooling(kernel_size=3)
    assert (layer.pool, layer.round_mode, layer.mask) == ("MAX", "CEIL", False)
    assert layer.window == ((3, 3), (1, 1), (0, 0), (1, 1))
    assert caffe_layers.Pooling(global_pooling=True).window is None
