"""Detectors with prior boxes of their own: FaceBoxes' densities, TextBoxes++' quadrilaterals."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.support.definitions import convolution, layer
from tests.support.families import end_to_end, picture

DATA = 'input: "data" input_shape { dim: 2 dim: 3 dim: 64 dim: 64 }\n'
VARIANCES = "variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2"


def head(feature: str, boxes: int, numbers: int, prior: str, kernel: str = "") -> str:
    """Return a map's predictions, of 2 classes and so many numbers a box, and its prior boxes."""
    parts = ""
    for name, channels in (("loc", numbers * boxes), ("conf", 2 * boxes)):
        top = f"{feature}_{name}"
        shape = kernel or "kernel_size: 3 pad: 1"
        filled = 'weight_filler { type: "xavier" } bias_filler { type: "gaussian" std: 0.1 }'
        param = f"convolution_param {{ num_output: {channels} {shape} {filled} }}"
        order = "permute_param { order: 0 order: 2 order: 3 order: 1 }"
        parts += layer(top, "Convolution", feature, top, param)
        parts += layer(f"{top}_perm", "Permute", top, f"{top}_perm", order)
        parts += layer(f"{top}_flat", "Flatten", f"{top}_perm", f"{top}_flat")
    param = f"prior_box_param {{ {prior} {VARIANCES} }}"
    return parts + layer(
        f"{feature}_prior", "PriorBox", f"{feature} data", f"{feature}_prior", param
    )


def detection(features: tuple[str, ...], param: str) -> str:
    def joined(what: str, top: str, axis: int) -> str:
        bottoms = " ".join(f"{feature}_{what}" for feature in features)
        return layer(top, "Concat", bottoms, top, f"concat_param {{ axis: {axis} }}")

    pairs = "reshape_param { shape { dim: 0 dim: -1 dim: 2 } }"
    return (
        joined("loc_flat", "loc", 1)
        + joined("conf_flat", "conf", 1)
        + joined("prior", "prior", 2)
        + layer("pairs", "Reshape", "conf", "pairs", pairs)
        + layer("prob", "Softmax", "pairs", "prob", "softmax_param { axis: 2 }")
        + layer("flat", "Flatten", "prob", "flat")
        + layer("found", "DetectionOutput", "loc flat prior", "found",
                "detection_output_param { num_classes: 2 code_type: CENTER_SIZE keep_top_k: 20 "
                "confidence_threshold: 0.4 nms_param { nms_threshold: 0.45 top_k: 60 } "
                f"{param} }}")
    )  # fmt: skip


def crelu(name: str, bottom: str, outputs: int, param: str) -> str:
    """Return a convolution whose channels are followed by themselves negated."""
    return (
        convolution(name, bottom, outputs, 5, param)
        + layer(f"{name}_neg", "Power", name, f"{name}_neg", "power_param { scale: -1 }")
        + layer(f"{name}_both", "Concat", f"{name} {name}_neg", f"{name}_both")
        + layer(f"{name}_relu", "ReLU", f"{name}_both", f"{name}_both")
    )


FACEBOXES = (
    DATA
    + crelu("conv1", "data", 4, "stride: 4")
    + crelu("conv2", "conv1_both", 6, "stride: 2")
    + convolution("conv3", "conv2_both", 8, 3, "stride: 2")
    + layer("relu3", "ReLU", "conv3", "conv3")
    + head("conv2_both", 21, 4, "fixed_size: 8 fixed_size: 16 fixed_size: 32 density: 4 density: 2 "
           "density: 1 step: 8")
    + head("conv3", 1, 4, "fixed_size: 48 density: 1 step: 16")
    + detection(("conv2_both", "conv3"), "")
)  # fmt: skip
TEXTBOXES = (
    DATA
    + convolution("conv1", "data", 6, 3, "stride: 4")
    + layer("relu1", "ReLU", "conv1", "conv1")
    + layer("norm1", "Normalize", "conv1", "norm1",
            'norm_param { across_spatial: false scale_filler { value: 5 } channel_shared: false }')
    + convolution("conv2", "norm1", 8, 3, "stride: 2")
    + layer("relu2", "ReLU", "conv2", "conv2")
    + "".join(
        head(feature, 12, 12, f"min_size: {size} aspect_ratio: 2 aspect_ratio: 3 aspect_ratio: 5 "
             f"{largest} flip: {flip} step: {step} denser_prior_boxes: true",
             "kernel_h: 3 kernel_w: 5 pad_h: 1 pad_w: 2")
        for feature, size, largest, flip, step in (
            ("norm1", 8, "aspect_ratio: 7 aspect_ratio: 10", "false", 4),
            ("conv2", 16, "aspect_ratio: 7 max_size: 30", "false", 8),
        )
    )
    + detection(("norm1", "conv2"), "use_polygon: true")
)  # fmt: skip


def test_faceboxes(tmp_path: Path) -> None:
    tops = end_to_end(FACEBOXES, {"data": picture(2, 3, 64, 64)}, tmp_path)
    assert set(tops) == {"found"}
    rows = tops["found"][0, 0]
    assert 2 < len(rows) <= 40
    assert rows.shape[1] == 7
    assert set(rows[:, 0]) == {0, 1}
    assert set(rows[:, 1]) == {1}


def test_textboxes(tmp_path: Path) -> None:
    tops = end_to_end(TEXTBOXES, {"data": picture(2, 3, 64, 64)}, tmp_path)
    rows = tops["found"][0, 0]
    assert 2 < len(rows) <= 40
    assert rows.shape[1] == 15
    assert set(rows[:, 1]) == {1}
    corners = rows[:, 7:].reshape(-1, 4, 2)
    assert np.ptp(corners, axis=1).min() > 0
