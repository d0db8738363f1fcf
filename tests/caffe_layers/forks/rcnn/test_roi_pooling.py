"""ROIPooling and PSROIPooling against their formulas, edges included."""

from __future__ import annotations

from math import ceil, floor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import caffe_layers
import converter
from prototxt import ShapeError
from tests.support.opsets import OPSETS
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(1701)

ROIS = np.array(
    [
        [0, 0, 0, 79, 63],
        [1, 17, 9, 54, 40],
        [1, 24, 24, 24, 24],  # one pixel of the map
        [0, 40, 40, 20, 12],  # inverted: one row, one column
        [0, -30, -50, 30, 20],  # over the edge
        [1, 60, 50, 300, 200],  # over the other
        [0, 400, 400, 500, 500],  # outside
        [0, -500, -500, -400, -400],
        [1, 4, 12, 68, 60],  # halves of a pixel of the map, rounded away from 0
        [0, -4, -12, 28, 36],
        [1, 3.99, 4.01, 71.9, 35.3],
    ],
    float,
)


def c_round(x: float) -> int:
    return floor(abs(x) + 0.5) * (1 if x >= 0 else -1)


def roi_pooling(
    x: np.ndarray, rois: np.ndarray, pooled: tuple[int, int], scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the top, and of each value the place it comes from (-1 for an empty bin)."""
    _, channels, height, width = x.shape
    top = np.zeros((len(rois), channels, *pooled))
    place = np.full(top.shape, -1)
    for r, (image, x1, y1, x2, y2) in enumerate(rois):
        start_h, start_w = c_round(y1 * scale), c_round(x1 * scale)
        size_h = max(c_round(y2 * scale) - start_h + 1, 1) / pooled[0]
        size_w = max(c_round(x2 * scale) - start_w + 1, 1) / pooled[1]
        for c in range(channels):
            for i in range(pooled[0]):
                for j in range(pooled[1]):
                    best = -np.inf
                    for h in range(floor(i * size_h) + start_h, ceil((i + 1) * size_h) + start_h):
                        for w in range(
                            floor(j * size_w) + start_w, ceil((j + 1) * size_w) + start_w
                        ):
                            inside = 0 <= h < height and 0 <= w < width
                            if inside and x[int(image), c, h, w] > best:
                                best = x[int(image), c, h, w]
                                top[r, c, i, j] = best
                                place[r, c, i, j] = h * width + w
    return top, place


def psroi_pooling(
    x: np.ndarray, rois: np.ndarray, dim: int, group: int, scale: float
) -> np.ndarray:
    _, _, height, width = x.shape
    top = np.zeros((len(rois), dim, group, group))
    for r, (image, x1, y1, x2, y2) in enumerate(rois):
        start_h, start_w = c_round(y1) * scale, c_round(x1) * scale
        size_h = max((c_round(y2) + 1) * scale - start_h, 0.1) / group
        size_w = max((c_round(x2) + 1) * scale - start_w, 0.1) / group
        for d in range(dim):
            for i in range(group):
                for j in range(group):
                    values = [
                        x[int(image), (d * group + i) * group + j, h, w]
                        for h in range(
                            max(floor(i * size_h + start_h), 0),
                            min(ceil((i + 1) * size_h + start_h), height),
                        )
                        for w in range(
                            max(floor(j * size_w + start_w), 0),
                            min(ceil((j + 1) * size_w + start_w), width),
                        )
                    ]
                    top[r, d, i, j] = sum(values) / len(values) if values else 0
    return top


def roi(pooled: tuple[int, int], scale: float = 0.125) -> str:
    return (
        'layer { name: "L" type: "ROIPooling" bottom: "x" bottom: "rois" top: "y" '
        f"roi_pooling_param {{ pooled_h: {pooled[0]} pooled_w: {pooled[1]} "
        f"spatial_scale: {scale} }} }}"
    )


def psroi(dim: int, group: int, scale: float = 0.125) -> str:
    return (
        'layer { name: "L" type: "PSROIPooling" bottom: "x" bottom: "rois" top: "y" '
        f"psroi_pooling_param {{ spatial_scale: {scale} output_dim: {dim} group_size: {group} }} }}"
    )


@pytest.mark.parametrize("pooled", [(1, 1), (2, 3), (7, 5)])
@pytest.mark.parametrize("scale", [0.125, 0.0625, 1.0])
def test_roi_pooling(pooled: tuple[int, int], scale: float, tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 3, 8, 11)) - 2  # below 0: an empty bin shows
    want, _ = roi_pooling(x, ROIS, pooled, scale)
    check(roi(pooled, scale), {"x": x, "rois": ROIS}, {"y": want}, tmp_path, dynamic=())


def test_regions_and_images_are_free_in_onnx(tmp_path: Path) -> None:
    x, rois = RNG.normal(size=(2, 1, 5, 6)), ROIS[:4] / 8
    want, _ = roi_pooling(x, rois, (2, 2), 0.5)
    check(roi((2, 2), 0.5), {"x": x, "rois": rois}, {"y": want}, tmp_path)


def test_roi_pooling_of_one_pixel(tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 1, 1, 1))
    want, _ = roi_pooling(x, ROIS, (2, 2), 1 / 64)
    check(roi((2, 2), 1 / 64), {"x": x, "rois": ROIS}, {"y": want}, tmp_path, dynamic=())


def test_sizes_that_floats_do_not_divide(tmp_path: Path) -> None:
    """`9 / 7 * 7` is more than 9 in some type: the bin takes one row more, as in Caffe."""
    x = RNG.normal(size=(1, 2, 60, 60))
    ends = RNG.integers(0, 59, (40, 2))
    rois = np.concatenate([np.zeros((40, 3)), ends], 1).astype(float)
    for pooled in ((7, 7), (6, 14)):
        want, _ = roi_pooling(x, rois, pooled, 1.0)
        check(roi(pooled, 1.0), {"x": x, "rois": rois}, {"y": want}, tmp_path, onnx=False)


def test_regions_may_have_four_axes(tmp_path: Path) -> None:
    x, rois = RNG.normal(size=(2, 4, 8, 11)), ROIS.reshape(-1, 5, 1, 1)
    want, _ = roi_pooling(x, ROIS, (2, 3), 0.125)
    check(roi((2, 3)), {"x": x, "rois": rois}, {"y": want}, tmp_path, dynamic=())
    want = psroi_pooling(x, ROIS, 1, 2, 0.125)
    check(psroi(1, 2), {"x": x, "rois": rois}, {"y": want}, tmp_path, dynamic=())


def test_the_first_of_equal_values_has_the_gradient() -> None:
    x = torch.zeros(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    x.data[0, 0, 1, 2] = x.data[0, 0, 2, 1] = x.data[0, 0, 2, 2] = 1
    rois = torch.tensor([[0.0, 0, 0, 3, 3], [0, 1, 1, 3, 3]], dtype=torch.float64)
    layer = caffe_layers.ROIPooling(pooled_h=1, pooled_w=1)
    layer(x, rois).sum().backward()
    want = torch.zeros(4, 4, dtype=torch.float64)
    want[1, 2] = 2
    assert torch.equal(x.grad[0, 0], want)


def test_gradient_of_roi_pooling() -> None:
    """Ties included: few values, all places of the maxima as Caffe's loops find them."""
    x = torch.from_numpy(RNG.integers(0, 3, (2, 3, 8, 11)).astype(float)).requires_grad_()
    layer = caffe_layers.ROIPooling(pooled_h=3, pooled_w=2, spatial_scale=0.125)
    top = layer(x, torch.from_numpy(ROIS))
    slope = torch.from_numpy(RNG.normal(size=top.shape))
    top.backward(slope)
    _, place = roi_pooling(x.detach().numpy(), ROIS, (3, 2), 0.125)
    want = np.zeros(x.shape)
    for (r, c, i, j), at in np.ndenumerate(place):
        if at >= 0:
            want[int(ROIS[r, 0]), c].flat[at] += slope[r, c, i, j]
    assert np.abs(x.grad.numpy() - want).max() < 1e-12


def test_nan_never_wins() -> None:
    x = torch.full((1, 1, 2, 2), torch.nan)
    x[0, 0, 1, 1] = -5
    rois = torch.tensor([[0.0, 0, 0, 1, 1], [0, 0, 0, 0, 0]])
    top = caffe_layers.ROIPooling(pooled_h=1, pooled_w=1)(x, rois)
    assert top.flatten().tolist() == [-5, -np.finfo(np.float32).max]


@pytest.mark.parametrize("group", [1, 2, 3])
@pytest.mark.parametrize("scale", [0.125, 0.0625, 1.0])
def test_psroi_pooling(group: int, scale: float, tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 2 * group * group, 8, 11)) + 1
    want = psroi_pooling(x, ROIS, 2, group, scale)
    check(psroi(2, group, scale), {"x": x, "rois": ROIS}, {"y": want}, tmp_path, dynamic=())


