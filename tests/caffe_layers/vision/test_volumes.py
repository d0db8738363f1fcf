"""Pooling and PReLU of volumes, against Caffe's loops restated over three axes."""

from __future__ import annotations

from itertools import product
from math import ceil, floor, prod
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import caffe_layers
import converter
from prototxt import CaffeError, ShapeError
from tests.support.recorded import assert_close

SHAPE = (2, 3, 5, 8, 7)
WINDOWS = [
    (kernel, stride, pad, mode)
    for kernel, stride, pad in ((2, 2, 0), (3, 2, 1), (2, 3, 0), (3, 1, 2), (4, 3, 1))
    for mode in ("CEIL", "FLOOR")
]


def spans(size: int, kernel: int, stride: int, pad: int, mode: str) -> list[tuple[int, int]]:
    """Return the start and the end, counted up to the padding's, of each window of an axis."""
    places = (ceil if mode == "CEIL" else floor)((size + 2 * pad - kernel) / stride) + 1
    if pad and (places - 1) * stride >= size + pad:
        places -= 1
    starts = [place * stride - pad for place in range(places)]
    return [(start, min(start + kernel, size + pad)) for start in starts]


def caffe_pool(x: np.ndarray, method: str, *window) -> tuple[np.ndarray, np.ndarray]:
    axes = [spans(size, *window) for size in x.shape[2:]]
    top = np.zeros((*x.shape[:2], *map(len, axes)))
    mask = np.full(top.shape, -1.0)
    for at in np.ndindex(*top.shape):
        seen = [axis[place] for axis, place in zip(axes, at[2:], strict=True)]
        inside = [
            range(max(start, 0), min(end, size))
            for (start, end), size in zip(seen, x.shape[2:], strict=True)
        ]
        values = {place: x[(*at[:2], *place)] for place in product(*inside)}
        if method == "AVE":
            area = prod(end - start for start, end in seen)
            top[at] = sum(values.values()) / area if area else np.nan
        elif values:
            best = max(values, key=values.__getitem__)
            top[at] = values[best]
            mask[at] = np.ravel_multi_index(best, x.shape[2:])
        else:
            top[at] = -3.4028234663852886e38
    return top, mask


def load(folder: Path, layer: str, shape: tuple[int, ...] = SHAPE, **options):
    path = folder / "net.prototxt"
    path.write_text(
        f'input: "x" input_shape {{ dim: {list(shape)} }} layer {{ name: "L" bottom: "x" {layer} }}'
    )
    return converter.load(path, **options)


def pooling(method: str, kernel: int, stride: int, pad: int, mode: str, tops: str = "") -> str:
    return (
        f'type: "Pooling" top: "y" {tops} pooling_param {{ pool: {method} kernel_size: {kernel} '
        f"stride: {stride} pad: {pad} round_mode: {mode} }}"
    )


def image() -> np.ndarray:
    values = np.random.default_rng(1701).permutation(prod(SHAPE)).reshape(SHAPE)
    return values.astype(np.float64) / 100 - 7


def run(net, folder: Path, x: np.ndarray, dynamic=()) -> list[np.ndarray]:
    converter.export_onnx(net, folder / "net.onnx", dynamic=dynamic)
    converter.check_onnx(folder / "net.onnx")
    return onnxruntime.InferenceSession(folder / "net.onnx").run(None, {"x": x.astype(np.float32)})


@pytest.mark.parametrize("method", ["MAX", "AVE"])
@pytest.mark.parametrize("window", WINDOWS)
def test_every_window_is_caffes(method, window, tmp_path):
    net = load(tmp_path, pooling(method, *window), dtype=torch.float64)
    x = image()
    want, _ = caffe_pool(x, method, *window)
    bottom = torch.from_numpy(x).requires_grad_()
    got = net(bottom)["y"]
    assert net.shapes()["y"] == want.shape
    assert_close(got.detach(), want, "y")
    if np.isfinite(want).all():
        assert torch.autograd.gradcheck(lambda x: net(x)["y"], (bottom[:1, :1],))
    (made,) = run(load(tmp_path, pooling(method, *window)), tmp_path, x)
    assert_close(made, want, "onnx", 1e-5)


@pytest.mark.parametrize("window", WINDOWS)
def test_places_of_the_maxima(window, tmp_path):
    net = load(tmp_path, pooling("MAX", *window, tops='top: "mask"'), dtype=torch.float64)
    _, places = caffe_pool(image(), "MAX", *window)
    assert_close(net(torch.from_numpy(image()))["mask"], places, "mask")


@pytest.mark.parametrize("method", ["MAX", "AVE"])
def test_the_whole_volume(method, tmp_path):
    text = f'type: "Pooling" top: "y" pooling_param {{ pool: {method} global_pooling: true }}'
    net = load(tmp_path, text)
    x = image()
    want = x.max((2, 3, 4), keepdims=True) if method == "MAX" else x.mean((2, 3, 4), keepdims=True)
    assert_close(net(torch.from_numpy(x).float())["y"], want, "y", 1e-5)
    assert_close(run(net, tmp_path, x, ("batch",))[0], want, "onnx", 1e-5)


