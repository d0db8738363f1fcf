"""A network that ends where whoever asks for it says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from prototxt.blob_index import BlobIndex
from prototxt.errors import UsageError
from prototxt.net import Net, describe
from prototxt.spelling import nearest

LISTED = 6
"""Layers that a note names, of many that go."""


def end_at(net: Net, names: Iterable[str]) -> tuple[Net, list[str]]:
    """Return the network that ends with the blobs of these names, and a note on what is left out.

    They become its outputs, as the last layer that writes them leaves them, also where others of
    them are computed from them; what only later layers need goes. Nothing is asked of the layers:
    those that go may be of any kind.

    Raises UsageError for a blob that no layer makes, and for an input.
    """
    wanted = tuple(dict.fromkeys(names))
    if not wanted:
        return net, []
    blobs = BlobIndex.of(net.layers)
    ends = []
    for name in wanted:
        value = blobs.last(name)
        if value is None:
            made = (top for layer in net.layers for top in layer.top)
            raise UsageError(
                f"{net.source}: no layer makes a blob {name!r} to end at", fix=nearest(name, made)
            )
        if not net.layers[value.maker].bottom:
            raise UsageError(
                f"{net.source}: {name!r} is of {describe(net.layers[value.maker])}, which computes "
                "nothing: the network cannot end at it",
                fix="name a blob that comes after it",
            )
        ends.append(value)
    _, kept = blobs.needed(ends)
    quoted = ", ".join(map(repr, wanted))
    gone = [layer for index, layer in enumerate(net.layers) if index not in kept]
    ended = replace(net.keeping(sorted(kept)), outputs=wanted)
    said = f"--end ended the network at {quoted}"
    if not gone:
        return ended, [f"{said}; no layer is left out"]
    listed = ", ".join(map(describe, gone[:LISTED]))
    more = f" and {len(gone) - LISTED} more" if len(gone) > LISTED else ""
    return ended, [f"{said}, and left out {listed}{more}"]
