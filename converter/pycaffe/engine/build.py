"""From a definition to the layers and blobs of a running network, as Caffe sets one up.

Caffe: src/caffe/net.cpp, Init
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

import caffe_layers
from caffe_layers.base.layer import DEFAULT
from converter.loading.passes import Request, rewrite
from converter.network.layers import Layers
from converter.network.sharing import share
from converter.network.steps import AUTOMATIC, Step, build_steps
from prototxt import Net, Weights, insert_splits
from prototxt.errors import within

from .blob import Blob, BlobVec, shapes_of
from .layer import Layer
from .memory import Memory
from .module_node import ModuleNode
from .node import Node, SharingNode
from .python_node import PythonNode, UserCode, running_users_code
from .source_node import SourceNode

Phase = Literal["TRAIN", "TEST"]


@dataclass
class Draft:
    """A network as it is set up: its definition with Splits, its layers, and its blobs in order."""

    definition: Net
    phase: Phase
    nodes: list[Node] = field(default_factory=list)
    blobs: list[Blob] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    bottom_ids: list[list[int]] = field(default_factory=list)
    top_ids: list[list[int]] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)


def draft_of(
    net: Net,
    phase: Phase,
    *,
    level: int = 0,
    stages: Iterable[str] = (),
    files: Sequence[Weights] = (),
    dialect: str | None = None,
) -> Draft:
    """Return the network of a definition as read; its blobs have their fillers' values.

    The weights' `files` help to tell what its types stand for. Raises CaffeError, with the file and
    the layer, where Caffe would abort; what a layer of the user's raises passes through.
    """
    registry = running_users_code(DEFAULT)
    request = Request(
        phase, level, tuple(stages), weights=files, dialect=dialect, registry=registry
    )
    rewritten, _ = rewrite(net, request)
    shapes = {
        layer.name: [blob.shape for blob in layer.blobs if blob is not None]
        for weights in files
        for layer in weights.layers
    }
    with within(net.source), torch.no_grad():
        definition = insert_splits(rewritten)
        steps = build_steps(definition, blobs=shapes, dialect=dialect, registry=registry)
        draft = Draft(definition, phase)
        _add_layers(draft, steps)
        _share_blobs(draft)
        _set_needs(draft)
    return draft


def _add_layers(draft: Draft, steps: Sequence[Step]) -> None:
    places: dict[str, int] = {}
    left: set[str] = set()
    for step in steps:
        bottoms = [places[name] for name in step.layer.bottom]
        left.difference_update(step.layer.bottom)
        tops = []
        for name in step.blobs:
            if name in step.layer.bottom and name not in (AUTOMATIC,):
                tops.append(places[name])
            else:
                places[name] = len(draft.blobs)
                tops.append(places[name])
                draft.blobs.append(Blob())
                draft.names.append(name if name in step.layer.top else AUTOMATIC)
            if name in step.layer.top:
                left.add(name)
        node = _node(draft, step, bottoms, tops)
        node.weigh_losses(step.loss_weights)
        draft.weights += [0.0] * (len(draft.blobs) - len(draft.weights))
        for index, weight in zip(tops, step.loss_weights, strict=True):
            draft.weights[index] = weight
        if isinstance(node, SourceNode) and node.is_input:
            draft.inputs += tops
        draft.nodes.append(node)
        draft.bottom_ids.append(bottoms)
        draft.top_ids.append(tops)
    draft.outputs = [places[name] for name in sorted(left)]


def _node(draft: Draft, step: Step, bottoms: list[int], tops: list[int]) -> Node:
    """Set one layer up between its blobs."""
    below, above = [draft.blobs[i] for i in bottoms], [draft.blobs[i] for i in tops]
    if step.cls is UserCode:
        phase = step.layer.phase if step.layer.HasField("phase") else draft.phase == "TEST"
        made = PythonNode(step, below, above, int(phase))
        made.setup()
        return made
    layer = Layer()
    layer.type = step.layer.type
    with within(step.place):
        module = caffe_layers.build(step.layer, shapes_of(below), step.cls)
    module.train(draft.phase == "TRAIN")
    if step.cls.is_source:
        source = SourceNode(layer, step, above, module)
        with within(step.place):
            source.setup()
        return source
    if step.cls.is_copy or step.cls.is_view:
        sharing = SharingNode(layer, step, below, above, module)
        with within(step.place):
            sharing.reshape()
        return sharing
    node = ModuleNode(layer, step, below, above, module)
    node.own(BlobVec(Blob(tuple(blob.shape), Memory(blob.data)) for blob in module.blobs))
    with within(step.place):
        node.reshape()
    return node


def _share_blobs(draft: Draft) -> None:
    """Let blobs of one name lie in their first owner's memory, values and gradients."""
    nodes = {node.step.key: node for node in draft.nodes if isinstance(node, ModuleNode)}
    modules = Layers((key, node.module) for key, node in nodes.items())
    share([node.step for node in nodes.values()], modules)
    owners: dict[int, Blob] = {}
    for node in nodes.values():
        for stored, blob in zip(node.module.stored_blobs, node.blobs, strict=True):
            owner = owners.setdefault(id(stored), blob)
            if owner is not blob:
                blob.share(owner, diff=True)
        node.own(node.blobs)


def _set_needs(draft: Draft) -> None:
    """Find which layers run backward, and which of their bottoms and blobs get gradients."""
    moving = [False] * len(draft.blobs)
    for node, bottoms, tops in zip(draft.nodes, draft.bottom_ids, draft.top_ids, strict=True):
        node.bottom_needs = list(node.step.propagate_down) or [moving[i] for i in bottoms]
        node.blob_needs = [node.multiplier(index) != 0 for index in range(len(node.blobs))]
        node.needs_backward = any(moving[i] for i in bottoms) or any(node.blob_needs)
        for index in tops if node.needs_backward else ():
            moving[index] = True
    _leave_out(draft)
    if draft.definition.header.force_backward:
        for node in draft.nodes:
            node.needs_backward = True
            fixed: Any = node.step.cls.fixed_bottoms
            node.bottom_needs = [
                needed or index not in fixed for index, needed in enumerate(node.bottom_needs)
            ]
            node.blob_needs = [True] * len(node.blobs)
    for node in draft.nodes:
        if isinstance(node, ModuleNode):
            for stored, needed in zip(node.module.stored_blobs, node.blob_needs, strict=True):
                if isinstance(stored, torch.nn.Parameter):
                    stored.requires_grad_(needed or stored.requires_grad)


def _leave_out(draft: Draft) -> None:
    """Leave out of the backward pass what no loss depends on, or nothing below wants."""
    under_loss: set[int] = set()
    skipped: set[int] = set()
    rows = zip(draft.nodes, draft.bottom_ids, draft.top_ids, strict=True)
    for node, bottoms, tops in reversed(list(rows)):
        counts = any(node.losses) or not under_loss.isdisjoint(tops)
        if node.needs_backward and skipped.issuperset(tops):
            node.needs_backward = False
            node.bottom_needs = [False] * len(bottoms)
        if not counts:
            node.needs_backward = False
            node.bottom_needs = [False] * len(bottoms)
        else:
            under_loss.update(bottoms)
        skipped.update(
            i for i, needed in zip(bottoms, node.bottom_needs, strict=True) if not needed
        )
