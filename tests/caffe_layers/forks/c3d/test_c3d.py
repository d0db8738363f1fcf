"""C3D's layers over volumes, against loops over places and windows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import ceil
from pathlib import Path

import numpy as np
import pytest
import torch

from prototxt import CaffeError
from tests.support.recorded import assert_close
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(20)
VERSIONS = {"1.0": ("convolution_param", "pooling_param"),
            "1.1": ("convolution3d_param", "pooling3d_param")}  # fmt: skip
WINDOW = "kernel_size: 3 kernel_depth: 2 stride: 2 temporal_stride: 3 pad: 1 temporal_pad: 2"
KERNEL, STRIDE, PAD = (2, 3, 3), (3, 2, 2), (2, 1, 1)


def layer(kind: str, message: str, param: str) -> str:
    return f'layer {{ name: "L" type: "{kind}" bottom: "x" top: "y" {message} {{ {param} }} }}'


def moved(at: Sequence[int], k: Sequence[int]) -> list[int]:
    """Return where value k of the window at a place lies."""
    return [a * stride + i for a, stride, i in zip(at, STRIDE, k, strict=True)]


def convolved(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    wide = np.pad(x, ((0, 0), (0, 0), *((pad, pad) for pad in PAD)))
    sizes = [
        (size + 2 * pad - kernel) // stride + 1
        for size, pad, kernel, stride in zip(x.shape[2:], PAD, KERNEL, STRIDE, strict=True)
    ]
    top = np.zeros((len(x), len(weight), *sizes))
    for n, o, *at in product(*map(range, top.shape)):
        top[(n, o, *at)] = bias[o] + sum(
            weight[(o, c, *k)] * wide[(n, c, *moved(at, k))]
            for c in range(x.shape[1])
            for k in product(*map(range, KERNEL))
        )
    return top


def deconvolved(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    sizes = [
        (size - 1) * stride + kernel
        for size, kernel, stride in zip(x.shape[2:], KERNEL, STRIDE, strict=True)
    ]
    top = np.zeros((len(x), weight.shape[1], *sizes)) + bias.reshape(-1, 1, 1, 1)
    for n, c, *at in product(*map(range, x.shape)):
        for o, *k in product(range(weight.shape[1]), *map(range, KERNEL)):
            top[(n, o, *moved(at, k))] += x[(n, c, *at)] * weight[(c, o, *k)]
    return top[(..., *(slice(pad, size - pad) for size, pad in zip(sizes, PAD, strict=True)))]


@pytest.mark.parametrize("version", VERSIONS)
def test_convolution_sees_all_channels_whatever_the_group(version: str, tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 2, 3, 6, 5))
    blobs = [RNG.normal(size=(4, 2, *KERNEL)), RNG.normal(size=4)]
    text = layer("Convolution3D", VERSIONS[version][0],
                 f"num_output: 4 filter_group: 2 group: 2 {WINDOW}")  # fmt: skip
    assert load(text, {"x": x}, tmp_path).params["L"][1].shape == (1, 1, 1, 1, 4)
    check(text, {"x": x}, {"y": convolved(x, *blobs)}, tmp_path, blobs={"L": blobs})
    check_gradients(text, {"x": x[:1, :, :, :4, :4]}, tmp_path, blobs={"L": blobs})


@pytest.mark.parametrize("version", VERSIONS)
def test_deconvolution(version: str, tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 3, 3, 3, 2))
    blobs = [RNG.normal(size=(3, 2, *KERNEL)), RNG.normal(size=2)]
    text = layer("Deconvolution3D", VERSIONS[version][0], f"num_output: 2 {WINDOW}")
    check(text, {"x": x}, {"y": deconvolved(x, *blobs)}, tmp_path, blobs={"L": blobs})
    check_gradients(text, {"x": x[:1, :, :2]}, tmp_path, blobs={"L": blobs})


def pooled(
    x: np.ndarray, method: str, kernel: tuple[int, ...], stride: tuple[int, ...], pad: int = 0
) -> np.ndarray:
    pads = (0, pad, pad)
    spatial = x.shape[2:]
    sizes = [
        ceil((size + 2 * p - k) / s) + 1
        for size, p, k, s in zip(spatial, pads, kernel, stride, strict=True)
    ]
    top = np.zeros((*x.shape[:2], *sizes))
    for at in product(*map(range, sizes)):
        starts = [a * s - p for a, s, p in zip(at, stride, pads, strict=True)]
        ends = [
            min(start + k, size + p)
            for start, k, size, p in zip(starts, kernel, spatial, pads, strict=True)
        ]
        seen = x[(..., *(slice(max(a, 0), b) for a, b in zip(starts, ends, strict=True)))]
        area = np.prod([b - a for a, b in zip(starts, ends, strict=True)])
        whole = (2, 3, 4)
        top[(..., *at)] = seen.max(whole) if method == "MAX" else seen.sum(whole) / area
    return top


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("method", ["MAX", "AVE"])
def test_pooling_keeps_windows_that_hang_over(version: str, method: str, tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 2, 4, 5, 6))
    window = "kernel_size: 3 kernel_depth: 2 stride: 2 temporal_stride: 3"
    text = layer("Pooling3D", VERSIONS[version][1], f"pool: {method} {window}")
    check(text, {"x": x}, {"y": pooled(x, method, (2, 3, 3), (3, 2, 2))}, tmp_path)
    check_gradients(text, {"x": x[:1]}, tmp_path)


@pytest.mark.parametrize("size", [4, 5, 6])
@pytest.mark.parametrize(("kernel", "pad"), [(2, 1), (3, 1), (3, 2)])
def test_mean_keeps_a_window_in_the_padding(
    kernel: int, pad: int, size: int, tmp_path: Path
) -> None:
    """BVLC would drop it: of 5 rows with a kernel of 2 the fourth window sees padding alone."""
    x = RNG.normal(size=(2, 1, 3, size, size))
    window = f"kernel_size: {kernel} kernel_depth: 2 stride: 2 pad: {pad}"
    text = layer("Pooling3D", "pooling_param", f"pool: AVE {window}")
    want = pooled(x, "AVE", (2, kernel, kernel), (1, 2, 2), pad)
    check(text, {"x": x}, {"y": want}, tmp_path)
    if kernel == 2 and size == 5:
        assert want.shape[3:] == (4, 4)
        assert not want[..., 3].any()


@pytest.mark.parametrize(
    ("shape", "text", "says"),
    [
        ((1, 2, 5, 5), layer("Pooling3D", "pooling_param", "kernel_size: 2 kernel_depth: 2"),
         "has 4 axes, wants 5"),
        ((1, 2, 3, 5, 5), layer("Pooling3D", "pooling_param", "kernel_size: 2"),
         "wants kernel_depth and kernel_size"),
        ((1, 2, 3, 5, 5),
         layer("Pooling3D", "pooling_param", "kernel_size: 2 kernel_depth: 2 pad: 1"),
         "which only AVE takes here"),
        ((1, 2, 3, 5, 5),
         layer("Pooling3D", "pooling_param", "pool: STOCHASTIC kernel_size: 2 kernel_depth: 2"),
         "which C3D itself lacks"),
        ((1, 2, 3, 5, 5),
         layer("Pooling3D", "pooling_param", "kernel_size: 1 kernel_depth: 1 stride: 3"),
         "a window beyond the bottom"),
        ((1, 2, 3, 5, 5), layer("Pooling3D", "pooling_param", "kernel_size: 7 kernel_depth: 3"),
         "does not fit"),
        ((1, 2, 5, 5),
         layer("Convolution3D", "convolution3d_param", "num_output: 1 kernel_size: 2"),
         "has 4 axes, wants 5"),
        ((1, 2, 3, 5, 5),
         layer("Convolution3D", "convolution_param",
               "num_output: 1 kernel_size: 2 kernel_size: 3 kernel_depth: 2"),
         "kernel_size has 2 numbers, wants one"),
    ],
)  # fmt: skip
def test_refused(shape: tuple[int, ...], text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=says):
        load(
            text,
            {"x": np.zeros(shape)},
            tmp_path,
            dialect="c3d" if "3d_param" not in text else None,
        )


# ---- VOXEL_SOFTMAX ------------------------------------------------------------------------------

VOXELS = (2, 3, 2, 3, 2)


def test_voxel_softmax(tmp_path: Path) -> None:
    x = RNG.normal(0, 2, VOXELS)
    want = np.zeros(VOXELS)
    for n, c, *at in product(*map(range, VOXELS)):
        want[(n, c, *at)] = np.exp(x[(n, c, *at)]) / sum(np.exp(x[(n, k, *at)]) for k in range(3))
    text = 'layer { name: "L" type: "VOXEL_SOFTMAX" bottom: "x" top: "y" }'
    check(text, {"x": x}, {"y": want}, tmp_path)
    check_gradients(text, {"x": x}, tmp_path)
    with pytest.raises(CaffeError, match="5"):
        load(text, {"x": x[0]}, tmp_path)


def test_voxel_softmax_loss(tmp_path: Path) -> None:
    """Voxels of no class count in the divisor, and keep the softmax for their gradient."""
    x = RNG.normal(0, 2, VOXELS)
    label = RNG.integers(0, 5, (2, 1, 2, 3, 2)).astype(float)
    assert (label >= 3).any()
    loss, gradient = 0.0, np.zeros(VOXELS)
    for n, *at in product(*(range(size) for size in (2, *VOXELS[2:]))):
        p = np.exp(x[(n, slice(None), *at)])
        p /= p.sum()
        own = int(label[(n, 0, *at)])
        gradient[(n, slice(None), *at)] = p
        if own < 3:
            loss -= np.log(p[own])
            gradient[(n, own, *at)] -= 1
    text = 'layer { name: "L" type: "VOXEL_SOFTMAX_LOSS" bottom: "x" bottom: "l" top: "y" }'
    inputs = {"x": x, "l": label}
    check(text, inputs, {"y": np.array(loss / 24)}, tmp_path)
    net = load(text, inputs, tmp_path)
    bottom = torch.from_numpy(x).requires_grad_()
    net.blobs({"x": bottom, "l": torch.from_numpy(label)})["y"].backward()
    assert bottom.grad is not None
    assert_close(bottom.grad, gradient / 24, "gradient")
    check_gradients(text, inputs | {"l": label % 3}, tmp_path)
    with pytest.raises(CaffeError, match="one for each voxel"):
        load(text, inputs | {"l": label[:, 0]}, tmp_path)
    with pytest.raises(CaffeError, match="labels"):
        net.blobs({"x": bottom, "l": torch.from_numpy(-label)})
