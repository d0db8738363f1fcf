"""video-caffe's layers over any axes, against loops over places and windows."""

from __future__ import annotations

from itertools import product
from math import ceil, prod
from pathlib import Path

import numpy as np
import pytest

import converter
from prototxt import CaffeError
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(20)


def shape(name: str, *sizes: int) -> str:
    return f"{name}_shape {{ {' '.join(f'dim: {size}' for size in sizes)} }} "


def layer(kind: str, param: str) -> str:
    message = "pooling_param" if kind == "NdPooling" else "convolution_param"
    return f'layer {{ name: "L" type: "{kind}" bottom: "x" top: "y" {message} {{ {param} }} }}'


def convolved(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: list[int], pad: list[int]
) -> np.ndarray:
    wide = np.pad(x, ((0, 0), (0, 0), *((one, one) for one in pad)))
    kernel, groups = weight.shape[2:], x.shape[1] // weight.shape[1]
    sizes = [(s - k) // by + 1 for s, k, by in zip(wide.shape[2:], kernel, stride, strict=True)]
    top = np.zeros((len(x), len(weight), *sizes))
    for n, o, *at in product(*map(range, top.shape)):
        first = o // (len(weight) // groups) * weight.shape[1]
        places = tuple(
            slice(a * by, a * by + k) for a, by, k in zip(at, stride, kernel, strict=True)
        )
        seen = wide[(n, slice(first, first + weight.shape[1]), *places)]
        top[(n, o, *at)] = (weight[o] * seen).sum() + bias[o]
    return top


@pytest.mark.parametrize(
    ("sizes", "kernel", "stride", "pad"),
    [((4, 5, 6), [2, 3, 1], [1, 2, 3], [1, 0, 2]), ((5, 6), [3, 2], [2, 1], [0, 1])],
)
def test_convolution(
    sizes: tuple[int, ...], kernel: list[int], stride: list[int], pad: list[int], tmp_path: Path
) -> None:
    x, weight = RNG.normal(size=(2, 4, *sizes)), RNG.normal(size=(6, 2, *kernel))
    bias = RNG.normal(size=6)
    text = layer("NdConvolution", "num_output: 6 group: 2 " + shape("kernel", *kernel)
                 + shape("stride", *stride) + shape("pad", *pad))  # fmt: skip
    want = convolved(x, weight, bias, stride, pad)
    check(text, {"x": x}, {"y": want}, tmp_path, blobs={"L": [weight, bias]})
    check_gradients(text, {"x": x[:1]}, tmp_path, blobs={"L": [weight, bias]})


def test_a_stride_and_padding_that_nothing_says(tmp_path: Path) -> None:
    x, weight = RNG.normal(size=(1, 1, 3, 3, 3)), RNG.normal(size=(2, 1, 2, 2, 2))
    text = layer("NdConvolution", "num_output: 2 " + shape("kernel", 2, 2, 2))
    want = convolved(x, weight, np.zeros(2), [1, 1, 1], [0, 0, 0])
    check(text, {"x": x}, {"y": want}, tmp_path, blobs={"L": [weight, np.zeros(2)]})


def pooled(
    x: np.ndarray, method: str, kernel: list[int], stride: list[int], pad: list[int]
) -> np.ndarray:
    sizes = []
    for size, k, by, margin in zip(x.shape[2:], kernel, stride, pad, strict=True):
        count = ceil((size + 2 * margin - k) / by) + 1
        sizes.append(count - (margin > 0 and (count - 1) * by >= size + margin))
    top = np.zeros((*x.shape[:2], *sizes))
    for n, c, *at in product(*map(range, top.shape)):
        places = tuple(
            slice(max(a * by - margin, 0), a * by - margin + k)
            for a, by, margin, k in zip(at, stride, pad, kernel, strict=True)
        )
        seen = x[(n, c, *places)]
        top[(n, c, *at)] = seen.max() if method == "MAX" else seen.sum() / prod(kernel)
    return top


@pytest.mark.parametrize(
    ("method", "sizes", "kernel", "stride", "pad"),
    [
        ("MAX", (5, 6, 7), [1, 2, 2], [1, 2, 2], [0, 0, 0]),
        ("MAX", (4, 5, 5), [3, 2, 3], [2, 2, 1], [1, 0, 2]),
        ("MAX", (6, 7), [3, 2], [2, 2], [1, 1]),
        ("AVE", (4, 6, 5), [2, 3, 3], [2, 1, 2], [0, 1, 0]),
        ("AVE", (4, 6), [2, 2], [2, 2], [0, 0]),
    ],
)
def test_pooling(
    method: str,
    sizes: tuple[int, ...],
    kernel: list[int],
    stride: list[int],
    pad: list[int],
    tmp_path: Path,
) -> None:
    x = RNG.normal(size=(2, 2, *sizes))
    text = layer("NdPooling", f"pool: {method} " + shape("kernel", *kernel)
                 + shape("stride", *stride) + shape("pad", *pad))  # fmt: skip
    want = pooled(x, method, kernel, stride, pad)
    check(text, {"x": x}, {"y": want}, tmp_path)
    check_gradients(text, {"x": x[:1, :1]}, tmp_path)


def test_pooling_of_it_all(tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 3, 2, 3, 4))
    text = layer("NdPooling", "pool: AVE global_pooling: true " + shape("kernel", 1, 1, 1))
    want = x.mean((2, 3, 4), keepdims=True)
    check(text, {"x": x}, {"y": want}, tmp_path)


