"""What of a network is supported, in torch and in ONNX, told before anything is converted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import fspath
from typing import Any

import numpy as np
from typing_extensions import Unpack

import caffe_layers
from caffe_layers import Layer, Shape
from caffe_layers.base.layer import Registry
from prototxt import Net, read_net, read_weights
from prototxt.errors import CaffeError, ShapeError
from prototxt.paths import PathName

from .keywords import refuse_unknown
from .loading.load import load
from .loading.options import LoadOptions
from .loading.passes import Request, passed_over, rewrite
from .loading.read import weight_files
from .loading.user_layers import registry_of
from .network.build import build_layer
from .network.steps import AUTOMATIC, read_layer
from .onnx.builder import Builder
from .onnx.emit import FLOATS, emit
from .onnx.free_axes import fixed_batch, with_free_axes
from .onnx.graph import Graph
from .onnx.options import DEFAULT_OPSET
from .text import format_table

UNSEEN = "not looked at"


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
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was passed over because the caller allowed it, and what `convert` will say."""

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
        return "\n".join([format_table(rows), *self._reasons(), *self.problems, *self.notes])

    def _reasons(self) -> list[str]:
        found: Counter[tuple[str, str]] = Counter()
        first: dict[tuple[str, str], str] = {}
        for verdict in self.verdicts:
            reason = verdict.torch or (verdict.onnx and f"ONNX: {verdict.onnx}")
            if reason and reason != UNSEEN:
                found[verdict.type, reason] += 1
                first.setdefault((verdict.type, reason), verdict.name)
        lines = []
        for (layer_type, reason), count in found.items():
            more = f" and {count - 1} more" if count > 1 else ""
            name = first[layer_type, reason]
            lines.append(f"layer {name!r}{more} ({layer_type}): {reason}")
        if unseen := sum(verdict.torch == UNSEEN for verdict in self.verdicts):
            lines.append(f"{UNSEEN}, for want of what the layers above would make: {unseen}")
        return lines


def check(
    net: PathName,
    weights: PathName | Sequence[PathName] | None = None,
    *,
    opset: int = DEFAULT_OPSET,
    **options: Unpack[LoadOptions],
) -> Check:
    """Return what of a network is supported, in torch and in ONNX, what is not and why.

    `options` are those of `load`. Every layer whose bottoms' shapes are known is built and emitted
    on its own; if all can be, the whole is loaded and emitted. Raises FormatError for files that
    cannot be read at all.
    """
    refuse_unknown(check, LoadOptions, options)
    registry = registry_of(options.get("layers"))
    schema = registry.schema
    dialect, phase = options.get("dialect"), options.get("phase", "TEST")
    given = options.get("input_shapes") or {}
    values = options.get("values")
    definition = read_net(
        fspath(net), allow_unknown=True, dialect=dialect, values=values, schema=schema
    )
    files = weight_files(net, weights)
    read = [read_weights(path, schema=schema) for path in files]
    blobs = {layer.name: _shapes(layer.blobs) for file in read for layer in file.layers}
    stages = tuple(options.get("stages", ()))
    request = Request(
        phase=phase,
        level=options.get("level", 0),
        stages=stages,
        input_shapes=given,
        dialect=dialect,
        registry=registry,
        deploy=options.get("deploy", False),
        skip=tuple(options.get("skip", ())),
        end=tuple(options.get("end", ())),
    )
    rewritten, notes = rewrite(definition, request)
    walk = _Walk(rewritten, given, opset, dialect, registry, phase == "TRAIN")
    found = Check([walk.judge(layer, blobs.get(layer.name)) for layer in rewritten.layers])
    passed = () if options.get("allow_unknown") else passed_over(definition)
    found.notes = [f"note: {note}" for note in notes if note not in passed]
    if definition.unknown and not options.get("allow_unknown"):
        found.problems = [f"{field}: an unknown field" for field in definition.unknown]
    elif not any(verdict.torch for verdict in found.verdicts):
        wanted: LoadOptions = {
            **options,
            "stages": stages,
            "layers": registry,
            "values": None,
            "weightless": True,
        }
        _judge_whole(found, definition, files, opset, wanted)
    return found


