"""OpenCV 4's reader of Caffe's files, for `benchmarks/caffe_readers.py`."""

from __future__ import annotations

import json
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
    """Run a definition with the weights beside it; tops are asked for by their layers."""
    import cv2

    weights = Path(path).with_suffix(".caffemodel")
    net = cv2.dnn.readNetFromCaffe(path, str(weights))
    for name, array in feeds.items():
        net.setInput(array, name)
    makers = json.loads(Path(path).with_name("layers.json").read_text())
    if len(makers) == 1:
        return {next(iter(makers)): np.array(net.forward())}
    layers = list(dict.fromkeys(layer for layer, _ in makers.values()))
    values = dict(zip(layers, net.forwardAndRetrieve(layers), strict=True))
    return {top: np.array(values[layer][place]) for top, (layer, place) in makers.items()}
