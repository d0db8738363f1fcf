"""Reorg and Upsample against darknet's loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from prototxt import CaffeError
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(1701)


def reorg(x: np.ndarray, stride: int, *, reverse: bool) -> np.ndarray:
    """Restate the flat indices: those of the top are read where those of the bottom are written."""
    tops = []
    for image in x:
        channels, height, width = image.shape
        few = channels // stride**2
        bottom, top = image.ravel(), np.zeros(image.size)
        for c in range(channels):
            for h in range(height):
                for w in range(width):
                    here = w + width * (h + height * c)
                    across = w * stride + (c // few) % stride
                    down = h * stride + (c // few) // stride
                    there = across + width * stride * (down + height * stride * (c % few))
                    if reverse:
                        top[there] = bottom[here]
                    else:
                        top[here] = bottom[there]
        sizes = (channels * stride**2, height // stride, width // stride)
        if reverse:
            sizes = (few, height * stride, width * stride)
        tops.append(top.reshape(sizes))
    return np.array(tops)


def layer(kind: str, param: str) -> str:
    return f'layer {{ name: "L" type: "{kind}" bottom: "x" top: "y" {param} }}'


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("shape", "stride"),
    [
        ((2, 4, 4, 6), 2),
        ((1, 8, 2, 2), 2),
        ((2, 9, 3, 6), 3),
        ((1, 18, 6, 3), 3),
        ((1, 3, 2, 5), 1),
    ],
)
def test_reorg(shape: tuple[int, ...], stride: int, reverse: bool, tmp_path: Path) -> None:
    x = RNG.normal(size=shape)
    param = f"reorg_param {{ stride: {stride} reverse: {str(reverse).lower()} }}"
    text = layer("Reorg", param)
    check(text, {"x": x}, {"y": reorg(x, stride, reverse=reverse)}, tmp_path)


def test_reorg_is_no_space_to_depth(tmp_path: Path) -> None:
    x = np.arange(64.0).reshape(1, 4, 4, 4)
    want = reorg(x, 2, reverse=False)
    blocks = x.reshape(4, 2, 2, 2, 2).transpose(2, 4, 0, 1, 3).reshape(16, 2, 2)
    assert (want[0] != blocks).any()
    check(layer("Reorg", "reorg_param { stride: 2 }"), {"x": x}, {"y": want}, tmp_path)
    check(layer("Reorg", ""), {"x": x}, {"y": want}, tmp_path)  # choasup's default


def blocks(x: np.ndarray, stride: int) -> np.ndarray:
    n, c, h, w = x.shape
    top = np.zeros((n, c * stride**2, h // stride, w // stride))
    for image, channel, row, column in np.ndindex(x.shape):
        inner = row % stride * stride + column % stride
        i, j = row // stride, column // stride
        top[image, channel * stride**2 + inner, i, j] = x[image, channel, row, column]
    return top


@pytest.mark.parametrize(("shape", "stride"), [((2, 3, 4, 6), 2), ((1, 2, 3, 6), 3)])
def test_yolov5s_focus(shape: tuple[int, ...], stride: int, tmp_path: Path) -> None:
    """Darknet has nothing for such numbers of channels."""
    x = RNG.normal(size=shape)
    text = layer("Reorg", f"reorg_param {{ stride: {stride} reverse: false }}")
    wants = {"y": blocks(x, stride)}
    check(text, {"x": x}, wants, tmp_path)
    check_gradients(text, {"x": x}, tmp_path)


def test_yolov5s_focus_of_more_channels(tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 4, 4, 6))
    text = layer("Reorg", "reorg_param { stride: 2 reverse: true }")
    check(text, {"x": x}, {"y": blocks(x, 2)}, tmp_path, dialect="yolov5")


def test_reorg_with_free_sizes(tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 4, 4, 6))
    text = layer("Reorg", "reorg_param { stride: 2 }")
    wants = {"y": reorg(x, 2, reverse=False)}
    check(text, {"x": x}, wants, tmp_path, dynamic=("batch", "height", "width"))


@pytest.mark.parametrize("reverse", ["true", "false"])
def test_gradient_of_reorg(reverse: str, tmp_path: Path) -> None:
    text = layer("Reorg", f"reorg_param {{ stride: 2 reverse: {reverse} }}")
    check_gradients(text, {"x": RNG.normal(size=(2, 4, 2, 4))}, tmp_path)


@pytest.mark.parametrize("scale", [None, 1, 2, 3])
def test_upsample(scale: int | None, tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 3, 2, 5))
    text = layer("Upsample", f"upsample_param {{ scale: {scale} }}" if scale else "")
    by = scale or 1
    want = np.zeros((2, 3, 2 * by, 5 * by))
    for n, c, h, w in np.ndindex(want.shape):
        want[n, c, h, w] = x[n, c, h // by, w // by]
    dynamic = ("batch", "height", "width")
    check(text, {"x": x}, {"y": want}, tmp_path, dynamic=dynamic)
    check_gradients(text, {"x": x}, tmp_path)


REFUSED = {
    layer("Reorg", "reorg_param { stride: 0 }"): ("stride 0 wants 1 or more", (1, 4, 4, 4)),
    layer("Reorg", "reorg_param { stride: 2 reverse: true }"): (
        "6 channels, wants a multiple of 4",
        (1, 6, 4, 4),
    ),
    layer("Reorg", "reorg_param { stride: 2 } "): ("sizes that the stride 2", (1, 3, 4, 5)),
    layer("Reorg", "reorg_param { stride: 3 }"): ("sizes that the stride 3 divides", (1, 9, 3, 4)),
    layer("Upsample", "upsample_param { scale: 0 }"): ("scale 0 wants", (1, 1, 2, 2)),
    layer("Upsample", "upsample_param { scale: 2 upsample_h: 3 }"): ("do not fit", (1, 1, 2, 2)),
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str, tmp_path: Path) -> None:
    message, shape = REFUSED[text]
    with pytest.raises(CaffeError, match=message):
        load(text, {"x": np.zeros(shape)}, tmp_path)
