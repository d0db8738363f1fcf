"""Every single-layer case that was recorded from real Caffe: forward, backward, ONNX, refusals.

The cases' keys are described in docs/parity.md: `in|BLOB`, `out|TOP`, `diff|BLOB`, ...
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import converter
from converter.network.backward import backward, sum_of_products
from prototxt import CaffeError, UnsupportedError
from tests.support.layer_cases import CASES, NO_ONNX, ONNX_TOLERANCE, REFUSED, RUN, Case
from tests.support.recorded import assert_close


@pytest.fixture
def case(request: pytest.FixtureRequest, layer_cases: Path) -> Iterator[Case]:
    case = Case(request.param, layer_cases)
    with case.place():
        yield case


def blob_of(net: converter.CaffeNet, key: str) -> tuple[str, int]:
    """Return layer and index of a `param|`, `pdiff|` or `after|` key: the layer under test is L."""
    layer, _, index = key.rpartition("|")
    if not layer:
        layer = next(name for name in net.layers if name == "L" and net.layers[name].blob_names)
    return layer, int(index)


@pytest.mark.parametrize("case", RUN, indirect=True)
def test_forward_is_caffes(case: Case) -> None:
    net = case.load()
    for key, want in {**case.kind("param"), **case.kind("init")}.items():
        layer, index = blob_of(net, key)
        assert_close(net.params[layer][index].detach(), want, f"param {key}")
    compared = 0
    for turn in ("", "2", "3", "4"):
        if turn and not case.kind(f"in{turn}") and not case.kind(f"out{turn}"):
            break
        blobs = net.blobs(case.inputs(net, f"in{turn}"))
        for top, want in case.kind(f"out{turn}").items():
            assert_close(blobs[top].detach(), want, f"out{turn} {top}")
            compared += 1
        if not turn:
            for key, want in case.kind("testafter").items():
                layer, index = blob_of(net, key)
                assert_close(net.params[layer][index].detach(), want, f"testafter {key}")
    assert compared or not case.kind("out"), "nothing was compared"


@pytest.mark.parametrize("case", [c for c in RUN if CASES[c]["type"] != "Text"], indirect=True)
def test_backward_is_caffes(case: Case) -> None:
    net = case.load("TRAIN")
    torch.manual_seed(1701)
    if CASES[case.name]["type"] == "Dropout":
        pytest.skip("Dropout's mask is random: caffe_layers/common/test_dropout.py reads it off")
    top_diffs = {
        name: torch.from_numpy(array)
        for name, array in case.kind("topdiff").items()
        if name not in UNUSED_TOP_DIFFS.get(case.name, ())
    }
    inputs = case.inputs(net)
    wants = {**case.kind("out"), **case.kind("trainout")}
    tops = {top for step in net.steps for top in step.blobs}
    wants = {top: want for top, want in wants.items() if top in tops}  # some are TEST's alone
    if not top_diffs:
        blobs = net.blobs(inputs)
        for top, want in wants.items():
            assert_close(blobs[top].detach(), want, f"trainout {top}")
        return
    # Whole networks run backward from their own loss weights, which the case repeats.
    weighted = any(any(step.loss_weights) for step in net.steps)
    own = weighted and CASES[case.name]["type"] == "Net"
    got = backward(net, inputs, None if own else top_diffs)
    for top, want in wants.items():
        assert_close(got.blobs[top], want, f"trainout {top}")
    for key, want in case.kind("after").items():
        layer, index = blob_of(net, key)
        assert_close(net.params[layer][index].detach(), want, f"after {key}")
    if "QUIRK" in case.note and not _same_gradient(case, got, net):
        _assert_right_gradient(case, got)
        return
    for blob, want in case.kind("diff").items():
        assert_close(got.diffs[blob], want, f"diff {blob}")
    for key, want in case.kind("pdiff").items():
        layer, index = blob_of(net, key)
        assert_close(got.params[layer][index], want, f"pdiff {key}")


UNUSED_TOP_DIFFS = {"LSTM/expose_static": {"hT", "cT"}, "RNN/expose_static": {"hT"}}
"""Caffe does not use the diff of an exposed final state: the rest is compared without it."""


def _same_gradient(case: Case, got: converter.Diffs, net: converter.CaffeNet) -> bool:
    """Tell whether the quirk is one of the forward pass, and the gradient Caffe's all the same."""
    return all(
        np.allclose(got.diffs[blob], want, rtol=1e-9, equal_nan=True)
        for blob, want in case.kind("diff").items()
    ) and all(
        np.allclose(got.params[layer][index], want, rtol=1e-9, equal_nan=True)
        for key, want in case.kind("pdiff").items()
        for layer, index in [blob_of(net, key)]
    )


