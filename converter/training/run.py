"""One training from start to end: its log, its progress on a terminal, its picture."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from signal import SIGINT

from converter.progress import progress
from converter.version import VERSION

from .log import Event, JsonLog, lines_of, read_log
from .plot import ADVICE, can_draw, draw_curve
from .signals import listening
from .solver import Solver

SECOND = 1.0
"""How often the loss beside the progress bar is looked at: looking waits for the device."""


def run(
    solver: Solver,
    *,
    log: str | None = None,
    quiet: bool = False,
    say: Callable[[str], None] = print,
) -> int:
    """Train to the end; return 0, or 128 and a signal's number where one stopped the training.

    Writes `log` (default: `<snapshot_prefix>_log.jsonl`), appending where the training goes on,
    and the curve of it beside it, `<the same>.png`.
    """
    leads = solver.processes.leads
    path = Path(log or f"{solver.param.snapshot_prefix}_log.jsonl")
    file = JsonLog(path, append=solver.iter > 0) if leads else None
    quiet = quiet or not leads
    left = max(0, solver.param.max_iter - solver.iter)
    bar = progress("train", left, quiet=quiet, unit="iteration")

    def tell(line: str) -> None:
        if not quiet:
            bar.clear()
            say(line)

    def report(event: Event) -> None:
        if file is not None:
            file.write({"time": round(time.time(), 3), **event})
        if event["event"] != "train" or solver.param.display:
            for line in lines_of(event):
                tell(line)

    solver.report = report
    looked = time.monotonic()

    def moved() -> None:
        nonlocal looked
        bar.update()
        if not bar.disable and time.monotonic() - looked > SECOND:
            looked = time.monotonic()
            bar.set_postfix(loss=f"{solver.loss:g}", lr=f"{solver.rate:g}", refresh=False)

    solver.moved = moved
    for line in _opening(solver):
        tell(line)
    if leads and not can_draw():
        tell(f"note: no picture of the loss without matplotlib: {ADVICE}")
    report(_start(solver))
    began, first = time.perf_counter(), solver.iter
    try:
        with listening() as solver.requests:
            solver.solve()
    finally:
        bar.close()
    seconds = time.perf_counter() - began
    stopped = solver.requests.stop
    report({"event": "end", "iter": solver.iter, "seconds": seconds, "interrupted": stopped})
    what = "stopped early" if stopped else "done"
    speed = f", {(solver.iter - first) / seconds:.4g} iter/s" if solver.iter > first else ""
    tell(f"Optimization {what} at iteration {solver.iter} ({seconds:.1f} s{speed})")
    if file is not None:
        file.close()
        picture = path.with_suffix(".png")
        if can_draw() and draw_curve(read_log(path), picture, solver.net.name):
            tell(f"wrote {path} and {picture}")
        else:
            tell(f"wrote {path}")
    # A process that only heard of another's signal has none of its own.
    return 128 + (solver.requests.signal or SIGINT) if stopped else 0


def _opening(solver: Solver) -> list[str]:
    param, count = solver.param, sum(blob.numel() for blob in solver.net.parameters())
    several = f", {solver.processes.count} processes" if solver.processes.count > 1 else ""
    name = solver.net.name or solver.settings.source
    lines = [
        f"Solving {name} by {param.type}, lr_policy {param.lr_policy}, "
        f"{count:,} parameters, on {solver.device}{several}"
    ]
    if solver.iter:
        lines.append(f"going on at iteration {solver.iter}")
    loaded = solver.net.loaded
    if loaded is not None and loaded.sources:
        lines.append(f"weights of {len(loaded.filled)} layers from {', '.join(loaded.sources)}")
        if loaded.missing:
            lines.append(f"note: fillers' values for {', '.join(loaded.missing)}")
        if loaded.unused:
            lines.append(f"note: not in the network: {', '.join(loaded.unused)}")
    return lines + [f"note: {note}" for note in solver.settings.notes]


def _start(solver: Solver) -> Event:
    return {
        "event": "start",
        "version": VERSION,
        "solver": solver.settings.source,
        "net": solver.net.name,
        "type": solver.param.type,
        "iter": solver.iter,
        "max_iter": solver.param.max_iter,
        "device": str(solver.device),
        "processes": solver.processes.count,
        "seed": solver.seed,
        "amp": solver.amp,
    }
