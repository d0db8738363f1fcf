"""What of a network is supported, in torch and in ONNX, told before anything is converted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import fspath
from typing import Any

import numpy as np
from typing_extensions import Unpack

from caffe_layers import Layer, Shape
from caffe_layers.base.layer import Registry
from prototxt import Net, filter_net, read_net, read_weights
from prototxt.errors import CaffeError, ShapeError
from prototxt.paths import PathName
from prototxt.upgrade import declare_shapeless

from .keywords import refuse_unknown
from .loading.deploy import deploy
from .loading.load import load, weight_files
from .loading.options import LoadOptions
from .loading.user_layers import registry_of
from .network.build import build_layer
from .network.steps import AUTOMATIC, read_layer
from .onnx.builder import Builder
from .onnx.emit import FLOATS, emit
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

    @property
    def passed(self) -> bool:
        """Tell whether everything is supported."""
        return not self.problems and not any(v.torch or v.onnx for v in self.verdicts)

    def text(self) -> str:
        """Return a table of the layer types, and below it what is not supported and why."""
        types = list(dict.fromkeys(verdict.type for verdict in self.verdicts))
        rows = [("layer type", "layers", "torch", "ONNX")]
        for kind in types:
            own = [verdict for verdict in self.verdicts if verdict.type == kind]
            torch, onnx = _word([v.torch for v in own]), _word([v.onnx for v in own])
            rows.append((kind, str(len(own)), torch, onnx))
        return "\n".join([format_table(rows), *self._reasons(), *self.problems])

    def _reasons(self) -> list[str]:
        found: Counter[tuple[str, str]] = Counter()
        first: dict[tuple[str, str], str] = {}
        for verdict in self.verdicts:
            reason = verdict.torch or (verdict.onnx and f"ONNX: {verdict.onnx}")
            if reason and reason != UNSEEN:
                found[verdict.type, reason] += 1
                first.setdefault((verdict.type, reason), verdict.name)
        lines = []
        for (kind, reason), count in found.items():
            more = f" and {count - 1} more" if count > 1 else ""
            lines.append(f"layer {first[kind, reason]!r}{more} ({kind}): {reason}")
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
    files = [read_weights(path, schema=schema) for path in weight_files(net, weights)]
    blobs = {layer.name: _shapes(layer.blobs) for file in files for layer in file.layers}
    level, stages = options.get("level", 0), tuple(options.get("stages", ()))
    filtered = filter_net(definition, phase=phase, level=level, stages=stages)
    filtered = declare_shapeless(filtered, given)
    if options.get("deploy"):
        filtered, _ = deploy(filtered, registry, dialect=dialect)
    walk = _Walk(filtered, given, opset, dialect, registry, training=phase == "TRAIN")
    found = Check([walk.look(layer, blobs.get(layer.name)) for layer in filtered.layers])
    if definition.unknown and not options.get("allow_unknown"):
        found.problems = [f"{field}: an unknown field" for field in definition.unknown]
    elif not any(verdict.torch for verdict in found.verdicts):
        wanted: LoadOptions = {**options, "stages": stages, "layers": registry}
        found.problems = _whole(net, weights, opset, wanted, emits=found.passed)
    return found


class _Walk:
    """Goes over the layers in order; knows the shapes of the blobs so far, None where not known."""

    def __init__(
        self,
        net: Net,
        given: Mapping[str, Shape],
        opset: int,
        dialect: str | None,
        registry: Registry,
        *,
        training: bool,
    ) -> None:
        self.net, self.given, self.opset = net, given, opset
        self.dialect, self.registry, self.training = dialect, registry, training
        self.shapes: dict[str, Shape | None] = {}

    def look(self, layer: Any, blobs: Sequence[Shape] | None) -> Verdict:
        """Build and emit one layer on its own."""
        self.tops: list[Shape | None] = [None] * len(layer.top)
        try:
            torch, onnx = self._supported(layer, blobs)
        except CaffeError as error:
            torch = onnx = str(error)
        self.shapes.update(zip(layer.top, self.tops, strict=False))
        return Verdict(layer.name, layer.type, torch, onnx)

    def _supported(self, layer: Any, blobs: Sequence[Shape] | None) -> tuple[str, str]:
        cls, layer = read_layer(layer, self.net, blobs, self.dialect, self.registry)
        bottoms: list[Shape] = []
        for name in layer.bottom:
            if name not in self.shapes:
                raise ShapeError(f"bottom {name!r} is no earlier layer's top")
            shape = self.shapes[name]
            if shape is None:
                return UNSEEN, UNSEEN
            bottoms.append(shape)
        module = build_layer(layer, cls, bottoms, self.given)
        tops: Sequence[Shape | None] = module.checked_shapes(*bottoms)
        if cls.is_source:
            named = list(zip(layer.top, tops, strict=True))
            self.tops = [self.given.get(name, top) for name, top in named]
            if None in self.tops:
                lost = layer.top[self.tops.index(None)]
                return f"the file does not say the shape of {lost!r}, give --input-shape", ""
            return "", ""
        self.tops = list(tops)
        module.train(self.training)
        return "", self._onnx(module, layer, bottoms, [top for top in tops if top is not None])

    def _onnx(self, module: Layer, layer: Any, bottoms: list[Shape], tops: list[Shape]) -> str:
        names = [*layer.top, *(f"{AUTOMATIC}{index}" for index in range(len(tops)))][: len(tops)]
        made = [f"{name}@top" for name in names]
        static = dict(zip(layer.bottom, bottoms, strict=True)) | dict(zip(made, tops, strict=True))
        graph = Graph("check", self.opset)
        dims = {name: list(shape) for name, shape in static.items()}
        try:
            with np.errstate(all="ignore"):  # its blobs hold no values yet
                Builder(graph, static, dims).write(layer.name, module.onnx, layer.bottom, made)
        except CaffeError as error:
            return str(error)
        return ""


def _whole(
    net: PathName,
    weights: PathName | Sequence[PathName] | None,
    opset: int,
    options: LoadOptions,
    *,
    emits: bool,
) -> list[str]:
    try:
        loaded = load(net, weights, **options)
        if emits and loaded.dtype in FLOATS:
            emit(loaded, opset=opset)
    except CaffeError as error:
        return [str(error)]
    return []


def _shapes(blobs: Sequence[Any]) -> list[Shape]:
    return [blob.shape for blob in blobs if blob is not None]


def _word(reasons: list[str]) -> str:
    good, unseen = reasons.count(""), reasons.count(UNSEEN)
    if good == len(reasons):
        return "yes"
    if good:
        return f"{good} of {len(reasons)}"
    return UNSEEN if unseen == len(reasons) else "no"
