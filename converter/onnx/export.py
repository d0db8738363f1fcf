"""The ONNX file of a loaded network."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from os import PathLike
from pathlib import Path

import onnx
import torch

from caffe_layers import Shape
from converter.network.net import CaffeNet
from converter.network.origin import metadata
from converter.preprocessing import Preprocessing, image_input
from converter.version import VERSION
from prototxt.errors import UnsupportedError

from . import passes
from .builder import Graph
from .emit import DEFAULT_OPSET, emit
from .file import write_onnx


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
    half: bool = False,
    half_io: bool = False,
) -> Graph:
    """Write the network as ONNX, whole or not at all; return the graph that was written.

    `dynamic` names the free axes of the inputs: batch, height, width. See `emit` for the rest.
    `fold_bn` folds batch normalisation into the convolution before it, whose values by Caffe's
    names are then gone. The small groups of an optimised network's convolutions are joined
    (`passes.join_groups`). With `preprocessing` the model takes RGB images, N x H x W x 3 bytes of
    any size, as its input `image`. `half` folds too, and turns a float32 network's model into one
    of float16 between its inputs and outputs, with `half_io` at them too (`passes.to_half`); what
    stays in float32 is said in the graph's `notes`. Weights of more than 2 GiB go into
    `<path>.data`. The model's metadata name the files that the network came from, with their
    hashes.
    """
    if half and net.dtype != torch.float32:
        raise UnsupportedError(
            f"half precision of a network in {str(net.dtype).removeprefix('torch.')}",
            fix="load it in float32",
        )
    graph = emit(
        net,
        opset=opset,
        dynamic=dynamic,
        input_shapes=input_shapes,
        with_losses=with_losses,
        softmax=softmax,
    )
    if half:
        passes.fold_bn(graph, fits=passes.fits_half)
    elif fold_bn:
        passes.fold_bn(graph)
    if net.optimized and (joined := passes.join_groups(graph)):
        graph.notes.append(f"joined the small groups of {joined} convolutions, zeros between them")
    if preprocessing is not None:
        passes.embed_preprocessing(graph, image_input(net), preprocessing)
    if half:
        graph.notes += passes.to_half(graph, ends=half_io)
    graph.metadata |= metadata(net.origin, VERSION)
    write_onnx(graph, Path(path), VERSION)
    return graph


def check_onnx(path: str | PathLike[str]) -> None:
    """Run ONNX's own checker, shape inference included; raises onnx.checker.ValidationError."""
    onnx.checker.check_model(str(path), full_check=True)
