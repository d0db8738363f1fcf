"""How far the converted SKNets are from real Caffe, beside how far Caffe is from itself.

    python benchmarks/parity.py CHECKPOINTS SHARED

CHECKPOINTS holds what `python SHARED/reference/sknet/build_checkpoints.py CHECKPOINTS` writes.
Errors are of each blob's largest value, against Caffe's run in doubles.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median

import numpy as np
import torch

import converter
from converter.verification.golden import float_noise, read_golden


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoints", type=Path)
    parser.add_argument("shared", type=Path)
    args = parser.parse_args()
    folder = args.shared / "reference" / "sknet"
    inputs = dict(np.load(folder / "input.npz"))
    print("| network | engine | blobs | median | worst |")
    print("|---|---|---|---|---|")
    for name in ("sknet50", "sknet101"):
        golden, in_float = (folder / f"{name}_test{bits}.npz" for bits in (64, 32))
        exact, rough = read_golden(golden), read_golden(in_float)
        noise = float_noise(exact, rough, list(exact))
        _row(name, "Caffe itself, float", len(noise), median(noise), max(noise))
        files = (folder / f"{name}.prototxt", args.checkpoints / f"{name}.caffemodel")
        for dtype in (torch.float64, torch.float32):
            net = converter.load(*files, dtype=dtype)
            report = converter.verify(net, inputs=inputs, golden=golden, golden_float=in_float)
            assert report.passed
            for found in report.comparisons:
                if golden.name in found.title and found.worst is not None:
                    engine = f"{found.title.split(' against')[0]}, {str(dtype)[6:]}"
                    _row(name, engine, len(found.rows), found.median, found.worst.error)


def _row(*cells: object) -> None:
    text = [f"{cell:.2g}" if isinstance(cell, float) else str(cell) for cell in cells]
    print(f"| {' | '.join(text)} |", flush=True)


if __name__ == "__main__":
    main()
