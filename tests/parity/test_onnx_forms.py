"""Every recorded case as ONNX: at the oldest, the default and the newest opset, at two batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import converter
from prototxt import CaffeError
from tests.support.layer_cases import NO_ONNX, ONNX_TOLERANCE, RUN, Case
from tests.support.opsets import OPSETS
from tests.support.recorded import assert_close

EXPORTED = [case for case in RUN if case not in NO_ONNX]


@pytest.fixture
def case(request: pytest.FixtureRequest, layer_cases: Path) -> Iterator[Case]:
    case = Case(request.param, layer_cases)
    with case.place():
        yield case


def test_the_opsets_are_three() -> None:
    assert len(OPSETS) == 3


class Exported:
    """A case's network and the session of its ONNX form."""

    def __init__(self, case: Case, path: Path, opset: int, dynamic: tuple[str, ...]) -> None:
        net = case.load(dtype=torch.float32)
        converter.export_onnx(net, path, opset=opset, with_losses=True, dynamic=dynamic)
        converter.check_onnx(path)
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        plan = net.exported(with_losses=True).plan
        self.blobs = list(plan.outputs)

    def compare(self, inputs: dict[str, np.ndarray], wants: dict[str, np.ndarray]) -> None:
        """Compare outputs, and the shapes that the model declares, with what they should be."""
        infos = self.session.get_inputs()
        feeds = {info.name: inputs[info.name].astype(np.float32) for info in infos}
        compared = 0
        outputs = zip(
            self.blobs, self.session.get_outputs(), self.session.run(None, feeds), strict=True
        )
        for blob, info, got in outputs:
            declared = [
                dim if isinstance(dim, int) else size
                for dim, size in zip(info.shape, got.shape, strict=True)
            ]
            assert declared == list(got.shape), (
                f"{blob}: {info.shape} is declared, {got.shape} came"
            )
            if blob in wants:
                assert_close(got, wants[blob], blob, ONNX_TOLERANCE)
                compared += 1
        assert compared or not wants, "nothing was compared"


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("case", EXPORTED, indirect=True)
def test_fixed_batch(case: Case, opset: int, tmp_path: Path) -> None:
    Exported(case, tmp_path / "net.onnx", opset, ()).compare(case.kind("in"), case.kind("out"))


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("case", EXPORTED, indirect=True)
def test_free_batch(case: Case, opset: int, tmp_path: Path) -> None:
    inputs = case.kind("in")
    larger = {name: one_row_more(array) for name, array in inputs.items()}
    net = case.load()
    try:
        net.shapes({name: larger[name].shape for name in net.input_shapes if name in larger})
    except CaffeError:
        with pytest.raises(CaffeError):
            converter.export_onnx(net, tmp_path / "net.onnx", opset=opset, with_losses=True)
        return
    exported = Exported(case, tmp_path / "net.onnx", opset, ("batch",))
    exported.compare(inputs, case.kind("out"))
    # A fresh network: a recurrent one keeps its state.
    fresh = case.load()
    blobs = fresh.blobs({name: torch.from_numpy(array) for name, array in larger.items()})
    exported.compare(larger, {name: blob.detach().numpy() for name, blob in blobs.items()})


def one_row_more(array: np.ndarray) -> np.ndarray:
    return np.concatenate([array, array[:1]]) if array.ndim else array
