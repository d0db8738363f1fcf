"""DeconvNet's Unpooling, accuracy and windows against loops, and its definitions of V1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import converter
from prototxt import CaffeError, ShapeError, UnsupportedError
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(1701)


def layer(fields: str, *, mask: bool = True) -> str:
    masked = 'bottom: "mask"' if mask else ""
    return (
        f'layer {{ name: "L" type: "Unpooling" bottom: "x" {masked} top: "y" '
        f"unpooling_param {{ {fields} }} }}"
    )


def unpooled(
    x: np.ndarray, mask: np.ndarray | None, size: tuple[int, int], stride: tuple[int, int]
) -> np.ndarray:
    top = np.zeros((*x.shape[:2], size[0] * size[1]))
    for n, c, i, j in np.ndindex(x.shape):
        row, column = min(i * stride[0], size[0] - 1), min(j * stride[1], size[1] - 1)
        place = row * size[1] + column if mask is None else int(mask[n, c, i, j])
        top[n, c, place] = x[n, c, i, j]
    return top.reshape(*x.shape[:2], *size)


def places(shape: tuple[int, ...], count: int, *, twice: bool = False) -> np.ndarray:
    each = shape[2] * shape[3]
    rows = [RNG.choice(count, each, replace=twice) for _ in range(shape[0] * shape[1])]
    return np.stack(rows).reshape(shape).astype(float)


SIZES = [
    ("kernel_size: 2 stride: 2 unpool_size: 6", (2, 3, 3, 3), (6, 6), (2, 2)),
    ("kernel_size: 2 stride: 2 unpool_h: 5 unpool_w: 8", (1, 2, 3, 4), (5, 8), (2, 2)),
    ("kernel_size: 2 stride: 2", (2, 1, 3, 4), (7, 9), (2, 2)),
    ("kernel_size: 4 stride: 2", (2, 1, 3, 4), (8, 10), (2, 2)),
    ("kernel_h: 2 kernel_w: 5 stride_h: 2 stride_w: 3 unpool: MAX", (1, 2, 2, 3), (5, 11), (2, 3)),
    ("kernel_size: 3", (1, 1, 2, 2), (4, 4), (1, 1)),
]


@pytest.mark.parametrize(("fields", "shape", "size", "stride"), SIZES)
def test_unpooling(
    fields: str,
    shape: tuple[int, ...],
    size: tuple[int, int],
    stride: tuple[int, int],
    tmp_path: Path,
) -> None:
    x, mask = RNG.standard_normal(shape), places(shape, size[0] * size[1])
    text = layer(fields)
    check(text, {"x": x, "mask": mask}, {"y": unpooled(x, mask, size, stride)}, tmp_path)
    check_gradients(text, {"x": x, "mask": mask}, tmp_path)
    alone = layer(fields, mask=False)
    check(alone, {"x": x}, {"y": unpooled(x, None, size, stride)}, tmp_path)
    check_gradients(alone, {"x": x}, tmp_path)


def test_of_several_values_the_last_stays_and_each_gets_the_gradient(tmp_path: Path) -> None:
    x = np.arange(1.0, 5).reshape(1, 1, 2, 2)
    mask = np.array([[[[0.0, 5], [5, 3]]]])
    net = load(layer("kernel_size: 2 stride: 2 unpool_size: 3"), {"x": x, "mask": mask}, tmp_path)
    leaf = torch.from_numpy(x).requires_grad_()
    top = net({"x": leaf, "mask": torch.from_numpy(mask)})["y"]
    assert top.flatten().tolist() == [1, 0, 0, 4, 0, 3, 0, 0, 0]
    (top * torch.arange(10.0, 19).reshape(top.shape)).sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.flatten().tolist() == [10, 15, 15, 13]


def test_places_beyond_the_end_are_the_last(tmp_path: Path) -> None:
    x = np.arange(1.0, 10).reshape(1, 1, 3, 3)
    net = load(layer("kernel_size: 2 stride: 2 unpool_size: 4", mask=False), {"x": x}, tmp_path)
    top = net({"x": torch.from_numpy(x)})["y"][0, 0]
    assert top.tolist() == [[1, 0, 2, 3], [0] * 4, [4, 0, 5, 6], [7, 0, 8, 9]]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("kernel_size: 2 unpool: AVE", "unpool AVE adds to what the top's memory held"),
        ("kernel_size: 2 unpool: TILE", "unpool TILE adds"),
        ("stride: 2", "wants kernel_size, or kernel_h and kernel_w"),
        ("kernel_size: 2 pad: 1", r"pad \(1, 1\), wants 0"),
        ("kernel_h: 2", "kernel_h and kernel_w: only one of them is set"),
        ("kernel_size: 2 kernel_h: 2 kernel_w: 2", "wants one of the two"),
        ("kernel_size: 0", "wants 1 or more"),
    ],
)
def test_refused(fields: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=message):
        load(layer(fields, mask=False), {"x": np.ones((1, 1, 2, 2))}, tmp_path)


def test_bottoms_that_do_not_fit(tmp_path: Path) -> None:
    x, other = np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 3))
    with pytest.raises(ShapeError, match="its mask"):
        load(layer("kernel_size: 2"), {"x": x, "mask": other}, tmp_path)
    net = load(layer("kernel_size: 2 stride: 2 unpool_size: 3"), {"x": x, "mask": x}, tmp_path)
    with pytest.raises(ShapeError, match="mask's places"):
        net({"x": torch.ones(1, 1, 2, 2), "mask": torch.full((1, 1, 2, 2), 9.0)})


def test_places_by_size_want_a_fixed_size(tmp_path: Path) -> None:
    free = ("batch", "height", "width")
    x = np.ones((1, 1, 2, 2))
    net = load(layer("kernel_size: 2", mask=False), {"x": x}, tmp_path, dtype=torch.float32)
    with pytest.raises(UnsupportedError, match="height and width, which cannot be free"):
        converter.export_onnx(net, tmp_path / "a.onnx", dynamic=free)
    both = {"x": x, "mask": x}
    net = load(layer("kernel_size: 2 unpool_size: 3"), both, tmp_path, dtype=torch.float32)
    converter.export_onnx(net, tmp_path / "a.onnx", dynamic=free)


def share(x: np.ndarray, label: np.ndarray, top_k: int, ignored: int | None) -> float:
    hits = counted = 0
    for n, _, i, j in np.ndindex(label.shape):
        if label[n, 0, i, j] == ignored:
            continue
        order = sorted(range(x.shape[1]), key=lambda k: (x[n, k, i, j], k), reverse=True)
        hits += int(label[n, 0, i, j]) in order[:top_k]
        counted += 1
    return hits / counted


@pytest.mark.parametrize(("fields", "top_k", "ignored"), [("", 1, None), ("top_k: 2", 2, None),
    ("ignore_label: 255", 1, 255), ("top_k: 3 ignore_label: 0", 3, 0)])  # fmt: skip
def test_eltwise_accuracy(fields: str, top_k: int, ignored: int | None, tmp_path: Path) -> None:
    x = RNG.integers(0, 3, (2, 5, 4, 3)).astype(float)  # many are equal
    label = RNG.integers(0, 5, (2, 1, 4, 3)).astype(float)
    if ignored == 255:
        label[0, 0, 1] = 255
    text = (
        'layer { name: "L" type: "EltwiseAccuracy" bottom: "x" bottom: "label" top: "y" '
        f"eltwise_accuracy_param {{ {fields} }} }}"
    )
    want = np.full((1, 1, 1, 1), share(x, label, top_k, ignored))
    assert 0 < want < 1
    check(text, {"x": x, "label": label}, {"y": want}, tmp_path)
    with pytest.raises(ShapeError, match=r"labels \(2, 5, 4, 3\) want to be"):
        load(text, {"x": x, "label": x}, tmp_path)


DECONVNET = """
layers { name: "data" type: WINDOW_SEG_DATA top: "data" top: "label"
  image_data_param { source: "no_list" label_type: PIXEL batch_size: 2 }
  transform_param { crop_size: 8 } }
