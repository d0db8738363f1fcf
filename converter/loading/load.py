"""From files to a loaded network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

import caffe_layers
from caffe_layers import Layer, Shape
from caffe_layers.base.message import is_set
from caffe_layers.data.input import Input
from converter.network.global_pool import blame_pools, make_pools_global, whole_pools
from converter.network.net import CaffeNet
from converter.network.origin import Source
from converter.network.sharing import share
from converter.network.steps import Step, build_steps
from prototxt import Net, Weights, filter_net, read_net, read_weights
from prototxt.errors import (
    CaffeError,
    FormatError,
    ShapeError,
    UnsupportedError,
    WeightError,
    within,
)
from prototxt.passes.merged_scale import merge_scales
from prototxt.passes.phase_stamps import unstamp
from prototxt.read import kind_of
from prototxt.upgrade import declare_shapeless

from .deploy import deploy as deployed
from .user_layers import load_layers
from .weights import Loaded, fill

PathName = str | PathLike[str]
Phase = Literal["TRAIN", "TEST"]


def load(
    net: PathName | Net,
    weights: PathName | Sequence[PathName] | None = None,
    *,
    phase: Phase = "TEST",
    level: int = 0,
    stages: Iterable[str] = (),
    dtype: torch.dtype = torch.float32,
    device: str | torch.device | None = None,
    input_shapes: Mapping[str, Shape] | None = None,
    values: Mapping[str, str] | None = None,
    global_pool: bool = False,
    dialect: str | None = None,
    allow_unknown: bool = False,
    require_weights: bool = False,
    rename: Mapping[str, str] | None = None,
    ignore: Iterable[str] = (),
    allow_missing: bool = False,
    seed: int = 1701,
    deploy: bool = False,
    layers: PathName | Sequence[PathName] | None = None,
) -> CaffeNet:
    """Return the network of a prototxt with the weights of one or more caffemodels.

    `net` may be a lone `.caffemodel`, which holds its definition, or what `prototxt.read_net` gave.
    Without weights the blobs get their fillers' values, drawn from `seed`. `input_shapes` replaces
    those of the file; `values` fill a template's placeholders, as {"NUM_LABELS": "21"};
    `global_pool` lets an average pool over the whole map follow other sizes.
    TEST networks come in `.eval()`, TRAIN ones in `.train()`. Blobs with `lr_mult: 0` have
    `requires_grad` False, but for the definition's `force_backward`. `deploy` takes a training
    definition's deployable part; the network's `notes` say what that left out. `layers` names
    Python files with layers of your own.

    Raises CaffeError, with the file and the place in it, for whatever is wrong.
    """
    load_layers(layers)
    paths = weight_files(net, weights)
    if isinstance(net, Net):
        definition, read = net, paths
        if values:
            raise FormatError(f"{net.source}: a network that was read already takes no values")
    else:
        definition = read_net(
            fspath(net), allow_unknown=allow_unknown, dialect=dialect, values=values
        )
        read = [Path(net), *paths]
        if kind_of(fspath(net)) == "binary":
            definition = unstamp(definition)
    sources = [Source(path) for path in dict.fromkeys(read)]
    files = [read_weights(path) for path in paths]
    if require_weights and not files:
        raise WeightError(f"{definition.source}: no weights are given", fix="name the caffemodel")
    with within(definition.source):
        filtered = filter_net(definition, phase=phase, level=level, stages=tuple(stages))
        filtered = declare_shapeless(filtered, input_shapes or {})
        filtered, notes = deployed(filtered, dialect=dialect) if deploy else (filtered, [])
    given = dict(input_shapes or {})
    filled = partial(
        _filled,
        filtered,
        files,
        given,
        dialect,
        dtype,
        rename=rename,
        ignore=ignore,
        allow_missing=allow_missing,
        seed=seed,
    )
    try:
        built = filled(global_pool=global_pool)
    except (ShapeError, WeightError) as error:
        if given and not global_pool:
            with suppress(CaffeError):  # said only where it helps
                own = build(filtered, files, dialect=dialect)
                _blame_other_inputs(error, own, given)
                filled(global_pool=True)
                blame_pools(error, whole_pools(own))
        raise
    built.source = definition.source
    built.sources, built.template = sources, dict(values or {})
    built.notes = [*_filled_in(built.template), *notes, *_quantization(filtered)]
    built.phase = phase
    built.train(phase == "TRAIN")
    try:
        return built.to(device=device, dtype=dtype)
    except (RuntimeError, AssertionError) as error:  # the latter where torch has no CUDA
        why = str(error).partition("\n")[0]
        raise UnsupportedError(f"device {str(device)!r}: {why}") from None


def _filled(
    net: Net,
    files: Sequence[Weights],
    input_shapes: Mapping[str, Shape],
    dialect: str | None,
    dtype: torch.dtype,
    *,
    global_pool: bool,
    rename: Mapping[str, str] | None,
    ignore: Iterable[str],
    allow_missing: bool,
    seed: int,
) -> CaffeNet:
    """Return the module of a filtered network with its blobs set."""
    with within(net.source):
        built = build(net, files, input_shapes, dialect, global_pool=global_pool)
    built.to(torch.float64 if dtype == torch.float64 else torch.float32)
    built.loaded = fill(
        built,
        files,
        rename=rename,
        ignore=ignore,
        allow_missing=allow_missing,
        generator=torch.Generator().manual_seed(seed),
    )
    return built


def _filled_in(values: Mapping[str, str]) -> list[str]:
    """Say what the template's placeholders stand for."""
    said = ", ".join(f"{name}={value}" for name, value in values.items())
    return [f"the definition is a template, filled in with {said}"] if said else []


