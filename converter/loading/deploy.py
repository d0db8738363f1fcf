"""A training definition's deployable part: no data layers, labels, losses and accuracies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import caffe_layers
from caffe_layers import Layer, Shape
from caffe_layers.base.layer import DEFAULT, Registry
from caffe_layers.data.fed import Fed
from caffe_layers.data.input import Input
from converter.network.steps import read_layer
from prototxt import Net
from prototxt.errors import CaffeError, UnsupportedError
from prototxt.net import describe

Value = tuple[int, str]
"""The layer that wrote a blob, by its index, and the blob's name."""


def deploy(
    net: Net, registry: Registry = DEFAULT, *, dialect: str | None = None
) -> tuple[Net, list[str]]:
    """Return the part of a filtered network that predicts, and notes on what was left out.

    Losses, accuracies and what is computed from them go, and so does all that only they used;
    their predictions become outputs. A loss's own softmax or sigmoid goes with it: such outputs are
    logits. Data layers become Input layers, of the shape that the definition says, if it does.
    `dialect` names the fork that a type is read by where several know it.

    Raises UnsupportedError where nothing would be left.
    """
    wires = _Wires.of(net, registry, dialect)
    dropped = wires.dropped()
    wanted = wires.outputs(dropped)
    if not wanted:
        raise UnsupportedError("--deploy: no layer is left that makes an output")
    values, kept = wires.needed(wanted)
    layers: list[Any] = []
    lines: list[int] = []
    inputs: list[str] = []
    notes: list[str] = []
    for index, layer in enumerate(net.layers):
        if index not in kept:
            continue
        if wires.is_source(index):
            tops = [top for top in layer.top if (index, top) in values]
            inputs += tops
            layer, note = _as_input(wires.readings[index], layer, tops)
            notes += note
        layers.append(layer)
        lines += net.lines[index : index + 1]
    gone = [layer for index, layer in enumerate(net.layers) if index not in kept]
    if gone:
        notes.append(f"--deploy left out {', '.join(map(describe, gone))}")
    lost = _lost_inputs(wires, kept, values)
    if lost:
        notes.append(f"--deploy left out what only they use: {_quoted(lost)}")
    notes += _output_notes(wires, wanted, dropped)
    return replace(net, layers=layers, lines=lines), notes


@dataclass(frozen=True)
class _Reading:
    """What a layer's class says of it; nothing where its type is not known.

    It need not be: a layer that is left out may be one that nobody here can build.
    """

    cls: type[Layer] = Layer
    message: Any = None
    learns: bool = False

    @classmethod
    def of(cls, layer: Any, net: Net, registry: Registry, dialect: str | None) -> _Reading:
        try:
            found, message = read_layer(layer, net, None, dialect, registry)
        except CaffeError:
            readings = registry.layers.get(layer.type, {})
            return cls(next(iter(readings.values()), Layer))
        return cls(found, message, found.learns(message))


