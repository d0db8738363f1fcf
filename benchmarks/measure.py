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
    """The medians of several runs of one command."""

    seconds: float
    mebibytes: float
    status: int


def measure(command: Sequence[str], runs: int = 5, cwd: str | None = None) -> Process:
    """Run a command once unmeasured and then `runs` times; output is thrown away.

    Memory is the peak resident set, mapped pages included, of the largest process.
    """
    seconds, memory, status = [], [], 0
    for turn in range(runs + 1):
        begin = time.perf_counter()
        child = subprocess.Popen(
            command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _, waited, usage = os.wait4(child.pid, 0)
        child.returncode = status = os.waitstatus_to_exitcode(waited)
        if turn:
            seconds.append(time.perf_counter() - begin)
            memory.append(usage.ru_maxrss / 1024)
    return Process(median(seconds), median(memory), status)
