"""Weights in and out of a running network.

Caffe: src/caffe/net.cpp, CopyTrainedLayersFrom, ShareTrainedLayersWith, ToProto, ToHDF5
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path

import numpy as np

from converter.loading.weights import blobs_for, fill_layer
from prototxt import Weights, write_caffemodel, write_hdf5
from prototxt.binary.caffemodel import LayerWeights
from prototxt.errors import WeightError, within
from prototxt.passes.saved_form import saved_form

from .engine.build import Draft
from .engine.module_node import ModuleNode
from .engine.node import Node


def copy_weights(draft: Draft, weights: Weights) -> None:
    """Copy a file's blobs into the layers of the same names; what only one side has stays.

    Of two layers of one name the first is filled from binary files and the last from HDF5. Raises
    WeightError where blobs do not fit.
    """
    hdf5 = weights.generation == "HDF5"
    with within(weights.source):
        targets = _by_name(draft.nodes, last=hdf5)
        for source in weights.layers:
            if (node := targets.get(source.name)) is not None:
                with within(node.place):
                    _copy(node, source, weights.generation)


def _copy(node: Node, source: LayerWeights, generation: str) -> None:
    if isinstance(node, ModuleNode):
        node.bind()
        fill_layer(node.module, blobs_for(node.module, source, generation))
        return
    missing = len(node.blobs) - len(source.blobs) if generation == "HDF5" else 0
    blobs = [*source.blobs, *[None] * missing]
    if len(blobs) != len(node.blobs):
        raise WeightError(f"{len(blobs)} blobs, wants {len(node.blobs)}")
    for index, (blob, target) in enumerate(zip(blobs, node.blobs, strict=True)):
        if blob is None or not blob.fits(target._shape):
            shape = "missing" if blob is None else blob.shape
            raise WeightError(f"blob {index} is {shape}, wants {target._shape}")
        np.copyto(target.data, blob.array.reshape(target._shape), casting="same_kind")


def share_weights(draft: Draft, other: Draft) -> None:
    """Let the blobs of layers of the same names hold the other network's values, for good."""
    targets = _by_name(draft.nodes, last=False)
    for source in other.nodes:
        target = targets.get(source.step.layer.name)
        if target is None:
            continue
        with within(target.place):
            if len(target.blobs) != len(source.blobs):
                raise WeightError(f"{len(source.blobs)} blobs to share, has {len(target.blobs)}")
            for index, (mine, theirs) in enumerate(zip(target.blobs, source.blobs, strict=True)):
                if mine._shape != theirs._shape:
                    raise WeightError(f"blob {index} is {mine._shape}, shared {theirs._shape}")
                mine.share(theirs)


def save(draft: Draft, path: str | PathLike[str]) -> None:
    """Write a .caffemodel as Caffe writes it."""
    losses = [index for index, node in enumerate(draft.nodes) if node.step.cls.is_loss]
    blobs: dict[int | str, list[np.ndarray]] = {
        index: [blob.data for blob in node.blobs] for index, node in enumerate(draft.nodes)
    }
    form = saved_form(draft.definition, draft.phase, losses)
    write_caffemodel(Path(fspath(path)), form, blobs)


def save_hdf5(draft: Draft, path: str | PathLike[str], *, write_diff: bool = False) -> None:
    """Write weights to an HDF5 file, a shared blob once; all blobs' gradients with `write_diff`."""
    seen: set[int] = set()
    layers: list[tuple[str, list[np.ndarray | None]]] = []
    for node in draft.nodes:
        own: list[np.ndarray | None] = []
        for blob in node.blobs:
            first = id(blob._diff) not in seen  # only blobs of one network share their gradient
            seen.add(id(blob._diff))
            own.append(blob.data if first else None)
        layers.append((node.step.layer.name, own))
    diffs = [(node.step.layer.name, [blob.diff for blob in node.blobs]) for node in draft.nodes]
    write_hdf5(Path(fspath(path)), layers, diffs if write_diff else None)


def _by_name(nodes: Sequence[Node], *, last: bool) -> dict[str, Node]:
    targets: dict[str, Node] = {}
    for node in nodes:
        if last or node.step.layer.name not in targets:
            targets[node.step.layer.name] = node
    return targets