def _quantization(net: Net) -> list[str]:
    """Say that Intel's layers of 8 bits compute in floats here."""
    quantized = [layer.name for layer in net.layers if is_set(layer, "quantization_param")]
    if not quantized:
        return []
    return [
        f"{len(quantized)} layers from {quantized[0]!r} on have a quantization_param: this is the "
        "float network, not what their 8 bits round it to"
    ]


def _blame_other_inputs(error: CaffeError, own: CaffeNet, given: Mapping[str, Shape]) -> None:
    batches = {shape[0] for shape in given.values() if shape}
    for name, shape in own.input_shapes.items():
        if name not in given and shape and shape[0] not in batches and not error.fix:
            error.fix = f"{name!r} is still {shape}, as the file says: give its --input-shape too"


def build(
    net: Net,
    files: Sequence[Weights] = (),
    input_shapes: Mapping[str, Shape] | None = None,
    dialect: str | None = None,
    *,
    global_pool: bool = False,
) -> CaffeNet:
    """Return the module of a filtered network, its blobs not yet set."""
    net = merge_scales(net, files)
    if global_pool:
        own = build(net, files, dialect=dialect)
        net = make_pools_global(net, own)
    blobs = {
        layer.name: [blob.shape for blob in layer.blobs if blob is not None]
        for weights in files
        for layer in weights.layers
    }
    steps = build_steps(net, blobs=blobs, dialect=dialect)
    layers, shapes = _build_layers(steps, dict(input_shapes or {}))
    built = CaffeNet(net.header.name, steps, layers)
    built.input_shapes = {name: shapes[name] for name in built.inputs}
    built.force_backward = net.header.force_backward
    built.definition = net
    share(built)
    if not built.force_backward:
        _freeze(built)
    return built


def _freeze(net: CaffeNet) -> None:
    """Ask no gradient for blobs whose learning rate is 0; of shared ones the owner's counts."""
    seen: set[int] = set()
    for layer in net.layers.values():
        for index, blob in enumerate(layer.blobs):
            if isinstance(blob, nn.Parameter) and id(blob) not in seen:
                seen.add(id(blob))
                blob.requires_grad_(layer.lr_mult(index) != 0)


def _build_layers(
    steps: Sequence[Step], given: dict[str, Shape]
) -> tuple[dict[str, Layer], dict[str, Shape]]:
    shapes: dict[str, Shape] = {}
    layers: dict[str, Layer] = {}
    sources = {top for step in steps if step.cls.is_source for top in step.tops}
    if stray := given.keys() - sources:
        known = ", ".join(sorted(sources)) or "none"
        raise ShapeError(f"{min(stray)!r} is no input", fix=f"the inputs are {known}")
    for step in steps:
        with within(step.place):
            bottoms = [shapes[name] for name in step.bottoms]
            layer = build_layer(step.layer, step.cls, bottoms, given)
            tops: Sequence[Shape | None] = layer.checked_shapes(*bottoms)
            for name, shape in zip(step.tops, tops, strict=True):
                known_shape = given.get(name, shape)
                if known_shape is None:
                    why = f", and {layer.lacks.args[0]}" if layer.lacks else ""
                    raise ShapeError(
                        f"the file does not say the shape of {name!r}{why}",
                        fix=f"give it with --input-shape {name}=1,3,224,224",
                    )
                shapes[name] = known_shape
        layers[step.key] = layer
    return layers, shapes


def build_layer(
    layer: Any, cls: type[Layer], bottoms: list[Shape], given: Mapping[str, Shape]
) -> Layer:
    """Build one layer, its blobs not yet set; `given` are the shapes that the caller says."""
    try:
        with caffe_layers.unfilled():
            return caffe_layers.build(layer, bottoms, cls)
    except FormatError:
        # Its file cannot be read, and need not be where the caller says what will be fed.
        if not cls.is_source or given.keys().isdisjoint(layer.top):
            raise
        return Input(*(given.get(top) for top in layer.top))


def weight_files(net: PathName | Net, weights: PathName | Sequence[PathName] | None) -> list[Path]:
    if weights is None:
        if isinstance(net, Net):
            return []
        lone = Path(net)
        binary = lone.suffix in {".caffemodel", ".binaryproto"}
        return [lone] if binary else []
    if isinstance(weights, (str, PathLike)):
        return [Path(part) for part in fspath(weights).split(",") if part]
    return [Path(path) for path in weights]


__all__ = ["Loaded", "build", "load"]
