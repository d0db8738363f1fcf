"""Layers left out that are the identity, by the word of whoever asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from prototxt.blob_index import BlobIndex, Value
from prototxt.errors import UnsupportedError, UsageError, within
from prototxt.net import Net, copied, describe
from prototxt.spelling import nearest


def skip_layers(net: Net, names: Iterable[str]) -> tuple[Net, list[str]]:
    """Return the network without the layers of these names, and a note on each.

    What read such a layer's top reads its bottom. Raises UsageError for a name that no layer has,
    UnsupportedError for a layer that has not one bottom and one top, and where its bottom is
    written over before its top is read.
    """
    notes: list[str] = []
    for name in dict.fromkeys(names):
        if all(layer.name != name for layer in net.layers):
            raise UsageError(
                f"{net.source}: --skip: no layer is named {name!r}",
                fix=nearest(name, (layer.name for layer in net.layers)),
            )
        while (at := _first(net, name)) is not None:
            with within(net.place(at)):
                net, note = _without(net, at)
            notes.append(note)
    return net, notes


def _first(net: Net, name: str) -> int | None:
    return next((at for at, layer in enumerate(net.layers) if layer.name == name), None)


def _without(net: Net, at: int) -> tuple[Net, str]:
    skipped = net.layers[at]
    if len(skipped.bottom) != 1 or len(skipped.top) != 1:
        raise UnsupportedError(
            f"--skip: {_number(skipped.bottom, 'bottom')} and {_number(skipped.top, 'top')}, wants "
            "one of each",
            fix="--end BLOB ends the network before it, --input-shape TOP=... feeds what it makes",
        )
    blobs = BlobIndex.of(net.layers)
    (source,), (made,) = blobs.bottoms[at], blobs.tops[at]
    layers: list[Any] = list(net.layers)
    readers = dict.fromkeys(blobs.readers(made))
    for reader in readers:
        if _is_overwritten(blobs, source, range(at + 1, reader)):
            raise UnsupportedError(
                f"--skip: {source.blob!r} is written over before {describe(layers[reader])} reads "
                f"{made.blob!r}",
                fix="in the definition, give what writes over it a top of its own",
            )
        layers[reader] = copied(layers[reader])
        for place, name in enumerate(net.layers[reader].bottom):
            if name == made.blob:
                layers[reader].bottom[place] = source.blob
    now = f"what read {made.blob!r} reads" if readers else f"in place of {made.blob!r} comes out"
    kept = [index for index in range(len(layers)) if index != at]
    note = f"--skip left out {describe(skipped)}, as the identity: {now} {source.blob!r}"
    return replace(net, layers=layers).keeping(kept), note


def _is_overwritten(blobs: BlobIndex, value: Value, between: Iterable[int]) -> bool:
    return any(top.blob == value.blob for index in between for top in blobs.tops[index])


def _number(blobs: Sequence[str], what: str) -> str:
    return f"{len(blobs)} {what}{'' if len(blobs) == 1 else 's'}"
