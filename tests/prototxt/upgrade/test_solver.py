"""Solver files: read, upgraded, and told where their snapshots go."""

from __future__ import annotations

import pytest

from prototxt import FormatError, read_solver


def written(folder, text):
    path = folder / "my.solver.prototxt"
    path.write_text(text)
    return path


def test_every_recorded_solver_is_read(shared):
    paths = sorted((shared / "reference" / "solvers").glob("*/solver.prototxt"))
    assert len(paths) == 23
    for path in paths:
        solver = read_solver(path)
        assert solver.net == "net.prototxt", path
        assert not solver.HasField("solver_type"), path


def test_fields_enums_and_lists(tmp_path):
    solver = read_solver(
        written(
            tmp_path,
            'net: "a.prototxt" solver_type: ADAM base_lr: 1e-3 stepvalue: [3, 5] solver_mode: CPU\n'
            'weights: "a.caffemodel" test_state { level: 2 } test_state { stage: "x" }',
        )
    )
    assert solver.DESCRIPTOR.full_name == "caffe.SolverParameter"
    assert (solver.type, solver.solver_mode, solver.momentum2) == ("Adam", 0, pytest.approx(0.999))
    assert list(solver.stepvalue) == [3, 5]
    assert list(solver.weights) == ["a.caffemodel"]
    assert [state.level for state in solver.test_state] == [2, 0]
    assert solver.random_seed == -1


def test_snapshots_are_named_as_the_solver_unless_it_names_them(tmp_path):
    assert read_solver(written(tmp_path, "")).snapshot_prefix == str(tmp_path / "my.solver")
    given = written(tmp_path, 'snapshot_prefix: "snapshots/net"')
    assert read_solver(given).snapshot_prefix == "snapshots/net"


def test_a_folder_of_snapshots_is_followed_by_the_solvers_name(tmp_path):
    folder = tmp_path / "snapshots"
    folder.mkdir()
    path = written(tmp_path, f'snapshot_prefix: "{folder}"')
    assert read_solver(path).snapshot_prefix == str(folder / "my.solver")


def test_a_prefix_that_is_a_file_stays(tmp_path):
    (tmp_path / "net").touch()
    path = written(tmp_path, f'snapshot_prefix: "{tmp_path / "net"}"')
    assert read_solver(path).snapshot_prefix == str(tmp_path / "net")


def test_a_network_inside_may_be_a_forks(tmp_path):
    layer = 'layer { type: "CuDNNBatchNorm" batch_norm_param { momentum: 0.5 } }'
    solver = read_solver(written(tmp_path, f"net_param {{ {layer} }}"))
    assert solver.net_param.layer[0].batch_norm_param.momentum == 0.5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "base_lr: 1\nmomentun: 0.9",
            ":2:1: SolverParameter has no field 'momentun'\n  fix: did you mean 'momentum'?",
        ),
        ("solver_type: ADAMAX", ":1:14: SolverType has no value ADAMAX, wants SGD, NESTEROV, "),
        (
            'solver_type: SGD type: "Adam"',
            ": both solver_type: SGD and type: 'Adam', wants one\n  fix: keep type",
        ),
        ("\x08\x01", ": a binary file, wants a solver's text"),
    ],
)
def test_what_is_no_solver(tmp_path, text, said):
    path = written(tmp_path, text)
    with pytest.raises(FormatError) as caught:
        read_solver(path)
    assert str(caught.value).startswith(f"{path}{said}")
