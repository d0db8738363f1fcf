"""Networks that learned with margins, as they are used: without labels, and without the margin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import converter
from prototxt import CaffeError
from tests.support.opsets import OPSETS
from tests.support.recorded import assert_close

DEFINITION = """
layer { name: "data" type: "HDF5Data" top: "data" top: "label" hdf5_data_param {
  source: "train.txt" batch_size: 2 } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" inner_product_param {
  num_output: 4 weight_filler { type: "xavier" } } }
%s
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "label" top: "loss" }
"""
PRODUCT = 'num_output: 3 type: QUADRUPLE weight_filler { type: "xavier" }'
MARGINS = {
    "LargeMarginInnerProduct": "largemargin_inner_product_param",
    "MarginInnerProduct": "margin_inner_product_param",
    "LabelSpecificAdd": "label_specific_add_param",
    "LabelSpecificRescale": "label_specific_rescale_param",
    "CosinAddm": "cosin_add_m_param",
}
FIELDS = {
    "LabelSpecificAdd": "bias: -0.35",
    "LabelSpecificRescale": "positive_weight: 2",
    "CosinAddm": "m: 0.5",
}


def definition(kind: str, folder: Path) -> Path:
    fields = FIELDS.get(kind, PRODUCT)
    text = (
        f'layer {{ name: "head" type: "{kind}" bottom: "fc" bottom: "label" top: "y" '
        f"{MARGINS[kind]} {{ {fields} }} }}"
    )
    path = folder / "net.prototxt"
    path.write_text(DEFINITION % text)
    return path


@pytest.mark.parametrize("kind", MARGINS)
def test_deployed_margins_are_plain(kind: str, tmp_path: Path) -> None:
    path, shapes = definition(kind, tmp_path), {"data": (2, 5)}
    net = converter.load(path, deploy=True, input_shapes=shapes, dtype=torch.float64)
    assert list(net.inputs) == ["data"]
    said = [note for note in net.notes if "which needs labels in training alone" in note]
    assert len(said) == 1
    assert f"left 'label' out of layer 'head' ({kind})" in said[0]
    x = np.random.default_rng(1701).standard_normal((2, 5))
    weight, bias = (blob.detach().numpy() for blob in net.params["fc"])
    want = x @ weight.T + bias
    if "Product" in kind:
        head = net.params["head"][0].detach().numpy()
        if kind == "MarginInnerProduct":
            head = head / np.sqrt((head**2).sum(1, keepdims=True))
        want = want @ head.T
    assert_close(net({"data": torch.from_numpy(x)})["y"].detach(), want, "y")
    for opset in OPSETS:
        onnx = tmp_path / f"net{opset}.onnx"
        converter.export_onnx(net.float(), onnx, opset=opset)
        session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
        assert [info.name for info in session.get_inputs()] == ["data"]
        (got,) = session.run(None, {"data": x.astype("f")})
        assert_close(got, want, "y", 1e-5)


@pytest.mark.parametrize("kind", ["LargeMarginInnerProduct", "CosinAddm"])
def test_no_training_without_labels(kind: str, tmp_path: Path) -> None:
    path = definition(kind, tmp_path)
    text = path.read_text().replace('bottom: "fc" bottom: "label"', 'bottom: "fc"')
    path.write_text(text)
    net = converter.load(path, phase="TRAIN", end="y", input_shapes={"data": (2, 5)})
    with pytest.raises(CaffeError, match="there are no labels"):
        net({"data": torch.zeros(2, 5)})
