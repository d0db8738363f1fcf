"""What the engines are asked to run: ONNX files of ours, inputs, and what our network gives.

    python -m benchmarks.engine_cases FOLDER [--models MODELS] [--targets NAME,...] [--only PREFIX]

Three kinds of cases: `bvlc/TYPE/CASE`, every single-layer case recorded from real Caffe whose type
computes something at inference; `forks/TYPE/N`, a case of each form that forks' layers have, which
the tests of these layers bring; and `models/NAME`, trained networks. A form is the layers' types
with the operators that they become. Each case is a folder with `net.onnx` (the default export),
`NAME.onnx` for each target whose file differs, `in.npz`, `want.npz` and `case.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

import converter
from converter.network.arrays import tensors_of
from converter.network.example_inputs import random_inputs
from converter.onnx.free_axes import with_free_axes
from converter.onnx.graph import Graph
from converter.onnx.targets import NOTED
from prototxt import CaffeError

ROOT = Path(__file__).parents[1]
TRAINING = {
    "ContrastiveLoss",
    "EuclideanLoss",
    "HingeLoss",
    "InfogainLoss",
    "MultinomialLogisticLoss",
    "SigmoidCrossEntropyLoss",
    "SoftmaxWithLoss",
}
NO_COMPUTATION = {"DummyData", "HDF5Data", "HDF5Output", "Input", "Silence"}
SEVERAL = {"Net", "Text"}
"""Not types but kinds of recorded cases: networks, and ways of writing."""


def write_case(
    folder: Path,
    net: converter.CaffeNet,
    feeds: Mapping[str, np.ndarray],
    targets: list[str],
    **about: Any,
) -> bool:
    """Write one case; False, and nothing left, where the network has no ONNX form at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "net.onnx"
    options = {"with_losses": True, "input_shapes": {n: np.shape(a) for n, a in feeds.items()}}
    try:
        _export(net, path, **options)
    except CaffeError:
        folder.rmdir()
        return False
    model = onnx.load(path)
    taken = [value.name for value in model.graph.input]
    outputs = net.exported(with_losses=True).plan.outputs
    net.reset_state()
    with torch.no_grad():
        blobs = net.blobs(tensors_of(net, feeds))
    wants = {name: blobs[blob].detach().numpy() for blob, name in outputs.items()}
    if not taken or not wants:
        path.unlink()
        folder.rmdir()
        return False
    np.savez(folder / "in.npz", **{name: feeds[name].astype(np.float32) for name in taken})
    np.savez(folder / "want.npz", **wants)
    refused, noted = {}, {}
    for target in targets:
        beside = folder / f"{target}.onnx"
        try:
            graph = _export(net, beside, **options, target=target)
        except CaffeError as error:
            refused[target] = str(error)
            continue
        if doubts := [note for note in graph.notes if NOTED in note]:
            noted[target] = doubts[0]
        if _same(model, onnx.load(beside)):
            beside.unlink()
    rows = _rows_are_alone(net, {name: feeds[name] for name in taken}, outputs, wants)
    said = {
        "operators": operators(model.graph),
        "rows": rows,
        "errors": refused,
        "notes": noted,
        **about,
    }
    (folder / "case.json").write_text(json.dumps(said, indent=1) + "\n")
    return True


def _rows_are_alone(
    net: converter.CaffeNet,
    feeds: Mapping[str, np.ndarray],
    outputs: Mapping[str, str],
    wants: Mapping[str, np.ndarray],
) -> bool:
    """Tell whether row by row gives what all rows give: what an engine without a batch is asked."""
    sizes = {array.shape[0] if array.ndim else 0 for array in feeds.values()}
    if len(sizes) != 1 or sizes == {0}:
        return False
    found: dict[str, list[np.ndarray]] = {name: [] for name in wants}
    for row in range(sizes.pop()):
        try:
            net.reset_state()
            one = {name: array[row : row + 1] for name, array in feeds.items()}
            with torch.no_grad():
                blobs = net.blobs(tensors_of(net, one))
        except CaffeError:
            return False
        for blob, name in outputs.items():
            found[name].append(blobs[blob].detach().numpy())
    for name, want in wants.items():
        if not want.ndim or any(row.ndim != want.ndim for row in found[name]):
            return False
        together = np.concatenate(found[name])
        if together.shape != want.shape or not np.allclose(together, want, 1e-5, 1e-5, True):
            return False
    return True


