"""What becomes of the definitions of public repositories, as they are and by the messages' advice.

    python -m benchmarks.field FOLDER INDEX.tsv [--jobs N] [--check] [--convert [N]] [--write FILE]

FOLDER holds definitions; INDEX.tsv names each one's file (`name`), `repository`, `path` and
`commit`. Each is shown without options, and then with those that the messages suggest: shapes of
inputs, a fork's reading, `--deploy`, `--phase`; a template's placeholders get plain values, sizes
of 448 x 1024, 21 labels and 1 for what is neither (`--set`). `--check` runs
`check` on each as well, `--convert N` converts every Nth (without N all) of what is shown, with
drawn weights, and verifies it. The status is 1 where anything but a message of ours came out, or a
file took more than ten seconds of a processor.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.field_page import ALLOWED, AS_IS, TRACEBACK, WITH_OPTIONS, Result, page, reason
from converter.check import check as judge
from converter.loading.load import load
from prototxt import CaffeError

SECONDS = 10
"""Of a processor: what `show` and `check` may take for one file."""
CONVERSION_SECONDS = 120
"""Of a processor, for a conversion with its verification."""
MEMORY = 6 << 30
PARAMETERS = 30_000_000
"""Networks with more are not converted here."""
ROUNDS = 20
SHAPE = re.compile(r"--input-shape ([^\s=]+)=(\d+(?:[,x]\d+)*)")
OTHER_PHASE = re.compile(r"include \{ phase: TRAIN \}.* --phase")
FORK = re.compile(r"--dialect (\w+)")
PLACEHOLDER = re.compile(r"--set (\w+)=\.\.\.")
PLAIN = {
    **{"SCALE_WIDTH": "1", "SCALE_HEIGHT": "1", "WIDTH": "1024", "HEIGHT": "448"},
    **{"LABELS": "21", "FOLDER": '"out"', "CNN": '"net"'},
}
"""What a placeholder is set to whose name ends so, in capitals; others to 1."""


@dataclass
class Options:
    """Of `load`, as far as messages suggest them."""

    input_shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    dialect: str | None = None
    deploy: bool = False
    phase: str = "TEST"
    allow_unknown: bool = False
    values: dict[str, str] = field(default_factory=dict)

    def arguments(self) -> dict[str, Any]:
        """Return them as `load` and `check` take them."""
        return dict(vars(self))

    def words(self) -> list[str]:
        """Return them as the command line takes them."""
        shapes = [f"{name}={','.join(map(str, dims))}" for name, dims in self.input_shapes.items()]
        words = [word for shape in shapes for word in ("--input-shape", shape)]
        words += [word for pair in self.values.items() for word in ("--set", "=".join(pair))]
        words += ["--dialect", self.dialect] if self.dialect else []
        words += ["--phase", self.phase] if self.phase != "TEST" else []
        return words + ["--deploy"] * self.deploy

    def advised(self, message: str) -> Options | None:
        """Return the options with what a message suggests; None where it suggests nothing new."""
        new = {
            name: tuple(map(int, re.split("[,x]", dims)))
            for name, dims in SHAPE.findall(message)
            if name not in self.input_shapes
        }
        if new:
            return replace(self, input_shapes={**self.input_shapes, **new})
        blank = [name for name in PLACEHOLDER.findall(message) if name not in self.values]
        if blank:
            plain = {
                name: next((to for end, to in PLAIN.items() if name.upper().endswith(end)), "1")
                for name in blank
            }
            return replace(self, values={**self.values, **plain})
        forks = set(FORK.findall(message)) - {"bvlc"}
        if len(forks) == 1 and self.dialect is None:
            return replace(self, dialect=forks.pop())
        return None


def look_at(path: Path, *, check: bool = False, convert: bool = False) -> Result:
    """Return what becomes of one definition."""
    result, options = show(path)
    if check:
        started = time.process_time()
        trace = checked(path)
        seconds = max(result.seconds, time.process_time() - started)
        result = replace(result, seconds=seconds, checked=True)
        if trace:
            return replace(result, outcome=TRACEBACK, message=trace)
    if convert and options is not None and result.parameters <= PARAMETERS:
        return replace(result, conversion=converted(path, options))
    return result


def show(path: Path) -> tuple[Result, Options | None]:
    """Return what becomes of a definition, and the options with which it is shown."""
    started = time.process_time()
    last = Options()
    message, parameters = shown(path, last)
    seconds = time.process_time() - started
    done = partial(Result, path.name, seconds=seconds)
    if not message:
        return done(AS_IS, parameters=parameters), last
    starts = [Options(), Options(deploy=True)]
    starts += [Options(phase="TRAIN")] if OTHER_PHASE.search(message) else []
    for start in starts:
        options, said, parameters = follow(path, start)
        if not said:
            return done(WITH_OPTIONS, " ".join(options.words()), parameters=parameters), options
        if start.phase == "TEST" and "no layer is left that makes an output" not in said:
            last, message = options, said
    _, said, _ = follow(path, Options(deploy=True, allow_unknown=True))
    outcome, names = reason(message, advised=bool(last.input_shapes))
    if not said and outcome != TRACEBACK:
        outcome = ALLOWED
    return done(outcome, message, names=names), None


def follow(path: Path, options: Options) -> tuple[Options, str, int]:
    """Try again as long as the message suggests something; return its last word, "" if shown."""
    for _ in range(ROUNDS):
        message, parameters = shown(path, options)
        advised = options.advised(message)
        if not message or advised is None:
            break
        options = advised
    return options, message, parameters


def shown(path: Path, options: Options) -> tuple[str, int]:
    """Return the message that stands before a network's shapes, "" if none does, and its size."""
    try:
        net = load(path, weightless=True, **options.arguments())
    except CaffeError as error:
        return on_one_line(str(error), path), 0
    except Exception:
        return traceback.format_exc(), 0
    return "", sum(blob.numel() for blob in net.parameters())


