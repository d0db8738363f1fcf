"""Run the tests with the oldest and the newest of what the project stands on.

Run by hand, from anywhere: `python tests/matrix.py [ROW ...]`. Every row gets a fresh virtual
environment, which is removed afterwards; `pip` decides where packages come from. The rows of the
formats install no torch, so they also show that `prototxt/` needs none.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
TESTS = ["pytest", "pytest-xdist"]
WHOLE = ["torch==2.13.0", "safetensors", "tqdm", "h5py", "lmdb", "Pillow", "scikit-learn"]
WHOLE += ["matplotlib", "cramjam"]
OLD_OPENCV = "opencv-python-headless==4.10.0.84"  # later ones want numpy 2
OLDEST_PROTOBUF = "protobuf==4.25.8"


class Row(NamedTuple):
    packages: list[str]
    tests: list[str]
    environment: tuple[tuple[str, str], ...] = ()


ROWS = {
    "formats-oldest": Row(["numpy==1.26.4", OLDEST_PROTOBUF], ["tests/prototxt"]),
    "formats-oldest-pure-python": Row(
        ["numpy==1.26.4", OLDEST_PROTOBUF],
        ["tests/prototxt"],
        (("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "python"),),
    ),
    "formats-newest": Row(["numpy", "protobuf"], ["tests/prototxt"]),
    # onnx 1.13 wants a protobuf below 4.
    "whole-oldest": Row(
        [
            *WHOLE,
            OLD_OPENCV,
            "numpy==1.26.4",
            OLDEST_PROTOBUF,
            "onnx==1.14.0",
            "onnxruntime==1.16.0",
        ],
        ["tests", "--ignore=tests/project/test_lint.py"],
    ),
    "whole-newest": Row(
        [*WHOLE, "opencv-python-headless", "numpy", "protobuf", "onnx", "onnxruntime"],
        ["tests", "--ignore=tests/project/test_lint.py"],
    ),
}
SHOWN = {"numpy", "protobuf", "torch", "onnx", "onnxruntime"}


def run(row: Row, folder: Path) -> tuple[str, bool]:
    """Return the versions that were installed, and whether the tests pass with them."""
    venv.create(folder, with_pip=True)
    python = str(folder / ("Scripts" if os.name == "nt" else "bin") / "python")
    subprocess.run([python, "-m", "pip", "install", "-q", *row.packages, *TESTS], check=True)
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format=freeze"], check=True, capture_output=True, text=True
    )
    versions = [line for line in listed.stdout.split() if line.partition("==")[0] in SHOWN]
    print(" ".join(versions), flush=True)
    environment = os.environ | dict(row.environment) | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [python, "-m", "pytest", *row.tests], cwd=ROOT, env=environment, check=False
    )
    return " ".join(versions), done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the tests with the oldest and the newest.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; default all")
    names = parser.parse_args().rows or list(ROWS)
    if unknown := [name for name in names if name not in ROWS]:
        parser.error(f"no row {unknown[0]!r}, wants of {', '.join(ROWS)}")
    results = []
    for name in names:
        print(f"== {name}", flush=True)
        with tempfile.TemporaryDirectory(prefix="caffeport-matrix-") as folder:
            results.append((name, *run(ROWS[name], Path(folder))))
    for name, versions, passed in results:
        print(f"{'pass' if passed else 'FAIL'}  {name}: {versions}")
    return 0 if all(passed for _, _, passed in results) else 1


if __name__ == "__main__":
    sys.exit(main())
