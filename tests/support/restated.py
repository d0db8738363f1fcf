"""Checking a fork's layer against a restatement of its formula: torch, gradients, ONNX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

import converter
from tests.support.opsets import OPSETS
from tests.support.recorded import assert_close

Arrays = Mapping[str, np.ndarray]
ONNX_TOLERANCE = 1e-5
"""Of a blob's largest value, in float32."""


def load(
    layers: str,
    inputs: Arrays,
    folder: Path,
    *,
    blobs: Mapping[str, Sequence[np.ndarray]] | None = None,
    dtype: torch.dtype = torch.float64,
    **options: Any,
) -> converter.CaffeNet:
    """Return the network of the layers' text behind inputs of these shapes, with these blobs."""
    text = "".join(
        f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ '
        + " ".join(f"dim: {size}" for size in array.shape)
        + " } } }\n"
        for name, array in inputs.items()
    )
    path = folder / "net.prototxt"
    path.write_text(text + layers)
    net = converter.load(path, dtype=dtype, **options)
    for layer, arrays in (blobs or {}).items():
        for blob, array in zip(net.params[layer], arrays, strict=True):
            blob.data.copy_(torch.from_numpy(np.asarray(array)).reshape(blob.shape))
    net.force_backward = True
    return net


def check(
    layers: str,
    inputs: Arrays,
    wants: Arrays,
    folder: Path,
    *,
    dynamic: tuple[str, ...] = ("batch",),
    onnx: bool = True,
    opsets: Sequence[int] = OPSETS,
    **options: Any,
) -> None:
    """Compare the blobs in float64 with `wants`, and the ONNX form in float32 at three opsets.

    With a dynamic batch the model also runs for one image more, against torch.
    """
    tensors = {name: torch.from_numpy(array.astype(float)) for name, array in inputs.items()}
    blobs = load(layers, inputs, folder, **options).blobs(tensors)
    for name, want in wants.items():
        assert_close(blobs[name].detach(), want, name)
    if not onnx:
        return
    more = {name: np.concatenate([array, array[:1]]) for name, array in inputs.items()}
    larger = {name: torch.from_numpy(array.astype(float)) for name, array in more.items()}
    for opset in opsets:
        net = load(layers, inputs, folder, **options, dtype=torch.float32)
        path = folder / f"net{opset}.onnx"
        converter.export_onnx(net, path, opset=opset, with_losses=True, dynamic=dynamic)
        converter.check_onnx(path)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        compare(session, inputs, wants)
        if dynamic:
            fresh = load(layers, inputs, folder, **options).blobs(larger)
            compare(session, more, {name: fresh[name].detach().numpy() for name in wants})


def compare(session: onnxruntime.InferenceSession, inputs: Arrays, wants: Arrays) -> None:
    """Compare what a session gives with what it should."""
    names = [info.name for info in session.get_inputs()]
    # A top that overwrites an input is named after both.
    outputs = [info.name.partition("/by/")[0] for info in session.get_outputs()]
    got = session.run(None, {name: inputs[name].astype(np.float32) for name in names})
    tops = dict(zip(outputs, got, strict=True))
    compared = 0
    for name, want in wants.items():
        if name in tops:
            assert_close(tops[name], want, name, ONNX_TOLERANCE)
            compared += 1
    assert compared, f"nothing of {list(wants)} is among {outputs}"


def check_gradients(
    layers: str,
    inputs: Arrays,
    folder: Path,
    *,
    top: str = "y",
    wrt: Sequence[str] = ("x",),
    **options: Any,
) -> None:
    """Compare the gradient of a top, by the named inputs, with finite differences."""
    net = load(layers, inputs, folder, **options)
    tensors = {name: torch.from_numpy(array.astype(float)) for name, array in inputs.items()}

    def run(*moved: torch.Tensor) -> torch.Tensor:
        return net.blobs(tensors | dict(zip(wrt, moved, strict=True)))[top]

    leaves = [tensors[name].clone().requires_grad_() for name in wrt]
    assert torch.autograd.gradcheck(run, leaves)
