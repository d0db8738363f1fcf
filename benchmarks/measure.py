"""Time and memory of whole processes, as the operating system accounts for them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Process:
    """One run of a command, or the medians of several."""

    seconds: float
    mebibytes: float
    status: int


def measure(command: Sequence[str], runs: int = 5) -> Process:
    """Run a command once unmeasured and then `runs` times; output is thrown away.

    Memory is the peak resident set, mapped pages included, of the largest process.
    """
    return measure_in_turn([command], runs)[0]


def measure_in_turn(commands: Sequence[Sequence[str]], runs: int = 5) -> list[Process]:
    """Measure several commands, one after the other in each round: a slow minute hits them all."""
    rounds = [[_once(command) for command in commands] for _ in range(runs + 1)][1:]
    return [
        Process(
            median(turn.seconds for turn in turns),
            median(turn.mebibytes for turn in turns),
            turns[-1].status,
        )
        for turns in zip(*rounds, strict=True)
    ]


def _once(command: Sequence[str]) -> Process:
    # Compiled modules are kept, as in any installation.
    keeping = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    begin = time.perf_counter()
    child = subprocess.Popen(
        command, env=keeping, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, waited, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(waited)
    return Process(time.perf_counter() - begin, usage.ru_maxrss / 1024, child.returncode)