def test_prelu_has_a_slope_for_each_channel(tmp_path):
    net = load(tmp_path, 'type: "PReLU" top: "y"')
    slopes = torch.tensor([0.5, -1, 2])
    net.params["L"][0].data.copy_(slopes)
    x = image()
    want = np.where(x > 0, x, x * slopes.numpy()[None, :, None, None, None])
    assert_close(net(torch.from_numpy(x).float())["y"].detach(), want, "y", 1e-6)
    assert_close(run(net, tmp_path, x)[0], want, "onnx", 1e-6)
    layer = caffe_layers.PReLU(3).double()
    volume = torch.from_numpy(x[:1, :, :2, :2, :2].copy()).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, *_: layer(x), (volume, *layer.parameters()))


@pytest.mark.parametrize(
    ("param", "message"),
    [
        ("kernel_h: 2 kernel_w: 2", "kernel_h and kernel_w are of an image, a volume wants kernel"),
        ("kernel_size: 2 stride_h: 2 stride_w: 2", "stride_h and stride_w are of an image, a vol"),
        ("pool: STOCHASTIC kernel_size: 2", "STOCHASTIC pooling is for images, the bottom is"),
    ],
)
def test_what_only_an_image_has_is_refused(param, message, tmp_path):
    with pytest.raises(ShapeError, match=message):
        load(tmp_path, f'type: "Pooling" top: "y" pooling_param {{ {param} }}')


def test_six_axes_are_no_volume(tmp_path):
    with pytest.raises(ShapeError, match="has 6 axes, wants 4: N x C x H x W"):
        load(tmp_path, pooling("MAX", 2, 2, 0, "CEIL"), (1, 2, 3, 3, 3, 3))


# ---- PoolingND ----------------------------------------------------------------------------------

EACH_AXIS = [
    ("kernel_size: 2 stride: 2", (2, 2, 2), (2, 2, 2), (0, 0, 0)),
    ("kernel_size: [3, 2, 4] stride: [2, 1, 3] pad: [1, 0, 2]", (3, 2, 4), (2, 1, 3), (1, 0, 2)),
    ("kernel_size: 3 pad: 1", (3, 3, 3), (1, 1, 1), (1, 1, 1)),
]


def pooling_nd(fields: str, tops: str = 'top: "y"') -> str:
    return f'type: "PoolingND" {tops} pooling_nd_param {{ {fields} }}'


@pytest.mark.parametrize("method", ["MAX", "AVE"])
@pytest.mark.parametrize("row", EACH_AXIS, ids=lambda row: row[0])
def test_pooling_nd(row, method, tmp_path):
    fields, *sizes = row
    axes = [
        spans(*window, "CEIL") if any(sizes[2]) else spans(*window[:3], 0, "CEIL")
        for window in zip(SHAPE[2:], *sizes, strict=True)
    ]
    # With any padding, along whatever axis, a last window beyond the padding is dropped.
    for axis, size, pad in zip(axes, SHAPE[2:], sizes[2], strict=True):
        while any(sizes[2]) and axis[-1][0] >= size:
            assert pad == 0
            axis.pop()
    x, want = image(), np.zeros((*SHAPE[:2], *map(len, axes)))
    for at in np.ndindex(*want.shape):
        seen = [axis[place] for axis, place in zip(axes, at[2:], strict=True)]
        cut = tuple(
            slice(max(start, 0), min(end, size))
            for (start, end), size in zip(seen, SHAPE[2:], strict=True)
        )
        values = x[at[:2]][cut]
        area = prod(end - start for start, end in seen)
        want[at] = values.max() if method == "MAX" else values.sum() / area
    text = pooling_nd(f"pool: {method} {fields}")
    got = load(tmp_path, text, dtype=torch.float64)(torch.from_numpy(x))["y"]
    assert_close(got, want, "y")
    (made,) = run(load(tmp_path, text), tmp_path, x)
    assert_close(made, want, "onnx", 1e-5)


def test_pooling_nd_is_pooling_of_images(tmp_path):
    x = torch.from_numpy(image()[:, :, 0])
    shape = tuple(x.shape)
    fields = "kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 3 pad_h: 1 pad_w: 1"
    both = 'top: "y" top: "m"'
    want = load(tmp_path, f'type: "Pooling" {both} pooling_param {{ {fields} }}', shape)(x.float())
    got = load(tmp_path, pooling_nd(fields, both), shape)(x.float())
    assert all(torch.equal(got[top], want[top]) for top in "ym")
    whole = load(tmp_path, pooling_nd("global_pooling: true pool: AVE"), shape)(x.float())["y"]
    assert_close(whole, x.mean((2, 3), keepdim=True), "y", 1e-5)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ("kernel_size: [2, 2]", r"kernel_size \(2, 2\) wants 1 number, or 3"),
        ("kernel_size: 2 stride_h: 2 stride_w: 2", "stride wants numbers, or of an image stride_h"),
        ("pool: STOCHASTIC kernel_size: 2", "is here for MAX and AVE"),
        ("axis: 2 kernel_size: 2", "with the channels on axis 1"),
        ("kernel_size: 2 global_pooling: true", "wants no kernel"),
        ("stride: 2", "no kernel size"),
    ],
)
def test_pooling_nd_refuses(fields, says, tmp_path):
    with pytest.raises(CaffeError, match=says):
        load(tmp_path, pooling_nd(fields))
