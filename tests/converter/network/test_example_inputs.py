"""Inputs that are made up mean what the layers that read them ask for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import converter
from converter.network.example_inputs import random_inputs
from converter.network.net import CaffeNet

INPUTS = """layer { name: "in" type: "Input" top: "data" top: "other"
  input_param { shape { dim: 1 dim: 3 dim: 32 dim: 48 } shape { %s } } }
"""
POOL = """layer { name: "p" type: "Pooling" bottom: "data" top: "p"
  pooling_param { pool: MAX kernel_size: 4 stride: 4 } }
layer { name: "roi" type: "%s" bottom: "p" bottom: "other" top: "y" %s }"""
POOLINGS = {
    "ROIPooling": "roi_pooling_param { pooled_h: 2 pooled_w: 2 spatial_scale: 0.25 }",
    "ROIAlign": "roi_pooling_param { pooled_h: 2 pooled_w: 2 spatial_scale: 0.25 }",
    "PSROIPooling": "psroi_pooling_param { spatial_scale: 0.25 output_dim: 3 group_size: 1 }",
}


def loaded(folder: Path, text: str) -> CaffeNet:
    (folder / "net.prototxt").write_text(text)
    return converter.load(folder / "net.prototxt")


def check_regions(rois: np.ndarray, height: int, width: int) -> None:
    assert len(rois) == 7
    assert (rois[:, 0] == 0).all()
    assert (rois[:, 1:3] >= 0).all()
    assert (rois[:, 3] - rois[:, 1] >= 0.2 * width - 1).all()
    assert (rois[:, 4] - rois[:, 2] >= 0.2 * height - 1).all()
    assert (rois[:, 3] < width).all()
    assert (rois[:, 4] < height).all()
    assert len(np.unique(rois, axis=0)) > 3


@pytest.mark.parametrize("kind", POOLINGS)
@pytest.mark.parametrize("dims", ["dim: 7 dim: 5", "dim: 7 dim: 5 dim: 1 dim: 1"])
def test_regions_lie_in_the_image(kind, dims, tmp_path):
    net = loaded(tmp_path, INPUTS % dims + POOL % (kind, POOLINGS[kind]))
    rois = random_inputs(net, 3)["other"]
    check_regions(rois.reshape(7, 5).numpy(), 32, 48)
    report = converter.verify(net)
    assert report.passed
    assert not report.comparisons[0].zeros


def test_regions_of_features_that_are_fed_lie_in_the_image_that_they_are_of(tmp_path):
    text = INPUTS % "dim: 7 dim: 5" + POOL.partition("layer")[0]
    text += """layer { name: "roi" type: "ROIPooling" bottom: "data" bottom: "other" top: "y"
  roi_pooling_param { pooled_h: 2 pooled_w: 2 spatial_scale: 0.0625 } }"""
    rois = random_inputs(loaded(tmp_path, text), 3)["other"].numpy()
    check_regions(rois, 32 * 16, 48 * 16)


def test_regions_are_of_every_image(tmp_path):
    text = INPUTS.replace("dim: 1 dim: 3", "dim: 2 dim: 3") % "dim: 7 dim: 5"
    net = loaded(tmp_path, text + POOL % ("ROIPooling", POOLINGS["ROIPooling"]))
    assert random_inputs(net, 3)["other"][:, 0].tolist() == [0, 1, 0, 1, 0, 1, 0]


SEQUENCE = """layer { name: "in" type: "Input" top: "x" top: "cont"
  input_param { shape { dim: 4 dim: 2 dim: 3 } shape { dim: 4 dim: 2 } } }
layer { name: "l" type: "%s" bottom: "x" bottom: "cont" top: "y"
  recurrent_param { num_output: 5 weight_filler { type: "xavier" } } }"""


@pytest.mark.parametrize("kind", ["LSTM", "RNN"])
def test_sequences_begin_in_the_first_step(kind, tmp_path):
    cont = random_inputs(loaded(tmp_path, SEQUENCE % kind), 3)["cont"]
    assert torch.equal(cont, torch.tensor([[0.0, 0], [1, 1]]))  # two steps show it


def test_an_image_s_size_is_its_own(tmp_path):
    text = """layer { name: "in" type: "Input" top: "data" top: "s" top: "d" top: "im_info"
  input_param { shape { dim: 1 dim: 3 dim: 64 dim: 96 } shape { dim: 1 dim: 18 dim: 4 dim: 6 }
    shape { dim: 1 dim: 36 dim: 4 dim: 6 } shape { dim: 1 dim: 3 } } }
layer { name: "p" type: "Python" bottom: "s" bottom: "d" bottom: "im_info" top: "rois"
  python_param { module: "rpn.proposal_layer" layer: "ProposalLayer"
    param_str: "'feat_stride': 16" } }
layer { name: "r" type: "ReLU" bottom: "data" top: "r" }"""
    info = random_inputs(loaded(tmp_path, text), 3)["im_info"]
    assert info.tolist() == [[64, 96, 1]]
