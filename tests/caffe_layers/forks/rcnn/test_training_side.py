"""What trains R-CNN and YOLO in Caffe alone: shapes, and a refusal that says why when it runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import converter
from prototxt import CaffeError, ShapeError, UnsupportedError
from tests.support.restated import load

FASTER = """
layer { name: "data" type: "Python" top: "data" top: "im_info" top: "gt_boxes" python_param {
  module: "roi_data_layer.layer" layer: "RoIDataLayer" param_str: "'num_classes': 21" } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 16 stride: 16 } }
layer { name: "cls" type: "Convolution" bottom: "conv" top: "cls"
  convolution_param { num_output: 18 kernel_size: 1 } }
layer { name: "box" type: "Convolution" bottom: "conv" top: "box"
  convolution_param { num_output: 36 kernel_size: 1 } }
layer { name: "rpn" type: "Python" bottom: "cls" bottom: "gt_boxes" bottom: "im_info" bottom: "data"
  top: "labels" top: "targets" top: "inside" top: "outside" python_param {
  module: "rpn.anchor_target_layer" layer: "AnchorTargetLayer" param_str: "'feat_stride': 16" } }
layer { name: "l1" type: "SmoothL1Loss" bottom: "box" bottom: "targets" bottom: "inside"
  bottom: "outside" top: "l1" loss_weight: 1 smooth_l1_loss_param { sigma: 3.0 } }
layer { name: "proposal" type: "Python" bottom: "cls" bottom: "box" bottom: "im_info"
  top: "rpn_rois" python_param {
  module: "rpn.proposal_layer" layer: "ProposalLayer" param_str: "'feat_stride': 16" } }
layer { name: "roi" type: "Python" bottom: "rpn_rois" bottom: "gt_boxes" top: "rois"
  top: "roi_labels" top: "t" top: "wi" top: "wo" python_param {
  module: "rpn.proposal_target_layer" layer: "ProposalTargetLayer"
  param_str: "'num_classes': 21" } }
layer { name: "pool" type: "ROIPooling" bottom: "conv" bottom: "rois" top: "pool"
  roi_pooling_param { pooled_h: 6 pooled_w: 7 spatial_scale: 0.0625 } }
"""


def net_of(text: str, folder: Path) -> converter.CaffeNet:
    path = folder / "net.prototxt"
    path.write_text(text)
    return converter.load(path)


def test_a_training_definition_has_shapes(tmp_path: Path) -> None:
    shapes = net_of(FASTER, tmp_path).shapes()
    assert shapes["data"] == (1, 3, 600, 1000)
    assert shapes["labels"] == (1, 1, 9 * 37, 62)
    assert shapes["outside"] == (1, 36, 37, 62)
    assert shapes["rpn_rois"] == (300, 5)
    assert shapes["t"] == (1, 84, 1, 1)
    assert shapes["pool"] == (1, 4, 6, 7)


def test_it_runs_where_the_labelled_boxes_are_left_out(tmp_path: Path) -> None:
    net = net_of(FASTER, tmp_path)
    info = torch.tensor([[64.0, 64, 1]])
    given = {"data": torch.rand(1, 3, 64, 64), "im_info": info}
    assert net(given)["rpn_rois"].shape[1] == 5
    with pytest.raises(UnsupportedError, match="AnchorTargetLayer draws anchors at random"):
        net(given | {"gt_boxes": torch.tensor([[1.0, 2, 30, 40, 5]])})


def test_regions_of_a_file(tmp_path: Path) -> None:
    text = FASTER.split('\nlayer { name: "conv"')[0].replace(
        'top: "im_info" top: "gt_boxes"', 'top: "rois" top: "l" top: "t" top: "i" top: "o"'
    )
    text += '\nlayer { name: "S" type: "Split" bottom: "t" top: "t1" }'
    assert net_of(text, tmp_path).input_shapes == {
        "data": (2, 3, 600, 1000),
        "rois": (1, 5),
        "l": (1,),
        "t": (1, 84),
        "i": (1, 84),
        "o": (1, 84),
    }


TARGETS = """layer { name: "in" type: "Input" top: "rois" top: "boxes"
  input_param { shape { dim: [9, 5] } shape { dim: [4, 5] } } }
