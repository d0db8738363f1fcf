"""The Split layers that Caffe adds to a network where a blob has several readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from prototxt.blob_index import BlobIndex, Value
from prototxt.errors import ShapeError, within
from prototxt.net import Net, copied
from prototxt.schema import dialect


def insert_splits(net: Net) -> Net:
    """Return the network with a Split after every top that is read more than once.

    A loss weight reads its top, too, and before all others: the Split's first top carries the
    weight. As in Caffe, the layer then loses the weights of its other tops as well. The layers are
    today's, already filtered; ShapeError where a bottom is no earlier layer's top.

    Caffe: src/caffe/util/insert_splits.cpp
    """
    blobs = BlobIndex.of(net.layers)
    for index in range(len(net.layers)):
        for name in blobs.missing(index):
            with within(net.place(index)):
                raise ShapeError(f"bottom {name!r} is no earlier layer's top")
    weights = loss_weights(net.layers, blobs)
    copies = {
        value: len(blobs.readers(value)) + bool(weights.get(value))
        for tops in blobs.tops
        for value in tops
    }
    taken = {value: 1 for value, weight in weights.items() if weight}
    layers: list[Any] = []
    lines: list[int] = []
    for index, original in enumerate(net.layers):
        layer = copied(original)
        layers.append(layer)
        for bottom, value in enumerate(blobs.bottoms[index]):
            if copies[value] > 1:
                number = taken.get(value, 0)
                layer.bottom[bottom] = f"{split_name(net, value)}_{number}"
                taken[value] = number + 1
        for value in blobs.tops[index]:
            if copies[value] > 1:
                layers.append(split(net, value, copies[value], weights.get(value, 0)))
                if weights.get(value):
                    layer.ClearField("loss_weight")
        lines += net.lines[index : index + 1] * (len(layers) - len(lines))
    return replace(net, layers=layers, lines=lines)


def loss_weights(layers: Sequence[Any], blobs: BlobIndex) -> Mapping[Value, float]:
    """Return the weights that the layers give to their tops."""
    return {
        value: weight
        for layer, tops in zip(layers, blobs.tops, strict=True)
        for value, weight in zip(tops, layer.loss_weight, strict=False)
    }


def split_name(net: Net, value: Value) -> str:
    return f"{value.blob}_{net.layers[value.maker].name}_{value.number}_split"


def split(net: Net, value: Value, copies: int, loss_weight: float) -> Any:
    new: Any = dialect("bvlc").message("LayerParameter")()
    new.name, new.type = split_name(net, value), "Split"
    new.bottom.append(value.blob)
    new.top.extend(f"{new.name}_{number}" for number in range(copies))
    if loss_weight:
        new.loss_weight.extend([loss_weight] + [0] * (copies - 1))
    return new
