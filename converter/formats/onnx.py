"""ONNX."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from prototxt.errors import CaffeError

from ..emitter import Graph
from ..export import export_onnx
from ..graph import Step
from ..module import CaffeNet
from . import Options

SUFFIX = ".onnx"


def write(net: CaffeNet, path: Path, options: Options) -> list[str]:
    """Write the ONNX model; the notes name the layers and inputs that it leaves out."""
    shipped = net.optimize(channels_last=False) if options.optimize else net
    graph, fixed = _export(shipped, path, options)
    made = {output for node in graph.nodes for output in node.output} | graph.inputs.keys()
    left = [step.key for step in shipped.steps if _left_out(step, made)]
    inputs = [name for name in net.inputs if name not in graph.inputs.keys() | made]
    notes = [*fixed, *(note for note in shipped.notes if note not in net.notes)]
    if options.preprocessing is not None:
        takes = f"{path.name} takes RGB images, N x H x W x 3 bytes of any size, as {graph.image!r}"
        notes.append(f"{takes}: {options.preprocessing}")
    if left or inputs:
        what = [f"layers {', '.join(left)}"] if left else []
        what += [f"inputs {', '.join(inputs)}"] if inputs else []
        notes.append(f"not in {path.name}: {' and '.join(what)} (--with-losses keeps losses)")
    if path.with_name(path.name + ".data").exists():
        notes.append(f"the weights of {path.name} are in {path.name}.data: keep them together")
    return notes


def _export(net: CaffeNet, path: Path, options: Options) -> tuple[Graph, list[str]]:
    """Write the file; unless the user says which axes are free, with a fixed batch if need be."""
    export = partial(
        export_onnx,
        net,
        path,
        opset=options.opset,
        with_losses=options.with_losses,
        softmax=options.softmax,
        fold_bn=options.fold_bn,
        preprocessing=options.preprocessing,
    )
    if options.dynamic is not None:
        return export(dynamic=options.dynamic), []
    try:
        return export(dynamic=("batch",)), []
    except CaffeError as error:
        try:
            graph = export(dynamic=())
        except CaffeError:
            raise error from None
        why = str(error).partition("\n")[0]
        return graph, [f"the batch of {path.name} is fixed, since a free one fails: {why}"]


def _left_out(step: Step, made: set[str]) -> bool:
    return not step.cls.is_source and bool(step.tops) and not made.intersection(step.tops)
