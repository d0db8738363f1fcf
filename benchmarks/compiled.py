"""Published networks by torch's compiler: agreement, and a call beside `optimize()`, in turns.

    python benchmarks/compiled.py SHARED [--rounds 9] [--write PAGE]

SHARED has the folder of published models. One image, one thread, every network in the one process,
processor time. The first call compiles, with a cache of torch's that may know it already; each
round then runs a fraction of a second of each, in drawn order, and a ratio is the median of the
rounds' own. Returns 1 where a network is not compiled whole or computes something else. With a PAGE
the table is written between its marks.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from engine_results import write_between_marks
from small import measure
from torch import Tensor
from torch._dynamo.utils import counters

import converter
from converter.verification.compare import relative_error

LARGEST_ERROR = 1e-4
SECONDS = 0.2
"""So long a round calls each network, or once."""
UNSAID = {"arm_cifar10_m4": {"data": (1, 3, 32, 32), "label": (1,)}}
"""Input shapes that files do not say: of images in a database that is not there."""
WEIGHTS = ("weights.caffemodel", "weights.caffemodel.h5")
PLAIN, COMPILED = "optimize()", "optimize(compile=True)"


@dataclass(frozen=True)
class Row:
    """What a network's compiling came to; milliseconds of processor time."""

    name: str
    milliseconds: dict[str, float]
    ratio: float
    error: float
    graphs: int
    breaks: int

    @property
    def is_right(self) -> bool:
        """Tell whether the network was compiled, whole, and computes the same."""
        return self.error <= LARGEST_ERROR and (self.graphs, self.breaks) == (1, 0)

    def __str__(self) -> str:
        times = [f"{self.milliseconds[each]:.3g}" for each in (PLAIN, COMPILED)]
        said = "" if self.is_right else f"{self.graphs} graphs, {self.breaks} breaks"
        cells = (self.name, *times, f"{self.ratio:.2f}", f"{self.error:.0e}", said)
        return "| " + " | ".join(cells) + " |"


def main() -> int:
    """Print the table; return 1 where a network is not compiled whole."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--write", type=Path, metavar="PAGE")
    args = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("torch._dynamo").setLevel(logging.ERROR)  # the table says it
    rows = []
    for folder in sorted(path.parent for path in args.shared.glob("models/*/deploy.prototxt")):
        rows.append(row_of(folder, args.rounds))
        print(rows[-1], flush=True)
    head = [f"| network | {PLAIN}, ms | {COMPILED}, ms | ratio | largest error | |"]
    table = "\n".join([*head, "|---|---|---|---|---|---|", *map(str, rows)])
    if args.write:
        write_between_marks(args.write, {"compiled": table})
    return int(not all(row.is_right for row in rows))


def row_of(folder: Path, rounds: int) -> Row:
    """Return what compiling a published network comes to."""
    weights = next(folder / name for name in WEIGHTS if (folder / name).exists())
    shapes = UNSAID.get(folder.name)
    net = converter.load(folder / "deploy.prototxt", weights, input_shapes=shapes)
    if shapes is None:
        shapes = {name: (1, *shape[1:]) for name, shape in net.exported().inputs.items()}
        net = converter.load(folder / "deploy.prototxt", weights, input_shapes=shapes)
    engines = {PLAIN: net.optimize(), COMPILED: net.optimize(compile=True)}
    x = fed(net.exported().inputs)
    counters.clear()
    with torch.inference_mode():
        want, got = (engines[name](x) for name in (PLAIN, COMPILED))
        graphs = counters["stats"]["unique_graphs"]
        begin = time.perf_counter()
        engines[PLAIN](x)
        calls = max(1, int(SECONDS / (time.perf_counter() - begin)))
        turns = measure(engines, x, rounds, calls)
    return Row(
        folder.name,
        {name: 1e3 * median(seconds) for name, seconds in turns.items()},
        median(late / plain for plain, late in zip(turns[PLAIN], turns[COMPILED], strict=True)),
        max(relative_error(got[name].numpy(), want[name].numpy()) for name in want),
        graphs,
        sum(counters["graph_break"].values()),
    )


def fed(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Return drawn inputs."""
    generator = torch.Generator().manual_seed(1701)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


if __name__ == "__main__":
    sys.exit(main())
