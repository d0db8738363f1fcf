"""A training definition's deployable part: no data layers, labels, losses and accuracies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from caffe_layers.base.layer import DEFAULT, Layer, Registry
from caffe_layers.data.input import Input
from prototxt import Net
from prototxt.blob_index import NOBODY, BlobIndex, Value
from prototxt.errors import UnsupportedError
from prototxt.net import describe

from .source_inputs import Reading, as_input, quoted
from .training_only import judges_by_message


def deploy(
    net: Net, registry: Registry = DEFAULT, *, dialect: str | None = None
) -> tuple[Net, list[str]]:
    """Return the part of a filtered network that predicts, and notes on what was left out.

    Losses, accuracies, strangers that seem to be such and what is computed from them go, and so
    does all that only they used; their predictions become outputs. A loss's own softmax or sigmoid
    goes with it: such outputs are logits. Data layers become Input layers, of the shape that the
    definition says, if it does; margins, which only training has, need no labels. `dialect` names
    the fork that a type is read by where several know it.

    Raises UnsupportedError where nothing would be left.
    """
    net, told = _without_labels(net, registry, dialect)
    parts = _Parts.of(net, registry, dialect)
    dropped = parts.dropped()
    wanted = _named(net, parts) or parts.outputs(dropped)
    if not wanted:
        raise UnsupportedError(f"{net.source}: --deploy: no layer is left that makes an output")
    # A bottom that nobody makes is left: building the network complains of it.
    values, kept = parts.blobs.needed(wanted)
    layers = list(net.layers)
    notes: list[str] = [note for index, note in told.items() if index in kept]
    for index in filter(parts.is_source, sorted(kept)):
        tops = [value.blob for value in parts.blobs.tops[index] if value in values]
        layers[index], note = as_input(parts.readings[index], layers[index], tops)
        notes += [f"--deploy put {note}"] if note else []
    gone = [layer for index, layer in enumerate(net.layers) if index not in kept]
    if gone:
        notes.append(f"--deploy left out {', '.join(map(describe, gone))}")
    notes += [
        f"--deploy took {describe(layer)} for what only measures: nobody knows it here or reads it"
        for index, layer in enumerate(net.layers)
        if index not in kept and parts.seems_to_measure(index)
    ]
    lost = _lost_inputs(parts, kept, values)
    if lost:
        notes.append(f"--deploy left out what only they use: {quoted(lost)}")
    notes += _output_notes(parts, wanted, dropped)
    return replace(net, layers=layers).keeping(sorted(kept)), notes


def _without_labels(
    net: Net, registry: Registry, dialect: str | None
) -> tuple[Net, dict[int, str]]:
    """Return the network without the labels of layers that test without any, and notes of each.

    What such a layer makes beside its first top, of labels or for the eye, goes too where losses
    and measures alone read it.
    """
    layers, notes, blobs = list(net.layers), {}, BlobIndex.of(net.layers)
    classes = [Reading.of(layer, net, registry, dialect).cls for layer in net.layers]
    for index, (layer, cls) in enumerate(zip(net.layers, classes, strict=True)):
        if cls.is_loss or cls.is_metric or not cls.does_without_labels(layer):
            continue
        labels = [layer.bottom[at] for at in cls.fixed_bottoms if at < len(layer.bottom)]
        if labels:
            plain = layers[index] = type(layer).FromString(layer.SerializePartialToString())
            kept = [name for at, name in enumerate(layer.bottom) if at not in cls.fixed_bottoms]
            plain.bottom[:] = kept
            read = [
                at == 0 or any(not _judges(net.layers[user], classes[user]) for user in users)
                for at, users in enumerate(map(blobs.readers, blobs.tops[index]))
            ]
            while plain.top and not read.pop():
                del plain.top[-1]
            notes[index] = (
                f"--deploy left {quoted(labels)} out of {describe(layer)}, "
                "which needs labels in training alone"
            )
    return replace(net, layers=layers), notes


def _judges(layer: Any, cls: type[Layer]) -> bool:
    return cls.is_loss or cls.is_metric or (cls is Layer and judges_by_message(layer))


@dataclass(frozen=True)
class _Parts:
    """The layers of a network, what their classes say of them, and who reads their tops."""

    layers: Sequence[Any]
    readings: Sequence[Reading]
    blobs: BlobIndex

    @classmethod
    def of(cls, net: Net, registry: Registry, dialect: str | None) -> _Parts:
        readings = [Reading.of(layer, net, registry, dialect) for layer in net.layers]
        return cls(net.layers, readings, BlobIndex.of(net.layers))

    def is_source(self, index: int) -> bool:
        """Tell whether a layer brings data from outside."""
        return self.readings[index].is_source(self.layers[index])

    def dropped(self) -> set[int]:
        """Return the losses, the accuracies, the sinks and all that is computed from them."""
        found: set[int] = set()
        for index, reading in enumerate(self.readings):
            if self._reads(index, found) or self._measures(index) or reading.cls.is_sink:
                found.add(index)
        for index in range(len(self.layers) - 1, -1, -1):
            if self.readings[index].cls.is_copy:  # for losses only: what it reads is left
                users = [user for top in self.blobs.tops[index] for user in self.blobs.readers(top)]
                if users and found.issuperset(users):
                    found.add(index)
        return found

    def _reads(self, index: int, makers: set[int]) -> bool:
        return any(value.maker in makers for value in self.blobs.bottoms[index])

    def _measures(self, index: int) -> bool:
        layer, cls = self.layers[index], self.readings[index].cls
        if cls.is_loss or cls.is_metric:
            return True
        if any(map(self.blobs.readers, self.blobs.tops[index])):
            return False
        return any(layer.loss_weight) or self.seems_to_measure(index)

    def seems_to_measure(self, index: int) -> bool:
        """Tell whether a layer that nobody knows, and nobody reads, judges by labels.

        It says so itself, or takes a data layer's further top beside what it reads first.
        """
        layer, reading = self.layers[index], self.readings[index]
        if (
            reading.is_known
            or not layer.top
            or any(map(self.blobs.readers, self.blobs.tops[index]))
        ):
            return False
        labels = (self._is_label(value) for value in self.blobs.bottoms[index][1:])
        return judges_by_message(layer) or any(labels)

    def _is_label(self, value: Value) -> bool:
        """Tell whether a value is one that a data layer brings with its first."""
        if value.maker == NOBODY or not value.number or not self.is_source(value.maker):
            return False
        return not issubclass(self.readings[value.maker].cls, Input)

    def outputs(self, dropped: set[int]) -> list[Value]:
        """Return what is an output without the dropped layers: predictions, not labels.

        Where there are none, they are what sinks alone swallow.
        """
        learned: set[int] = set()
        for index, reading in enumerate(self.readings):
            if reading.learns or self._reads(index, learned):
                learned.add(index)
        if not learned:  # nothing tells labels apart: whatever is computed is an output
            learned = {index for index in range(len(self.layers)) if not self.is_source(index)}
        made = [value for index in sorted(learned - dropped) for value in self.blobs.tops[index]]
        found = [value for value in made if self._is_output(value, dropped)]
        return found or [value for value in made if self._is_silenced(value)]

    def _is_silenced(self, value: Value) -> bool:
        return all(self.readings[user].cls.is_sink for user in self.blobs.readers(value))

    def _is_output(self, value: Value, dropped: set[int]) -> bool:
        users = self.blobs.readers(value)
        return not users or any(self._predicts(user, value, dropped) for user in users)

    def _predicts(self, user: int, value: Value, dropped: set[int]) -> bool:
        """Tell whether a layer that goes takes a value as a prediction, which it judges."""
        cls = self.readings[user].cls
        if user not in dropped or cls.is_sink:
            return False
        if cls.is_copy:
            return any(
                self._predicts(reader, top, dropped)
                for top in self.blobs.tops[user]
                for reader in self.blobs.readers(top)
            )
        labels = (1,) if cls.is_metric else cls.fixed_bottoms
        bottoms = self.blobs.bottoms[user]
        here = any(bottom == value and at not in labels for at, bottom in enumerate(bottoms))
        return here and self._measures(user)


def _named(net: Net, parts: _Parts) -> list[Value]:
    """Return the values of the blobs that the caller named as the outputs."""
    return [value for name in net.outputs if (value := parts.blobs.last(name)) is not None]


def _lost_inputs(parts: _Parts, kept: set[int], values: set[Value]) -> list[str]:
    return [
        value.blob
        for index in filter(parts.is_source, sorted(kept))
        for value in parts.blobs.tops[index]
        if value not in values
    ]


def _output_notes(parts: _Parts, wanted: Sequence[Value], dropped: set[int]) -> list[str]:
    notes = []
    for value in wanted:
        users = [user for user in parts.blobs.readers(value) if user in dropped]
        applied = [parts.readings[user].cls.applies for user in users]
        if last := next(filter(None, applied), ""):
            notes.append(f"the output {value.blob!r} is logits: the {last} went with its loss")
    return notes
