"""Arrays that a script holds, whatever becomes of their network: never stale, never freed."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

hypothesis = pytest.importorskip("hypothesis")

from hypothesis import HealthCheck, Phase, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from hypothesis.stateful import (  # noqa: E402
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from converter import pycaffe  # noqa: E402

NET = """
force_backward: true
layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  param { name: "w" } param { name: "b" }
  inner_product_param { num_output: 3 weight_filler { type: "gaussian" std: 1 } } }
layer { name: "relu" type: "ReLU" bottom: "ip" top: "ip" }
layer { name: "flat" type: "Flatten" bottom: "ip" top: "flat" }
layer { name: "again" type: "InnerProduct" bottom: "flat" top: "again"
  param { name: "w" } param { name: "b" } inner_product_param { num_output: 3 } }
layer { name: "side" type: "Power" bottom: "flat" top: "side" power_param { scale: 2 } }
layer { name: "sum" type: "Eltwise" bottom: "again" bottom: "side" top: "sum" }
"""
STEPS, RUNS = 50, 20
"""A thousand steps in all."""


class Machine(RuleBasedStateMachine):
    """Does to networks what scripts do, and looks at every array that was ever taken."""

    folder: Path
    caffe: Any

    def __init__(self) -> None:
        super().__init__()
        self.nets: list[Any] = []
        self.held: list[dict[str, Any]] = []
        self.orphans: list[tuple[np.ndarray, np.ndarray]] = []
        self.most: dict[int, int] = {}
        self.random = np.random.RandomState(0)

    @initialize()
    def two_networks(self) -> None:
        self.nets = [self.new_net(), self.new_net()]

    def new_net(self) -> Any:
        return self.caffe.Net(str(self.folder / "net.prototxt"), self.caffe.TEST)

    @rule(which=st.integers(0, 1), pick=st.integers(0, 30), kind=st.sampled_from(["data", "diff"]))
    def hold(self, which: int, pick: int, kind: str) -> None:
        net = self.nets[which]
        blobs = [*net.blobs.values(), *(blob for row in net.params.values() for blob in row)]
        blob = blobs[pick % len(blobs)]
        array = getattr(blob, kind)
        view = array[..., :1] if array.ndim else array
        self.held.append({"blob": blob, "kind": kind, "view": view, "net": net})
        self.most[id(blob)] = max(blob.count, self.most.get(id(blob), 0))

    def let_go(self, gone: Callable[[dict[str, Any]], bool]) -> None:
        """Expect no more of some arrays than that they stay as they are."""
        for one in filter(gone, self.held):
            self.orphans.append((one["view"], one["view"].copy()))
        self.held = [one for one in self.held if not gone(one)]

    @rule(which=st.integers(0, 1))
    def forward(self, which: int) -> None:
        net = self.nets[which]
        net.blobs["data"].data[...] = self.random.uniform(-1, 1, net.blobs["data"].data.shape)
        net.forward()
        weights, bias = (blob.data for blob in net.params["ip"])
        ip = np.maximum(net.blobs["data"].data @ weights.T + bias, 0)
        np.testing.assert_allclose(net.blobs["ip"].data, ip, rtol=1e-5, atol=1e-6)
        want = ip @ weights.T + bias + 2 * ip
        np.testing.assert_allclose(net.blobs["sum"].data, want, rtol=1e-5, atol=1e-5)

    @rule(which=st.integers(0, 1), end=st.sampled_from(["ip", "relu", "flat", "again"]))
    def forward_in_part(self, which: int, end: str) -> None:
        net = self.nets[which]
        net.blobs["data"].data[...] = self.random.uniform(-1, 1, net.blobs["data"].data.shape)
        net.forward(end=end)

    @rule(which=st.integers(0, 1), partial=st.booleans())
    def backward(self, which: int, partial: bool) -> None:
        net = self.nets[which]
        net.reshape()
        net.blobs["sum"].diff[...] = self.random.uniform(-1, 1, net.blobs["sum"].data.shape)
        before = [blob.diff.copy() for blob in net.params["ip"]]
        net.backward(**({"end": "flat"} if partial else {}))
        flat, out = net.blobs["flat"], net.blobs["sum"].diff
        weights = net.params["ip"][0].data
        grad = out @ weights + 2 * out
        gains = [out.T @ flat.data, out.sum(0)]
        if not partial:
            grad = np.where(net.blobs["ip"].data > 0, grad, 0)
            gains = [gains[0] + grad.T @ net.blobs["data"].data, gains[1] + grad.sum(0)]
            np.testing.assert_allclose(net.blobs["data"].diff, grad @ weights, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(flat.diff, grad, rtol=1e-4, atol=1e-5)
        for blob, old, gain in zip(net.params["ip"], before, gains, strict=True):
            np.testing.assert_allclose(blob.diff, old + gain, rtol=1e-4, atol=1e-4)

    @rule(which=st.integers(0, 1), rows=st.integers(1, 6))
    def reshape(self, which: int, rows: int) -> None:
        net = self.nets[which]
        tops = list(net.blobs.values())
        self.let_go(lambda one: one["blob"] in tops and 3 * rows > self.most[id(one["blob"])])
        net.blobs["data"].reshape(rows, 3)
        net.reshape()
        for blob in tops:
            self.most[id(blob)] = max(blob.count, self.most.get(id(blob), 0))

    @rule(which=st.integers(0, 1))
    def share(self, which: int) -> None:
        params = [blob for row in self.nets[which].params.values() for blob in row]
        theirs = self.nets[1 - which].params["ip"][0].data
        if not np.shares_memory(params[0].data, theirs):
            self.let_go(lambda one: one["blob"] in params and one["kind"] == "data")
        self.nets[which].share_with(self.nets[1 - which])
        mine, theirs = (self.nets[i].params["ip"][0] for i in (which, 1 - which))
        assert np.shares_memory(mine.data, theirs.data)
        assert not np.shares_memory(mine.diff, theirs.diff)

    @rule(which=st.integers(0, 1))
    def delete(self, which: int) -> None:
        self.let_go(lambda one: one["net"] is self.nets[which])
        self.nets[which] = self.new_net()
        gc.collect()
        self.filled = [np.full(shape, np.nan, np.float32) for shape in [(2, 3), (6, 3), (3, 3)] * 9]

    @precondition(lambda self: self.held)
    @rule(pick=st.integers(0, 99))
    def write(self, pick: int) -> None:
        one = self.held[pick % len(self.held)]
        one["view"][...] = self.random.uniform(-1, 1, one["view"].shape)

    @invariant()
    def every_array_is_alive_and_fresh(self) -> None:
        for one in self.held:
            array, view = getattr(one["blob"], one["kind"]), one["view"]
            assert np.shares_memory(array, view), (one["kind"], array.shape, view.shape)
            rows = min(len(array), len(view))
            now = array[:rows, ..., :1] if array.ndim > 1 else array[:rows][:1]
            assert np.array_equal(view[:rows] if array.ndim > 1 else view[:1], now)
        for view, copy in self.orphans:
            assert np.array_equal(view, copy)


@pytest.mark.usefixtures("caffe")
def test_a_thousand_steps_in_random_order(tmp_path: Path, caffe: Any) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    machine = type("OneMachine", (Machine,), {"folder": tmp_path, "caffe": caffe})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=RUNS,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],  # its first steps tell enough
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert pycaffe.installed_dialect() is None


def test_arrays_outlive_solvers_and_their_networks(tmp_path: Path, caffe: Any) -> None:
    net = NET.replace('name: "in" type: "Input"', 'name: "in" type: "DummyData"').replace(
        "input_param", "dummy_data_param"
    )
    loss = 'layer { name: "l" type: "EuclideanLoss" bottom: "sum" bottom: "data" top: "loss" }'
    (tmp_path / "net.prototxt").write_text(net + loss)
    (tmp_path / "solver.prototxt").write_text(
        f'net: "{tmp_path}/net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 9 '
        "test_iter: 1 test_interval: 100 snapshot_after_train: false"
    )
    caffe.set_random_seed(1)
    solver = caffe.SGDSolver(str(tmp_path / "solver.prototxt"))
    solver.net.params["ip"][0].data[...] = np.eye(3)  # no ReLU stands still
    solver.net.blobs["data"].data[...] = 1
    held = solver.net.params["ip"][0].data
    before = held.copy()
    solver.step(2)
    assert not np.array_equal(held, before)
    tested = solver.test_nets[0].blobs["data"].data
    after = held.copy()
    del solver
    gc.collect()
    filled = [np.full((3, 3), np.nan, np.float32) for _ in range(99)]
    np.testing.assert_array_equal(held, after)
    held[...] = 5
    tested[...] = 6
    assert (float(held.sum()), float(tested.sum()), len(filled)) == (45.0, 36.0, 99)
