"""What only training and the reading of data need: where neither is done, it stops nothing.

A layer that does not read, or whose type nobody knows, is judged by what its class and its message
say. One that brings data becomes an input: what it is fed with is the caller's. One that only
measures is left out. Of any other layer the fields of those messages are passed over that matter
in training alone, and of the header a solver's. Each is said, with its place.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from google.protobuf.message import Message

from caffe_layers import Layer
from caffe_layers.base.layer import Registry
from caffe_layers.base.message import FILLING, TRAINING, is_set
from caffe_layers.base.refused import Refused
from caffe_layers.data.input import Input
from converter.network.steps import read_layer
from prototxt import Net
from prototxt.blob_index import BlobIndex
from prototxt.errors import CaffeError, UnsupportedError
from prototxt.faults import Fault
from prototxt.net import copied
from prototxt.schema import Extra

from .source_inputs import Reading, input_of, said_shapes

_MEASURE = re.compile(r"(loss|accuracy)(_?layer)?$", re.IGNORECASE)
_SIZE = re.compile(r"height|width|size|dim|crop|shape|channel|colou?r|gr[ae]y", re.IGNORECASE)


def pass_over_training(
    net: Net,
    registry: Registry,
    dialect: str | None,
    *,
    filled: bool,
    given: Collection[str] = (),
) -> tuple[Net, list[str]]:
    """Return a filtered network without what only training needs and does not read, and notes.

    `filled` says that the fillers do not matter: weights are given, or none are wanted. `given`
    are the blobs of which the caller says the shape.
    """
    messages = TRAINING | FILLING if filled else TRAINING
    blobs, layers = BlobIndex.of(net.layers), [*net.layers]
    passing = _Passing(net, registry, dialect, messages, frozenset(given), blobs, layers)
    for index in reversed(range(len(net.layers))):  # who reads a top is judged before its maker
        passing.judge(index)
    passing.judge_header()
    return passing.result()


def judges_by_message(layer: Any) -> bool:
    """Tell whether a layer that no class is known of says itself that it only measures.

    It has a loss's weight or parameters, or is called a loss or an accuracy, as all of Caffe's are.
    """
    if any(layer.loss_weight) or is_set(layer, "loss_param"):
        return True
    name = layer.python_param.layer if is_set(layer, "python_param") else layer.type
    return len(layer.bottom) > 1 and _MEASURE.search(name) is not None


@dataclass
class _Passing:
    net: Net
    registry: Registry
    dialect: str | None
    messages: frozenset[str]
    given: frozenset[str]
    blobs: BlobIndex
    layers: list[Any]
    gone: set[int] = field(default_factory=set)
    settled: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def result(self) -> tuple[Net, list[str]]:
        faults = [fault for fault in self.net.faults if fault not in self.settled]
        kept = [index for index in range(len(self.layers)) if index not in self.gone]
        net = replace(self.net, layers=self.layers, faults=faults)
        return net.keeping(kept) if self.gone else net, self.notes[::-1]

    def judge_header(self) -> None:
        """Settle the fields of a solver that stand in the network's header."""
        solver = self.net.schema.dialect("bvlc").message("SolverParameter").DESCRIPTOR
        for fault in reversed(self.net.faults):
            if not fault.messages and fault.path in solver.fields_by_name:
                self.settled.append(fault)
                self.notes.append(f"passed over, of training alone: {_what(fault)}")

    def judge(self, index: int) -> None:
        """Settle what is wrong with a layer, if it is of training alone."""
        layer, faults = self.net.layers[index], self.net.faults_of(index)
        try:
            cls, message = self._read(layer)
            error = None
        except CaffeError as caught:
            cls, message, error = self._likely(layer), layer, caught
        if self._is_source(layer, cls) and error is None and len(layer.top) not in cls.tops:
            error = UnsupportedError(f"{len(layer.top)} tops, where it has {cls.tops} here")
        if not (faults or error or issubclass(cls, Refused)):
            return
        if issubclass(cls, Input) and not self.given.issuperset(layer.top):
            self._pass_over(index, faults, error)  # it reads nothing: its fields are its shapes
        elif self._is_source(layer, cls):
            self._feed(index, cls, message, faults, error)
        elif self._measures(layer, cls) and not self._is_read(index):
            self.gone.add(index)
            applied = f", and so is its {cls.applies}" if cls.applies else ""
            self._settle(index, faults, error, "training", f"the layer is left out{applied}")
        else:
            self._pass_over(index, faults, error)

    def _read(self, layer: Any) -> tuple[type[Layer], Any]:
        return read_layer(layer, self.net, None, self.dialect, self.registry)

    def _likely(self, layer: Any) -> type[Layer]:
        """Return a class of a type whose layer is not read: what it is for they agree in."""
        return next(iter(self.registry.layers.get(layer.type, {}).values()), Layer)

    def _is_source(self, layer: Any, cls: type[Layer]) -> bool:
        if cls is Layer or issubclass(cls, Refused):
            return bool(layer.top) and not layer.bottom
        return cls.is_source and not cls.own_values

    def _measures(self, layer: Any, cls: type[Layer]) -> bool:
        known = cls.is_loss or cls.is_metric or (cls.is_sink and issubclass(cls, Refused))
        return known or (not self._has_class(layer) and judges_by_message(layer))

    def _has_class(self, layer: Any) -> bool:
        return layer.type in self.registry.layers and not is_set(layer, "python_param")

    def _is_read(self, index: int) -> bool:
        readers = (user for top in self.blobs.tops[index] for user in self.blobs.readers(top))
        return any(user not in self.gone for user in readers)

    def _feed(
        self,
        index: int,
        cls: type[Layer],
        message: Any,
        faults: Sequence[Fault],
        error: CaffeError | None,
    ) -> None:
        """Put an input in the place of a layer that brings data."""
        layer = self.net.layers[index]
        read = [
            top.blob
            for top in self.blobs.tops[index]
            if not self.gone.issuperset(self.blobs.readers(top))
        ]
        reading = Reading(cls, message if cls is not Layer else None)
        shapes = said_shapes(layer, reading.source())
        names = [name for fault in faults for name in (fault.what, fault.path)]
        names += map(str, self._extras(layer))
        if any(_SIZE.search(name.rpartition(".")[2]) for name in names):
            shapes = {}
        self.layers[index] = input_of(layer, read or layer.top, shapes)
        done = "an input stands in the layer's place"
        self._settle(index, faults, error, "the reading of data", done)

    def _pass_over(self, index: int, faults: Sequence[Fault], error: CaffeError | None) -> None:
        """Pass over those fields alone that are of training."""
        for fault in faults:
            if not self.messages.isdisjoint(fault.messages):
                self.settled.append(fault)
                self.notes.append(f"passed over, of training alone: {_what(fault)}")
        layer = copied(self.net.layers[index])
        extras = [one for one in self._extras(layer) if self._is_training(one)] if error else []
        for extra in extras:
            _clear(layer, extra.path.split("."))
        if extras:  # what else it is refused for whoever builds it says
            self.layers[index] = layer
            place, names = self.net.place(index), ", ".join(map(str, extras))
            self.notes.append(f"passed over, of training alone: {place}: {names}")

    def _extras(self, layer: Any) -> Iterable[Extra]:
        return self.net.schema.extra_fields(layer, phase="TEST")

    def _is_training(self, extra: Extra) -> bool:
        return extra.full_name.split(".")[-2] in self.messages

    def _settle(
        self, index: int, faults: Sequence[Fault], error: CaffeError | None, of: str, done: str
    ) -> None:
        self.settled += faults
        said = [_what(fault) for fault in faults]
        if not said:
            why = error.args[0] if error else "it is not computed here"
            said = [f"{self.net.place(index)}: {why}"]
        self.notes += [f"passed over, of {of} alone: {one}; {done}" for one in said[::-1]]


def _what(fault: Fault) -> str:
    return f"{fault.place}: {fault.what or fault.problem}"


def _clear(message: Any, path: Sequence[str]) -> None:
    """Clear a field, of every message where they are several."""
    name, *rest = path
    if not rest:
        message.ClearField(name)
        return
    inner = getattr(message, name)
    for one in [inner] if isinstance(inner, Message) else inner:
        _clear(one, rest)
