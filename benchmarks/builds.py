"""Whether this build is slower than another checkout of it: pairs in turns, ratios, quartiles.

    python benchmarks/builds.py OTHER CHECKPOINTS SHARED [--pairs 15] [--only TEXT] [--threads 2]

OTHER is a checkout of another commit; CHECKPOINTS, SHARED and the networks are those of
`inference.py`. Each row is one task: whole processes of `convert` (ONNX and safetensors, not
verified), the writing of a loaded network's ONNX, and runs of one image in torch and in ONNX
Runtime, in processes that stay. Both builds use so many threads, and who begins is drawn anew for
each pair. A ratio is this build's time by the other's: it passes where the median is within 3 % of
1, or 1 lies between the quartiles. On one thread processes that stay count the processor's time,
which other work on the machine disturbs least.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

HERE = Path(__file__).parents[1]
BATCHES = {"torch": 5, "torch, optimised": 5, "ONNX Runtime": 5, "ONNX written": 1}
"""The tasks of a loaded network, and how many runs make one time."""


class Files(NamedTuple):
    """A network."""

    net: Path
    weights: Path


def main() -> int:
    """Print the table; return 1 if a row is slower."""
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], sys.argv[3], sys.argv[4])
        return 0
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path)
    parser.add_argument("checkpoints", type=Path)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--only", default="")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        return measure(args, Path(scratch))


def measure(args: argparse.Namespace, scratch: Path) -> int:
    """Print a row for each network and task; return 1 if one is slower."""
    builds = (HERE, args.other.resolve())
    passed = True
    print(
        "| task | pairs | lower quartile | median | upper quartile | |\n|---|---|---|---|---|---|"
    )
    for name, files in networks(args.checkpoints, args.shared, scratch):
        for task in ("convert", *BATCHES):
            title = f"{name}: {task}"
            if args.only in title:
                timers = [timer(build, task, files, args.threads) for build in builds]
                passed &= row(title, timers, args.pairs)
    return 0 if passed else 1


def networks(checkpoints: Path, shared: Path, scratch: Path) -> Iterator[tuple[str, Files]]:
    """Name the networks of docs/performance.md, one after the other."""
    from inference import networks as measured

    for one in measured(checkpoints, shared, scratch):
        yield one.name, Files(one.net, one.weights)


def row(title: str, timers: list[Callable[[], float]], pairs: int) -> bool:
    """Measure one task in both builds and print its ratios; tell whether it is no slower."""
    for one in timers:
        one()  # unmeasured
    ratios = []
    for _ in range(pairs):
        seconds = [0.0, 0.0]
        for index in random.sample((0, 1), 2):
            seconds[index] = timers[index]()
        ratios.append(seconds[0] / seconds[1])
    low, _, high = quantiles(ratios, n=4)
    middle = median(ratios)
    passed = middle <= 1.03 or low <= 1 <= high
    verdict = "" if passed else "SLOWER"
    print(f"| {title} | {pairs} | {low:.3f} | {middle:.3f} | {high:.3f} | {verdict} |", flush=True)
    return passed


def timer(build: Path, task: str, files: Files, threads: int) -> Callable[[], float]:
    """Return what runs a task once in a build and gives the seconds it took."""
    environment = {**os.environ, "PYTHONPATH": str(build), "OMP_NUM_THREADS": str(threads)}
    if task == "convert":
        return lambda: convert(build, files, environment)
    command = [sys.executable, __file__, "serve", task, *map(str, files)]
    server = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def ask() -> float:
        assert server.stdin
        assert server.stdout
        print("go", file=server.stdin, flush=True)
        return float(server.stdout.readline())

    return ask


def convert(build: Path, files: Files, environment: dict[str, str]) -> float:
    """Convert once in a process of its own."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "converter", "convert", *map(str, files), "-o", out]
        begin = time.perf_counter()
        subprocess.run([*command, "--no-verify", "--quiet"], cwd=build, env=environment, check=True)
        return time.perf_counter() - begin


def serve(task: str, net: str, weights: str) -> None:
    """Load a network; then for each line that is read do the task and print the seconds."""
    import torch

    import converter

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    clock = time.process_time if os.environ["OMP_NUM_THREADS"] == "1" else time.perf_counter
    loaded = converter.load(net, weights)
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        run = prepared(task, loaded, Path(folder, "net.onnx"))
        for _ in sys.stdin:
            begin = clock()
            for _ in range(BATCHES[task]):
                run()
            print(clock() - begin, flush=True)


def prepared(task: str, net: object, path: Path) -> Callable[[], object]:
    """Return one run of a task."""
    import onnxruntime
    import torch

    import converter

    assert isinstance(net, converter.CaffeNet)
    generator = torch.Generator().manual_seed(1701)
    (name,) = [blob for blob, shape in net.input_shapes.items() if len(shape) == 4]
    batch = {name: torch.randn(1, *net.input_shapes[name][1:], generator=generator)}
    # One image alone: not every network is the same in a batch.
    how = {"dynamic": (), "input_shapes": {name: tuple(batch[name].shape)}}
    if task == "ONNX written":
        return lambda: converter.export_onnx(net, path, **how)
    if task != "ONNX Runtime":
        faster = net.optimize() if "optimised" in task else net
        return lambda: faster(batch)
    converter.export_onnx(net, path, **how)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = {name: batch[name].numpy()}
    return lambda: session.run(None, feeds)


if __name__ == "__main__":
    sys.exit(main())
