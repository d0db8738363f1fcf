"""Our ONNX files in other engines: every layer type and trained network, right, wrong or refused.

    python -m benchmarks.engine_cases CASES --models MODELS --targets openvino,opencv,...
    python -m benchmarks.engines CASES --environments FOLDER [--engines NAME,...] [--only PREFIX]
    python -m benchmarks.engines CASES --write docs/engines.md

Each engine runs in an environment of its own, `FOLDER/NAME`, made by the pip line below where it is
not there; `--python NAME=PATH` names another. Right is a largest difference of at most 1e-3 of the
largest value of our own float32 network; axes of length 1 may be missing or added, since some
engines know no fewer than one axis. Where the default export is not right, the file that
`convert --target` writes is run too. Results are kept in benchmarks/results/engines, of each type
how many cases there are and those that are not right; CASES remembers what became of each file, and
one that is the same is not run again but with `--again`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.engine_page import write_page
from benchmarks.engine_results import NOT_ASKED, kind_of, merge, read_results

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "engines"
TOLERANCE = 1e-3
SECONDS = 120.0
"""What one run may take: its conversion too, on a busy machine."""
COMMON = ["numpy", "lazy_loader==0.6"]
PIP: dict[str, list[str]] = {
    "onnxruntime": ["onnxruntime==1.32.0"],
    "openvino": ["openvino==2026.4.1"],
    "opencv": ["opencv-python-headless==5.0.0.93"],
    "mnn": ["MNN==3.6.1"],
    "ncnn": ["ncnn==1.0.20261020", "pnnx==20261020"],
    "tract": ["tract==0.23.9"],
    "onnx2torch": ["onnx2torch==1.5.15"],
    "onnxruntime_web": [],  # npm install onnxruntime-web@1.30.0, where Node looks from here
}
"""Engine -> what pip installs into its environment; pnnx goes without torch, which it names."""
ALONE = {"pnnx"}


def environment(folder: Path, name: str) -> Path:
    """Return the Python of an engine's environment, made where it is not there."""
    python = folder / name / "bin" / "python"
    if python.exists():
        return python
    subprocess.run([sys.executable, "-m", "venv", str(folder / name)], check=True)
    pip = [str(python), "-m", "pip", "install", "-q"]
    alone = [one for one in PIP[name] if one.partition("==")[0] in ALONE]
    subprocess.run([*pip, *COMMON, *(set(PIP[name]) - set(alone))], check=True)
    if alone:
        subprocess.run([*pip, "--no-deps", *alone], check=True)
    return python


class Worker:
    """One engine's process."""

    def __init__(self, engine: str, python: Path, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [str(python), "-m", "benchmarks.engine_worker", engine],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.version = str(self._answer())

    def ask(self, path: Path, source: Path, target: Path) -> tuple[str, str]:
        """Return what became of one run."""
        assert self.process.stdin is not None
        line = json.dumps([str(path), str(source), str(target), self.seconds])
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        what, words = self._answer()
        return what, words

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline() or '"not installed"')


def outcome(worker: Worker, path: Path, folder: Path) -> list[Any]:
    """Return `["right", error]`, `["wrong", error or why]` or `["refused", why]`."""
    target = folder / f".{worker.process.pid}.npz"
    what, words = worker.ask(path, folder / "in.npz", target)
    if what != "ran":
        said = {"refused": words, "died": "stops the process"}
        return ["refused", said.get(what, f"{what}: {words}")]
    with np.load(folder / "want.npz") as wants, np.load(target) as outputs:
        got = judge(dict(wants), dict(outputs))
    target.unlink()
    return got


