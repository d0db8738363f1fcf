"""onnx2torch: a PyTorch module of the ONNX file."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version as version_of
from os import PathLike

import numpy as np

from ._modules import missing
from ._signature import signature

INSTALL = "pip install caffeport[onnx2torch]"


def lacks() -> list[str]:
    """Return what is not installed."""
    return missing("onnx2torch", "torch")


def version() -> str:
    """Return onnx2torch's version."""
    return f"onnx2torch {version_of('onnx2torch')}"


def run(path: str | PathLike[str], feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Convert a file and run it once."""
    import onnx2torch
    import torch

    names = signature(path)
    module = onnx2torch.convert(str(path)).eval()
    with torch.inference_mode():
        results = module(*(torch.from_numpy(feeds[name]) for name in names.inputs))
    values = [results] if isinstance(results, torch.Tensor) else list(results)
    return {name: value.numpy() for name, value in zip(names.outputs, values, strict=True)}