@dataclass
class _Wires:
    """Who writes and who reads each value of a network."""

    layers: Sequence[Any]
    readings: list[_Reading]
    bottoms: list[list[Value]]
    readers: dict[Value, list[int]]

    @classmethod
    def of(cls, net: Net, registry: Registry, dialect: str | None) -> _Wires:
        now: dict[str, int] = {}
        bottoms: list[list[Value]] = []
        readers: dict[Value, list[int]] = defaultdict(list)
        for index, layer in enumerate(net.layers):
            # A bottom that nobody makes is -1's; building the network complains of it.
            bottoms.append([(now.get(name, -1), name) for name in layer.bottom])
            for value in bottoms[-1]:
                readers[value].append(index)
            now.update(dict.fromkeys(layer.top, index))
        readings = [_Reading.of(layer, net, registry, dialect) for layer in net.layers]
        return cls(net.layers, readings, bottoms, readers)

    def is_source(self, index: int) -> bool:
        """Tell whether a layer brings data from outside."""
        return not (self.layers[index].bottom or self.readings[index].cls.own_values)

    def dropped(self) -> set[int]:
        """Return the losses, the accuracies, the sinks and all that is computed from them."""
        found: set[int] = set()
        for index in range(len(self.layers)):
            made_from = any(maker in found for maker, _ in self.bottoms[index])
            if made_from or self._measures(index) or self.readings[index].cls.is_sink:
                found.add(index)
        for index in range(len(self.layers) - 1, -1, -1):
            if self.readings[index].cls.is_copy:  # copies for losses only: what it reads is left
                users = [r for top in self.layers[index].top for r in self.readers[index, top]]
                if users and found.issuperset(users):
                    found.add(index)
        return found

    def _measures(self, index: int) -> bool:
        layer, cls = self.layers[index], self.readings[index].cls
        if cls.is_loss or cls.is_metric:
            return True
        read = any(self.readers[index, top] for top in layer.top)
        return any(layer.loss_weight) and not read

    def outputs(self, dropped: set[int]) -> list[Value]:
        """Return what is an output without the dropped layers: predictions, not labels."""
        learned: set[int] = set()
        for index, reading in enumerate(self.readings):
            if reading.learns or any(maker in learned for maker, _ in self.bottoms[index]):
                learned.add(index)
        if not learned:  # nothing tells labels apart: whatever is computed is an output
            learned = {index for index in range(len(self.layers)) if not self.is_source(index)}
        found: dict[Value, None] = {}
        for index, layer in enumerate(self.layers):
            if index in dropped:
                continue
            for top in dict.fromkeys(layer.top):
                users = self.readers[index, top]
                ends = not users or any(
                    self._predicts(user, (index, top), dropped) for user in users
                )
                if ends and index in learned:
                    found[index, top] = None
        return list(found)

    def _predicts(self, user: int, value: Value, dropped: set[int]) -> bool:
        """Tell whether a layer that goes takes a value as a prediction, which it judges."""
        cls = self.readings[user].cls
        if user not in dropped or cls.is_sink:
            return False
        if cls.is_copy:
            return any(
                self._predicts(reader, (user, top), dropped)
                for top in self.layers[user].top
                for reader in self.readers[user, top]
            )
        labels = (1,) if cls.is_metric else cls.fixed_bottoms
        here = any(v == value and at not in labels for at, v in enumerate(self.bottoms[user]))
        return here and self._measures(user)

    def needed(self, wanted: Iterable[Value]) -> tuple[set[Value], set[int]]:
        """Return the values and layers that the wanted values are computed from."""
        values: set[Value] = set()
        kept: set[int] = set()
        ahead = list(wanted)
        while ahead:
            value = ahead.pop()
            values.add(value)
            if value[0] not in kept and value[0] >= 0:
                kept.add(value[0])
                ahead += self.bottoms[value[0]]
        return values, kept


def _as_input(reading: _Reading, layer: Any, tops: Sequence[str]) -> tuple[Any, list[str]]:
    """Return the Input layer in a data layer's place, and what to know of it."""
    is_input = issubclass(reading.cls, Input)
    if is_input and len(tops) == len(layer.top):
        return layer, []
    shapes: dict[str, Shape | None] = {}
    transform = ""
    if reading.message is not None:
        try:
            module = caffe_layers.build(reading.message, [], reading.cls)
            shapes = dict(zip(layer.top, module.shapes(), strict=True))
        except CaffeError:  # its file is not here: --input-shape says the shape
            shapes = {}
        else:
            transform = _transform(module)
    new = type(layer)()
    new.name, new.type = layer.name, "Input"
    new.top.extend(tops)
    known = [shape for top in tops if (shape := shapes.get(top)) is not None]
    if len(known) == len(tops):
        for shape in known:
            new.input_param.shape.add().dim.extend(shape)
    if is_input:
        return new, []
    note = f"--deploy put the input {_quoted(tops)} in the place of {describe(layer)}"
    return new, [
        note + (f", which also did this to what it read: {transform}" if transform else "")
    ]


def _transform(module: Layer) -> str:
    if not isinstance(module, Fed):
        return ""
    how = module.transform
    words = [f"mean file {how.mean_file}"] if how.mean_file else []
    words += [f"mean {', '.join(f'{v:g}' for v in how.mean_value)}"] if how.mean_value else []
    words += [f"scale {how.scale:g}"] if how.scale != 1 else []
    words += [f"crop to {how.crop_size}"] if how.crop_size else []
    return "; ".join([*words, "mirror"] if how.mirror else words)


def _lost_inputs(wires: _Wires, kept: set[int], values: set[Value]) -> list[str]:
    return [
        top
        for index, layer in enumerate(wires.layers)
        if index in kept and wires.is_source(index)
        for top in layer.top
        if (index, top) not in values
    ]


def _output_notes(wires: _Wires, wanted: Sequence[Value], dropped: set[int]) -> list[str]:
    notes = []
    for value in wanted:
        users = [wires.readings[user].cls for user in wires.readers[value] if user in dropped]
        last = next((cls.applies for cls in users if cls.applies), "")
        if last:
            notes.append(f"the output {value[1]!r} is logits: the {last} went with its loss")
    return notes


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
