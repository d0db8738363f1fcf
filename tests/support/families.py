"""A family's network from end to end: drawn weights, a caffemodel, ONNX, a picture through both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

import converter
from tests.support.recorded import assert_close

TOLERANCE = 1e-4
"""Of a blob's largest value, in float32."""


def picture(*shape: int, seed: int = 1) -> np.ndarray:
    """Return a picture of this shape: slopes, stripes and a little noise, about 0."""
    *lead, rows, columns = shape
    y, x = np.mgrid[0 : 1 : rows * 1j, 0 : 1 : columns * 1j]
    phase = np.arange(int(np.prod(lead))).reshape(*lead, 1, 1)
    noise = np.random.default_rng(seed).normal(size=shape) * 0.1
    return (np.sin(9 * x + 5 * y * (1 + phase % 3) + phase) + x - y + noise).astype(np.float32)


def end_to_end(
    text: str | Path,
    inputs: Mapping[str, np.ndarray],
    folder: Path,
    *,
    weights: Path | None = None,
    **options: Any,
) -> dict[str, np.ndarray]:
    """Convert with weights (drawn where none are given), verify, and run in torch and from ONNX.

    Returns the outputs, which are the same in both.
    """
    path = folder / "net.prototxt" if isinstance(text, str) else text
    if isinstance(text, str):
        path.write_text(text)
    if weights is None:
        torch.manual_seed(2)
        weights = folder / "net.caffemodel"
        converter.save_caffemodel(converter.load(path, **options), weights)
    feeds = {name: torch.from_numpy(array) for name, array in inputs.items()}
    out = folder / "out"
    report = converter.convert(path, weights, out, formats=["onnx"], inputs=feeds, **options)
    assert report.comparisons
    assert report.passed, report.text()
    net = converter.load(path, weights, **options).eval()
    with torch.no_grad():
        blobs = net.blobs(feeds)
    session = onnxruntime.InferenceSession(
        out / f"{path.stem}.onnx", providers=["CPUExecutionProvider"]
    )
    names = [info.name for info in session.get_outputs()]
    wanted = [info.name for info in session.get_inputs()]
    values = session.run(names, {name: inputs[name] for name in wanted})
    tops = dict(zip(names, values, strict=True))
    for name, got in tops.items():
        assert np.isfinite(got).all(), name
        assert_close(got, blobs[name].numpy(), name, TOLERANCE)
    return tops
