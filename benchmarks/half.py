"""How small and how exact models of float16 are: Markdown rows for docs/half.md.

    python benchmarks/half.py [--models MODELS] [NET WEIGHTS ...]

MODELS is a folder of folders with `deploy.prototxt` and `weights.caffemodel` or `.h5`. Sizes are
those of the ONNX files, both with normalisation folded; errors are of each blob's largest value,
against torch in double, from the seeded inputs of `converter.verify`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import converter
from prototxt import CaffeError

WEIGHTS = ("weights.caffemodel", "weights.caffemodel.h5")


def main() -> int:
    """Print a row a model; the status is 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path)
    parser.add_argument("files", nargs="*", type=Path, metavar="NET WEIGHTS")
    args = parser.parse_args()
    pairs = zip(args.files[::2], args.files[1::2], strict=True)
    failed = False
    print(
        "| model | float32, bytes | float16 | median | nearest its limit | limit | worst output | |"
    )
    print("|---|---|---|---|---|---|---|---|")
    models = [*_models(args.models)] if args.models else []
    for name, net, file in models + [(net.stem, net, file) for net, file in pairs]:
        with TemporaryDirectory() as folder:
            passed, cells = convert(net, file, Path(folder))
        failed |= not passed
        print(f"| {' | '.join([name, *cells])} |", flush=True)
    return int(failed)


def convert(definition: Path, weights: Path, folder: Path) -> tuple[bool, list[str]]:
    """Return whether a model passed, and its cells."""
    whole, half = folder / "whole.onnx", folder / "half.onnx"
    try:
        net = converter.load(definition, weights)
        converter.export_onnx(net, whole, fold_bn=True)
        converter.export_onnx(net, half, half=True)
        report = converter.verify(net, half)
    except CaffeError as error:
        return True, ["", "", "", "", "", "", f"refused: {str(error).splitlines()[0]}"]
    shipped, exposed = report.comparisons
    worst = max(exposed.rows, key=lambda row: row.error / row.tolerance)
    sizes = whole.stat().st_size, half.stat().st_size
    return report.passed, [
        f"{sizes[0]:,}",
        f"{sizes[1] / sizes[0]:.3f}",
        f"{exposed.median:.1e}",
        f"{worst.error:.1e} ({worst.blob})",
        f"{worst.tolerance:.1e}",
        f"{shipped.worst.error:.1e} ({shipped.worst.blob})" if shipped.worst else "",
        "passed" if report.passed else f"FAILED at {report.first_bad}",
    ]


def _models(folder: Path) -> Iterator[tuple[str, Path, Path]]:
    for net in sorted(folder.rglob("deploy.prototxt")):
        beside = [place / name for place in (net.parent, net.parent.parent) for name in WEIGHTS]
        yield (
            str(net.parent.relative_to(folder)),
            net,
            next(file for file in beside if file.exists()),
        )


if __name__ == "__main__":
    sys.exit(main())
