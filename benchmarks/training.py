"""Iterations a second of a solver beside a hand-written PyTorch loop of the same network.

    python benchmarks/training.py [--device cuda] [--amp] [--only LeNet]

Both train on the same random batch, which stays on the device, in turns of a few iterations, so
that what else the machine does slows both. The hand-written networks are plain PyTorch: LeNet's is
below, SKNet-50's is `converter.sknet.sknet50`. Printed are the medians over the turns.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from converter.sknet import sknet50
from converter.training import Solver
from prototxt.nets.lenet import lenet

NETS = Path(__file__).parents[1] / "prototxt" / "nets"
SOLVER = """net: "{net}" base_lr: 0.01 lr_policy: "inv" gamma: 0.0001 power: 0.75 momentum: 0.9
weight_decay: 0.0005 max_iter: 1000000 snapshot_after_train: false random_seed: 1701"""


@dataclass(frozen=True)
class Subject:
    """A network: its definition, its plain twin, and the batch that both train on."""

    definition: str
    plain: Callable[[], nn.Module]
    image: tuple[int, ...]
    classes: int
    batch: int
    iterations: int


def plain_lenet() -> nn.Module:
    """Return LeNet as one writes it in PyTorch."""
    return nn.Sequential(
        nn.Conv2d(1, 20, 5),
        nn.MaxPool2d(2),
        nn.Conv2d(20, 50, 5),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(800, 500),
        nn.ReLU(),
        nn.Linear(500, 10),
    )


def fed_lenet() -> str:
    """Return LeNet's definition with inputs in place of its databases."""
    text = str(lenet("train", "test"))
    layers = text[text.index('layer {\n  name: "conv1"') :]
    shapes = "shape { dim: [64, 1, 28, 28] } shape { dim: 64 }"
    return (
        'layer { name: "in" type: "Input" top: "data" top: "label" input_param { '
        f"{shapes} }} }}\n{layers}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--amp", action="store_true")
    parser.add_argument("--only", help="measure this network alone")
    parser.add_argument("--batch", type=int, help="in place of the subject's own")
    parser.add_argument("--rounds", type=int, default=21)
    args = parser.parse_args()
    sknet = (NETS / "sknet50.prototxt").read_text()
    subjects = {
        "LeNet": Subject(fed_lenet(), plain_lenet, (1, 28, 28), 10, 64, 30),
        "SKNet-50": Subject(sknet, sknet50, (3, 224, 224), 1000, 4, 2),
    }
    torch.backends.cudnn.benchmark = True
    print("| network | batch | solver, iter/s | PyTorch, iter/s | solver / PyTorch |")
    print("|---|---|---|---|---|", flush=True)
    for name, subject in subjects.items():
        if args.only in (None, name):
            batch = args.batch or subject.batch
            ours, theirs, ratio = compare(subject, batch, args.device, args.rounds, amp=args.amp)
            print(f"| {name} | {batch} | {ours:.3g} | {theirs:.3g} | {ratio:.3f} |", flush=True)


def compare(
    subject: Subject, batch: int, device: str, rounds: int, *, amp: bool
) -> tuple[float, float, float]:
    """Return both rates and the median of the turns' ratios."""
    random = torch.Generator().manual_seed(1701)
    data = torch.randn(batch, *subject.image, generator=random).to(device)
    label = torch.randint(subject.classes, (batch,), generator=random).to(device)
    both = (
        solver_loop(subject, data, label, amp=amp),
        plain_loop(subject.plain().to(device), data, label, amp=amp),
    )
    for loop in both:
        turn(loop, subject.iterations, device)
    rates = [[turn(loop, subject.iterations, device) for loop in both] for _ in range(rounds)]
    ours, theirs = (median(row) for row in zip(*rates, strict=True))
    return ours, theirs, median(mine / other for mine, other in rates)


def turn(loop: Callable[[int], None], iterations: int, device: str) -> float:
    """Return the iterations a second of one turn."""
    begin = time.perf_counter()
    loop(iterations)
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return iterations / (time.perf_counter() - begin)


def solver_loop(
    subject: Subject, data: Tensor, label: Tensor, *, amp: bool
) -> Callable[[int], None]:
    """Return the solver's loop."""
    with tempfile.TemporaryDirectory() as folder:
        net, path = Path(folder) / "net.prototxt", Path(folder) / "solver.prototxt"
        net.write_text(subject.definition)
        path.write_text(SOLVER.format(net=net))
        solver = Solver(
            path, device=data.device, amp=amp, feed=lambda net: {"data": data, "label": label}
        )
    return solver.step


def plain_loop(net: nn.Module, data: Tensor, label: Tensor, *, amp: bool) -> Callable[[int], None]:
    """Return the loop that one writes by hand."""
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=0.0005)
    schedule = LambdaLR(optimizer, lambda it: (1 + 0.0001 * it) ** -0.75)

    def step(iterations: int) -> None:
        for _ in range(iterations):
            optimizer.zero_grad()
            with torch.autocast(data.device.type, torch.bfloat16, enabled=amp):
                loss = F.cross_entropy(net(data), label)
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()

    return step


if __name__ == "__main__":
    main()
