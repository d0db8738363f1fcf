"""The Split layers that Caffe adds to a network where a blob has several readers."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any, NamedTuple

from prototxt.errors import ShapeError, within
from prototxt.net import Net
from prototxt.schema import dialect


class Top(NamedTuple):
    """One top: its layer's index and its own among that layer's tops."""

    layer: int
    number: int


def insert_splits(net: Net) -> Net:
    """Give the network with a Split after every top that is read more than once.

    A loss weight reads its top, too, and before all others: the Split's first top carries the
    weight. As in Caffe, the layer then loses the weights of its other tops as well. The layers are
    today's, already filtered; ShapeError where a bottom is no earlier layer's top.

    Caffe: src/caffe/util/insert_splits.cpp
    """
    readers, weights, sources = trace(net)
    layers: list[Any] = []
    lines: list[int] = []
    taken = {top: 1 for top, weight in weights.items() if weight}
    for index, original in enumerate(net.layers):
        layer: Any = type(original)()
        layer.CopyFrom(original)
        line = net.lines[index : index + 1]
        layers.append(layer)
        lines += line
        for bottom, source in enumerate(sources[index]):
            if readers[source] > 1:
                number = taken.get(source, 0)
                layer.bottom[bottom] = f"{split_name(net, source)}_{number}"
                taken[source] = number + 1
        for number in range(len(layer.top)):
            top = Top(index, number)
            if readers[top] > 1:
                layers.append(split(net, top, readers[top], weights.get(top, 0)))
                lines += line
                if weights.get(top):
                    layer.ClearField("loss_weight")
    return replace(net, layers=layers, lines=lines)


def trace(net: Net) -> tuple[dict[Top, int], dict[Top, float], list[list[Top]]]:
    """Count each top's readers; give the tops' loss weights, and each layer's bottoms as tops."""
    last: dict[str, Top] = {}
    readers: dict[Top, int] = defaultdict(int)
    weights: dict[Top, float] = {}
    sources: list[list[Top]] = []
    for index, message in enumerate(net.layers):
        layer: Any = message
        with within(net.place(index)):
            for bottom in layer.bottom:
                if bottom not in last:
                    raise ShapeError(f"bottom {bottom!r} is no earlier layer's top")
        sources.append([last[bottom] for bottom in layer.bottom])
        for source in sources[-1]:
            readers[source] += 1
        tops = [Top(index, number) for number in range(len(layer.top))]
        last.update(zip(layer.top, tops, strict=True))
        for top, weight in zip(tops, layer.loss_weight, strict=False):
            weights[top] = weight
            readers[top] += bool(weight)
    return readers, weights, sources


def split_name(net: Net, top: Top) -> str:
    layer: Any = net.layers[top.layer]
    return f"{layer.top[top.number]}_{layer.name}_{top.number}_split"


def split(net: Net, top: Top, readers: int, loss_weight: float) -> Any:
    layer: Any = net.layers[top.layer]
    new: Any = dialect("bvlc").message("LayerParameter")()
    new.name, new.type = split_name(net, top), "Split"
    new.bottom.append(layer.top[top.number])
    new.top.extend(f"{new.name}_{number}" for number in range(readers))
    if loss_weight:
        new.loss_weight.extend([loss_weight] + [0] * (readers - 1))
    return new
