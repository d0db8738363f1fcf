"""Mean average precision over a test's batches, against a plain restatement of SSD's own loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import converter
from converter.__main__ import main
from converter.training import Solver, mean_outputs
from converter.training.average_precision import VERSIONS, Detections, average_precision
from prototxt import CaffeError
from prototxt.errors import ShapeError, UnsupportedError

FLOAT = np.float32


def restated(found, objects, version):
    """One class's average precision as the fork goes over it: forwards, backwards, in floats."""
    ranked = sorted(found, key=lambda pair: -pair[0])
    precision, recall, right = [], [], 0
    for place, (_, is_right) in enumerate(ranked):
        right += is_right
        precision.append(FLOAT(right) / FLOAT(place + 1))
        recall.append(FLOAT(right) / FLOAT(objects))
    total = FLOAT(0)
    if version == "Integral":
        before = FLOAT(0)
        for height, reached in zip(precision, recall, strict=True):
            if abs(reached - before) > FLOAT(1e-6):
                total += height * abs(reached - before)
            before = reached
    elif version == "MaxIntegral":
        reached, height = recall[-1], precision[-1]
        for place in range(len(ranked) - 2, -1, -1):
            height = max(precision[place], height)
            if abs(reached - recall[place]) > FLOAT(1e-6):
                total += height * abs(reached - recall[place])
            reached = recall[place]
        total += reached * height
    else:
        for tenth in range(10, -1, -1):
            heights = [
                p for p, r in zip(precision, recall, strict=True) if not float(r) < tenth / 10.0
            ]
            total += max(heights, default=FLOAT(0)) / FLOAT(11)
    return total


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("seed", range(20))
def test_one_class(version, seed):
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 40))
    scores = FLOAT(random.integers(0, 12, count)) / FLOAT(12)  # many are equal
    right = random.integers(0, 2, count).tolist()
    objects = max(1, sum(right)) + int(random.integers(0, 4))
    found = list(zip(scores, right, strict=True))
    got = average_precision(found, objects, version)
    assert got == pytest.approx(restated(found, objects, version), abs=1e-6)
    assert got.dtype == FLOAT


def test_by_hand():
    """Right, wrong, right, of four objects: precisions 1, 1/2, 2/3 at recalls 1/4, 1/4, 1/2."""
    found = [(FLOAT(0.9), 1), (FLOAT(0.8), 0), (FLOAT(0.7), 1)]
    assert average_precision(found, 4, "Integral") == pytest.approx(1 / 4 + 2 / 3 / 4)
    assert average_precision(found, 4, "MaxIntegral") == pytest.approx(1 / 4 + 2 / 3 / 4)
    assert average_precision(found, 4, "11point") == pytest.approx((3 + 3 * 2 / 3) / 11)
    late = [(FLOAT(0.9), 0), (FLOAT(0.8), 1), (FLOAT(0.7), 1)]
    assert average_precision(late, 2, "Integral") == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert average_precision(late, 2, "MaxIntegral") == pytest.approx(2 / 3)
    assert average_precision(late, 2, "11point") == pytest.approx(2 / 3)


def test_a_recall_of_seven_tenths_is_a_float():
    found = [(FLOAT(1), 1)] * 7
    assert average_precision(found, 10, "11point") == pytest.approx(7 / 11)


def test_the_mean_counts_every_class_that_is_named():
    rows = Detections()
    head = [[-1, 1, 1, -1, -1], [-1, 2, 2, -1, -1], [-1, 3, 0, -1, -1]]
    rows.add("y", torch.tensor([[head]]))
    rows.add("y", torch.tensor([[[*head, [0, 1, 0.5, 1, 0], [0, 1, 0.9, 0, 0]]]]))
    rows.add("y", torch.tensor([[[[5, 3, 0.5, 0, 1]]]]))
    # Class 1: one of two objects, found at once; what is neither right nor wrong does not count.
    assert rows.objects == {1: 2, 2: 4, 3: 0}
    assert rows.mean("Integral") == pytest.approx(0.5 / 3)
    assert Detections().mean("Integral") == 0


def test_what_is_no_row():
    with pytest.raises(ShapeError, match=r"output 'y' is \(2, 4\), wants rows of 5"):
        Detections().add("y", torch.zeros(2, 4))


