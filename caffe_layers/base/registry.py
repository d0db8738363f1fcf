"""The readings of a layer's type: which class is meant, and its module built from the file."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from caffe_layers.limits import running
from prototxt.errors import ShapeError, UnsupportedError
from prototxt.schema import Schema, dialect_of
from prototxt.schema.layer_types import NAMES
from prototxt.spelling import meant, normal

from .count import Count
from .layer import DEFAULT, Layer, Registry
from .param_spec import ParamSpec
from .shape import Shape

LEAST = 7
"""How long a type's name must be to be taken for a misspelling: CReLU is none of ReLU."""

PHASES = {0: "TRAIN", 1: "TEST"}
"""Caffe's enum."""


def find(
    layer: Any,
    blobs: Sequence[Shape] | None = None,
    *,
    registry: Registry = DEFAULT,
    dialect: str | None = None,
    phase: str = "",
    likely: Collection[str] = (),
) -> type[Layer]:
    """Return the class of a LayerParameter, of those of the registry.

    `blobs` are its weights' shapes where known; `dialect` names the fork whose reading to take,
    `likely` the forks that the rest of the file is of. In the TEST `phase` fields may be set that
    matter in training alone.

    Raises UnsupportedError for an unknown type, for one whose readings fit none or several, and for
    a set field that its reading does not read.
    """
    readings, schema = registry.layers.get(layer.type), registry.schema
    if readings is None:
        raise _unknown(layer, registry)
    phase = PHASES[layer.phase] if layer.HasField("phase") else phase
    unread = {fork: _unread(cls, layer, phase, schema) for fork, cls in readings.items()}
    read = {fork: cls for fork, cls in readings.items() if not unread[fork]}
    if dialect is not None and (named := _named(read, dialect, blobs, schema)):
        cls = next((cls for cls in named if cls.fits(layer, blobs)), named[0])
        return cls.meant_by(layer, registry)
    asked = [cls for cls in read.values() if not cls.only_by_name or cls.fork in likely]
    fitting = [cls for cls in asked if cls.fits(layer, blobs)]
    for preferred in (registry.own_forks, likely):
        if len(fitting) > 1:
            ours = [cls for cls in fitting if cls.fork in preferred]
            fitting = _foremost(ours, schema) or fitting
    if len(fitting) == 1:
        return fitting[0].undecided().meant_by(layer, registry)
    if not read:
        # What nobody asked for by its name says nothing of what the layer means.
        met = [field for fork, field in unread.items() if not readings[fork].only_by_name]
        field = min(met or unread.values(), key=len)
        forks = ", ".join(sorted(schema.readers(layer))) or dialect_of(layer)
        raise UnsupportedError(
            f"{field} is set, a field of {forks}, which {layer.type} does not read here"
        )
    forks = ", ".join(cls.fork for cls in fitting or readings.values())
    how = "each fit" if fitting else "do not fit"
    raise UnsupportedError(
        f"type {layer.type!r} means different things in different forks, and the readings of "
        f"{forks} {how} this layer",
        fix="name the fork with --dialect",
    )


def _unknown(layer: Any, registry: Registry) -> UnsupportedError:
    known, plain = registry.layers, normal(layer.type)
    of_a_fork = any(layer.type in one.types for one in registry.schema.dialects)
    named = (NAMES[name] for name in NAMES if normal(name) == plain and NAMES[name] in known)
    # A type that a fork has is no other one misspelt.
    name = "" if of_a_fork else next(named, "") or meant(layer.type, known, shortest=LEAST)
    fix = (
        f"did you mean {name!r}?"
        if name
        else "`caffeport layers` lists the types that are here; --layers adds your own; --end, "
        "--skip and --input-shape do without it"
    )
    said = "".join(f"; it has {parameters}" for parameters in _parameters(layer))
    return UnsupportedError(f"layer type {layer.type!r} is unknown{said}", fix=fix)


def _parameters(layer: Any) -> Iterator[str]:
    """Name each message of parameters that a layer has, whose it is and what is set in it."""
    for field, value in layer.ListFields():
        if field.message_type is not None and field.name.endswith("_param"):
            messages = [value] if hasattr(value, "ListFields") else value
            inside = (inner.name for one in messages for inner, _ in one.ListFields())
            names = ", ".join(dict.fromkeys(inside))
            own = dialect_of(layer)
            whose = field.message_type.name + (f" of {own}" if own != "bvlc" else "")
            yield f"{field.name} ({whose}) with {names or 'nothing set'}"


def _named(
    read: Mapping[str, type[Layer]], fork: str, blobs: Sequence[Shape] | None, schema: Schema
) -> list[type[Layer]]:
    """Return the readings that a fork which is named has: it may keep its base's, and BVLC's."""
    chain = (fork, *sorted(schema.bases(fork)))
    own = [read[one] for one in chain if one in read]
    if own and own[0].only_by_name:
        return own[:1]
    if own and "bvlc" in read and not (own[0].replaces_bvlc and not blobs):
        own.append(read["bvlc"])
    return own


def _foremost(fitting: Sequence[type[Layer]], schema: Schema) -> list[type[Layer]]:
    """Leave out the readings of forks that another one builds upon."""
    known = [cls.fork for cls in fitting if schema.is_known(cls.fork)]
    bases = frozenset[str]().union(*map(schema.bases, known))
    return [cls for cls in fitting if cls.fork not in bases]


def _unread(cls: type[Layer], layer: Any, phase: str, schema: Schema) -> str:
    """Name a set field that a class does not read, or return ""."""
    known = () if cls.fork == "bvlc" or not schema.is_known(cls.fork) else (cls.fork,)
    for extra in schema.extra_fields(layer, *known, phase=phase):
        if not any(f"{extra.path}.".startswith(f"{read}.") for read in cls.fork_fields):
            return str(extra)
    return ""


def build(layer: Any, bottoms: list[Shape], cls: type[Layer] | None = None) -> Layer:
    """Build the module of a LayerParameter for bottoms of these shapes.

    Raises ShapeError where the numbers of bottoms, tops or `param` rows are not the type's.
    """
    cls = cls or find(layer)
    tops = len(layer.top)
    if cls.is_loss:
        tops = max(tops, cls.tops.least)
    _require_number(len(bottoms), "bottom", cls.bottoms)
    _require_number(tops, "top", cls.tops)
    with running(cls):
        module = cls.from_caffe(layer, bottoms)
    if len(layer.param) > len(module.blob_names):
        raise ShapeError(f"{len(layer.param)} param rows, but only {len(module.blob_names)} blobs")
    module.param_specs = tuple(ParamSpec.from_caffe(spec) for spec in layer.param)
    if layer.HasField("phase"):
        module.phase = PHASES[layer.phase]
        module.train(module.training)
    return module


def _require_number(got: int, what: str, wants: Count) -> None:
    if got not in wants:
        raise ShapeError(f"{got} {what if got == 1 else what + 's'}, wants {wants}")
