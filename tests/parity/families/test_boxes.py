"""Detectors: a cascade of box heads, MS-CNN's heads at several scales, DetectNet's grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.support.definitions import convolution, layer
from tests.support.families import end_to_end, picture

DATA = 'input: "data" input_shape {{ dim: 1 dim: 3 dim: {} dim: {} }}\n'
STANDARD = "bbox_std: 0.1 bbox_std: 0.1 bbox_std: 0.2 bbox_std: 0.2"
STANDARD += " bbox_mean: 0 bbox_mean: 0 bbox_mean: 0 bbox_mean: 0"
FILLED = 'weight_filler { type: "xavier" } bias_filler { type: "gaussian" std: 0.1 }'


def product(name: str, bottom: str, outputs: int) -> str:
    param = f"inner_product_param {{ num_output: {outputs} {FILLED} }}"
    return layer(name, "InnerProduct", bottom, name, param)


def head(stage: str, rois: str, pooling: str) -> str:
    """Return a stage: regions pooled, a class and shifts for each."""
    param = "roi_pooling_param { pooled_w: 3 pooled_h: 3 spatial_scale: 0.25 }"
    return (
        layer(f"pool{stage}", pooling, f"conv2 {rois}", f"pool{stage}", param)
        + product(f"fc{stage}", f"pool{stage}", 8)
        + layer(f"relu{stage}", "ReLU", f"fc{stage}", f"fc{stage}")
        + product(f"cls{stage}", f"fc{stage}", 3)
        + product(f"shift{stage}", f"fc{stage}", 8)
        + layer(f"prob{stage}", "Softmax", f"cls{stage}", f"prob{stage}")
    )


CASCADE = (
    DATA.format(32, 40)
    + convolution("conv1", "data", 6, 3, "stride: 2")
    + layer("relu1", "ReLU", "conv1", "conv1")
    + convolution("conv2", "conv1", 8, 3, "stride: 2")
    + convolution("rpn", "conv2", 4)
    + layer("pairs", "Reshape", "rpn", "pairs",
            "reshape_param { shape { dim: -1 dim: 2 dim: 0 dim: 0 } }")
    + layer("rpn_prob", "Softmax", "pairs", "rpn_prob")
    + convolution("rpn_box", "conv2", 8)
    + layer("rpn_shift", "Reshape", "rpn_box", "rpn_shift",
            "reshape_param { shape { dim: -1 dim: 4 dim: 0 dim: 0 } }")
    + layer("proposals", "BoxGroupOutput", "rpn_prob rpn_shift", "proposals",
            'box_group_output_param { fg_thr: 0.05 iou_thr: 0.7 nms_type: "IOU" field_whr: 8 '
            "field_xyr: 1 max_nms_num: 40 max_post_nms_num: 12 box_group_param { field_w: 10 "
            "field_w: 20 field_h: 20 field_h: 10 stride: 4 } }")
    + head("_1st", "proposals", "ROIPooling")
    + layer("rois_2nd", "DecodeBBox", "shift_1st proposals", "rois_2nd",
            f"bbox_reg_param {{ {STANDARD} }}")
    + head("_2nd", "rois_2nd", "ROIAlign")
    + layer("boxes", "DecodeBBox", "shift_2nd rois_2nd", "boxes",
            f"bbox_reg_param {{ {STANDARD} }}")
)  # fmt: skip


def test_cascade_rcnn(tmp_path: Path) -> None:
    tops = end_to_end(CASCADE, {"data": picture(1, 3, 32, 40)}, tmp_path)
    assert set(tops) == {"prob_1st", "prob_2nd", "boxes"}
    rows = len(tops["boxes"])
    assert 1 < rows <= 12
    assert tops["boxes"].reshape(rows, -1).shape == (rows, 5)
    for stage in ("prob_1st", "prob_2nd"):
        assert tops[stage].shape == (rows, 3)
        np.testing.assert_allclose(tops[stage].sum(1), 1, rtol=1e-5)


MSCNN = (
    DATA.format(32, 40)
    + convolution("conv1", "data", 6, 3, "stride: 2")
    + layer("relu1", "ReLU", "conv1", "conv1")
    + convolution("conv2", "conv1", 8, 3, "stride: 2")
    + convolution("conv3", "conv2", 8, 3, "stride: 2")
    + convolution("head_4", "conv2", 6, 3)
    + convolution("head_8", "conv3", 6, 3)
    + 'layer { name: "proposals" type: "BoxOutput" bottom: "head_4" bottom: "head_8" '
    'top: "proposals" top: "scores" box_output_param { fg_thr: -5 iou_thr: 0.65 nms_type: "IOU" '
    "field_w: 10 field_w: 20 field_h: 12 field_h: 24 downsample_rate: 4 downsample_rate: 8 "
    "field_whr: 2 field_xyr: 2 max_nms_num: 60 max_post_nms_num: 10 min_size: 2 } }\n"
    + layer("own", "ROIPooling", "conv2 proposals", "own",
            "roi_pooling_param { pooled_w: 2 pooled_h: 3 spatial_scale: 0.25 pad_ratio: 0 }")
    + layer("around", "ROIPooling", "conv2 proposals", "around",
            "roi_pooling_param { pooled_w: 2 pooled_h: 3 spatial_scale: 0.25 pad_ratio: 0.25 }")
    + layer("both", "Concat", "own around", "both")
    + convolution("reduced", "both", 6, 1)
    + product("cls_pred", "reduced", 3)
    + product("bbox_pred", "reduced", 12)
)  # fmt: skip


def test_mscnn(tmp_path: Path) -> None:
    tops = end_to_end(MSCNN, {"data": picture(1, 3, 32, 40)}, tmp_path)
    rows = len(tops["cls_pred"])
    assert 1 < rows <= 10
    shapes = {name: top.reshape(rows, -1).shape for name, top in tops.items()}
    assert shapes == {"cls_pred": (rows, 3), "bbox_pred": (rows, 12), "scores": (rows, 6)}


DETECTNET = (
    DATA.format(32, 48)
    + convolution("conv1", "data", 6, 3, "stride: 4")
    + layer("relu1", "ReLU", "conv1", "conv1")
    + convolution("covered", "conv1", 1)
    + layer("coverage", "Sigmoid", "covered", "coverage")
    + convolution("bboxes", "conv1", 4)
    + 'layer { name: "cluster" type: "Python" bottom: "coverage" bottom: "bboxes" '
    'top: "bbox-list" python_param { module: "caffe.layers.detectnet.clustering" '
    'layer: "ClusterDetections" param_str: "48, 32, 4, 0.4, 1, 0.4, -100, 1" } }\n'
)


def test_detectnet(tmp_path: Path) -> None:
    """Its Python layer is read here, and never imported."""
    tops = end_to_end(DETECTNET, {"data": picture(1, 3, 32, 48)}, tmp_path)
    assert tops["bbox-list"].shape == (1, 50, 5)
    rows = tops["bbox-list"][0]
    found = int(rows.any(1).sum())
    assert found > 0
    assert not rows[found:].any()
    assert (rows[:found, 4] >= np.float16(np.log(2))).all()
