"""How fast models of eight bits are: beside float32, in turns of one run.

    python benchmarks/int8.py CHECKPOINTS SHARED [--only NAME] [--batch 1 8] [--openvino]

CHECKPOINTS and SHARED are those of inference.py. Each network is optimised; its float32 file and
its files of eight bits run in ONNX Runtime on one thread, one after the other in drawn orders. A
time is processor time, the median of the rounds, so that what else the machine does counts little.
Printed are milliseconds and how many times as fast as float32 a file is:

    eight bits            what `convert --dtype int8 --optimize` writes
    signed                the same with --signed
    onnxruntime's own     `quantize_static` of onnxruntime on our float32 file, per channel

With --openvino (pip install openvino nncf) the first two run in OpenVINO too, beside NNCF's own
quantisation of our float32 file. Ranges are measured on seeded noise, which speed does not depend
on. How exact the files are: int8_accuracy.py.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import onnx
import onnxruntime
from inference import Network, networks

import converter

Run = Callable[[np.ndarray], object]
FLOAT = "float32"
SAMPLES = 8


def main() -> None:
    """Print a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoints", type=Path)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--only", help="measure this network alone")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--openvino", action="store_true")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    args = parser.parse_args()
    logging.disable(logging.WARNING)  # of onnxruntime's and NNCF's tools
    results = {}
    with tempfile.TemporaryDirectory() as scratch:
        for network in networks(args.checkpoints, args.shared, Path(scratch)):
            if args.only in (None, network.name):
                folder = Path(tempfile.mkdtemp(dir=scratch))
                runs = in_onnxruntime(network, folder)
                if args.openvino:
                    runs |= in_openvino(network, folder)
                took = {batch: measure(network, runs, batch, args.rounds) for batch in args.batch}
                results[network.name] = took
                show(network.name, took)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")


def noise(network: Network, batch: int, seed: int) -> np.ndarray:
    """Return seeded noise as a batch of images."""
    return np.random.default_rng(seed).standard_normal((batch, *network.image)).astype(np.float32)


def in_onnxruntime(network: Network, folder: Path) -> dict[str, Run]:
    """Write the files; return what runs each in ONNX Runtime."""
    net = converter.load(network.net, network.weights).optimize(channels_last=False)
    (data,) = net.exported().inputs
    feeds = [{data: noise(network, 1, seed)} for seed in range(SAMPLES)]
    plain = folder / "float32.onnx"
    converter.export_onnx(net, plain)
    files = {FLOAT: plain}
    for name, signed in (("eight bits", False), ("signed", True)):
        files[name] = folder / f"{name}.onnx"
        given = converter.Calibration(feeds, signed=signed)
        converter.export_onnx(net, files[name], calibration=given)
    files["onnxruntime's own"] = folder / "own.onnx"
    by_onnxruntime(plain, files["onnxruntime's own"], feeds)
    return {name: onnxruntime_run(path, data) for name, path in files.items()}


def by_onnxruntime(source: Path, target: Path, feeds: list[dict[str, np.ndarray]]) -> None:
    """Let onnxruntime's own tool put a float32 file into eight bits."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.feeds = iter(feeds)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.feeds, None)

    model = onnx.load(source)
    for node in model.graph.node:
        node.name = node.name or node.output[0]  # it tells nodes apart by their names
    named = target.with_suffix(".named.onnx")
    onnx.save(model, named)
    kinds = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
    quantize_static(named, target, Reader(), per_channel=True, **kinds)


def onnxruntime_run(path: Path, data: str) -> Run:
    """Open a file on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {data: x})


def in_openvino(network: Network, folder: Path) -> dict[str, Run]:
    """Return what runs the float32 file, ours of eight bits and NNCF's in OpenVINO."""
    import nncf
    import openvino

    core = openvino.Core()
    net = converter.load(network.net, network.weights).optimize(channels_last=False)
    (data,) = net.exported().inputs
    feeds = [{data: noise(network, 1, seed)} for seed in range(SAMPLES)]
    ours, plain = folder / "openvino.onnx", folder / "openvino.float32.onnx"
    converter.export_onnx(net, plain, target="openvino")
    converter.export_onnx(net, ours, calibration=converter.Calibration(feeds), target="openvino")
    models = {
        "OpenVINO, float32": core.read_model(plain),
        "OpenVINO, eight bits": core.read_model(ours),
        "OpenVINO, NNCF's": nncf.quantize(
            core.read_model(plain), nncf.Dataset(feeds), subset_size=SAMPLES
        ),
    }
    options = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = {name: core.compile_model(one, "CPU", options) for name, one in models.items()}
    return {name: openvino_run(one) for name, one in compiled.items()}


def openvino_run(compiled: object) -> Run:
    """Return what runs a compiled model."""
    request = compiled.create_infer_request()  # type: ignore[attr-defined]
    return lambda x: request.infer([x])


def measure(network: Network, runs: dict[str, Run], batch: int, rounds: int) -> dict[str, float]:
    """Return each file's median processor time, after a round unmeasured."""
    x = noise(network, batch, 1701)
    random = np.random.default_rng(1701)
    took: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name in random.permutation(list(runs)):
            begin = time.process_time()
            runs[name](x)
            if turn:
                took[name].append(time.process_time() - begin)
    return {name: median(seconds) for name, seconds in took.items()}


def show(name: str, took: dict[int, dict[str, float]]) -> None:
    """Print a network's table."""
    batches = list(took)
    print(
        f"\n| {name} | " + " | ".join(f"batch {batch}, ms | x float32" for batch in batches) + " |"
    )
    print("|---|" + "---|---|" * len(batches))
    for file in took[batches[0]]:
        cells = []
        for batch in batches:
            seconds = took[batch][file]
            cells += [f"{1000 * seconds:.1f}", f"{took[batch][FLOAT] / seconds:.2f}"]
        print(f"| {file} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
