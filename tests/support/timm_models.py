"""timm's models, where timm is installed."""

from __future__ import annotations

import warnings
from functools import cache
from importlib.util import find_spec
from typing import Any

import pytest
import torch


def create(name: str, **options: Any) -> torch.nn.Module:
    """Build a model without weights; skip the test where timm is not installed."""
    if find_spec("timm") is None:
        pytest.skip("timm is not installed: pip install timm")
    return _timm().create_model(name, **options).eval()


@cache
def _timm() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of operators of torchvision's that do not load
        _declare_operators()
        import timm
    return timm


def _declare_operators() -> None:
    """Let torchvision, which timm imports, be imported without its compiled operators.

    The index's torchvision is built for CUDA: beside a torch for the CPU its library does not
    load, and the import ends at the first operators that it has something to say about. No model
    here calls them.
    """
    try:
        import torchvision  # noqa: F401, only to see whether it works
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float threshold) -> Tensor")
        LIBRARIES.append(library)


LIBRARIES: list[torch.library.Library] = []
"""An operator lives as long as its library."""
