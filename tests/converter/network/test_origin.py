"""Where a network came from, and what carries it on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import converter
import prototxt
from converter.preprocessing import preprocessing_of

TEMPLATE = """name: "SENet-154"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 3, 8, 8] } } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc"
  inner_product_param { num_output: ${CLASSES} weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "fc" top: "fc" }
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "net.prototxt"
    path.write_text(TEMPLATE)
    return path


def metadata_of(net: converter.CaffeNet, folder: Path) -> dict[str, str]:
    return converter.export_onnx(net, folder / "net.onnx").metadata


def test_an_optimised_template_is_preprocessed_as_before(template: Path) -> None:
    net = converter.load(template, values={"CLASSES": "4"})
    image = np.zeros((9, 10, 3), np.uint8)
    before, after = (converter.preprocess(each)([image]) for each in (net, net.optimize()))
    assert before.equal(after)


def test_preprocessing_needs_the_file_no_more(template: Path) -> None:
    text = TEMPLATE.replace('"Input" top: "data"', '"MemoryData" top: "data" top: "label"').replace(
        "input_param { shape { dim: [1, 3, 8, 8] } }",
        "memory_data_param { batch_size: 1 channels: 3 height: 8 width: 8 }"
        " transform_param { mean_value: 7 }",
    )
    template.write_text(text)
    net = converter.load(template, values={"CLASSES": "4"})
    template.unlink()
    wanted = preprocessing_of(net)
    assert wanted.mean == (7.0,)
    assert wanted.origin == "transform_param of layer 'data', TEST"


def test_an_optimised_network_is_of_the_same_origin(template: Path) -> None:
    net = converter.load(template, values={"CLASSES": "4"})
    net.force_backward = True
    faster = net.optimize()
    assert (faster.optimized, net.optimized) == (True, False)
    assert faster.template == net.template == {"CLASSES": "4"}
    assert faster.force_backward
    assert (faster.source, faster.sources) == (net.source, net.sources)
    assert (faster.loaded, faster.input_shapes) == (net.loaded, net.input_shapes)
    assert faster.notes[: len(net.notes)] == net.notes


def test_a_definition_that_was_read_is_the_net_of_the_metadata(tiny_sk: Path, tmp_path: Path):
    files = (tiny_sk / "tiny_sk.prototxt", tiny_sk / "tiny_final_iter_12.caffemodel")
    read = converter.load(prototxt.read_net(files[0]), files[1])
    assert metadata_of(read, tmp_path) == metadata_of(converter.load(*files), tmp_path)


def test_a_definition_of_no_file_has_weights_alone(tiny_sk: Path, tmp_path: Path) -> None:
    text = (tiny_sk / "tiny_sk.prototxt").read_text()
    weights = tiny_sk / "tiny_final_iter_12.caffemodel"
    said = metadata_of(converter.load(prototxt.parse_text(text), weights), tmp_path)
    assert said.keys() == {"caffeport.version", "caffe.weights", "caffe.weights.sha256"}
    assert said["caffe.weights"] == weights.name


def test_a_lone_caffemodel_is_the_net(tiny_sk: Path, tmp_path: Path) -> None:
    weights = tiny_sk / "tiny_final_iter_12.caffemodel"
    said = metadata_of(converter.load(weights), tmp_path)
    assert said.keys() == {"caffeport.version", "caffe.net", "caffe.net.sha256"}
    assert said["caffe.net"] == weights.name
