"""The proof: torch, ONNX Runtime and Caffe's own blobs side by side, blob by blob."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from prototxt.errors import UnsupportedError

from .arrays import array_of, random_inputs, tensors_of
from .compare import Comparison, compare
from .emit import exported_plan
from .export import export_onnx
from .golden import compare_with_golden
from .module import CaffeNet
from .onnx_run import run_exposed, run_onnx
from .progress import progress
from .report import Report

SEED = 1701
TOLERANCES = {
    torch.float64: 1e-9,
    torch.float32: 1e-4,
    torch.float16: 5e-2,
    torch.bfloat16: 1e-1,
}
"""Of a blob's largest value; a golden file given with Caffe's float run sets its own."""


def verify(
    net: CaffeNet,
    model: str | PathLike[str] | None = None,
    *,
    inputs: Mapping[str, Any] | None = None,
    golden: str | PathLike[str] | None = None,
    golden_float: str | PathLike[str] | None = None,
    tolerance: float | None = None,
    seed: int = SEED,
    quiet: bool = True,
) -> Report:
    """Compare the network in torch with an ONNX model of it, and both with Caffe's blobs.

    `model` is an ONNX file (default: one exported for the purpose); it runs in ONNX Runtime as it
    ships and once with every value exposed. `inputs` are arrays by name (default: seeded random
    ones). `golden` is an `.npz` of what Caffe computed from these inputs, `golden_float` one of
    Caffe's float run, which sets the tolerance for float32. The report says whether all is within
    tolerance, and names the first blob that is not.
    """
    tolerance = TOLERANCES[net.dtype] if tolerance is None else tolerance
    fed = tensors_of(net, inputs) if inputs else random_inputs(net, seed)
    report = Report.of(net)
    with progress("verify", 4, quiet=quiet) as bar, torch.no_grad():
        values = {name: array_of(value) for name, value in net.values(fed).items()}
        blobs = {name: array_of(value) for name, value in net.blobs(fed).items()}
        bar.update()
        if golden is not None:
            noise = golden_float if net.dtype != torch.float64 else None
            report.add(compare_with_golden("torch", blobs, golden, tolerance, float_run=noise))
        bar.update()
        for comparison in _with_onnx(net, model, fed, values, tolerance, golden, golden_float):
            report.add(comparison)
            bar.update()
    return report


def _with_onnx(
    net: CaffeNet,
    model: str | PathLike[str] | None,
    fed: Mapping[str, torch.Tensor],
    values: Mapping[str, np.ndarray],
    tolerance: float,
    golden: str | PathLike[str] | None,
    golden_float: str | PathLike[str] | None,
) -> list[Comparison]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            if model is None:
                model = Path(folder, "net.onnx")
                shapes = {name: tuple(value.shape) for name, value in fed.items()}
                export_onnx(net, model, dynamic=(), input_shapes=shapes)
            feeds = {name: array_of(value) for name, value in fed.items()}
            shipped = run_onnx(model, feeds)
            plan, _ = exported_plan(net)
            names = [top for step in plan.steps for top in step.tops]
            exposed = run_exposed(model, feeds, names)
        except UnsupportedError as error:
            return [Comparison("ONNX Runtime", skipped=str(error))]
    found = [
        compare("ONNX Runtime, the file as it ships, against torch", shipped, values, tolerance),
        compare("ONNX Runtime, every value exposed, against torch", exposed, values, tolerance),
    ]
    if golden is not None:
        blobs = {
            blob: exposed[top]
            for step in plan.steps
            for blob, top in zip(step.blobs, step.tops, strict=True)
            if top in exposed
        }
        found.append(
            compare_with_golden("ONNX Runtime", blobs, golden, tolerance, float_run=golden_float)
        )
    return found
