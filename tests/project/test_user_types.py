"""A user's own file passes `mypy --strict`, and what it misspells does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

FILE = """
from pathlib import Path

import torch
from torch import Tensor

import caffe_layers
import converter
from caffe_layers import Layer, Op, Shape, Values
from prototxt.nets.sknet import sknet50


class Gate(Layer, type="Gate", fork="mine"):
    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return x * x.sigmoid()

    def onnx(self, op: Op, x: str) -> Values:
        return op.Mul(x, op.Sigmoid(x))


def main(folder: Path) -> bool:
    net = converter.load(folder / "net.prototxt", folder / "net.caffemodel", dtype=torch.float64)
    blobs: dict[str, Tensor] = net.blobs({"data": torch.zeros(1, 3, 8, 8)})
    weight: Tensor = net.params["conv"][0]
    axpy, norm = caffe_layers.Axpy(), caffe_layers.CuDNNBatchNorm(64, momentum=0.95)
    layers: list[Layer] = [axpy, norm, net.layers["conv"]]
    converter.export_onnx(net, folder / "net.onnx", opset=17, dynamic=("batch",))
    report = converter.convert(folder / "net.prototxt", None, folder, formats=["onnx"], opset=17)
    return report.passed and len(blobs) > len(layers) and weight.dim() == 4
"""
MISSPELT = {
    "Axpi": "caffe_layers.Axpi()",
    "Sigmoyd": "op.Sigmoyd(x)",
    "nam": 'op.Mul(x, x, nam="y")',
    "sclar": "op.Mul(x, op.sclar(2))",
    "opsett": "converter.convert(folder, None, folder, opsett=17)",
    "strid": "caffe_layers.Convolution(3, num_output=8, kernel_size=3, strid=2)",
    "tranpose": "caffe_layers.TernaryInnerProduct(4, 2, tranpose=True)",
    "min_sizes": "caffe_layers.MovedPriorBox(min_size=[9], min_sizes=[9])",
    "num_classes": "caffe_layers.TextDetectionOutput(top_k=3)",
    "clases": "sknet50(clases=9)",
    "meen": 'converter.preprocess(net, meen="104,117,123")',
    "grups": "converter.sknet.sknet50(grups=1)",
    "momentun": "converter.training.SGD(net.parameters(), 0.1, momentun=0.9)",
}

MISTYPED = {
    "transpose": 'caffe_layers.TernaryInnerProduct(4, 2, transpose="yes")',
    "kernel_size": "caffe_layers.Winograd(3, num_output=8, kernel_size=3.5)",
    "top_k": 'caffe_layers.TextDetectionOutput(num_classes=2, top_k="all")',
    "alpha": 'op.append("Elu", x, alpha=object())',
}


def checked(folder: Path, text: str) -> str:
    (folder / "user.py").write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "user.py"]
    command += ["--follow-imports=silent", "--cache-dir", str(folder.parent / "mypy")]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_a_users_file_is_typed(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="mypy is not there")
    assert checked(tmp_path, FILE).startswith("Success")
    words = "op: Op, x: str, folder: Path, net: converter.CaffeNet"
    lines = [FILE, f"def wrong({words}) -> object:", "    return ("]
    wrong = [*MISSPELT.values(), *MISTYPED.values()]
    said = checked(
        tmp_path, "\n".join([*lines, *(f"        {each}," for each in wrong), "    )\n"])
    )
    for name in (*MISSPELT, *MISTYPED):
        assert f'"{name}"' in said, said
    assert f"Found {len(wrong)} errors" in said
