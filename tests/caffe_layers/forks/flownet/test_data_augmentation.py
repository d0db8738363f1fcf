"""DataAugmentation in testing against FlowNet2's kernels as loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from converter.loading.weights import fill_layer
from prototxt import Blob, CaffeError
from tests.support import restated
from tests.support.recorded import assert_close

RNG = np.random.default_rng(1701)
F = np.float32


def text(fields: str, more: str = "") -> str:
    return (
        f'layer {{ name: "L" type: "DataAugmentation" bottom: "x" top: "y" {more} '
        f"augmentation_param {{ {fields} }} }}"
    )


def crop(x: np.ndarray, height: int, width: int) -> np.ndarray:
    n, c, h, w = x.shape
    top = np.zeros((n, c, height, width))
    for v in range(height):
        for u in range(width):
            at_x = F(u) + (F(-0.5) * F(width) + F(0.5) * F(w))
            at_y = F(v) + (F(-0.5) * F(height) + F(0.5) * F(h))
            at_x = max(F(0), min(at_x, F(w) - F(1.05)))
            at_y = max(F(0), min(at_y, F(h) - F(1.05)))
            left, above = int(at_x), int(at_y)
            dx, dy = float(at_x) - left, float(at_y) - above
            right, below = min(left + 1, w - 1), min(above + 1, h - 1)
            top[:, :, v, u] = (
                (1 - dx) * (1 - dy) * x[:, :, above, left]
                + dx * dy * x[:, :, below, right]
                + (1 - dx) * dy * x[:, :, below, left]
                + dx * (1 - dy) * x[:, :, above, right]
            )
    return top


CROPS = [(4, 5), (3, 4), (6, 7), (1, 1)]


@pytest.mark.parametrize(("height", "width"), CROPS)
def test_the_crop_is_the_middle(height: int, width: int, tmp_path: Path) -> None:
    x = RNG.standard_normal((2, 3, 6, 7))
    layer = text(f"crop_height: {height} crop_width: {width}")
    restated.check(layer, {"x": x}, {"y": crop(x, height, width)}, tmp_path)
    restated.check_gradients(layer, {"x": x[:1, :1]}, tmp_path)


def test_without_a_crop_the_image_is_not_read_between_pixels(tmp_path: Path) -> None:
    x = RNG.standard_normal((2, 3, 6, 7))
    layer = text("crop_height: 3 augment_during_test: true mirror { prob: 0.5 }")
    restated.check(layer, {"x": x}, {"y": x}, tmp_path)


@pytest.mark.parametrize("per_pixel", [True, False])
def test_a_finished_mean_is_subtracted(per_pixel: bool, tmp_path: Path) -> None:
    x = RNG.standard_normal((2, 3, 6, 7))
    mean, channels = RNG.standard_normal((1, 3, 4, 5)), RNG.standard_normal((1, 3, 1, 1))
    layer = text(
        "crop_height: 4 crop_width: 5 recompute_mean: 1000 "
        f"mean_per_pixel: {str(per_pixel).lower()}"
    )
    want = crop(x, 4, 5) - (mean if per_pixel else channels)
    blobs = {"L": [np.array([1000]), mean, channels]}
    restated.check(layer, {"x": x}, {"y": want}, tmp_path, blobs=blobs)


@pytest.mark.parametrize("per_pixel", [True, False])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_the_mean_goes_on_in_testing(count: int, per_pixel: bool, tmp_path: Path) -> None:
    x, mean = RNG.standard_normal((2, 3, 4, 5)), RNG.standard_normal((1, 3, 4, 5))
    layer = text(f"recompute_mean: 8 mean_per_pixel: {str(per_pixel).lower()}")
    blobs = {"L": [np.array([count]), mean, np.zeros((1, 3, 1, 1))]}
    new = (mean * count + x.mean(0, keepdims=True)) / (count + 1)
    channels = new.mean((2, 3), keepdims=True)
    want = x - (new if per_pixel else channels)
    restated.check(layer, {"x": x}, {"y": want}, tmp_path, blobs=blobs)
    net = restated.load(layer, {"x": x}, tmp_path, blobs=blobs)
    net({"x": torch.from_numpy(x)})
    for got, after in zip(net.params["L"], (np.full((1, 1, 1, 1), count + 1), new, channels),
                          strict=True):  # fmt: skip
        assert_close(got, after, "blob")


def test_the_mean_stops_after_its_last_image(tmp_path: Path) -> None:
    first, second = RNG.standard_normal((2, 1, 3, 4, 5))
    net = restated.load(text("recompute_mean: 1"), {"x": first}, tmp_path)
    net({"x": torch.from_numpy(first)})
    got = net({"x": torch.from_numpy(second)})["y"]
    assert_close(got, second - first, "y")
    assert net.params["L"][0].item() == 2


@pytest.mark.parametrize(
    ("fields", "values"),
    [
        ("mean: 1 mean: 2 mean: 3 mean_per_pixel: false", (1, 2, 3)),
        ("mean: 1 mean: 2 mean: 3", (0, 0, 0)),  # mean_per_pixel is true
        ("mean: 1 mean_per_pixel: false", (0, 0, 0)),
    ],
)
def test_a_given_mean(fields: str, values: tuple[int, ...], tmp_path: Path) -> None:
    x = RNG.standard_normal((2, 3, 4, 5))
    want = x - np.reshape(values, (1, 3, 1, 1))
    restated.check(text(fields), {"x": x}, {"y": want}, tmp_path)
    net = restated.load(text(fields), {"x": x}, tmp_path)
    net({"x": torch.from_numpy(x)})
    assert [blob.tolist() for blob in net.params["L"]] == [[[[[1]]]]]


def test_the_mean_of_another_size_is_spread(tmp_path: Path) -> None:
    mean = RNG.standard_normal((1, 3, 4, 5)).astype(np.float32)
    blobs = [
        Blob(np.array([9], np.float32), (1, 1, 1, 1)),
        Blob(mean.ravel(), mean.shape),
        Blob(np.array([1, 2, 3], np.float32), (1, 3, 1, 1)),
    ]
    x = np.zeros((1, 3, 6, 7))
    for fields, values in (
        ("recompute_mean: 5", mean.mean((2, 3))[0]),
        ("recompute_mean: 5 mean_per_pixel: false", [1, 2, 3]),
    ):
        net = restated.load(text(fields), {"x": x}, tmp_path)
        fill_layer(net.layers["L"], blobs)
        want = np.broadcast_to(-np.reshape(values, (1, 3, 1, 1)), x.shape)
        assert_close(net({"x": torch.from_numpy(x)})["y"], want, "y")
        assert net.params["L"][0].item() == 10


@pytest.mark.parametrize(
    ("fields", "more", "message"),
    [
        (
            "crop_width: 3 crop_height: 3 augment_during_test: true zoom { spread: 1 }",
            "",
            "augment_during_test with zoom changes images at random",
        ),
        ("", 'top: "z"', "a second bottom or top hands over"),
        ("crop_width: 9 crop_height: 3", "", "larger than the bottom"),
        ("mean: 1 mean: 2 mean: 3 mean_per_pixel: false", "", "has 2 channels, the mean 3"),
    ],
)
def test_refused(fields: str, more: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=message):
        restated.load(text(fields, more), {"x": np.zeros((1, 2, 5, 5))}, tmp_path)


def test_training_is_refused_where_images_would_change(tmp_path: Path) -> None:
    x = np.zeros((1, 1, 4, 4))
    layer = text("crop_width: 3 crop_height: 3 mirror { prob: 1 }")
    net = restated.load(layer, {"x": x}, tmp_path, phase="TRAIN")
    with pytest.raises(CaffeError, match="changes images at random in training"):
        net({"x": torch.from_numpy(x)})


def test_training_only_crops_where_nothing_is_drawn(tmp_path: Path) -> None:
    x = RNG.standard_normal((1, 1, 5, 5))
    layer = text("crop_width: 3 crop_height: 3")
    net = restated.load(layer, {"x": x}, tmp_path, phase="TRAIN")
    assert_close(net({"x": torch.from_numpy(x)})["y"], crop(x, 3, 3), "y")
