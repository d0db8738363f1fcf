"""The kernels on a GPU: bandwidth, other forms of the same, SKNet-50 with and without them.

    python benchmarks/kernels.py [--only axpy,selection,training,inference]

Every table is a ratio of medians, taken in turns in one run. Kernels are timed by the GPU's own
clock, each call after the second-level cache has been swept; bandwidth counts every value once, as
docs/performance.md does, and is given over that of a copy within the GPU's memory. Writes
`benchmarks/results/kernels-<GPU>.json`.

Contenders of the original's scheme need nvcc and ninja, of timm `pip install timm`; without them
they are left out, which is said. `--device cpu --small` tries the script itself, on tiny tensors.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caffe_layers.kernels import axpy, selection
from converter.sknet import SKNet, sknet50
from converter.sknet.model import weigh

ROOT = Path(__file__).parents[1]
STAGES = ((128, 56), (256, 28), (512, 14), (1024, 7))
"""Channels and size of what SKNet-50 selects from, for images of 224 x 224."""
SWEPT = 2**30  # bytes written before each timed call: more than any cache, and time to launch it
COPIED = 2**30  # bytes of the tensor whose copying is the measure
FORMATS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
Calls = Mapping[str, Callable[[], object]]


class Bench:
    """Times calls on a device, and holds the sizes to time them at."""

    def __init__(self, device: str, *, small: bool) -> None:
        self.device = torch.device(device)
        self.on_gpu = self.device.type == "cuda"
        self.small = small
        self.stages = ((8, 7), (16, 3)) if small else STAGES
        self.batches = (1, 2) if small else (32, 256)
        self.rounds = 2 if small else 30
        self.swept = torch.empty(1024 if small else SWEPT, dtype=torch.int8, device=self.device)
        self.compiler = "inductor" if self.on_gpu else "aot_eager"

    def seconds(self, calls: Calls) -> dict[str, float]:
        """Return the median seconds of each call; they take turns."""
        for call in calls.values():
            for _ in range(3):
                call()
        taken: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(self.rounds):
            for name, call in calls.items():
                taken[name].append(self._once(call))
        return {name: median(row) for name, row in taken.items()}

    def _once(self, call: Callable[[], object]) -> float:
        if not self.on_gpu:
            begin = time.perf_counter()
            call()
            return time.perf_counter() - begin
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        self.swept.zero_()
        begin.record()
        call()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / 1000

    def draw(self, *shape: int, dtype: str = "float32", form: str = "contiguous") -> Tensor:
        """Return random values."""
        value = torch.randn(shape, device=self.device).to(DTYPES[dtype])
        return value.contiguous(memory_format=FORMATS[form]) if len(shape) == 4 else value

    def compiled(self, function: Any) -> Any:
        """Return what torch.compile makes of a function, for one shape at a time."""
        return torch.compile(function, backend=self.compiler, dynamic=False)

    def copy_bandwidth(self) -> float:
        """Return the bytes a second, read and written, of a copy within the device's memory."""
        values = 1024 if self.small else COPIED // 4
        source, target = (torch.empty(values, device=self.device) for _ in range(2))
        return 8 * values / self.seconds({"copy": lambda: target.copy_(source)})["copy"]


def axpy_rows(bench: Bench, copy: float) -> list[dict[str, Any]]:
    """Measure Axpy's bandwidth in every shape of SKNet-50, beside the original's scheme."""
    original = original_axpy(bench)
    rows = []
    for batch, (channels, size), dtype, form in shapes(bench):
        a = bench.draw(batch, channels, dtype=dtype)
        x, y, top_diff = (
            bench.draw(batch, channels, size, size, dtype=dtype, form=form) for _ in range(3)
        )

        def forward(a: Tensor = a, x: Tensor = x, y: Tensor = y) -> None:
            axpy.operator(a, x, y)

        def both(a: Tensor = a, x: Tensor = x, y: Tensor = y, d: Tensor = top_diff) -> None:
            axpy.operator(a, x, y)
            axpy.backward_operator(d, a, x, True, True)

        calls: dict[str, Callable[[], object]] = {"forward": forward, "both": both}
        if original and dtype == "float32" and form == "contiguous":
            tops = original.axpy_forward(a, x, y), axpy.operator(a, x, y)
            torch.testing.assert_close(*tops)
            diffs = original.axpy_backward(top_diff, a, x)
            wants = axpy.backward_operator(top_diff, a, x, True, True)
            torch.testing.assert_close(diffs[:2], wants, rtol=1e-4, atol=1e-3)

            def theirs(a: Tensor = a, x: Tensor = x, y: Tensor = y, d: Tensor = top_diff) -> None:
                original.axpy_forward(a, x, y)
                original.axpy_backward(d, a, x)

            calls["original both"] = theirs
        seconds = bench.seconds(calls)
        moved = x.numel() * x.element_size() * 3
        row = {
            "shape": list(x.shape),
            "dtype": dtype,
            "format": form,
            "seconds": seconds,
            "forward over copy": moved / seconds["forward"] / copy,
            "both over copy": 2 * moved / seconds["both"] / copy,
        }
        if "original both" in seconds:
            row["times as fast as the original"] = seconds["original both"] / seconds["both"]
        rows.append(row)
    return rows


