"""SSD's boxes as plain loops: overlap, encoding, decoding, and some to test with."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log

import numpy as np

Box = Sequence[float]
CODE_TYPES = ("CORNER", "CENTER_SIZE", "CORNER_SIZE")


def area(box: Box) -> float:
    width, height = box[2] - box[0], box[3] - box[1]
    return 0.0 if width < 0 or height < 0 else width * height


def iou(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (area(a) + area(b) - width * height)


def decode(code: str, prior: Box, variance: Box, t: Box) -> list[float]:
    width, height = prior[2] - prior[0], prior[3] - prior[1]
    if code == "CORNER":
        return [prior[i] + variance[i] * t[i] for i in range(4)]
    if code == "CORNER_SIZE":
        return [prior[i] + variance[i] * t[i] * (width, height)[i % 2] for i in range(4)]
    cx = variance[0] * t[0] * width + (prior[0] + prior[2]) / 2
    cy = variance[1] * t[1] * height + (prior[1] + prior[3]) / 2
    w, h = exp(variance[2] * t[2]) * width, exp(variance[3] * t[3]) * height
    return [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]


def encode(code: str, prior: Box, variance: Box, box: Box) -> list[float]:
    width, height = prior[2] - prior[0], prior[3] - prior[1]
    if code == "CORNER":
        return [(box[i] - prior[i]) / variance[i] for i in range(4)]
    if code == "CORNER_SIZE":
        return [(box[i] - prior[i]) / (width, height)[i % 2] / variance[i] for i in range(4)]
    return [
        ((box[0] + box[2]) / 2 - (prior[0] + prior[2]) / 2) / width / variance[0],
        ((box[1] + box[3]) / 2 - (prior[1] + prior[3]) / 2) / height / variance[1],
        log((box[2] - box[0]) / width) / variance[2],
        log((box[3] - box[1]) / height) / variance[3],
    ]


def grid(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return the blob of so many prior boxes, some reaching over the image's edge."""
    centre, size = rng.uniform(0.1, 0.9, (count, 2)), rng.uniform(0.15, 0.45, (count, 2))
    boxes = np.concatenate([centre - size / 2, centre + size / 2], 1)
    variances = np.tile([0.1, 0.15, 0.2, 0.25], (count, 1)) * rng.uniform(0.8, 1.2, (count, 4))
    # Values that are exact in float32, so that both engines see the same.
    blob = np.stack([boxes.ravel(), variances.ravel()])[None]
    return blob.astype(np.float32).astype(float)
