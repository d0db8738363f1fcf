"""OpenVINO's model optimizer, the last that read Caffe, for `benchmarks/caffe_readers.py`.

It tells a server what it did, and waits for that where there is no network, until `opt_in_out
--opt_out` is run in its environment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np


def lacks() -> list[str]:
    """Return nothing: the environment was made for it."""
    return []


def version() -> str:
    """Return OpenVINO's version; what takes long, once a process, is done for each run then."""
    import openvino
    from openvino.tools.mo.utils.version import VersionChecker

    VersionChecker().check_runtime_dependencies()  # imports OpenVINO in another process

    return f"OpenVINO {openvino.__version__.partition('-')[0]} mo"


def run(path: str, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Convert a definition and the weights beside it, and run them in float32."""
    import openvino.runtime as ov
    from openvino.tools.mo import convert_model

    weights = Path(path).with_suffix(".caffemodel")
    try:
        model = convert_model(
            str(weights), input_proto=path, framework="caffe", compress_to_fp16=False, silent=True
        )
    except Exception as error:
        cause = re.search("Original exception message: (.*)", str(error))
        raise ValueError(cause[1] if cause else str(error)) from error
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()
    results = request.infer({name: feeds[name] for name in feeds})
    wanted = list(np.load(Path(path).with_name("want.npz")))
    if len(compiled.outputs) == len(wanted) == 1:
        return {wanted[0]: np.array(results[compiled.outputs[0]])}
    return {name: np.array(results[compiled.output(name)]) for name in wanted}
