"""One training from start to end: its log, its progress on a terminal, its picture."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from signal import SIGINT

from converter.progress import progress
from converter.version import VERSION

from .events import Displayed, Ended, Event, Started
from .log import JsonLog, read_log
from .plot import ADVICE, can_draw, draw_curve
from .signal_handler import handling_signals
from .solver import Solver

LOSS_SECONDS = 1.0
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
    path = Path(log or f"{solver.param.snapshot_prefix}_log.jsonl")
    follower = _Follower(solver, path, say, quiet=quiet)
    try:
        follower.begin()
        began, first = time.perf_counter(), solver.iter
        with handling_signals(solver.requests):
            solver.solve()
        follower.bar.close()
        follower.end(time.perf_counter() - began, solver.iter - first)
    finally:
        follower.close()
    # A process that only heard of another's signal has none of its own.
    return 128 + (solver.requests.signal or SIGINT) if solver.requests.stop else 0


class _Follower:
    """Follows a solver with a progress bar and lines and, in the primary process, a log."""

    def __init__(
        self, solver: Solver, path: Path, say: Callable[[str], None], *, quiet: bool
    ) -> None:
        primary = solver.processes.is_primary
        self.solver, self.path, self.say = solver, path, say
        self.quiet = quiet or not primary
        self.log = JsonLog(path, append=solver.iter > 0) if primary else None
        left = max(0, solver.param.max_iter - solver.iter)
        self.bar = progress("train", left, quiet=self.quiet, unit="iteration")
        self.looked = time.monotonic()
        solver.follow(self.report, self.updated)

    def begin(self) -> None:
        """Say what is solved, and from which weights."""
        for line in _opening(self.solver):
            self.tell(line)
        if self.log is not None and not can_draw():
            self.tell(f"note: no picture of the loss without matplotlib: {ADVICE}")
        self.report(_started(self.solver))

    def end(self, seconds: float, iterations: int) -> None:
        """Say how it ended, and draw the log's picture."""
        solver, stopped = self.solver, self.solver.requests.stop
        self.report(Ended(solver.iter, seconds, stopped))
        what = "stopped early" if stopped else "done"
        speed = f", {iterations / seconds:.4g} iter/s" if iterations else ""
        self.tell(f"Optimization {what} at iteration {solver.iter} ({seconds:.1f} s{speed})")
        if self.log is not None:
            self.log.close()
            picture = self.path.with_suffix(".png")
            drawn = can_draw() and draw_curve(read_log(self.path), picture, solver.net.name)
            self.tell(f"wrote {self.path} and {picture}" if drawn else f"wrote {self.path}")

    def close(self) -> None:
        """Leave the bar as it is, and close the log."""
        self.bar.close()
        if self.log is not None:
            self.log.close()

    def report(self, event: Event) -> None:
        """Log an event and say what a person reads of it."""
        if self.log is not None:
            self.log.write(event)
        if self.solver.param.display or not isinstance(event, Displayed):
            for line in event.lines():
                self.tell(line)

    def updated(self) -> None:
        """Move the progress bar by an iteration."""
        self.bar.update()
        if not self.bar.disable and time.monotonic() - self.looked > LOSS_SECONDS:
            self.looked = time.monotonic()
            loss, rate = f"{self.solver.loss:g}", f"{self.solver.rate:g}"
            self.bar.set_postfix(loss=loss, lr=rate, refresh=False)

    def tell(self, line: str) -> None:
        """Print a line clear of the progress bar."""
        if not self.quiet:
            self.bar.clear()
            self.say(line)


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


def _started(solver: Solver) -> Started:
    return Started(
        version=VERSION,
        solver=solver.settings.source,
        net=solver.net.name,
        type=solver.param.type,
        iter=solver.iter,
        max_iter=solver.param.max_iter,
        device=str(solver.device),
        processes=solver.processes.count,
        seed=solver.seed,
        amp=solver.amp,
    )
