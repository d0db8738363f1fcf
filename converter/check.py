"""What of a network is supported, in torch and in ONNX, told before anything is converted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from typing_extensions import Unpack

from caffe_layers import Layer
from caffe_layers.limits import running
from prototxt import Net
from prototxt.errors import CaffeError
from prototxt.paths import PathName

from .keywords import complete, only, refuse_unknown
from .loading.known.suggest import options_for
from .loading.known.survey import Survey, causes, survey, written_type
from .loading.known.walk import UNSEEN, Part
from .loading.options import LoadOptions, as_dtype
from .onnx.builder import Builder
from .onnx.emit import check_opset, emit
from .onnx.free_axes import fixed_axes, with_free_axes
from .onnx.graph import Graph
from .onnx.options import GraphOptions
from .onnx.targets import check_options
from .text import format_table
from .unknown_things import unknown_things


@dataclass(frozen=True)
class Verdict:
    """One layer: why torch or ONNX cannot do it; empty where they can.

    Where a bottom's shape is not known, for the fault of an earlier layer, both are UNSEEN.
    """

    name: str
    type: str
    torch: str = ""
    onnx: str = ""


@dataclass
class Check:
    """The verdict on each layer, and what is wrong with the network as a whole."""

    verdicts: list[Verdict] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    """Each type, field, Python layer, placeholder and file that is not known or not there."""
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was passed over, and what `convert` will say."""

    @property
    def passed(self) -> bool:
        """Tell whether everything is supported."""
        return not self.problems and not any(v.torch or v.onnx for v in self.verdicts)

    def text(self) -> str:
        """Return a table of the layer types, and below it what is not supported and why."""
        types = list(dict.fromkeys(verdict.type for verdict in self.verdicts))
        rows = [("layer type", "layers", "torch", "ONNX")]
        for layer_type in types:
            alike = [verdict for verdict in self.verdicts if verdict.type == layer_type]
            torch, onnx = _word([v.torch for v in alike]), _word([v.onnx for v in alike])
            rows.append((layer_type, str(len(alike)), torch, onnx))
        reasons = [
            (
                verdict.name,
                verdict.type,
                verdict.torch or (verdict.onnx and f"ONNX: {verdict.onnx}"),
            )
            for verdict in self.verdicts
        ]
        below = [*causes(reasons), *self.unknown, *self.problems, *self.notes]
        return "\n".join([format_table(rows), *below])


class CheckOptions(LoadOptions, GraphOptions, total=False):
    """What `check` takes: how a network is loaded, and what its ONNX form is to be."""


def check(
    net: PathName,
    weights: PathName | Sequence[PathName] | None = None,
    **options: Unpack[CheckOptions],
) -> Check:
    """Return what of a network is supported, in torch and in ONNX, what is not and why.

    `options` are those of `load`, and those of `convert` (opset, dynamic, with_losses, softmax,
    target) by which it judges. Every layer whose bottoms' shapes are known is built and emitted on
    its own; if all can be, the whole is loaded and emitted. Raises FormatError for files that
    cannot be read at all, and UnsupportedError for an opset that there is not.
    """
    refuse_unknown(check, CheckOptions, options)
    asked = complete(GraphOptions, options)
    half = "dtype" in options and as_dtype(options["dtype"]) == torch.float16
    check_opset(asked["opset"])
    if asked["target"] is not None:
        check_options(asked["target"], asked["opset"], half=half)
    loading = only(LoadOptions, options)
    # Half precision is written of a network in float32.
    found = survey(net, weights, **({**loading, "dtype": torch.float32} if half else loading))
    verdicts = [_verdict(part, found.net, asked["opset"]) for part in found.parts]
    left_out: list[str] = []
    if not asked["with_losses"]:
        verdicts, left_out = _without_losses(verdicts, found.parts)
    checked = Check(
        verdicts,
        unknown_things(found.net, found.parts, found.request.registry),
        [str(error) for error in found.errors],
        [f"note: {note}" for note in (*found.notes, *left_out)],
    )
    if lacking := found.suggestions.shapes():
        checked.unknown.append(f"shapes that the file does not say: {options_for(lacking)}")
    if not checked.problems and not any(verdict.torch for verdict in checked.verdicts):
        _judge_whole(checked, found, asked)
    return checked


def _verdict(part: Part, net: Net, opset: int) -> Verdict:
    """Say why torch and ONNX cannot do a layer, if they cannot."""
    name, kind, torch = part.layer.name, written_type(part, net), part.reason
    if torch or part.module is None:
        onnx = "" if part.cls is not None and part.cls.is_source and part.module else torch
        return Verdict(name, kind, torch, onnx)
    return Verdict(name, kind, "", "" if part.module.is_source else _onnx(part, part.module, opset))


def _without_losses(
    verdicts: list[Verdict], parts: Sequence[Part]
) -> tuple[list[Verdict], list[str]]:
    """Pass over what ONNX cannot say of losses, which `convert` leaves out; say it as notes."""
    kept, notes = [], []
    for verdict, part in zip(verdicts, parts, strict=True):
        loss = part.cls is not None and (part.cls.is_loss or part.cls.is_metric)
        if loss and verdict.onnx and not verdict.torch:
            notes.append(
                f"layer {verdict.name!r} ({verdict.type}) can be left out of an ONNX model only: "
                f"{verdict.onnx}"
            )
            verdict = replace(verdict, onnx="")
        kept.append(verdict)
    return kept, notes


def _onnx(part: Part, module: Layer, opset: int) -> str:
    """Return why a built layer cannot be emitted, or nothing."""
    made = [f"{name}@top" for name in part.tops]
    tops = [shape for shape in part.tops.values() if shape is not None]
    bottoms = dict(zip(part.layer.bottom, part.bottoms, strict=True))
    static = bottoms | dict(zip(made, tops, strict=True))
    graph = Graph("check", opset)
    dims = {name: list(shape) for name, shape in static.items()}
    try:
        with running(type(module)), np.errstate(all="ignore"):  # its blobs hold no values
            Builder(graph, static, dims).write(
                part.layer.name, module.onnx, part.layer.bottom, made
            )
    except CaffeError as error:
        return str(error)
    return ""


def _judge_whole(checked: Check, found: Survey, asked: GraphOptions) -> None:
    """Find what is wrong with the network as a whole, as `convert` would."""
    emits = checked.passed
    try:
        loaded = found.load()
        unsaid = (note for note in loaded.notes if note not in found.notes)
        lacking = "" if loaded.loaded and loaded.loaded.sources else ": `convert` wants weights"
        checked.notes += [
            f"note: {one}{lacking}" for one in unsaid if one.startswith("passed over")
        ]
        if emits:
            _, fixed = with_free_axes(
                asked["dynamic"],
                lambda axes: emit(loaded, **only(GraphOptions, {**asked, "dynamic": axes})),
            )
            checked.notes += [f"note: {one}" for one in fixed_axes("an ONNX model", fixed)]
    except CaffeError as error:
        checked.problems.append(str(error))


def _word(reasons: list[str]) -> str:
    good, unseen = reasons.count(""), reasons.count(UNSEEN)
    if good == len(reasons):
        return "yes"
    if good:
        return f"{good} of {len(reasons)}"
    return UNSEEN if unseen == len(reasons) else "no"
