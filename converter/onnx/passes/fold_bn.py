"""Folding batch normalisation, and the scale after it, into the weights before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx
import torch
from torch import Tensor

from caffe_layers.arithmetic.affine import Affine, affine_chain
from converter.onnx.float16 import fits_half
from converter.onnx.graph import Graph, attribute, readers

from .request import Request

WEIGHTED = ("Conv", "ConvTranspose", "Gemm")
"""What takes a factor and a shift for each of its output channels into its weights."""


def fold_bn(graph: Graph, request: Request) -> str:
    """Fold every BatchNormalization that alone reads a convolution's output, or a Gemm's.

    Mul and Add by constants per channel that follow it go along. The node then writes the last of
    these values, and the ones before it are gone. Outputs of the graph stay, and so does a
    BatchNormalization whose folded weights would overflow the weights' type, or do not fit into
    float16 where that is asked for.
    """
    fewer_bits = request.half or request.calibration is not None or request.file_scales
    if not (request.options["fold_bn"] or fewer_bits):
        return ""
    fits = fits_half if request.half else _anything
    reading = readers(graph.nodes)
    alone = {name: nodes[0] for name, nodes in reading.items() if len(nodes) == 1}
    gone: list[onnx.NodeProto] = []
    for node in graph.nodes:
        if node.op_type in WEIGHTED and all(name in graph.initializers for name in node.input[1:]):
            chain, affine = _chain(graph, node, alone)
            if affine is not None and _apply(graph, node, affine, fits):
                _put_last(graph, node, chain)
                gone += chain
    places = {id(node) for node in gone}
    graph.nodes[:] = [node for node in graph.nodes if id(node) not in places]
    graph.drop_unread(reading)
    folded = sum(node.op_type == "BatchNormalization" for node in gone)
    return f"folded {folded} batch normalisations into the weights before them" if folded else ""


def _anything(blob: np.ndarray) -> bool:
    return True


def _chain(
    graph: Graph, node: onnx.NodeProto, alone: Mapping[str, onnx.NodeProto]
) -> tuple[list[onnx.NodeProto], Affine | None]:
    """Return the nodes that can be folded into one before them, the first a BatchNormalization."""
    weight = graph.initializers[node.input[1]]
    channels = len(_swapped(node, torch.empty(weight.shape, device="meta")))

    def reader(value: str) -> onnx.NodeProto | None:
        return None if value in graph.outputs else alone.get(value)

    def affine_of(node: onnx.NodeProto, value: str) -> Affine | None:
        return _affine(graph, node, value, channels, weight.ndim)

    first = reader(node.output[0])
    if first is None or first.op_type != "BatchNormalization":
        return [], None
    return affine_chain(node.output[0], reader, affine_of, lambda node: node.output[0])


def _affine(
    graph: Graph, node: onnx.NodeProto, value: str, channels: int, rank: int
) -> Affine | None:
    """Return what a node does to each channel of `value`, None if it does anything else."""
    others = [graph.initializers.get(name) for name in node.input if name != value]
    constants = [torch.tensor(other, dtype=torch.double) for other in others if other is not None]
    if not constants or len(constants) != len(others):
        return None
    if node.op_type == "BatchNormalization":
        weight, bias, mean, var = constants
        scale = weight / torch.sqrt(var + attribute(node, "epsilon", 1e-5))
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
    graph: Graph, node: onnx.NodeProto, affine: Affine, fits: Callable[[np.ndarray], bool]
) -> bool:
    """Put what follows a node into its weights; False if they cannot hold it."""
    weight, *biases = (torch.tensor(graph.initializers[name]) for name in node.input[1:])
    folded = affine.folded_into(_swapped(node, weight), biases[0] if biases else None)
    if folded is None:
        return False
    blobs = [blob.numpy() for blob in (_swapped(node, folded[0]), folded[1])]
    if not all(fits(blob) for blob in blobs):
        return False
    # New names: another node may read the old weights too.
    names = [f"{node.name}.folded_{what}" for what in ("weight", "bias")]
    graph.initializers.update(zip(names, blobs, strict=True))
    graph.learned.update(names)
    del node.input[1:]
    node.input.extend(names)
    return True


def _swapped(node: onnx.NodeProto, weight: Tensor) -> Tensor:
    """Return a node's weights with the output channels in front, and such ones as it stores them.

    A ConvTranspose has the inputs in front, group by group, and so has a Gemm without `transB`.
    """
    if node.op_type == "Conv" or attribute(node, "transB", 0):
        return weight
    groups = attribute(node, "group", 1)
    first, second, *kernel = weight.shape
    grouped = weight.reshape(groups, first // groups, second, *kernel).transpose(1, 2)
    return grouped.reshape(groups * second, first // groups, *kernel)


def _put_last(graph: Graph, node: onnx.NodeProto, chain: list[onnx.NodeProto]) -> None:
    """Let a node write the last value of a chain; the values before it are gone."""
    for before in (node, *chain[:-1]):
        graph.values.pop(before.output[0], None)
    node.output[0] = chain[-1].output[0]
