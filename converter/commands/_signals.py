"""Signals that end a command: what is half written is taken back, and one line is said."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType
from typing import Any

from ._start import STARTING

SIGNALS = (signal.SIGINT, signal.SIGTERM)
PATIENCE = 5.0
"""How many seconds an import may keep a signal waiting."""


class StoppedError(BaseException):
    """A signal came that ends the command."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def raising_on_signals() -> Iterator[None]:
    """Let SIGINT and SIGTERM raise StoppedError inside the block.

    So what writes files takes back what is half done. While a module is imported a signal waits:
    what is raised there is lost, or becomes another error, or aborts the process, as the import's
    code has it; while the command starts, nothing is written yet, and the process ends. Other
    processes that begin inside, workers, end by the signal itself, or with this one. Nothing
    changes in a thread that may set no handlers, nor for a signal that is ignored (`nohup`).
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = os.getpid()
    first: dict[int, float] = {}

    def stop(number: int, frame: Any) -> None:
        if os.getpid() != ours:
            if number != signal.SIGINT:  # which this process got too, and ends its workers
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
        elif STARTING:
            stopped(number)
            sys.stderr.flush()
            os._exit(128 + number)
        elif _imports(frame) and monotonic() - first.setdefault(number, monotonic()) < PATIENCE:
            again = threading.Timer(0.02, os.kill, (ours, number))
            again.daemon = True
            again.start()
        else:
            raise StoppedError(number)

    heeded = [one for one in SIGNALS if signal.getsignal(one) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _imports(frame: FrameType | None) -> bool:
    """Tell whether a frame is within an import."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def stopped(number: int) -> int:
    """Say what ended the command; return the status that shells give for the signal."""
    how = "interrupted" if number == signal.SIGINT else "terminated"
    print(f"caffeport: {how}", file=sys.stderr)
    return 128 + number
