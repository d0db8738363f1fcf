"""LiteRT, of what onnx2tf makes of the ONNX file in float32."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version as version_of
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ._modules import missing
from ._signature import signature

INSTALL = "pip install caffeport[litert]"


def lacks() -> list[str]:
    """Return what is not installed."""
    return missing("onnx2tf", "tensorflow")


def version() -> str:
    """Return the versions of TensorFlow, whose LiteRT runs the file, and of onnx2tf."""
    return f"LiteRT of TensorFlow {version_of('tensorflow')} (onnx2tf {version_of('onnx2tf')})"


def run(path: str | PathLike[str], feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Convert a file and run it once; its axes are put back to where ONNX has them."""
    import onnx2tf
    import tensorflow as tf

    names = signature(path)
    with TemporaryDirectory() as folder:
        onnx2tf.convert(
            input_onnx_file_path=str(path),
            output_folder_path=folder,
            keep_ncw_or_nchw_or_ncdhw_input_names=list(names.inputs),
            non_verbose=True,
        )
        (made,) = Path(folder).glob("*_float32.tflite")
        interpreter = tf.lite.Interpreter(model_path=str(made))
        given = interpreter.get_input_details()
        arrays = dict(zip((one["index"] for one in given), _ordered(given, feeds), strict=True))
        for index, array in arrays.items():
            interpreter.resize_tensor_input(index, array.shape)
        interpreter.allocate_tensors()
        for index, array in arrays.items():
            interpreter.set_tensor(index, array)
        interpreter.invoke()
        results = [interpreter.get_tensor(one["index"]) for one in interpreter.get_output_details()]
    return {
        name: np.moveaxis(value, -1, 1) if value.ndim > 3 else value
        for name, value in zip(names.outputs, results, strict=True)
    }


def _ordered(given: list[dict[str, object]], feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Return the inputs in the interpreter's order; it calls `data` `serving_default_data:0`."""
    names = [str(one["name"]).removeprefix("serving_default_").partition(":")[0] for one in given]
    if len(feeds) == 1:
        return list(feeds.values())
    return [feeds[name] for name in names]
