"""Published definitions of the families, where they are at hand: small inputs, drawn weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

import converter
from caffe_layers import weightless
from tests.support.families import TOLERANCE, picture
from tests.support.recorded import assert_close

Shape = tuple[int, ...]
FOUND = 0
RUN: dict[str, tuple[str, dict[str, Shape], dict[str, Shape]]] = {
    "CRNN of caffe_ocr": (
        "caffe_ocr__examples__ocr__inception-bn__deploy",
        {"data": (1, 3, 32, 64)},
        {"result": (1, 8, 1, 1)},
    ),
    "DetectNet": (
        "DetectNetCars__deploy",
        {"data": (1, 3, 64, 96)},
        {"bbox-list": (1, 50, 5)},
    ),
    "FaceBoxes": (
        "FaceBoxes__examples__faceboxes__demo__faceboxes_deploy",
        {"data": (1, 3, 128, 128)},
        {"detection_out": (1, 1, FOUND, 7)},
    ),
    "LiteFlowNet": (
        "LiteFlowNet__models__testing__deploy_runtime_1024_448",
        {"img0_nomean_resize": (1, 3, 64, 64), "img1_nomean_resize": (1, 3, 64, 64)},
        {"flow_R_L2": (1, 2, 32, 32)},
    ),
    "TextBoxes++": (
        "TextBoxes_plusplus__models__deploy",
        {"data": (1, 3, 384, 384)},
        {"detection_out": (1, 1, FOUND, 15)},
    ),
    "PWC-Net": (
        "PWC-Net__Caffe__model__pwc_net_test",
        dict.fromkeys(("img0", "img1"), (1, 3, 50, 60)),
        {"predict_flow_final": (1, 2, 50, 60)},
    ),
    "spatial transformer": (
        "SpatialTransformerLayer__examples__mnist_tests__ST_CNN__ST_CNN",
        {"data": (2, 1, 28, 28)},
        {"class": (2, 10)},
    ),
    "SphereFace": (
        "Sphereface-Ms-celeb-1M__example__face_deploy",
        {"data": (1, 3, 112, 96)},
        {"fc5": (1, 2048)},
    ),
}
"""A family -> its definition, its inputs, and what comes out, FOUND being what the run tells."""
OPTIONS: dict[str, dict[str, Any]] = {
    "PWC-Net": {
        "values": {
            "TARGET_WIDTH": "60",
            "TARGET_HEIGHT": "50",
            "ADAPTED_WIDTH": "64",
            "ADAPTED_HEIGHT": "64",
            "SCALE_WIDTH": "0.9375",
            "SCALE_HEIGHT": "0.78125",
        }
    },
    "spatial transformer": {"deploy": True},
}
FILES = {"spatial transformer": ("examples/mnist_tests/bias_init.txt", "1 0 0 0 1 0\n")}
"""What a definition reads, at the path that it says."""
SHOWN: dict[str, tuple[str, dict[str, Shape]]] = {
    "MS-CNN": (
        "mscnn__examples__caltech__mscnn-7s-480__mscnn_deploy",
        {"proposals_score": (2000, 6, 1, 1), "cls_pred": (2000, 2), "bbox_pred": (2000, 8)},
    ),
    "Cascade R-CNN": (
        "cascade-rcnn__examples__voc__alex-9s-600-rpn-cascade__deploy",
        {
            **{f"output_bbox_{stage}": (300, 5, 1, 1) for stage in ("1st", "2nd", "3rd")},
            **{f"cls_prob_{stage}": (300, 21) for stage in ("1st", "2nd_avg", "3rd_avg")},
        },
    ),
    "MNC": (
        "MNC__models__VGG16__mnc_5stage__test",
        {
            "cls_prob": (300, 21),
            **{f"{name}_ext": (300, 21) for name in ("cls_prob", "seg_cls_prob")},
            "bbox_pred_ext": (300, 84),
        },
    ),
    "PSANet": (
        "PSANet__evaluation__prototxt__ade20k__psanet50_ade20k_465",
        {"conv6_zoom": (1, 150, 465, 465)},
    ),
}
"""Families whose published networks are too large for a test: their outputs' shapes."""


def definition(shared: Path, name: str) -> Path:
    path = shared / "field" / "prototxts" / f"{name}.prototxt"
    if not path.is_file():
        pytest.skip(f"{name} is not at hand: it is published, and not part of this project")
    return path


@pytest.mark.parametrize("family", RUN)
def test_published_network_runs(
    family: str, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, shapes, wants = RUN[family]
    path, options = definition(shared, name), OPTIONS.get(family, {})
    monkeypatch.chdir(tmp_path)
    if family in FILES:
        file, text = FILES[family]
        Path(file).parent.mkdir(parents=True)
        Path(file).write_text(text)
    torch.manual_seed(3)
    net = converter.load(path, input_shapes=shapes, **options).eval()
    for layer in net.layers.values():
        for blob in layer.stored_blobs:  # a definition to deploy says no fillers
            if blob.dim() > 1 and blob.numel() > 1 and not blob.detach().any():
                blob.data.normal_(0, blob[0].numel() ** -0.5)
    inputs = {top: picture(*shape, seed=at) for at, (top, shape) in enumerate(shapes.items())}
    with torch.no_grad():
        blobs = net.blobs({top: torch.from_numpy(array) for top, array in inputs.items()})
    path = tmp_path / "net.onnx"
    converter.export_onnx(net, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    tops = [info.name for info in session.get_outputs()]
    got = dict(zip(tops, session.run(None, inputs), strict=True))
    assert set(got) == set(wants)
    for top, want in wants.items():
        assert FOUND not in got[top].shape
        sizes = zip(want, got[top].shape, strict=True)
        assert got[top].shape == tuple(size if size != FOUND else has for size, has in sizes)
    for top, array in got.items():
        assert np.isfinite(array).all()
        assert_close(array, blobs[top].numpy(), top, TOLERANCE)


@pytest.mark.parametrize("family", SHOWN)
def test_published_network_has_its_shapes(family: str, shared: Path) -> None:
    name, wants = SHOWN[family]
    with weightless():
        net = converter.load(definition(shared, name))
    shapes = net.shapes()
    assert {top: shapes[top] for top in net.exported().plan.outputs} == wants
