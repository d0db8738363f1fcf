"""caffe.draw: a definition as a picture, without Graphviz.

Caffe: python/caffe/draw.py
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from caffe_layers import LAYERS

from .picture import Graph, Node, lines_of

COLOURS = {"convolution": "#FF5050", "pooling": "#FF9900", "inner product": "#CC33FF"}
OTHERS, IN_PLACE, BLOB = "#6495ED", "#90EE90", "#E0E0E0"
LAYER_STYLE_DEFAULT = {"shape": "record", "fillcolor": OTHERS, "style": "filled"}
NEURON_LAYER_STYLE = {"shape": "record", "fillcolor": IN_PLACE, "style": "filled"}
BLOB_STYLE = {"shape": "octagon", "fillcolor": BLOB, "style": "filled"}


def get_pooling_types_dict() -> dict[int, str]:
    """Map the numbers of the ways to pool to their names."""
    param = import_module("caffe.proto.caffe_pb2").PoolingParameter
    return {number: name for name, number in param.PoolMethod.items()}


def get_edge_label(layer: Any) -> str:
    """Return what stands at a layer's tops: the size of a batch, or the number of outputs."""
    if layer.HasField("data_param"):
        return f"Batch {layer.data_param.batch_size}"
    for name in ("convolution_param", "inner_product_param"):
        if layer.HasField(name):
            return str(getattr(layer, name).num_output)
    return '""'


def get_layer_lr_mult(layer: Any) -> tuple[float, float]:
    """Return the factors of the learning rate of weights and bias; ValueError if it has none."""
    if not (layer.HasField("convolution_param") or layer.HasField("inner_product_param")):
        raise ValueError(f"{layer.type} layers do not have a learning rate multiplier")
    rows = [row.lr_mult for row in layer.param]
    if len(rows) > 2:
        raise ValueError("Could not parse the learning rate multiplier")
    weights, bias = [*rows, 1.0, 1.0][:2] if rows else (1.0, 1.0)
    return weights, bias


def get_layer_label(layer: Any, rankdir: str, display_lrm: bool = False) -> str:
    """Return what stands in a layer's box: name, type, and a window's sizes."""
    separator = " " if rankdir in ("TB", "BT") else r"\n"
    words = [layer.name]
    kind = layer.type
    if layer.HasField("pooling_param"):
        kind += f" {get_pooling_types_dict()[layer.pooling_param.pool]}"
    words.append(f"({kind})")
    for name in ("pooling_param", "convolution_param"):
        if layer.HasField(name):
            param = getattr(layer, name)
            sizes = (_first(param.kernel_size, 1), _first(param.stride, 1), _first(param.pad, 0))
            words += [
                f"{what}: {size}"
                for what, size in zip(("kernel size", "stride", "pad"), sizes, strict=True)
            ]
    if display_lrm and (
        layer.HasField("convolution_param") or layer.HasField("inner_product_param")
    ):
        words.append("lr mult: {:.1f}, {:.1f}".format(*get_layer_lr_mult(layer)))
    return f'"{separator.join(words)}"'


def _first(given: Any, default: int) -> int:
    """Return a size that is one number, or the first of several."""
    if isinstance(given, int):
        return given
    return given[0] if len(given) else default


def choose_color_by_layertype(layertype: str) -> str:
    """Return the colour of a type's boxes."""
    readings = LAYERS.get(layertype, {}).values()
    return next((COLOURS[cls.family] for cls in readings if cls.family in COLOURS), OTHERS)


def get_pydot_graph(
    caffe_net: Any,
    rankdir: str,
    label_edges: bool = True,
    phase: int | None = None,
    display_lrm: bool = False,
) -> Graph:
    """Return the graph of a NetParameter's layers and blobs; its `create(format)` draws it."""
    graph = Graph(caffe_net.name or "Net", rankdir)
    blobs: dict[str, int] = {}
    for layer in caffe_net.layer:
        if not _is_included(layer, phase):
            continue
        label = get_layer_label(layer, rankdir, display_lrm)
        in_place = len(layer.bottom) == 1 and list(layer.bottom) == list(layer.top)
        colour = IN_PLACE if in_place else choose_color_by_layertype(layer.type)
        for name in layer.bottom:
            if name not in blobs:  # what a part of a definition reads from outside
                blobs[name] = graph.add(Node((name,), BLOB, is_blob=True))
        own = graph.add(Node(tuple(lines_of(label)), colour))
        graph.edges += [(blobs[name], own, "") for name in layer.bottom]
        at_top = get_edge_label(layer).strip('"') if label_edges else ""
        for name in layer.top:
            if in_place:
                blobs[name] = own  # the next reader's arrow starts here
                continue
            blobs[name] = graph.add(Node((name,), BLOB, is_blob=True))
            graph.edges.append((own, blobs[name], at_top))
    return graph


def _is_included(layer: Any, phase: int | None) -> bool:
    if phase is None:
        return True
    if layer.include and layer.exclude:
        raise ValueError(f"layer {layer.name} has both include and exclude specified.")
    if layer.include:
        return any(rule.phase == phase for rule in layer.include)
    return all(rule.phase != phase for rule in layer.exclude)


def draw_net(
    caffe_net: Any,
    rankdir: str,
    ext: str = "png",
    phase: int | None = None,
    display_lrm: bool = False,
) -> bytes:
    """Return the picture of a NetParameter, in the format of a file's extension."""
    return get_pydot_graph(caffe_net, rankdir, phase=phase, display_lrm=display_lrm).create(ext)


def draw_net_to_file(
    caffe_net: Any,
    filename: str,
    rankdir: str = "LR",
    phase: int | None = None,
    display_lrm: bool = False,
) -> None:
    """Write the picture of a NetParameter: .png, .svg, .pdf, .jpg; .raw is Graphviz' language."""
    extension = Path(filename).suffix.removeprefix(".")
    Path(filename).write_bytes(draw_net(caffe_net, rankdir, extension, phase, display_lrm))
