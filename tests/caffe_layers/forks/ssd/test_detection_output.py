"""DetectionOutput against its rule as plain loops, edges included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import caffe_layers
import converter
from converter.onnx.emit import emit
from converter.onnx.file import write_onnx
from converter.onnx.runtime import run_onnx
from prototxt import ShapeError
from tests.support.restated import check, load
from tests.support.ssd_boxes import CODE_TYPES, Box, decode, grid, iou

RNG = np.random.default_rng(1701)
PRIORS = 30
FIELDS: dict[str, Any] = {
    "num_classes": 4,
    "share_location": True,
    "background_label_id": 0,
    "code_type": "CENTER_SIZE",
    "keep_top_k": -1,
    "variance_encoded_in_target": False,
    "confidence_threshold": None,
    "nms_threshold": 0.3,
    "top_k": None,
    "eta": 1.0,
}


def suppressed(boxes: list[Box], scores: list[float], field: dict[str, Any]) -> list[int]:
    least, top_k = field["confidence_threshold"], field["top_k"]
    order = [i for i, score in enumerate(scores) if least is None or score > np.float32(least)]
    order.sort(key=lambda i: -scores[i])
    if top_k is not None and top_k > -1:
        order = order[:top_k]
    kept: list[int] = []
    limit = float(np.float32(field["nms_threshold"]))
    for i in order:
        if all(iou(boxes[i], boxes[j]) <= limit for j in kept):
            kept.append(i)
            if field["eta"] < 1 and limit > 0.5:
                limit *= float(np.float32(field["eta"]))
    return kept


def detection_output(
    loc: np.ndarray,
    conf: np.ndarray,
    prior: np.ndarray,
    arm_conf: np.ndarray | None = None,
    arm_loc: np.ndarray | None = None,
    objectness: float = 0.01,
    **given: Any,
) -> np.ndarray:
    field = FIELDS | given
    images, classes = len(loc), field["num_classes"]
    loc_classes = 1 if field["share_location"] else classes
    priors = prior[0, 0].reshape(-1, 4).tolist()
    variances = prior[0, 1].reshape(-1, 4).tolist()
    if field["variance_encoded_in_target"]:
        variances = [[1.0] * 4] * len(priors)
    rows = []
    for n in range(images):
        codes = loc[n].reshape(len(priors), loc_classes, 4)
        scores = conf[n].reshape(len(priors), classes).copy()
        own = priors
        if arm_loc is not None:
            arm = arm_loc[n].reshape(-1, 4)
            own = [
                decode(field["code_type"], p, v, t)
                for p, v, t in zip(priors, variances, arm, strict=True)
            ]
        if arm_conf is not None:
            for p in range(len(priors)):
                if arm_conf[n, 2 * p + 1] < np.float32(objectness):
                    scores[p] = [1.0] + [0.0] * (classes - 1)
        kept = []
        for c in range(classes):
            if c == field["background_label_id"]:
                continue
            at = 0 if field["share_location"] else c
            boxes = [
                decode(field["code_type"], p, v, t)
                for p, v, t in zip(own, variances, codes[:, at].tolist(), strict=True)
            ]
            of_class = scores[:, c].tolist()
            kept += [(c, of_class[i], boxes[i]) for i in suppressed(boxes, of_class, field)]
        most = field["keep_top_k"]
        if -1 < most < len(kept):
            best = sorted(range(len(kept)), key=lambda i: -kept[i][1])[:most]
            kept = [kept[i] for i in sorted(best)]
        rows += [[n, c, score, *box] for c, score, box in kept]
    if not rows:
        rows = [[n, *[-1] * 6] for n in range(images)]
    return np.array(rows)[None, None]


def text(bottoms: int = 3, **given: Any) -> str:
    nms = {key: given.pop(key) for key in ("nms_threshold", "top_k", "eta") if key in given}
    field = {"num_classes": 4, "code_type": "CENTER_SIZE"} | given

    def words(fields: dict[str, Any]) -> str:
        return " ".join(
            f"{key}: {str(value).lower() if value is True or value is False else value}"
            for key, value in fields.items()
        )

    names = ["loc", "conf", "prior", "arm_conf", "arm_loc"][:bottoms]
    return (
        'layer { name: "L" type: "DetectionOutput" top: "y" '
        + " ".join(f'bottom: "{name}"' for name in names)
        + f" detection_output_param {{ {words(field)} nms_param {{ {words(nms)} }} }} }}"
    )


def bottoms(classes: int = 4, loc_classes: int = 1, images: int = 2) -> dict[str, np.ndarray]:
    return {
        "loc": exact(RNG.normal(0, 1, (images, PRIORS * loc_classes * 4))),
        "conf": exact(RNG.uniform(0, 1, (images, PRIORS * classes))),
        "prior": grid(RNG, PRIORS),
    }


def exact(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32).astype(float)


ROWS: list[dict[str, Any]] = [
    {},
    *({"code_type": code} for code in CODE_TYPES),
    *({"code_type": code, "variance_encoded_in_target": True} for code in CODE_TYPES),
    *({"code_type": code, "share_location": False} for code in CODE_TYPES),
    {"background_label_id": 2},
    {"background_label_id": 2, "share_location": False},
    {"background_label_id": -1},
    {"nms_threshold": 0.45},
    {"nms_threshold": 0.0},
    {"nms_threshold": 1.5},
    {"confidence_threshold": 0.7},
    {"confidence_threshold": 0.99, "keep_top_k": 5},
    {"confidence_threshold": 2.0},  # nothing is found
    {"top_k": 7},
    {"top_k": -1},
    {"top_k": 0},  # nothing is looked at
    {"top_k": 400},
    {"top_k": 0, "keep_top_k": 5, "background_label_id": -1},
    {"num_classes": 1},  # the background
    {"num_classes": 1, "share_location": False, "keep_top_k": 5},
    {"keep_top_k": 5},
    {"keep_top_k": 500},
    {"keep_top_k": 0},  # nothing stays
    {"nms_threshold": 0.9, "eta": 0.8},
    {"nms_threshold": 0.9, "eta": 0.95, "top_k": 20, "keep_top_k": 11},
    {"nms_threshold": 0.4, "eta": 0.5},  # never above 1/2
    {"nms_threshold": 0.8, "eta": 0.7, "share_location": False, "confidence_threshold": 0.4},
]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_rule(row: dict[str, Any], tmp_path: Path) -> None:
    classes = row.get("num_classes", 4)
    inputs = bottoms(classes, 1 if row.get("share_location", True) else classes)
    want = detection_output(**inputs, **row)
    check(text(**row), inputs, {"y": want}, tmp_path, dynamic=())


@pytest.mark.parametrize("code", ["CORNER", "CORNER_SIZE"])
def test_inverted_and_flat_boxes_cover_nothing(code: str, tmp_path: Path) -> None:
    inputs = bottoms()
    codes = inputs["loc"].reshape(2, PRIORS, 4)
    codes[:, ::2, :2], codes[:, ::2, 2:] = 6, -6
    codes[:, 1::4, 0], codes[:, 1::4, 2] = 6, -6  # in x alone
    want = detection_output(**inputs, code_type=code, nms_threshold=0.1)
    assert (want[0, 0, :, 3] > want[0, 0, :, 5]).any(), "no inverted box is there"
    check(text(code_type=code, nms_threshold=0.1), inputs, {"y": want}, tmp_path, dynamic=())


def test_boxes_go_by_rank_and_flat_ones_lie_apart(tmp_path: Path) -> None:
    """What OpenCV wants of a suppression: scores of 0 and more, no box without an area."""
    given = {name: array.astype(np.float32) for name, array in bottoms().items()}
    given["loc"].reshape(2, PRIORS, 4)[:, ::2] = 6, 6, -6, -6
    net = load(text(code_type="CORNER"), given, tmp_path, dtype=torch.float32)
    graph = emit(net, dynamic=())
    (node,) = [node for node in graph.nodes if node.op_type == "NonMaxSuppression"]
    graph.outputs = {name: (1, [None] * 3) for name in node.input[:2]}
    graph.drop_dead()
    write_onnx(graph, tmp_path / "net.onnx", "0")
    found = run_onnx(tmp_path / "net.onnx", given)
    boxes, scores = (found[name] for name in node.input[:2])
    assert (graph.initializers[node.input[4]] >= 0).all()
    np.testing.assert_array_equal(scores[0, 0], np.arange(PRIORS, 0, -1))
    assert (boxes[..., 2:] > boxes[..., :2]).all()


def test_only_a_box_that_stays_lowers_the_threshold(tmp_path: Path) -> None:
    inputs = bottoms()
    for name, width in (("loc", 4), ("prior", 4)):
        values = inputs[name].reshape(2, PRIORS, width)
        values[:] = values[:, np.arange(PRIORS) // 5]  # five of each
    inputs["prior"][0, 0] += np.repeat(RNG.uniform(0, 0.02, PRIORS), 4)
    row = {"nms_threshold": 0.95, "eta": 0.95}
    want = detection_output(**inputs, **row)
    check(text(**row), inputs, {"y": want}, tmp_path, dynamic=())


def test_equal_scores_go_by_their_index(tmp_path: Path) -> None:
    inputs = bottoms()
    inputs["conf"] = np.round(inputs["conf"] * 4) / 4
    row = {"keep_top_k": 9, "top_k": 12, "nms_threshold": 0.5}
    check(text(**row), inputs, {"y": detection_output(**inputs, **row)}, tmp_path, dynamic=())


def test_score_at_the_threshold_is_too_low(tmp_path: Path) -> None:
    inputs = bottoms()
    inputs["conf"] = np.round(inputs["conf"] * 4) / 4
    row = {"confidence_threshold": 0.75}
    want = detection_output(**inputs, **row)
    assert set(want[0, 0, :, 2]) == {1}
    check(text(**row), inputs, {"y": want}, tmp_path, dynamic=())


def test_one_image_without_a_box_has_no_row(tmp_path: Path) -> None:
    inputs = bottoms()
    inputs["conf"][0] = 0
    row = {"confidence_threshold": 0.1}
    want = detection_output(**inputs, **row)
    assert set(want[0, 0, :, 0]) == {1}
    check(text(**row), inputs, {"y": want}, tmp_path, dynamic=())


def test_one_prior_box_of_one_class(tmp_path: Path) -> None:
    inputs = {
        "loc": np.zeros((1, 4)),
        "conf": np.full((1, 2), 0.5),
        "prior": np.array([[[0.25, 0.25, 0.75, 0.5], [0.5] * 4]]),
    }
    want = np.array([[[[0, 1, 0.5, 0.25, 0.25, 0.75, 0.5]]]])
    assert np.array_equal(detection_output(**inputs, num_classes=2), want)
    check(text(num_classes=2), inputs, {"y": want}, tmp_path, dynamic=())


NET = """
layer { name: "m" type: "Input" top: "m" input_param { shape { dim: [2, 3, 4, 5] } } }
layer { name: "d" type: "Input" top: "d" input_param { shape { dim: [2, 3, 64, 80] } } }
layer { name: "p" type: "PriorBox" bottom: "m" bottom: "d" top: "p"
  prior_box_param { min_size: 20 aspect_ratio: 2 variance: 0.1 } }
