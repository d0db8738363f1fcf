"""Recorded cases of the layers that SKNet is made of, which real Caffe computed in float.

A case's keys: `proto`, then `in|BLOB`, `out|TOP`, `topdiff|TOP`, `diff|BLOB`; `init|i`, `param|i`,
`after|i` and `pdiff|i` are L's blobs as filled, as used, after the forward pass, and their diffs;
a 2 behind a kind (`out2|TOP`) is the same network's second pass; `error` is why Caffe refuses.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import converter
from converter.network.backward import backward
from prototxt import ShapeError
from tests.support.fillers import with_caffes_statistics
from tests.support.recorded import ARCHIVES, assert_close

RECORDED = dict(np.load(ARCHIVES / "axpy_cudnn_batch_norm.npz"))
NAMES = list(dict.fromkeys(key.partition("|")[0] for key in RECORDED))
REFUSED = [name for name in NAMES if f"{name}|error" in RECORDED]
OVERSIGHTS = {
    "axpy_a3_ok": "a (2, 5, 1) is neither N x C nor N x C x 1 x 1: it weighs whole channels",
    "axpy_a3_L3": "a (2, 5, 3) is neither N x C nor N x C x 1 x 1: it weighs whole channels",
    "axpy_a5": "a (2, 5, 1, 1, 1) is neither N x C nor N x C x 1 x 1: it weighs whole channels",
}
"""Caffe's check of `a` looks at four axes alone, and lets these pass unseen."""

MORE_AXES = {"axpy_x5", "bn_5d"}
"""Refused by Caffe's float accessors of four axes alone: no rule of the layers."""

RUN = [name for name in NAMES if name not in {*REFUSED, *OVERSIGHTS}]
TOLERANCE = 1e-5
"""Of an array's largest value: Caffe computed in float."""


def kind(case: str, what: str) -> dict[str, np.ndarray]:
    start = f"{case}|{what}|"
    return {key.removeprefix(start): RECORDED[key] for key in RECORDED if key.startswith(start)}


def tensors(arrays: dict[str, np.ndarray], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array).to(dtype) for name, array in arrays.items()}


def load(case: str, folder: Path, dtype: torch.dtype = torch.float64) -> converter.CaffeNet:
    text = str(RECORDED[f"{case}|proto"])
    # Two messages of one name stood side by side where the cases were recorded.
    text = text.replace("stock_batch_norm_param", "batch_norm_param")
    path = folder / "net.prototxt"
    path.write_text(text)
    phase = str(RECORDED.get(f"{case}|phase", "train")).upper()
    return with_caffes_statistics(converter.load(path, phase=phase, dtype=dtype))


def set_blobs(net: converter.CaffeNet, case: str) -> None:
    for index, array in kind(case, "param").items():
        net.params["L"][int(index)].data.copy_(torch.from_numpy(array))


def test_the_file_holds_all_cases() -> None:
    assert (len(NAMES), len(REFUSED), len(RUN)) == (43, 9, 31)
    compared = [key for key in RECORDED if key.split("|")[0] in RUN and "out" in key]
    assert len(compared) == 33


@pytest.mark.parametrize("case", RUN)
def test_every_pass_is_caffes(case: str, tmp_path: Path) -> None:
    net = load(case, tmp_path)
    for index, want in kind(case, "init").items():
        assert_close(net.params["L"][int(index)].detach(), want, f"init {index}", 0)
    set_blobs(net, case)
    net.force_backward = True
    total: dict[str, torch.Tensor] = {}  # Caffe adds to a blob's diff until the solver clears it
    for turn in ("", "2"):
        inputs = tensors(kind(case, f"in{turn}"), torch.float64)
        if not inputs:
            break
        top_diffs = tensors(kind(case, f"topdiff{turn}"), torch.float64)
        if top_diffs:
            got = backward(net, inputs, top_diffs)
            blobs, diffs = got.blobs, got.diffs
            params = dict(enumerate(got.params.get("L", [])))
        else:
            blobs, diffs, params = net.blobs(inputs), {}, {}
        for top, want in kind(case, f"out{turn}").items():
            assert_close(blobs[top].detach(), want, f"out{turn} {top}", TOLERANCE)
        for index, want in kind(case, f"after{turn}").items():
            blob = net.params["L"][int(index)].detach()
            assert_close(blob, want, f"after{turn} {index}", TOLERANCE)
        for name, want in kind(case, f"diff{turn}").items():
            assert_close(diffs[name], want, f"diff{turn} {name}", TOLERANCE)
        for index, want in kind(case, f"pdiff{turn}").items():
            total[index] = total.get(index, 0) + params[int(index)]
            assert_close(total[index], want, f"pdiff{turn} {index}", TOLERANCE)


@pytest.mark.parametrize("case", [name for name in RUN if not name.startswith(("bn_", "stock"))])
def test_onnx_is_caffes(case: str, tmp_path: Path) -> None:
    assert_onnx(load(case, tmp_path, torch.float32), case, tmp_path)


def test_onnx_of_the_test_phase_is_caffes(tmp_path: Path) -> None:
    net = load("bn_test", tmp_path, torch.float32)
    set_blobs(net, "bn_test")
    assert_onnx(net, "bn_test", tmp_path)


def assert_onnx(net: converter.CaffeNet, case: str, folder: Path) -> None:
    converter.export_onnx(net, folder / "net.onnx", dynamic=())
    converter.check_onnx(folder / "net.onnx")
    session = onnxruntime.InferenceSession(folder / "net.onnx", providers=["CPUExecutionProvider"])
    ((top, want),) = kind(case, "out").items()
    (got,) = session.run([top], kind(case, "in"))
    assert_close(got, want, top, TOLERANCE)


@pytest.mark.parametrize("case", [name for name in REFUSED if name not in MORE_AXES])
def test_what_caffe_refuses_is_refused(case: str, tmp_path: Path) -> None:
    with pytest.raises(ShapeError) as caught:
        load(case, tmp_path)
    assert "layer 'L' (" in str(caught.value)


@pytest.mark.parametrize("case", OVERSIGHTS)
def test_what_caffe_lets_pass_unseen_is_refused(case: str, tmp_path: Path) -> None:
    with pytest.raises(ShapeError) as caught:
        load(case, tmp_path)
    assert str(caught.value).endswith(f"layer 'L' (Axpy): {OVERSIGHTS[case]}")
