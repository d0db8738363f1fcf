"""The ONNX file of a loaded network."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import numpy as np
import onnx
import torch
from typing_extensions import Unpack

from caffe_layers import Shape
from converter.keywords import complete, only, refuse_unknown
from converter.network.net import CaffeNet
from converter.network.origin import metadata
from converter.preprocessing import Preprocessing, image_input
from converter.version import VERSION
from prototxt.atomic import writing
from prototxt.errors import UnsupportedError

from .emit import emit
from .file import write_onnx
from .graph import Graph
from .images import Images
from .options import DEFAULT_OPSET, ExportOptions, GraphOptions
from .passes import Request, rewrite
from .quantization.calibration import Calibration
from .quantization.file_scales import LayerScales, scales_of
from .targets import check_graph, check_options, get_target


def export_onnx(
    net: CaffeNet,
    path: str | PathLike[str],
    *,
    input_shapes: Mapping[str, Shape] | None = None,
    preprocessing: Preprocessing | None = None,
    images: Preprocessing | None = None,
    half: bool = False,
    calibration: Calibration | None = None,
    file_scales: bool = False,
    **options: Unpack[ExportOptions],
) -> Graph:
    """Write the network as ONNX, whole or not at all; return the graph that was written.

    The graph's `notes` say what was done. The small groups of an optimised network's convolutions
    are joined (`passes.join_groups`). Weights of more than 2 GiB go into `<path>.data`. The model's
    metadata name the files that the network came from, with their hashes, and say what images need.

    Args:
        net: the network.
        path: the file.
        input_shapes: shapes by input, in place of the network's.
        preprocessing: what is built in: the model takes RGB images, N x H x W x 3 bytes of any
            size, as its input `image`.
        images: what the metadata say of images that the caller prepares; a mean image goes into
            `<stem>.mean.npy`.
        half: a float32 network's model is folded and one of float16 between its inputs and outputs
            (`passes.to_half`); `notes` say what stays in float32.
        calibration: products and what lies between them are in eight bits, with ranges that are
            measured on it (`passes.to_int8`); `notes` say what stays in float32.
        file_scales: they are so with the scales that the network's file has (Intel Caffe's
            `quantization_param`), where no `calibration` is given; UnsupportedError for one that
            has none.
        **options: `opset` (of the operators), `dynamic` (the free axes of the inputs: "batch",
            the default, "height", "width"), `target` (an engine of `targets.TARGETS`: the file is
            of such forms as it computes rightly, or UnsupportedError names the layer that has
            none), `with_losses` (loss and accuracy layers are kept), `softmax` (the model ends in
            probabilities), `fold_bn` (normalisation is folded into the weights before it, whose
            values by Caffe's names are then gone), `half_io` (inputs and outputs in float16 too).

    Raises CaffeError for what ONNX cannot say, with the layer.
    """
    refuse_unknown(export_onnx, ExportOptions, options)
    int8 = calibration is not None or file_scales
    if (half or int8) and net.dtype != torch.float32:
        raise UnsupportedError(
            f"the network is in {str(net.dtype).removeprefix('torch.')}, "
            f"{'half precision is' if half else 'eight bits are'} made of float32",
            fix="load it in float32",
        )
    if half and int8:
        raise UnsupportedError("a model is of half precision or of eight bits, not of both")
    target = options.get("target")
    if target is not None:
        check_options(target, options.get("opset", DEFAULT_OPSET), half=half)
    graph = emit(net, input_shapes=input_shapes, **only(GraphOptions, options))
    request = Request(
        complete(ExportOptions, options),
        optimized=net.optimized,
        half=half,
        calibration=calibration,
        file_scales=_file_scales(net) if file_scales and calibration is None else {},
        preprocessing=preprocessing,
        data=image_input(net) if preprocessing is not None else "",
    )
    rewrite(graph, request)
    if target is not None:
        check_graph(target, graph)
        graph.metadata["caffeport.target"] = get_target(target).version
        graph.notes.append(f"written for {get_target(target).version}")
    graph.metadata |= metadata(net.origin, VERSION)
    if preprocessing is not None:
        graph.metadata |= Images(image_input(net), preprocessing, embedded=True).metadata()
    elif images is not None:
        graph.metadata |= _stated(image_input(net), images, Path(path)).metadata()
    write_onnx(graph, Path(path), VERSION)
    return graph


def _file_scales(net: CaffeNet) -> dict[str, LayerScales]:
    """Return the scales of eight bits that a network's file has; UnsupportedError for none."""
    found = scales_of(net)
    if not found:
        raise UnsupportedError(
            "the network's file has no scales of eight bits", fix="measure them on data"
        )
    return found


def _stated(name: str, images: Preprocessing, path: Path) -> Images:
    """Return what is said of images that the caller prepares; a mean image is written beside."""
    if images.mean_image is None:
        return Images(name, images)
    beside = path.with_suffix(".mean.npy")
    with writing(beside) as file:
        np.save(file, images.mean_image)
    return Images(name, images, mean_file=beside.name)


def check_onnx(path: str | PathLike[str]) -> None:
    """Run ONNX's own checker, shape inference included; raises onnx.checker.ValidationError."""
    onnx.checker.check_model(str(path), full_check=True)
