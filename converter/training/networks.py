"""The networks of a solver: one that learns, and those that are tested with its blobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from os import PathLike

import torch

from caffe_layers import Shape
from caffe_layers.base.layer import Registry
from converter.loading.load import load
from converter.loading.options import Rename
from converter.network.build import UnsaidShapeError
from converter.network.net import CaffeNet
from converter.network.parameters import learnable
from prototxt.errors import ShapeError, UnsupportedError, WeightError, within
from prototxt.passes.filter import has_levels, stages_of
from prototxt.paths import split_list

from .definitions import SolverNet


def load_net(
    net: SolverNet,
    weights: str | PathLike[str] | Sequence[str | PathLike[str]],
    *,
    dtype: torch.dtype,
    device: torch.device,
    dialect: str | None,
    seed: int,
    layers: Registry,
    input_shapes: Mapping[str, Shape] | None = None,
    rename: Rename | None = None,
    ignore: Iterable[str] = (),
) -> CaffeNet:
    """Load one network of a solver; layers that no weights have keep their fillers' values.

    What is mapped to a layer that this network lacks is another one's; a state may ask for more
    than the network's rules do.
    """
    own = {layer.name for layer in net.definition.layers}
    here = {
        old: [name for name in (split_list(new) if isinstance(new, str) else new) if name in own]
        for old, new in (rename or {}).items()
    }
    return load(
        net.definition,
        weights,
        phase=net.phase,
        level=net.level if has_levels(net.definition) else 0,
        stages=[stage for stage in net.stages if stage in stages_of(net.definition)],
        dtype=dtype,
        device=device,
        dialect=dialect,
        allow_missing=True,
        seed=seed,
        layers=layers,
        input_shapes=input_shapes,
        rename={old: new for old, new in here.items() if new},
        ignore=ignore,
    )


def share_trained(test: CaffeNet, train: CaffeNet) -> None:
    """Let the test network's blobs be those of the trained layers of the same names.

    They share memory, so that both change together. Layers that only one of them has are left
    alone. Raises WeightError where a layer's blobs differ in number or shape.

    Caffe: src/caffe/net.cpp, ShareTrainedLayersWith
    """
    targets: dict[str, str] = {}
    for step in test.steps:
        targets.setdefault(step.layer.name, step.key)
    with within(test.source), torch.no_grad():
        for step in train.steps:
            if step.layer.name not in targets:
                continue
            source = train.layers[step.key]
            target = test.layers[targets[step.layer.name]]
            with within(step.place):
                if len(source.blobs) != len(target.blobs):
                    raise WeightError(
                        f"{len(target.blobs)} blobs in test, {len(source.blobs)} in training"
                    )
                for index, (mine, theirs) in enumerate(
                    zip(target.blobs, source.blobs, strict=True)
                ):
                    if mine.shape != theirs.shape:
                        raise WeightError(
                            f"blob {index} is {tuple(mine.shape)} in test, "
                            f"{tuple(theirs.shape)} in training"
                        )
                    if not target.shares_blob(target.blob_names[index]):
                        mine.data = theirs.detach()


def ask_recurrent(net: CaffeNet) -> None:
    """Ask gradients for the frozen blobs of recurrent layers too, wherever these go backward.

    Caffe unrolls such a layer into a network of its own, which knows no `lr_mult`: what a frozen
    blob gets there counts in the norm that `clip_gradients` bounds, and in its history.

    Caffe: src/caffe/layers/recurrent_layer.cpp, LayerSetUp
    """
    moving: set[str] = set()
    for step in net.steps:
        layer = net.layers[step.key]
        below = step.propagate_down or [bottom in moving for bottom in step.bottoms]
        if any(below) or any(blob.requires_grad for blob in layer.blobs):
            moving.update(step.tops)
            if layer.unrolled:
                for blob in layer.parameters():
                    blob.requires_grad_()


@contextmanager
def reading() -> Iterator[None]:
    """Let an input without a shape be the error of its data, where nothing else feeds it."""
    try:
        yield
    except UnsaidShapeError as error:
        if error.unread is None:
            raise
        unread = copy(error.unread)
        unread.path = [*error.path, *unread.path]
        raise unread from None


def check_fed(net: CaffeNet) -> None:
    """Raise UnsupportedError for a network with a layer that only a caller could feed."""
    for step in net.steps:
        layer = net.layers[step.key]
        if step.cls.is_source and not layer.makes_tops:
            with within(net.source), within(step.place):
                if layer.read_error is not None:
                    raise layer.read_error
                raise UnsupportedError(
                    f"{', '.join(map(repr, step.blobs))} would have to be fed, and the network's "
                    "own data layers are all that is read",
                    fix="read data with HDF5Data, Data or ImageData, or in Python pass `feed`",
                )


def check_loss(net: CaffeNet) -> None:
    """Raise ShapeError for a network without a loss or without blobs: nothing could be learnt."""
    if not learnable(net.layers):
        raise ShapeError(f"{net.source}: no layer has blobs in phase {net.phase}")
    if not any(weight for step in net.steps for weight in step.loss_weights):
        raise ShapeError(f"{net.source}: no layer has a loss in phase {net.phase}")
