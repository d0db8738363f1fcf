"""The layers of FlowNet2, OpenPose and others built without a definition, for users of PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import caffe_layers
from caffe_layers import Layer
from tests.support import restated

RNG = np.random.default_rng(1701)
IMAGE = (1, 3, 6, 7)

CASES = [
    (
        caffe_layers.Correlation(kernel_size=1, max_displacement=2, pad=2, stride_2=2),
        "correlation_param { kernel_size: 1 max_displacement: 2 pad: 2 stride_2: 2 }",
        [IMAGE, IMAGE],
    ),
    (
        caffe_layers.Correlation1D(kernel_size=1, max_displacement=2, pad=2),
        "correlation_param { kernel_size: 1 max_displacement: 2 pad: 2 }",
        [IMAGE, IMAGE],
    ),
    (caffe_layers.Resample(height=3, width=4), "resample_param { height: 3 width: 4 }", [IMAGE]),
    (caffe_layers.FlowWarp(), "", [IMAGE, (1, 2, 6, 7)]),
    (caffe_layers.ChannelNorm(), "", [IMAGE]),
    (
        caffe_layers.Downsample(top_height=3, top_width=4),
        "downsample_param { top_height: 3 top_width: 4 }",
        [IMAGE],
    ),
    (caffe_layers.Accum(), "", [IMAGE, (1, 2, 3, 4)]),
    (caffe_layers.NegReLU(negative_slope=0.1), "relu_param { negative_slope: 0.1 }", [IMAGE]),
    (
        caffe_layers.Mean(np.ones((1, 1, 1), np.float32), operation="ADD", input_scale=2),
        "mean_param { operation: ADD value: 1 input_scale: 2 }",
        [IMAGE],
    ),
    (
        caffe_layers.DataAugmentation(IMAGE, crop_width=3, crop_height=3),
        "augmentation_param { crop_width: 3 crop_height: 3 }",
        [IMAGE],
    ),
    (caffe_layers.L1Loss(), "", [IMAGE, IMAGE]),
    (caffe_layers.LpqLoss(p=2, q=0.5), "lpq_loss_param { p: 2 q: 0.5 }", [IMAGE, IMAGE]),
    (caffe_layers.ImResize(factor=2), "imresize_param { factor: 2 }", [IMAGE]),
    (caffe_layers.Nms(num_parts=3), "nms_param { num_parts: 3 }", [IMAGE]),
    (caffe_layers.Maximum(), "", [IMAGE]),
]


@pytest.mark.parametrize(
    ("layer", "message", "shapes"), CASES, ids=[type(layer).__name__ for layer, _, _ in CASES]
)
def test_a_module_is_its_definition(
    layer: Layer, message: str, shapes: list[tuple[int, ...]], tmp_path: Path
) -> None:
    inputs = {name: RNG.standard_normal(shape) for name, shape in zip("ab", shapes, strict=False)}
    bottoms = " ".join(f'bottom: "{name}"' for name in inputs)
    text = f'layer {{ name: "L" type: "{layer.caffe_type}" {bottoms} top: "y" {message} }}'
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    want = restated.load(text, inputs, tmp_path)(tensors)["y"]
    got = layer.double()(*tensors.values())
    assert torch.equal(got, want)
    assert [tuple(got.shape)] == layer.shapes(*shapes)
