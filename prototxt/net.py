"""A network definition as its layers' messages, each of the dialect that its type belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from google.protobuf.message import Message

from .faults import Fault
from .file_state import FileState
from .schema import SHIPPED, Schema
from .schema.layer_types import written_type
from .schema.recognize import Recognized

AnyMessage = TypeVar("AnyMessage", bound=Message)


@dataclass
class Net:
    """A network: `header` is its NetParameter without the layers, `layers` are in file order.

    Layers are LayerParameter messages, or V1LayerParameter ones until `upgrade` has run. Binary
    blobs are not in them. `lines` gives each layer's line where the source is text. `unknown` lists
    the fields that were passed over because the caller allowed it, `faults` what else did not read
    and was left out, `dropped` what an upgrade left
    out, as Caffe's own does with no more than a log line, `shapeless` the inputs among that.
    `dialects` are those that the file was recognized as, `phase` the one that it was filtered for.
    `file` is the one that it was read from; None where there is none. `schema` has the dialects
    that its messages may be of. `outputs` are the blobs that the caller ended the network with, if
    that is so, `left_out` the layers that the phase, the level and the stages do not pick.
    """

    header: Any
    layers: list[Any]
    source: str = "network"
    lines: list[int] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    shapeless: list[str] = field(default_factory=list)
    dialects: list[Recognized] = field(default_factory=list)
    phase: str = ""
    file: FileState | None = None
    schema: Schema = SHIPPED
    outputs: tuple[str, ...] = ()
    left_out: tuple[Any, ...] = ()

    @property
    def name(self) -> str:
        return str(self.header.name)

    def place(self, index: int) -> str:
        """Say where layer `index` stands, for error messages: file, line, name and type."""
        layer = self.layers[index]
        line = f":{self.lines[index]}" if index < len(self.lines) else ""
        return f"{self.source}{line}: {describe(layer)}"

    def faults_of(self, index: int) -> list[Fault]:
        """Return what was left out of layer `index`."""
        line = self.lines[index] if index < len(self.lines) else 0
        return [fault for fault in self.faults if fault.is_of(self.layers[index], line)]

    def passing_over_unknown(self) -> Net:
        """Return the network with its unknown fields passed over, as the caller allows."""
        unknown = [f"{one.place}: {one.what}" for one in self.faults if one.kind == "field"]
        others = [one for one in self.faults if one.kind != "field"]
        return replace(self, unknown=[*self.unknown, *unknown], faults=others)

    def refuse_faults(self) -> None:
        """Raise a FormatError for the first fault, if there is one."""
        for fault in self.faults:
            raise fault.error()

    def keeping(self, indices: Iterable[int]) -> Net:
        """Return the network of these layers alone, in the order of the indices."""
        kept = list(indices)
        lines = [self.lines[index] for index in kept] if self.lines else []
        return replace(self, layers=[self.layers[index] for index in kept], lines=lines)


def copied(message: AnyMessage) -> AnyMessage:
    """Return a copy of a message, which can be changed without changing what was read."""
    new = type(message)()
    new.CopyFrom(message)
    return new


def describe(layer: Any) -> str:
    """Name a layer as error messages do: layer 'conv1' (Convolution)."""
    return f"layer {layer.name!r} ({written_type(layer)})"
