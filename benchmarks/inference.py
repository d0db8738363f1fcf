"""CPU inference of converted networks beside other engines, in turns of one run.

    python benchmarks/inference.py CHECKPOINTS SHARED [--peers FOLDER] [--only NAME] [--json FILE]

SHARED is the folder of published models; CHECKPOINTS holds sknet50.caffemodel and
SE-ResNet-50.caffemodel (see conversion.py). FOLDER holds virtual environments; those of these
that are there are measured:

    openvino     pip install openvino
    openvino2023 pip install "openvino-dev[caffe]==2023.3.0"       reads Caffe's files itself
    opencv       pip install opencv-python-headless==4.12.0.88     reads Caffe's files itself
    caffe        pycaffe, built with OpenBLAS from the sources in  Caffe itself
                 pip download --no-binary :all: --no-deps brocolli-caffe==9.0.2
    mnn          pip install MNN                                   reads Caffe's files itself
    ncnn         pip install ncnn pnnx                             reads our ONNX through pnnx

Those that read Caffe's files get SKNet's and SENet's own layers in BVLC's (`bvlc.py`): as published
they refuse them, or compute Axpy wrongly. Each engine is a process of its own with its model
loaded. They take turns in drawn orders, a few runs each, so that a slow moment meets them all;
printed are medians, as milliseconds and as how many times as long as our optimised ONNX takes in
ONNX Runtime. Outputs are compared with our torch network's in double: what differs by more than
1e-3 of the largest value is said to be wrong. The last row is a bound: the network's multiply-adds
at the rate of a large matrix product, which only an algorithm with fewer of them could beat.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx
import torch
from bvlc import in_bvlc_layers
from drawn import drawn
from engine import SIDE

import converter
from converter.network.summary import summarize

OURS = "ONNX Runtime, optimised export"
CAFFE = "Caffe itself"
LIMIT = "its products, at a large matrix product's rate"
ENVIRONMENTS = ("openvino", "openvino2023", "opencv", "caffe", "mnn", "ncnn")
WRONG = "wrong numbers"
REST = 0.1
"""Seconds between turns, in which the last engine's threads go to sleep."""


@dataclass(frozen=True)
class Network:
    """A network's two files and the size of its images."""

    name: str
    net: Path
    weights: Path
    image: tuple[int, int, int]


@dataclass
class Engine:
    """A process with an engine in it, and what it took for each batch."""

    name: str
    process: subprocess.Popen[str]
    one_by_one: bool
    """Whether it runs a batch image by image: a Reshape may put them elsewhere in a batch's top."""
    seconds: dict[int, list[float]] = field(default_factory=dict)
    said: str = ""

    def ask(
        self, source: Path, target: Path | None, runs: int, clock: str = "seconds"
    ) -> list[float]:
        """Let it run; return seconds of the clock, or of the "processor".

        None are there if it failed, and `said` is why.
        """
        if self.said:
            return []
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        asked = json.dumps([str(source), str(target) if target else None, runs])
        try:
            self.process.stdin.write(asked + "\n")
            self.process.stdin.flush()
            answer = json.loads(self.process.stdout.readline() or '{"error": "died"}')
        except BrokenPipeError:
            answer = {"error": "died"}
        self.said = answer.get("error", "")
        return list(answer.get(clock, []))