def _export(net: converter.CaffeNet, path: Path, **options: Any) -> Graph:
    graph, _ = with_free_axes(
        None, lambda free: converter.export_onnx(net, path, dynamic=free, **options)
    )
    return graph


def _same(one: onnx.ModelProto, other: onnx.ModelProto) -> bool:
    return (
        one.graph.SerializeToString(deterministic=True)
        == other.graph.SerializeToString(deterministic=True)
        and one.opset_import == other.opset_import
    )


def operators(graph: onnx.GraphProto) -> list[str]:
    """Return the operators of a graph and of its bodies, in order."""
    found = []
    for node in graph.node:
        found.append(node.op_type)
        for attribute in node.attribute:
            found += operators(attribute.g)
    return found


def write_bvlc(folder: Path, targets: list[str], only: str = "") -> int:
    """Write the recorded cases."""
    from tests.support import recorded
    from tests.support.layer_cases import CASES, RUN, Case

    layers = recorded.unpack("layers")
    written = 0
    for name in RUN:
        kind = CASES[name]["type"]
        if kind in TRAINING | NO_COMPUTATION | SEVERAL or not f"bvlc/{name}".startswith(only):
            continue
        case = Case(name, layers)
        with case.place():
            net = case.load(dtype=torch.float32)
            net.force_backward = False
            feeds = {name: a.astype(np.float32) for name, a in case.kind("in").items()}
            written += write_case(folder / "bvlc" / name, net, feeds, targets, type=kind)
    return written


def write_forks(folder: Path, targets: list[str]) -> int:
    """Run the tests of forks' layers with what they check written down instead."""
    environment = os.environ | {"ENGINE_CASES": str(folder / "forks")}
    environment |= {
        "ENGINE_TARGETS": ",".join(targets),
        "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT)),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "benchmarks.engine_capture"]
    subprocess.run([*command, "tests/caffe_layers/forks"], cwd=ROOT, env=environment, check=False)
    return sum(1 for _ in folder.glob("forks/*/*/case.json"))


def write_models(folder: Path, models: Path, targets: list[str]) -> int:
    """Write the trained networks, fed what they were recorded with, or noise."""
    written = 0
    for folder_of in sorted(path.parent for path in models.glob("*/deploy.prototxt")):
        weights = sorted(folder_of.glob("weights.caffemodel*"))[0]
        derived = folder_of / "derived"
        records = [path / "opencv_ref.npz" for path in (folder_of, derived)]
        recorded = next((_recorded(path) for path in records if path.exists()), {})
        # The original where it says its shapes, or else the definition written after it.
        at = folder_of if recorded.keys() <= _inputs_of(folder_of, weights) else derived
        net = converter.load(at / "deploy.prototxt", weights, deploy=True)
        feeds = recorded or {key: value.numpy() for key, value in random_inputs(net, 1701).items()}
        name = folder_of.name
        written += write_case(folder / "models" / name, net, feeds, targets, type=name)
    return written


def _inputs_of(folder: Path, weights: Path) -> set[str]:
    try:
        net = converter.load(folder / "deploy.prototxt", weights, deploy=True)
        return set(net.exported().inputs)
    except CaffeError:
        return set()


def _recorded(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return {
            key.removeprefix("in__").replace("|", "/"): array.astype(np.float32)
            for key, array in file.items()
            if key.startswith("in__")
        }


def main() -> None:
    """Write the cases that are asked for, and say how many."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", type=Path, help="a folder of folders, as a checkout's shared")
    parser.add_argument(
        "--targets", default="", type=lambda text: [n for n in text.split(",") if n]
    )
    parser.add_argument("--only", default="", metavar="PREFIX", help="bvlc/Pooling, forks, models")
    args = parser.parse_args()
    folder, only = args.folder.resolve(), args.only
    if only.startswith("bvlc") or not only:
        print(write_bvlc(folder, args.targets, only), "of Caffe's layers", flush=True)
    if only.startswith("forks") or not only:
        print(write_forks(folder, args.targets), "of forks' layers", flush=True)
    if args.models and (only.startswith("models") or not only):
        print(write_models(folder, args.models, args.targets), "trained networks", flush=True)


if __name__ == "__main__":
    main()
