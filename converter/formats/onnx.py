"""ONNX."""

from __future__ import annotations

from pathlib import Path

from converter.keywords import only
from converter.network.net import CaffeNet
from converter.onnx.export import export_onnx
from converter.onnx.free_axes import fixed_axes, with_free_axes
from converter.onnx.graph import Graph
from converter.onnx.options import ExportOptions, FormatOptions

from . import Options

SUFFIX = ".onnx"
HALF = True
PROGRAM = False
HEEDS = frozenset(FormatOptions.__annotations__)


def write(net: CaffeNet, path: Path, options: Options) -> list[str]:
    """Write the ONNX model; the notes name the layers and inputs that it leaves out."""
    shipped = net.optimize(channels_last=False) if options.asked["optimize"] else net
    graph, fixed = with_free_axes(
        options.asked["dynamic"],
        lambda dynamic: export_onnx(
            shipped,
            path,
            preprocessing=options.preprocessing,
            images=options.images,
            half=options.half,
            calibration=options.calibration,
            file_scales=options.file_scales,
            **only(ExportOptions, {**options.asked, "dynamic": dynamic}),
        ),
        options.fixed,
    )
    notes = fixed_axes(path.name, fixed)
    notes += [note for note in shipped.notes if note not in net.notes]
    notes += [f"{path.name}: {note}" for note in graph.notes]
    if left_out := _left_out(shipped, graph):
        notes.append(f"not in {path.name}: {left_out} (--with-losses keeps losses)")
    if path.with_name(path.name + ".data").exists():
        beside = f"the weights of {path.name} are in {path.name}.data: keep them together"
        notes.append(f"{beside}, as files: onnx and OpenVINO refuse symbolic links")
    return notes


def _left_out(net: CaffeNet, graph: Graph) -> str:
    """Say which layers and inputs of the network the graph has not."""
    has = {output for node in graph.nodes for output in node.output} | graph.inputs.keys()
    layers = [
        step.key
        for step in net.steps
        if step.tops and not step.cls.is_source and has.isdisjoint(step.tops)
    ]
    inputs = [name for name in net.inputs if name not in has]
    what = [f"layers {', '.join(layers)}"] if layers else []
    what += [f"inputs {', '.join(inputs)}"] if inputs else []
    return " and ".join(what)
