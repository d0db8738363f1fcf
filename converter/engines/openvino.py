"""OpenVINO, on the processor and in float32."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike

import numpy as np

from ._modules import missing
from ._signature import signature

INSTALL = "pip install caffeport[openvino]"


def lacks() -> list[str]:
    """Return what is not installed."""
    return missing("openvino")


def version() -> str:
    """Return OpenVINO's version, without that of its build."""
    import openvino

    return f"OpenVINO {openvino.__version__.partition('-')[0]}"


def run(path: str | PathLike[str], feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run a file once; bfloat16, which its processor plugin prefers where it can, is forbidden."""
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    taken = {name for one in compiled.inputs for name in one.get_names()}
    # It has dropped inputs that nothing reads.
    fed = {name: array for name, array in feeds.items() if name in taken}
    results = compiled.create_infer_request().infer(fed)
    return {name: np.array(results[name]) for name in signature(path).outputs}
