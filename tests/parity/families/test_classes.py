"""Classifiers of few bits, faces as features, a picture that is straightened first, PSANet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.definitions import convolution, layer
from tests.support.families import end_to_end, picture

INPUT = 'input: "data" input_shape { dim: 2 dim: 3 dim: 16 dim: 16 }\n'
BATCH = picture(2, 3, 16, 16)
XAVIER = 'weight_filler { type: "xavier" }'
BITS = {
    "fixed point": "bw_layer_in: 8 fl_layer_in: 5 bw_layer_out: 8 fl_layer_out: 4 bw_params: 8 "
    "fl_params: 7",
    "small floats": "precision: MINIFLOAT mant_bits: 4 exp_bits: 4",
    "powers of two": "precision: INTEGER_POWER_OF_2_WEIGHTS exp_min: -6 exp_max: 0 "
    "bw_layer_in: 8 fl_layer_in: 5 bw_layer_out: 8 fl_layer_out: 4",
}


@pytest.mark.parametrize("bits", BITS)
def test_ristretto(bits: str, tmp_path: Path) -> None:
    said = f"quantization_param {{ {BITS[bits]} }}"
    text = (
        INPUT
        + layer("conv", "ConvolutionRistretto", "data", "conv",
                f"convolution_param {{ num_output: 6 kernel_size: 3 {XAVIER} }} {said}")
        + layer("relu", "ReLU", "conv", "conv")
        + layer("pool", "Pooling", "conv", "pool", "pooling_param { kernel_size: 2 stride: 2 }")
        + layer("fc", "FcRistretto", "pool", "fc",
                f"inner_product_param {{ num_output: 5 {XAVIER} }} {said}")
        + layer("prob", "Softmax", "fc", "prob")
    )  # fmt: skip
    tops = end_to_end(text, {"data": BATCH}, tmp_path)
    assert tops["prob"].shape == (2, 5)
    np.testing.assert_allclose(tops["prob"].sum(1), 1, rtol=1e-5)
    assert tops["prob"].std() > 0.001


def test_hwgq(tmp_path: Path) -> None:
    """BatchNorm before each activation of two bits, whose convolution has weights of one."""
    few = "quant_param { centers: 0.538 centers: 1.076 centers: 1.614 }"
    text = (
        INPUT
        + convolution("conv1", "data", 6, 3)
        + layer("norm1", "BatchNorm", "conv1", "norm1")
        + layer("quant1", "Quant", "norm1", "quant1", few)
        + layer("conv2", "BinaryConvolution", "quant1", "conv2",
                f"convolution_param {{ num_output: 6 kernel_size: 3 bias_term: false {XAVIER} }} "
                "binary_convolution_param { use_alpha: true }")
        + layer("norm2", "BatchNorm", "conv2", "norm2")
        # Sums of few values are 0 exactly but for rounding, on either side of Quant's first step.
        + layer("scale2", "Scale", "norm2", "norm2",
                "scale_param { bias_term: true bias_filler { value: 0.037 } }")
        + layer("quant2", "Quant", "norm2", "quant2", few)
        + layer("pool", "Pooling", "quant2", "pool", "pooling_param { pool: AVE kernel_size: 14 }")
        + layer("fc", "BinaryInnerProduct", "pool", "fc",
                f"inner_product_param {{ num_output: 4 {XAVIER} }} "
                "binary_inner_product_param { use_alpha: true }")
        + layer("prob", "Softmax", "fc", "prob")
    )  # fmt: skip
    tops = end_to_end(text, {"data": BATCH}, tmp_path)
    assert tops["prob"].shape == (2, 4)
    assert tops["prob"].std() > 0.001


def test_sphereface(tmp_path: Path) -> None:
    """Residual units with PReLU, and a feature that is no class."""
    text = (
        INPUT
        + convolution("conv1_1", "data", 6, 3, "stride: 2")
        + layer("relu1_1", "PReLU", "conv1_1", "conv1_1")
        + convolution("conv1_2", "conv1_1", 6, 3)
        + layer("relu1_2", "PReLU", "conv1_2", "conv1_2")
        + convolution("conv1_3", "conv1_2", 6, 3)
        + layer("relu1_3", "PReLU", "conv1_3", "conv1_3")
        + layer("res1_3", "Eltwise", "conv1_1 conv1_3", "res1_3", "eltwise_param { operation: 1 }")
        + layer("fc5", "InnerProduct", "res1_3", "fc5",
                f"inner_product_param {{ num_output: 8 {XAVIER} }}")
        + layer("norm", "Normalize", "fc5", "norm")
    )  # fmt: skip
    tops = end_to_end(text, {"data": BATCH}, tmp_path, dialect="happynear")
    assert tops["norm"].shape == (2, 8, 1, 1)
    np.testing.assert_allclose(np.square(tops["norm"]).sum(1), 1, rtol=1e-4)


def test_spatial_transformer(tmp_path: Path) -> None:
    """A small network says how the picture is turned; another one classifies what comes of it."""
    text = (
        INPUT
        + convolution("loc_conv", "data", 4, 3)
        + layer("loc_pool", "Pooling", "loc_conv", "loc_pool",
                "pooling_param { kernel_size: 4 stride: 4 }")
        + layer("loc_relu", "ReLU", "loc_pool", "loc_pool")
        + layer("loc_reg", "InnerProduct", "loc_pool", "theta",
                'inner_product_param { num_output: 4 weight_filler { type: "gaussian" std: 0.05 } '
                'bias_filler { type: "gaussian" std: 0.3 } }')
        + layer("st", "SpatialTransformer", "data theta", "straight",
                "st_param { output_H: 10 output_W: 12 theta_1_1: 0.8 theta_2_2: 0.7 }")
        + convolution("conv", "straight", 6, 3)
        + layer("relu", "ReLU", "conv", "conv")
        + layer("fc", "InnerProduct", "conv", "fc",
                f"inner_product_param {{ num_output: 5 {XAVIER} }}")
        + layer("prob", "Softmax", "fc", "prob")
    )  # fmt: skip
    tops = end_to_end(text, {"data": BATCH}, tmp_path)
    assert tops["prob"].shape == (2, 5)
    np.testing.assert_allclose(tops["prob"].sum(1), 1, rtol=1e-5)


def test_spatial_transformer_begins_with_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fork's filler: weights of 0 and a bias that a file says, half the picture's size."""
    monkeypatch.chdir(tmp_path)
    Path("bias_init.txt").write_text("0.5 0 0 0 0.5 0\n")
    text = (
        INPUT
        + layer("loc_reg", "InnerProduct", "data", "theta",
                "inner_product_param { num_output: 6 weight_filler { value: 0 } "
                'bias_filler { type: "file" file: "bias_init.txt" } }')
        + layer("st", "SpatialTransformer", "data theta", "straight",
                "st_param { output_H: 8 output_W: 8 }")
    )  # fmt: skip
    tops = end_to_end(text, {"data": BATCH}, tmp_path)
    np.testing.assert_allclose(tops["straight"], BATCH[:, :, 4:12, 4:12], rtol=1e-5, atol=1e-6)


def attention(kind: str) -> str:
    return (
        convolution(f"mask_{kind}", "conv", 49)
        + layer(f"psa_{kind}", "PointwiseSpatialAttention", f"conv mask_{kind}", f"psa_{kind}",
                f"pointwise_spatial_attention_param {{ psa_type: {kind} is_softmax: true "
                "normalization_factor: 1.0 }")
    )  # fmt: skip


def test_psanet(tmp_path: Path) -> None:
    """Both attentions side by side, and a class for each pixel of the picture."""
    text = (
        INPUT
        + convolution("conv", "data", 6, 3, "stride: 4")
        + attention("COLLECT")
        + attention("DISTRIBUTE")
        + layer("both", "Concat", "psa_COLLECT psa_DISTRIBUTE conv", "both")
        + convolution("score", "both", 5)
        + layer("zoom", "Interp", "score", "zoom", "interp_param { height: 16 width: 16 }")
        + layer("prob", "Softmax", "zoom", "prob")
    )
    tops = end_to_end(text, {"data": BATCH}, tmp_path)
    assert tops["prob"].shape == (2, 5, 16, 16)
    np.testing.assert_allclose(tops["prob"].sum(1), 1, rtol=1e-5)
