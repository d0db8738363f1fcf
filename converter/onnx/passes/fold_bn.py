"""Folding batch normalisation, and the scale behind it, into the convolution before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import onnx
import torch
from torch import Tensor

from caffe_layers.arithmetic.affine import Affine
from converter.onnx.graph import Graph


def fold_bn(graph: Graph, *, fits: Callable[[np.ndarray], bool] = lambda blob: True) -> int:
    """Fold every BatchNormalization that alone reads a Conv's output; return how many were folded.

    Mul and Add by constants per channel that follow it go along. The Conv then writes the last of
    these values, and the ones before it are gone. Outputs of the graph stay, and so does a
    BatchNormalization whose folded weights would overflow the weights' type, or do not satisfy
    `fits`.
    """
    readers = Counter(name for node in graph.nodes for name in node.input)
    before = set(readers)
    following = {name: node for node in graph.nodes for name in node.input if readers[name] == 1}
    gone: set[int] = set()
    folded = 0
    for conv in [node for node in graph.nodes if node.op_type == "Conv"]:
        if not all(name in graph.initializers for name in conv.input[1:]):
            continue
        chain, affine = _chain(graph, conv, following)
        if affine is None or not _apply(graph, conv, affine, fits):
            continue
        folded += sum(node.op_type == "BatchNormalization" for node in chain)
        graph.values.pop(conv.output[0], None)
        for node in chain[:-1]:
            graph.values.pop(node.output[0], None)
        conv.output[0] = chain[-1].output[0]
        gone.update(map(id, chain))
    graph.nodes[:] = [node for node in graph.nodes if id(node) not in gone]
    graph.drop_unread(before)
    return folded


def _chain(
    graph: Graph, conv: onnx.NodeProto, following: dict[str, onnx.NodeProto]
) -> tuple[list[onnx.NodeProto], Affine | None]:
    """Return the nodes behind a Conv that can be folded, the first a BatchNormalization."""
    weight = graph.initializers[conv.input[1]]
    chain: list[onnx.NodeProto] = []
    whole: Affine | None = None
    value = conv.output[0]
    while value not in graph.outputs and value in following:
        node = following[value]
        affine = _affine(graph, node, value, weight.shape[0], weight.ndim)
        if affine is None or (whole is None and node.op_type != "BatchNormalization"):
            break
        chain.append(node)
        whole = whole.then(affine) if whole else affine
        value = node.output[0]
    return chain, whole


def _affine(
    graph: Graph, node: onnx.NodeProto, value: str, channels: int, rank: int
) -> Affine | None:
    """Return what a node does to each channel of `value`, None if it does anything else."""
    others = [graph.initializers.get(name) for name in node.input if name != value]
    constants = [torch.tensor(other, dtype=torch.double) for other in others if other is not None]
    if not constants or len(constants) != len(others):
        return None
    if node.op_type == "BatchNormalization":
        epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
        weight, bias, mean, var = constants
        scale = weight / torch.sqrt(var + epsilon)
        return Affine(scale, bias - mean * scale)
    if node.op_type not in ("Mul", "Add"):
        return None
    constant = _per_channel(constants[0], channels, rank)
    if constant is None:
        return None
    if node.op_type == "Mul":
        return Affine(constant, torch.zeros_like(constant))
    return Affine(torch.ones_like(constant), constant)


def _per_channel(constant: Tensor, channels: int, rank: int) -> Tensor | None:
    """Return a constant's value for each channel, None if it varies along another axis."""
    if constant.ndim > rank:
        return None
    shape = (1,) * (rank - constant.ndim) + constant.shape
    if shape[1] not in (1, channels) or any(size != 1 for size in (shape[0], *shape[2:])):
        return None
    return constant.reshape(-1).expand(channels)


def _apply(
    graph: Graph, conv: onnx.NodeProto, affine: Affine, fits: Callable[[np.ndarray], bool]
) -> bool:
    """Put an affine step behind a Conv into its weights; False if they cannot hold it."""
    weight, *biases = (torch.tensor(graph.initializers[name]) for name in conv.input[1:])
    folded = affine.folded_into(weight, biases[0] if biases else None)
    if folded is None or not all(fits(blob.numpy()) for blob in folded):
        return False
    # New names: another node may read the old weights too.
    names = [f"{conv.name}.folded_{what}" for what in ("weight", "bias")]
    graph.initializers.update(zip(names, (blob.numpy() for blob in folded), strict=True))
    graph.learned.update(names)
    del conv.input[1:]
    conv.input.extend(names)
    return True
