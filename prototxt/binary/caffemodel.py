"""Binary networks: a .caffemodel is walked over a memory map, its blobs are views of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from prototxt.atomic import writing
from prototxt.errors import FormatError, UnsupportedError, WeightError, within
from prototxt.file_state import FileState, open_file
from prototxt.net import Net, describe
from prototxt.schema import SHIPPED, Dialect, Schema

from . import blob, wire
from .blob import Array, Blob
from .decode import Part, decode


@dataclass(frozen=True)
class _Generation:
    """Where one generation of layer keeps what a reader of weights needs."""

    name: str
    message: str
    number: int  # in NetParameter
    name_at: int
    type_at: int
    blobs_at: int


_ONNX = {7, 8}
"""The graph and the operators' version, which every ONNX model has; its field 1 is a number."""

_V2 = _Generation("V2", "LayerParameter", 100, 1, 2, 7)
_V1 = _Generation("V1", "V1LayerParameter", 2, 4, 5, 6)
_V0 = _Generation("V0", "V0LayerParameter", 1, 1, 2, 50)  # inside a V1LayerParameter


@dataclass(frozen=True)
class _Embedded:
    """A file's network as bytes, without the blobs: its header, and each layer with its type."""

    header: bytes
    layers: Sequence[tuple[_Generation, str, bytes]]


@dataclass
class LayerWeights:
    """One layer of a weights file. In HDF5 a blob is None where a shared one's owner holds it.

    `type` is as the file has it: a V1 layer's is the enum's name, HDF5 and safetensors have none.
    Of safetensors `names` says which blob is which; elsewhere their order does.
    """

    name: str
    type: str
    blobs: list[Blob | None]
    names: list[str] = field(default_factory=list)


@dataclass
class Weights:
    """What a weights file holds: its layers in file order, with their blobs.

    `generation` is V0, V1, V2, HDF5 or safetensors. `file` is the one that it was read
    from, if it was; `pages` are its bytes where the values may be written to.
    """

    layers: list[LayerWeights]
    source: str
    generation: str
    dialect: str | None = None
    schema: Schema = SHIPPED
    file: FileState | None = None
    pages: memoryview | None = field(default=None, repr=False)
    embedded: _Embedded | None = field(default=None, repr=False)

    @cached_property
    def net(self) -> Net | None:
        """The embedded network as it stands, one for each of `layers`; only binary has one."""
        if self.embedded is None:
            return None
        parts = [Part("NetParameter", "", self.embedded.header, "the network")]
        for (generation, layer_type, part), weights in zip(
            self.embedded.layers, self.layers, strict=True
        ):
            shapes = [blob.shape for blob in weights.blobs if blob is not None]
            parts.append(
                Part(generation.message, layer_type, part, f"layer {weights.name!r}", shapes)
            )
        blobs = (blob for layer in self.layers for blob in layer.blobs if blob is not None)
        raw = {"BlobProto.raw_data": frozenset({"nvidia"})} if any(b.raw for b in blobs) else {}
        with within(self.source):
            (header, *layers), dialects = decode(parts, self.dialect, raw, self.schema)
        return Net(
            header, layers, self.source, dialects=dialects, file=self.file, schema=self.schema
        )


def read_binary(
    path: str | Path, dialect: str | None = None, *, schema: Schema = SHIPPED
) -> Weights:
    """Read a .caffemodel of any generation; FormatError names the byte where it is damaged."""
    with within(str(path)):
        return parse_binary(mapped(path), str(path), dialect, schema=schema)


def parse_binary(
    data: memoryview, source: str, dialect: str | None = None, *, schema: Schema = SHIPPED
) -> Weights:
    """Read a .caffemodel's bytes; blobs are views of them."""
    layers: list[LayerWeights] = []
    parts: list[tuple[_Generation, str, bytes]] = []
    header = bytearray()
    generations: set[str] = set()
    entries = list(wire.fields(data, 0, len(data)))  # first of all: a truncated file ends here
    for entry in entries:
        if entry.number not in (_V1.number, _V2.number):
            if entry.number == 1 and entry.wire_type != wire.BYTES:
                _refuse_other_format(entries)
            header += data[entry.start : entry.end]
            continue
        if entry.wire_type != wire.BYTES:
            raise FormatError(f"byte {entry.start}: a layer has wire type {entry.wire_type}")
        generation = _V2 if entry.number == _V2.number else _V1
        layer, generation, part = _layer(data, entry, generation, schema)
        generations.add(generation.name)
        layers.append(layer)
        layer_type = layer.type if generation is _V2 else ""
        parts.append((_V1 if generation is _V0 else generation, layer_type, part))
    if not layers:
        raise FormatError("no layers in it", fix="is it a .caffemodel?")
    if len(generations) > 1:
        raise FormatError(f"layers of {' and '.join(sorted(generations))} in one file, wants one")
    embedded = _Embedded(bytes(header), parts)
    return Weights(layers, source, generations.pop(), dialect, schema, embedded=embedded)