@dataclass
class _Walk:
    """Goes over the layers in order; knows the shapes of the blobs so far, None where not known."""

    net: Net
    given: Mapping[str, Shape]
    opset: int
    dialect: str | None
    registry: Registry
    training: bool
    shapes: dict[str, Shape | None] = field(default_factory=dict)

    def judge(self, layer: Any, blobs: Sequence[Shape] | None) -> Verdict:
        """Build and emit one layer on its own."""
        known = {name: self.shapes[name] for name in layer.bottom if name in self.shapes}
        self.shapes.update(dict.fromkeys(layer.top))  # until it is built
        try:
            torch, onnx = self._reasons(layer, blobs, known)
        except CaffeError as error:
            torch = onnx = str(error)
        return Verdict(layer.name, layer.type, torch, onnx)

    def _reasons(
        self, layer: Any, blobs: Sequence[Shape] | None, known: Mapping[str, Shape | None]
    ) -> tuple[str, str]:
        """Return why torch and ONNX cannot do a layer, whose bottoms' shapes are `known`."""
        cls, layer = read_layer(layer, self.net, blobs, self.dialect, self.registry)
        if missing := [name for name in layer.bottom if name not in known]:
            raise ShapeError(f"bottom {missing[0]!r} is no earlier layer's top")
        bottoms = [shape for name in layer.bottom if (shape := known[name]) is not None]
        if len(bottoms) < len(layer.bottom):
            return UNSEEN, UNSEEN
        with caffe_layers.weightless():
            module = build_layer(layer, cls, bottoms, self.given)
        if cls.is_source:
            return self._read(module, layer), ""
        tops = module.checked_shapes(*bottoms)
        self.shapes.update(zip(layer.top, tops, strict=False))
        module.train(self.training)
        return "", self._onnx(module, layer, bottoms, tops)

    def _read(self, module: Layer, layer: Any) -> str:
        """Take the shapes of a source's tops, those that the caller gives first."""
        tops: Sequence[Shape | None] = module.checked_shapes()
        for name, top in zip(layer.top, tops, strict=True):
            self.shapes[name] = self.given.get(name, top)
        lost = [name for name in layer.top if self.shapes[name] is None]
        return f"the file does not say the shape of {lost[0]!r}, give --input-shape" if lost else ""

    def _onnx(self, module: Layer, layer: Any, bottoms: list[Shape], tops: list[Shape]) -> str:
        names = [*layer.top, *(f"{AUTOMATIC}{index}" for index in range(len(tops)))][: len(tops)]
        made = [f"{name}@top" for name in names]
        static = dict(zip(layer.bottom, bottoms, strict=True)) | dict(zip(made, tops, strict=True))
        graph = Graph("check", self.opset)
        dims = {name: list(shape) for name, shape in static.items()}
        try:
            with np.errstate(all="ignore"):  # its blobs hold no values
                Builder(graph, static, dims).write(layer.name, module.onnx, layer.bottom, made)
        except CaffeError as error:
            return str(error)
        return ""


def _judge_whole(
    found: Check, net: Net, weights: Sequence[PathName], opset: int, options: LoadOptions
) -> None:
    """Find what is wrong with the network as a whole, as `convert` would."""
    emits = found.passed
    try:
        loaded = load(net, weights, **options)
        if emits and loaded.dtype in FLOATS:
            _, error = with_free_axes(None, lambda axes: emit(loaded, opset=opset, dynamic=axes))
            if error is not None:
                found.notes.append(f"note: {fixed_batch('an ONNX model', error)}")
    except CaffeError as error:
        found.problems.append(str(error))


def _shapes(blobs: Sequence[Any]) -> list[Shape]:
    return [blob.shape for blob in blobs if blob is not None]


def _word(reasons: list[str]) -> str:
    good, unseen = reasons.count(""), reasons.count(UNSEEN)
    if good == len(reasons):
        return "yes"
    if good:
        return f"{good} of {len(reasons)}"
    return UNSEEN if unseen == len(reasons) else "no"
