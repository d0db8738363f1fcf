"""`caffeport run`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from caffe_layers import Shape
from converter.drawing.overlay import covered, describe, draw_result, save
from converter.drawing.predictions import read_result
from converter.evaluation.samples import read_labels
from converter.network.arrays import array_of, tensors_of, write_npz
from converter.network.backward import backward
from converter.network.example_inputs import random_inputs
from converter.network.net import CaffeNet
from converter.onnx.model import ModelInputs, OnnxModel
from converter.onnx.passes.embed_preprocessing import embedded_sizes
from converter.onnx.runtime import run_onnx
from converter.preprocessing import (
    Preprocessing,
    preprocessing_for,
    preprocessing_of,
)
from converter.preprocessing.inputs import Photo, read_fed
from converter.text import format_shape
from prototxt.atomic import writing
from prototxt.errors import ShapeError, UsageError

from ._options import (
    add_inputs,
    add_net,
    add_preprocessing,
    load_and_tell,
    preprocessing_options,
    say,
)

HELP = "run the network: write every blob by name, draw on the photo what it says"
ONNX_SUFFIX = ".onnx"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_net(parser)
    add_inputs(parser)
    add_preprocessing(parser)
    parser.add_argument("--output", metavar="FILE.npz")
    parser.add_argument(
        "--backward",
        action="store_true",
        help="write Caffe's diffs too: diff|BLOB and pdiff|LAYER[i]",
    )
    group = parser.add_argument_group(
        "drawing", "boxes, a map of classes or the best classes, on the photo that is fed"
    )
    group.add_argument("--draw", metavar="OUT.png")
    group.add_argument("--labels", metavar="FILE", help="names of the classes, one a line")
    group.add_argument("--blob", help="the output to draw, of several")
    group.add_argument(
        "--least", type=float, default=0.5, help="the least score of a box (default: 0.5)"
    )


def run(args: Namespace) -> int:
    """Run, and write the blobs; without --input the inputs are seeded random numbers.

    NET may be an ONNX file: then its outputs are what there is to write and to draw.
    """
    if not (args.output or args.draw):
        raise UsageError("nothing is asked for", fix="give --output FILE.npz, --draw OUT.png")
    computed = _run_onnx(args) if args.net.endswith(ONNX_SUFFIX) else _run_torch(args)
    for name, blob in computed.outputs.items():
        say(args, f"{name} {format_shape(blob.shape)}")
    if args.output:
        with writing(Path(args.output)) as file:
            write_npz(file, computed.blobs)
        say(args, f"wrote {args.output} ({len(computed.blobs)} arrays)")
    if args.draw:
        assert computed.photo is not None  # `_read` has seen to it
        _draw(args, computed.outputs, computed.photo)
    return 0


@dataclass(frozen=True)
class _Computed:
    """What there is to write, the outputs among it, and the photo that was fed, if one was."""

    blobs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]
    photo: Photo | None


def _run_torch(args: Namespace) -> _Computed:
    net = load_and_tell(args)
    given, photo = _read(args, net, ModelInputs({}))
    fed = tensors_of(net, given) if given else random_inputs(net, args.seed, losses=True)
    if args.backward:
        blobs = _with_diffs(net, fed)
    else:
        with torch.no_grad():
            blobs = {name: array_of(blob) for name, blob in net.blobs(fed).items()}
    return _Computed(blobs, {name: blobs[name] for name in net.plan(fed).outputs}, photo)


def _with_diffs(net: CaffeNet, fed: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Return the blobs, their diffs, and those of the layers' blobs, by the names of the file."""
    got = backward(net, fed)
    blobs = {name: array_of(blob) for name, blob in got.blobs.items()}
    blobs |= {f"diff|{name}": array_of(diff) for name, diff in got.diffs.items()}
    for layer, diffs in got.params.items():
        blobs |= {f"pdiff|{layer}[{i}]": array_of(diff) for i, diff in enumerate(diffs)}
    return blobs


def _run_onnx(args: Namespace) -> _Computed:
    if args.weights or args.backward:
        raise UsageError(f"{args.net}: an ONNX model has its weights inside, and no backward pass")
    model = OnnxModel(args.net)
    given, photo = _read(args, None, model.inputs)
    model.check_shapes({name: value.shape for name, value in given.items()})
    blobs = run_onnx(args.net, given)
    return _Computed(blobs, blobs, photo)


def _read(
    args: Namespace, net: CaffeNet | None, taken: ModelInputs
) -> tuple[dict[str, np.ndarray], Photo | None]:
    """Read the inputs; a photo goes through preprocessing where that is given.

    `taken` is what an ONNX model takes: photos as they are, where it prepares them itself.
    """
    settings = preprocessing_options(args)
    read = read_fed(args.input)
    photos = {name: value for name, value in read.items() if isinstance(value, Photo)}
    given = {name: value for name, value in read.items() if not isinstance(value, Photo)}
    if len(photos) != 1:
        if args.draw:
            raise UsageError(f"{len(photos)} of the inputs are images, --draw wants one")
        return given | {name: photo.array() for name, photo in photos.items()}, None
    ((name, photo),) = photos.items()
    if settings:
        wanted = (
            preprocessing_of(net, **settings) if net else _for_model(name, taken.shapes, settings)
        )
        photo = Photo(photo.pixels, wanted)
    elif name == taken.image:
        shown = Photo(photo.pixels, embedded_sizes(taken.metadata))
        return given | {name: photo.pixels[None]}, shown
    return given | {name: photo.array()}, photo


def _for_model(
    name: str, shapes: Mapping[str, Shape], settings: Mapping[str, Any]
) -> Preprocessing:
    shape = shapes.get(name, ())
    if len(shape) != 4:
        raise ShapeError(f"input {name!r} is no image: the model's inputs are {dict(shapes)}")
    if not all(shape[2:]):
        raise ShapeError(
            f"the model takes images of any size as {name!r}",
            fix="export it with a dynamic batch alone, or feed the photo as it is",
        )
    return preprocessing_for(shape, **settings)


def _draw(args: Namespace, outputs: dict[str, np.ndarray], photo: Photo) -> None:
    labels = read_labels(args.labels) if args.labels else []
    _, result = read_result(outputs, blob=args.blob, least=args.least)
    height, width = photo.pixels.shape[:2]
    area = covered(height, width, photo.preprocessing)
    image = draw_result(photo.pixels, result, labels, area)
    for line in describe(result, labels):
        say(args, line)
    with writing(Path(args.draw)) as file:
        save(image, file, Path(args.draw).suffix)
    say(args, f"wrote {args.draw}")
