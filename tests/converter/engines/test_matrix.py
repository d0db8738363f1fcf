"""`convert --target` is held to what was measured: no engine's wrong number without an error.

`benchmarks/engines.py` runs the engines and keeps what is not right in benchmarks/results/engines.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import converter
from benchmarks.engine_page import ending
from benchmarks.engine_results import read_results
from benchmarks.engines import RESULTS, judge
from converter.engines import get_engine
from converter.network.arrays import tensors_of
from converter.onnx.free_axes import with_free_axes
from converter.onnx.model import OnnxModel
from converter.onnx.runtime import run_onnx
from prototxt import UnsupportedError
from tests.support.layer_cases import CASES, RUN, Case

KEPT = read_results(RESULTS)
BVLC = [
    (engine, name.removeprefix("bvlc/"))
    for engine, entry in KEPT.items()
    for name, outcome in entry["cases"].items()
    if name.startswith("bvlc/") and (outcome[0] == "wrong" or ending(outcome) == "target")
]
"""Engines with recorded cases whose default export is wrong there, or is written otherwise."""


@pytest.fixture
def case(request: pytest.FixtureRequest, layer_cases: Path) -> Iterator[Case]:
    case = Case(request.param, layer_cases)
    with case.place():
        yield case


def test_engines_and_cases_are_there() -> None:
    for engine in ("openvino", "opencv", "mnn", "tract"):
        asked = KEPT[engine]["asked"]
        assert sum(asked.values()) > 400, engine
        assert sum(name.startswith("models/") for name in asked) == 23, engine


def test_no_wrong_number_is_without_an_error() -> None:
    silent = {
        f"{engine} {name}: {outcome[-1]}"
        for engine, entry in KEPT.items()
        for name, outcome in entry["cases"].items()
        if ending(outcome) == "wrong"
    }
    assert not silent


def export(case: Case, path: Path, target: str) -> dict[str, np.ndarray]:
    """Write the case for a target; return its inputs."""
    net = case.load(dtype=torch.float32)
    feeds = {name: array.astype(np.float32) for name, array in case.kind("in").items()}
    with_free_axes(
        None,
        lambda free: converter.export_onnx(
            net, path, with_losses=True, dynamic=free, target=target
        ),
    )
    return feeds


@pytest.mark.parametrize(("target", "case"), BVLC, indirect=["case"])
def test_what_an_engine_computes_wrongly_is_written_otherwise_or_refused(
    target: str, case: Case, tmp_path: Path
) -> None:
    outcome = KEPT[target]["cases"][f"bvlc/{case.name}"]
    path = tmp_path / "net.onnx"
    if ending(outcome) == "error":
        with pytest.raises(UnsupportedError, match="layer 'L'"):
            export(case, path, target)
        return
    feeds = export(case, path, target)
    wants = case.load(dtype=torch.float32).blobs(tensors_of(case.load(dtype=torch.float32), feeds))
    found = run_onnx(path, feeds)
    plan = case.load().exported(with_losses=True).plan.outputs
    right = {name: wants[blob].detach().numpy() for blob, name in plan.items()}
    assert judge(right, found)[0] == "right"


def one_of_each_type() -> list[str]:
    """Return the first recorded case of each type that OpenCV was asked."""
    asked = {kind.removeprefix("bvlc/") for kind in KEPT["opencv"]["asked"] if "bvlc/" in kind}
    first: dict[str, str] = {}
    for name in RUN:
        if CASES[name]["type"] in asked and f"bvlc/{name}" not in KEPT["opencv"]["cases"]:
            first.setdefault(CASES[name]["type"], name)
    return list(first.values())


@pytest.mark.parametrize("case", one_of_each_type(), indirect=True)
def test_opencv_computes_what_it_did(case: Case, tmp_path: Path) -> None:
    engine = get_engine("opencv")
    if engine.lacks():
        pytest.skip("OpenCV is not installed")
    if engine.version() != KEPT["opencv"]["version"]:
        pytest.skip(f"{engine.version()} is here, {KEPT['opencv']['version']} was measured")
    net = case.load(dtype=torch.float32)
    path = tmp_path / "net.onnx"
    feeds = {name: array.astype(np.float32) for name, array in case.kind("in").items()}
    with_free_axes(
        None, lambda free: converter.export_onnx(net, path, with_losses=True, dynamic=free)
    )
    outputs = net.exported(with_losses=True).plan.outputs
    net.reset_state()
    blobs = net.blobs(tensors_of(net, feeds))
    wants = {name: blobs[blob].detach().numpy() for blob, name in outputs.items()}
    taken = OnnxModel(path).inputs.shapes
    got = engine.run(path, {name: feeds[name] for name in taken})
    assert judge(wants, got)[0] == "right"