def main() -> None:
    """Print a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoints", type=Path)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--peers", type=Path, default=Path("no peers"))
    parser.add_argument("--only", help="measure this network alone")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path, help="write the figures there too")
    args = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        rate = products_a_second(args.threads, folder / "any.npy")
        print(f"{rate / 1e9:.0f} G multiply-adds a second in a product of {SIDE}^2 values")
        for network in networks(args.checkpoints, args.shared, folder):
            if args.only in (None, network.name):
                rows = measure(network, args, Path(tempfile.mkdtemp(dir=folder)))
                rows.append(limit(network, args.batch, rate))
                results[network.name] = rows
                show(network.name, rows, args.batch)
    show_all(results, args.batch)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")


def networks(checkpoints: Path, shared: Path, folder: Path) -> Iterator[Network]:
    """Name the networks; two are published without weights here and get random ones."""
    models, colour = shared / "models", (3, 224, 224)
    squeezenet, face = models / "squeezenet_v1.0_dc", models / "ultraface_rfb320"
    yield Network("SqueezeNet v1.0", *_pair(squeezenet), (3, 227, 227))
    thin = shared / "prototxts" / "open_nsfw__nsfw_model__deploy.prototxt"
    yield Network("open_nsfw", thin, drawn(thin, folder / "open_nsfw.caffemodel"), colour)
    resnet = shared / "prototxts" / "opencv_extra__ResNet-50-deploy.prototxt"
    yield Network("ResNet-50", resnet, drawn(resnet, folder / "resnet50.caffemodel"), colour)
    senet = shared / "reference" / "nets" / "SE-ResNet-50" / "deploy.prototxt"
    yield Network("SE-ResNet-50", senet, checkpoints / "SE-ResNet-50.caffemodel", colour)
    sknet = shared / "reference" / "sknet" / "sknet50.prototxt"
    yield Network("SKNet-50", sknet, checkpoints / "sknet50.caffemodel", colour)
    yield Network("UltraFace RFB-320", *_pair(face), (3, 240, 320))


def _pair(folder: Path) -> tuple[Path, Path]:
    return folder / "deploy.prototxt", next(folder.glob("*.caffemodel"))


def measure(network: Network, args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Measure every engine on a network."""
    inputs = {batch: folder / f"{batch}.npy" for batch in args.batch}
    random = np.random.default_rng(1701)
    for batch, path in inputs.items():
        np.save(path, random.standard_normal((batch, *network.image), np.float32))
    truth = {
        (batch, alone): exact(network, np.load(path), alone=alone)
        for batch, path in inputs.items()
        for alone in (False, True)
    }
    with ExitStack() as stack:
        engines = [
            stack.enter_context(opened(name, python, command, args.threads))
            for name, python, command in commands(network, args.peers, folder)
        ]
        for batch, path in inputs.items():
            for turn in range(args.rounds + 1):
                # In a drawn order: what ran just before leaves its mark on caches and clocks.
                for engine in random.permutation(np.array(engines, object)):
                    time.sleep(REST)
                    target = None if turn else folder / "top.npy"
                    seconds = engine.ask(path, target, 3 if batch == 1 else 1)
                    if turn:
                        engine.seconds.setdefault(batch, []).extend(seconds)
                    elif not engine.said:
                        wanted = truth[batch, engine.one_by_one]
                        engine.said = "" if near(target, wanted) else WRONG
        return [
            {
                "engine": engine.name,
                "says": engine.said,
                "seconds": {b: median(took) for b, took in engine.seconds.items() if took},
            }
            for engine in engines
        ]


def products_a_second(threads: int, path: Path) -> float:
    """Return how many multiply-adds a second a product of large matrices reaches."""
    np.save(path, np.zeros(1, np.float32))
    with opened("", Path(sys.executable), ["matrix_product"], threads) as engine:
        return float(SIDE**3 / min(engine.ask(path, None, 20)))


def limit(network: Network, batches: Sequence[int], rate: float) -> dict[str, Any]:
    """Return how long the network's multiply-adds take at a rate, as an engine's row."""
    work = summarize(converter.load(network.net, network.weights)).multiply_adds
    return {"engine": LIMIT, "says": "", "seconds": {b: b * work / rate for b in batches}}


@contextmanager
def opened(name: str, python: Path, command: Sequence[str], threads: int) -> Iterator[Engine]:
    """Yield an engine's process, which ends with the block."""
    engine, *files = command
    script = Path(__file__).with_name("engine.py")
    with subprocess.Popen(
        [str(python), str(script), engine, str(threads), *files],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
    ) as process:
        try:
            yield Engine(name, process, engine == "ncnn")
        finally:
            process.kill()


