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
from prototxt import ShapeError
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
