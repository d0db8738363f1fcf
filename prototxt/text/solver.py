"""A solver's text, or a label map's, where a network's is wanted."""

from __future__ import annotations

import re
from collections.abc import Sequence

from prototxt.errors import FormatError
from prototxt.schema import Schema

from . import scan
from .literals import STRING

LABEL_MAP = {"item"}
"""The fields of SSD's LabelMap."""

NETS = ("net", "train_net", "test_net")
"""The fields that name a network's file."""


def network_of(entries: Sequence[scan.Entry], text: str, source: str, schema: Schema) -> str | None:
    """Return the network that stands in a solver's text, at its place; None where that is none.

    FormatError for a solver that names its network or has none, and for SSD's label map.
    """
    names = {entry.name for entry in entries}
    if names == LABEL_MAP:
        raise FormatError(
            f"{source}: this is a label map, which names classes, not a network",
            fix="give the network's definition",
        )
    bvlc = schema.dialect("bvlc")
    of_nets = bvlc.message("NetParameter").DESCRIPTOR.fields_by_name
    of_solvers = bvlc.message("SolverParameter").DESCRIPTOR.fields_by_name
    if names & set(of_nets) or not names & set(of_solvers):
        return None
    for entry in entries:
        if entry.name == "net_param" and entry.messages:
            span = entry.messages[0]
            return re.sub(r"[^\n]", " ", text[: span.start]) + text[span.start : span.end]
    named = [text[entry.start : entry.end] for entry in entries if entry.name in NETS]
    paths = [match[0] for each in named if (match := re.search(STRING, each))]
    fix = f"give the network that it names, {paths[0]}" if paths else "give its network"
    raise FormatError(f"{source}: this is a solver, not a network", fix=fix)