def commands(network: Network, peers: Path, folder: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """Yield each engine's name, its Python and what `engine.py` is told; files first."""
    here, files = Path(sys.executable), [str(network.net), str(network.weights)]
    loaded = converter.load(network.net, network.weights)
    names = ("plain", "clean", "settable")
    plain, clean, settable = (str(folder / f"{name}.onnx") for name in names)
    converter.export_onnx(loaded, plain)
    converter.export_onnx(loaded.optimize(channels_last=False), clean)
    with_weights_as_inputs(plain, settable)
    yield OURS, here, ["onnxruntime", clean]
    yield "ONNX Runtime, plain export", here, ["onnxruntime", plain]
    yield "ONNX Runtime, weights as inputs too", here, ["onnxruntime", settable]
    yield "torch, optimised", here, ["torch_optimized", *files]
    yield "torch, as converted", here, ["torch_eager", *files]
    caffe = [str(path) for path in in_bvlc_layers(network.net, network.weights, folder)]
    python = {name: peers / name / "bin" / "python" for name in ENVIRONMENTS}
    python = {name: path for name, path in python.items() if path.exists()}
    if "openvino" in python:
        yield "OpenVINO, our optimised export", python["openvino"], ["openvino", clean]
    if "openvino2023" in python:
        tool = [python["openvino2023"].with_name("mo"), "--input_model", caffe[1]]
        exactly = ["--compress_to_fp16=False", "--model_name", "mo"]
        made(*tool, "--input_proto", caffe[0], "--output_dir", folder, *exactly)
        yield (
            "OpenVINO 2023.3, its own import",
            python["openvino2023"],
            [
                "openvino",
                str(folder / "mo.xml"),
            ],
        )
    if "opencv" in python:
        yield "OpenCV, its own import", python["opencv"], ["opencv", *caffe]
    if "caffe" in python:
        yield CAFFE, python["caffe"], ["caffe", *caffe]
    if "mnn" in python:
        tool = [python["mnn"].with_name("mnnconvert"), "-f", "CAFFE", "--prototxt", caffe[0]]
        made(*tool, "--modelFile", caffe[1], "--MNNModel", folder / "net.mnn", "--bizCode", "x")
        yield "MNN, its own import", python["mnn"], ["mnn", str(folder / "net.mnn")]
    if "ncnn" in python:
        shape = ",".join(map(str, (1, *network.image)))
        fixed = folder / "one.onnx"
        converter.export_onnx(loaded.optimize(channels_last=False), fixed, dynamic=())
        made(python["ncnn"].with_name("pnnx"), fixed, f"inputshape=[{shape}]", "fp16=0")
        names = [str(folder / f"one.ncnn.{end}") for end in ("param", "bin")]
        yield "ncnn, our optimised export", python["ncnn"], ["ncnn", *names]


def with_weights_as_inputs(path: str, target: str) -> None:
    """Write a model again as the converters around caffe2onnx write theirs.

    Its weights are defaults of inputs, so that no engine may fold what is computed of them alone.
    """
    model = onnx.load(path)
    for array in model.graph.initializer:
        value = onnx.helper.make_tensor_value_info(array.name, array.data_type, array.dims)
        model.graph.input.append(value)
    onnx.save(model, target)


def made(*command: object) -> None:
    """Run a peer's own tool; whether it wrote anything shows when its file is opened."""
    subprocess.run([str(part) for part in command], capture_output=True, check=False)


def exact(network: Network, x: np.ndarray, *, alone: bool) -> list[np.ndarray]:
    """Return each output that our torch network computes in double.

    `alone` says that images go through it one by one, their outputs one after the other.
    """
    loaded = converter.load(network.net, network.weights, dtype=torch.float64)
    parts = [x[at : at + 1] for at in range(len(x))] if alone else [x]
    with torch.inference_mode():
        tops = [loaded(torch.from_numpy(part).double()).values() for part in parts]
    return [torch.cat([top.ravel() for top in each]).numpy() for each in zip(*tops, strict=True)]


def near(path: Path | None, tops: Sequence[np.ndarray]) -> bool:
    """Tell whether an engine's first output agrees with one of those that there should be."""
    assert path is not None
    got = np.load(path).ravel()
    return any(
        got.shape == top.shape and np.abs(got - top).max() <= 1e-3 * np.abs(top).max()
        for top in tops
    )


def show(name: str, rows: Sequence[dict[str, Any]], batches: Sequence[int]) -> None:
    """Print a network's table."""
    print(f"\n## {name}\n")
    print("| engine | " + " | ".join(f"batch {batch}, ms | x ours" for batch in batches) + " |")
    print("|---|" + "---|---|" * len(batches))
    ours = rows[0]["seconds"]
    for row in rows:
        cells = []
        for batch in batches:
            took = row["seconds"].get(batch)
            cells += [f"{1000 * took:.1f}", f"{took / ours[batch]:.2f}"] if took else ["", ""]
        said = f": {row['says']}" if row["says"] else ""
        print(f"| {row['engine']}{said} | " + " | ".join(cells) + " |", flush=True)


def show_all(results: dict[str, list[dict[str, Any]]], batches: Sequence[int]) -> None:
    """Print one table of all networks: how many times as long as ours each engine takes."""
    sizes = " / ".join(f"batch {batch}" for batch in batches)
    print(f"\n| x ours, {sizes} | " + " | ".join(results) + " |\n|---|" + "---|" * len(results))
    for row in next(iter(results.values()), []):
        cells = []
        for rows in results.values():
            ours = rows[0]["seconds"]
            took = next(each for each in rows if each["engine"] == row["engine"])["seconds"]
            cells.append(" / ".join(f"{took[b] / ours[b]:.2f}" for b in batches if b in took))
        print(f"| {row['engine']} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