layers { name: "pool" type: POOLING bottom: "data" top: "pool" top: "mask"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layers { name: "bn" type: BN bottom: "pool" top: "pool" bn_param {
  scale_filler { type: 'constant' value: 2 } shift_filler { type: 'constant' value: 0.5 }
  bn_mode: INFERENCE } }
layers { name: "unpool" type: UNPOOLING bottom: "pool" bottom: "mask" top: "unpool"
  unpooling_param { unpool: MAX kernel_size: 2 stride: 2 unpool_size: 8 } }
layers { name: "accuracy" type: ELTWISE_ACCURACY bottom: "unpool" bottom: "label" top: "accuracy"
  eltwise_accuracy_param { ignore_label: 255 } include: { phase: TEST } }
"""


def test_a_definition_of_v1(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(DECONVNET)
    net = converter.load(path)
    assert net.shapes()["unpool"] == (2, 3, 8, 8)
    assert net.input_shapes == {"data": (2, 3, 8, 8), "label": (2, 1, 8, 8)}
    x = torch.rand(2, 3, 8, 8)
    top = net({"data": x})["unpool"]
    pooled, places = torch.nn.functional.max_pool2d(x, 2, 2, return_indices=True)
    want = torch.nn.functional.max_unpool2d(pooled * 2 + 0.5, places, 2, 2)
    torch.testing.assert_close(top, want)


def test_a_bn_alone_tells_its_fork(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(
        'input: "data" input_dim: 1 input_dim: 3 input_dim: 4 input_dim: 4\n'
        "layers { bottom: 'data' top: 'data' name: 'bn' type: BN bn_param { "
        "scale_filler { value: 3 } bn_mode: INFERENCE } }"
    )
    x = torch.rand(1, 3, 4, 4)
    torch.testing.assert_close(converter.load(path)(x)["data"], 3 * x)
