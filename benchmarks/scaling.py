"""What `convert` takes for checkpoints of any size: seconds and memory by the mebibyte.

    python benchmarks/scaling.py [--sizes 5 110 200 3072] [--peers FOLDER] [--runs 3]

The checkpoints are made here: InnerProduct layers of up to 64 MiB each, until the size is reached.
FOLDER holds virtual environments of other converters as in conversion.py; here only mnn is run.
The largest size wants three times its room in the temporary folder.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from math import isqrt
from pathlib import Path

import numpy as np
from measure import Process, measure_in_turn

from prototxt import read_net, write_caffemodel

LAYER = 64
"""Mebibytes of the largest layer: 4096 x 4096 floats."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[5, 110, 200, 3072])
    parser.add_argument("--peers", type=Path, default=Path("no peers"))
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    columns = ("file, MiB", "wall s", "beyond import torch, s", "ms a MiB", "peak MiB")
    _row(*columns, "beyond, of the file", "MNN s")
    _row(*("---",) * 7)
    for size in args.sizes:
        with tempfile.TemporaryDirectory() as scratch:
            net, weights = checkpoint(Path(scratch), size)
            imported, ours, *peers = times(net, weights, Path(scratch, "out"), args)
            made = Path(scratch, "out.mnn").exists()
            mebibytes = weights.stat().st_size / 2**20
        beyond = ours.seconds - imported.seconds
        memory = (ours.mebibytes - imported.mebibytes) / mebibytes
        _row(
            f"{mebibytes:.0f}",
            f"{ours.seconds:.2f}",
            f"{beyond:.2f}",
            f"{1000 * beyond / mebibytes:.1f}",
            f"{ours.mebibytes:.0f}",
            f"{memory:.2f} x",
            *(f"{peer.seconds:.2f}" if made else "writes nothing" for peer in peers),
        )


def checkpoint(folder: Path, mebibytes: int) -> tuple[Path, Path]:
    """Write a definition and a checkpoint of about that size."""
    count = -(-mebibytes // LAYER)
    side = isqrt(mebibytes * 2**18 // count)
    shape = f"input_param {{ shape {{ dim: [1, {side}] }} }}"
    text = f'layer {{ name: "data" type: "Input" top: "x0" {shape} }}\n'
    for index in range(count):
        text += f"""layer {{ name: "fc{index}" type: "InnerProduct" bottom: "x{index}"
          top: "x{index + 1}" inner_product_param {{ num_output: {side} bias_term: false }} }}\n"""
    net = folder / "net.prototxt"
    net.write_text(text)
    values = np.random.default_rng(1701).standard_normal((side, side), np.float32)
    values /= np.float32(np.sqrt(side))  # so that no layer's numbers grow
    blobs = {f"fc{index}": [values] for index in range(count)}
    weights = folder / "net.caffemodel"
    write_caffemodel(weights, read_net(net), blobs)
    return net, weights


def times(net: Path, weights: Path, out: Path, args: argparse.Namespace) -> list[Process]:
    """Measure importing torch, converting, and the peer that is there, in turns."""
    torch = [sys.executable, "-c", "import torch"]
    ours = [sys.executable, "-m", "converter", "convert", str(net), str(weights)]
    commands = [torch, [*ours, "-o", str(out), "--no-verify", "--quiet"]]
    tool = args.peers / "mnn" / "bin" / "mnnconvert"
    if tool.exists():
        files = ["--prototxt", str(net), "--modelFile", str(weights)]
        target = ["--MNNModel", str(out.with_suffix(".mnn")), "--bizCode", "x"]
        commands.append([str(tool), "-f", "CAFFE", *files, *target])
    return measure_in_turn(commands, args.runs)


def _row(*cells: str) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