def _assert_right_gradient(case: Case, got: converter.Diffs) -> None:
    """Where Caffe's gradient is wrong, ours is the derivative, by central differences."""
    step = 1e-6
    top_diffs = {name: torch.from_numpy(array) for name, array in case.kind("topdiff").items()}
    compared = 0
    for name in case.kind("diff"):
        if name not in case.kind("in"):
            continue
        want = torch.empty_like(torch.from_numpy(case.kind("in")[name]))
        for index in np.ndindex(*want.shape):
            values = []
            for sign in (step, -step):
                net = case.load("TRAIN")
                inputs = case.inputs(net)
                inputs[name] = inputs[name].clone()
                inputs[name][index] += sign
                with torch.no_grad():
                    values.append(sum_of_products(net.blobs(inputs), top_diffs).item())
            want[index] = (values[0] - values[1]) / (2 * step)
        diff = got.diffs[name].reshape(want.shape)
        assert_close(diff, want, f"diff {name} by central differences", 1e-6)
        compared += 1
    assert compared, "nothing was compared"


@pytest.mark.parametrize("case", RUN, indirect=True)
def test_onnx_is_caffes(case: Case, tmp_path: Path) -> None:
    net = case.load(dtype=torch.float32)
    path = tmp_path / "net.onnx"
    if case.name in NO_ONNX:
        with pytest.raises(UnsupportedError, match=NO_ONNX[case.name]):
            converter.export_onnx(net, path, with_losses=True, dynamic=())
        return
    converter.export_onnx(net, path, with_losses=True, dynamic=())
    converter.check_onnx(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs = case.kind("in")
    feeds = {i.name: inputs[i.name].astype(np.float32) for i in session.get_inputs()}
    plan = net.exported(with_losses=True).plan
    assert [output.name for output in session.get_outputs()] == list(plan.outputs.values())
    wants = case.kind("out")
    assert wants.keys() & plan.outputs.keys() or not wants, "nothing was compared"
    for blob, got in zip(plan.outputs, session.run(None, feeds), strict=True):
        if blob in wants:
            assert_close(got, wants[blob], f"out {blob}", ONNX_TOLERANCE)


@pytest.mark.parametrize("case", REFUSED, indirect=True)
def test_what_caffe_refuses_is_refused(case: Case) -> None:
    by = CASES[case.name].get("refused_by") or _refused_by(case)
    if by == "cpu build" or case.name in TAKEN_BY_FORKS:
        net = case.load()
        assert net.layers
        return
    forwards = 2 if by == "second forward" else int(case.name in REFUSED_INPUTS)
    with pytest.raises(CaffeError) as caught:
        _load_and_run(case, forwards)
    assert len(str(caught.value)) > 30, "the message says next to nothing"


TAKEN_BY_FORKS = {"Pooling/refused_five_axes", "PReLU/refused_five_axes"}
"""Cases that BVLC refuses, and that every fork that knows volumes takes."""

REFUSED_INPUTS = {
    "BatchReindex/refused_negative": {"i": [0, -1]},
    "BatchReindex/refused_too_large": {"i": [0, 3]},
}
"""Cases that Caffe refuses for values that it is fed; its messages name these."""


def _load_and_run(case: Case, forwards: int) -> None:
    net = case.load()
    inputs = {name: torch.zeros(shape).double() for name, shape in net.input_shapes.items()}
    for name, values in REFUSED_INPUTS.get(case.name, {}).items():
        inputs[name] = torch.tensor(values).double()
    for _ in range(forwards):
        net(inputs)


def _refused_by(case: Case) -> str:
    return str(json.loads((case.folder / "meta.json").read_text()).get("refused_by", "load"))
