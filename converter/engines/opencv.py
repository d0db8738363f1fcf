"""OpenCV's dnn module, its default engine."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike

import numpy as np

from ._modules import missing
from ._signature import signature

INSTALL = "pip install caffeport[opencv]"


def lacks() -> list[str]:
    """Return what is not installed."""
    return missing("cv2")


def version() -> str:
    """Return OpenCV's version."""
    import cv2

    return f"OpenCV {cv2.__version__}"


def run(path: str | PathLike[str], feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run a file once."""
    import cv2

    net = cv2.dnn.readNetFromONNX(str(path))
    for name, array in feeds.items():
        net.setInput(array, name)
    names = signature(path).outputs
    return {name: np.array(value) for name, value in zip(names, net.forward(names), strict=True)}
