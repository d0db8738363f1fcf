"""Draw README's picture: what the demo's network answers, and how far its blobs are apart.

    python benchmarks/picture.py [docs/demo.png]

Wants the extra `plots`. The demo's network is converted and verified; above are held-out digits
with the ONNX file's answers, below the largest error of every blob between ONNX Runtime and torch,
in the network's order.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

import converter
from converter.demo.files import DIGITS, NET, WEIGHTS
from converter.demo.run import tensor_of
from converter.onnx.runtime import run_onnx

ROOT = Path(__file__).parents[1]
SHOWN = 14
WRONG_SHOWN = 2


def main(path: Path) -> None:
    """Convert, classify and draw."""
    with np.load(DIGITS) as held:
        images, labels = held["images"], held["labels"]
    with tempfile.TemporaryDirectory() as folder:
        report = converter.convert(NET, WEIGHTS, folder)
        model = Path(folder, f"{NET.stem}.onnx")
        scores = run_onnx(model, {"data": tensor_of(images).numpy()})["classifier"]
    answers = scores.argmax(1)
    wrong = np.flatnonzero(answers != labels)
    picked = np.sort(
        np.concatenate(
            [np.flatnonzero(answers == labels)[: SHOWN - WRONG_SHOWN], wrong[:WRONG_SHOWN]]
        )
    )
    blobs = report.comparisons[1]

    figure = plt.figure(figsize=(10, 3.8), layout="constrained")
    above, below = figure.subfigures(2, height_ratios=(1, 2.1))
    above.suptitle(
        f"{len(labels) - len(wrong)} of {len(labels)} held-out digits right", fontsize=10
    )
    for axes, index in zip(above.subplots(1, SHOWN), picked, strict=True):
        axes.imshow(images[index], cmap="gray_r")
        axes.set(xticks=[], yticks=[])
        right = answers[index] == labels[index]
        axes.set_xlabel(str(answers[index]), color="tab:green" if right else "tab:red")
    axes = below.subplots()
    errors = np.array([row.error for row in blobs.rows])
    (places,) = errors.nonzero()
    said = f"{len(errors)} blobs, {len(errors) - len(places)} of them equal"
    axes.semilogy(places, errors[places], "o", markersize=3, label=said)
    axes.axhline(1e-4, color="tab:red", linestyle="--", label="tolerance")
    axes.set(ylim=(1e-9, 1e-3), xlabel="blob, from the first to the last")
    axes.set_ylabel("ONNX Runtime and torch apart,\nof a blob's largest value")
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "demo.png")
