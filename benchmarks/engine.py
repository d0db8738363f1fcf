"""One engine with one model loaded, run in its own environment by `inference.py` and `int8.py`.

    python engine.py ENGINE THREADS FILES...

A line of JSON on standard input, `[input.npy, output.npy or null, runs]`, runs the model on an
input so often; the answer is `{"seconds": [...], "processor": [...]}`, those of the clock and of
the processor, or `{"error": ...}`. FILES are the definition and the weights, or the one file of a
format that has both.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

SIDE = 2048  # of the matrices whose product tells what the processor can do

Run = Callable[[np.ndarray], Any]
Prepare = Callable[[tuple[int, ...]], Run]
"""Returns what runs inputs of one shape: engines may compile for it, unmeasured."""


def onnxruntime(threads: int, model: str) -> Prepare:
    """ONNX Runtime, as a user opens a file."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda shape: lambda x: session.run(None, {name: x})[0]


def torch_eager(threads: int, net: str, weights: str) -> Prepare:
    """Our PyTorch network as converted."""
    return _torch(threads, net, weights, optimized=False)


def torch_optimized(threads: int, net: str, weights: str) -> Prepare:
    """Our PyTorch network after `net.optimize()`."""
    return _torch(threads, net, weights, optimized=True)


def _torch(threads: int, net: str, weights: str, *, optimized: bool) -> Prepare:
    import torch

    import converter

    torch.set_num_threads(threads)
    loaded = converter.load(net, weights)
    loaded = loaded.optimize() if optimized else loaded

    def run(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            top = next(iter(loaded(torch.from_numpy(x)).values()))
        return top.numpy()

    return lambda shape: run


def openvino(threads: int, model: str) -> Prepare:
    """OpenVINO: an ONNX file, or what its model optimizer made of Caffe's."""
    import openvino as ov

    core = ov.Core()
    read = core.read_model(model)
    hints = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }

    def prepare(shape: tuple[int, ...]) -> Run:
        read.reshape(list(shape))
        request = core.compile_model(read, "CPU", hints).create_infer_request()
        return lambda x: next(iter(request.infer([x]).values()))

    return prepare


def opencv(threads: int, net: str, weights: str) -> Prepare:
    """OpenCV's own Caffe importer."""
    import cv2

    cv2.setNumThreads(threads)
    loaded = cv2.dnn.readNetFromCaffe(net, weights)

    def run(x: np.ndarray) -> np.ndarray:
        loaded.setInput(x)
        return np.array(loaded.forward())

    return lambda shape: run


def caffe(threads: int, net: str, weights: str) -> Prepare:
    """Caffe itself; its BLAS takes the threads from the environment."""
    import caffe as engine

    loaded = engine.Net(net, engine.TEST, weights=weights)
    given = loaded.blobs[loaded.inputs[0]]

    def prepare(shape: tuple[int, ...]) -> Run:
        given.reshape(*shape)
        loaded.reshape()

        def run(x: np.ndarray) -> np.ndarray:
            given.data[...] = x
            return np.array(next(iter(loaded.forward().values())))

        return run

    return prepare


def mnn(threads: int, model: str) -> Prepare:
    """MNN, of what its own Caffe importer made."""
    import MNN

    interpreter = MNN.Interpreter(model)
    session = interpreter.createSession({"numThread": threads, "backend": "CPU"})

    def prepare(shape: tuple[int, ...]) -> Run:
        given = interpreter.getSessionInput(session)
        interpreter.resizeTensor(given, shape)
        interpreter.resizeSession(session)
        kind = MNN.Tensor_DimensionType_Caffe

        def run(x: np.ndarray) -> np.ndarray:
            given.copyFrom(MNN.Tensor(shape, MNN.Halide_Type_Float, x, kind))
            interpreter.runSession(session)
            top = interpreter.getSessionOutput(session)
            sizes = top.getShape()
            host = MNN.Tensor(sizes, MNN.Halide_Type_Float, np.empty(sizes, np.float32), kind)
            top.copyToHostTensor(host)
            return np.array(host.getData(), np.float32).reshape(sizes)

        return run

    return prepare


def ncnn(threads: int, param: str, weights: str) -> Prepare:
    """NCNN, of what pnnx made of our ONNX; one image at a time."""
    import ncnn as engine

    net = engine.Net()
    net.opt.num_threads = threads
    if net.load_param(param) or net.load_model(weights):
        raise ValueError(f"{param} is not read")
    name, top = net.input_names()[0], net.output_names()[0]

    def one(image: np.ndarray) -> np.ndarray:
        extractor = net.create_extractor()
        extractor.input(name, engine.Mat(image))
        return np.array(extractor.extract(top)[1])

    return lambda shape: lambda x: np.stack([one(image) for image in x])


def matrix_product(threads: int) -> Prepare:
    """NumPy's product of two large matrices, whatever is asked; threads as for Caffe."""
    values = np.random.default_rng(1701).standard_normal((SIDE, SIDE), np.float32)
    return lambda shape: lambda x: values @ values


ENGINES: dict[str, Callable[..., Prepare]] = {
    each.__name__: each
    for each in (
        onnxruntime,
        torch_eager,
        torch_optimized,
        openvino,
        opencv,
        caffe,
        mnn,
        ncnn,
        matrix_product,
    )
}


def main() -> None:
    """Answer until the input ends."""
    engine, threads, *files = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what engines print on standard output is no answer
    prepared: dict[tuple[int, ...], Run] = {}
    prepare: Prepare | None = None
    for line in sys.stdin:
        source, target, runs = json.loads(line)
        x = np.load(source)
        try:
            prepare = prepare or ENGINES[engine](int(threads), *files)
            if x.shape not in prepared:
                prepared[x.shape] = prepare(x.shape)
            run = prepared[x.shape]
            seconds, processor = [], []
            for _ in range(runs):
                begin, busy = time.perf_counter(), time.process_time()
                y = run(x)
                processor.append(time.process_time() - busy)
                seconds.append(time.perf_counter() - begin)
            if target:
                np.save(target, np.asarray(y, np.float32))
            answer: dict[str, Any] = {"seconds": seconds, "processor": processor}
        except Exception as error:  # whatever an engine raises is its answer
            answer = {"error": f"{type(error).__name__}: {error}".partition("\n")[0][:200]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
