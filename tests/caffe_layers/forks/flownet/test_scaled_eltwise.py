"""FlowNet2's Eltwise of one bottom, and what BVLC's refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import converter
from prototxt import ShapeError, UnsupportedError
from tests.support.recorded import assert_close

X = np.random.default_rng(1701).standard_normal((2, 3, 4, 5))


def load(folder: Path, layer: str, dialect: str | None = None) -> converter.CaffeNet:
    path = folder / "net.prototxt"
    path.write_text(
        'input: "x" input_shape { dim: [2, 3, 4, 5] }'
        f'layer {{ name: "scale" type: "Eltwise" bottom: "x" {layer} }}'
    )
    return converter.load(path, dialect=dialect)


@pytest.mark.parametrize(
    ("coeff", "dialect"),
    [(0.25, None), (-3, None), (0.25, "flownet2"), (None, "flownet2")],
)
def test_one_bottom_is_scaled(coeff, dialect, tmp_path):
    said = "" if coeff is None else f"eltwise_param {{ operation: SUM coeff: {coeff} }}"
    net = load(tmp_path, f'top: "y" {said}', dialect)
    x = torch.from_numpy(X).requires_grad_()
    y = net({"x": x})["y"]
    want = X if coeff is None else X * coeff
    assert_close(y.detach(), want, "y")
    y.sum().backward()
    assert_close(x.grad, np.full_like(X, 1 if coeff is None else coeff), "x")
    converter.export_onnx(net, tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    (got,) = session.run(None, {"x": X.astype(np.float32)})
    assert_close(got, want, "onnx", 1e-6)


def test_a_file_of_flownet2s_needs_no_coefficient(tmp_path):
    other = 'top: "y" } layer { name: "neg" type: "NegReLU" bottom: "y" top: "z"'
    assert type(load(tmp_path, other).layers["scale"]).fork == "flownet2"


def test_more_bottoms_are_bvlcs_in_flownet2_too(tmp_path):
    net = load(tmp_path, 'bottom: "x" top: "y" eltwise_param { operation: PROD }', "flownet2")
    assert type(net.layers["scale"]).fork == "bvlc"
    assert_close(net(torch.from_numpy(X))["y"], X * X, "y")


@pytest.mark.parametrize(
    ("layer", "dialect", "message"),
    [
        ('top: "y"', "bvlc", "1 bottom, wants 2 or more"),
        ('top: "y" eltwise_param { operation: MAX }', None, "1 bottom, wants 2 or more"),
        ('top: "y" eltwise_param { operation: PROD }', "flownet2", "1 bottom, wants 2 or more"),
        ('top: "y" eltwise_param { coeff: [1, 2] }', None, "2 coefficients for 1 bottom"),
        (
            'top: "x" eltwise_param { coeff: 2 }',
            None,
            "the top overwrites the only bottom, which Caffe clears",
        ),
    ],
)
def test_what_no_caffe_takes_is_refused(layer, dialect, message, tmp_path):
    with pytest.raises(ShapeError, match=message):
        load(tmp_path, layer, dialect)


def test_one_bottom_without_any_sign_is_asked_about(tmp_path):
    with pytest.raises(UnsupportedError, match="of bvlc, flownet2 each fit") as caught:
        load(tmp_path, 'top: "y"')
    assert caught.value.fix == "name the fork with --dialect"
