"""One engine in its own environment: runs what lines of JSON on standard input ask for.

    python -m benchmarks.engine_worker ENGINE

ENGINE is one of `converter.engines`, or a module's dotted name.

A line is `[FILE.onnx, IN.npz, OUT.npz, SECONDS]`; the answer is `["ran", ""]`, or what went
otherwise, `refused`, `died` or `hung`, with the engine's last words. Each run is a process of its
own, forked after the engine was imported: what dies takes nothing along, and nothing starts anew.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from converter.engines import installed

RAN, REFUSED = 0, 3
BEFORE = {"onnx2torch": ("onnx2torch", "torch")}
"""What is imported once, before the forks: it takes longer than most runs."""


def _run(engine: Any, path: str, source: str, target: str, words: Path) -> int:
    """Run in this process, a fork; what engines print goes into the file of words."""
    log = os.open(words, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    with np.load(source) as archive:
        feeds = dict(archive)
    try:
        outputs = engine.run(path, feeds)
    except Exception as error:  # whatever an engine raises is its answer
        said = " ".join(str(error).split()) or "without a word"
        words.write_text(f"{type(error).__name__}: {said}")
        return REFUSED
    arrays = {name: np.asarray(value) for name, value in outputs.items()}
    if lost := [name for name, array in arrays.items() if array.dtype == object]:
        words.write_text(f"it gives nothing for {lost[0]!r}")
        return REFUSED
    np.savez(target, **arrays)
    return RAN


def ask(engine: Any, path: str, source: str, target: str, seconds: float) -> tuple[str, str]:
    """Fork for one run, and wait for it so long."""
    with TemporaryDirectory() as folder:
        words = Path(folder, "words")
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            os._exit(_run(engine, path, source, target, words))
        with suppress(PermissionError, ProcessLookupError):
            os.setpgid(child, child)
        end = time.monotonic() + seconds
        while True:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                break
            if time.monotonic() > end:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return "hung", f"no answer in {seconds:g} seconds"
            time.sleep(0.005)
        said = words.read_text(errors="replace") if words.exists() else ""
        if os.WIFSIGNALED(status):
            return "died", signal.Signals(os.WTERMSIG(status)).name
        code = os.WEXITSTATUS(status)
        if code == RAN:
            return "ran", ""
        last = [line for line in said.splitlines() if line.strip()][-1:]
        return ("refused" if code == REFUSED else "died"), (last or [f"status {code}"])[0][:400]


def main() -> None:
    """Answer until the input ends."""
    name = sys.argv[1]
    engine = import_module(name) if "." in name else installed(name)
    for module in BEFORE.get(name, ()):
        import_module(module)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    answers.write(json.dumps(engine.version()) + "\n")
    answers.flush()
    for line in sys.stdin:
        answers.write(json.dumps(ask(engine, *json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
