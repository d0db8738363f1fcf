"""All that a definition names and that is not known or not there, each thing with its places."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from caffe_layers.base.layer import Registry
from caffe_layers.base.message import is_set
from prototxt import Net
from prototxt.faults import Fault

from .loading.known.walk import Part

PLACES = 8
"""How many places are named of each thing."""


def unknown_things(net: Net, parts: Sequence[Part], registry: Registry) -> list[str]:
    """Say each unknown type, Python layer, unknown field, placeholder and missing file once.

    They are those of a filtered network's layers, and of its header.
    """
    places: dict[str, list[str]] = defaultdict(list)
    sets: dict[str, list[str]] = defaultdict(list)
    for what, where, fields in _things(net, parts, registry):
        places[what].append(where)
        sets[what] += fields
    return [_line(what, found, sets[what]) for what, found in places.items()]


def _things(
    net: Net, parts: Sequence[Part], registry: Registry
) -> Iterator[tuple[str, str, list[str]]]:
    """Yield each time that something is not known: what, where, and the fields that it sets."""
    for fault in net.faults:
        if not fault.messages:
            yield _fault(fault)
    for part in parts:
        layer, faults = part.layer, net.faults_of(part.index)
        where = _place(net, part.index)
        if (kind := layer.type or next((one.type for one in faults), "")) not in registry.layers:
            yield f"unknown type {kind}", where, _fields(layer, faults)
        elif is_set(layer, "python_param") and part.cls is None:
            param = layer.python_param
            yield f"Python layer {param.module}.{param.layer}", where, []
        yield from (_fault(fault) for fault in faults if layer.type or fault.path != "type")
        for file in _missing_files(layer):
            yield file, where, []


def _fault(fault: Fault) -> tuple[str, str, list[str]]:
    kinds = {"field": "unknown field ", "placeholder": "placeholder ", "value": ""}
    what = fault.what or fault.problem
    line = re.search(r":(\d+):\d+$", fault.place)  # a binary file's has none
    if line and (fault.line or not fault.messages):
        return f"{kinds[fault.kind]}{what}", f"line {line[1]}", []
    where = f"layer {fault.layer!r}" if fault.messages else "of the network itself"
    return f"{kinds[fault.kind]}{what}", where, []


def _missing_files(message: Any) -> Iterator[str]:
    """Yield the files that a message names and that are not there: `source`, `mean_file`, ..."""
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in [value] if hasattr(value, "ListFields") else value:
                yield from _missing_files(inner)
        elif field.name == "source" or field.name.endswith("file"):
            for name in [value] if isinstance(value, str) else value:
                if isinstance(name, str) and name and not Path(name).exists():
                    yield f"missing file {name!r}"


def _place(net: Net, index: int) -> str:
    return f"line {net.lines[index]}" if net.lines else f"layer {net.layers[index].name!r}"


def _fields(layer: Any, faults: Iterable[Fault]) -> list[str]:
    """Name the fields that a layer of an unknown type sets, beyond those of any layer."""
    known = [
        f"{field.name}.{inner.name}"
        for field, value in layer.ListFields()
        if hasattr(value, "ListFields")  # what any layer has are numbers, words and lists
        for inner, _ in value.ListFields()
    ]
    return [*known, *(one.path for one in faults if one.path != "type")]


def _line(what: str, places: Sequence[str], fields: Iterable[str]) -> str:
    """Return `unknown type Warp: 2 times, lines 3, 9; sets warp_param`."""
    times = "once" if len(places) == 1 else f"{len(places)} times"
    different = list(dict.fromkeys(places))
    named = ", ".join(different[:PLACES])
    more = f" and {len(different) - PLACES} more" if len(different) > PLACES else ""
    if sets := ", ".join(dict.fromkeys(fields)):
        sets = f"; sets {sets}"
    return f"{what}: {times}, {named}{more}{sets}"
