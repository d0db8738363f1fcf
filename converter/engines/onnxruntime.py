"""ONNX Runtime, on the processor."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike

import numpy as np

from ._modules import missing

INSTALL = "pip install onnxruntime"


def lacks() -> list[str]:
    """Return what is not installed."""
    return missing("onnxruntime")


def version() -> str:
    """Return ONNX Runtime's version."""
    import onnxruntime

    return f"ONNX Runtime {onnxruntime.__version__}"


def run(path: str | PathLike[str], feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run a file once."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))