NET = """layer { name: "d" type: "HDF5Data" top: "found" top: "objects"
  hdf5_data_param { source: "files.txt" batch_size: 1 } }
layer { name: "e" type: "DetectionEvaluate" bottom: "found" bottom: "objects" top: "detection_eval"
  detection_evaluate_param { num_classes: 3 } include { phase: TEST } }
layer { name: "x" type: "DummyData" top: "x" dummy_data_param { shape { dim: [2, 3] } } }
layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc" inner_product_param { num_output: 1 }
  include { phase: TRAIN } }
layer { name: "loss" type: "EuclideanLoss" bottom: "fc" bottom: "fc" top: "loss"
  include { phase: TRAIN } }
layer { name: "s" type: "Silence" bottom: "x" include { phase: TEST } }
layer { name: "t" type: "Silence" bottom: "found" bottom: "objects" include { phase: TRAIN } }
"""
SOLVER = """net: "net.prototxt" test_iter: 4 test_interval: 1 base_lr: 0.1 lr_policy: "fixed"
max_iter: 1 snapshot_after_train: false display: 0 """
FOUND = [0, 1, 1, 0.1, 0.1, 0.5, 0.5]
OBJECT = [0, 1, 0, 0.1, 0.1, 0.5, 0.5, 0]
"""One box of class 1, found three times in each batch with the same score, of two objects."""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    h5py = pytest.importorskip("h5py")
    with h5py.File("data.h5", "w") as file:
        file["found"] = np.array([[[FOUND] * 3]] * 4, "f")
        file["objects"] = np.array([[[OBJECT, [*OBJECT[:3], 0.6, 0.6, 0.9, 0.9, 0]]]] * 4, "f")
    Path("files.txt").write_text("data.h5\n")
    (tmp_path / "net.prototxt").write_text(NET)
    return tmp_path


def solver(folder: Path, more: str) -> str:
    path = folder / "solver.prototxt"
    path.write_text(SOLVER + more)
    return str(path)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_solver_that_evaluates_detections(version, folder, capsys):
    path = solver(folder, f'eval_type: "detection" ap_version: "{version}"')
    assert main(["train", path]) == 0
    # The first of the three finds its object, nothing the other.
    want = average_precision([(FLOAT(1), 1), (FLOAT(1), 0), (FLOAT(1), 0)] * 4, 8, version) / 2
    out = capsys.readouterr().out
    assert out.count(f"Test net output #0: detection_eval = {want:g}\n") == 2


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('eval_type: "nonsense"', "eval_type 'nonsense' is unknown"),
        ('eval_type: "detection" ap_version: "12point"', "ap_version '12point' is unknown"),
    ],
)
def test_what_the_fork_does_not_know_either(more, said, folder):
    with pytest.raises(UnsupportedError, match=said):
        Solver(solver(folder, more))


def test_other_outputs_are_not_judged_as_detections(folder):
    (folder / "net.prototxt").write_text(NET.replace('name: "s" type: "Silence"', SCALE))
    with pytest.raises(CaffeError, match="output 'more' is"):
        Solver(solver(folder, 'eval_type: "detection"')).test()


SCALE = 'name: "s" type: "Power" top: "more"'


def growing(net):
    growing.rows += 1
    found, objects = torch.tensor([[[FOUND]]]), torch.tensor([[[OBJECT] * 2]])
    return {"found": found.repeat(1, 1, growing.rows, 1), "objects": objects}


def test_rows_that_change_from_batch_to_batch(folder):
    net = converter.load(folder / "net.prototxt")
    growing.rows = 1
    means = mean_outputs(net, 3, feed=growing)
    assert means is not None
    assert (means.values, means.without_mean) == ({}, ("detection_eval",))
    assert means.lines() == ["detection_eval has no mean: it has another shape in every batch"]
    growing.rows = 1
    judged = mean_outputs(net, 3, feed=growing, ap_version="11point")
    found = [(FLOAT(1), int(first == 0)) for rows in (2, 3, 4) for first in range(rows)]
    assert judged is not None
    want = average_precision(found, 6, "11point") / 2
    assert judged.values == {"detection_eval": [pytest.approx(want)]}


def test_the_command_judges_too(folder, capsys):
    assert main(["test", "net.prototxt", "--iterations", "2", "--ap-version", "11point"]) == 0
    found = [(FLOAT(1), 1), (FLOAT(1), 0), (FLOAT(1), 0)] * 2
    want = average_precision(found, 4, "11point") / 2
    assert capsys.readouterr().out.splitlines()[-1] == f"detection_eval = {want:g}"
    assert main(["test", "net.prototxt", "--ap-version", "5"]) == 1
    assert "ap_version '5' is unknown" in capsys.readouterr().err
