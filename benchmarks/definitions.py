"""What becomes of published definitions of every age and fork.

    python benchmarks/definitions.py SHARED [--write docs/definitions.md]

SHARED is the folder of published models (default: $CAFFEPORT_SHARED); `SHARED/prototxts` holds the
definitions, `shapes.json` with every shape that real Caffe gave them or its refusal, and
`INDEX.tsv` with numbers of parameters and shapes of outputs. Each file is read, upgraded, filtered
and built without its weights' values. The status is 1 if a failure is this project's.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch

from caffe_layers import Shape
from converter import CaffeNet
from converter.network.build import build
from prototxt import CaffeError, Net, filter_net, read_net
from prototxt.upgrade import declare_shapeless

EQUAL = "every shape, equal to real Caffe's"
ALONE = "every shape; real Caffe was built without what it needs"
FED = "every shape, once the images' shape is given"
FILLED = "every shape, once its template's values are given"
FORK = "a fork's field, value or layer"
TEMPLATE = "a template whose values are not known"
PYTHON = "its authors' own Python"
WRONG = "its own numbers contradict each other"
TOO = "real Caffe refuses it too"
OURS = "this project's fault"
OUTCOMES = (EQUAL, ALONE, FED, FILLED, FORK, TEMPLATE, PYTHON, WRONG, TOO, OURS)

MESSAGES = (
    (TEMPLATE, "is a (template's )?placeholder", "Error parsing"),
    (PYTHON, "no layer is registered for it", "Error parsing|Unknown layer type: Python"),
    (FORK, r"layer type '\w+' is unknown|is set, a field of", "Error parsing|Unknown layer type"),
    (WRONG, "do not fill|the offsets are", "Error parsing"),
    (TOO, "V0LayerParameter has no field", "Error parsing"),
    (TOO, "has 5 axes, wants 4 at most", "legacy accessors on Blobs with > 4 axes"),
)
"""What is at fault for a message of ours, if real Caffe says the like of the same file."""
IMAGES = {"siamese": (2, 28, 28), "mnist": (1, 28, 28), "cifar": (3, 32, 32), "40": (1, 40, 32)}
"""The images of databases that definitions name; others are colour images as they are cropped."""
SHAPES = {
    "Super-Resolution": {"data": (128, 1, 17, 17), "label": (128, 9, 9, 9)},
    "hdf5_classification": {"data": (10, 4), "label": (10,)},
    "classification__model__train_val": {"scaled": (1, 3, 224, 224), "label": (1,)},  # none's tops
    "SegNet-Tutorial": {"data": (1, 3, 360, 480), "label": (1, 1, 360, 480)},
}
"""The tops of files that are not published, by the definition's name."""
VALUES = {
    "DeepLab-Context__voc12__config__vgg128_noup__test": {"NUM_LABELS": "21"},
    "deeplab_v2__nyu__config__deeplab_largeFOV__test": {"NUM_LABELS": "40"},
    "deeplab_v2__nyu__config__deeplab_largeFOV__train": {"NUM_LABELS": "40"},
    "MobileNet-SSD__template__MobileNetSSD_deploy_template": {
        "cls1x": "21",
        "cls3x": "63",
        "cls6x": "126",
    },
}
"""What fills templates: the usual numbers of classes of VOC and NYU; scripts of theirs set them."""
SIZE = (224, 224)
TRIES = 5
LABELS = ("label", "seg_label", "sem", "geo")
"""Tops with one channel; others that nothing tells are colour images."""
MISCOUNTED = {
    "caffe__examples__TensorRT__deploy_trt",
    "caffe__models__intel_optimized_models__VNet__test_noPooling_ResNet_cinque",
}
"""Definitions whose parameters the index counts otherwise than Caffe: without the fork's own
scale_bias; and kernels over volumes as 5 x 5, where Caffe's are 5 x 5 x 5."""
SOURCES = {
    "Data": "data_param",
    "ImageData": "image_data_param",
    "WindowData": "window_data_param",
}


@dataclass(frozen=True)
class Result:
    """One definition: what became of it, and the message that it ended in."""

    name: str
    outcome: str
    message: str = ""


def go_over(folder: Path) -> list[Result]:
    """Return what becomes of every definition in a folder."""
    shapes = json.loads((folder / "shapes.json").read_text())
    with (folder / "INDEX.tsv").open(newline="") as file:
        index = {row["name"]: row for row in csv.DictReader(file, delimiter="\t")}
    return [
        look_at(path, shapes[path.name], index[path.stem])
        for path in sorted(folder.glob("*.prototxt"))
    ]


def look_at(path: Path, caffe: Mapping[str, Any], row: Mapping[str, str]) -> Result:
    """Build one definition, and compare it with what Caffe made of it."""
    values = VALUES.get(path.stem, {})
    try:
        definition = read_net(path, values=values)
        try:
            net, outcome = module(filter_net(definition), {}), ALONE
        except CaffeError:
            net, outcome = fed(definition), FED
    except CaffeError as error:
        return Result(path.stem, fault(error, caffe.get("error", "")), said(error, path))
    if wrong := difference(net, caffe, row):
        return Result(path.stem, OURS, wrong)
    if values:
        given = " ".join(f"--set {name}={value}" for name, value in values.items())
        return Result(path.stem, FILLED, given)
    return Result(path.stem, EQUAL if "blobs" in caffe else outcome)


