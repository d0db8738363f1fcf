"""How a command that needs torch begins."""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module

_ASLEEP = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
"""Read by GNU's, LLVM's and Intel's OpenMP when torch is first imported."""


STARTING: list[str] = []
"""The modules that are being imported, before a command does anything."""


def start(*modules: str, asleep: bool = False) -> None:
    """Import modules with all that they need; no collection of garbage goes over it, then or later.

    Torch's threads are `asleep` between their tasks, if so, where by default they spin for
    milliseconds: a command whose engines take turns would have them in each other's way. What the
    user's environment says stays.
    """
    if asleep and "torch" not in sys.modules:
        for name, value in _ASLEEP.items():
            os.environ.setdefault(name, value)
    collecting = gc.isenabled()
    gc.disable()
    STARTING.extend(modules)
    try:
        for module in modules:
            import_module(module)
    finally:
        STARTING.clear()
        if collecting:
            gc.enable()
    gc.freeze()