def checked(path: Path) -> str:
    """Return the traceback that `check` ends in, "" if it does not."""
    try:
        judge(path)
    except CaffeError:
        pass
    except Exception:
        return traceback.format_exc()
    return ""


def converted(path: Path, options: Options) -> str:
    """Convert with drawn weights, in processes of their own; return how it ended."""
    with tempfile.TemporaryDirectory() as out:
        weights = str(Path(out, "drawn.caffemodel"))
        words = options.words()
        done = limited_run("benchmarks.drawn", weights, str(path), "--quiet", *words)
        if done.returncode == 0:
            asked = (str(path), weights, "-o", out, "--format", "onnx", "--quiet")
            done = limited_run("converter", "convert", *asked, *words)
    if done.returncode == 0:
        return "verified"
    if done.returncode == -signal.SIGXCPU:
        return f"stopped after {CONVERSION_SECONDS} s of a processor"
    if done.returncode < 0 or "emory" in done.stderr:
        return "too large for the memory given"
    if "Traceback" in done.stderr:
        return f"traceback: {done.stderr.strip().splitlines()[-1]}"
    message = on_one_line(done.stderr.strip(), path)
    return f"refused: {message}" if message else "not verified"


def limited_run(module: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a module with words in a limited process."""
    return subprocess.run(
        [sys.executable, "-m", module, *words],
        capture_output=True,
        text=True,
        preexec_fn=limited,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )


def limited() -> None:
    """Limit this process in memory and in a processor's time."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CONVERSION_SECONDS, CONVERSION_SECONDS + 5))


def on_one_line(message: str, path: Path) -> str:
    """Return a message without the file's name, its lines joined."""
    text = re.sub(rf"{re.escape(str(path))}:(\d+):\d+", r"line \1", message)
    return re.sub(r"\s*\n\s*", "; ", text.replace(f"{path}: ", ""))


def read_index(index: Path) -> dict[str, Mapping[str, str]]:
    """Return the rows of an index by the definition's file name."""
    with index.open(newline="", encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file, delimiter="\t")}


def go_over(
    folder: Path, index: Path, jobs: int, *, check: bool = False, every: int = 0
) -> Iterator[Result]:
    """Yield what becomes of each definition of the index that the folder has.

    Of `every` so many one is converted as well, of none where that is 0.
    """
    rows = read_index(index)
    paths = [folder / name for name in sorted(rows) if (folder / name).exists()]
    with ProcessPoolExecutor(jobs, initializer=partial(torch.set_num_threads, 1)) as pool:
        convert = [every > 0 and number % every == 0 for number in range(len(paths))]
        for result in pool.map(partial(_look_at, check), paths, convert):
            row = rows[result.name]
            yield replace(result, repository=row["repository"], path=row["path"])


def _look_at(check: bool, path: Path, convert: bool) -> Result:  # for pool.map
    return look_at(path, check=check, convert=convert)


def main() -> int:
    """Print the page, or write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("index", type=Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--convert", type=int, nargs="?", const=1, default=0, metavar="N")
    parser.add_argument("--write", type=Path, metavar="FILE")
    args = parser.parse_args()
    found = go_over(args.folder, args.index, args.jobs, check=args.check, every=args.convert)
    results = list(found)
    text = page(results, seconds=SECONDS)
    if args.write:
        args.write.write_text(text, encoding="utf-8")
    else:
        print(text)
    for result in results:
        if result.outcome == TRACEBACK or result.seconds > SECONDS:
            print(f"{result.name}: {result.seconds:.1f} s {result.message}", file=sys.stderr)
    return int(any(one.outcome == TRACEBACK or one.seconds > SECONDS for one in results))


if __name__ == "__main__":
    sys.exit(main())