def original_axpy(bench: Bench) -> Any:
    """Return the module of the original's scheme; None, and why, where it cannot be built."""
    if not bench.on_gpu:
        return None
    from original_axpy import build

    try:
        return build()
    except (ImportError, OSError, RuntimeError) as error:
        print(f"left out: the original's scheme: {str(error).splitlines()[0]}")
        return None


def shapes(bench: Bench) -> list[tuple[int, tuple[int, int], str, str]]:
    """Return batch, channels and size, dtype and format of all that is measured."""
    dtypes = ["float32"] if bench.small else ["float32", "bfloat16"]
    return [
        (batch, stage, dtype, form)
        for batch in bench.batches
        for stage in bench.stages
        for dtype in dtypes
        for form in FORMATS
    ]


def selection_rows(bench: Bench, copy: float) -> list[dict[str, Any]]:
    """Measure the selection of two, forward and backward, beside plain torch."""

    def plain(scores: Tensor, *branches: Tensor) -> Tensor:
        return selection.plain(scores, branches)

    def fused(scores: Tensor, *branches: Tensor) -> Tensor:
        return selection.operator(scores, branches)

    rows = []
    for batch, (channels, size), dtype, form in shapes(bench):
        scores = bench.draw(batch, 2, channels, dtype=dtype).requires_grad_()
        *branches, top_diff = (
            bench.draw(batch, channels, size, size, dtype=dtype, form=form) for _ in range(3)
        )
        arguments = (scores, *(branch.requires_grad_() for branch in branches))

        def both(function: Any, arguments: Any = arguments, diff: Tensor = top_diff) -> Any:
            return lambda: torch.autograd.grad(function(*arguments), arguments, diff)

        torch.compiler.reset()  # or the ninth shape would not be compiled
        compiled = bench.compiled(plain)
        calls = {"fused": both(fused), "eager": both(plain), "compiled": both(compiled)}
        seconds = bench.seconds(calls)
        moved = top_diff.numel() * top_diff.element_size() * 8
        rows.append(
            {
                "shape": list(top_diff.shape),
                "dtype": dtype,
                "format": form,
                "seconds": seconds,
                "fused over copy": moved / seconds["fused"] / copy,
                "times as fast as eager": seconds["eager"] / seconds["fused"],
                "times as fast as compiled": seconds["compiled"] / seconds["fused"],
            }
        )
    return rows


def network(bench: Bench, select: Any) -> SKNet:
    """Return SKNet-50 with this selection, channels last."""
    torch.manual_seed(1701)
    small = {"layers": (1,), "width": 8, "groups": 2, "num_classes": 10} if bench.small else {}
    model = sknet50(**small, weigh=select)
    return model.to(bench.device, memory_format=torch.channels_last)


def training_rows(bench: Bench) -> list[dict[str, Any]]:
    """Measure a training step of SKNet-50 in mixed precision: seconds and peak memory."""
    batch, size = (2, 32) if bench.small else (64, 224)
    image = bench.draw(batch, 3, size, size, form="channels last")
    label = torch.arange(batch, device=bench.device) % 10
    rows = []
    for how in ("eager", "compiled"):
        steps, memory = {}, {}
        for name, select in {"fused": selection.select, "plain": weigh}.items():
            model = network(bench, select).train()
            run = bench.compiled(model) if how == "compiled" else model
            steps[name] = step = training_step(run, model, image, label)
            memory[name] = peak(bench, step)
        seconds = bench.seconds(steps)
        rows.append(
            {
                "how": how,
                "batch": batch,
                "seconds": seconds,
                "peak bytes": memory,
                "times as fast": seconds["plain"] / seconds["fused"],
                "of the memory": memory["fused"] / memory["plain"] if bench.on_gpu else None,
            }
        )
    return rows


