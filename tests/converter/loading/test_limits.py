"""What no machine can build or compute: a message with the layer, whatever its numbers are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import caffe_layers.memory
import converter
from converter.__main__ import main
from converter.check import check
from prototxt import CaffeError, ShapeError, UnsupportedError, read_net

INPUT = """layer { name: "in" type: "Input" top: "x"
  input_param { shape { dim: 1 dim: 3 dim: 16 dim: 16 } } }\n"""
LAYER = 'layer { name: "L" type: "%s" bottom: "x" top: "y" %s }'

REFUSED = {
    "weights beyond 64 bits": (
        "InnerProduct",
        "inner_product_param { num_output: 2147483647 }",
        "x: 1, 3, 30000, 30000",
        "no memory holds blob 'weight', 2147483647x2700000000, 23,192,823,387,600,000,000 bytes",
    ),
    "a top beyond 64 bits": (
        "Convolution",
        "convolution_param { num_output: 10 pad: 2147483647 kernel_size: 3 bias_term: false }",
        "x: 1, 3, 16, 66",
        "top (1, 10, 4294967308, 4294967358) has 184,467,443,915,371,322,640 values",
    ),
    "a dilation of 0": (
        "Convolution",
        "convolution_param { num_output: 2 kernel_size: 3 dilation: 0 }",
        "x: 1, 3, 16, 16",
        "dilation (0, 0) wants 1 or more",
    ),
    "a padding that eats the top": (
        "Deconvolution",
        "convolution_param { num_output: 2 kernel_size: 3 pad: 20 }",
        "x: 1, 3, 16, 16",
        "the top would be (1, 2, -22, -22)",
    ),
    "an infinite size": (
        "Resample",
        "resample_param { factor: inf }",
        "x: 1, 3, 16, 16",
        "its numbers lead beyond what can be computed: cannot convert float infinity to integer",
    ),
    "a pyramid of billions of levels": (
        "SPP",
        "spp_param { pyramid_height: 2147483647 }",
        "x: 1, 3, 16, 16",
        "pyramid_height 2147483647: 16 is too small for it",
    ),
}


def definition(folder: Path, layers: str, shape: str = "1, 3, 16, 16") -> Path:
    path = folder / "net.prototxt"
    dims = " ".join(f"dim: {size}" for size in shape.split(", "))
    path.write_text(INPUT.replace("dim: 1 dim: 3 dim: 16 dim: 16", dims) + layers)
    return path


@pytest.mark.parametrize("case", REFUSED)
def test_numbers_beyond_what_can_be_computed(case, tmp_path, capsys):
    kind, param, shape, said = REFUSED[case]
    path = definition(tmp_path, LAYER % (kind, param), shape.removeprefix("x: "))
    with pytest.raises(CaffeError) as caught:
        converter.load(path)
    assert f"layer 'L' ({kind}): {said}" in str(caught.value)
    assert said in check(path).text()
    assert main(["show", str(path)]) == 1
    assert said in capsys.readouterr().err


def test_more_tops_than_a_layer_makes(tmp_path):
    path = definition(tmp_path, 'layer { name: "L" type: "DetectionData" top: "a" top: "b" }')
    with pytest.raises(ShapeError, match=r"layer 'L' \(DetectionData\): 2 tops, wants "):
        converter.load(path)
    assert "2 tops, wants" in check(path).text()


def test_what_a_definition_feeds_may_be_too_much_as_well(tmp_path):
    path = definition(tmp_path, LAYER % ("ReLU", ""), "1, 2147483647, 2147483647, 2147483647")
    with pytest.raises(ShapeError, match=r"layer 'in' \(Input\): top \(1, 2147483647, .* values"):
        converter.load(path)
    assert "has 9,903,520,300,447,984,150,353,281,023 values" in check(path).text()


def test_a_message_of_a_dialect_that_lacks_a_field(tmp_path):
    class Elsewhere(caffe_layers.ReLU):
        @classmethod
        def from_caffe(cls, layer, bottoms):
            return layer.detection_data_param

    Elsewhere.__module__ = "caffe_layers.elsewhere"
    layer = read_net(definition(tmp_path, LAYER % ("ReLU", ""))).layers[1]
    with pytest.raises(UnsupportedError, match="has no detection_data_param, which Elsewhere"):
        caffe_layers.build(layer, [(1, 3, 16, 16)], Elsewhere)


def test_many_classes_take_no_list_of_them():
    vast = caffe_layers.DetectionEvaluate(num_classes=1 << 60)
    assert vast.shapes((1, 1, 5, 7), (1, 1, 2, 8)) == [(1, 1, (1 << 60) - 1 + 5, 5)]
    few = caffe_layers.DetectionEvaluate(num_classes=3, background_label_id=1)
    assert few.shapes((1, 1, 5, 7), (1, 1, 2, 8)) == [(1, 1, 2 + 5, 5)]
    none = caffe_layers.DetectionEvaluate(num_classes=3, background_label_id=-1)
    assert none.shapes((1, 1, 5, 7), (1, 1, 2, 8)) == [(1, 1, 3 + 5, 5)]


def test_many_classes_to_detect_take_no_list_of_them():
    vast = caffe_layers.DetectionOutput(num_classes=1 << 40, nms_threshold=0.5, top_k=10)
    assert vast.label_count == (1 << 40) - 1
    assert caffe_layers.DetectionOutput(num_classes=3, background_label_id=-1).labels == (0, 1, 2)


BLOB = "inner_product_param { num_output: 1000000 }"
BYTES = 1_000_000 * 768 * 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_free_is_looked_at_before_blobs_are_made(dtype, tmp_path, monkeypatch):
    share = dtype.itemsize / 4
    path = definition(tmp_path, LAYER % ("InnerProduct", BLOB))
    monkeypatch.setattr(caffe_layers.memory, "free_memory", lambda: BYTES * share - 1)
    blob = r"layer 'L' \(InnerProduct\): memory does not hold blob 'weight', 1000000x768"
    with pytest.raises(UnsupportedError, match=f"{blob}, {BYTES:,} bytes"):
        converter.load(path, dtype=dtype)
    assert main(["show", str(path)]) == 0


def test_blobs_count_together(tmp_path, monkeypatch):
    small = "inner_product_param { num_output: 100000 bias_term: false }"
    layer = LAYER % ("InnerProduct", small)
    layers = layer + layer.replace('"L"', '"M"').replace('"y"', '"z"')
    path = definition(tmp_path, layers)
    monkeypatch.setattr(caffe_layers.memory, "free_memory", lambda: 1.5 * BYTES / 10)
    with pytest.raises(UnsupportedError, match=r"layer 'M' \(InnerProduct\): memory does not hold"):
        converter.load(path)


def test_the_free_memory_is_a_number_of_bytes():
    assert caffe_layers.memory.free_memory() > 1 << 20