CLIPS = (
    'name: "v" layer { name: "D" type: "VideoData" top: "x" top: "l" video_data_param { %s } %s }'
)


@pytest.mark.parametrize(
    ("param", "more", "want"),
    [
        ("new_height: 6 new_width: 7", "", (4, 3, 5, 6, 7)),
        ("new_height: 6 new_width: 7", "transform_param { crop_size: 4 }", (4, 3, 5, 4, 4)),
        ("is_color: false new_height: 6 new_width: 7", "", (4, 1, 5, 6, 7)),
    ],
)
def test_clips(param: str, more: str, want: tuple[int, ...], tmp_path: Path) -> None:
    """What its message leaves open, the layers beside it tell: TSN's VideoData has such fields."""
    path = tmp_path / "net.prototxt"
    given = f'source: "list" batch_size: 4 new_length: 5 {param}'
    path.write_text(CLIPS % (given, more) + layer("NdPooling", shape("kernel", 1, 2, 2)))
    net = converter.load(path)
    assert net.layers["D"].fork == "video_caffe"
    assert net.shapes()["x"] == want
    assert net.shapes()["l"] == (4,)


REFUSED = {
    layer("NdConvolution", "num_output: 2 kernel_size: 3"): "kernel_size is set, of which",
    layer("NdConvolution", "num_output: 2"): "kernel_shape .. wants a number for each of 3",
    layer("NdConvolution", "num_output: 2 " + shape("kernel", 2, 2)): "a number for each of 3",
    layer("NdConvolution", "num_output: 2 " + shape("kernel", 2, 2, 2) + shape("pad", 1)):
        "pad_shape .1,. wants as many",
    layer("NdConvolution", "num_output: 2 " + shape("kernel", 2, 2, 2) + shape("stride", 1, 0, 1)):
        "stride_shape .1, 0, 1. wants 1 or more",
    layer("NdPooling", "kernel_size: 2"): "kernel_size is set",
    layer("NdPooling", "pool: STOCHASTIC " + shape("kernel", 2, 2, 2)): "STOCHASTIC pooling, which",
    layer("NdPooling", shape("kernel", 2, 2, 2) + shape("pad", 0, 2, 0)): "pad 2 wants to be less",
    layer("NdPooling", shape("kernel", 9, 2, 2)): "does not fit",
    layer("NdPooling", shape("kernel", 1, 2, 2) + shape("stride", 5, 1, 1) + shape("pad", 0, 1, 1)):
        "stride 5 leaves a window beyond",
    layer("NdPooling", "pool: AVE " + shape("kernel", 2, 2, 2) + shape("stride", 2, 2, 2)):
        "hangs over the end",
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=REFUSED[text]):
        load(text, {"x": np.zeros((1, 2, 4, 5, 6))}, tmp_path)