def _refuse_other_format(entries: Sequence[wire.Field]) -> NoReturn:
    """Say what a file is whose first field is no network's name."""
    if {entry.number for entry in entries if entry.wire_type == wire.BYTES} >= _ONNX:
        fix = "give what it was made of; `run` takes the model itself, `verify` after both files"
        raise FormatError("an ONNX model, wants a network or weights of Caffe's", fix=fix)
    raise FormatError("no network: its first field is no name, as in a .solverstate")


def mapped(path: str | Path) -> memoryview:
    """Map a file's bytes."""
    _, data = open_file(path)
    if not data:
        raise FormatError("the file is empty")
    return data


def _layer(
    data: memoryview, entry: wire.Field, generation: _Generation, schema: Schema
) -> tuple[LayerWeights, _Generation, bytes]:
    """Read one layer: its blobs, its true generation, and its message without the blobs."""
    name, layer_type, blobs, part, inner = _walk(data, entry, generation)
    if inner is not None:  # V0: what the connection around it says beside bottom and top is lost
        name, layer_type, blobs, bare, _ = _walk(data, inner, _V0)
        key = wire.encode_key(_V0.number, wire.BYTES)
        part += key + wire.encode_varint(len(bare)) + bare
        generation = _V0
    elif generation is _V1:
        layer_type = _v1_type(layer_type, schema)
    layer = LayerWeights(name, layer_type, [])
    with within(f"layer {name!r}"):
        for index, found in enumerate(blobs):
            with within(f"blob {index}"):
                layer.blobs.append(blob.read(data, found.value, found.end))
    return layer, generation, part


def _walk(
    data: memoryview, entry: wire.Field, generation: _Generation
) -> tuple[str, str, list[wire.Field], bytes, wire.Field | None]:
    name = layer_type = ""
    blobs: list[wire.Field] = []
    rest: list[memoryview] = []
    inner = None
    for found in wire.fields(data, entry.value, entry.end):
        if found.number == generation.blobs_at and found.wire_type == wire.BYTES:
            blobs.append(found)
            continue
        if generation is _V1 and found.number == _V0.number and found.wire_type == wire.BYTES:
            inner = found
            continue
        rest.append(data[found.start : found.end])
        if found.number == generation.name_at:
            name = wire.string(data, found)
        elif found.number == generation.type_at:
            is_enum = generation is _V1 and found.wire_type == wire.VARINT
            layer_type = str(found.value) if is_enum else wire.string(data, found)
    return name, layer_type, blobs, b"".join(rest), inner


def _v1_type(number: str, schema: Schema) -> str:
    """Name a V1 type by its number; the number stays where only forks have it, or several do."""
    value = int(number or "0")
    for one in (*schema.given.values(), schema.dialect("bvlc")):
        if name := _value_name(one, value):
            return name
    for dialects in (schema.first, schema.further):
        if names := set(filter(None, (_value_name(one, value) for one in dialects))):
            return names.pop() if len(names) == 1 else number
    return number


def _value_name(one: Dialect, value: int) -> str:
    types: Any = one.message("V1LayerParameter").DESCRIPTOR.fields_by_name["type"].enum_type
    found = types.values_by_number.get(value)
    return str(found.name) if found else ""


def write_caffemodel(
    path: str | Path, net: Net, blobs: Mapping[int | str, Sequence[Array | Blob]]
) -> None:
    """Write a network with its weights as Caffe does, whole or not at all.

    `blobs` holds a layer's arrays, float32 or float64, under its index or its name; a Blob of a
    file stays legacy if it is. Values are streamed: no message holds them, and files may exceed
    2 GiB.
    """
    names = {layer.name for layer in net.layers}
    if unknown := [key for key in blobs if key not in names and key not in range(len(net.layers))]:
        raise WeightError(f"{net.source}: blobs for {unknown[0]!r}, which is no layer")
    with writing(path) as file:
        file.write(net.header.SerializeToString(deterministic=True))
        for index, layer in enumerate(net.layers):
            with within(f"{path}: {describe(layer)}"):
                _write_layer(file, layer, blobs.get(index, blobs.get(layer.name, ())))


def _write_layer(file: BinaryIO, layer: Any, arrays: Sequence[Array | Blob]) -> None:
    if layer.DESCRIPTOR.name != _V2.message:
        raise UnsupportedError(f"a {layer.DESCRIPTOR.name} cannot be written", fix="upgrade it")
    body = memoryview(layer.SerializeToString(deterministic=True))
    split = len(body)
    for found in wire.fields(body, 0, len(body)):
        if found.number > _V2.blobs_at:
            split = found.start
            break
    parts: list[bytes | memoryview] = [body[:split]]
    for index, array in enumerate(arrays):
        with within(f"blob {index}"):
            if isinstance(array, Blob):
                pieces = blob.encoded(array.array, legacy=array.legacy)
            else:
                pieces = blob.encoded(array)
        size = sum(map(len, pieces))
        parts += [wire.encode_key(_V2.blobs_at, wire.BYTES), wire.encode_varint(size), *pieces]
    parts.append(body[split:])
    file.write(wire.encode_key(_V2.number, wire.BYTES))
    file.write(wire.encode_varint(sum(map(len, parts))))
    for part in parts:
        file.write(part)
