"""From files to a loaded network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from os import PathLike, fspath
from pathlib import Path

import torch

from caffe_layers import Shape
from caffe_layers.base.layer import Registry
from converter.network import global_pool as pools
from converter.network.build import Draft, draft
from converter.network.net import CaffeNet
from converter.network.origin import Loaded, Origin
from converter.seed import SEED
from prototxt import Net, Weights, read_net, read_weights
from prototxt.errors import (
    CaffeError,
    FormatError,
    ShapeError,
    WeightError,
    within,
)
from prototxt.paths import PathName, split_list
from prototxt.schema import SHIPPED

from .device import on_device
from .options import Phase
from .passes import Request, rewrite
from .user_layers import Layers, registry_of
from .weights import fill


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
    seed: int = SEED,
    deploy: bool = False,
    layers: Layers = None,
) -> CaffeNet:
    """Return the network of a prototxt with the weights of one or more caffemodels.

    `net` may be a lone `.caffemodel`, which holds its definition, or what `prototxt.read_net` gave.
    Without weights the blobs get their fillers' values, drawn from `seed`. `input_shapes` replaces
    those of the file; `values` fill a template's placeholders, as {"NUM_LABELS": "21"};
    `global_pool` lets an average pool over the whole map follow other sizes.
    TEST networks come in `.eval()`, TRAIN ones in `.train()`. Blobs with `lr_mult: 0` have
    `requires_grad` False, but for the definition's `force_backward`. `deploy` takes a training
    definition's deployable part; the network's `notes` say what that left out. `layers` names
    Python files with layers of your own, for this network alone.

    Raises CaffeError, with the file and the place in it, for whatever is wrong.
    """
    registry = registry_of(layers, net.schema if isinstance(net, Net) else SHIPPED)
    schema = registry.schema
    paths = weight_files(net, weights)
    if isinstance(net, Net):
        definition = replace(net, schema=schema)
        if values:
            raise FormatError(f"{net.source}: a network that was read already takes no values")
    else:
        definition = read_net(
            fspath(net),
            allow_unknown=allow_unknown,
            dialect=dialect,
            values=values,
            schema=schema,
        )
    files = [read_weights(path, schema=schema) for path in paths]
    if require_weights and not files:
        raise WeightError(f"{definition.source}: no weights are given", fix="name the caffemodel")
    given = dict(input_shapes or {})
    request = Request(
        phase=phase,
        level=level,
        stages=tuple(stages),
        input_shapes=given,
        values=values or {},
        weights=files,
        dialect=dialect,
        registry=registry,
        deploy=deploy,
    )
    rewritten, notes = rewrite(definition, request)
    filled = partial(
        _filled,
        rewritten,
        files,
        given,
        dialect,
        dtype,
        registry,
        rename=rename,
        ignore=ignore,
        allow_missing=allow_missing,
        seed=seed,
    )
    try:
        made, loaded = filled(global_pool=global_pool)
    except (ShapeError, WeightError) as error:
        if given and not global_pool:
            with suppress(CaffeError):  # said only where it helps
                own = draft(rewritten, files, dialect=dialect, registry=registry)
                _blame_other_inputs(error, own, given)
                filled(global_pool=True)
                error.fix = pools.advice(pools.fixed_pools(own.steps, own.layers, own.shapes))
        raise
    origin = Origin.of(definition, files, values)
    origin = replace(origin, loaded=loaded).noting(*notes)
    built = made.network(origin)
    with on_device(device):
        return built.to(device=device, dtype=dtype)


def _filled(
    net: Net,
    files: Sequence[Weights],
    input_shapes: Mapping[str, Shape],
    dialect: str | None,
    dtype: torch.dtype,
    registry: Registry,
    *,
    global_pool: bool,
    rename: Mapping[str, str] | None,
    ignore: Iterable[str],
    allow_missing: bool,
    seed: int,
) -> tuple[Draft, Loaded]:
    """Return the parts of a filtered network with their blobs set, and what was loaded."""
    with within(net.source):
        made = draft(net, files, input_shapes, dialect, registry, global_pool=global_pool)
    made.layers.to(torch.float64 if dtype == torch.float64 else torch.float32)
    loaded = fill(
        made.steps,
        made.layers,
        files,
        rename=rename,
        ignore=ignore,
        allow_missing=allow_missing,
        generator=torch.Generator().manual_seed(seed),
    )
    return made, loaded


def _blame_other_inputs(error: CaffeError, own: Draft, given: Mapping[str, Shape]) -> None:
    batches = {shape[0] for shape in given.values() if shape}
    for name, shape in own.input_shapes.items():
        if name not in given and shape and shape[0] not in batches and not error.fix:
            error.fix = f"{name!r} is still {shape}, as the file says: give its --input-shape too"


def weight_files(net: PathName | Net, weights: PathName | Sequence[PathName] | None) -> list[Path]:
    if weights is None:
        if isinstance(net, Net):
            return []
        lone = Path(net)
        binary = lone.suffix in {".caffemodel", ".binaryproto"}
        return [lone] if binary else []
    if isinstance(weights, (str, PathLike)):
        return [Path(name) for name in split_list(fspath(weights))]
    return [Path(path) for path in weights]
