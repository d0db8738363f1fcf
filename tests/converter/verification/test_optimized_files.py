"""Files that an optimiser wrote of ours: what is left of the blobs is compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import converter

NET = """name: "net"
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: [2, 4, 6, 6] } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "conv"
  convolution_param { num_output: 8 kernel_size: 1 pad: 1 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "drop" type: "Dropout" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool"
  pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 } }
layer { name: "ip" type: "InnerProduct" bottom: "pool" top: "ip"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
"""
LEVELS = ("ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL")


@pytest.fixture
def net(tmp_path: Path) -> converter.CaffeNet:
    (tmp_path / "net.prototxt").write_text(NET)
    return converter.load(tmp_path / "net.prototxt")


def saved(net: converter.CaffeNet, folder: Path, level: str) -> Path:
    """Return the file that ONNX Runtime writes of ours after its own optimisations."""
    converter.export_onnx(net, folder / "net.onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.optimized_model_filepath = str(folder / "saved.onnx")
    path, providers = str(folder / "net.onnx"), ["CPUExecutionProvider"]
    onnxruntime.InferenceSession(path, options, providers=providers)
    return folder / "saved.onnx"


@pytest.mark.parametrize("level", LEVELS)
def test_onnx_runtimes_own_file_is_verified(
    level: str, net: converter.CaffeNet, tmp_path: Path
) -> None:
    path = saved(net, tmp_path, level)
    graph = onnx.load(path).graph
    made = {name for node in graph.node for name in node.output}
    typed = {info.name for info in graph.value_info} | {"ip"}
    tops = [top for step in net.steps for top in step.tops if not step.cls.is_source]
    gone = [top for top in tops if top in typed - made]
    assert gone, "it leaves no type of a blob that is gone: this test has lost its case"
    report = converter.verify(net, path)
    assert report.passed, report.text()
    shipped, exposed = report.comparisons[:2]
    assert [row.blob for row in shipped.rows] == ["ip"]
    assert [row.blob for row in exposed.rows] == [top for top in tops if top in made & typed]
    assert len(exposed.rows) > 1 or level == "ORT_ENABLE_ALL"


def test_what_is_wrong_in_such_a_file_is_told(net: converter.CaffeNet, tmp_path: Path) -> None:
    path = saved(net, tmp_path, "ORT_ENABLE_BASIC")
    model = onnx.load(path)
    weight = next(one for one in model.graph.initializer if one.name == "conv.weight")
    changed = onnx.numpy_helper.to_array(weight) * np.float32(1.1)
    weight.CopyFrom(onnx.numpy_helper.from_array(changed, weight.name))
    onnx.save(model, path)
    report = converter.verify(net, path)
    assert not report.passed
    assert report.first_bad is not None


def test_our_own_file_has_no_weight_that_nobody_reads(
    net: converter.CaffeNet, tmp_path: Path
) -> None:
    """ONNX Runtime warns of each such constant whenever it opens the file."""
    converter.export_onnx(net, tmp_path / "net.onnx")
    graph = onnx.load(tmp_path / "net.onnx").graph
    read = {name for node in graph.node for name in node.input}
    assert {weight.name for weight in graph.initializer} <= read
