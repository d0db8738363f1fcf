"""How long a network takes: as converted, optimised, compiled, and in ONNX Runtime."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from prototxt.errors import UsageError

from .network.arrays import arrays_of
from .network.net import CaffeNet
from .onnx.export import export_onnx
from .onnx.quantization.calibration import Calibration
from .onnx.runtime import open_onnx
from .progress import progress
from .seed import SEED
from .text import format_table

ROUNDS = 7


@dataclass(frozen=True)
class Timing:
    """The median time of one batch."""

    engine: str
    batch: int
    seconds: float


def bench(
    net: CaffeNet,
    *,
    batches: Sequence[int] = (1, 8),
    rounds: int = ROUNDS,
    compiled: bool = False,
    int8: bool = False,
    quiet: bool = True,
) -> list[Timing]:
    """Return what a batch takes in each engine on the network's device, in seconds.

    The engines run one after the other in every round, after one round unmeasured, so that a slow
    moment meets them all. `compiled` adds torch's compiler, which takes minutes to compile, and
    `int8` the optimised network in eight bits, whose ranges are those of the batches' own noise.
    UsageError for a batch or rounds below 1.
    """
    if min(*batches, rounds) < 1:
        raise UsageError(f"batches {list(batches)} in {rounds} rounds, wants 1 or more of each")
    timings = []
    with tempfile.TemporaryDirectory() as folder:
        engines = _engines(net, Path(folder), compiled=compiled, int8=int8)
        total = len(batches) * (rounds + 1) * len(engines)
        with torch.inference_mode(), progress("bench", total, quiet=quiet) as bar:
            for batch in batches:
                fed = _inputs(net, batch)
                seconds: dict[str, list[float]] = {name: [] for name in engines}
                for turn in range(rounds + 1):
                    for name, run in engines.items():
                        begin = time.perf_counter()
                        run(fed)
                        _wait(net)
                        if turn:
                            seconds[name].append(time.perf_counter() - begin)
                        bar.update()
                timings += [Timing(name, batch, median(took)) for name, took in seconds.items()]
    return timings


Run = Callable[[dict[str, torch.Tensor]], object]


def _engines(net: CaffeNet, folder: Path, *, compiled: bool, int8: bool) -> dict[str, Run]:
    faster = net.optimize()
    engines: dict[str, Run] = {"torch, eager": net, "torch, optimized": faster}
    if compiled:
        engines["torch, optimized and compiled"] = net.optimize(compile=True)
    for name, each in (("as converted", net), ("optimized", net.optimize(channels_last=False))):
        path = folder / f"{name}.onnx"
        export_onnx(each.to("cpu"), path)
        engines[f"ONNX Runtime, {name}"] = _in_onnx(path)
    if int8:
        path = folder / "int8.onnx"
        small = net.optimize(channels_last=False).to("cpu")
        export_onnx(small, path, calibration=Calibration([arrays_of(_inputs(small, 1))]))
        engines["ONNX Runtime, optimized, int8"] = _in_onnx(path)
    return engines


def _in_onnx(path: Path) -> Run:
    model = open_onnx(path)
    return lambda fed: model(arrays_of(fed))


def _inputs(net: CaffeNet, batch: int) -> dict[str, torch.Tensor]:
    shapes = net.exported().inputs
    generator = torch.Generator().manual_seed(SEED)
    return {
        name: torch.randn(batch, *shape[1:], generator=generator).to(net.device, net.dtype)
        for name, shape in shapes.items()
    }


def _wait(net: CaffeNet) -> None:
    if net.device.type == "cuda":
        torch.cuda.synchronize(net.device)


def format_timings(timings: Sequence[Timing]) -> str:
    """Return the table: milliseconds a batch, and how many times as fast as eager torch."""
    batches = list(dict.fromkeys(timing.batch for timing in timings))
    names = list(dict.fromkeys(timing.engine for timing in timings))
    took = {(timing.engine, timing.batch): timing.seconds for timing in timings}
    rows = [["", *(f"batch {batch}" for batch in batches)]]
    for name in names:
        cells = [
            f"{1000 * took[name, batch]:.1f} ms {took[names[0], batch] / took[name, batch]:5.2f} x"
            for batch in batches
        ]
        rows.append([name, *cells])
    return format_table(rows, right=range(1, len(batches) + 1))
