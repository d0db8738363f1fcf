"""MNC: boxes, masks and classes in a cascade, the last stages on boxes that the first moved."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.parity.families.test_boxes import product
from tests.support.definitions import convolution, layer
from tests.support.families import end_to_end, picture

POOL = "pooling_param { pool: MAX kernel_size: 2 stride: 2 }"


def python(name: str, module: str, cls: str, bottoms: str, param: str = "") -> str:
    code = f'module: "pylayer.{module}" layer: "{cls}" param_str: "{param}"'
    return layer(name, "Python", bottoms, name, f"python_param {{ {code} }}")


def stage(rois: str, end: str) -> str:
    """Return a mask, a class and shifts for each region, of the warped map and of it masked."""
    warp = "roi_warping_param { pooled_w: 8 pooled_h: 8 spatial_scale: 0.0625 }"
    small = "mask_resize_param { output_height: 4 output_width: 4 }"
    return (
        layer(f"warped{end}", "ROIWarping", f"conv {rois}", f"warped{end}", warp)
        + layer(f"pooled{end}", "Pooling", f"warped{end}", f"pooled{end}", POOL)
        + product(f"mask_pred{end}", f"pooled{end}", 441)
        + layer(f"mask_output{end}", "Sigmoid", f"mask_pred{end}", f"mask_output{end}")
        + python(f"mask{end}", "mask_layer", "MaskLayer", f"mask_output{end}")
        + layer(f"small{end}", "MaskResize", f"mask{end}", f"small{end}", small)
        + layer(f"masked{end}", "MaskPooling", f"pooled{end} small{end}", f"masked{end}")
        + product(f"fc{end}", f"pooled{end}", 8)
        + product(f"fc_mask{end}", f"masked{end}", 8)
        + layer(f"both{end}", "Concat", f"fc_mask{end} fc{end}", f"both{end}")
        + product(f"seg_cls{end}", f"both{end}", 3)
        + layer(f"prob{end}", "Softmax", f"seg_cls{end}", f"prob{end}")
        + product(f"bbox_pred{end}", f"both{end}", 12)
    )


MNC = (
    'input: "data" input_shape { dim: 1 dim: 3 dim: 96 dim: 128 }\n'
    'input: "im_info" input_shape { dim: 1 dim: 3 }\n'
    + convolution("conv_a", "data", 6, 5, "stride: 4")
    + layer("relu_a", "ReLU", "conv_a", "conv_a")
    + convolution("conv", "conv_a", 8, 3, "stride: 4")
    + layer("relu", "ReLU", "conv", "conv")
    + convolution("rpn", "conv", 18, 1)
    + layer("pairs", "Reshape", "rpn", "pairs",
            "reshape_param { shape { dim: 0 dim: 2 dim: -1 dim: 0 } }")
    + layer("rpn_prob", "Softmax", "pairs", "rpn_prob")
    + layer("scores", "Reshape", "rpn_prob", "scores",
            "reshape_param { shape { dim: 0 dim: 18 dim: -1 dim: 0 } }")
    + convolution("rpn_box", "conv", 36, 1)
    + python("rois", "proposal_layer", "ProposalLayer", "scores rpn_box im_info",
             "{'feat_stride': 16, 'gradient_scale': 1}")
    + stage("rois", "")
    + python("rois_ext", "stage_bridge_layer", "StageBridgeLayer", "rois bbox_pred prob im_info")
    + stage("rois_ext", "_ext")
)  # fmt: skip


def test_mnc(tmp_path: Path) -> None:
    info = np.array([[96, 128, 1]], np.float32)
    tops = end_to_end(MNC, {"data": picture(1, 3, 96, 128), "im_info": info}, tmp_path)
    assert set(tops) == {"prob_ext", "bbox_pred_ext"}
    rows = len(tops["prob_ext"])
    assert rows > 1
    assert tops["bbox_pred_ext"].shape == (rows, 12)
    np.testing.assert_allclose(tops["prob_ext"].sum(1), 1, rtol=1e-5)
