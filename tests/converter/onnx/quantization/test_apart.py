"""Layers of float32 among eight bits, which ONNX Runtime would round by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import converter
from converter.onnx.quantization import quantize
from converter.onnx.quantization.calibration import Calibration
from converter.onnx.quantization.decibels import decibels
from converter.onnx.runtime import run_onnx
from tests.support.definitions import convolution, layer

INPUT = layer("data", "Input", "", "data", "input_param { shape { dim: [1, 3, 12, 12] } }")
POOL = layer("pool", "Pooling", "first", "pool", "pooling_param { pool: MAX kernel_size: 2 }")
UP = layer("middle", "Deconvolution", "first", "middle", "convolution_param { num_output: 8 "
           "kernel_size: 2 stride: 2 weight_filler { type: 'msra' } }")  # fmt: skip
PRODUCT = "inner_product_param { num_output: 6 weight_filler { type: 'msra' } }"
BESIDE = layer("beside", "InnerProduct", "first", "beside", PRODUCT)
FLAT = (
    layer("middle", "InnerProduct", "first", "middle", PRODUCT)
    + BESIDE
    + layer("sum", "Eltwise", "middle beside", "sum")
)


def load(folder: Path, middle: str) -> converter.CaffeNet:
    """Return a network whose middle layer has weights that one scale would lose.

    Those that read a channel which is always 0 are a thousand times as large as the others.
    """
    first, last = convolution("first", "data", 6, 3), convolution("last", "middle", 4)
    if middle == FLAT:
        first = layer("first", "InnerProduct", "data", "first", PRODUCT)
        last = layer("last", "InnerProduct", "sum", "last", PRODUCT)
    text = INPUT + first + middle + last
    (folder / "net.prototxt").write_text(text)
    net = converter.load(folder / "net.prototxt")
    with torch.no_grad():
        for blob in net.params["first"]:
            blob[0].zero_()
        weight = net.params["middle"][0]
        ahead = 0 if net.layers["middle"].caffe_type == "Deconvolution" else 1
        weight.select(ahead, 0).mul_(1000)
    return net


@pytest.mark.parametrize(
    "middle",
    [
        convolution("middle", "first", 8, 3),
        POOL + convolution("middle", "pool", 8, 3),
        convolution("middle", "first", 8, 3) + layer("relu", "ReLU", "middle", "middle"),
        UP,
        POOL + UP.replace("first", "pool"),
        FLAT,
    ],
    ids=["convolution", "pooled", "rectified", "transposed", "transposed, pooled", "flat"],
)
def test_a_float32_layer_between_eight_bits_is_one(
    tmp_path: Path, middle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, path = load(tmp_path, middle), tmp_path / "net.onnx"
    monkeypatch.setattr(quantize, "_by_layer", lambda *_: {"middle": 12.0})
    x = np.random.default_rng(1701).standard_normal((1, 3, 12, 12)).astype(np.float32)
    converter.export_onnx(net, path, calibration=Calibration([{"data": x}]))
    assert "middle.weight" in {one.name for one in onnx.load(path).graph.initializer}
    got = run_onnx(path, {"data": x})["last"]
    want = net({"data": torch.from_numpy(x)})["last"].detach().numpy()
    assert decibels(np.square(got - want).sum(), np.square(want).sum()) > 25
    assert converter.verify(net, path, inputs={"data": x}).passed
