"""Solvers beyond the probe: callbacks, changes in place of gradients, tests, shared weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

NET = """
layer { name: "d" type: "DummyData" top: "x" top: "t" dummy_data_param {
  shape { dim: 2 dim: 2 } shape { dim: 2 dim: 1 } data_filler { value: 1 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
  param { lr_mult: 1 decay_mult: 0 } param { lr_mult: 0 }
  inner_product_param { num_output: 1 weight_filler { type: "constant" value: 0.5 } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "ip" bottom: "t" top: "loss" }
"""
SOLVER = (
    'base_lr: 0.25 lr_policy: "fixed" momentum: 0.5 max_iter: 4 snapshot_prefix: "{0}/s" '
    'net: "{0}/net"'
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "net").write_text(NET)
    (tmp_path / "solver").write_text(SOLVER.format(tmp_path))
    return tmp_path


def test_an_update_is_caffes_and_stands_in_the_gradients(caffe: Any, folder: Path) -> None:
    """Loss 1/4 sum (w.x - t)^2 of 2 rows: gradient 1/2 sum (w.x - t) x, by hand."""
    solver = caffe.SGDSolver(str(folder / "solver"))
    x, t = solver.net.blobs["x"], solver.net.blobs["t"]
    x.data[...] = [[1, 2], [3, -1]]
    t.data[...] = [[1], [0]]
    weights = solver.net.params["ip"][0]
    w, history = np.array([[0.5, 0.5]]), np.zeros((1, 2))
    for _ in range(3):
        gradient = (x.data @ w.T - t.data).T @ x.data / 2
        history = 0.5 * history + 0.25 * gradient
        w = w - history
        solver.step(1)
        np.testing.assert_allclose(weights.data, w, rtol=1e-5)
        np.testing.assert_allclose(weights.diff, history, rtol=1e-5)
    assert solver.net.params["ip"][1].data == 0  # lr_mult 0
    assert solver.iter == 3


def test_callbacks_run_around_the_gradients(caffe: Any, folder: Path) -> None:
    solver = caffe.SGDSolver(str(folder / "solver"))
    calls: list[tuple[str, float]] = []
    weights = solver.net.params["ip"][0]

    def ready() -> None:
        calls.append(("ready", float(np.abs(weights.diff).sum())))
        weights.diff[...] = 0

    solver.add_callback(lambda: calls.append(("start", float(weights.diff.sum()))), ready)
    solver.net.blobs["t"].data[...] = 9
    solver.step(2)
    assert [name for name, _ in calls] == ["start", "ready", "start", "ready"]
    assert calls[0][1] == 0
    assert calls[1][1] > 0
    assert weights.data.tolist() == [[0.5, 0.5]]  # the callback took the gradients away


def test_base_lr_may_be_written(caffe: Any, folder: Path) -> None:
    solver = caffe.get_solver(str(folder / "solver"))
    solver.net.blobs["t"].data[...] = 9
    solver.param.base_lr = 0
    solver.step(1)
    assert solver.net.params["ip"][0].data.tolist() == [[0.5, 0.5]]
    assert solver.lr == 0


def test_test_networks_are_tested_with_the_trained_blobs(
    caffe: Any, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = " test_iter: 2 test_interval: 2 display: 2"
    (folder / "solver").write_text(SOLVER.format(folder) + more)
    solver = caffe.SGDSolver(str(folder / "solver"))
    solver.net.blobs["t"].data[...] = 9
    solver.solve()
    said = capsys.readouterr().err
    assert said.count("Testing net (#0)") == 3  # at 0, 2 and 4
    assert "Iteration 2, loss = " in said
    assert "Iteration 2, lr = 0.25" in said
    trained, tested = solver.net.params["ip"][0].data, solver.test_nets[0].params["ip"][0].data
    assert np.shares_memory(trained, tested)
    assert (folder / "s_iter_4.caffemodel").exists()


def test_a_snapshot_goes_on_where_it_was_and_another_solvers_is_refused(
    caffe: Any, folder: Path
) -> None:
    solver = caffe.SGDSolver(str(folder / "solver"))
    solver.net.blobs["t"].data[...] = 9
    solver.step(2)
    solver.snapshot()
    solver.step(2)
    again = caffe.SGDSolver(str(folder / "solver"))
    again.net.blobs["t"].data[...] = 9
    again.restore(str(folder / "s_iter_2.solverstate"))
    assert again.iter == 2
    again.step(2)
    np.testing.assert_array_equal(again.net.params["ip"][0].data, solver.net.params["ip"][0].data)
    adam = caffe.AdamSolver(str(folder / "solver"))
    with pytest.raises(RuntimeError, match="not those of a Adam solver"):
        adam.restore(str(folder / "s_iter_2.solverstate"))


def test_the_class_decides_and_get_solver_asks_the_file(caffe: Any, folder: Path) -> None:
    text = SOLVER.format(folder) + ' type: "Nesterov"'
    (folder / "solver").write_text(text)
    assert type(caffe.get_solver(str(folder / "solver"))) is caffe.NesterovSolver
    assert type(caffe.SGDSolver(str(folder / "solver"))) is caffe.SGDSolver
    (folder / "solver").write_text(text.replace("Nesterov", "Nadam"))
    with pytest.raises(RuntimeError, match="solver type 'Nadam' is unknown"):
        caffe.get_solver(str(folder / "solver"))
