"""A plugin of pytest: what the tests of forks' layers check is written down as engines' cases.

`benchmarks/engine_cases.py` runs it. Of each form, the layers' types with the operators that they
become, the first case stays.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from converter.onnx.emit import emit
from prototxt import CaffeError
from tests.support import restated

from .engine_cases import write_case

FOLDER = Path(os.environ["ENGINE_CASES"])
TARGETS = [name for name in os.environ["ENGINE_TARGETS"].split(",") if name]
_counts: Counter[str] = Counter()
_forms: set[tuple[object, ...]] = set()


def _write(
    layers: str,
    inputs: Mapping[str, np.ndarray],
    wants: object,
    folder: Path,
    *,
    dynamic: object = None,
    onnx: bool = True,
    opsets: object = None,
    **options: Any,
) -> None:
    """Stand in the place of `restated.check`."""
    if not onnx:
        return
    net = restated.load(layers, inputs, folder, **options, dtype=torch.float32)
    net.force_backward = False
    plan = net.exported(with_losses=True).plan
    step = next((step for step in plan.steps if step.layer.name == "L"), plan.steps[-1])
    fork = type(net.layers[step.key]).__module__.split(".")
    kind = step.layer.type
    if "forks" not in fork or step.cls.is_loss:
        return
    try:
        graph = emit(net, dynamic=(), with_losses=True)
    except CaffeError:
        return
    form = (kind, fork[-2], *(node.op_type for node in graph.nodes))
    if form in _forms:
        return
    _forms.add(form)
    kind = f"{kind} ({fork[-2]})"
    target = FOLDER / kind / str(_counts[kind] + 1)
    feeds = {name: np.asarray(array, np.float32) for name, array in inputs.items()}
    _counts[kind] += write_case(target, net, feeds, TARGETS, type=kind)


restated.check = _write
