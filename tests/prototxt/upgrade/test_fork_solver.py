"""Fields of a fork's solver: without effect, passed over with a line, or refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from prototxt import read_solver
from prototxt.errors import FormatError, UnsupportedError
from prototxt.read import read_solver_file

SOLVER = 'net: "n.prototxt" base_lr: 0.25 max_iter: 3 lr_policy: "fixed" snapshot_prefix: "s"\n'


def write(folder: Path, more: str) -> Path:
    path = folder / "solver.prototxt"
    path.write_text(SOLVER + more)
    return path


@pytest.mark.parametrize(
    "more",
    [
        'eval_type: "classification" ap_version: "Integral"',  # ssd's
        "clip_weights: -1",  # happynear's
        "warmup_iter: 0 local_lr_auto: false",  # intel's
    ],
)
def test_default_of_a_fork_says_nothing(more: str, tmp_path: Path) -> None:
    solver, notes, _ = read_solver_file(write(tmp_path, more))
    assert notes == []
    assert solver == read_solver(write(tmp_path, ""))


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ("show_per_class_result: true", "show_per_class_result"),
        ('engine: "MKLDNN"', "engine"),
        ("per_parameter_reduce: false", "per_parameter_reduce"),
        ("solver_data_type: FLOAT16 test_initialization: true", "solver_data_type"),
        ("group_id: 0 group_id: 1", "group_id"),
    ],
)
def test_what_changes_speed_devices_or_logging_is_passed_over(
    more: str, name: str, tmp_path: Path
) -> None:
    solver, notes, _ = read_solver_file(write(tmp_path, more))
    assert notes == [f"{name} is passed over: it changes nothing that is learned"]
    solver.ClearField("test_initialization")
    assert solver == read_solver(write(tmp_path, ""))


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ('eval_type: "detection"', "eval_type is set, a field of ssd's solver"),
        ("stagelr: 0.1 stagelr: 0.01 stageiter: 5", "stagelr is set"),
        ("warmup_iter: 5", "warmup_iter is set, a field of intel's"),
        ("rampup_interval: 5", "rampup_interval is set, a field of nvidia's"),
        ("max_epoch: 5", "max_epoch is set, a field of nvidia_0_14's"),
        ("clip_weights: 0.5", "clip_weights is set, a field of happynear's"),
        ("solver_mode: MLU", "solver_mode: MLU is set"),
    ],
)
def test_what_changes_training_or_its_measure_is_refused(
    more: str, what: str, tmp_path: Path
) -> None:
    path = write(tmp_path, more)
    with pytest.raises(UnsupportedError, match=f"solver.prototxt: {what}"):
        read_solver(path)


def test_a_field_that_the_caller_heeds_is_left_to_it(tmp_path: Path) -> None:
    path = write(tmp_path, 'eval_type: "detection" ap_version: "11point"')
    heeded = ("eval_type", "ap_version")
    with pytest.raises(UnsupportedError, match="ap_version is set"):
        read_solver_file(path, heeded=heeded[:1])
    solver, notes, own = read_solver_file(path, heeded=heeded)
    assert own == {"eval_type": "detection", "ap_version": "11point"}
    assert (solver, notes) == (read_solver(write(tmp_path, "")), [])


def test_later_fields_are_there_in_a_fork_of_an_older_base(tmp_path: Path) -> None:
    """SSD's and TSN's messages lack weights and snapshot_format: their numbers are others there."""
    solver = read_solver(write(tmp_path, "show_per_class_result: true solver_type: ADAM"))
    assert (solver.type, list(solver.weights)) == ("Adam", [])
    assert solver.snapshot_format == solver.BINARYPROTO
    assert not solver.HasField("solver_type")


def test_network_inside_may_be_a_forks_where_its_solver_has_all_fields(tmp_path: Path) -> None:
    layer = 'layer { name: "b" type: "BatchNorm" batch_norm_param { frozen: true } }'
    net = f"net_param {{ {layer} }}"
    solver = read_solver(write(tmp_path, net).rename(tmp_path / "inside.prototxt"))
    assert solver.net_param.layer[0].batch_norm_param.frozen
    ssd = 'net_param { layer { type: "Normalize" norm_param { across_spatial: false } } }'
    with pytest.raises(UnsupportedError, match=r"the network inside is a fork's, and \w+'s solv"):
        read_solver(write(tmp_path, ssd))


def test_default_that_a_fork_changed_is_written_out(tmp_path: Path) -> None:
    old = "store_blobs_in_old_format: true "
    assert not read_solver(write(tmp_path, old)).test_initialization
    assert read_solver(write(tmp_path, old + "test_initialization: true")).test_initialization
    assert read_solver(write(tmp_path, "per_parameter_reduce: true")).test_initialization


def test_one_of_several_devices_trains(tmp_path: Path) -> None:
    solver, notes, _ = read_solver_file(write(tmp_path, "device_id: 2 device_id: 3"))
    assert solver.device_id == 2
    assert notes == ["device_id: one process trains on one device, the first of [2, 3]"]


@pytest.mark.parametrize("text", ['name: "n"', 'input: "x"', "layer { }", "layers { }"])
def test_a_network_in_a_solver_s_place_is_told(text, tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text(text)
    with pytest.raises(FormatError, match="it is a network: give the solver that names it"):
        read_solver(path)
    path.write_text("base_lrr: 1")
    with pytest.raises(FormatError) as caught:
        read_solver(path)
    assert "it is a network" not in str(caught.value)
