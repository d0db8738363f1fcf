"""Python layers of which the shapes alone are known, and what running one says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import converter
from prototxt import CaffeError, UnsupportedError
from tests.caffe_layers.forks.python.test_formulas import layer
from tests.support.restated import load

Shape = tuple[int, ...]
MASK = (1, 1, 21, 21)
N5, N6 = (7, 5), (7, 6)
SCORES, TURNED = (1, 18, 4, 6), (1, 108, 4, 6)
LOSSES = [
    *(f"pyloss.{name}" for name in ("L1", "L2", "SSIM", "MSSSIM", "MSSSIML1", "MSSSIML2")),
    *(f"pylayers.{name}LossLayer" for name in ("Seed", "Constrain", "Expand")),
    "pylayerUtils.DiceCoefLossLayer",
    "pylayerUtils.RBoxLossLayer",
    "tripletlosslayer.TripletLayer",
    "python.NormlizedMSE.NormlizedMSE",
    "SumOfSquaredLossLayer.SumOfSquaredLossLayer",
    "distance_layer.DistanceLayer",
    "alphaPredictionLoss.AlphaPredictionLossLayer",
    "overallLoss.EncoderDecoderLossLayer",
]
FEAT, CLASSES = "{'feat_stride': 16}", "{'num_classes': 3}"
DETECT = "caffe.layers.detectnet"
ROWS: list[tuple[str, str, list[Shape], list[Shape]]] = [
    *((name, "", [(2, 3), (2, 3)], [(1,)]) for name in LOSSES),
    (f"{DETECT}.mean_ap.mAP", "", [(2, 50, 5)], [(1,), (1,), (1,)]),
    (f"{DETECT}.mean_ap.ScoreDetections", "0.7", [(2, 50, 5), (2, 50, 5)], [(2, 50, 5)]),
    (
        f"{DETECT}.clustering.ClusterGroundtruth",
        "1248,352,16,2,30",
        [(2, 2, 22, 78), (2, 4, 22, 78)],
        [(2, 30, 5), (2, 30, 5)],
    ),
    (
        "rpn.proposal_fg_disHW_target_layer.ProposalFgDisHWTargetLayer",
        CLASSES,
        [(7, 5), (2, 5), (2, 28)],
        [(1, 5, 1, 1), (1, 1, 1, 1), *[(1, 12, 1, 1)] * 3, *[(1, 32, 1, 1)] * 4, (1, 5, 1, 1)],
    ),
    ("pylayers.CRFLayer", "", [(2, 21, 41, 41), (2, 3, 321, 321)], [(2, 21, 41, 41)]),
    ("pylayers.AnnotationLayer", "", [(2,)], [(2, 1, 1, 21), (2, 21, 41, 41)]),
    ("tripletselectlayer.TripletSelectLayer", "", [(6, 5), (6,)], [(2, 5)] * 3),
    (
        "pylayer.proposal_layer.ProposalLayer",
        "{'feat_stride': 16, 'use_clip': 1, 'clip_base': 512}",
        [SCORES, (1, 36, 4, 6), (1, 3)],
        [(2000, 5), (1, 2000)],
    ),
    (
        "pylayer.anchor_target_layer.AnchorTargetLayer",
        FEAT,
        [SCORES, (1, 4), (1, 3), (1, 4), (1, 4)],
        [(1, 1, 36, 6), *[(1, 36, 4, 6)] * 3],
    ),
    (
        "pylayer.proposal_target_layer.ProposalTargetLayer",
        "{'num_classes': 3, 'bp_all': 1}",
        [N5, (1, 4), (1, 3)],
        [(1, 5), (1, 1), (1, 12), (1, 12), (1, 12)],
    ),
    (
        "pylayer.proposal_target_layer.ProposalTargetLayer",
        "{'num_classes': 3, 'bp_all': 1}",
        [N5, (1, 4), (1, 3), MASK, (1, 3), (1, 7)],
        [(1, 5), (1, 1), *[(1, 12)] * 3, MASK, MASK, (1, 4), (1, 4), (1, 4)],
    ),
    (
        "pylayer.stage_bridge_layer.StageBridgeLayer",
        "{'feat_stride': 16, 'use_clip': 1, 'clip_base': 512, 'num_classes': 3}",
        [N5, (7, 12), (7, 3), (1, 4), MASK, (1, 3), (1, 3)],
        [(1, 5), (1, 1), MASK, MASK, (1, 4), (1, 12), (1, 12), (1, 12)],
    ),
    (
        "rotation.rproposal_layer.ProposalLayer",
        FEAT,
        [TURNED, TURNED, (1, 3)],
        [(300, 6), (300, 1)],
    ),
    (
        "rotation.rproposal_layer.ProposalLayer",
        "{'feat_stride': 16, 'scales': [8]}",
        [(1, 36, 4, 6), TURNED, (1, 3)],
        [(300, 6)],
    ),
    (
        "rotation.anchor_target_layer.AnchorTargetLayer",
        FEAT,
        [TURNED, (1, 5), (1, 3), (1, 3, 64, 96)],
        [(1, 1, 216, 6), *[(1, 270, 4, 6)] * 3],
    ),
    (
        "rotation.rproposal_target_layer.ProposalTargetLayer",
        CLASSES,
        [N6, (1, 5)],
        [(1, 6), (1, 1), (1, 15), (1, 15), (1, 15)],
    ),
]


def names(count: int, letter: str) -> str:
    return " ".join(f"{letter}{at}" for at in range(count))


@pytest.mark.parametrize(("name", "param", "bottoms", "tops"), ROWS)
def test_shapes(
    name: str, param: str, bottoms: list[Shape], tops: list[Shape], tmp_path: Path
) -> None:
    inputs = {f"b{at}": np.zeros(shape) for at, shape in enumerate(bottoms)}
    text = layer(name, names(len(bottoms), "b"), names(len(tops), "t"), param)
    net = load(text, inputs, tmp_path)
    assert [net.shapes()[f"t{at}"] for at in range(len(tops))] == tops
    fed = {key: torch.from_numpy(value) for key, value in inputs.items()}
    with pytest.raises(UnsupportedError) as caught:
        net(fed)
    assert f"{name} " in str(caught.value) or name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "param", "tops"),
    [
        (
            "pylayer.mnc_data_layer.MNCDataLayer",
            "{'num_classes': 21}",
            [(1, 3, 600, 1000), (1, 3), (1, 4)],
        ),
        (
            "pylayer.mnc_data_layer.MNCDataLayer",
            "{'num_classes': 21}",
            [(1, 3, 600, 1000), (1, 3), (1, 4), (1, 21, 21), (1, 3)],
        ),
        (
            "pylayer.cfm_data_layer.CFMDataLayer",
            CLASSES,
            [
                *((1, 3, 600, 1000), (1, 4), (1, 1, 14, 14), (1, 1), (1, 1), (1, 12), MASK),
                *((1, 12), (1, 12), MASK),
            ],
        ),
        (
            "rotation.rlayer.RoIDataLayer",
            "{'num_classes': 2}",
            [(1, 3, 600, 1000), (1, 3), (1, 5)],
        ),
        (
            "roi_data_layer.layer.RoIDataLayer",
            CLASSES,
            [(2, 3, 600, 1000), (1, 5), (1,), (1, 12), (1, 12)],
        ),
        (
            "roi_data_layer.layer.RoIDataLayer",
            CLASSES,
            [(2, 3, 600, 1000), (1, 5), (1,)],
        ),
    ],
)
def test_data_layers_begin_with_shapes(
    name: str, param: str, tops: list[Shape], tmp_path: Path
) -> None:
    path = tmp_path / "net.prototxt"
    quiet = "".join(
        f'layer {{ name: "p{at}" type: "Power" bottom: "t{at}" top: "u{at}" }}'
        for at in range(len(tops))
    )
    path.write_text(layer(name, "", names(len(tops), "t"), param) + quiet)
    assert list(converter.load(path).input_shapes.values()) == tops


@pytest.mark.parametrize(
    ("name", "param", "bottoms", "message"),
    [
        (f"{DETECT}.clustering.ClusterDetections", "1,2", [(1, 1, 2, 2)] * 2, "2 numbers, wants 7"),
        (f"{DETECT}.clustering.ClusterGroundtruth", "a", [(1, 1, 2, 2)] * 2, "is no numbers"),
        (f"{DETECT}.clustering.ClusterGroundtruth", "1,2,3,2", [(1, 2, 2, 2)] * 2, "1 tops for 2"),
        (f"{DETECT}.clustering.ClusterGroundtruth", "1,2,3", [(1, 2, 2, 2)] * 2, "wants N x 1 x H"),
        (f"{DETECT}.mean_ap.ScoreDetections", "", [(1, 50, 5), (2, 50, 5)], "of other images"),
        ("pylayer.proposal_layer.ProposalLayer", "{}", [SCORES] * 3, "has no feat_stride"),
        ("pylayer.proposal_target_layer.ProposalTargetLayer", "{}", [N5] * 3, "no num_classes"),
        ("rotation.rproposal_layer.ProposalLayer", FEAT, [SCORES] * 3, "wants 1 x 108 x H x W"),
        ("tripletselectlayer.TripletSelectLayer", "", [(5, 4)], "wants 3 K x C"),
    ],
)
def test_refused(name: str, param: str, bottoms: list[Shape], message: str, tmp_path: Path) -> None:
    inputs = {f"b{at}": np.zeros(shape) for at, shape in enumerate(bottoms)}
    tops = names(
        {"tripletselectlayer": 3, "pylayer.proposal_target_layer": 5}.get(
            name.rpartition(".")[0], 1
        ),
        "t",
    )
    with pytest.raises(CaffeError, match=message):
        load(layer(name, names(len(bottoms), "b"), tops, param), inputs, tmp_path)


def test_mnc_regions_are_py_faster_rcnns(tmp_path: Path) -> None:
    rng = np.random.default_rng(1701)
    inputs = {
        "b0": rng.uniform(size=SCORES),
        "b1": rng.standard_normal((1, 36, 4, 6)) * 0.1,
        "b2": np.array([[64.0, 96, 1]]),
    }
    fed = {key: torch.from_numpy(value) for key, value in inputs.items()}
    rois = []
    for module, param in (("rpn", ""), ("pylayer", ", 'gradient_scale': 1")):
        name, text = f"{module}.proposal_layer.ProposalLayer", f"{{'feat_stride': 16{param}}}"
        rois.append(load(layer(name, "b0 b1 b2", "y", text), inputs, tmp_path)(fed)["y"])
    assert torch.equal(*rois)
    assert len(rois[0]) > 1


def test_a_loss_goes_with_deploy_and_in_an_exported_model(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(
        'layer { name: "x" type: "Input" top: "x" top: "label" '
        "input_param { shape { dim: [2, 4] } shape { dim: [2, 3] } } }\n"
        'layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc" '
        "inner_product_param { num_output: 3 } }\n" + layer("pyloss.SSIM", "fc label", "loss")
    )
    assert list(converter.load(path, deploy=True).shapes()) == ["x", "fc"]
    assert list(converter.load(path).exported().plan.outputs) == ["fc"]


@pytest.mark.parametrize(
    ("name", "param", "asked"),
    [
        ("voc_layers.SBDDSegDataLayer", "", ["1,3,500,500", "1,1,500,500"]),
        ("siftflow_layers.SIFTFlowSegDataLayer", "", ["1,3,256,256", *["1,1,256,256"] * 2]),
        (
            "nyud_layers.NYUDSegDataLayer",
            "{'nyud_dir': 'd', 'split': 's', 'tops': ['hha', 'depth', 'label'], 'seed': 1}",
            ["1,3,425,560", "1,1,425,560", "1,1,425,560"],
        ),
        ("datalayer.DataLayer", "", ["30,3,224,224", "30"]),
    ],
)
def test_data_layers_of_open_shapes_ask_for_all(
    name: str, param: str, asked: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "net.prototxt"
    quiet = "".join(
        f'layer {{ name: "p{at}" type: "Power" bottom: "t{at}" top: "u{at}" }}'
        for at in range(len(asked))
    )
    path.write_text(layer(name, "", names(len(asked), "t"), param) + quiet)
    with pytest.raises(CaffeError, match="the file does not say the shape of 't0'") as caught:
        converter.load(path)
    words = " ".join(f"--input-shape t{at}={shape}" for at, shape in enumerate(asked))
    assert caught.value.fix == f"give them with {words}"
