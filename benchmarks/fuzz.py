"""What becomes of definitions and weights with something wrong in them.

    python -m benchmarks.fuzz [SHARED] [--lone] [--first N] [--mutants N] [--only N] [--keep FOLDER]

SHARED is the folder of published models (default: $CAFFEPORT_SHARED): the definitions in
`SHARED/prototxts` and the definitions and weights in `SHARED/models` are mutated by their structure
(`benchmarks/mutants.py`), the small ones more often. With `--lone` they are networks of one layer
of any type instead, its fields at random (`benchmarks/lone_layers.py`). Mutant N is always the
same. Each is given to `check` and to `show`, and where its values take less than 256 MiB and a pass
fewer than 2 G multiply-adds, to `load` and one forward pass, of ones. All may end in a result or in
a CaffeError: within 10 s of a processor each, and with 2 GB of resident memory beyond the start.

Prints how many ended how, and every kind of what should not be, with the number of its first
mutant; Ctrl-C or SIGTERM ends it with what is done by then. `--only N` shows one mutant's
traceback, `--keep FOLDER` writes its files. The status is 1 where there is a fault.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path
from random import Random
from select import select

from benchmarks.lone_layers import lone_layer
from benchmarks.mutants import Node, mutated_bytes, mutated_text, parsed

SECONDS = 10
MEMORY = 2 << 30
VALUES = 256 << 20
WORK = 2e9
ADDRESSES = 12 << 30
"""What the process may address beyond its start, lest a fault takes the machine along."""
PATIENCE = 90
"""Seconds without a word after which a process is thought to hang."""


class TooSlowError(BaseException):
    """More than `SECONDS` of a processor are gone."""


@dataclass(frozen=True)
class Origin:
    """A definition and its weights, or none."""

    net: Path
    weights: Path | None = None


@cache
def origins(shared: Path) -> list[Origin]:
    """Return what is mutated, the pairs first."""
    pairs = [
        Origin(folder / "deploy.prototxt", weights)
        for folder in sorted((shared / "models").iterdir())
        if (folder / "deploy.prototxt").exists()
        for weights in sorted(folder.glob("*.caffemodel"))
    ]
    return [*pairs, *(Origin(path) for path in sorted((shared / "prototxts").glob("*.prototxt")))]


def cost(origin: Origin) -> float:
    """Return about how long one takes, for the odds of its being chosen."""
    size = origin.net.stat().st_size
    return (size + (origin.weights.stat().st_size / 100 if origin.weights else 0) + 1000) ** 2


@cache
def text_of(path: Path) -> str:
    """Return a definition's text."""
    return path.read_text(encoding="utf-8", errors="replace")


@cache
def vocabulary(shared: Path) -> tuple[list[str], list[tuple[str, Node]]]:
    """Return all layers' types, and fields of published layers, each with what it stands in.

    There is one of each name and layer type.
    """
    from caffe_layers.base.layer import DEFAULT

    seen: dict[tuple[str, str], tuple[str, Node]] = {}
    for origin in origins(shared):
        try:
            nodes = parsed(text_of(origin.net))
        except (ValueError, IndexError):
            continue
        for layer in nodes:
            if isinstance(layer.value, str):
                continue
            kind = next((str(node.value) for node in layer.value if node.name == "type"), "")
            for node in layer.value:
                seen.setdefault((kind, node.name), (layer.name, node))
                for inner in () if isinstance(node.value, str) else node.value:
                    seen.setdefault((kind, f"{node.name}.{inner.name}"), (node.name, inner))
    return sorted(DEFAULT.layers), list(seen.values())


def make_lone(number: int, folder: Path) -> tuple[Path, None]:
    """Write network `number` of one layer."""
    net = folder / "net.prototxt"
    net.write_text(lone_layer(Random(number)), encoding="utf-8")
    return net, None


def make(shared: Path, number: int, folder: Path) -> tuple[Path, Path | None]:
    """Write mutant `number`; return its definition and its weights."""
    random = Random(number)
    known = origins(shared)
    odds = [1 / cost(origin) for origin in known]
    origin = random.choices(known, odds)[0]
    types, fields = vocabulary(shared)
    net, weights = folder / "net.prototxt", None
    text, change = text_of(origin.net), random.random()
    lone = origin.weights is not None and random.random() < 0.1
    if change < 0.6 or origin.weights is None:
        try:
            text = mutated_text(text, random, types, fields)
        except (ValueError, IndexError):
            at = random.randrange(len(text))
            text = text[:at] + text[at + random.randrange(40) :]
    net.write_text(text, encoding="utf-8", errors="replace")
    if origin.weights is not None:
        data = origin.weights.read_bytes()
        weights = folder / "net.caffemodel"
        weights.write_bytes(mutated_bytes(data, random) if change > 0.5 else data)
    return (weights, None) if lone and weights else (net, weights)


def _check(net: Path, weights: Path | None) -> None:
    from converter.check import check

    check(net, weights).text()


def _show(net: Path, weights: Path | None) -> None:
    from converter.loading.known.survey import survey
    from converter.network.summary import format_summary, summarize
    from prototxt import CaffeError

    found = survey(net, weights)
    try:
        format_summary(summarize(found.load()))
    except CaffeError:
        format_summary(found.summary())
        found.causes()


def _forward(net: Path, weights: Path | None) -> None:
    """Load and run one pass, where it is small."""
    import torch

    from converter.loading.load import load
    from converter.network.summary import summarize

    spared = load(net, weights, weightless=True)
    shapes = spared.shapes()
    blobs = sum(blob.numel() for blob in spared._blobs())
    values = 4 * (blobs + sum(map(prod, shapes.values())))
    if values > VALUES or summarize(spared).multiply_adds > WORK:
        raise TooLargeError
    loaded = load(net, weights)
    with torch.inference_mode():
        loaded({name: torch.ones(shape) for name, shape in loaded.input_shapes.items()})