layer { name: "targets" type: "Python" bottom: "rois" bottom: "boxes" %s
  python_param { module: "rpn.proposal_target_layer" layer: "ProposalTargetLayer"
    param_str: "'num_classes': 3%s" } }"""
FIVE = 'top: "r" top: "l" top: "t" top: "i" top: "o" '


@pytest.mark.parametrize(
    ("tops", "more", "shapes"),
    [
        ("", "", []),
        ('top: "a"', "\\n'num_attr_classes': 401\\n'ignore_label': -1", [(1, 16)]),
        ('top: "a"', "\\n'num_rel_classes': 21", [(1, 1, 1, 1)]),
        ('top: "a" top: "b"', "\\n'num_attr_classes': 2\\n'num_rel_classes': 2",
         [(1, 16), (1, 1, 1, 1)]),
    ],
)  # fmt: skip
def test_targets_of_attributes_and_relations(
    tops: str, more: str, shapes: list[tuple[int, ...]], tmp_path: Path
) -> None:
    net = net_of(TARGETS % (FIVE + tops, more), tmp_path)
    boxes = [(1, 12, 1, 1)] * 3
    assert list(net.shapes().values())[2:] == [(1, 5, 1, 1), (1, 1, 1, 1), *boxes, *shapes]


def test_targets_whose_parameters_and_tops_differ(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="6 tops, wants 5 by its param_str"):
        net_of(TARGETS % (FIVE + 'top: "a"', ""), tmp_path)
    with pytest.raises(ShapeError, match="5 tops, wants 6 by its param_str"):
        net_of(TARGETS % (FIVE, "\\n'num_attr_classes': 401"), tmp_path)


SHAPES = {
    "YoloSeg": (((2, 1, 4, 4), (2, 1, 4, 4), (2, 1, 1, 1)), ()),
    "SegmentationEvaluate": (((2, 3, 4, 4), (2, 5, 4, 4)), (1, 1, 1, 5)),
    "EvalDetection": (((2, 50, 7, 7), (2, 30, 5)), (2, 20 + 4 * 98)),
}


@pytest.mark.parametrize("kind", SHAPES)
def test_losses_and_measures_of_yolo(kind: str, tmp_path: Path) -> None:
    bottoms, top = SHAPES[kind]
    names = [f"x{i}" for i in range(len(bottoms))]
    text = f'layer {{ name: "L" type: "{kind}" top: "y" ' + " ".join(
        f'bottom: "{name}"' for name in names
    )
    arrays = {name: np.zeros(shape) for name, shape in zip(names, bottoms, strict=True)}
    net = load(text + " }", arrays, tmp_path)
    assert net.shapes()["y"] == top
    with pytest.raises(UnsupportedError, match=f"{kind} .*not computed here"):
        net({name: torch.from_numpy(array) for name, array in arrays.items()})
    with pytest.raises(UnsupportedError, match="not computed here"):
        converter.export_onnx(net, tmp_path / "net.onnx", with_losses=True, dynamic=())


REFUSED = {
    'top: "im_info" top: "gt_boxes"|top: "im_info" top: "gt_boxes" top: "more"': "4 tops, wants 3",
    "'num_classes': 21|'classes': 21": "param_str knows no 'classes'",
    "'num_classes': 21|": "param_str has no num_classes",
    "num_output: 18|num_output: 12": "the scores are .*wants 1 x 18 x H x W: 2 for each anchor",
}


@pytest.mark.parametrize("change", REFUSED)
def test_refused(change: str, tmp_path: Path) -> None:
    old, new = change.split("|")
    with pytest.raises(CaffeError, match=REFUSED[change]):
        net_of(FASTER.replace(old, new), tmp_path)


def test_unknown_types_are_refused_by_name(tmp_path: Path) -> None:
    text = 'layer { name: "L" type: "Minimum" bottom: "x" top: "y" }'
    with pytest.raises(UnsupportedError, match="layer type 'Minimum' is unknown"):
        load(text, {"x": np.zeros((1, 2))}, tmp_path)


def test_labels_of_other_images_are_refused(tmp_path: Path) -> None:
    text = 'layer { name: "L" type: "Yolov3" bottom: "x" bottom: "l" top: "y" }'
    with pytest.raises(ShapeError, match="has 2 samples, its labels"):
        load(text, {"x": np.zeros((2, 75, 3, 3)), "l": np.zeros((3, 1, 5, 8))}, tmp_path)
    # Rows of boxes, each with its image's number, are of the whole batch.
    load(text, {"x": np.zeros((2, 75, 3, 3)), "l": np.zeros((1, 1, 5, 8))}, tmp_path)
