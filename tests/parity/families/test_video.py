"""C3D 1.0, its text of V1 and a binary in its own blob numbers; and a 3-D U-Net."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

import converter
from tests.support.definitions import layer
from tests.support.families import end_to_end

RNG = np.random.default_rng(3)
CLIP = RNG.normal(size=(2, 3, 4, 16, 16)).astype(np.float32)


def v1(name: str, kind: str, bottom: str, top: str, param: str = "") -> str:
    return f'layers {{ name: "{name}" type: {kind} bottom: "{bottom}" top: "{top}" {param} }}\n'


def convolved(name: str, bottom: str, outputs: int) -> str:
    param = f"num_output: {outputs} kernel_size: 3 kernel_depth: 3 pad: 1 temporal_pad: 1"
    return v1(name, "CONVOLUTION3D", bottom, name,
              f"blobs_lr: 1 blobs_lr: 2 convolution_param {{ {param} }}") + v1(
        f"{name}_relu", "RELU", name, name
    )  # fmt: skip


def pooled(name: str, bottom: str, length: int) -> str:
    param = f"pool: MAX kernel_size: 2 kernel_depth: {length} stride: 2 temporal_stride: {length}"
    return v1(name, "POOLING3D", bottom, name, f"pooling_param {{ {param} }}")


C3D = (
    'name: "clips"\nlayers { name: "data" type: VIDEO_DATA top: "data" top: "label" '
    'image_data_param { source: "list.txt" use_image: true batch_size: 2 crop_size: 16 '
    "new_length: 4 show_data: 0 } }\n"
    + convolved("conv1a", "data", 4)
    + pooled("pool1", "conv1a", 1)
    + convolved("conv2a", "pool1", 5)
    + pooled("pool2", "conv2a", 2)
    + v1("fc6", "INNER_PRODUCT", "pool2", "fc6", "inner_product_param { num_output: 6 }")
    + v1("drop6", "DROPOUT", "fc6", "fc6", "dropout_param { dropout_ratio: 0.5 }")
    + v1("prob", "SOFTMAX", "fc6", "prob")
    + 'layers { name: "acc" type: ACCURACY bottom: "prob" bottom: "label" top: "accuracy" }\n'
)
BLOBS = {
    "conv1a": (30, [(4, 3, 3, 3, 3), (1, 1, 1, 1, 4)]),
    "conv2a": (30, [(5, 4, 3, 3, 3), (1, 1, 1, 1, 5)]),
    "fc6": (14, [(1, 1, 1, 6, 160), (1, 1, 1, 1, 6)]),
}
"""Layer -> its number among V1's types, and the shapes of its blobs in C3D's five sizes."""


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def chunk(field: int, data: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(data)) + data


def binary(arrays: dict[str, list[np.ndarray]]) -> bytes:
    """Return a caffemodel as C3D 1.0 writes it: sizes at 1 to 5, values at 6."""
    layers = b""
    for name, (kind, shapes) in BLOBS.items():
        body = chunk(4, name.encode()) + number(5, kind)
        for shape, array in zip(shapes, arrays[name], strict=True):
            sizes = b"".join(number(field, size) for field, size in enumerate(shape, 1))
            values = struct.pack(f"<{array.size}f", *array.ravel())
            body += chunk(6, sizes + chunk(6, values))
        layers += chunk(2, body)
    return chunk(1, b"clips") + layers


def test_c3d_with_a_binary_of_its_own(tmp_path: Path) -> None:
    arrays = {
        name: [RNG.normal(size=shape, scale=0.2).astype(np.float32) for shape in shapes]
        for name, (_, shapes) in BLOBS.items()
    }
    weights = tmp_path / "c3d.caffemodel"
    weights.write_bytes(binary(arrays))
    shapes = {"data": CLIP.shape, "label": (2,)}
    tops = end_to_end(C3D, {"data": CLIP}, tmp_path, weights=weights, input_shapes=shapes)
    assert list(tops) == ["prob"]
    assert tops["prob"].shape == (2, 6)
    np.testing.assert_allclose(tops["prob"].sum(1), 1, rtol=1e-5)
    net = converter.load(tmp_path / "net.prototxt", weights, input_shapes=shapes)
    for name, own in arrays.items():
        for blob, array in zip(net.params[name], own, strict=True):
            np.testing.assert_array_equal(blob.detach().numpy().ravel(), array.ravel())
    want = features(torch.from_numpy(CLIP), arrays)
    np.testing.assert_allclose(tops["prob"], want.softmax(1).numpy(), rtol=1e-4, atol=1e-6)


def features(x: torch.Tensor, arrays: dict[str, list[np.ndarray]]) -> torch.Tensor:
    """Return what the network makes of clips before its softmax, in torch's own operators."""
    functional = torch.nn.functional
    for name, length in (("conv1a", 1), ("conv2a", 2)):
        weight, bias = map(torch.from_numpy, arrays[name])
        x = functional.conv3d(x, weight, bias.ravel(), padding=1).relu()
        x = functional.max_pool3d(x, (length, 2, 2))
    weight, bias = map(torch.from_numpy, arrays["fc6"])
    return functional.linear(x.flatten(1), weight.reshape(6, -1), bias.ravel())