class TooLargeError(Exception):
    """A network is larger than those that are run."""


WAYS: dict[str, Callable[[Path, Path | None], None]] = {
    "check": _check,
    "show": _show,
    "load, forward": _forward,
}


def outcome(way: str, net: Path, weights: Path | None) -> tuple[str, str]:
    """Return how one ended: result, CaffeError, too large, or a fault, and then its traceback."""
    from prototxt import CaffeError

    _forget_peak()
    before = _resident("VmRSS")
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        WAYS[way](net, weights)
        ended = "result"
    except CaffeError as error:
        str(error)
        ended = "CaffeError"
    except TooLargeError:
        ended = "too large to run"
    except (Exception, TooSlowError) as error:
        return _kind(way, error), traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if (more := _resident("VmHWM") - before) > MEMORY:
        return f"fault: {way}: {more >> 20} MiB", ""
    return ended, ""


def _kind(way: str, error: BaseException) -> str:
    """Name a fault by its exception and the last of this project's lines before it."""
    frames = traceback.extract_tb(error.__traceback__)
    root = str(Path(__file__).parent.parent)
    ours = [frame for frame in frames if frame.filename.startswith(root)]
    place = f"{Path(ours[-1].filename).relative_to(root)}:{ours[-1].lineno}" if ours else "?"
    said = re.sub(r"\d+", "N", str(error).partition("\n")[0])[:90]
    return f"fault: {way}: {type(error).__name__} at {place}: {said}"


def _resident(name: str) -> int:
    """Return the resident memory in bytes, now (VmRSS) or at most (VmHWM)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(rf"{name}:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) << 10


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _too_slow(*_: object) -> None:
    raise TooSlowError(f"more than {SECONDS} s")


def work(
    shared: Path, numbers: Sequence[int], *, lone: bool = False, keep: Path | None = None
) -> None:
    """Go over mutants; say each one's number before, and how each way ended, on lines."""
    import torch

    import converter.check
    import converter.loading.load  # noqa: F401

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if not lone:
        vocabulary(shared)
    signal.signal(signal.SIGPROF, _too_slow)
    size = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = size * resource.getpagesize() + ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with tempfile.TemporaryDirectory() as made:
        folder = (keep or Path(made)).resolve()
        os.chdir(made)  # layers that write files do so here
        for number in numbers:
            print(f"{number}", flush=True)
            net, weights = make_lone(number, folder) if lone else make(shared, number, folder)
            for way in WAYS:
                ended, trace = outcome(way, net, weights)
                print(f"{way}\t{ended}", flush=True)
                if trace and len(numbers) == 1:
                    print(trace, file=sys.stderr)


def watched(shared: Path, first: int, end: int, *, lone: bool) -> Iterator[tuple[int, str, str]]:
    """Yield number, way and end of each mutant; start anew where the process dies or hangs."""
    while first < end:
        words = [sys.executable, "-m", "benchmarks.fuzz", str(shared), "--work", f"{first}:{end}"]
        words += ["--lone"] * lone
        number, said = first - 1, "nothing"
        with subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1
        ) as child:
            assert child.stdout is not None
            try:
                while True:
                    if not select([child.stdout], [], [], PATIENCE)[0]:
                        child.kill()
                        yield number, said, "fault: hangs"
                        break
                    line = child.stdout.readline().rstrip("\n")
                    if not line:
                        if child.wait():
                            yield number, said, f"fault: dies with {child.returncode} after {said}"
                        break
                    if line.isdigit():
                        number, said = int(line), "nothing"
                    else:
                        said, _, ended = line.partition("\t")
                        yield number, said, ended
            finally:
                child.kill()
        first = number + 1


def main() -> int:
    """Print the table of what happened."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("shared", nargs="?", default=os.environ.get("CAFFEPORT_SHARED"), type=Path)
    parser.add_argument("--lone", action="store_true")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--mutants", type=int, default=1000)
    parser.add_argument("--only", type=int, metavar="N")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.shared is None:
        parser.error("SHARED or $CAFFEPORT_SHARED names the folder of published models")
    if args.only is not None:
        work(args.shared, [args.only], lone=args.lone, keep=args.keep)
        return 0
    if args.work:
        first, end = map(int, args.work.split(":"))
        work(args.shared, range(first, end), lone=args.lone)
        return 0
    ends: Counter[tuple[str, str]] = Counter()
    faults: dict[str, list[int]] = {}
    last, end = args.first - 1, args.first + args.mutants
    for number in (signal.SIGINT, signal.SIGTERM):  # in the background they may be ignored
        signal.signal(number, signal.default_int_handler)
    with suppress(KeyboardInterrupt):  # what is done by then is told all the same
        for last, way, ended in watched(args.shared, args.first, end, lone=args.lone):
            ends[way, "fault" if ended.startswith("fault") else ended] += 1
            if ended.startswith("fault"):
                numbers = faults.setdefault(ended, [])
                if not numbers:
                    print(f"mutant {last}: {ended}", file=sys.stderr, flush=True)
                numbers.append(last)
    print(f"{last + 1 - args.first} mutants, from {args.first}")
    for (way, ended), count in sorted(ends.items()):
        print(f"{way}: {ended}: {count}")
    for kind, numbers in sorted(faults.items(), key=lambda item: -len(item[1])):
        print(f"{len(numbers)} x {kind} (mutants {', '.join(map(str, numbers[:4]))})")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
