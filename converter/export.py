"""The ONNX file of a loaded network."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from os import PathLike
from pathlib import Path

import onnx

from caffe_layers import Shape

from . import passes
from .emit import DEFAULT_OPSET, emit
from .emitter import Graph
from .module import CaffeNet
from .onnx_file import write_onnx
from .preprocessing import Preprocessing, embed, image_input
from .sources import metadata
from .version import VERSION


def export_onnx(
    net: CaffeNet,
    path: str | PathLike[str],
    *,
    opset: int = DEFAULT_OPSET,
    dynamic: Collection[str] = ("batch",),
    input_shapes: Mapping[str, Shape] | None = None,
    with_losses: bool = False,
    softmax: bool = False,
    fold_bn: bool = False,
    preprocessing: Preprocessing | None = None,
) -> Graph:
    """Write the network as ONNX, whole or not at all; return the graph that was written.

    `dynamic` names the free axes of the inputs: batch, height, width. See `emit` for the rest.
    `fold_bn` folds batch normalisation into the convolution before it, whose values by Caffe's
    names are then gone. With `preprocessing` the model takes RGB images, N x H x W x 3 bytes of any
    size, as its input `image`. Weights of more than 2 GiB go into `<path>.data`. The model's
    metadata name the files that the network came from, with their hashes.
    """
    graph = emit(
        net,
        opset=opset,
        dynamic=dynamic,
        input_shapes=input_shapes,
        with_losses=with_losses,
        softmax=softmax,
    )
    if fold_bn:
        passes.fold_bn(graph)
    if preprocessing is not None:
        embed(graph, image_input(net), preprocessing)
    graph.metadata = metadata(net.sources, VERSION)
    write_onnx(graph, Path(path), VERSION)
    return graph


def check_onnx(path: str | PathLike[str]) -> None:
    """Run ONNX's own checker, shape inference included; raises onnx.checker.ValidationError."""
    onnx.checker.check_model(str(path), full_check=True)
