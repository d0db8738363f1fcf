"""How fast models of eight bits are: beside float32, in turns of one run.

    python benchmarks/int8.py CHECKPOINTS SHARED [--only NAME] [--batch 1 8] [--openvino]
        [--peers FOLDER] [--threads 1]

CHECKPOINTS and SHARED are those of inference.py. Each network is optimised; its float32 file and
its files of eight bits run in ONNX Runtime, one after the other in drawn orders. On one thread
times are processor time, so that what else the machine does counts little; on several they are the
clock's, for a machine without other work. Printed are the rounds' median milliseconds, and the
median of the rounds' own ratios: how many times as fast as float32 a file is.

    eight bits            what `convert --dtype int8 --optimize` writes
    signed                the same with --signed
    onnxruntime's own     `quantize_static` of onnxruntime on our float32 file, per channel

With --openvino (pip install openvino nncf) the first two run in OpenVINO too, beside NNCF's own
quantisation of our float32 file. With --peers the network runs in Caffe itself too, in float32 in a
process of its own, if FOLDER has the environment `caffe` of inference.py; its output must be that
of our torch network in double, or nothing is measured. Ranges are measured on seeded noise, which
speed does not depend on. How exact the files are: int8_accuracy.py.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import numpy as np
import onnx
import onnxruntime
from bvlc import in_bvlc_layers
from inference import CAFFE, REST, WRONG, Network, exact, near, networks, opened

import converter

Run = Callable[[np.ndarray], float]
"""Runs an input; returns the seconds that it took."""
Took = dict[str, list[float]]
"""What each file took in each round."""
FLOAT = "float32"
SAMPLES = 8


def main() -> None:
    """Print a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoints", type=Path)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--only", help="measure this network alone")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--openvino", action="store_true")
    parser.add_argument("--peers", type=Path, help="a folder with the environment caffe")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    args = parser.parse_args()
    python = args.peers and args.peers / "caffe" / "bin" / "python"
    if python and not python.exists():
        parser.error(f"there is no {python}: inference.py says what it is")
    logging.disable(logging.WARNING)  # of onnxruntime's and NNCF's tools
    results = {}
    with tempfile.TemporaryDirectory() as scratch:
        for network in networks(args.checkpoints, args.shared, Path(scratch)):
            if args.only in (None, network.name):
                folder = Path(tempfile.mkdtemp(dir=scratch))
                with ExitStack() as stack:
                    runs = in_onnxruntime(network, folder, args.threads)
                    if args.openvino:
                        runs |= in_openvino(network, folder, args.threads)
                    if python:
                        caffe = in_caffe(network, python, folder, args.threads)
                        runs[CAFFE] = stack.enter_context(caffe)
                    took = {b: measure(network, runs, b, args.rounds) for b in args.batch}
                results[network.name] = took
                show(network.name, took)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")


def noise(network: Network, batch: int, seed: int) -> np.ndarray:
    """Return seeded noise as a batch of images."""
    return np.random.default_rng(seed).standard_normal((batch, *network.image)).astype(np.float32)


def in_onnxruntime(network: Network, folder: Path, threads: int) -> dict[str, Run]:
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
    return {name: onnxruntime_run(path, data, threads) for name, path in files.items()}


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


def onnxruntime_run(path: Path, data: str, threads: int) -> Run:
    """Open a file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return timed(lambda x: session.run(None, {data: x}), threads)


def in_openvino(network: Network, folder: Path, threads: int) -> dict[str, Run]:
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
    options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = {name: core.compile_model(one, "CPU", options) for name, one in models.items()}
    return {name: openvino_run(one, threads) for name, one in compiled.items()}


def openvino_run(compiled: object, threads: int) -> Run:
    """Return what runs a compiled model."""
    request = compiled.create_infer_request()  # type: ignore[attr-defined]
    return timed(lambda x: request.infer([x]), threads)


@contextmanager
def in_caffe(network: Network, python: Path, folder: Path, threads: int) -> Iterator[Run]:
    """Yield what runs the network in Caffe itself, in a process that ends with the block."""
    files = map(str, in_bvlc_layers(network.net, network.weights, folder))
    source, target = folder / "bottom.npy", folder / "top.npy"
    met = set()
    clock = "processor" if threads == 1 else "seconds"
    with opened(CAFFE, python, ["caffe", *files], threads) as engine:

        def run(x: np.ndarray) -> float:
            np.save(source, x)
            took = engine.ask(source, target, 1, clock)
            if x.shape not in met and not engine.said:
                met.add(x.shape)
                engine.said = "" if near(target, exact(network, x, alone=False)) else WRONG
            if engine.said:
                raise SystemExit(f"{network.name} in Caffe itself: {engine.said}")
            return took[0]

        yield run


def timed(run: Callable[[np.ndarray], object], threads: int) -> Run:
    """Return what runs a model of this process, and says how long it took."""
    clock = time.process_time if threads == 1 else time.perf_counter

    def once(x: np.ndarray) -> float:
        begin = clock()
        run(x)
        return clock() - begin

    return once


def measure(network: Network, runs: dict[str, Run], batch: int, rounds: int) -> Took:
    """Return what each file took in each round, after a round unmeasured."""
    x = noise(network, batch, 1701)
    random = np.random.default_rng(1701)
    took: Took = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name in random.permutation(list(runs)):
            time.sleep(REST)
            seconds = runs[name](x)
            if turn:
                took[name].append(seconds)
    return took


def times_as_fast(took: Took, name: str, other: str) -> float:
    """Return the median of the rounds' own ratios."""
    return median(theirs / ours for ours, theirs in zip(took[name], took[other], strict=True))


def show(name: str, took: dict[int, Took]) -> None:
    """Print a network's table."""
    batches = list(took)
    others = [other for other in (FLOAT, CAFFE) if other in took[batches[0]]]
    heads = [head for b in batches for head in (f"batch {b}, ms", *(f"x {o}" for o in others))]
    print(f"\n| {name} | " + " | ".join(heads) + " |\n|---|" + "---|" * len(heads))
    for file in took[batches[0]]:
        cells = []
        for one in took.values():
            cells.append(f"{1000 * median(one[file]):.1f}")
            cells += [f"{times_as_fast(one, file, other):.2f}" for other in others]
        print(f"| {file} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