def test_psroi_pooling_with_free_sizes(tmp_path: Path) -> None:
    x, rois = RNG.normal(size=(2, 4, 5, 6)), ROIS[:4]
    want = psroi_pooling(x, rois, 1, 2, 0.125)
    check(psroi(1, 2), {"x": x, "rois": rois}, {"y": want}, tmp_path)


def test_gradient_of_psroi_pooling(tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 4, 4, 5))
    rois = ROIS[[0, 1, 4, 6]] / 2
    check_gradients(psroi(1, 2), {"x": x, "rois": rois}, tmp_path)


def test_no_regions_give_nothing() -> None:
    x, rois = torch.zeros(1, 4, 3, 3), torch.zeros(0, 5)
    assert caffe_layers.ROIPooling(pooled_h=2, pooled_w=3)(x, rois).shape == (0, 4, 2, 3)
    layer = caffe_layers.PSROIPooling(spatial_scale=1, output_dim=1, group_size=2)
    assert layer(x, rois).shape == (0, 1, 2, 2)


REFUSED = {
    roi((0, 7)): ("pooled_h 0 and pooled_w 7 want 1 or more", (1, 4, 3, 3), (2, 5)),
    roi((2, 2)): (r"the regions are \(2, 4\), wants R x 5", (1, 4, 3, 3), (2, 4)),
    roi((2, 3)): (r"bottom \(1, 4\) has 2 axes, wants 4", (1, 4), (2, 5)),
    psroi(1, 3): ("has 4 channels, wants 9: output_dim 1 for each of 3 x 3", (1, 4, 3, 3), (2, 5)),
    psroi(0, 3): ("output_dim 0 wants 1 or more", (1, 4, 3, 3), (2, 5)),
}


