"""tract."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version as version_of
from os import PathLike

import numpy as np

from ._modules import missing
from ._signature import signature

INSTALL = "pip install caffeport[tract]"


def lacks() -> list[str]:
    """Return what is not installed."""
    return missing("tract")


def version() -> str:
    """Return tract's version."""
    return f"tract {version_of('tract')}"


def run(path: str | PathLike[str], feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run a file once; free axes stay free, and it names outputs by their nodes."""
    import tract

    model = tract.onnx().load(str(path))
    names = [model.input_name(place) for place in range(model.input_count())]
    results = model.into_model().into_runnable().run([feeds[name] for name in names])
    outputs = signature(path).outputs
    return {name: np.array(value.to_numpy()) for name, value in zip(outputs, results, strict=True)}