layer { name: "l" type: "Convolution" bottom: "m" top: "l"
  convolution_param { num_output: 12 kernel_size: 1 weight_filler { type: "gaussian" } } }
layer { name: "c" type: "Convolution" bottom: "m" top: "c"
  convolution_param { num_output: 9 kernel_size: 1 weight_filler { type: "gaussian" } } }
layer { name: "lp" type: "Permute" bottom: "l" top: "lp" permute_param { order: [0, 2, 3, 1] } }
layer { name: "cp" type: "Permute" bottom: "c" top: "cp" permute_param { order: [0, 2, 3, 1] } }
layer { name: "lf" type: "Flatten" bottom: "lp" top: "lf" }
layer { name: "cf" type: "Flatten" bottom: "cp" top: "cf" }
layer { name: "y" type: "DetectionOutput" bottom: "lf" bottom: "cf" bottom: "p" top: "y"
  detection_output_param { num_classes: 3 code_type: CENTER_SIZE keep_top_k: 40
    nms_param { nms_threshold: 0.45 top_k: 100 } confidence_threshold: 0.5 } }
"""


@pytest.mark.parametrize("opset", [13, 17])
def test_batch_and_sizes_may_be_free(opset: int, tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    net = converter.load(tmp_path / "net.prototxt")
    path = tmp_path / "net.onnx"
    converter.export_onnx(net, path, opset=opset, dynamic=("batch", "height", "width"))
    converter.check_onnx(path)
    for images, height, width in ((2, 4, 5), (1, 4, 5), (3, 2, 7)):
        inputs = {
            "m": RNG.normal(0, 2, (images, 3, height, width)).astype(np.float32),
            "d": np.zeros((images, 3, 16 * height, 16 * width), np.float32),
        }
        want = net({name: torch.from_numpy(array) for name, array in inputs.items()})["y"]
        got = run_onnx(path, inputs)["y"]
        assert want.shape[2] > images
        assert got.shape == want.shape
        assert np.abs(got - want.numpy()).max() < 1e-4


def test_torch_export_follows(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    net = converter.load(tmp_path / "net.prototxt")
    converter.convert(tmp_path / "net.prototxt", None, tmp_path, formats=("pt2",))
    program = torch.export.load(tmp_path / "net.pt2").module()
    inputs = {
        "m": torch.from_numpy(RNG.normal(0, 2, (3, 3, 4, 5)).astype(np.float32)),
        "d": torch.zeros(3, 3, 64, 80),
    }
    want = net(inputs)["y"]
    program.load_state_dict(net.state_dict(), strict=False)
    assert torch.equal(program(inputs)["y"], want)


ARM = {"num_classes": 4, "code_type": "CENTER_SIZE"}


@pytest.mark.parametrize("arms", [1, 2])
@pytest.mark.parametrize("code", CODE_TYPES)
@pytest.mark.parametrize("encoded", [False, True])
def test_refined_prior_boxes(arms: int, code: str, encoded: bool, tmp_path: Path) -> None:
    inputs = bottoms()
    arm = {
        "arm_conf": exact(RNG.uniform(0, 1, (2, PRIORS * 2))),
        "arm_loc": exact(RNG.uniform(-0.3, 0.3, (2, PRIORS * 4))),
    }
    inputs |= dict(list(arm.items())[:arms])
    row = {"code_type": code, "variance_encoded_in_target": encoded, "confidence_threshold": 0.05}
    want = detection_output(**inputs, objectness=0.3, **row)
    net = text(3 + arms, objectness_score=0.3, **row)
    check(net, inputs, {"y": want}, tmp_path, dynamic=())


def test_class_0_of_no_object_scores_1(tmp_path: Path) -> None:
    inputs = bottoms() | {"arm_conf": exact(RNG.uniform(0, 1, (2, PRIORS * 2)))}
    row = {"background_label_id": 3, "keep_top_k": 20}
    want = detection_output(**inputs, objectness=0.4, **row)
    assert (want[0, 0, :, 2] == 1).any()
    check(text(4, objectness_score=0.4, **row), inputs, {"y": want}, tmp_path, dynamic=())


def test_two_readings_of_a_fourth_bottom(tmp_path: Path) -> None:
    inputs = bottoms()
    plain = detection_output(**inputs)
    score = {"arm_conf": exact(RNG.uniform(0, 0.02, (2, PRIORS * 2)))}
    refined = detection_output(**inputs, **score)
    assert refined.shape != plain.shape or not np.allclose(refined, plain)
    image = {"arm_conf": np.zeros((2, 3, 8, 8))}
    check(text(4), inputs | image, {"y": plain}, tmp_path, dynamic=())
    check(text(4), inputs | score, {"y": refined}, tmp_path, dynamic=(), dialect="refinedet")
    check(text(3), inputs, {"y": plain}, tmp_path, dynamic=(), dialect="refinedet")
    with pytest.raises(ShapeError, match=r"wants an image\n  fix: --dialect refinedet"):
        load(text(4), inputs | score, tmp_path)
    with pytest.raises(ShapeError, match=r"arm_conf is \(2, 3, 8, 8\), wants 2 x 60"):
        load(text(4), inputs | image, tmp_path, dialect="refinedet")


def test_file_of_refinedet_is_read_so_throughout(tmp_path: Path) -> None:
    inputs = bottoms() | {"arm_conf": exact(RNG.uniform(0, 0.02, (2, PRIORS * 2)))}
    inputs["arm_loc"] = exact(RNG.uniform(-0.3, 0.3, (2, PRIORS * 4)))
    want = detection_output(**(inputs | {"arm_loc": None}))
    more = text(5, objectness_score=0.2).replace('"L"', '"M"').replace('"y"', '"z"')
    check(text(4) + more, inputs, {"y": want}, tmp_path, dynamic=())


def test_by_hand() -> None:
    inputs = bottoms()
    layer = caffe_layers.DetectionOutput(num_classes=4, code_type="CENTER_SIZE", top_k=9)
    tensors = [torch.from_numpy(array) for array in inputs.values()]
    want = detection_output(**inputs, top_k=9)
    assert np.allclose(layer(*tensors).numpy(), want, atol=1e-12)
    assert not layer(*(tensor.requires_grad_() for tensor in tensors)).requires_grad


@pytest.mark.parametrize(
    ("row", "change", "message"),
    [
        ({"nms_threshold": -0.1}, {}, "nms_threshold -0.1 wants 0 or more"),
        ({"eta": 0}, {}, "eta 0 wants more than 0 and 1 at most"),
        ({"eta": 1.5}, {}, "eta 1.5 wants more than 0 and 1 at most"),
        ({"num_classes": 5}, {}, "conf is (2, 120), wants N x 150 for 30 prior boxes"),
        ({"share_location": False}, {}, "loc is (2, 120), wants N x 480 for 30 prior boxes"),
        ({}, {"prior": (1, 2, 118)}, "the prior boxes are (1, 2, 118), wants 1 x 2 x 4P"),
        ({}, {"conf": (3, 120)}, "loc (2, 120) and conf (3, 120) differ in N"),
    ],
    ids=str,
)
def test_refusals(
    row: dict[str, Any], change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    inputs = bottoms() | {name: np.ones(shape) for name, shape in change.items()}
    with pytest.raises(ShapeError) as caught:
        load(text(**row), inputs, tmp_path)
    assert str(caught.value).endswith(message)


def test_no_num_classes_is_refused(tmp_path: Path) -> None:
    net = text().replace("num_classes: 4", "")
    with pytest.raises(ShapeError, match="there is no num_classes"):
        load(net, bottoms(), tmp_path)


def test_flat_prior_box_is_refused(tmp_path: Path) -> None:
    inputs = bottoms()
    inputs["prior"][0, 0, 4:8] = [0.5, 0.1, 0.5, 0.4]
    net = load(text(), inputs, tmp_path)
    with pytest.raises(ShapeError, match="a prior box has the width or height 0, wants more"):
        net({name: torch.from_numpy(array) for name, array in inputs.items()})
