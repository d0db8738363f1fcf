"""Modules of R-CNN's scripts that Cython compiles, where nobody compiled them.

rbgirshick/py-faster-rcnn: lib/nms/cpu_nms.pyx, nms_kernel.cu, lib/utils/bbox.pyx, nms.pyx
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

SOURCES = {
    "cpu_nms": "cpu_nms.pyx",
    "gpu_nms": "gpu_nms.pyx",
    "cython_nms": "nms.pyx",
    "cython_bbox": "bbox.pyx",
}
"""Module -> the source that stands in its package's folder."""


class NotCompiled(MetaPathFinder):
    """Finds them last: what is compiled is found before."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        source = SOURCES.get(fullname.rpartition(".")[2])
        if source and any(Path(folder, source).is_file() for folder in path or ()):
            return ModuleSpec(fullname, _Computed())
        return None


class _Computed(Loader):
    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        functions = {"cpu_nms": nms, "gpu_nms": gpu_nms, "nms": nms, "bbox_overlaps": overlaps}
        module.__dict__.update(functions)


def nms(dets: Any, thresh: float) -> list[int]:
    """Return the rows [x1, y1, x2, y2, score] that are kept, best first.

    A row is hidden by a kept one that shares at least `thresh` of their union with it; sides count
    their last pixel.
    """
    return _kept(dets, lambda shares: shares >= thresh)


def gpu_nms(dets: Any, thresh: float, device_id: int = 0) -> list[int]:
    """Return the rows that are kept, as `nms`; what shares just `thresh` is not hidden."""
    return _kept(dets, lambda shares: shares > thresh)


def _kept(dets: Any, hides: Any) -> list[int]:
    import torch

    from caffe_layers.arithmetic.suppression import overlaps as shared
    from caffe_layers.arithmetic.suppression import survivors

    order = dets[:, 4].argsort()[::-1]
    boxes = torch.from_numpy(np.ascontiguousarray(dets[order, :4], np.float32))
    areas = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    kept = survivors(
        torch.ones(len(boxes), dtype=torch.bool),
        lambda a, b: hides(shared((boxes[a], areas[a]), (boxes[b], areas[b]), 1.0)),
    )
    return [int(order[row]) for row in kept.tolist()]


def overlaps(boxes: Any, query_boxes: Any) -> np.ndarray:
    """Return what each box and each query share of their union, N x K; sides count both ends."""
    first, second = boxes[:, np.newaxis], query_boxes[np.newaxis]
    low, high = np.maximum(first, second), np.minimum(first, second)
    common = (high[..., 2:4] - low[..., :2] + 1).clip(0).prod(-1)
    areas = [(one[..., 2:4] - one[..., :2] + 1).prod(-1) for one in (first, second)]
    return np.asarray(common / (areas[0] + areas[1] - common))
