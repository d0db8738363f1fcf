"""TensorRT, as its documentation (Python API of TensorRT 10) says; it was not run here."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np

from ._modules import missing

INSTALL = "pip install caffeport[tensorrt]"


def lacks() -> list[str]:
    """Return what is not installed."""
    return missing("tensorrt", "cuda.bindings")


def version() -> str:
    """Return TensorRT's version."""
    import tensorrt

    return f"TensorRT {tensorrt.__version__}"


def run(path: str | PathLike[str], feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Build an engine for the sizes of what it is fed, and run it once, without TF32."""
    import tensorrt as trt

    log = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(log)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(str(path)):
        said = [str(parser.get_error(place)) for place in range(parser.num_errors)]
        raise ValueError(" / ".join(said))
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)
    profile = builder.create_optimization_profile()
    for name, array in feeds.items():
        profile.set_shape(name, array.shape, array.shape, array.shape)
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ValueError("TensorRT builds no engine of it")
    engine = trt.Runtime(log).deserialize_cuda_engine(plan)
    return _execute(trt, engine, feeds)


def _execute(trt: Any, engine: Any, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Copy the inputs to the device, run, and copy the outputs back."""
    from cuda.bindings import runtime

    context = engine.create_execution_context()
    names = [engine.get_tensor_name(place) for place in range(engine.num_io_tensors)]
    outputs: dict[str, np.ndarray] = {}
    places: list[int] = []
    kinds = runtime.cudaMemcpyKind
    try:
        for name in names:
            if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT:
                array = np.ascontiguousarray(feeds[name], trt.nptype(engine.get_tensor_dtype(name)))
                context.set_input_shape(name, array.shape)
            else:
                shape = tuple(context.get_tensor_shape(name))
                array = np.empty(shape, trt.nptype(engine.get_tensor_dtype(name)))
                outputs[name] = array
            _, place = runtime.cudaMalloc(array.nbytes)
            places.append(place)
            context.set_tensor_address(name, place)
            if name not in outputs:
                to_device = kinds.cudaMemcpyHostToDevice
                runtime.cudaMemcpy(place, array.ctypes.data, array.nbytes, to_device)
        if not context.execute_async_v3(0):
            raise ValueError("TensorRT does not run it")
        runtime.cudaStreamSynchronize(0)
        for name, place in zip(names, places, strict=True):
            if name in outputs:
                array = outputs[name]
                to_host = kinds.cudaMemcpyDeviceToHost
                runtime.cudaMemcpy(array.ctypes.data, place, array.nbytes, to_host)
    finally:
        for place in places:
            runtime.cudaFree(place)
    return outputs
