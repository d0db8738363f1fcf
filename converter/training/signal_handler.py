"""Signals that ask a training to write a snapshot, and to stop.

Caffe: src/caffe/util/signal_handler.cpp
"""

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
def handling_signals(requests: Requests) -> Iterator[None]:
    """Note in `requests` what signals ask for inside the block, at first nothing.

    SIGHUP asks for a snapshot, SIGINT and SIGTERM ask to stop. A second one of the same number ends
    the process at once. What the caller ignores (`nohup`) stays ignored.
    """
    requests.stop, requests.snapshot, requests.signal = False, False, 0
    before: dict[int, Any] = {}

    def stop(number: int, frame: Any) -> None:
        requests.stop, requests.signal = True, number
        signal.signal(number, before[number])

    def snapshot(number: int, frame: Any) -> None:
        requests.snapshot = True

    wanted: dict[int, Any] = {signal.SIGINT: stop, signal.SIGTERM: stop}
    if hasattr(signal, "SIGHUP"):  # not on Windows
        wanted[signal.SIGHUP] = snapshot
    for number, handler in wanted.items():
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