def training_step(run: Any, model: nn.Module, image: Tensor, label: Tensor) -> Any:
    """Return one step of stochastic gradient descent in mixed precision."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(image.device.type, torch.bfloat16):
            loss = F.cross_entropy(run(image), label)
        torch.autograd.backward(loss)
        optimizer.step()

    return step


def peak(bench: Bench, step: Callable[[], None]) -> int:
    """Return the most bytes that a step has taken beyond what was there before the first."""
    if not bench.on_gpu:
        return 0
    before = torch.cuda.memory_allocated()
    for _ in range(2):
        step()
    torch.cuda.reset_peak_memory_stats()
    step()
    return torch.cuda.max_memory_allocated() - before


def inference_rows(bench: Bench) -> list[dict[str, Any]]:
    """Measure compiled inference beside timm's nearest network, in half precision."""
    try:
        import timm
    except (ImportError, RuntimeError) as error:  # the latter from a torchvision of another torch
        print(f"left out: inference beside timm: {error}")
        return []
    theirs = timm.create_model("skresnext50_32x4d")
    ours, theirs = (
        model.eval().to(bench.device, torch.bfloat16, memory_format=torch.channels_last)
        for model in (network(bench, selection.select), theirs)
    )
    runs = {"ours": bench.compiled(ours), "timm": bench.compiled(theirs)}
    rows = []
    for batch in (1,) if bench.small else (1, 64):
        size = 32 if bench.small else 224
        image = bench.draw(batch, 3, size, size, dtype="bfloat16", form="channels last")
        with torch.inference_mode():
            seconds = bench.seconds({name: partial(run, image) for name, run in runs.items()})
        ratio = seconds["timm"] / seconds["ours"]
        rows.append({"batch": batch, "seconds": seconds, "times as fast as timm's": ratio})
    return rows


PARTS = {"axpy": axpy_rows, "selection": selection_rows}
NETWORKS = {"training": training_rows, "inference": inference_rows}


def show(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print the rows as a table."""
    if not rows:
        return
    columns = list(dict.fromkeys(key for row in rows for key in row if key != "seconds"))
    print(f"\n{title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        cells = [row.get(column, "") for column in columns]
        texts = [f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in cells]
        print(f"| {' | '.join(texts)} |", flush=True)


def about(bench: Bench) -> dict[str, Any]:
    """Say what was measured, and on what."""
    commit, changed = (
        subprocess.check_output(["git", "-C", str(ROOT), *command], text=True).strip()
        for command in (("rev-parse", "HEAD"), ("status", "--porcelain", "-uno"))
    )
    return {
        "device": torch.cuda.get_device_name(bench.device) if bench.on_gpu else "cpu",
        "commit": commit + (" with changes" if changed else ""),
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def main() -> int:
    """Measure, print and write; return 1 without a GPU."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny tensors, to try the script")
    parser.add_argument("--only", default=",".join([*PARTS, *NETWORKS]))
    parser.add_argument("--out", type=Path, help="the JSON file, in place of the one in results")
    args = parser.parse_args()
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        print("benchmarks/kernels.py needs a GPU: torch sees none", file=sys.stderr)
        return 1
    bench = Bench(args.device, small=args.small)
    torch.backends.cudnn.benchmark = True
    copy = bench.copy_bandwidth()
    results: dict[str, Any] = {**about(bench), "copy bytes per second": copy}
    print(f"{results['device']}: a copy moves {copy / 1e9:.4g} GB/s, read and written")
    for name in args.only.split(","):
        measure = PARTS.get(name)
        results[name] = measure(bench, copy) if measure else NETWORKS[name](bench)
        show(name, results[name])
    slug = re.sub(r"[^a-z0-9]+", "-", results["device"].lower()).strip("-")
    out = args.out or ROOT / "benchmarks" / "results" / f"kernels-{slug}.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\n{out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
