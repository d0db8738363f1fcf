"""Train on scikit-learn's digits by the command line alone, and count what is right.

    python benchmarks/digits.py [lenet] [sk] [--folder FOLDER] [--device DEVICE] [--workers N]

`lenet` is LeNet as Caffe publishes it, with its solver, on digits enlarged to 28 x 28; `sk` is the
demo's network. For each an LMDB is written, `caffeport train` runs, and `caffeport test` counts how
many of the 360 held-out digits the last snapshot gets right. The status is 1 if that is too few.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from converter.demo.data import HELD_OUT, write_digits
from converter.demo.data import main as write_demo
from prototxt.nets import text

ROOT = Path(__file__).parents[1]
TESTS = 4
"""Batches of 90 that hold each held-out digit once."""


@dataclass(frozen=True)
class Case:
    """One training: what makes its files, their names, and how many digits it should get right."""

    make: Callable[[str], None]
    net: str
    solver: str
    weights: str
    wants: int


def write_lenet(folder: str) -> None:
    """Write LeNet's databases, definition and solver."""
    write_digits(folder, size=28, brightest=255)
    for name in ("lenet_digits", "lenet_digits_solver"):
        Path(folder, f"{name}.prototxt").write_text(text(name), encoding="utf-8")


CASES = {
    "lenet": Case(
        write_lenet,
        "lenet_digits.prototxt",
        "lenet_digits_solver.prototxt",
        "lenet_digits_iter_10000.caffemodel",
        350,
    ),
    "sk": Case(
        write_demo,
        "digits_sk_train.prototxt",
        "digits_sk_solver.prototxt",
        "digits_sk_iter_880.caffemodel",
        350,
    ),
}


def caffeport(folder: str, *words: str) -> str:
    """Run one command in a folder, show what it prints, and return it."""
    command = [sys.executable, "-m", "converter", *words]
    print(f"$ caffeport {' '.join(words)}", flush=True)
    lines = []
    with subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode:
        raise SystemExit(f"caffeport {words[0]} ended with status {process.returncode}")
    return "".join(lines)


def environment() -> dict[str, str]:
    """Return the environment in which this checkout is found."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def measure(case: Case, folder: str, options: list[str]) -> tuple[int, float]:
    """Return how many digits are right after the training, and its seconds."""
    case.make(folder)
    began = time.perf_counter()
    caffeport(folder, "train", case.solver, *options)
    seconds = time.perf_counter() - began
    printed = caffeport(folder, "test", case.net, case.weights, "--iterations", str(TESTS))
    found = re.findall(r"accuracy = ([\d.]+)", printed)
    return round(float(found[-1]) * HELD_OUT), seconds


def main() -> int:
    """Train what is asked for, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*CASES, []], metavar="lenet | sk")
    parser.add_argument("--folder", help="keep the files (default: a temporary folder)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", default="0", help="processes that read ahead")
    args = parser.parse_args()
    options = ["--device", args.device, "--workers", args.workers]
    results = []
    for name in args.names or CASES:
        with tempfile.TemporaryDirectory() as scratch:
            folder = str(Path(args.folder or scratch, name))
            Path(folder).mkdir(parents=True, exist_ok=True)
            results.append((name, CASES[name], *measure(CASES[name], folder, options)))
    print("\n| network | right of 360 | accuracy | wanted | seconds |\n|---|---|---|---|---|")
    for name, case, right, seconds in results:
        print(f"| {name} | {right} | {right / HELD_OUT:.2%} | {case.wants} | {seconds:.0f} |")
    return int(any(right < case.wants for _, case, right, _ in results))


if __name__ == "__main__":
    sys.exit(main())