def judge(
    wants: dict[str, np.ndarray], outputs: dict[str, np.ndarray], tolerance: float = TOLERANCE
) -> list[Any]:
    """Compare an engine's outputs with ours."""
    worst = 0.0
    for name, want in wants.items():
        got = np.asarray(outputs[name], np.float64)
        if _without_ones(got) != _without_ones(want):
            return ["wrong", f"shape {list(got.shape)} for {list(want.shape)}"]
        got, want = got.reshape(want.shape), want.astype(np.float64)
        finite = np.isfinite(want)
        if not np.array_equal(got[~finite], want[~finite], equal_nan=True):
            return ["wrong", "infinity or NaN is missing"]
        if not np.isfinite(got[finite]).all():
            return ["wrong", "infinity or NaN"]
        if finite.any():
            error = np.abs(got[finite] - want[finite]).max()
            worst = max(worst, float(error / (np.abs(want[finite]).max() or 1.0)))
    return ["right" if worst <= tolerance else "wrong", float(f"{worst:.2g}")]


def _without_ones(array: np.ndarray) -> list[int]:
    return [size for size in array.shape if size != 1]


class Memory:
    """What became of each file in an engine of one version, by the file's digest."""

    def __init__(self, path: Path, version: str, *, again: bool) -> None:
        self.path, self.version = path, version
        kept = json.loads(path.read_text()) if path.exists() and not again else {}
        self.known: dict[str, list[Any]] = kept.get(version, {})

    def outcome(self, worker: Worker, path: Path, folder: Path) -> list[Any]:
        """Return what became of a file, then or now."""
        digest = hashlib.sha256(path.read_bytes())
        for beside in ("in.npz", "want.npz"):
            with np.load(folder / beside) as arrays:
                for name, array in arrays.items():
                    digest.update(name.encode() + array.tobytes())
        key = digest.hexdigest()
        if key not in self.known:
            self.known[key] = outcome(worker, path, folder)
        return list(self.known[key])

    def save(self) -> None:
        """Keep it beside the cases."""
        self.path.write_text(json.dumps({self.version: self.known}))


def run(
    worker: Worker, engine: str, cases: Path, only: str, memory: Memory
) -> Iterator[tuple[str, list[Any]]]:
    """Yield each case with its outcomes: of the default export and, if not right, the target's."""
    for about in sorted(cases.rglob("case.json")):
        folder, name = about.parent, str(about.parent.relative_to(cases))
        if not name.startswith(only):
            continue
        said = json.loads(about.read_text())
        if engine == "ncnn" and not said["rows"]:
            yield name, [NOT_ASKED]
            continue
        default = memory.outcome(worker, folder / "net.onnx", folder)
        if default[0] == "right":
            yield name, default
        elif engine in said["errors"]:
            yield name, [*default, "error", said["errors"][engine]]
        elif (folder / f"{engine}.onnx").exists():
            yield name, [*default, *memory.outcome(worker, folder / f"{engine}.onnx", folder)]
        elif default[0] == "wrong" and engine in said["notes"]:
            yield name, [*default, "noted", said["notes"][engine]]
        else:
            yield name, default


def main() -> None:
    """Run what is asked for; write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--environments", type=Path)
    parser.add_argument("--python", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--engines", default=",".join(PIP))
    parser.add_argument("--only", default="", metavar="PREFIX", help="of the cases' names")
    parser.add_argument("--again", action="store_true", help="run also what was run before")
    parser.add_argument("--write", type=Path, metavar="PAGE")
    args = parser.parse_args()
    pythons = dict(pair.split("=", 1) for pair in args.python)
    cases = args.cases.resolve()
    for engine in args.engines.split(",") if args.environments else []:
        python = pythons.get(engine) or environment(args.environments.resolve(), engine)
        worker = Worker(engine, Path(python))
        print(worker.version, flush=True)
        memory = Memory(cases / f"{engine}.outcomes.json", worker.version, again=args.again)
        found: dict[str, list[Any]] = {}
        for name, result in run(worker, engine, cases, args.only, memory):
            if found and kind_of(name) not in map(kind_of, found):
                merge(RESULTS, engine, worker.version, found)
                found = {}
                memory.save()
            found[name] = result
            if result[0] in ("wrong", "refused"):
                print(f"{engine}  {name}  {' '.join(map(str, result))[:300]}", flush=True)
        merge(RESULTS, engine, worker.version, found)
        memory.save()
    if args.write:
        write_page(read_results(RESULTS), args.write)


if __name__ == "__main__":
    main()
