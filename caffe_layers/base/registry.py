"""The readings of a layer's type: which class is meant, and its module built from the file."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from typing import Any

from prototxt import schema
from prototxt.errors import ShapeError, UnsupportedError

from .layer import LAYERS, Layer, ParamSpec
from .shape import Shape

CLOSE = 0.8
"""How alike a type must be to be taken for a misspelling, as difflib counts."""

OWN_FORKS: set[str] = set()
"""The forks that the user's own files brought: of several readings that fit, theirs is meant."""


def find(
    layer: Any,
    blobs: Sequence[Shape] | None = None,
    *,
    dialect: str | None = None,
    phase: str = "",
    likely: Collection[str] = (),
) -> type[Layer]:
    """Return the class of a LayerParameter.

    `blobs` are its weights' shapes where known; `dialect` names the fork whose reading to take,
    `likely` the forks that the rest of the file is of. In the TEST `phase` fields may be set that
    matter in training alone.

    Raises UnsupportedError for an unknown type, for one whose readings fit none or several, and for
    a set field that its reading does not read.
    """
    readings = LAYERS.get(layer.type)
    if readings is None:
        close = difflib.get_close_matches(layer.type, LAYERS, 1, CLOSE)
        fix = (
            f"did you mean {close[0]!r}?"
            if close
            else "`caffeport layers` lists the types that are here; --layers adds your own"
        )
        raise UnsupportedError(f"layer type {layer.type!r} is unknown", fix=fix)
    phase = {0: "TRAIN", 1: "TEST"}[layer.phase] if layer.HasField("phase") else phase
    unread = {fork: _unread(cls, layer, phase) for fork, cls in readings.items()}
    if dialect is not None:
        chain = (dialect, *sorted(schema.dialect(dialect).bases))
        own = [readings[fork] for fork in chain if fork in readings and not unread[fork]]
        if own:  # a fork may keep its base's meaning beside its own, and BVLC's
            bvlc = readings.get("bvlc")
            if bvlc and not unread["bvlc"] and not (own[0].replaces_bvlc and not blobs):
                own.append(bvlc)
            return next((cls for cls in own if cls.fits(layer, blobs)), own[0]).meant_by(layer)
    fitting = [cls for fork, cls in readings.items() if not unread[fork] and cls.fits(layer, blobs)]
    for preferred in (OWN_FORKS, likely):
        if len(fitting) > 1:
            fitting = _foremost([cls for cls in fitting if cls.fork in preferred]) or fitting
    if len(fitting) == 1:
        return fitting[0].meant_by(layer)
    if not fitting and all(unread.values()):
        field = min(unread.values(), key=len)
        forks = ", ".join(sorted(schema.readers(layer))) or schema.dialect_of(layer)
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


def registered() -> set[tuple[str, str]]:
    """Return the type and the fork of every class that is here."""
    return {(kind, fork) for kind, readings in LAYERS.items() for fork in readings}


def _foremost(fitting: list[type[Layer]]) -> list[type[Layer]]:
    """Leave out the readings of forks that another one builds upon."""
    known = [cls.fork for cls in fitting if schema.is_known(cls.fork)]
    bases = frozenset[str]().union(*(schema.dialect(fork).bases for fork in known))
    return [cls for cls in fitting if cls.fork not in bases]


def _unread(cls: type[Layer], layer: Any, phase: str) -> str:
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
    if cls.auto_tops:
        tops = max(tops, cls.tops.least)
    for what, want, got in (("bottom", cls.bottoms, len(bottoms)), ("top", cls.tops, tops)):
        if got not in want:
            raise ShapeError(f"{got} {what}{'s' * (got != 1)}, wants {want}")
    module = cls.from_caffe(layer, bottoms)
    if len(layer.param) > len(module.blob_names):
        raise ShapeError(f"{len(layer.param)} param rows, but only {len(module.blob_names)} blobs")
    module.param_specs = tuple(ParamSpec.from_caffe(spec) for spec in layer.param)
    if layer.HasField("phase"):
        module.phase = "TEST" if layer.phase else "TRAIN"
        module.train(module.training)
    return module
