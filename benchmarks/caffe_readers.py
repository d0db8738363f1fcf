"""Caffemodels and definitions that we write, in the engines that still read Caffe's files.

    python -m benchmarks.caffe_readers CASES --environments FOLDER [--python NAME=PATH]
        [--readers NAME,...] [--only PREFIX] [--models MODELS] [--write docs/engines.md]

Each case of Caffe's layers (`benchmarks/engine_cases.py`) and each trained network is written as
`caffeport upgrade` and `convert --format caffemodel` write them, and read by OpenCV 4
(`readNetFromCaffe`), OpenVINO 2023.3's model optimizer and MNN's converter, each in an environment
of its own. Where one is not right, Caffe's own files of the same network are read too: what fails
alike there is the reader's. Results are kept in benchmarks/results/caffe_readers.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import torch

import converter
from benchmarks.engine_cases import NO_COMPUTATION, SEVERAL, TRAINING
from benchmarks.engine_page import short
from benchmarks.engine_results import kind_of, merge, read_results, write_between_marks
from benchmarks.engines import Worker, judge
from converter.network.arrays import tensors_of
from prototxt import CaffeError, format_text

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "caffe_readers"
SECONDS = 20.0
"""What one file may take: MNN never ends on some."""
TRIES = 3
"""How often one file is tried on which a reader dies: MNN does by chance, of its own memory."""
PIP = {
    "opencv": ["opencv-python-headless==4.14.0.94", "numpy", "lazy_loader==0.6"],
    "mo": ["openvino-dev==2023.3.0", "protobuf==3.20.3", "lazy_loader==0.6"],
    "mnn": ["MNN==3.6.1", "numpy", "lazy_loader==0.6"],
}


def write_files(
    folder: Path, net: converter.CaffeNet, feeds: dict[str, np.ndarray], own: tuple[Path, Path]
) -> bool:
    """Write our two files, Caffe's own two and the arrays; False where there is nothing to ask."""
    folder.mkdir(parents=True, exist_ok=True)
    assert net.definition is not None
    (folder / "net.prototxt").write_text(format_text(net.definition))
    converter.save_caffemodel(net, folder / "net.caffemodel")
    copyfile(own[0], folder / "own.prototxt")
    # Of layers without blobs Caffe wrote no weights: any caffemodel without some does.
    copyfile(own[1] if own[1].exists() else folder / "net.caffemodel", folder / "own.caffemodel")
    with torch.no_grad():
        blobs = net.blobs(tensors_of(net, feeds))
    outputs = net.exported(with_losses=True).plan.outputs
    needed = net.exported(with_losses=True).inputs
    taken = {name: array for name, array in feeds.items() if name in needed}
    if not taken or not outputs:
        return False
    makers = {
        top: (step.layer.name, place) for step in net.steps for place, top in enumerate(step.blobs)
    }
    (folder / "layers.json").write_text(json.dumps({top: makers[top] for top in outputs}))
    np.savez(folder / "in.npz", **taken)
    np.savez(folder / "want.npz", **{blob: blobs[blob].detach().numpy() for blob in outputs})
    return True


def cases(folder: Path, models: Path | None) -> list[tuple[str, Path]]:
    """Write every case; return their names and folders."""
    from tests.support import recorded
    from tests.support.layer_cases import CASES, RUN, Case

    found = []
    layers = recorded.unpack("layers")
    for name in RUN:
        if CASES[name]["type"] in TRAINING | NO_COMPUTATION | SEVERAL:
            continue
        case = Case(name, layers)
        target = folder / "bvlc" / name
        with case.place():
            net = case.load(dtype=torch.float32)
            net.force_backward = False
            feeds = {blob: array.astype(np.float32) for blob, array in case.kind("in").items()}
            own = (case.net, case.folder / "weights.caffemodel")
            if write_files(target, net, feeds, own):
                found.append((f"bvlc/{name}", target))
    for path in sorted(models.glob("*/deploy.prototxt")) if models else []:
        name = path.parent.name
        weights = sorted(path.parent.glob("weights.caffemodel*"))[0]
        try:
            net = converter.load(path, weights, deploy=True)
        except CaffeError:  # its shapes are not in the file
            path = path.parent / "derived" / "deploy.prototxt"
            net = converter.load(path, weights, deploy=True)
        shapes = net.exported().inputs
        rng = np.random.default_rng(1701)
        feeds = {blob: rng.standard_normal(shape, np.float32) for blob, shape in shapes.items()}
        if write_files(folder / "models" / name, net, feeds, (path, weights)):
            found.append((f"models/{name}", folder / "models" / name))
    return found