@pytest.mark.parametrize("layer", REFUSED)
def test_refused(layer: str, tmp_path: Path) -> None:
    message, x, rois = REFUSED[layer]
    with pytest.raises(ShapeError, match=message):
        load(layer, {"x": np.zeros(x), "rois": np.zeros(rois)}, tmp_path)


@pytest.mark.parametrize("layer", [roi((2, 2)), psroi(1, 2)])
def test_a_region_of_no_image_is_refused(layer: str, tmp_path: Path) -> None:
    x, rois = torch.zeros(1, 4, 3, 3).double(), torch.tensor([[1.0, 0, 0, 2, 2]]).double()
    net = load(layer, {"x": x.numpy(), "rois": rois.numpy()}, tmp_path)
    with pytest.raises(ShapeError, match="images of the regions go from 1 to 1, wants 0 to 0"):
        net({"x": x, "rois": rois})


@pytest.mark.parametrize("opset", OPSETS)
def test_single_precision_cuts_the_same_bins_in_onnx(opset: int, tmp_path: Path) -> None:
    """Equal to the last bit: the sizes of bins are divided and multiplied in the same order."""
    x = RNG.normal(size=(1, 2, 50, 40)).astype(np.float32)
    corners = RNG.uniform(-40, 700, (300, 2, 2)).astype(np.float32)
    rois = np.concatenate([np.zeros((300, 1)), corners.min(1), corners.max(1)], 1)
    given = {"x": x, "rois": rois.astype(np.float32)}
    net = load(roi((7, 6), 0.0625), given, tmp_path, dtype=torch.float32)
    converter.export_onnx(net, tmp_path / "net.onnx", opset=opset)
    path = tmp_path / "net.onnx"
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    want = net({name: torch.from_numpy(array) for name, array in given.items()})["y"]
    assert np.array_equal(session.run(None, given)[0], want.detach().numpy())
    none = given | {"rois": np.zeros((0, 5), np.float32)}
    assert session.run(None, none)[0].shape == (0, 2, 7, 6)


@pytest.mark.parametrize("opset", OPSETS)
def test_no_regions_in_onnx(opset: int, tmp_path: Path) -> None:
    given = {"x": np.ones((1, 4, 3, 3), np.float32), "rois": np.zeros((2, 5), np.float32)}
    net = load(psroi(1, 2), given, tmp_path, dtype=torch.float32)
    converter.export_onnx(net, tmp_path / "net.onnx", opset=opset)
    path = tmp_path / "net.onnx"
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    none = given | {"rois": np.zeros((0, 5), np.float32)}
    assert session.run(None, none)[0].shape == (0, 1, 2, 2)
