"""Signals that ask a training to write a snapshot, and to stop."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass
class Requests:
    """What has been asked for; `signal` is the number of the signal that asked to stop."""

    stop: bool = False
    snapshot: bool = False
    signal: int = 0


@contextmanager
def listening() -> Iterator[Requests]:
    """Collect signals inside the block, as Caffe does: SIGHUP writes a snapshot, SIGINT stops.

    SIGTERM stops too. A second one of the same kind ends the process at once. What the caller
    ignores (`nohup`) stays ignored.

    Caffe: src/caffe/util/signal_handler.cpp
    """
    requests = Requests()
    before: dict[int, Any] = {}

    def stop(number: int, frame: Any) -> None:
        requests.stop, requests.signal = True, number
        signal.signal(number, before[number])

    def snapshot(number: int, frame: Any) -> None:
        requests.snapshot = True

    wanted = {signal.SIGINT: stop, signal.SIGTERM: stop}
    if hasattr(signal, "SIGHUP"):  # not on Windows
        wanted[signal.SIGHUP] = snapshot
    for wished, handler in wanted.items():
        if signal.getsignal(wished) is not signal.SIG_IGN:
            before[wished] = signal.signal(wished, handler)
    try:
        yield requests
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