def outcome(worker: Worker, folder: Path, stem: str) -> list[Any]:
    """Return what became of two files, `stem`.prototxt and .caffemodel."""
    target = folder / "out.npz"
    for _ in range(TRIES):
        what, words = worker.ask(folder / f"{stem}.prototxt", folder / "in.npz", target)
        if what != "died":
            break
    if what != "ran":
        return ["refused", short(words if what == "refused" else f"{what}: {words}")]
    wants, outputs = dict(np.load(folder / "want.npz")), dict(np.load(target))
    if lost := [name for name in wants if name not in outputs]:
        return ["wrong", f"output {lost[0]!r} is not there"]
    return judge(wants, outputs)


def table(kept: dict[str, Any]) -> str:
    """Return a row a type or network, a column a reader; then what is not right, and why."""
    kinds = sorted({kind for entry in kept.values() for kind in entry["asked"]}, key=str.lower)
    lines = [f"| | {' | '.join(entry['version'] for entry in kept.values())} |"]
    lines.append("|---" * (len(kept) + 1) + "|")
    said: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for kind in kinds:
        cells = []
        for reader, entry in kept.items():
            asked = entry["asked"].get(kind, 0)
            bad = {n: f for n, f in entry["cases"].items() if n.startswith(f"{kind}/") or n == kind}
            counts = Counter(_word(found) for found in bad.values())
            of = f" of {asked}" if asked > 1 else ""
            fared = ", ".join(f"{n}{of} {word}" for word, n in counts.items()) or "right"
            cells.append(fared if asked else "-")
            for name, found in bad.items():
                words = found[1] if isinstance(found[1], str) else f"off by {found[1]:.2g}"
                said[reader, _word(found), words].append(name.partition("/")[2])
        lines.append(f"| {kind.partition('/')[2]} | {' | '.join(cells)} |")
    lines.append("")
    for (reader, word, words), names in said.items():
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        lines.append(f"* {reader}: {', '.join(names[:4])}{more}: {word}: {words}")
    return "\n".join(lines)


def _word(found: list[Any]) -> str:
    """Say whether Caffe's own files fare alike."""
    alike = len(found) > 2 and found[2] == found[0]
    return f"{found[0]}, as Caffe's own" if alike else f"{found[0]}, ours alone"


def main() -> None:
    """Run what is asked for; write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", type=Path, help="where the files go")
    parser.add_argument("--environments", type=Path)
    parser.add_argument("--python", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--readers", default=",".join(PIP))
    parser.add_argument("--models", type=Path)
    parser.add_argument("--only", default="", metavar="PREFIX")
    parser.add_argument("--write", type=Path, metavar="PAGE")
    args = parser.parse_args()
    pythons = dict(pair.split("=", 1) for pair in args.python)
    asked = cases(args.cases.resolve(), args.models) if args.environments else []
    for reader in args.readers.split(",") if args.environments else []:
        folder = args.environments.resolve() / reader
        if reader not in pythons and not folder.exists():
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            pip = [folder / "bin" / "python", "-m", "pip", "install", "-q", *PIP[reader]]
            subprocess.run(pip, check=True)
        python = Path(pythons.get(reader) or folder / "bin" / "python")
        worker = Worker(f"benchmarks.caffe_reader_{reader}", python, SECONDS)
        print(worker.version, flush=True)
        found: dict[str, list[Any]] = {}
        for name, files in asked:
            if not name.startswith(args.only):
                continue
            if found and kind_of(name) not in map(kind_of, found):
                merge(RESULTS, reader, worker.version, found)
                found = {}
            found[name] = outcome(worker, files, "net")
            if found[name][0] != "right":
                found[name] += outcome(worker, files, "own")[:1]
                print(reader, name, *found[name], flush=True)
        merge(RESULTS, reader, worker.version, found)
    if args.write:
        write_between_marks(args.write, {"readers": table(read_results(RESULTS))})


if __name__ == "__main__":
    main()