def solid(name: str, kind: str, bottom: str, outputs: int, kernel: int, more: str = "") -> str:
    return layer(
        name, kind, bottom, name,
        f"convolution_param {{ num_output: {outputs} kernel_size: {kernel} {more} "
        'weight_filler { type: "msra" } }',
    )  # fmt: skip


UNET = (
    'input: "data" input_shape { dim: 1 dim: 1 dim: 8 dim: 12 dim: 12 }\n'
    + solid("down1", "Convolution", "data", 4, 5, "pad: 2")
    + layer("norm1", "BatchNorm", "down1", "norm1")
    + layer("scale1", "Scale", "norm1", "norm1", "scale_param { bias_term: true }")
    + layer("act1", "PReLU", "norm1", "act1")
    + layer("again", "Concat", "data data data data", "again")
    + layer("sum", "Eltwise", "act1 again", "sum")
    + solid("down2", "Convolution", "sum", 6, 2, "stride: 2")
    + layer("act2", "PReLU", "down2", "act2")
    + layer("small", "Pooling", "act2", "small", "pooling_param { kernel_size: 2 stride: 2 }")
    + solid("up2", "Deconvolution", "small", 6, 2, "stride: 2")
    + layer("join2", "Concat", "up2 act2", "join2")
    + solid("up1", "Deconvolution", "join2", 4, 2, "stride: 2")
    + layer("join1", "Concat", "up1 sum", "join1")
    + solid("score", "Convolution", "join1", 2, 1)
    + layer("flat", "Reshape", "score", "flat", "reshape_param { shape { dim: 0 dim: 2 dim: -1 } }")
    + layer("prob", "Softmax", "flat", "prob")
)


def test_unet_over_volumes(tmp_path: Path) -> None:
    """V-Net's parts: volumes added and joined, PReLU, strided convolutions down and back up."""
    x = RNG.normal(size=(1, 1, 8, 12, 12)).astype(np.float32)
    tops = end_to_end(UNET, {"data": x}, tmp_path)
    assert tops["prob"].shape == (1, 2, 8 * 12 * 12)
    np.testing.assert_allclose(tops["prob"].sum(1), 1, rtol=1e-5)
    assert tops["prob"].std() > 0.01


@pytest.mark.parametrize("length", [8, 4])
def test_unet_of_another_length_has_that_many_scores(length: int, tmp_path: Path) -> None:
    x = RNG.normal(size=(1, 1, length, 12, 12)).astype(np.float32)
    shapes = {"data": x.shape}
    tops = end_to_end(UNET, {"data": x}, tmp_path, input_shapes=shapes)
    assert tops["prob"].shape == (1, 2, length * 144)
