"""What `run` computes, and what it draws."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from converter.drawing.overlay import covered, describe, draw_result, save
from converter.drawing.predictions import Classes, Result, read_result
from converter.network.arrays import array_of, arrays_of, tensors_of
from converter.network.backward import backward
from converter.network.example_inputs import random_inputs
from converter.network.net import CaffeNet
from converter.onnx.images import Images
from converter.onnx.model import OnnxModel
from converter.onnx.runtime import run_onnx
from converter.preprocessing import ImageSettings, Preprocessing, preprocessing_for
from converter.preprocessing.inputs import Photo, preprocessing_by_name, read_fed
from prototxt.atomic import writing
from prototxt.data.images import resize
from prototxt.errors import ShapeError, UnsupportedError, UsageError

from ._options import (
    ASKING,
    LEAST,
    add_net,
    add_preprocessing,
    given_of,
    load_and_tell,
    preprocessing_options,
    say,
)

ONNX_SUFFIX = ".onnx"


@dataclass(frozen=True)
class Drawn:
    """A photo that is fed, H x W x 3 bytes, and what is done to it."""

    pixels: np.ndarray
    preprocessing: Preprocessing | None


@dataclass(frozen=True)
class Computed:
    """What there is to write, the outputs among it, and the photo that was fed, if just one was."""

    blobs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]
    photo: Drawn | None


def compute(args: Namespace) -> Computed:
    """Run what the arguments name: a network in torch, or an ONNX file."""
    return _run_onnx(args) if args.net.endswith(ONNX_SUFFIX) else _run_torch(args)


def _run_torch(args: Namespace) -> Computed:
    net = load_and_tell(args)
    given, drawn = _read(args, net, None)
    fed = tensors_of(net, given) if given else random_inputs(net, args.seed, losses=True)
    if args.backward:
        blobs = _with_diffs(net, fed)
    else:
        with torch.no_grad():
            blobs = arrays_of(net.blobs(fed))
    return Computed(blobs, {name: blobs[name] for name in net.plan(fed).outputs}, drawn)


def _with_diffs(net: CaffeNet, fed: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Return the blobs, their diffs, and those of the layers' blobs, by the names of the file."""
    got = backward(net, fed)
    blobs = arrays_of(got.blobs)
    blobs |= {f"diff|{name}": array_of(diff) for name, diff in got.diffs.items()}
    for layer, diffs in got.params.items():
        blobs |= {f"pdiff|{layer}[{i}]": array_of(diff) for i, diff in enumerate(diffs)}
    return blobs


def _run_onnx(args: Namespace) -> Computed:
    if args.weights or args.backward:
        raise UsageError(f"{args.net}: an ONNX model has its weights inside, and no backward pass")
    if idle := [flag for flag in given_of(args, add_net) if flag != "--quiet"]:
        raise UsageError(f"{args.net}: {', '.join(idle)}: an ONNX model runs as it is")
    model = OnnxModel(args.net)
    given, drawn = _read(args, None, model)
    model.check_shapes({name: value.shape for name, value in given.items()})
    blobs = run_onnx(args.net, given)
    return Computed(blobs, blobs, drawn)


def _read(
    args: Namespace, net: CaffeNet | None, model: OnnxModel | None
) -> tuple[dict[str, np.ndarray], Drawn | None]:
    """Read the inputs of a network or a model, and the photo, if just one of them is one."""
    read = read_fed(args.input)
    photos = {name: value for name, value in read.items() if isinstance(value, Photo)}
    given = {name: value for name, value in read.items() if not isinstance(value, Photo)}
    if args.draw and len(photos) != 1:
        raise UsageError(f"{len(photos)} of the inputs are images, --draw wants one")
    if idle := _of_a_photo(args, len(photos)):
        raise UsageError(
            f"{', '.join(idle)}: {len(photos) or 'none'} of the inputs are photos",
            fix="feed a photo (--input data=photo.jpg), or leave out what is said of one",
        )
    if not (args.draw or args.output or len(photos) == 1):
        raise UsageError(f"nothing is asked for of {len(photos)} photos", fix=ASKING)
    drawn = None
    for name, photo in photos.items():
        given[name], drawn = _prepared(args, name, photo, net, model)
        own = "the model's own: " if model and name == model.inputs.image else ""
        say(args, f"preprocessing: {own}{drawn.preprocessing or 'as it was written'}")
    return given, drawn if len(photos) == 1 else None


def _of_a_photo(args: Namespace, photos: int) -> list[str]:
    """Return the options given that act on a photo, where there is none; or on one, of several."""
    prepared = given_of(args, add_preprocessing) if not photos else []
    said = [f"--{name}" for name in ("labels", "blob", "least") if getattr(args, name) is not None]
    return [*prepared, *(said if photos != 1 else [])]


def _prepared(
    args: Namespace, name: str, photo: Photo, net: CaffeNet | None, model: OnnxModel | None
) -> tuple[np.ndarray, Drawn]:
    """Return what an input is fed for a photo, and how the photo lies in it."""
    settings = preprocessing_options(args)
    if net is not None:
        wanted = preprocessing_by_name(net, name, settings)
        return photo.prepared(wanted), Drawn(photo.pixels, wanted)
    assert model is not None
    if name == model.inputs.image:
        if settings:
            raise UsageError(f"{args.net} prepares images itself: nothing else is done to them")
        said = model.images
        _, height, width, _ = model.inputs.shapes[name]
        pixels = resize(photo.pixels, height, width) if height and width else photo.pixels
        return pixels[None], Drawn(photo.pixels, said.preprocessing if said else None)
    wanted = _for_model(name, model, settings)
    return photo.prepared(wanted), Drawn(photo.pixels, wanted)


def _for_model(name: str, model: OnnxModel, settings: ImageSettings) -> Preprocessing:
    """Return what a model's input wants: as its metadata say, but for what is given."""
    shapes = model.inputs.shapes
    shape = shapes.get(name, ())
    if len(shape) != 4:
        raise ShapeError(f"input {name!r} is no image: the model's inputs are {shapes}")
    whole = settings.keys().isdisjoint(("family", "mean", "raw"))
    images = Images.read(model.inputs.metadata, model.path.parent, mean=whole)
    known = images.preprocessing if images is not None and images.input == name else None
    if known is not None and not settings:
        return known
    if not all(shape[2:]):
        raise ShapeError(
            f"the model takes images of any size as {name!r}",
            fix="export it with a dynamic batch alone, or feed an array",
        )
    return preprocessing_for(shape, known=known, **settings)


def answer(args: Namespace, computed: Computed, labels: Sequence[str]) -> Result | None:
    """Say what an output says of the photo; None where no photo is fed, or no output says it.

    That is an error only where nothing else is asked for.
    """
    if computed.photo is None:
        return None
    try:
        least = LEAST if args.least is None else args.least
        _, result = read_result(computed.outputs, blob=args.blob, least=least)
    except UnsupportedError:
        if args.output and not (args.draw or args.blob):
            return None
        raise
    if args.least is not None and isinstance(result, Classes):
        raise UsageError("--least is of boxes and maps, the network says classes")
    for line in describe(result, labels):
        say(args, line)
    return result


def draw(args: Namespace, result: Result, photo: Drawn, labels: Sequence[str]) -> None:
    """Draw on the photo what was said of it."""
    height, width = photo.pixels.shape[:2]
    area = covered(height, width, photo.preprocessing)
    image = draw_result(photo.pixels, result, labels, area)
    with writing(Path(args.draw)) as file:
        save(image, file, Path(args.draw).suffix)
    say(args, f"wrote {args.draw}")
