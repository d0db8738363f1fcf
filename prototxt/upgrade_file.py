"""A network's file of any generation, written anew in today's form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from .atomic import writing
from .binary.blob import Blob
from .binary.caffemodel import LayerWeights, Weights, read_binary, write_caffemodel
from .net import Net
from .read import kind_of, read_as_written
from .schema import SHIPPED, Schema
from .text.parse import format_text
from .upgrade import upgrade

Form = Literal["text", "binary"]
FORMS: dict[str, Form] = {
    ".prototxt": "text",
    ".pbtxt": "text",
    ".txt": "text",
    ".caffemodel": "binary",
    ".binaryproto": "binary",
    ".protobin": "binary",
}


@dataclass
class Rewritten:
    """What became of a file: was it in today's form already, what was written, what left out."""

    generation: str
    up_to_date: bool
    form: Form
    left_out: list[str] = field(default_factory=list)


def upgrade_file(
    source: str | Path,
    target: str | Path,
    *,
    allow_unknown: bool = False,
    dialect: str | None = None,
    values: Mapping[str, str] | None = None,
    schema: Schema = SHIPPED,
) -> Rewritten:
    """Write the network of `source`, text or binary of any generation, to `target` as today's.

    The suffix of `target` says text or binary; any other keeps the form of `source`. In binary the
    weights stay, with Caffe's own legacy shapes; half precision becomes float. The file appears
    whole or not at all. `values` are those of a template's placeholders, `schema` has the dialects
    that the file may be of. FormatError where Caffe refuses.
    """
    weights = None
    if kind_of(source) == "binary" and not values:  # which binary refuses, below
        weights = read_binary(source, dialect, schema=schema)
        assert weights.net is not None
        old = weights.net
    else:
        old, _ = read_as_written(
            source, allow_unknown=allow_unknown, dialect=dialect, values=values, schema=schema
        )
    net = upgrade(old)
    form = FORMS.get(Path(target).suffix, "text" if weights is None else "binary")
    done = Rewritten(generation(old), same(old, net), form, [*net.unknown, *net.dropped])
    blobs = blobs_of(weights, len(net.layers)) if weights is not None else {}
    if form == "binary":
        write_caffemodel(target, net, blobs)
        return done
    if blobs:
        done.left_out.append(
            f"the weights, which a text does not hold (layers with weights: {len(blobs)})"
        )
    with writing(target) as file:
        file.write(format_text(net).encode())
    return done


def generation(net: Net) -> str:
    """Tell the generation of a network as its file has it: V0, V1 or V2."""
    if any(layer.DESCRIPTOR.name == "V1LayerParameter" for layer in net.layers):
        return "V0" if any(layer.HasField("layer") for layer in net.layers) else "V1"
    return "V2"


def same(old: Net, new: Net) -> bool:
    return bool(old.header == new.header and old.layers == new.layers)


def blobs_of(weights: Weights, layers: int) -> dict[int | str, Sequence[Blob]]:
    """Return the blobs by their layers' indices in the upgraded network, of so many `layers`.

    An upgrade puts an Input layer in front and takes V0's padding layers out.
    """
    kept = [layer for layer in weights.layers if not is_padding(weights, layer)]
    added = layers - len(kept)
    assert added in (0, 1)
    return {
        index: [written(blob) for blob in layer.blobs if blob is not None]
        for index, layer in enumerate(kept, added)
        if layer.blobs
    }


def is_padding(weights: Weights, layer: LayerWeights) -> bool:
    return weights.generation == "V0" and layer.type == "padding"


def written(blob: Blob) -> Blob:
    half = blob.values.dtype.itemsize < np.dtype(np.float32).itemsize
    return replace(blob, values=blob.values.astype(np.float32)) if half else blob