def module(net: Net, shapes: Mapping[str, Shape]) -> CaffeNet:
    with torch.device("meta"):
        return build(declare_shapeless(net, shapes), input_shapes=shapes)


def fed(definition: Net) -> CaffeNet:
    """Build the network with images given; without data in TEST, as TRAIN's."""
    first: CaffeError | None = None
    for phase in ("TEST", "TRAIN"):
        net = filter_net(definition, phase)
        images = dict(filter(None, map(image, net.layers)))
        for part, shapes in SHAPES.items():
            images |= shapes if part in Path(definition.source).name else {}
        for _ in range(TRIES):
            try:
                return module(net, images)
            except CaffeError as error:
                first = first or error
                lost = re.search(r"does not say the shape of '(\w+)'", str(error))
                if not lost:
                    break
                images[lost[1]] = (batch(net, lost[1]), 1 if lost[1] in LABELS else 3, *SIZE)
    assert first is not None
    raise first


def batch(net: Net, top: str) -> int:
    """Return how many samples the layer that makes a top reads."""
    return next(layer.data_param.batch_size or 1 for layer in net.layers if top in layer.top)


def image(layer: Any) -> tuple[str, Shape] | None:
    """Return the top and the shape of a layer's images, where its parameters tell."""
    if layer.type not in SOURCES:
        return None
    param, crop = getattr(layer, SOURCES[layer.type]), layer.transform_param.crop_size
    known = (size for name, size in IMAGES.items() if name in param.source.lower())
    sizes = next(known, (3, crop, crop) if crop else None)
    sizes = (sizes[0], crop, crop) if sizes and crop else sizes
    return (layer.top[0], (param.batch_size, *sizes)) if sizes else None


def fault(error: CaffeError, caffe: str) -> str:
    """Tell what is at fault; `caffe` is real Caffe's own message."""
    for outcome, ours, theirs in MESSAGES:
        if re.search(ours, str(error)) and re.search(theirs, caffe):
            return outcome
    return OURS


def said(error: CaffeError, path: Path) -> str:
    """Return a message on one line, with the line's number for the file's name."""
    text = re.sub(rf"{re.escape(str(path))}:(\d+):\d+", r"line \1", str(error))
    return text.replace("\n  fix: ", "; fix: ")


def difference(net: CaffeNet, caffe: Mapping[str, Any], row: Mapping[str, str]) -> str:
    """Say what differs from Caffe's shapes or the index's numbers; nothing if all is equal."""
    values = net.shapes()
    blobs = {
        blob: list(values[top])
        for step in net.steps
        for blob, top in zip(step.blobs, step.tops, strict=True)
    }
    params = {name: [list(blob.shape) for blob in own] for name, own in net.params.items()}
    for what, got, want in (
        ("blob", blobs, caffe.get("blobs", {})),
        ("parameters of", params, caffe.get("params", {})),
    ):
        for name, shape in want.items():
            if got.get(name) != shape:
                return f"{what} {name!r}: {got.get(name)}, Caffe's are {shape}"
    own = {id(blob): prod(blob.shape) for blobs in net.params.values() for blob in blobs}
    counted = row["blob_params"] and row["name"] not in MISCOUNTED
    if counted and int(row["blob_params"]) != sum(own.values()):
        return f"{sum(own.values())} parameters, the index has {row['blob_params']}"
    for name, dims in re.findall(r"([^\s,]+)\[([\d, ]*)\]", row["outputs"]):
        want = [int(dim) for dim in dims.split(",") if dim.strip()]
        if blobs.get(name) != want:
            return f"output {name!r}: {blobs.get(name)}, the index has {want}"
    return ""


def report(results: list[Result]) -> str:
    """Return the table and the messages as Markdown."""
    counts = Counter(result.outcome for result in results)
    lines = [
        "# Published definitions",
        "",
        f"What becomes of {len(results)} definitions of every age and fork. Written by "
        "`benchmarks/definitions.py`.",
        "",
        "| outcome | definitions |",
        "|---|---|",
        *(f"| {outcome} | {counts[outcome]} |" for outcome in OUTCOMES),
        f"| all | {len(results)} |",
        "",
        "The shapes are those of all blobs and parameters in the TEST phase (in TRAIN where TEST "
        "has no data; data that are not published are fed). Where the index has a number of "
        "parameters or shapes of outputs, they are equal too. A message counts as a fork's, a "
        "template's and so on only where real Caffe refuses the same file for the like.",
    ]
    for outcome in OUTCOMES:
        own = [result for result in results if result.outcome == outcome and result.message]
        if own:
            lines += ["", f"## {outcome[0].upper()}{outcome[1:]}", ""]
            lines += [f"* {result.name}: {result.message}" for result in own]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Print the table, or write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", nargs="?", default=os.environ.get("CAFFEPORT_SHARED"))
    parser.add_argument("--write", type=Path, metavar="FILE")
    args = parser.parse_args()
    if not args.shared:
        parser.error("no folder: name it, or set CAFFEPORT_SHARED")
    results = go_over(Path(args.shared) / "prototxts")
    if args.write:
        args.write.write_text(report(results))
    else:
        print(report(results))
    return int(any(result.outcome == OURS for result in results))


if __name__ == "__main__":
    sys.exit(main())
