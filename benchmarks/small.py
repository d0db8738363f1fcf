"""A small network's call beside the same network written by hand in torch, in turns of one run.

    python benchmarks/small.py SHARED [--rounds 40] [--calls 50] [--compiled] [--write PAGE]

SHARED is the folder of published models. One image, one thread, LeNet and MTCNN's first network:
`net()`, `optimize()` and, if so, `optimize(compile=True)` from its second call on. Each round runs
so many calls of each, in drawn order; a ratio is the median of the rounds' own ratios. With a PAGE
the table is written between its marks.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from engine_results import write_between_marks
from torch import Tensor, nn

import converter

GOALS = {"net()": 1.10, "optimize()": 0.95}
"""What each may take at most, by the time of the network by hand."""
HAND = "by hand"


class LeNet(nn.Module):
    """BVLC's LeNet of 2014, as it is written in torch."""

    def __init__(self, params: dict[str, list[Tensor]]) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 20, 5), nn.Conv2d(20, 50, 5)
        self.ip1, self.ip2 = nn.Linear(800, 500), nn.Linear(500, 10)
        _fill(self, params)

    def forward(self, x: Tensor) -> Tensor:
        """Return the probabilities."""
        x = F.max_pool2d(self.conv1(x), 2)
        x = F.max_pool2d(self.conv2(x), 2)
        x = F.relu(self.ip1(x.flatten(1)))
        return self.ip2(x).softmax(1)


class FirstOfMtcnn(nn.Module):
    """MTCNN's first network, as it is written in torch."""

    def __init__(self, params: dict[str, list[Tensor]]) -> None:
        super().__init__()
        self.conv1, self.PReLU1 = nn.Conv2d(3, 10, 3), nn.PReLU(10)
        self.conv2, self.PReLU2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.PReLU3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.conv4_1, self.conv4_2 = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 4, 1)
        _fill(self, params)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the boxes and the probabilities."""
        x = F.max_pool2d(self.PReLU1(self.conv1(x)), 2, ceil_mode=True)
        x = self.PReLU2(self.conv2(x))
        x = self.PReLU3(self.conv3(x))
        return self.conv4_2(x), self.conv4_1(x).softmax(1)


def _fill(module: nn.Module, params: dict[str, list[Tensor]]) -> None:
    for name, blobs in params.items():
        own = list(module.get_submodule(name.replace("-", "_")).parameters())
        for mine, blob in zip(own, blobs, strict=True):
            mine.data = blob.detach().clone().reshape(mine.shape)
    module.eval().requires_grad_(False)


NETWORKS: dict[str, tuple[str, tuple[int, ...], Callable[..., nn.Module]]] = {
    "LeNet": ("lenet_2014", (1, 1, 28, 28), LeNet),
    "MTCNN's first": ("mtcnn_det1", (1, 3, 12, 12), FirstOfMtcnn),
}


def main() -> int:
    """Print the table; return 1 where a network takes longer than it may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--compiled", action="store_true", help="also by torch's compiler")
    parser.add_argument("--write", type=Path, metavar="PAGE")
    args = parser.parse_args()
    torch.set_num_threads(1)
    lines = ["| network | | us a call | by hand's | at most |", "|---|---|---|---|---|"]
    late = False
    for name, (folder, shape, by_hand) in NETWORKS.items():
        files = [args.shared / "models" / folder / file for file in FILES]
        engines = engines_of(files, shape, by_hand, compiled=args.compiled)
        x = torch.randn(shape, generator=torch.Generator().manual_seed(1701))
        with torch.inference_mode():
            compare(engines, x)
            turns = measure(engines, x, args.rounds, args.calls)
        for engine, seconds in turns.items():
            ratio = median(s / hand for s, hand in zip(seconds, turns[HAND], strict=True))
            most = GOALS.get(engine)
            late |= most is not None and ratio > most
            cells = (name, engine, f"{1e6 * median(seconds):.0f}", f"{ratio:.2f}", most or "")
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    print("\n".join(lines))
    if args.write:
        write_between_marks(args.write, {"small": "\n".join(lines)})
    return int(late)


FILES = ("deploy.prototxt", "weights.caffemodel")
Engine = Callable[[Tensor], object]


def engines_of(
    files: list[Path], shape: tuple[int, ...], by_hand: Callable[..., nn.Module], *, compiled: bool
) -> dict[str, Engine]:
    """Return what is measured, by name."""
    net = converter.load(*files, input_shapes={"data": shape})
    engines: dict[str, Engine] = {HAND: by_hand(net.params), "net()": net}
    engines["optimize()"] = net.optimize()
    if compiled:
        engines["optimize(compile=True)"] = net.optimize(compile=True)
    return engines


def compare(engines: dict[str, Engine], x: Tensor) -> None:
    """Check that all compute the same; the first call of each, which makes plans, is not timed."""
    wanted: list[Tensor] = []
    for name, engine in engines.items():
        got = engine(x)
        values = list(got.values()) if isinstance(got, dict) else got
        values = [values] if isinstance(values, Tensor) else list(values)
        wanted = wanted or values
        for one, other in zip(values, wanted, strict=True):
            assert torch.allclose(one, other, rtol=1e-4, atol=1e-5), name


def measure(
    engines: dict[str, Engine], x: Tensor, rounds: int, calls: int
) -> dict[str, list[float]]:
    """Return the seconds of a call of each engine, a round each, processor time."""
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    for number in range(rounds + 1):
        for name in random.sample(list(engines), len(engines)):
            engine = engines[name]
            begin = time.thread_time()
            for _ in range(calls):
                engine(x)
            if number:
                seconds[name].append((time.thread_time() - begin) / calls)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
