"""Mean average precision of detections, from the rows that DetectionEvaluate gives for batches.

Caffe: weiliu89/caffe, src/caffe/solver.cpp, TestDetection; src/caffe/util/bbox_util.cpp, ComputeAP
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from prototxt.errors import ShapeError, UnsupportedError

VERSIONS = ("11point", "MaxIntegral", "Integral")
"""What `ap_version` may be; the last is its default."""
ROW = 5
_EPS = np.float32(1e-6)
"""A smaller step of recall adds nothing."""

Floats = NDArray[np.float32]


def check_version(version: str) -> None:
    """Raise UnsupportedError for a way to average that SSD's solver does not know either."""
    if version not in VERSIONS:
        known = ", ".join(VERSIONS)
        raise UnsupportedError(f"ap_version {version!r} is unknown", fix=f"one of {known}")


class Detections:
    """The rows of one output over many batches: objects of each class, and what was detected.

    A row of image -1 says how many objects a class has, every other one is a detection: image,
    label, score, 1 if it is right, 1 if it is wrong. One that is neither does not count.
    """

    def __init__(self) -> None:
        self.objects: dict[int, int] = defaultdict(int)
        self.found: dict[int, list[tuple[np.float32, int]]] = defaultdict(list)

    def add(self, name: str, rows: Tensor) -> None:
        """Add a batch's rows, ... x 5; ShapeError for what is none."""
        if not rows.ndim or rows.shape[-1] != ROW:
            raise ShapeError(
                f"output {name!r} is {tuple(rows.shape)}, wants rows of {ROW} to judge detections",
                fix="end the test network with DetectionEvaluate alone",
            )
        for image, label, score, right, wrong in rows.reshape(-1, ROW).tolist():
            if int(image) == -1:
                self.objects[int(label)] += int(score)
            elif int(right) or int(wrong):
                self.found[int(label)].append((np.float32(score), int(right)))

    def mean(self, version: str) -> float:
        """Return the mean of the classes' average precisions; 0 where there is no class.

        A class of which nothing was detected counts with 0, as does one that has no object.
        """
        total = np.float32(0)
        for label in sorted(self.objects):
            if label in self.found:
                total += average_precision(self.found[label], self.objects[label], version)
        return float(total / np.float32(len(self.objects))) if self.objects else 0.0


def average_precision(
    found: list[tuple[np.float32, int]], objects: int, version: str
) -> np.float32:
    """Return the average precision of one class's detections, each a score and 1 if it is right.

    With the detections in falling order of their scores, equal ones as they came, the precision
    after each is the share of right ones so far, the recall their number per object. All are
    float32, as there. `11point` is the mean, at recalls of 0, 0.1, ... 1, of the best precision at
    that recall or a higher one; `Integral` the sum of precisions times the steps of recall, the
    first step from 0; `MaxIntegral` the same of the best precision here or later. Steps of 1e-6 or
    less add nothing.
    """
    if not found or not objects:
        return np.float32(0)
    scores = np.array([score for score, _ in found], np.float32)
    order = np.argsort(-scores, kind="stable")
    right = np.array([is_right for _, is_right in found])[order].cumsum().astype(np.float32)
    precision = (right / np.arange(1, len(found) + 1)).astype(np.float32)
    recall = right / np.float32(objects)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    if version == "11point":
        return _at_eleven(recall, best)
    return _integral(recall, best if version == "MaxIntegral" else precision)


def _at_eleven(recall: Floats, best: Floats) -> np.float32:
    total = np.float32(0)
    for tenth in range(10, -1, -1):
        # The recall is a float, the tenth a double: 7 of 10 objects do not reach 0.7.
        reached = recall.astype(np.float64) >= tenth / 10
        if reached.any():
            total += best[reached.argmax()] / np.float32(11)
    return total


def _integral(recall: Floats, precision: Floats) -> np.float32:
    total = np.float32(0)
    for step, height in zip(np.diff(recall, prepend=np.float32(0)), precision, strict=True):
        if step > _EPS:
            total += height * step
    return total
