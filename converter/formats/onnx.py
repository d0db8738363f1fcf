"""ONNX."""

from __future__ import annotations

from pathlib import Path

from converter.keywords import only
from converter.network.net import CaffeNet
from converter.network.steps import Step
from converter.onnx.export import export_onnx
from converter.onnx.options import ExportOptions
from prototxt.errors import headline

from . import Options, with_free_axes

SUFFIX = ".onnx"
HALF = True
PROGRAM = False


def write(net: CaffeNet, path: Path, options: Options) -> list[str]:
    """Write the ONNX model; the notes name the layers and inputs that it leaves out."""
    shipped = net.optimize(channels_last=False) if options.asked["optimize"] else net
    graph, error = with_free_axes(
        options,
        lambda dynamic: export_onnx(
            shipped,
            path,
            preprocessing=options.preprocessing,
            half=options.half,
            **only(ExportOptions, {**options.asked, "dynamic": dynamic}),
        ),
    )
    made = {output for node in graph.nodes for output in node.output} | graph.inputs.keys()
    left = [step.key for step in shipped.steps if _left_out(step, made)]
    inputs = [name for name in net.inputs if name not in graph.inputs.keys() | made]
    notes = [note for note in shipped.notes if note not in net.notes]
    if error is not None:
        why = headline(error)
        notes.insert(0, f"the batch of {path.name} is fixed, since a free one fails: {why}")
    notes += [f"{path.name}: {note}" for note in graph.notes]
    if left or inputs:
        what = [f"layers {', '.join(left)}"] if left else []
        what += [f"inputs {', '.join(inputs)}"] if inputs else []
        notes.append(f"not in {path.name}: {' and '.join(what)} (--with-losses keeps losses)")
    if path.with_name(path.name + ".data").exists():
        notes.append(f"the weights of {path.name} are in {path.name}.data: keep them together")
    return notes


def _left_out(step: Step, made: set[str]) -> bool:
    return not step.cls.is_source and bool(step.tops) and not made.intersection(step.tops)
